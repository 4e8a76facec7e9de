package proof_test

import (
	"sync"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

// P3: requests of a killed process that are applied up to the request's timeout later never leave an old value.
func Test_the_newest_value_wins_over_requests_of_a_dead_process(t *testing.T) {
	const rows = 200
	late := 0
	for round := range 5 {
		o := newOracle(t)
		dir := wireProject(t, o, rows, mirrorSync)
		if r := start(t, dir).wait(); r.Code != "" {
			t.Fatalf("%+v", r)
		}
		// version 2 of every row is on its way when the process dies, and is applied as late as a request can land
		for v := 2; ; v++ {
			if changed := changedBetween(rows, 1, v); changed > rows*3/4 {
				setVersion(t, dir, v)
				break
			}
		}
		o.mu.Lock()
		o.fault, o.slowFor = func([]sentRow) sick { return slow }, wireTimeout*9/10
		select {
		case <-o.arrived:
		default:
		}
		o.mu.Unlock()
		p := start(t, dir)
		<-o.arrived
		p.kill()
		o.mu.Lock()
		o.fault = func([]sentRow) sick { return well }
		o.epoch = 1
		o.mu.Unlock()
		const version = 160 + 1
		setVersion(t, dir, version+round)
		if r := start(t, dir).wait(); r.Code != "" || r.Record.Status != run.Succeeded {
			t.Fatalf("%+v", r)
		}
		o.inFlight.Wait() // requests of the dead process are all applied
		lost, stale, surplus := o.wrong(rows, version+round)
		if lost+stale+surplus > 0 {
			t.Errorf("round %d: of %d keys %d are lost, %d hold an old value, %d are not removed", round, rows, lost, stale, surplus)
		}
		late += o.zombies
	}
	if late == 0 {
		t.Error("no request of a dead process was applied late: the proof proves nothing")
	}
	t.Logf("5 kills with %d keys in flight, %d rows applied after the successor had begun: 0 stale keys", rows, late)
}

func changedBetween(rows, from, to int) (n int) {
	for id := range rows {
		if valueAt(id, from) != valueAt(id, to) {
			n++
		}
	}
	return n
}

// P3: the tool may hold a value nobody answered for; a source that goes back to the old one is sent all the same.
func Test_a_source_that_goes_back_after_an_unknown_outcome_wins(t *testing.T) {
	for name, lost := range map[string]func(call int) error{
		"the answer is lost and the run ends": func(int) error { return fault.New(fault.Internal, "a bug") },
		"the answer is lost, then the credential expires": func(call int) error {
			if call == 1 {
				return fault.New(fault.DestTimeout, "no answer")
			}
			return fault.New(fault.DestAuth, "expired").NotLanded()
		},
		"the answer is lost, then the row is refused": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "mode: upsert\n    "+byID)
			w.model.rows[1] = record{match: "m", v: "A", tier: "t"}
			w.ok()
			w.model.rows[1] = record{match: "m", v: "B", tier: "t"}
			w.tool.took()
			w.tool.lost = lost
			if lost == nil {
				refuse := false
				w.tool.lost = func(int) error {
					if refuse {
						return nil
					}
					refuse = true
					return fault.New(fault.DestTimeout, "no answer")
				}
				w.tool.answer = func(connector.Op, string, map[string]string) (connector.Status, string) {
					if refuse {
						return connector.Rejected, "NO"
					}
					return connector.Delivered, ""
				}
			}
			w.run(run.RunOptions{Wait: time.Millisecond})
			if w.tool.records["1"]["V"] != "B" {
				t.Fatalf("the tool holds %v: the scenario is not the one meant", w.tool.records)
			}
			w.tool.lost, w.tool.answer = nil, nil
			w.model.rows[1] = record{match: "m", v: "A", tier: "t"}
			w.ok()
			w.agrees(false)
			w.silent()
		})
	}
}

// A -> B -> A are three writes with three idempotency keys; repetitions of one write share one.
func Test_every_write_has_its_own_idempotency_key_and_shares_it_with_its_repetitions(t *testing.T) {
	w := newWorld(t, "mode: upsert\n    "+byID)
	lose := sync.OnceValue(func() error { return fault.New(fault.DestTimeout, "no answer") })
	first := true
	w.tool.lost = func(int) error {
		if first {
			first = false
			return lose()
		}
		return nil
	}
	for _, v := range []string{"A", "B", "A"} {
		w.model.rows[1] = record{match: "m", v: v, tier: "t"}
		w.ok()
	}
	if len(w.tool.keys) != 3 {
		t.Errorf("3 writes have %d idempotency keys", len(w.tool.keys))
	}
	times := 0
	for k, n := range w.tool.keys {
		if len(k) != 32 {
			t.Errorf("%q is not 32 characters long", k)
		}
		times += n
	}
	if times != 4 {
		t.Errorf("3 writes, one of them repeated, came as %d", times)
	}
	t.Logf("A -> B -> A: %d requests, %d idempotency keys", times, len(w.tool.keys))
}
