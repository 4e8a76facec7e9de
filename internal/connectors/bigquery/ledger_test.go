package bigquery

import (
	"net/http"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func holder(t *testing.T) (*bigquerytest.Server, *source) {
	t.Helper()
	s := standIn(t, bigquerytest.Options{})
	if err := s.Exec(t.Context(), "CREATE SCHEMA upwell", "CREATE TABLE upwell.state (id STRING, token STRING)", "INSERT INTO upwell.state VALUES ('a', 'mine')"); err != nil {
		t.Fatal(err)
	}
	return s, openWith(t, s, nil)
}

var update = connector.Statement{
	SQL:    "UPDATE `upwell`.`state` SET token = ? WHERE id = 'a' AND token = ?",
	Params: []row.Value{row.TextValue("mine"), row.TextValue("mine")}, Affects: 1,
}

func Test_a_lease_that_was_lost_stops_what_follows(t *testing.T) {
	s, o := holder(t)
	lost := update
	lost.Params = []row.Value{row.TextValue("x"), row.TextValue("theirs")}
	err := o.Exec(t.Context(), []connector.Statement{update, lost, {SQL: "DROP TABLE `upwell`.`state`"}})
	wantFault(t, err, fault.StateLocked, "another process")
	if n := len(s.Stats().Jobs); n != 2 {
		t.Errorf("%d statements ran", n)
	}
	if there, err := o.HasTable(t.Context(), "upwell", "state"); err != nil || !there {
		t.Errorf("the table is gone: %v", err)
	}
}

func Test_a_statement_that_collided_runs_again(t *testing.T) {
	s, o := holder(t)
	collision := bigquerytest.Fault{
		On: "results", Status: http.StatusBadRequest, Reason: "invalidQuery", Times: tries - 1,
		Message: "Could not serialize access to table acme-test:upwell.state due to concurrent update",
	}
	s.Inject(collision)
	if err := o.Exec(t.Context(), []connector.Statement{update}); err != nil {
		t.Error(err)
	}
	s.ClearFaults()
	collision.Times = -1
	s.Inject(collision)
	wantFault(t, o.Exec(t.Context(), []connector.Statement{update}), fault.StateLocked, "concurrent update")
}

func Test_a_missing_right_to_keep_the_ledger_says_what_to_grant(t *testing.T) {
	s, o := holder(t)
	s.Inject(bigquerytest.Fault{
		On: "insert", Status: http.StatusForbidden, Reason: "accessDenied",
		Message: "Access Denied: Dataset acme-test:upwell: Permission bigquery.tables.create denied on dataset acme-test:upwell (or it may not exist).",
	})
	err := o.Exec(t.Context(), []connector.Statement{update})
	wantFault(t, err, fault.StateUnusable, "bigquery.tables.create", "upwell grants")
	s.Inject(bigquerytest.Fault{On: "table", Status: http.StatusForbidden, Reason: "accessDenied", Message: "Access Denied: Table acme-test:upwell.state: Permission bigquery.tables.get denied on table (or it may not exist)."})
	_, err = o.HasTable(t.Context(), "upwell", "state")
	wantFault(t, err, fault.StateUnusable, "bigquery.tables.get")
}

func Test_tables_are_looked_up_where_the_dataset_need_not_be(t *testing.T) {
	_, o := holder(t)
	for _, c := range []struct {
		schema, table string
		there         bool
	}{
		{"upwell", "state", true}, {"acme-test.upwell", "state", true}, {"`acme-test`.`upwell`", "state", true}, {"upwell", "delta", false}, {"nowhere", "state", false},
	} {
		if there, err := o.HasTable(t.Context(), c.schema, c.table); err != nil || there != c.there {
			t.Errorf("%s.%s: %v, %v", c.schema, c.table, there, err)
		}
	}
}
