package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

func testEntry(k, val int, run string) ledger.Entry {
	return ledger.Entry{
		Key: row.AppendKey(nil, row.IntValue(int64(k))), Fingerprint: uint64(val)<<32 | uint64(k) + 1, Fields: []string{"val"},
		Values: []row.Value{row.IntValue(int64(val))}, Run: run,
	}
}

func testAck(k, val int, run string) ledger.Ack {
	e := testEntry(k, val, run)
	return ledger.Ack{
		Op: connector.OpUpsert, Outcome: connector.Delivered, Entry: e,
		Before: []ledger.History{{Op: connector.OpUpsert, Outcome: connector.Delivered, Fields: e.Fields, Old: make([]row.Value, 1), New: e.Values}},
	}
}

func testDelete(k int) ledger.Ack {
	return ledger.Ack{
		Op: connector.OpDelete, Outcome: connector.Delivered, Delete: true, Entry: ledger.Entry{Key: row.AppendKey(nil, row.IntValue(int64(k)))},
		Before: []ledger.History{{Op: connector.OpDelete, Outcome: connector.Delivered, Known: true}},
	}
}

// scenario is two runs; values grow with time, and -1 stands for no entry. It notes what a promise was given for.
type scenario struct {
	sure map[int]int          // durable: at least as new as this
	ever map[int]map[int]bool // any state a key may be in
}

const scenarioKeys = 60

func (sc *scenario) note(k, val int) {
	if sc.ever[k] == nil {
		sc.ever[k] = map[int]bool{-1: true}
	}
	sc.ever[k][val] = true
}

func (sc *scenario) play(h ledger.Home) error {
	ctx := context.Background()
	now := map[int]int{}
	for run := 1; run <= 3; run++ {
		name := fmt.Sprintf("r%d", run)
		s, err := h.Begin(ctx, name)
		if err != nil {
			return err
		}
		err = sc.run(ctx, s, run, name, now)
		if cerr := s.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (sc *scenario) run(ctx context.Context, s ledger.Session, run int, name string, now map[int]int) error {
	for from := 0; from < scenarioKeys; from += 6 {
		var acks []ledger.Ack
		for k := from; k < from+6; k++ {
			switch {
			case run > 1 && k%4 == run%4:
				continue
			case run > 1 && k%7 == run:
				acks = append(acks, testDelete(k))
				now[k] = -1
			default:
				acks = append(acks, testAck(k, run, name))
				now[k] = run
			}
			sc.note(k, now[k])
		}
		durable := from%12 == 0 || run == 2
		if err := s.Ack(ctx, acks, durable); err != nil {
			return err
		}
		if durable {
			for _, a := range acks {
				k := int(mustKey(a.Entry.Key))
				sc.sure[k] = now[k]
			}
		}
	}
	if err := s.Publish(ctx, ledger.Publication{Complete: true}); err != nil {
		return err
	}
	for k, v := range now {
		sc.sure[k] = v
	}
	return nil
}

func mustKey(key []byte) int64 {
	v, err := row.ParseKey(key)
	if err != nil {
		panic(err)
	}
	return v[0].Int()
}

// survived checks a ledger that a new process opens after the accident.
func (sc *scenario) survived(t *testing.T, h ledger.Home, what string) {
	t.Helper()
	ctx := context.Background()
	s, err := h.Begin(ctx, "after")
	if err != nil {
		t.Fatalf("%s: begin: %v", what, err)
	}
	if err := s.Snapshot().Verify(ctx); err != nil {
		t.Fatalf("%s: verify: %v", what, err)
	}
	got := map[int]int{}
	for e, err := range s.Snapshot().Each(ctx) {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got[int(mustKey(e.Key))] = int(e.Values[0].Int())
	}
	for k := range scenarioKeys {
		v, there := got[k]
		if !there {
			v = -1
		}
		if sure, promised := sc.sure[k]; promised && v != sure && !(sc.ever[k][v] && later(v, sure)) {
			t.Fatalf("%s: key %d is %d, and %d was acknowledged", what, k, v, sure)
		}
		if v != -1 && !sc.ever[k][v] {
			t.Fatalf("%s: key %d is %d, which nobody wrote", what, k, v)
		}
	}
	if err := s.Ack(ctx, []ledger.Ack{testAck(1000, 9, "after")}, true); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := s.Publish(ctx, ledger.Publication{}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if damage, err := h.Inspect(ctx, false); err != nil || len(damage) > 0 {
		t.Fatalf("%s: %v %v", what, damage, err)
	}
}

// later: an acknowledgement without durability may have made it. A removal may be newer than any value.
func later(v, sure int) bool { return v == -1 || v > sure }

func Test_a_process_killed_at_any_step_loses_nothing_it_acknowledged(t *testing.T) {
	for step := 1; ; step++ {
		dir, d := filepath.Join(t.TempDir(), "l"), newFrail(t)
		d.fail, d.with = step, errKilled
		sc := &scenario{sure: map[int]int{}, ever: map[int]map[int]bool{}}
		err := sc.play(Open(dir, Options{TableBytes: 1200, disk: d}))
		if err == nil && d.steps < step {
			t.Logf("%d steps", step)
			return
		}
		sc.survived(t, Open(dir, Options{disk: quick{}}), fmt.Sprintf("killed at step %d (%v)", step, err))
	}
}

func Test_a_power_cut_at_any_step_loses_nothing_it_acknowledged(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 7))
	for step := 1; ; step++ {
		dir, d := filepath.Join(t.TempDir(), "l"), newFrail(t)
		d.fail, d.with = step, errKilled
		sc := &scenario{sure: map[int]int{}, ever: map[int]map[int]bool{}}
		err := sc.play(Open(dir, Options{TableBytes: 1200, disk: d}))
		if err == nil && d.steps < step {
			return
		}
		d.cut(t, dir, r)
		sc.survived(t, Open(dir, Options{disk: quick{}}), fmt.Sprintf("power cut at step %d (%v)", step, err))
	}
}

func Test_a_full_disk_stops_the_run_with_its_own_code_and_loses_nothing(t *testing.T) {
	for step := 1; ; step++ {
		dir, d := filepath.Join(t.TempDir(), "l"), newFrail(t)
		d.fail, d.with = step, errFull
		sc := &scenario{sure: map[int]int{}, ever: map[int]map[int]bool{}}
		err := sc.play(Open(dir, Options{TableBytes: 1200, disk: d}))
		if d.steps < step {
			return
		}
		// Failing to clean up after a publication is no failure of the run.
		if err != nil && !fault.Is(err, fault.StateFull) {
			t.Fatalf("step %d: %v", step, err)
		}
		sc.survived(t, Open(dir, Options{disk: quick{}}), fmt.Sprintf("disk full at step %d (%v)", step, err))
	}
}

func Test_a_session_is_dead_after_the_first_failed_sync(t *testing.T) {
	dir, d := filepath.Join(t.TempDir(), "l"), newFrail(t)
	h := Open(dir, Options{disk: d})
	s, err := h.Begin(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ack(t.Context(), []ledger.Ack{testAck(1, 1, "r1")}, true); err != nil {
		t.Fatal(err)
	}
	d.fail, d.with = d.steps+2, errors.New("input/output error") // the write goes through, its sync does not
	if err := s.Ack(t.Context(), []ledger.Ack{testAck(2, 1, "r1")}, true); !fault.Is(err, fault.StateUnusable) {
		t.Fatalf("failed sync: %v", err)
	}
	for _, durable := range []bool{true, false} {
		if err := s.Ack(t.Context(), []ledger.Ack{testAck(3, 1, "r1")}, durable); !fault.Is(err, fault.StateUnusable) {
			t.Fatalf("after a failed sync: %v", err)
		}
	}
	if err := s.Publish(t.Context(), ledger.Publication{}); !fault.Is(err, fault.StateUnusable) {
		t.Fatalf("publishing after a failed sync: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func Test_a_folder_that_cannot_be_written_stops_the_run_before_it_starts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	if err := os.WriteFile(dir, []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}).Begin(t.Context(), "r1"); !fault.Is(err, fault.StateUnusable) {
		t.Fatalf("the ledger's folder is a file: %v", err)
	}
	for _, with := range []error{os.ErrPermission, errors.New("read-only file system")} {
		d := newFrail(t)
		d.fail, d.with = 1, with
		if _, err := Open(filepath.Join(t.TempDir(), "l"), Options{disk: d}).Begin(t.Context(), "r1"); !fault.Is(err, fault.StateUnusable) {
			t.Fatalf("%v: %v", with, err)
		}
	}
}
