package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

const byScore = "    mode: upsert\n    match: {Id: id}\n    fields: {Score: score}\n"

func Test_ignoring_a_new_mapping_still_sends_what_the_source_changed(t *testing.T) {
	w := newWorld(t, byScore)
	w.wh.fill(3)
	w.ok()
	w.crm.took()
	w.define("    mode: upsert\n    on_mapping_change: ignore\n    match: {Id: id}\n    fields: {Score: score, Tier: tier}\n")
	w.wh.set(1, "u1@example.com", "watch", 99)
	w.ok()
	w.wantWrites("upsert 1 Score=99")
	w.ok()
	w.wantWrites()
}

func Test_ignoring_a_new_mapping_survives_a_failed_run(t *testing.T) {
	w := newWorld(t, byScore)
	w.wh.fill(3)
	w.ok()
	w.crm.took()
	w.define("    mode: upsert\n    on_mapping_change: ignore\n    match: {Id: id}\n    fields: {Score: score, Tier: tier}\n")
	w.wh.set(1, "u1@example.com", "watch", 99)
	w.crm.down = nil
	w.crm.lose = true
	if rec := w.run(run.RunOptions{Wait: 1}); rec.Status != run.Failed && rec.Status != run.Partial {
		t.Fatalf("%s %v", rec.Status, rec.Error)
	}
	w.crm.lose = false
	w.crm.took()
	w.ok()
	w.wantWrites("upsert 1 Score=99 Tier=watch")
}

func Test_a_generation_starts_only_with_a_complete_read(t *testing.T) {
	w := newWorld(t, "    mode: mirror\n    match: {Id: id}\n    fields: {Score: score}\n    guards: {max_removed: 100%}\n")
	w.wh.fill(3)
	w.ok()
	w.crm.took()
	before := w.yml
	w.define("    mode: mirror\n    match: {Email: email}\n    fields: {Score: score}\n")
	w.wh.fail = fault.Wrap(fault.SourceIncomplete, errCut, "reading")
	if rec := w.run(run.RunOptions{}); rec.Status != run.Failed {
		t.Fatal(rec.Status)
	}
	w.wh.fail = nil
	w.yml = before
	w.write()
	w.wh.drop(2)
	if c := w.ok().Counts; c.Unchanged != 2 || c.Planned.Remove != 1 {
		t.Fatalf("the ledger was lost: %+v", c)
	}
	w.wantWrites("delete 2")
}

func Test_plan_and_run_agree_on_a_new_generation(t *testing.T) {
	w := newWorld(t, byScore)
	w.wh.fill(3)
	w.ok()
	w.define("    mode: upsert\n    match: {Email: email}\n    fields: {Score: score}\n")
	saved := w.plan().Save(false)
	rec := w.run(run.RunOptions{Saved: &saved})
	if rec.Status != run.Succeeded || rec.PlanHash != saved.Hash {
		t.Fatalf("%s %v, plan %s run %s", rec.Status, rec.Error, saved.Hash, rec.PlanHash)
	}
}

func Test_a_lift_is_a_ceiling(t *testing.T) {
	w := newWorld(t, "    mode: mirror\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.wh.fill(20)
	w.ok()
	w.crm.took()
	for i := range int64(4) {
		w.wh.drop(i)
	}
	if rec := w.run(run.RunOptions{}); rec.Status != run.Held || rec.Counts.Withheld != 4 {
		t.Fatalf("%s %+v", rec.Status, rec.Counts)
	}
	for i := range int64(18) {
		w.wh.drop(i)
	}
	if rec := w.run(run.RunOptions{Allow: allowRemoved}); rec.Status != run.Held || rec.Counts.Withheld != 18 {
		t.Fatalf("more than was looked at: %s %+v", rec.Status, rec.Counts)
	}
	w.wantWrites()
	if rec := w.run(run.RunOptions{Allow: allowRemoved}); rec.Status != run.Succeeded || rec.Counts.Delivered != 18 {
		t.Fatalf("looked at again: %s %+v", rec.Status, rec.Counts)
	}
}

func Test_a_lift_is_bound_to_the_run_that_was_held_whatever_ended_since(t *testing.T) {
	held := func(t *testing.T) (w *world, first *run.Record) {
		w = newWorld(t, "    mode: mirror\n    match: {Id: id}\n    fields: {Score: score}\n")
		w.wh.fill(20)
		first = w.ok()
		for i := range int64(4) {
			w.wh.drop(i)
		}
		if rec := w.run(run.RunOptions{}); rec.Status != run.Held {
			t.Fatalf("%s %+v", rec.Status, rec.Counts)
		}
		return w, first
	}
	for name, since := range map[string]func(*world, *run.Record){
		"an undo was held": func(w *world, first *run.Record) {
			if rec, _ := w.undo(first, false, run.RunOptions{}); rec.Status != run.Held {
				w.t.Fatalf("%s %+v", rec.Status, rec.Counts)
			}
		},
		"a run failed before it was judged": func(w *world, _ *run.Record) {
			w.wh.fail = errCut
			if rec := w.run(run.RunOptions{}); rec.Status != run.Failed {
				w.t.Fatalf("%s %+v", rec.Status, rec.Counts)
			}
			w.wh.fail = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, first := held(t)
			since(w, first)
			if rec := w.run(run.RunOptions{Allow: allowRemoved}); rec.Status != run.Succeeded || rec.Counts.Delivered != 4 {
				t.Errorf("what was looked at: %s %+v %v", rec.Status, rec.Counts, rec.Warnings)
			}
			w, first = held(t)
			since(w, first)
			for i := range int64(18) {
				w.wh.drop(i)
			}
			if rec := w.run(run.RunOptions{Allow: allowRemoved}); rec.Status != run.Held {
				t.Errorf("more than was looked at: %s %+v", rec.Status, rec.Counts)
			}
		})
	}
}

func Test_a_lift_of_an_undo_is_bound_to_that_undo(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(20)
	first := w.ok()
	if rec, _ := w.undo(first, false, run.RunOptions{}); rec.Status != run.Held || rec.Counts.Withheld != 20 {
		t.Fatalf("%s %+v", rec.Status, rec.Counts)
	}
	w.run(run.RunOptions{}) // of another kind
	define := w.yml
	w.yml = strings.Replace(define, "Score: score", "Score: score, First: email", 1)
	w.write()
	if rec, _ := w.undo(first, false, run.RunOptions{Allow: allowRemoved}); rec.Status != run.Held || len(rec.Warnings) == 0 {
		t.Errorf("the definitions changed: %s %+v", rec.Status, rec.Counts)
	}
	w.yml = define
	w.write()
	w.undo(first, false, run.RunOptions{}) // somebody looks again
	if rec, _ := w.undo(first, false, run.RunOptions{Allow: allowRemoved}); rec.Status != run.Succeeded || rec.Counts.Delivered != 20 {
		t.Errorf("%s %+v %v", rec.Status, rec.Counts, rec.Warnings)
	}
}

func Test_a_row_of_unknown_outcome_is_sent_by_the_next_run(t *testing.T) {
	w := newWorld(t, byScore)
	w.wh.fill(2)
	w.crm.lose = true
	if rec := w.run(run.RunOptions{Wait: 1}); rec.Counts.Unknown != 2 {
		t.Fatalf("%+v", rec.Counts)
	}
	w.crm.lose = false
	w.crm.took()
	if c := w.ok().Counts; c.Delivered != 2 || c.Waiting != 0 {
		t.Fatalf("%+v", c)
	}
}

func Test_at_most_once_leaves_an_unknown_row_to_a_person(t *testing.T) {
	w := newWorld(t, "    mode: upsert\n    at_most_once: true\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.wh.fill(2)
	w.crm.lose = true
	w.run(run.RunOptions{Wait: 1})
	w.crm.lose = false
	w.crm.took()
	if c := w.ok().Counts; c.Waiting != 2 {
		t.Fatalf("%+v", c)
	}
	w.wantWrites()
	w.engine(func(e *run.Engine, _ *projectSync) {
		if _, err := e.Store.MakeDue(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
	})
	if c := w.ok().Counts; c.Delivered != 2 {
		t.Fatalf("a person asked: %+v", c)
	}
}

func Test_a_refused_removal_waits_like_any_refused_row(t *testing.T) {
	w := newWorld(t, "    mode: mirror\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.wh.fill(20)
	w.ok()
	w.wh.drop(3)
	w.crm.reject["3"] = "LOCKED"
	if rec := w.run(run.RunOptions{}); rec.Counts.Rejected != 1 {
		t.Fatalf("%+v", rec.Counts)
	}
	w.crm.took()
	w.run(run.RunOptions{})
	w.wantWrites()
	w.engine(func(e *run.Engine, _ *projectSync) {
		rows, err := e.Store.Refusals(t.Context(), "s")
		if err != nil || len(rows) != 1 {
			t.Fatalf("%v %v", rows, err)
		}
		if _, err := e.Store.MakeDue(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
	})
	delete(w.crm.reject, "3")
	if c := w.ok().Counts; c.Delivered != 1 {
		t.Fatalf("%+v", c)
	}
	w.wantWrites("delete 3")
}

func Test_a_destination_that_was_reached_before_is_waited_for(t *testing.T) {
	w := newWorld(t, byScore)
	w.crm.down = fault.New(fault.DestUnreachable, "connection refused").NotLanded()
	begun := time.Now()
	if rec := w.run(run.RunOptions{Wait: time.Minute}); rec.Status != run.Failed || time.Since(begun) > 30*time.Second || rec.Error.Exit() != fault.ExitEnvironment {
		t.Fatalf("never reached: %s after %s: %v", rec.Status, time.Since(begun), rec.Error)
	}
	w.crm.down = nil
	w.wh.fill(2)
	w.ok()
	w.crm.down = fault.New(fault.DestUnreachable, "connection refused").NotLanded()
	begun = time.Now()
	if rec := w.run(run.RunOptions{Wait: 300 * time.Millisecond}); rec.Status != run.Failed || time.Since(begun) < 300*time.Millisecond {
		t.Fatalf("reached before: %s after %s", rec.Status, time.Since(begun))
	}
}
