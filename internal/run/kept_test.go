package run_test

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/run"
)

// counter counts how often deltas of a ledger are walked.
type counter struct{ atomic.Int64 }

type (
	countedHome struct {
		ledger.Home
		*counter
	}
	countedSession struct {
		ledger.Session
		*counter
	}
	countedSnapshot struct {
		ledger.Snapshot
		*counter
	}
	countedComparison struct {
		ledger.Comparison
		*counter
	}
	countedDelta struct {
		ledger.Delta
		*counter
	}
)

func (h countedHome) Begin(ctx context.Context, run string) (ledger.Session, error) {
	s, err := h.Home.Begin(ctx, run)
	return countedSession{s, h.counter}, err
}

func (s countedSession) Snapshot() ledger.Snapshot {
	return countedSnapshot{s.Session.Snapshot(), s.counter}
}

func (s countedSnapshot) Compare(o ledger.CompareOptions) (ledger.Comparison, error) {
	c, err := s.Snapshot.Compare(o)
	return countedComparison{c, s.counter}, err
}

func (c countedComparison) Finish(ctx context.Context) (ledger.Delta, error) {
	d, err := c.Comparison.Finish(ctx)
	return countedDelta{d, c.counter}, err
}

func (d countedDelta) Each(ctx context.Context) iter.Seq2[ledger.Change, error] {
	d.Add(1)
	return d.Delta.Each(ctx)
}

// story runs a sync through every kind of change with so much memory for plans, and gives what was asked of the tool and what the runs
// counted. Records are found by another field than the key, so that they can change their identity.
func story(t *testing.T, memory int) (told []string, walks int64) {
	w := newWorld(t, "    mode: mirror\n    guards: {max_removed: 100%}\n    match: {Email: email}\n    fields: {Score: score, Tier: {column: tier, null: skip}}\n")
	w.crm.object.CanMove = true
	c := &counter{}
	next := func(what string) {
		t.Helper()
		w.engine(func(e *run.Engine, s *project.Sync) {
			home := e.Ledger
			e.Ledger = func(sync string) ledger.Home { return countedHome{home(sync), c} }
			rec, err := e.Run(t.Context(), s, run.RunOptions{KeepPlan: memory, Wait: 1})
			if err != nil {
				t.Fatal(err)
			}
			calls := w.crm.calls
			told = append(told, fmt.Sprintf("%s: %s, %d calls, %+v", what, rec.Status, calls, rec.Counts))
			told = append(told, w.crm.took()...)
		})
	}
	w.wh.fill(120)
	w.crm.reject["u7@example.com"] = "BAD_SCORE"
	next("all is new, one row is refused")
	for i := range int64(10) {
		w.wh.set(i, fmt.Sprintf("u%d@example.com", i), "hot", -1)
	}
	next("some differ")
	w.wh.set(20, "moved@example.com", "watch", 20)
	w.wh.set(21, "u22@example.com", "watch", 21) // two change places
	w.wh.set(22, "u21@example.com", "watch", 22)
	for i := range int64(5) {
		w.wh.drop(30 + i)
	}
	next("some have another identity, some have left")
	w.wh.set(41, "u40@example.com", "", 1) // two rows claim one record
	w.wh.set(200, "new@example.com", "", 2)
	next("a match twice and a row without a tier")
	delete(w.crm.reject, "u7@example.com")
	w.wh.set(7, "u7@example.com", "hot", 8)
	w.wh.set(41, "u41@example.com", "", 1)
	w.crm.lose = true
	next("no answer comes")
	w.crm.lose = false
	next("what was open is sent again")
	next("nothing is left to do")
	return told, c.Load()
}

func Test_a_plan_that_outgrows_its_memory_sends_the_same_requests(t *testing.T) {
	kept, few := story(t, 0)
	walked, many := story(t, 1)
	if d := cmp.Diff(kept, walked); d != "" {
		t.Errorf("requests and counts differ (-plan in memory +plan walked in the ledger):\n%s", d)
	}
	if few >= many {
		t.Errorf("the ledger's deltas were walked %d times with the plans in memory and %d times without", few, many)
	}
}
