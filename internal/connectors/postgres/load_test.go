package postgres

import (
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_rows_of_a_ledger_are_copied_exactly_or_not_at_all(t *testing.T) {
	d := newDB(t)
	d.exec("CREATE SCHEMA upwell")
	conformance.Rows(t, openSource(t, "dsn", d.dsn).(connector.Warehouse))
}

// Rows come at their own pace; statements have their limit again behind them.
func Test_the_limit_of_a_statements_time_does_not_count_for_rows(t *testing.T) {
	d := newDB(t)
	d.exec("CREATE TABLE t (n int)")
	into := connector.Into{Table: "t", Columns: []string{"n"}}
	w := openSource(t, "dsn", d.dsn, "statement_timeout", "100ms").(connector.Warehouse)
	slow := func(yield func([]row.Value, error) bool) {
		d.exec("SELECT pg_sleep(0.3)")
		yield([]row.Value{row.IntValue(1)}, nil)
	}
	if err := w.Exec(t.Context(), []connector.Statement{{Rows: slow, Into: into}}); err != nil {
		t.Error(err)
	}
	err := w.Exec(t.Context(), []connector.Statement{{Rows: slow, Into: into}, {SQL: "INSERT INTO t SELECT 1 FROM pg_sleep(20)"}})
	if err == nil || fault.As(err).GetClass() == fault.ClassCancelled {
		t.Errorf("a statement behind rows has no limit: %v", err)
	}
	if got := d.text("SELECT COUNT(*) FROM t"); got != "1" {
		t.Errorf("%s rows", got)
	}
}
