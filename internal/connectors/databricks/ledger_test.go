package databricks_test

import (
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/databricks/databrickstest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_a_statement_that_affects_other_rows_than_it_must_is_a_lost_lease(t *testing.T) {
	s := start(t)
	w := connect(t, s, nil)
	update := func(name string, affects int64) error {
		return w.Exec(t.Context(), []connector.Statement{{
			SQL: "UPDATE rows3 SET name = :p1 WHERE id = :p2", Params: []row.Value{row.TextValue("it's"), row.IntValue(2)}, Affects: affects,
		}})
	}
	if err := update("x", 1); err != nil {
		t.Error(err)
	}
	want(t, update("x", 2), fault.StateLocked, "1 rows affected instead of 2")
	if n, _, err := sum(t.Context(), w, "SELECT CAST(id AS BIGINT) AS n FROM rows3 WHERE name = 'it\\'s'", nil); n != 1 || err != nil {
		t.Errorf("%d rows hold the parameter, %v", n, err)
	}
	none := connector.Statement{SQL: "UPDATE rows3 SET name = :p1 WHERE id = 3", Params: []row.Value{row.NullValue()}, Affects: 1}
	if err := w.Exec(t.Context(), []connector.Statement{none}); err != nil {
		t.Errorf("a null: %v", err)
	}
}

// Delta tables are written optimistically: who comes second is refused, without effect.
func Test_a_write_that_lost_against_another_is_tried_again(t *testing.T) {
	s := start(t)
	w := connect(t, s, nil)
	st := []connector.Statement{{SQL: "UPDATE rows3 SET id = id + 10 WHERE id = 1", Affects: 1}}
	s.Conflict("UPDATE", 2)
	if err := w.Exec(t.Context(), st); err != nil {
		t.Error(err)
	}
	s.Conflict("UPDATE", 1000)
	want(t, w.Exec(t.Context(), st), fault.StateLocked, "DELTA_CONCURRENT_APPEND")
}

func Test_a_table_is_there_also_where_information_schema_is_late(t *testing.T) {
	s := start(t)
	s.Lag()
	w := connect(t, s, nil)
	list, ok := w.(connector.Catalog)
	if !ok {
		t.Fatal("the warehouse looks no tables up")
	}
	if n, _, err := sum(t.Context(), w, "SELECT CAST(1 AS BIGINT) AS n FROM information_schema.tables", nil); n != 0 || err != nil {
		t.Fatalf("information_schema shows %d tables, %v", n, err)
	}
	for name, want := range map[[2]string]bool{
		{databrickstest.Schema, "rows3"}: true, {databrickstest.Catalog + "." + databrickstest.Schema, "ROWS3"}: true,
		{databrickstest.Schema, "rows4"}: false, {"nowhere", "rows3"}: false,
	} {
		if got, err := list.HasTable(t.Context(), name[0], name[1]); got != want || err != nil {
			t.Errorf("%v: got %v, %v; want %v", name, got, err, want)
		}
	}
	s.Refuse("rows3", "[INSUFFICIENT_PERMISSIONS] User does not have SELECT on Table 'workspace.default.rows3'. SQLSTATE: 42501", 1)
	_, err := list.HasTable(t.Context(), databrickstest.Schema, "rows3")
	want(t, err, fault.StateUnusable, "GRANT SELECT ON TABLE")
}

func Test_a_right_that_the_ledger_lacks_is_a_matter_of_its_state(t *testing.T) {
	s := start(t)
	w := connect(t, s, nil)
	s.Refuse("CREATE", "PERMISSION_DENIED: User does not have CREATE SCHEMA on Catalog 'workspace'.", 3)
	create := []connector.Statement{{SQL: "CREATE SCHEMA IF NOT EXISTS `upwell`"}}
	want(t, w.Exec(t.Context(), create), fault.StateUnusable, "GRANT CREATE SCHEMA ON CATALOG `workspace` TO `"+databrickstest.ClientID+"`;", "upwell grants")
	if err := s.Exec(t.Context(), "CREATE SCHEMA upwell"); err != nil {
		t.Fatal(err)
	}
	if err := w.Exec(t.Context(), create); err != nil {
		t.Errorf("an administrator has made the schema: %v", err)
	}
	want(t, w.Exec(t.Context(), []connector.Statement{{SQL: "CREATE TABLE upwell.x AS SELECT 1 AS id"}}), fault.StateUnusable)
}
