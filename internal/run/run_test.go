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

// Invariant 3: removals come only from a complete read, only of keys we delivered.
// Invariant 4: a guard holds before the first removal.
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
