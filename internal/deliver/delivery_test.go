package deliver_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_everything_is_delivered_within_the_limits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1003)
		b.tool.latency = 20 * time.Millisecond
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		b.want(t, 1003, 0, 0, 0)
		if len(b.tool.records) != 1003 || b.tool.calls != 101 || b.tool.peak > 4 {
			t.Errorf("%d records in %d calls, %d at once", len(b.tool.records), b.tool.calls, b.tool.peak)
		}
		if len(b.journal.open) != 0 {
			t.Errorf("%d intents are still open", len(b.journal.open))
		}
	})
}

func Test_rows_of_one_parent_are_never_in_two_requests_in_flight(t *testing.T) {
	for name, c := range map[string]struct {
		affinity     string
		rows         int
		clash        bool
		peak, atMost int
	}{
		"without an affinity": {"", 400, true, 4, 40},
		"with one":            {"f", 400, false, 4, 48},
		"a field not mapped":  {"other", 400, true, 4, 40},
		"few rows":            {"f", 30, false, 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(c.rows)
				for i, it := range b.items {
					it.Values[0] = row.TextValue(fmt.Sprint("parent ", i%17)) // one every other request holds
				}
				b.tool.latency, b.op.Affinity = time.Second, c.affinity
				b.tool.script = func(call int, _ *row.Batch, out *connector.Outcomes) error {
					if call%5 == 2 { // what is sent again stays apart from the others
						return fault.New(fault.DestTransient, "try again").NotLanded()
					}
					out.DeliveredAll()
					return nil
				}
				if c.rows < 100 {
					b.tool.script = nil
				}
				if err := b.run(t); err != nil {
					t.Fatal(err)
				}
				if b.tool.clashes > 0 != c.clash || b.tool.peak != c.peak || b.tool.calls > c.atMost+b.tool.calls/4 {
					t.Errorf("%d clashes, %d in flight, %d calls for %d rows", b.tool.clashes, b.tool.peak, b.tool.calls, c.rows)
				}
			})
		})
	}
}

// jobs is a tool whose writes are jobs; it keeps the order in which it was given values.
type jobs struct {
	*tool
	given []string
}

func (j *jobs) Submit(_ context.Context, _ connector.Target, rows *row.Batch, save func(connector.Job) error) error {
	for i := range rows.Len() {
		j.given = append(j.given, rows.Values(i)[0].String())
	}
	return save(connector.Job{ID: "1"})
}

func (j *jobs) Poll(_ context.Context, _ connector.Job, to connector.Target, rows *row.Batch, out *connector.Outcomes) (bool, error) {
	out.DeliveredAll()
	j.apply(to, rows, out)
	return true, nil
}

func (j *jobs) Abandon(context.Context, connector.Job) error { return nil }

func Test_rows_of_one_parent_are_neighbours_in_a_job(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(60)
		for i, it := range b.items {
			it.Values[0] = row.TextValue(fmt.Sprint("parent ", i%7))
		}
		b.op.Affinity, b.op.JobAbove, b.op.JobRows = "f", 10, 1000
		j := &jobs{tool: b.tool}
		b.dest = j
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		if runs := len(slices.Compact(slices.Clone(j.given))); len(j.given) != 60 || runs != 7 {
			t.Errorf("%d rows of 7 parents come in %d groups: %q", len(j.given), runs, j.given)
		}
		for i, it := range b.items {
			if got := b.tool.records[it.Match[0].String()]; got != fmt.Sprint("parent ", i%7) {
				t.Errorf("record %d has %q", i, got)
			}
		}
	})
}

func Test_one_bad_row_does_not_sink_the_rest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(64)
		b.op.MaxRows = 64
		b.tool.script = func(_ int, rows *row.Batch, out *connector.Outcomes) error {
			for i := range rows.Len() {
				if rows.Match(i)[0].Int() == 17 {
					return fault.New(fault.DestRefused, "something in this batch is wrong").NotLanded()
				}
			}
			out.DeliveredAll()
			return nil
		}
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		b.want(t, 63, 1, 0, 0)
		if extra, bound := b.tool.calls-1, int(2*math.Log2(64))+1; extra > bound {
			t.Errorf("%d extra calls to find one row of 64, bound %d", extra, bound)
		}
	})
}

// Invariant 1: the ledger advances only for accepted rows.
// Invariant 6: a row without a word is never success.
func Test_a_row_the_tool_does_not_mention_is_unknown_and_sent_again_when_that_is_safe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(5)
		b.tool.script = func(call int, rows *row.Batch, out *connector.Outcomes) error {
			for i := range rows.Len() {
				if call > 1 || i != 2 {
					out.Delivered(i, "", connector.Yes)
				}
			}
			return nil
		}
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		b.want(t, 5, 0, 0, 0)
		if b.tool.calls != 2 || b.tool.sent[1] != 1 {
			t.Errorf("calls of %v rows", b.tool.sent)
		}
	})
}

func Test_answers_for_rows_that_were_not_sent_prove_nothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(3)
		b.tool.script = func(call int, _ *row.Batch, out *connector.Outcomes) error {
			out.DeliveredAll()
			if call == 1 {
				out.Delivered(7, "", connector.Yes)
			}
			return nil
		}
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		b.want(t, 3, 0, 0, 0)
		if b.tool.calls != 2 {
			t.Errorf("%d calls", b.tool.calls)
		}
	})
}

// Invariant 2.
func Test_what_may_not_be_repeated_is_never_repeated_blindly(t *testing.T) {
	lost := func(call int, rows *row.Batch, out *connector.Outcomes) error {
		if call == 1 {
			return fault.New(fault.DestTimeout, "no answer")
		}
		out.DeliveredAll()
		return nil
	}
	t.Run("an insert stays unknown for a person", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(4)
			b.opName, b.op.Idempotent, b.tool.script = connector.OpInsert, false, lost
			if err := b.run(t); err != nil {
				t.Fatal(err)
			}
			b.want(t, 0, 0, 4, 0)
			for k, n := range b.tool.perKey {
				if n != 1 {
					t.Errorf("key %s was sent %d times", k, n)
				}
			}
			for _, r := range b.journal.refused {
				if !r.Unknown || !r.Person {
					t.Errorf("refusal %+v", r)
				}
			}
			if len(b.journal.open) != 1 {
				t.Errorf("the intent of rows without an outcome was closed")
			}
		})
	})
	t.Run("an insert that can be read back is settled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(4)
			b.opName, b.op.Idempotent, b.tool.script = connector.OpInsert, false, lost
			b.dest = readable{b.tool}
			b.tool.records["0"], b.tool.records["2"] = "x", "x"
			if err := b.run(t); err != nil {
				t.Fatal(err)
			}
			b.want(t, 2, 0, 2, 0)
		})
	})
	t.Run("an upsert is sent again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(4)
			b.tool.script = lost
			if err := b.run(t); err != nil {
				t.Fatal(err)
			}
			b.want(t, 4, 0, 0, 0)
		})
	})
	t.Run("at_most_once forbids even that", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(4)
			b.sync.AtMostOnce, b.tool.script = true, lost
			if err := b.run(t); err != nil {
				t.Fatal(err)
			}
			b.want(t, 0, 0, 4, 0)
		})
	})
}

func Test_the_same_refusal_for_most_rows_stops_the_run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(5000)
		b.tool.script = func(_ int, rows *row.Batch, out *connector.Outcomes) error {
			for i := range rows.Len() {
				out.Rejected(i, "INSUFFICIENT_ACCESS", "f", "no")
			}
			return nil
		}
		wantCode(t, b.run(t), fault.DestSystemic)
		if n := b.tally.Rejected.Load(); n < 200 || n > 300 {
			t.Errorf("stopped after %d rows", n)
		}
	})
}

func Test_a_wrong_credential_stops_the_run_and_leaves_rows_pending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(100)
		b.tool.script = func(int, *row.Batch, *connector.Outcomes) error { return fault.New(fault.DestAuth, "401") }
		wantCode(t, b.run(t), fault.DestAuth)
		b.want(t, 0, 0, 0, 100)
		if b.tool.calls > 8 {
			t.Errorf("%d calls with a wrong credential", b.tool.calls)
		}
	})
}

// Invariant 5.
func Test_without_a_durable_intent_nothing_is_sent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(50)
		b.journal.fail = fault.New(fault.StateFull, "no space")
		wantCode(t, b.run(t), fault.StateFull)
		b.want(t, 0, 0, 0, 50)
		if b.tool.calls != 0 {
			t.Errorf("%d calls", b.tool.calls)
		}
	})
}

func Test_a_ledger_that_cannot_be_written_stops_the_run_and_keeps_intents_open(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(50)
		b.session.fail = fault.New(fault.StateFull, "no space")
		wantCode(t, b.run(t), fault.StateFull)
		if len(b.journal.open) == 0 || b.tally.Delivered.Load() != 0 {
			t.Errorf("%d intents open, %d rows taken for delivered", len(b.journal.open), b.tally.Delivered.Load())
		}
	})
}

func Test_records_with_an_open_outcome_wait_until_old_requests_cannot_land(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(30)
		b.before = time.Now().Add(25 * time.Second)
		b.items[3].Dirty, b.items[4].Dirty = true, true
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		b.want(t, 30, 0, 0, 0)
		last := b.tool.times[len(b.tool.times)-1]
		if last.Before(b.before) || b.tool.times[0].After(b.before) {
			t.Errorf("dirty rows left at %s, not before %s was asked", last, b.before)
		}
		if b.journal.resolved < 2 {
			t.Errorf("%d open outcomes resolved", b.journal.resolved)
		}
	})
}

func Test_removals_come_last(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(20)
		b.items[0].Action, b.items[0].Op, b.items[0].New = plan.Remove, connector.OpDelete, nil
		var order []string
		b.tool.script = func(_ int, rows *row.Batch, out *connector.Outcomes) error {
			out.DeliveredAll()
			order = append(order, rows.Match(0)[0].String())
			return nil
		}
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		if order[len(order)-1] != "0" {
			t.Errorf("order %v", order)
		}
	})
}

func Test_a_guard_withholds_and_nothing_is_sent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(20)
		b.held = "max_removed"
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		if b.tool.calls != 0 || b.tally.Withheld.Load() != 20 {
			t.Errorf("%d calls, %d withheld", b.tool.calls, b.tally.Withheld.Load())
		}
	})
}

func Test_stopping_finishes_what_is_in_flight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1000)
		b.tool.latency = time.Second
		go func() {
			time.Sleep(2500 * time.Millisecond) //nolint:forbidigo // fake time
			close(b.stop)
		}()
		wantCode(t, b.run(t), fault.Cancelled)
		if d := b.tally.Delivered.Load(); d == 0 || d%10 != 0 || b.tally.Unknown.Load() != 0 {
			t.Errorf("delivered %d, unknown %d", d, b.tally.Unknown.Load())
		}
		if len(b.journal.open) != 0 {
			t.Errorf("%d intents open after an orderly stop", len(b.journal.open))
		}
	})
}

func Test_a_connector_that_panics_fails_the_run_and_not_the_process(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(30)
		b.op.Concurrency, b.limits.Concurrency = 1, 1
		b.tool.script = func(int, *row.Batch, *connector.Outcomes) error { panic("a bug in a connector") }
		err := b.try(t)
		wantCode(t, err, fault.Internal)
		if len(b.journal.open) == 0 {
			t.Error("the intent of rows that may have been sent was closed")
		}
	})
}

func Test_remarks_on_accepted_rows_are_kept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(25)
		b.tool.script = func(_ int, rows *row.Batch, out *connector.Outcomes) error {
			for i := range rows.Len() {
				out.Set(i, connector.Result{Status: connector.Delivered, Warnings: []string{"f: cut to milliseconds"}})
			}
			return nil
		}
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		if got := b.tally.Warnings(); len(got) != 1 || got[0] != "25 accepted rows: f: cut to milliseconds" {
			t.Errorf("%q", got)
		}
	})
}
