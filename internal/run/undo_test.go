package run_test

import (
	"maps"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
)

const (
	mirrored = "    mode: mirror\n    match: {Id: id}\n    fields: {Score: score, Tier: {column: tier, null: skip}}\n    guards: {max_removed: 100%}\n"
	byMail   = "    mode: upsert\n    match: {Email: email}\n    fields: {Score: score}\n"
)

func (w *world) undo(of *run.Record, force bool, o run.RunOptions) (rec *run.Record, res *run.UndoResult) {
	w.t.Helper()
	w.engine(func(e *run.Engine, _ *projectSync) {
		var err error
		if rec, res, err = e.Undo(w.t.Context(), of, force, o); err != nil {
			w.t.Fatal(err)
		}
	})
	return rec, res
}

// undone undoes a run and wants success and these keys left alone.
func (w *world) undone(of *run.Record, force bool, skipped map[string]int64) {
	w.t.Helper()
	rec, res := w.undo(of, force, run.RunOptions{Allow: allowRemoved})
	if rec.Status != run.Succeeded {
		w.t.Fatalf("undo is %s: %v", rec.Status, rec.Error)
	}
	if !maps.Equal(res.SkippedBy, skipped) {
		w.t.Errorf("left alone %v, want %v", res.SkippedBy, skipped)
	}
}

func (w *world) state() (s run.SyncState) {
	w.t.Helper()
	w.engine(func(e *run.Engine, _ *projectSync) {
		var err error
		if s, err = e.Store.SyncState(w.t.Context(), "s"); err != nil {
			w.t.Fatal(err)
		}
	})
	return s
}

func (w *world) setState(s run.SyncState) {
	w.t.Helper()
	w.engine(func(e *run.Engine, _ *projectSync) {
		if err := e.Store.SetSyncState(w.t.Context(), "s", s); err != nil {
			w.t.Fatal(err)
		}
	})
}

// crashed leaves what a process leaves that died while a request for the key was open.
func (w *world) crashed(op connector.Op, id int64, deadline time.Time) {
	w.t.Helper()
	w.engine(func(e *run.Engine, _ *projectSync) {
		rec := &run.Record{ID: ulid.Make().String(), Sync: "s", Status: run.Reading, StartedAt: time.Now()}
		if err := e.Store.BeginRun(w.t.Context(), rec); err != nil {
			w.t.Fatal(err)
		}
		key := row.IntValue(id)
		_, err := e.Store.Journal("s", rec.ID, "").Intend(w.t.Context(), deliver.Intent{
			Op: op, At: time.Now(), Deadline: deadline, Rows: []deliver.IntentRow{{Key: row.AppendKey(nil, key), Match: []row.Value{key}}},
		})
		if err != nil {
			w.t.Fatal(err)
		}
	})
}

func (w *world) refusals() (list []run.Refused) {
	w.t.Helper()
	w.engine(func(e *run.Engine, _ *projectSync) {
		var err error
		if list, err = e.Store.Refusals(w.t.Context(), "s"); err != nil {
			w.t.Fatal(err)
		}
	})
	return list
}

var byLater = map[string]int64{"changed by a later run": 1}

func Test_undo_restores_deletes_and_creates_again(t *testing.T) {
	w := newWorld(t, mirrored)
	w.wh.fill(3)
	w.ok()
	w.crm.took()
	w.wh.set(1, "u1@example.com", "hot", 50)
	w.wh.drop(2)
	w.wh.set(9, "u9@example.com", "watch", 9)
	second := w.ok()
	w.crm.took()
	w.undone(second, false, map[string]int64{})
	w.wantWrites("delete 9", "update 1 Score=1 Tier=watch", "upsert 2 Score=2 Tier=watch")
	w.ok() // the model still says the other thing
	w.wantWrites("delete 2", "upsert 1 Score=50 Tier=hot", "upsert 9 Score=9 Tier=watch")
}

func Test_undo_leaves_records_alone_that_a_later_run_removed(t *testing.T) {
	w := newWorld(t, mirrored)
	w.wh.fill(3)
	w.ok()
	w.wh.set(1, "u1@example.com", "hot", 50)
	second := w.ok()
	w.wh.drop(1)
	w.ok()
	w.crm.took()
	w.undone(second, false, byLater)
	w.undone(second, true, map[string]int64{"the record was removed by a later run": 1})
	w.wantWrites()
}

func Test_undo_of_a_removal_that_happened_twice_needs_force(t *testing.T) {
	w := newWorld(t, mirrored)
	w.wh.fill(3)
	w.ok()
	w.wh.drop(1)
	second := w.ok()
	w.wh.set(1, "u1@example.com", "new", 77)
	w.ok()
	w.wh.drop(1)
	w.ok()
	w.crm.took()
	w.undone(second, false, byLater)
	w.wantWrites()
	w.undone(second, true, map[string]int64{})
	w.wantWrites("upsert 1 Score=1 Tier=watch")
}

func Test_undo_after_the_ledger_was_forgotten_says_so(t *testing.T) {
	w := newWorld(t, mirrored)
	w.wh.fill(3)
	w.ok()
	w.wh.set(1, "u1@example.com", "hot", 50)
	second := w.ok()
	w.engine(func(e *run.Engine, _ *projectSync) {
		if err := e.Ledger("s").Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	w.crm.took()
	w.undone(second, true, map[string]int64{"the ledger no longer knows the record": 1})
	w.wantWrites()
}

func Test_undo_does_not_write_a_value_that_was_only_skipped_before(t *testing.T) {
	w := newWorld(t, "    mode: update\n    match: {Id: id}\n    fields: {Score: score}\n")
	w.wh.set(1, "a", "x", 10)
	w.ok() // no such record: 10 was never in the tool
	w.crm.records["1"] = map[string]string{"Score": "5"}
	w.wh.set(1, "a", "x", 20)
	second := w.ok()
	w.crm.took()
	w.undone(second, false, map[string]int64{"the tool did not say that the run created the record, and the values before are not known": 1})
	w.wantWrites()
}

func Test_undo_obeys_policies(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(2)
	w.ok()
	w.wh.set(1, "u1@example.com", "watch", 5)
	second := w.ok()
	w.yml += "policies:\n  - name: secret\n    deny: {columns: [score]}\n"
	w.write()
	w.crm.took()
	rec, _ := w.undo(second, false, run.RunOptions{})
	if rec.Status != run.Held || rec.Error.Code != fault.PolicyDenied {
		t.Errorf("%s %v", rec.Status, rec.Error)
	}
	w.engine(func(e *run.Engine, _ *projectSync) {
		if _, err := e.UndoPlan(t.Context(), second, false, nil); !fault.Is(err, fault.PolicyDenied) {
			t.Errorf("planned: %v", err)
		}
	})
	w.wantWrites()
	if s := w.state(); s != (run.SyncState{Published: true}) {
		t.Errorf("%+v", s)
	}
}

// The field left the mapping because of the policy; an undo would bring it back.
func Test_undo_brings_no_value_back_that_a_policy_may_be_about(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(2)
	w.ok()
	w.wh.set(1, "u1@example.com", "watch", 5)
	second := w.ok()
	w.define("    mode: upsert\n    match: {Id: id}\n    fields: {Tier: {column: tier, null: skip}}\n")
	w.yml += "policies:\n  - name: secret\n    deny: {columns: [score]}\n"
	w.write()
	w.crm.took()
	rec, _ := w.undo(second, false, run.RunOptions{})
	if rec.Status != run.Held || rec.Error.Code != fault.PolicyDenied {
		t.Errorf("%s %v", rec.Status, rec.Error)
	}
	w.wantWrites()
}

func Test_undo_pauses_the_schedule_only_when_it_restored_something(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(20)
	first := w.ok()
	waiting := run.SyncState{AdoptNext: true, RemovalsHeld: true, Published: true}
	w.setState(waiting)
	if rec, _ := w.undo(first, false, run.RunOptions{}); rec.Status != run.Held {
		t.Fatalf("%s %v", rec.Status, rec.Error)
	}
	if s := w.state(); s != waiting {
		t.Errorf("held: %+v", s)
	}
	rec, _ := w.undo(first, false, run.RunOptions{Allow: allowRemoved})
	if s := w.state(); rec.Status != run.Succeeded || s.Paused == "" || !s.AdoptNext || !s.RemovalsHeld {
		t.Errorf("%s, %+v", rec.Status, s)
	}
	w.setState(waiting)
	w.undone(first, false, map[string]int64{"changed by a later run": 20}) // nothing is left of it
	if s := w.state(); s != waiting {
		t.Errorf("nothing to do: %+v", s)
	}
}

func Test_undo_of_an_undo_brings_the_values_back(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(2)
	w.ok()
	w.wh.set(1, "u1@example.com", "watch", 55)
	second := w.ok()
	w.crm.took()
	rec, _ := w.undo(second, false, run.RunOptions{})
	w.wantWrites("update 1 Score=1")
	w.undone(rec, false, map[string]int64{})
	w.wantWrites("update 1 Score=55")
	w.ok()
	w.wantWrites()
}

func Test_undo_settles_open_keys_with_the_full_record_after_their_requests(t *testing.T) {
	w := newWorld(t, "    mode: upsert\n    match: {Id: id}\n    fields: {Score: score, Tier: tier, First: {column: email, write: create}}\n")
	w.wh.fill(2)
	w.ok()
	w.wh.set(1, "u1@example.com", "watch", 50)
	second := w.ok()
	deadline := time.Now().Add(80 * time.Millisecond)
	w.crashed(connector.OpUpsert, 1, deadline)
	w.crm.took()
	w.undone(second, false, map[string]int64{})
	if left := time.Until(deadline); left > 0 {
		t.Errorf("sent %s before the old request could no longer land", left)
	}
	w.wantWrites("update 1 Score=1 Tier=watch")
	if r := w.refusals(); len(r) != 0 {
		t.Errorf("still open: %+v", r)
	}
}

func Test_undo_sends_whole_records_where_the_tool_takes_no_less(t *testing.T) {
	w := newWorld(t, standard)
	for op, o := range w.crm.object.Ops {
		o.Partial = false
		w.crm.object.Ops[op] = o
	}
	w.wh.fill(2)
	w.ok()
	w.wh.set(1, "u1@example.com", "watch", 50)
	second := w.ok()
	w.crm.took()
	w.undone(second, false, map[string]int64{})
	w.wantWrites("update 1 Score=1 Tier=watch")
}

func Test_undo_of_a_moved_record_gives_it_its_former_identity(t *testing.T) {
	w := newWorld(t, byMail)
	w.crm.object.CanMove = true
	rename := func(from, to string) { // the stand-in takes the new identity for a field
		w.crm.records[to] = map[string]string{"Score": "1"}
		delete(w.crm.records, from)
	}
	w.wh.fill(2)
	w.ok()
	w.wh.set(1, "Moved@example.com", "", 1)
	second := w.ok()
	rename("u1@example.com", "moved@example.com")
	w.crm.took()
	w.undone(second, false, map[string]int64{})
	w.wantWrites("update moved@example.com Email=u1@example.com")
	rename("moved@example.com", "u1@example.com")
	w.ok() // an explicit run says what the model says
	w.wantWrites("update u1@example.com Score=1 Email=Moved@example.com")
}

// referring is a sync whose field First refers to another record, named by the model's tier.
const referring = "    mode: upsert\n    match: {Id: id}\n    fields: {Score: score, First: {lookup: {object: Account, by: {Id: tier}}}}\n"

func Test_undo_restores_a_reference_by_looking_it_up_again(t *testing.T) {
	w := newWorld(t, referring)
	w.wh.set(1, "a", "", 1)
	w.wh.set(7, "c", "", 7)
	w.ok()
	w.wh.set(2, "b", "1", 2)
	w.ok()
	w.wh.set(2, "b", "7", 2)
	second := w.ok()
	w.crm.took()
	w.undone(second, false, map[string]int64{})
	w.wantWrites("update 2 First=id-1")
	w.ok() // the model still says the other thing
	w.wantWrites("upsert 2 First=id-7")
}

func Test_undo_lists_references_that_are_no_longer_looked_up_that_way(t *testing.T) {
	for name, edited := range map[string]string{
		"by another field": "    mode: upsert\n    match: {Id: id}\n    fields: {Score: score, First: {lookup: {object: Account, by: {Email: tier}}}}\n",
		"not at all":       "    mode: upsert\n    match: {Id: id}\n    fields: {Score: score, First: tier}\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, referring)
			w.wh.set(1, "a", "", 1)
			w.ok()
			w.wh.set(2, "b", "1", 2)
			w.ok()
			w.wh.set(2, "b", "2", 2)
			second := w.ok()
			w.crm.took()
			w.define(edited)
			w.undone(second, false, map[string]int64{"the field First is no longer looked up as it was": 1})
			w.wantWrites()
		})
	}
}
