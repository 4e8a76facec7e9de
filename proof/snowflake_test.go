package proof_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/dialect"
	"github.com/upwelldata/upwell/internal/row"
)

// snowLedger is a ledger's SQL in a stand-in of Snowflake, below the package that sends it.
type snowLedger struct {
	t   testing.TB
	wh  connector.Warehouse
	sql dialect.Ledger
}

func newSnowLedger(t testing.TB, schema string) *snowLedger {
	t.Helper()
	_, open := snowflakeStandIn(t)
	w, err := open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	l := &snowLedger{t, w, dialect.OfSync(w.Dialect(), schema, "acme", "accounts")}
	l.exec(l.sql.MakeSchema()...)
	return l
}

func (l *snowLedger) exec(list ...connector.Statement) {
	l.t.Helper()
	if err := l.wh.Exec(context.Background(), list); err != nil {
		l.t.Fatalf("%v\n%v", list, err)
	}
}

func (l *snowLedger) run(list ...string) {
	l.t.Helper()
	for _, sql := range list {
		l.exec(connector.Statement{SQL: sql})
	}
}

// rows gives the rows of a query, cells with blanks between.
func (l *snowLedger) rows(q connector.Query) (out []string) {
	l.t.Helper()
	for b, err := range l.wh.Read(context.Background(), q) {
		if err != nil {
			l.t.Fatalf("%s\n%v", q.SQL, err)
		}
		for i := range int(b.NumRows()) {
			var cells []string
			for j, f := range b.Schema().Fields() {
				k, err := row.KindOf(f)
				if err != nil {
					l.t.Fatal(err)
				}
				cells = append(cells, row.At(b.Column(j), k, i).String())
			}
			out = append(out, strings.Join(cells, " "))
		}
	}
	return out
}

// columns of every type but the key, each with a value and another one of its type.
var snowColumns = []struct{ typ, value, other string }{
	{"VARCHAR", "'a'", "'A'"},
	{"VARCHAR(3)", "''", "NULL"},
	{"NUMBER(3, 0)", "1", "2"},
	{"NUMBER(38, 0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999998"},
	{"NUMBER(10, 2)", "0.10", "0.11"},
	{"FLOAT", "'NaN'", "0"},
	{"BOOLEAN", "TRUE", "NULL"},
	{"BINARY", "TO_BINARY('00FF', 'HEX')", "TO_BINARY('00FE', 'HEX')"},
	{"DATE", "'2024-02-29'", "'2024-02-28'"},
	{"TIME", "'12:34:56.123456'", "'12:34:56.123457'"},
	{"TIMESTAMP_NTZ(9)", "'2026-03-29 02:30:00.000000001'", "'2026-03-29 02:30:00.000000002'"},
	{"TIMESTAMP_LTZ", "'2026-10-25 01:30:00+01:00'", "'2026-10-25 01:30:01+01:00'"},
	{"VARIANT", `PARSE_JSON('{"n":9007199254740993}')`, `PARSE_JSON('{"n":9007199254740992}')`},
	{"VARIANT", `PARSE_JSON('null')`, `NULL`},
	{"ARRAY", "ARRAY_CONSTRUCT(1, 2)", "ARRAY_CONSTRUCT(2, 1)"},
}

// model makes table T: its key ID, and the columns above as C0, C1 and so on, one of them with its other value.
func (l *snowLedger) model(differs int) {
	l.t.Helper()
	types, values := []string{"id NUMBER(10, 0)"}, []string{"1"}
	for i, c := range snowColumns {
		v := c.value
		if i == differs {
			v = c.other
		}
		types, values = append(types, fmt.Sprintf("c%d %s", i, c.typ)), append(values, v)
	}
	l.run("DROP TABLE IF EXISTS t", "CREATE TABLE t ("+strings.Join(types, ", ")+")", "INSERT INTO t SELECT "+strings.Join(values, ", "))
}

func (l *snowLedger) shape(q connector.Query) dialect.Shape {
	l.t.Helper()
	s, err := l.wh.Describe(context.Background(), q)
	if err != nil {
		l.t.Fatal(err)
	}
	return dialect.Shape{Key: []string{s.Field(0).Name}, Fields: s.Fields()}
}

// accept makes a ledger that holds table t as it is.
func (l *snowLedger) accept(q connector.Query) {
	l.t.Helper()
	s := l.shape(q)
	l.exec(l.sql.Create(q.Relation(l.sql.Dialect), s))
	table := strings.TrimSuffix(strings.TrimPrefix(l.sql.Describe().SQL, "SELECT * FROM "), " WHERE 1 = 0")
	l.run("INSERT INTO " + table + " SELECT t.*, 'k', 0, 1, 'r', 'at', '', 'entry' FROM t AS t")
}

func Test_snowflake_compares_columns_of_every_type(t *testing.T) {
	l := newSnowLedger(t, "")
	l.model(-1)
	q := connector.Query{Table: "t"}
	l.accept(q)
	leave := func() []string {
		d, err := l.sql.Delta(dialect.Compared{Shape: l.shape(q), Model: q, Run: "r1"})
		if err != nil {
			t.Fatal(err)
		}
		return l.rows(d)
	}
	if rows := leave(); len(rows) != 1 || !strings.HasSuffix(rows[0], " 1") {
		t.Errorf("of unchanged columns, more than the total leaves: %q", rows)
	}
	for i, c := range snowColumns {
		l.model(i)
		if rows := leave(); len(rows) != 2 {
			t.Errorf("%s: a change from %s to %s leaves %q", c.typ, c.value, c.other, rows)
		}
	}
}

// A column of a table made of a query takes the length of what the query gave: 'a' is a VARCHAR(1) there, and 1 a NUMBER(1, 0).
func Test_longer_values_of_later_models_fit_into_the_ledger_in_snowflake(t *testing.T) {
	l := newSnowLedger(t, "")
	l.run("CREATE TABLE t AS SELECT CAST(1 AS NUMBER(1, 0)) AS id, 'a' AS v")
	q := connector.Query{Table: "t"}
	create := l.sql.Create(q.Relation(l.sql.Dialect), l.shape(q))
	if !strings.Contains(create.SQL, `SELECT CAST("ID" AS NUMBER(18, 0)) AS "ID", CAST("V" AS VARCHAR) AS "V", `) ||
		!strings.HasSuffix(create.SQL, "UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM (SELECT 1 AS upwell_one) AS upwell_none WHERE 1 = 0") {
		t.Error(create.SQL)
	}
	l.accept(q)
	l.run("DROP TABLE t", "CREATE TABLE t AS SELECT CAST(123456 AS NUMBER(6, 0)) AS id, 'abc' AS v")
	l.run("INSERT INTO " + strings.TrimSuffix(strings.TrimPrefix(l.sql.Describe().SQL, "SELECT * FROM "), " WHERE 1 = 0") +
		" SELECT t.*, 'k', 0, 1, 'r', 'at', '', 'entry' FROM t AS t")
	if n := l.rows(l.sql.Count()); n[0] != "2" {
		t.Errorf("%v entries", n)
	}
	have, err := l.wh.Describe(context.Background(), l.sql.Describe())
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range l.shape(q).Fields { // else every run would take the model's columns for other ones
		if h := have.Field(i); h.Name != f.Name || !arrow.TypeEqual(h.Type, f.Type) {
			t.Errorf("%s is %s in the ledger, %s is %s in the model", h.Name, h.Type, f.Name, f.Type)
		}
	}
}

// Statements that make tables are no transaction there: a process may die between any two.
func Test_a_ledger_in_snowflake_whose_columns_are_changed_is_there_at_every_moment(t *testing.T) {
	l := newSnowLedger(t, "")
	l.run("CREATE TABLE t AS SELECT CAST(1 AS NUMBER(18, 0)) AS id, 'a' AS v")
	l.accept(connector.Query{Table: "t"})
	wider := connector.Query{SQL: "SELECT id, v, 'b' AS w FROM t"}
	for n := range 100 {
		list := l.sql.Reshape(wider.Relation(l.sql.Dialect), l.shape(wider))
		for i, st := range list[:min(n, len(list))] {
			l.exec(st)
			if rows := l.rows(l.sql.Count()); len(rows) != 1 || rows[0] != "1" {
				t.Fatalf("after statement %d of %d the ledger holds %v", i, n, rows)
			}
		}
		if n > len(list) {
			break
		}
	}
	if rows := l.rows(l.sql.Entries(nil)); len(rows) != 1 || rows[0] != "entry" {
		t.Error(rows)
	}
}

func Test_tables_of_a_ledger_in_snowflake_are_found_as_the_server_spells_them(t *testing.T) {
	for _, schema := range []string{"", "crm", "standin.crm", `"Own Place"`, `STANDIN."Own Place"`} {
		l := newSnowLedger(t, schema)
		if rows := l.rows(l.sql.StateThere().Query); rows[0] != "0" {
			t.Errorf("schema %q: %v tables before there are any", schema, rows)
		}
		l.exec(append(l.sql.MakeSchema(), l.sql.Setup()...)...)
		if rows := l.rows(l.sql.StateThere().Query); rows[0] != "1" {
			t.Errorf("schema %q: %v tables of the state", schema, rows)
		}
	}
}
