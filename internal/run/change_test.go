package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

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

func Test_a_baseline_sends_records_whose_request_was_not_answered(t *testing.T) {
	for name, c := range map[string]struct{ mode, sent string }{
		"upsert": {"mode: upsert", "upsert 4 Score=4 Tier=watch"},
		"insert": {"mode: insert", "insert 4 Score=4 Tier=watch"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "    "+c.mode+"\n    first_run: baseline\n    match: {Id: id}\n    fields: {Score: score, Tier: tier}\n")
			w.wh.fill(30)
			w.crashed(connector.OpUpsert, 4, time.Now())
			if got := w.ok().Counts; got.Unchanged != 29 || got.Delivered != 1 {
				t.Errorf("%+v", got)
			}
			w.wantWrites(c.sent)
			w.ok()
			w.wantWrites()
		})
	}
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

func Test_a_field_that_is_mapped_again_is_compared_with_what_was_delivered(t *testing.T) {
	const both, one = "    mode: mirror\n    guards: {max_removed: 100%}\n    match: {Id: id}\n    fields: {Score: score, Tier: tier}\n",
		"    mode: mirror\n    guards: {max_removed: 100%}\n    match: {Id: id}\n    fields: {Score: score}\n"
	w := newWorld(t, both)
	w.wh.fill(3)
	w.ok()
	w.define(one)
	w.ok() // 2 stays as it is
	w.wh.set(0, "a", "hot", 50)
	w.wh.set(1, "b", "watch", 51)
	second := w.ok()
	w.crm.took()
	w.undone(second, false, map[string]int64{})
	w.wantWrites("update 0 Score=0", "update 1 Score=1")
	w.ok()
	w.crm.took()
	w.define(both)
	w.ok()
	w.wantWrites("upsert 0 Tier=hot")
	w.define(one)
	w.wh.drop(1)
	third := w.ok()
	w.crm.took()
	w.undone(third, false, map[string]int64{})
	w.wantWrites("upsert 1 Score=51 Tier=watch") // what it deleted is created with all it had
}

func Test_nothing_that_another_record_held_is_taken_for_delivered(t *testing.T) {
	w := newWorld(t, "    mode: upsert\n    on_match_change: create\n    match: {Email: email}\n    fields: {Score: score, Tier: {column: tier, null: skip}}\n")
	w.wh.set(1, "a", "hot", 1)
	w.ok()
	w.wh.set(1, "b", "", 1) // a new record, without a tier
	w.ok()
	w.crm.took()
	w.wh.set(1, "b", "hot", 1)
	w.ok()
	w.wantWrites("upsert b Tier=hot")
}

func Test_values_are_sent_to_the_field_they_are_now_mapped_to(t *testing.T) {
	w := newWorld(t, "    mode: upsert\n    match: {Id: id}\n    fields: {Tier: tier}\n")
	w.wh.fill(2)
	w.ok()
	w.crm.took()
	w.define("    mode: upsert\n    match: {Id: id}\n    fields: {First: tier}\n")
	w.ok()
	w.wantWrites("upsert 0 First=watch", "upsert 1 First=watch")
	w.define("    mode: upsert\n    match: {Id: id}\n    fields: {Tier: email, First: tier}\n")
	w.ok()
	w.crm.took()
	w.define("    mode: upsert\n    match: {Id: id}\n    fields: {First: email, Tier: tier}\n") // the same columns in the same order
	w.ok()
	w.wantWrites("upsert 0 First=u0@example.com Tier=watch", "upsert 1 First=u1@example.com Tier=watch")
}

func Test_references_are_sent_again_when_they_are_looked_up_another_way(t *testing.T) {
	w := newWorld(t, referring)
	w.wh.set(1, "a", "", 1)
	w.ok()
	w.wh.set(2, "b", "1", 2)
	w.ok()
	w.crm.took()
	w.define("    mode: upsert\n    match: {Id: id}\n    fields: {Score: score, First: {lookup: {object: Account, by: {Email: tier}}}}\n")
	w.ok()
	w.wantWrites("upsert 2 First=id-1") // the record that has this e-mail, which another may have than that id
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

func Test_a_plan_says_what_reading_the_model_costs(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(3)
	w.wh.bytes = 7 << 30
	if p := w.plan(); p.Estimate.SourceBytes != 7<<30 {
		t.Errorf("%+v", p.Estimate)
	}
	w.wh.bytes = -1
	if p := w.plan(); p.Estimate.SourceBytes != 0 || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "no answer") || p.Summary.Counts.Add != 3 {
		t.Errorf("%+v %v", p.Estimate, p.Warnings)
	}
}
