package run_test

import (
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

func Test_explain_tells_what_is_on_record_when_the_source_is_down(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(3)
	w.crm.reject["2"] = "LOCKED"
	w.run(run.RunOptions{})
	w.wh.set(1, "u1@example.com", "watch", 50)
	second := w.run(run.RunOptions{})
	down := fault.New(fault.SourceUnreachable, "no route to the warehouse")
	for name, fail := range map[string]func(){
		"before its columns are known": func() { w.wh.undescribed = down },
		"while it is read":             func() { w.wh.undescribed, w.wh.fail, w.wh.after = nil, down, 0 },
	} {
		fail()
		x := w.wantState("1", "unread")
		if x.Unread == nil || x.Unread.Code != fault.SourceUnreachable || !strings.Contains(x.Note, "no route to the warehouse") || x.ModelRow != nil {
			t.Errorf("%s: %+v", name, x)
		}
		if x.Ledger == nil || x.Ledger.Run != second.ID || len(x.History) != 2 {
			t.Errorf("%s: ledger %+v, history %+v", name, x.Ledger, x.History)
		}
		if x := w.wantState("2", "rejected"); x.Refusal == nil || x.Refusal.Code != "LOCKED" {
			t.Errorf("%s: %+v", name, x.Refusal)
		}
		if x := w.wantState("77", "unread"); x.Ledger != nil || x.Unread == nil {
			t.Errorf("%s: %+v", name, x)
		}
	}
}

func Test_explain_of_a_model_that_is_wrong_is_an_error(t *testing.T) {
	w := newWorld(t, standard)
	w.wh.fill(1)
	w.ok()
	w.wh.undescribed = fault.New(fault.SourceQueryFailed, "no such table")
	w.engine(func(e *run.Engine, s *projectSync) {
		if x, err := e.Explain(t.Context(), s, "1"); !fault.Is(err, fault.SourceQueryFailed) {
			t.Errorf("%+v %v", x, err)
		}
	})
}
