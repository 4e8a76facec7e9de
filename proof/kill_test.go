package proof_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/ledger/local"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
)

// durable reads what a sync's ledger holds durably, from a copy: the acknowledgements of a process that was killed included.
func durable(t *testing.T, dir string) map[int]int {
	t.Helper()
	copied := t.TempDir()
	from := filepath.Join(dir, ".upwell", "ledger", "s")
	if _, err := os.Stat(from); os.IsNotExist(err) {
		return map[int]int{}
	}
	if err := os.CopyFS(copied, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	s, err := local.Open(copied, local.Options{}).Begin(t.Context(), "proof")
	if err != nil {
		t.Fatalf("the ledger of a killed process cannot be opened: %v", err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(copied); err != nil {
			t.Error(err)
		}
	}()
	out := map[int]int{}
	for e, err := range s.Snapshot().Each(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		key, err := row.ParseKey(e.Key)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range e.Fields {
			if f == "V" {
				out[int(key[0].Int())] = int(e.Values[i].Int())
			}
		}
	}
	return out
}

// Invariant 1, Invariant 2. P1, P2, P3: a process is killed again and again in the middle of a sync whose destination is sick.
func Test_nothing_is_lost_or_wrong_and_repeats_are_bounded_over_many_kills(t *testing.T) {
	rows, kills := 200_000, 50
	if long {
		rows, kills = 1_000_000, 200
	}
	const seed = 20261123
	o := newOracle(t)
	o.fault, o.slowFor = seeded(seed), wireTimeout*8/10
	dir := wireProject(t, o, rows, mirrorSync)
	r := rand.New(rand.NewPCG(seed, 2))
	version, killed, worst := 1, 0, 0
	began := time.Now()
	for killed < kills {
		p := start(t, dir)
		if r.IntN(5) > 0 { // most kills fall into the delivery
			select {
			case <-o.arrived:
			case <-time.After(2 * time.Minute):
				t.Fatalf("the child sends nothing: %s", p.err.String())
			}
		}
		time.Sleep(time.Duration(50+r.IntN(350)) * time.Millisecond) // the moment of the kill is the input of this proof
		if !p.kill() {
			p.report()
		}
		killed++
		held := durable(t, dir)
		o.mu.Lock()
		open := 0
		for id, v := range o.last {
			switch {
			case held[id] == v:
			case o.lastIn[id] == o.epoch:
				open++
				delete(held, id)
			default: // left open by an earlier process
				delete(held, id)
			}
		}
		// A removal may have been intended and not sent: the key is open, and its row is sent whole when it is back.
		for id := range held {
			if valueAt(id, version) == 0 {
				o.doubtful[id] = true
			}
			if o.doubtful[id] {
				delete(held, id)
			}
		}
		worst = max(worst, open)
		o.durable, o.epoch = held, o.epoch+1
		select {
		case <-o.arrived:
		default:
		}
		o.mu.Unlock()
		version++
		setVersion(t, dir, version)
	}
	o.mu.Lock()
	o.fault = func([]sentRow) sick { return well }
	o.mu.Unlock()
	last := start(t, dir).wait()
	if last.Code != "" || last.Record.Status != run.Succeeded {
		t.Fatalf("the last run: %s %s %+v", last.Code, last.Text, last.Record)
	}
	lost, stale, surplus := o.wrong(rows, version)
	before := o.rows
	quiet := start(t, dir).wait()
	if quiet.Record == nil || quiet.Record.Status != run.Succeeded || o.rows != before {
		t.Errorf("a further run sent %d rows: %+v", o.rows-before, quiet)
	}
	bound := kills*wireWorkers*wireRows + o.faulted
	t.Logf("%d rows, %d kills, seed %d: lost %d, wrong %d, not removed %d; %d of %d rows sent again (bound %d = %d kills x %d workers x %d rows + %d rows of faulted batches), open at a kill at most %d (bound %d), applied by dead processes %d; %.0f s",
		rows, kills, seed, lost, stale, surplus, o.again, o.rows, bound, kills, wireWorkers, wireRows, o.faulted, worst, wireWorkers*wireRows, o.zombies, time.Since(began).Seconds())
	if lost+stale+surplus > 0 {
		t.Errorf("lost %d, wrong %d, surplus %d", lost, stale, surplus)
	}
	if o.again > bound {
		t.Errorf("%d rows were sent again, the bound is %d", o.again, bound)
	}
	if worst > wireWorkers*wireRows {
		t.Errorf("%d rows were open at one kill, the bound is %d", worst, wireWorkers*wireRows)
	}
	for _, b := range o.broken {
		t.Error(b)
	}
}
