package run_test

import (
	"testing"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

func Test_only_what_changed_is_sent(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(250)
	if c := w.ok().Counts; c.Planned.Add != 250 || c.Delivered != 250 || c.Read != 250 {
		t.Fatalf("first run: %+v", c)
	}
	w.crm.took()
	if c := w.ok().Counts; c.Unchanged != 250 || c.Delivered != 0 {
		t.Fatalf("second run: %+v", c)
	}
	w.wantWrites()
	w.wh.set(7, "u7@example.com", "watch", 99.5)
	w.wh.set(8, "new@example.com", "watch", 8) // email is not mapped
	w.wh.set(900, "n@example.com", "healthy", 1)
	if c := w.ok().Counts; c.Planned.Change != 1 || c.Planned.Add != 1 || c.Unchanged != 249 {
		t.Fatalf("third run: %+v", c)
	}
	w.wantWrites("upsert 7 Score=99.5", "upsert 900 Score=1 Tier=healthy")
}

func Test_a_skipped_null_sends_nothing_and_keeps_the_delivered_value(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.set(1, "a", "watch", 1)
	w.ok()
	w.crm.took()
	w.wh.set(1, "a", "", 1)
	if c := w.ok().Counts; c.Unchanged != 1 || c.Planned.Change != 0 {
		t.Fatalf("%+v", c)
	}
	w.wantWrites()
	w.wh.set(1, "a", "watch", 1)
	if c := w.ok().Counts; c.Unchanged != 1 {
		t.Fatalf("%+v", c)
	}
	w.wantWrites()
}

// Invariant 3, Invariant 4.
func Test_removals_need_a_complete_read_and_stay_below_the_guard(t *testing.T) {
	const mirror = `
    mode: mirror
    match: {Id: id}
    fields: {Score: score}
`
	t.Run("a few are removed", func(t *testing.T) {
		w := newWorld(t, mirror)
		w.wh.fill(100)
		w.ok()
		w.crm.took()
		w.wh.drop(3)
		w.wh.drop(4)
		if c := w.ok().Counts; c.Planned.Remove != 2 || c.Delivered != 2 {
			t.Fatalf("%+v", c)
		}
		w.wantWrites("delete 3", "delete 4")
		w.ok()
		w.wantWrites()
		w.wh.set(3, "a", "watch", 3)
		if c := w.ok().Counts; c.Planned.Add != 1 {
			t.Fatalf("a row that comes back is an add: %+v", c)
		}
	})
	t.Run("a cut read removes nothing", func(t *testing.T) {
		for _, after := range []int{0, 100, 200, -1} {
			w := newWorld(t, mirror)
			w.wh.fill(300)
			w.ok()
			w.crm.took()
			w.wh.fail, w.wh.after = fault.Wrap(fault.SourceIncomplete, errCut, "reading"), after
			rec := w.run(run.RunOptions{})
			if rec.Status != run.Failed || rec.Error.Code != fault.SourceIncomplete {
				t.Fatalf("after %d rows: %s %v", after, rec.Status, rec.Error)
			}
			w.wantWrites()
		}
	})
	t.Run("an empty read is held", func(t *testing.T) {
		w := newWorld(t, mirror)
		w.wh.fill(150)
		w.ok()
		w.crm.took()
		w.wh.rows = nil
		rec := w.run(run.RunOptions{Allow: allowRemoved})
		if rec.Status != run.Held || rec.Counts.Withheld != 150 {
			t.Fatalf("%s %+v", rec.Status, rec.Counts)
		}
		w.wantWrites()
	})
	t.Run("a shrunken read is held, and what the guard does not cover is delivered", func(t *testing.T) {
		w := newWorld(t, mirror)
		w.wh.fill(100)
		w.ok()
		w.crm.took()
		for i := range int64(60) {
			w.wh.drop(i)
		}
		w.wh.set(70, "a", "watch", 1000)
		rec := w.run(run.RunOptions{})
		if rec.Status != run.Held || rec.Counts.Withheld != 60 || rec.Counts.Delivered != 1 || rec.Error.Code != fault.GuardHeld {
			t.Fatalf("%s %+v %v", rec.Status, rec.Counts, rec.Error)
		}
		w.wantWrites("upsert 70 Score=1000")
		rec = w.run(run.RunOptions{Allow: allowRemoved})
		if rec.Status != run.Succeeded || rec.Counts.Delivered != 60 {
			t.Fatalf("%s %+v %v", rec.Status, rec.Counts, rec.Error)
		}
	})
	t.Run("a record that was there before us is never removed", func(t *testing.T) {
		w := newWorld(t, mirror)
		w.crm.records["5000"] = map[string]string{"Score": "1"}
		w.wh.fill(10)
		w.ok()
		w.ok()
		if _, ok := w.crm.records["5000"]; !ok {
			t.Error("a stranger was removed")
		}
	})
}

func Test_removed_keep_and_clear(t *testing.T) {
	t.Run("keep leaves the record and a returning row sends nothing", func(t *testing.T) {
		w := newWorld(t, standard)
		w.wh.fill(20)
		w.ok()
		w.crm.took()
		w.wh.drop(3)
		w.ok()
		w.ok()
		w.wh.set(3, "u3@example.com", "watch", 3)
		if c := w.ok().Counts; c.Unchanged != 20 {
			t.Fatalf("%+v", c)
		}
		w.wantWrites()
	})
	t.Run("clear empties the mapped fields once", func(t *testing.T) {
		w := newWorld(t, "    mode: upsert\n    removed: clear\n    match: {Id: id}\n    fields: {Score: score}\n")
		w.wh.fill(20)
		w.ok()
		w.crm.took()
		w.wh.drop(3)
		w.ok()
		w.wantWrites("clear 3 Score=null")
		w.ok()
		w.wantWrites()
		w.wh.set(3, "a", "watch", 3)
		w.ok()
		w.wantWrites("upsert 3 Score=3")
	})
}

func Test_update_mode_skips_records_the_tool_does_not_have(t *testing.T) {
	w := newWorld(t, "    mode: update\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.crm.records["1"] = map[string]string{}
	w.wh.fill(3)
	c := w.ok().Counts
	if c.Delivered != 1 || c.Skipped != 2 {
		t.Fatalf("%+v", c)
	}
	w.crm.took()
	if c := w.ok().Counts; c.Unchanged != 3 {
		t.Fatalf("%+v", c)
	}
	w.wh.set(2, "a", "", 77)
	if c := w.ok().Counts; c.Skipped != 1 {
		t.Fatalf("%+v", c)
	}
}

func Test_insert_mode_writes_a_key_once(t *testing.T) {
	w := newWorld(t, "    mode: insert\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.crm.records["1"] = map[string]string{}
	w.wh.fill(3)
	rec := w.run(run.RunOptions{})
	if rec.Status != run.Partial || rec.Counts.Rejected != 1 || rec.Counts.Delivered != 2 {
		t.Fatalf("%s %+v", rec.Status, rec.Counts)
	}
	w.crm.took()
	w.wh.set(2, "a", "", 50)
	if c := w.ok().Counts; c.Unchanged != 2 || c.Waiting != 1 {
		t.Fatalf("%+v", c)
	}
	w.wantWrites()
}

func Test_rejected_rows_wait_and_come_back(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(5)
	w.crm.reject["2"] = "BAD_SCORE"
	rec := w.run(run.RunOptions{})
	if rec.Status != run.Partial || rec.Counts.Rejected != 1 || rec.Counts.Delivered != 4 {
		t.Fatalf("%s %+v", rec.Status, rec.Counts)
	}
	w.crm.took()
	if c := w.ok().Counts; c.Waiting != 1 || c.Unchanged != 4 {
		t.Fatalf("not due: %+v", c)
	}
	w.wantWrites()
	w.wh.set(2, "a", "healthy", 5)
	if rec := w.run(run.RunOptions{}); rec.Counts.Rejected != 1 {
		t.Fatalf("a changed row is due: %+v", rec.Counts)
	}
	delete(w.crm.reject, "2")
	w.engine(func(e *run.Engine, s *projectSync) {
		n, err := e.Store.MakeDue(t.Context(), "s")
		if err != nil || n != 1 {
			t.Fatal(n, err)
		}
	})
	if c := w.ok().Counts; c.Delivered != 1 {
		t.Fatalf("a person asked: %+v", c)
	}
	w.engine(func(e *run.Engine, s *projectSync) {
		rows, err := e.Store.Refusals(t.Context(), "s")
		if err != nil || len(rows) != 0 {
			t.Errorf("refusals left: %v %v", rows, err)
		}
	})
}

func Test_duplicate_and_null_keys_are_invalid_and_count_as_present(t *testing.T) {
	w := newWorld(t, "    mode: mirror\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.wh.fill(100)
	w.ok()
	w.crm.took()
	w.wh.rows = append(w.wh.rows, w.wh.rows[5])
	rec := w.run(run.RunOptions{})
	if rec.Status != run.Partial || rec.Counts.Invalid != 2 || rec.Counts.Unchanged != 99 || rec.Counts.Planned.Remove != 0 {
		t.Fatalf("%s %+v", rec.Status, rec.Counts)
	}
	w.wantWrites()
	w.wh.rows = w.wh.rows[:100]
	w.wh.rows[6][0] = nullValue
	rec = w.run(run.RunOptions{})
	if rec.Status != run.Held || rec.Counts.Invalid != 1 || rec.Counts.Withheld != 1 {
		t.Fatalf("a key that turned null looks like a removal: %s %+v %v", rec.Status, rec.Counts, rec.Error)
	}
	w.wantWrites()
}

func Test_a_destination_that_is_down_leaves_everything_pending_and_the_next_run_sends_the_newest(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(20)
	w.ok()
	w.crm.took()
	w.wh.set(1, "a", "watch", 55)
	w.crm.lose = true
	rec := w.run(run.RunOptions{Wait: 1})
	if rec.Counts.Unknown != 1 {
		t.Fatalf("%s %+v %v", rec.Status, rec.Counts, rec.Error)
	}
	w.crm.lose = false
	w.crm.took()
	// the source goes back to what the ledger holds, while the tool has the new value
	w.wh.set(1, "u1@example.com", "watch", 1)
	c := w.ok().Counts
	if c.Delivered != 1 || w.crm.records["1"]["Score"] != "1" {
		t.Fatalf("%+v, the tool has %v", c, w.crm.records["1"])
	}
	w.wantWrites("upsert 1 Score=1 Tier=watch")
}

func Test_first_run_baseline_sends_nothing(t *testing.T) {
	w := newWorld(t, "    mode: mirror\n    first_run: baseline\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.wh.fill(30)
	if c := w.ok().Counts; c.Unchanged != 30 || c.Delivered != 0 {
		t.Fatalf("%+v", c)
	}
	w.wh.drop(4)
	w.wh.set(5, "a", "", 500)
	w.ok()
	w.wantWrites("upsert 5 Score=500")
}

func Test_a_changed_mapping_sends_only_what_differs(t *testing.T) {
	w := newWorld(t, "    mode: upsert\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.wh.fill(3)
	w.ok()
	w.crm.took()
	w.define("    mode: upsert\n    match: {Id: id}\n    fields: {Score: score, Tier: tier}\n")
	if res := w.plan(); !res.Summary.Remapped || res.Summary.Counts.Change != 3 {
		t.Fatalf("%+v", res.Summary)
	}
	w.ok()
	w.wantWrites("upsert 0 Tier=watch", "upsert 1 Tier=watch", "upsert 2 Tier=watch")
	w.define("    mode: upsert\n    match: {Id: id}\n    fields: {Tier: tier}\n")
	w.ok()
	w.wantWrites()
	w.define("    mode: upsert\n    on_mapping_change: ignore\n    match: {Id: id}\n    fields: {Tier: tier, First: email}\n")
	w.ok()
	w.wantWrites()
	w.wh.set(1, "b", "watch", 1)
	w.ok()
	w.wantWrites("upsert 1 First=b")
}

func Test_a_new_match_or_key_starts_a_generation_and_removes_nothing(t *testing.T) {
	w := newWorld(t, "    mode: mirror\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.wh.fill(3)
	w.ok()
	w.crm.took()
	w.define("    mode: mirror\n    match: {Email: email}\n    fields: {Score: score}\n")
	if c := w.plan().Summary.Counts; c.Add != 3 || c.Remove != 0 {
		t.Fatalf("%+v", c)
	}
	if c := w.ok().Counts; c.Planned.Add != 3 || c.Planned.Remove != 0 {
		t.Fatalf("%+v", c)
	}
}

func Test_two_rows_with_one_match_are_invalid(t *testing.T) {
	w := newWorld(t, "    mode: mirror\n    match: {Email: email}\n    fields: {Score: score}\n")
	w.wh.fill(10)
	w.ok()
	w.crm.took()
	w.wh.set(3, "U4@example.com", "watch", 3) // folds to the identity of row 4, which is unchanged
	rec := w.run(run.RunOptions{})
	if rec.Status != run.Partial || rec.Counts.Invalid != 2 || rec.Counts.Planned.Remove != 0 {
		t.Fatalf("%s %+v %v", rec.Status, rec.Counts, rec.Error)
	}
	w.wantWrites()
}

func Test_a_changed_match_is_rejected_moved_or_created(t *testing.T) {
	const byMail = "    mode: upsert\n    match: {Email: email}\n    fields: {Score: score}\n"
	t.Run("rejected by default", func(t *testing.T) {
		w := newWorld(t, byMail)
		w.wh.fill(3)
		w.ok()
		w.crm.took()
		w.wh.set(1, "other@example.com", "", 1)
		if rec := w.run(run.RunOptions{}); rec.Counts.Invalid != 1 {
			t.Fatalf("%+v", rec.Counts)
		}
		w.wantWrites()
	})
	t.Run("another case of the same identity is no change", func(t *testing.T) {
		w := newWorld(t, byMail)
		w.wh.fill(3)
		w.ok()
		w.crm.took()
		w.wh.set(1, "U1@Example.com", "watch", 1)
		if c := w.ok().Counts; c.Invalid != 0 {
			t.Fatalf("%+v", c)
		}
	})
	t.Run("moved where the tool can", func(t *testing.T) {
		w := newWorld(t, byMail)
		w.crm.object.CanMove = true
		w.wh.fill(3)
		w.ok()
		w.crm.took()
		w.wh.set(1, "other@example.com", "", 1)
		w.ok()
		w.wantWrites("update u1@example.com Score=1 Email=other@example.com")
	})
	t.Run("created on request", func(t *testing.T) {
		w := newWorld(t, byMail+"    on_match_change: create\n")
		w.wh.fill(3)
		w.ok()
		w.crm.took()
		w.wh.set(1, "other@example.com", "", 1)
		w.ok()
		w.wantWrites("upsert other@example.com Score=1")
	})
}

func Test_a_removed_key_whose_match_another_key_claims_is_not_removed(t *testing.T) {
	w := newWorld(t, "    mode: mirror\n    match: {Email: email}\n    fields: {Score: score}\n    guards: {max_removed: 100%}\n")
	w.wh.fill(3)
	w.ok()
	w.crm.took()
	w.wh.drop(1)
	w.wh.set(50, "u1@example.com", "", 9) // a new key for the same person
	c := w.ok().Counts
	if c.Planned.Remove != 0 || c.Planned.Add != 1 {
		t.Fatalf("%+v", c)
	}
	if w.crm.records["u1@example.com"]["Score"] != "9" {
		t.Errorf("%v", w.crm.records)
	}
}

func Test_write_create_fields_are_sent_only_when_the_record_is_new(t *testing.T) {
	w := newWorld(t, "    mode: upsert\n    match: {Id: id}\n    fields: {Score: score, First: {column: email, write: create}}\n")
	w.crm.records["1"] = map[string]string{"First": "kept"}
	w.wh.fill(2)
	w.ok()
	w.wantRecords(map[string]string{"0": "First=u0@example.com Score=0", "1": "First=kept Score=1"})
	w.crm.took()
	w.wh.set(0, "changed", "", 0)
	w.ok()
	w.wantWrites()
}

func Test_full_sends_everything_and_still_reconciles_removals(t *testing.T) {
	w := newWorld(t, "    mode: mirror\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.wh.fill(20)
	w.ok()
	w.crm.took()
	w.wh.drop(2)
	rec := w.run(run.RunOptions{Full: true})
	if c := rec.Counts; c.Planned.Change != 19 || c.Planned.Remove != 1 || c.Delivered != 20 {
		t.Fatalf("%+v", c)
	}
}

// Invariant 9 and P8: plan and run agree exactly.
func Test_plan_and_run_agree(t *testing.T) {
	w := newWorld(t, "    mode: mirror\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.wh.fill(50)
	p := w.plan()
	rec := w.ok()
	if p.Summary.Hash != rec.PlanHash || p.Summary.Counts.Add != rec.Counts.Planned.Add {
		t.Errorf("first run: plan %s, run %s", p.Summary.Hash, rec.PlanHash)
	}
	w.wh.set(1, "a", "", 1000)
	w.wh.drop(2)
	p = w.plan()
	again := w.plan()
	rec = w.ok()
	if p.Summary.Hash != rec.PlanHash || again.Summary.Hash != p.Summary.Hash {
		t.Errorf("plan %s, again %s, run %s", p.Summary.Hash, again.Summary.Hash, rec.PlanHash)
	}
}

func Test_a_saved_plan_is_refused_when_the_source_moved_on(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(5)
	saved := w.plan().Save(false)
	w.wh.set(3, "a", "healthy", 12)
	rec := w.run(run.RunOptions{Saved: &saved})
	if rec.Status != run.Held || rec.Error.Code != fault.PlanStale {
		t.Fatalf("%s %v", rec.Status, rec.Error)
	}
	w.wantWrites()
	saved = w.plan().Save(false)
	if rec := w.run(run.RunOptions{Saved: &saved}); rec.Status != run.Succeeded {
		t.Fatalf("%s %v", rec.Status, rec.Error)
	}
	if rec := w.run(run.RunOptions{Saved: &saved}); rec.Status != run.Held {
		t.Fatalf("applied twice: %s", rec.Status)
	}
}
