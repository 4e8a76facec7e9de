package snowflake

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/snowflake/snowflaketest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// statement is one of the ledger's with texts bound.
func statement(sql string, affects int64, texts ...string) connector.Statement {
	st := connector.Statement{SQL: sql, Affects: affects}
	for _, t := range texts {
		st.Params = append(st.Params, row.TextValue(t))
	}
	return st
}

// names gives the names in table rows3, in order.
func names(t *testing.T, src *source) string {
	t.Helper()
	var out []string
	for b, err := range src.Read(context.Background(), connector.Query{SQL: "SELECT name FROM rows3 ORDER BY id"}) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			out = append(out, strings.Clone(row.At(b.Column(0), row.Text, i).Str()))
		}
	}
	return strings.Join(out, " ")
}

// sent gives the first words of the statements that ran.
func sent(s *snowflaketest.Server) string {
	var out []string
	for _, st := range s.Stats().Statements {
		if !st.DescribeOnly {
			out = append(out, strings.Fields(st.SQL)[0])
		}
	}
	return strings.Join(out, " ")
}

func Test_statements_that_write_are_one_transaction(t *testing.T) {
	s, src := world(t)
	err := src.Exec(t.Context(), []connector.Statement{
		statement("UPDATE rows3 SET name = ? WHERE id = 1", 1, "uno"), statement("UPDATE rows3 SET name = ? WHERE id > 1", 0, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(t, src); got != "uno  " {
		t.Errorf("%q", got)
	}
	if got := sent(s); got != "BEGIN UPDATE UPDATE COMMIT SELECT" {
		t.Error(got)
	}
}

func Test_a_statement_that_affects_other_rows_than_it_must_undoes_the_whole(t *testing.T) {
	_, src := world(t)
	err := src.Exec(t.Context(), []connector.Statement{
		statement("DELETE FROM rows3 WHERE id = 3", 1), statement("UPDATE rows3 SET name = 'x' WHERE id = 4", 1),
	})
	wantFault(t, err, fault.StateLocked, "0 rows affected instead of 1")
	if got := names(t, src); got != "one two three" {
		t.Error(got)
	}
}

func Test_a_statement_that_fails_undoes_the_whole(t *testing.T) {
	s, src := world(t)
	for _, f := range []snowflaketest.Fault{
		{On: "query", Skip: 2, Code: "000604", Message: "SQL execution canceled"}, // the second statement
		{On: "query", Skip: 3, Code: "000604", Message: "SQL execution canceled"}, // the commit
	} {
		s.Inject(f)
		err := src.Exec(t.Context(), []connector.Statement{statement("DELETE FROM rows3 WHERE id = 3", 1), statement("DELETE FROM rows3 WHERE id = 2", 1)})
		wantFault(t, err, fault.SourceIncomplete)
		if got := names(t, src); got != "one two three" {
			t.Error(got)
		}
	}
}

func Test_cancelling_undoes_what_was_written(t *testing.T) {
	s, src := world(t)
	hold, arrived := make(chan struct{}), make(chan struct{})
	s.Inject(snowflaketest.Fault{On: "query", Skip: 2, Hold: hold, Arrived: arrived})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-arrived; cancel() }()
	err := src.Exec(ctx, []connector.Statement{statement("DELETE FROM rows3 WHERE id = 3", 1), statement("DELETE FROM rows3 WHERE id = 2", 1)})
	wantFault(t, err, fault.Cancelled)
	if got := names(t, src); got != "one two three" {
		t.Error(got)
	}
}

// A statement that makes or drops a table would commit what stands before it.
func Test_statements_that_make_tables_are_no_transaction(t *testing.T) {
	s, src := world(t)
	err := src.Exec(t.Context(), []connector.Statement{
		statement("DROP TABLE IF EXISTS kept", 0), statement("CREATE TRANSIENT TABLE kept DATA_RETENTION_TIME_IN_DAYS = 0 AS SELECT * FROM rows3 WHERE 1 = 0", 0),
		statement("INSERT INTO kept (id, name) SELECT CAST(GET(upwell_rows.VALUE, 0)::VARCHAR AS NUMBER(18, 0)), CAST(GET(upwell_rows.VALUE, 1)::VARCHAR AS VARCHAR) "+
			"FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) AS upwell_rows", 2, `[["7","it's \"so\""],["8",null]]`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := sent(s); got != "DROP CREATE INSERT" {
		t.Error(got)
	}
	rows, err := s.Records(t.Context(), "kept")
	if err != nil || len(rows) != 2 || string(rows[0]) != `{"ID":7.0,"NAME":"it's \"so\""}` || string(rows[1]) != `{"ID":8.0,"NAME":null}` {
		t.Errorf("%s, %v", rows, err)
	}
}

// A session that the server forgot is replaced before work begins, and work that has begun is not begun again.
func Test_work_is_begun_again_only_where_it_had_not_begun(t *testing.T) {
	s, src := world(t)
	insert := []connector.Statement{statement("DROP TABLE IF EXISTS nothing", 0), statement("INSERT INTO rows3 VALUES (4, 'four')", 1)}
	if got := names(t, src); got != "one two three" { // a session is in the pool now
		t.Fatal(got)
	}
	s.ExpireTokens(true)
	if err := src.Exec(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
	s.Inject(snowflaketest.Fault{On: "query", Skip: 1, Code: "390111", Message: "Session no longer exists.  New login required to access the service."})
	err := src.Exec(t.Context(), insert)
	wantFault(t, err, fault.SourceUnreachable)
	var gone sessionGone
	if errors.As(err, &gone) {
		t.Error("it would be begun again")
	}
	if got := names(t, src); got != "one two three four" {
		t.Error(got)
	}
}

func Test_a_missing_right_to_keep_the_ledger_says_what_to_grant(t *testing.T) {
	s, src := world(t)
	create := []connector.Statement{statement(`CREATE TABLE IF NOT EXISTS "UPWELL"."STATE" (id VARCHAR)`, 0)}
	err := src.Exec(t.Context(), create)
	wantFault(t, err, fault.StateUnusable, "Schema 'UPWELL' does not exist or not authorized", "`upwell grants`", "role UPWELL")
	for _, f := range []snowflaketest.Fault{
		{On: "query", Code: "003001", State: "42501", Message: "SQL access control error:\nInsufficient privileges to operate on schema 'UPWELL'"},
		{On: "query", Code: "090105", State: "22000", Message: "Cannot perform CREATE TABLE. This session does not have a current database. Call 'USE DATABASE', or use a qualified name."},
	} {
		s.Inject(f)
		wantFault(t, src.Exec(t.Context(), create), fault.StateUnusable)
	}
	s.Inject(snowflaketest.Fault{On: "query", Code: "000625", State: "57014", Message: "Statement 'x' has locked table 'STATE' in transaction 1 and this lock has not yet been released."})
	wantFault(t, src.Exec(t.Context(), create), fault.SourceUnreachable, "other syncs")
}
