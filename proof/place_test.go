package proof_test

import (
	"fmt"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

// Keys that change places: whatever order their requests arrive in, every record ends with the values of the key it belongs to.
func Test_keys_that_change_places_keep_their_values(t *testing.T) {
	for name, c := range map[string]struct {
		before, after map[int]string // id -> identity
	}{
		"two swap":                               {map[int]string{1: "a", 2: "b"}, map[int]string{1: "b", 2: "a"}},
		"three go round":                         {map[int]string{1: "a", 2: "b", 3: "c"}, map[int]string{1: "b", 2: "c", 3: "a"}},
		"one moves on":                           {map[int]string{1: "a"}, map[int]string{1: "b"}},
		"a chain":                                {map[int]string{1: "a", 2: "b"}, map[int]string{1: "b", 2: "c"}},
		"a longer chain":                         {map[int]string{1: "a", 2: "b", 3: "c", 4: "d"}, map[int]string{1: "b", 2: "c", 3: "d", 4: "e"}},
		"a chain whose end is removed":           {map[int]string{1: "a", 2: "b", 3: "c"}, map[int]string{1: "b", 2: "c"}},
		"a chain whose middle is removed":        {map[int]string{1: "a", 2: "b", 3: "c"}, map[int]string{1: "b", 3: "d"}},
		"a new key takes what a record leaves":   {map[int]string{1: "a"}, map[int]string{1: "b", 2: "a"}},
		"a key takes what a removed one had":     {map[int]string{1: "a", 2: "b"}, map[int]string{2: "a"}},
		"a new key takes what a removed one had": {map[int]string{1: "a"}, map[int]string{2: "a"}},
		"two swap and a third is removed":        {map[int]string{1: "a", 2: "b", 3: "c"}, map[int]string{1: "b", 2: "a"}},
	} {
		for _, canMove := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, records can move %v", name, canMove), func(t *testing.T) {
				w := newWorld(t, "mode: mirror\n    on_match_change: create\n    guards: {max_removed: 100%}\n    "+byMail)
				w.tool.canMove = canMove
				for id, m := range c.before {
					w.model.rows[id] = record{match: m, v: fmt.Sprintf("of %d", id), tier: "t"}
				}
				w.ok()
				clear(w.model.rows)
				for id, m := range c.after {
					w.model.rows[id] = record{match: m, v: fmt.Sprintf("of %d", id), tier: "t"}
				}
				rec := w.ok()
				for id, m := range c.after {
					if got := w.tool.records[m]["V"]; got != fmt.Sprintf("of %d", id) {
						t.Errorf("the record %s holds %q, it belongs to key %d", m, got, id)
					}
				}
				left := len(w.tool.records) - len(c.after)
				if left != 0 && canMove {
					t.Errorf("%d records are left behind: %v", left, w.tool.records)
				}
				if left > 0 && len(rec.Warnings) == 0 {
					t.Error("records are left behind and nobody is told")
				}
				w.silent()
			})
		}
	}
}

// A key that lost its record to another key and was refused at its new place: when it goes back, its record is written again.
func Test_a_key_that_lost_its_record_and_goes_back_is_sent(t *testing.T) {
	w := newWorld(t, "mode: mirror\n    on_match_change: create\n    "+byMail)
	w.model.rows[1] = record{match: "a", v: "one", tier: "t"}
	w.model.rows[2] = record{match: "b", v: "two", tier: "t"}
	w.ok()
	w.tool.answer = func(_ connector.Op, _ string, values map[string]string) (connector.Status, string) {
		if values["V"] == "two" {
			return connector.Rejected, "BAD"
		}
		return connector.Delivered, ""
	}
	w.model.rows[1] = record{match: "b", v: "one", tier: "t"}
	w.model.rows[2] = record{match: "a", v: "two", tier: "t"}
	if rec := w.run(run.RunOptions{}); rec.Counts.Rejected != 1 {
		t.Fatalf("the scenario is not the one meant: %+v", rec.Counts)
	}
	w.tool.answer = nil
	w.model.rows[1] = record{match: "a", v: "one", tier: "t"}
	w.model.rows[2] = record{match: "b", v: "two", tier: "t"}
	w.ok()
	w.agrees(true)
	w.silent()
}

// P3, P5: a key that takes over another's record and is refused there keeps its own, which is removed when it is accepted.
func Test_a_record_that_is_left_behind_is_removed_when_its_key_is_elsewhere(t *testing.T) {
	chain := func(t *testing.T, removed string) *world {
		w := newWorld(t, "mode: upsert\n    removed: "+removed+"\n    guards: {max_removed: 100%}\n    "+byMail)
		for id, m := range map[int]string{7: "q", 8: "r", 9: "s"} {
			w.model.rows[id] = record{match: m, v: fmt.Sprintf("of %d", id), tier: "t"}
		}
		w.ok()
		delete(w.model.rows, 9)
		w.model.rows[7] = record{match: "r", v: "of 7", tier: "t"}
		w.model.rows[8] = record{match: "s", v: "of 8", tier: "t"}
		return w
	}
	t.Run("its key is refused first", func(t *testing.T) {
		w := chain(t, "delete")
		w.tool.answer = func(_ connector.Op, _ string, values map[string]string) (connector.Status, string) {
			if values["V"] == "of 7" {
				return connector.Rejected, "BAD"
			}
			return connector.Delivered, ""
		}
		if c := w.run(run.RunOptions{}).Counts; c.Planned != (run.Planned{Change: 2, Remove: 1}) || c.Rejected != 1 || c.Pending != 1 {
			t.Errorf("%+v", c)
		}
		if w.tool.records["q"]["V"] != "of 7" || w.tool.records["r"]["V"] != "of 8" {
			t.Errorf("what was not written anew is gone: %v", w.tool.records)
		}
		w.tool.answer = nil
		if c := w.run(run.RunOptions{}).Counts; c.Waiting != 1 || len(w.tool.records) != 3 {
			t.Errorf("it waits: %+v %v", c, w.tool.records)
		}
		w.retry()
		w.ok()
		w.agrees(true)
		w.silent()
	})
	t.Run("a guard holds its removal", func(t *testing.T) {
		w := chain(t, "delete")
		w.define(t, "mode: upsert\n    removed: delete\n    guards: {max_removed: 0}\n    "+byMail)
		if c := w.run(run.RunOptions{}).Counts; c.Withheld != 1 || len(w.tool.records) != 3 {
			t.Errorf("%+v: %v", c, w.tool.records)
		}
		w.ok() // lifted
		w.agrees(true)
		w.silent()
	})
	t.Run("removed records are kept", func(t *testing.T) {
		w := chain(t, "keep")
		if rec := w.ok(); rec.Counts.Planned != (run.Planned{Change: 2}) || len(rec.Warnings) != 1 {
			t.Errorf("%+v %q", rec.Counts, rec.Warnings)
		}
		if w.tool.records["q"]["V"] != "of 7" || w.tool.records["r"]["V"] != "of 7" || w.tool.records["s"]["V"] != "of 8" {
			t.Errorf("%v", w.tool.records)
		}
		w.silent()
	})
}

// P3, P5: a key that was sent and not answered, then left the model, while another key took its record over.
func Test_a_record_of_an_open_request_that_another_key_claims_is_kept(t *testing.T) {
	w := newWorld(t, "mode: mirror\n    guards: {max_removed: 100%}\n    "+byMail)
	w.model.rows[1] = record{match: "shared", v: "old", tier: "t"}
	w.tool.lost = func(int) error { return fault.New(fault.Internal, "a bug") }
	w.run(run.RunOptions{})
	w.tool.lost = nil
	delete(w.model.rows, 1)
	w.model.rows[2] = record{match: "Shared", v: "new", tier: "t"}
	w.ok()
	w.agrees(true)
	w.silent()
}

// A move whose answer was lost: the record is found at its new identity, and brought back when the source goes back.
func Test_a_move_whose_answer_was_lost(t *testing.T) {
	for name, then := range map[string]record{
		"the source stays":     {match: "b", v: "newer", tier: "t"},
		"the source goes back": {match: "a", v: "old", tier: "t"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "mode: mirror\n    guards: {max_removed: 100%}\n    "+byMail)
			w.model.rows[1] = record{match: "a", v: "old", tier: "t"}
			w.ok()
			w.model.rows[1] = record{match: "b", v: "new", tier: "t"}
			w.tool.lost = func(int) error { return fault.New(fault.Internal, "a bug") }
			w.run(run.RunOptions{})
			if w.tool.records["b"]["V"] != "new" {
				t.Fatalf("the scenario is not the one meant: %v", w.tool.records)
			}
			w.tool.lost = nil
			w.model.rows[1] = then
			w.tool.took()
			w.ok()
			w.removesNothing() // it stays the same record
			w.agrees(true)
			w.silent()
		})
	}
}

// Invariant 2: an insert whose answer was lost is never sent a second time: it is found, or it waits for a person.
func Test_an_insert_whose_process_died_is_never_doubled(t *testing.T) {
	for _, readable := range []bool{true, false} {
		t.Run(fmt.Sprintf("the tool can be read: %v", readable), func(t *testing.T) {
			w := newWorld(t, "mode: insert\n    "+byID)
			w.tool.noRead, w.tool.unique = !readable, false
			for i := range 7 {
				w.model.rows[i] = record{match: fmt.Sprint(i), v: "a", tier: "t"}
			}
			w.tool.lost = func(call int) error {
				if call == 2 {
					return fault.New(fault.Internal, "a bug")
				}
				return nil
			}
			w.run(run.RunOptions{})
			w.tool.lost = nil
			rec := w.run(run.RunOptions{})
			w.agrees(false)
			if !readable && rec.Counts.Waiting == 0 {
				t.Errorf("%s %+v: rows nobody can settle wait for a person", rec.Status, rec.Counts)
			}
		})
	}
	t.Run("a 503 that may have landed is no refusal", func(t *testing.T) {
		w := newWorld(t, "mode: insert\n    "+byID)
		w.tool.noRead, w.tool.unique = true, false
		w.model.rows[1] = record{match: "1", v: "a", tier: "t"}
		w.tool.lost = func(call int) error {
			if call == 1 {
				return fault.New(fault.DestThrottled, "503 of a proxy that lost its upstream")
			}
			return nil
		}
		if rec := w.run(run.RunOptions{}); rec.Counts.Unknown != 1 {
			t.Errorf("%s %+v", rec.Status, rec.Counts)
		}
		w.agrees(false)
	})
	t.Run("at_most_once forbids it for every operation", func(t *testing.T) {
		w := newWorld(t, "mode: upsert\n    at_most_once: true\n    "+byID)
		w.model.rows[1] = record{match: "1", v: "a", tier: "t"}
		w.tool.lost = func(int) error { return fault.New(fault.Internal, "a bug") }
		w.run(run.RunOptions{})
		w.tool.lost = nil
		w.tool.took()
		w.run(run.RunOptions{})
		if sent := w.tool.took(); len(sent) > 0 {
			t.Errorf("%q is sent although its first outcome is unknown", sent)
		}
		w.retry()
		w.ok()
		if sent := w.tool.took(); len(sent) != 1 {
			t.Errorf("a person asked for it, and %q is sent", sent)
		}
	})
}
