package run_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

const (
	sendsRaw    = "    mode: upsert\n    match: {Id: id}\n    fields: {First: email, Score: score}\n"
	sendsMasked = "    mode: upsert\n    match: {Id: id}\n    fields: {First: tier, Score: score}\n"
	noMail      = "policies:\n  - name: no-mail\n    mask: {columns: [email]}\n"
)

// remapped is a world whose field First was sent as it is, and then masked because of a policy.
func remapped(t *testing.T) (w *world, masked *run.Record) {
	t.Helper()
	w = newWorld(t, sendsRaw)
	w.wh.set(1, "raw@example.com", "r***", 1)
	w.wh.set(2, "two@example.com", "t***", 2)
	w.ok()
	w.restrict(sendsMasked, noMail)
	w.wh.set(1, "raw@example.com", "r***", 10)
	masked = w.ok()
	w.crm.took()
	return w, masked
}

func (w *world) restrict(sync, policies string) {
	w.t.Helper()
	w.define(sync)
	w.yml += policies
	w.write()
}

func (w *world) undoHeld(of *run.Record, withheld, skipped map[string]int64) *run.Record {
	w.t.Helper()
	rec, res := w.undo(of, false, run.RunOptions{})
	if rec.Status != run.Held || rec.Error.Code != fault.PolicyDenied {
		w.t.Errorf("%s %v", rec.Status, rec.Error)
	}
	if !maps.Equal(res.Withheld, withheld) || !maps.Equal(res.SkippedBy, skipped) {
		w.t.Errorf("withheld %v, left alone %v", res.Withheld, res.SkippedBy)
	}
	return rec
}

const keepsMail = "policy no-mail keeps column email of m, which was in crm.First, from it"

func Test_undo_restores_no_raw_value_to_a_field_that_is_masked_by_now(t *testing.T) {
	w, masked := remapped(t)
	w.engine(func(e *run.Engine, _ *projectSync) {
		res, err := e.UndoPlan(t.Context(), masked, false, nil)
		if err != nil || res.Withheld[keepsMail] != 1 || res.SkippedBy[keepsMail] != 1 || res.Held() == nil {
			t.Errorf("planned %+v %v", res, err)
		}
	})
	rec := w.undoHeld(masked, map[string]int64{keepsMail: 1}, map[string]int64{keepsMail: 1})
	w.wantWrites("update 1 Score=1") // of row 2 nothing else had changed
	if !slices.ContainsFunc(rec.Warnings, func(s string) bool { return strings.Contains(s, keepsMail) }) {
		t.Errorf("%q", rec.Warnings)
	}
	if s := w.state(); s.Paused == "" {
		t.Error("the schedule goes on")
	}
}

func Test_undo_restores_masked_values_under_a_policy_about_the_raw_ones(t *testing.T) {
	w, _ := remapped(t)
	w.wh.set(1, "raw@example.com", "x***", 10)
	third := w.ok()
	w.crm.took()
	w.undone(third, false, map[string]int64{})
	w.wantWrites("update 1 First=r***")
}

func Test_undo_of_an_undo_restores_no_raw_value_either(t *testing.T) {
	w := newWorld(t, sendsRaw)
	w.wh.set(1, "raw@example.com", "r***", 1)
	w.ok()
	w.define(sendsMasked)
	masked := w.ok()
	back, _ := w.undo(masked, false, run.RunOptions{}) // no policy yet: the raw value is back
	again, _ := w.undo(back, false, run.RunOptions{})
	w.restrict(sendsMasked, noMail)
	w.crm.took()
	w.undoHeld(again, map[string]int64{}, map[string]int64{keepsMail: 1})
	w.wantWrites()
}

func Test_undo_creates_no_record_again_under_an_identity_a_policy_keeps(t *testing.T) {
	w := newWorld(t, "    mode: mirror\n    match: {Email: email}\n    fields: {Score: score}\n    guards: {max_removed: 100%}\n")
	w.wh.fill(2)
	w.ok()
	w.wh.drop(1)
	second := w.ok()
	w.restrict("    mode: upsert\n    match: {Email: tier}\n    fields: {Score: score}\n", noMail)
	w.crm.took()
	w.undoHeld(second, map[string]int64{}, map[string]int64{"policy no-mail keeps column email of m, which was in crm.Email, from it": 1})
	w.wantWrites()
}

// Left out of a whole record, the field would be cleared.
func Test_undo_leaves_rows_alone_where_a_whole_record_would_need_the_raw_value(t *testing.T) {
	w := newWorld(t, sendsRaw)
	for op, o := range w.crm.object.Ops {
		o.Partial = false
		w.crm.object.Ops[op] = o
	}
	w.wh.set(1, "raw@example.com", "r***", 1)
	w.ok()
	w.wh.set(1, "raw@example.com", "r***", 10)
	second := w.ok()
	w.restrict(sendsMasked, noMail)
	w.crm.took()
	w.undoHeld(second, map[string]int64{}, map[string]int64{keepsMail: 1})
	w.wantWrites()
}

// Runs of older versions, and those whose store was lost, say nothing of what they sent.
func Test_undo_keeps_back_what_no_run_on_record_tells_the_making_of(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(1)
	first := w.ok()
	w.wh.set(0, "u0@example.com", "hot", 50)
	second := w.ok()
	w.engine(func(e *run.Engine, _ *projectSync) {
		first.Made = nil
		if err := e.Store.FinishRun(t.Context(), first); err != nil {
			t.Fatal(err)
		}
	})
	w.restrict(standard, noMail)
	w.crm.took()
	w.undoHeld(second, map[string]int64{}, map[string]int64{"policy no-mail may keep what was in crm.Score from it: which column that came from is not on record": 1})
	w.wantWrites()
}
