package run_test

import (
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

// redirect changes where the sync goes and forgets what the tool heard.
func (w *world) redirect(old, with string) {
	w.t.Helper()
	if !strings.Contains(w.yml, old) {
		w.t.Fatal("no " + old)
	}
	w.yml = strings.ReplaceAll(w.yml, old, with)
	w.write()
	w.crm.took()
}

// What was delivered to one object or tool says nothing about another: taken for unchanged it would never arrive there, and what left
// the model would be removed where Upwell never put it.
func Test_a_sync_that_goes_elsewhere_starts_a_generation_and_removes_nothing(t *testing.T) {
	for name, change := range map[string]func(*world){
		"another object": func(w *world) { w.redirect("object: Account", "object: Contact") },
		"another tool": func(w *world) {
			w.redirect("destinations: {crm: {type: crm}}", "destinations: {crm: {type: crm}, other: {type: crm}}")
			w.redirect("destination: crm", "destination: other")
			w.crm.account = "other"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, mirrored)
			w.wh.fill(3)
			w.crm.reject["2"] = "TOO_BAD"
			first := w.run(run.RunOptions{})
			w.crm.reject = map[string]string{}
			w.wh.drop(0)
			change(w)
			w.crm.records = map[string]map[string]string{"0": {"Tier": "of somebody else"}}
			if p := w.plan(); p.Summary.Counts.Add != 2 || p.Summary.Counts.Remove != 0 || !strings.Contains(strings.Join(p.Warnings, "\n"), "went to crm.Account before") {
				t.Errorf("planned %+v, %v", p.Summary.Counts, p.Warnings)
			}
			w.engine(func(e *run.Engine, _ *projectSync) {
				if _, err := e.UndoPlan(t.Context(), first, false, nil); !fault.Is(err, fault.UndoNotPossible) {
					t.Errorf("an undo would write elsewhere: %v", err)
				}
			})
			w.ok()
			w.wantWrites("upsert 1 Score=1 Tier=watch", "upsert 2 Score=2 Tier=watch") // the one refused there is not refused here
			if rec, _ := w.undo(first, true, run.RunOptions{Allow: allowRemoved}); rec.Status != run.Failed || rec.Error.Code != fault.UndoNotPossible {
				t.Errorf("undone elsewhere: %s %v", rec.Status, rec.Error)
			}
			w.ok()
			w.wantWrites()
			w.wh.drop(1)
			w.ok()
			w.wantWrites("delete 1")
		})
	}
}

func Test_a_destination_that_is_only_renamed_keeps_the_ledger(t *testing.T) {
	w := newWorld(t, mirrored)
	w.wh.fill(3)
	w.ok()
	w.redirect("crm: {type: crm}", "sales: {type: crm}")
	w.redirect("destination: crm", "destination: sales")
	if p := w.plan(); p.Summary.Counts.Unchanged != 3 || len(p.Warnings) > 0 {
		t.Errorf("%+v %v", p.Summary.Counts, p.Warnings)
	}
	w.ok()
	w.wantWrites()
}

func Test_a_destination_that_became_another_account_is_told(t *testing.T) {
	w := newWorld(t, mirrored)
	w.wh.fill(3)
	w.ok()
	w.crm.account = "other"
	if p := w.plan(); len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "destination crm was acct at the last run and is other now") {
		t.Errorf("%v", p.Warnings)
	}
	if rec := w.ok(); len(rec.Warnings) != 1 {
		t.Errorf("%v", rec.Warnings)
	}
	if rec := w.ok(); len(rec.Warnings) != 0 {
		t.Errorf("told again: %v", rec.Warnings)
	}
}
