package run_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
)

func (w *world) explain(key string) (x *run.Explanation) {
	w.t.Helper()
	w.engine(func(e *run.Engine, s *projectSync) {
		var err error
		if x, err = e.Explain(w.t.Context(), s, key); err != nil {
			w.t.Fatal(err)
		}
	})
	return x
}

func (w *world) wantState(key, want string) *run.Explanation {
	w.t.Helper()
	x := w.explain(key)
	if x.State != want {
		w.t.Errorf("%s is %s, want %s (ledger %v, refusal %v)", key, x.State, want, x.Ledger, x.Refusal)
	}
	return x
}

func Test_explain_says_what_the_next_run_does(t *testing.T) {
	w := newWorld(t, mirrored)
	w.wh.fill(5)
	w.ok()
	w.wh.set(1, "u1@example.com", "watch", 50)
	w.wh.drop(2)
	w.wh.set(9, "u9@example.com", "watch", 9)
	want := map[string]string{"0": "in_sync", "1": "will_change", "2": "will_remove", "9": "will_add", "77": "absent"}
	for key, state := range want {
		w.wantState(key, state)
	}
	w.crm.down = fault.New(fault.DestUnreachable, "no route")
	for key, state := range want {
		if x := w.wantState(key, state); !strings.Contains(x.Note, "no route") {
			t.Errorf("the note is %q", x.Note)
		}
	}
}

func Test_explain_of_a_record_that_stays_in_the_tool_says_so(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(3)
	w.ok()
	w.wh.drop(1)
	w.wantState("1", "in_sync")
	w.ok()
	if x := w.wantState("1", "in_sync"); x.ModelRow != nil || x.Ledger == nil {
		t.Errorf("%+v", x)
	}
	w.crm.down = fault.New(fault.DestUnreachable, "no route")
	w.wantState("1", "in_sync")
	w.wh.set(1, "u1@example.com", "watch", 1) // back as it was: nothing is sent
	w.wantState("1", "in_sync")
}

func Test_explain_calls_rows_invalid_that_claim_one_record(t *testing.T) {
	w := newWorld(t, byMail)
	w.wh.set(1, "a@example.com", "", 1)
	w.wh.set(2, "A@example.com", "", 2)
	if rec := w.run(run.RunOptions{}); rec.Counts.Invalid != 2 {
		t.Fatalf("%+v", rec.Counts)
	}
	check := func() {
		t.Helper()
		for _, key := range []string{"1", "2"} {
			if x := w.wantState(key, "invalid"); x.Invalid == nil || x.Invalid.Code != fault.MatchDuplicate {
				t.Errorf("because of %+v", x.Invalid)
			}
		}
	}
	check()
	w.crm.down = fault.New(fault.DestUnreachable, "no route")
	check()
	w.crm.down = nil
	w.wh.set(2, "b@example.com", "", 2)
	w.ok()
	w.wantState("1", "in_sync")
	w.wantState("2", "in_sync")
}

func Test_explain_keeps_the_word_unknown_for_open_outcomes(t *testing.T) {
	w := newWorld(t, byScore)
	w.wh.fill(2)
	w.crm.lose = true
	w.run(run.RunOptions{Wait: 1})
	w.crm.lose = false
	w.wantState("1", "unknown")
	w.crm.down = fault.New(fault.DestUnreachable, "no route")
	w.wantState("1", "unknown")
	w.wh.drop(1)
	w.wantState("1", "unknown")
	w.crm.down = nil
	w.wantState("1", "unknown")
}

func Test_explain_finds_a_key_whose_type_changed_in_the_source(t *testing.T) {
	w := newWorld(t, byMail+"    removed: delete\n    guards: {max_removed: 100%}\n")
	w.wh.fill(3)
	w.ok()
	w.wh.fields[0] = row.FieldOf("id", row.Text)
	for i := range w.wh.rows {
		w.wh.rows[i][0] = row.TextValue(fmt.Sprint(i))
	}
	w.wantState("1", "in_sync")
	w.wh.rows = w.wh.rows[:2]
	if x := w.wantState("2", "will_remove"); x.Ledger == nil || len(x.History) != 1 {
		t.Errorf("%+v", x)
	}
	w.wantState("7", "absent")
}

func Test_explain_of_a_refused_removal_says_rejected(t *testing.T) {
	w := newWorld(t, mirrored)
	w.wh.fill(3)
	w.ok()
	w.wh.drop(1)
	w.crm.reject["1"] = "LOCKED"
	w.run(run.RunOptions{})
	w.wantState("1", "rejected")
}
