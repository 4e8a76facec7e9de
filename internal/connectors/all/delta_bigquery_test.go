package all

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/dialect"
	"github.com/upwelldata/upwell/internal/row"
)

// The scene: one column of every type that BigQuery compares in its own way.
const (
	makeAccounts = "CREATE TABLE sales.accounts AS SELECT NUMERIC '1.5' AS id, 'a@x.example' AS email, BIGNUMERIC '1.00000000000000000000000000000000000001' AS big, " +
		"['x', 'y'] AS tags, STRUCT(1 AS a, 'b' AS c) AS info, JSON '{\"k\": 1}' AS doc, TIMESTAMP '2026-01-02 03:04:05.000006Z' AS seen, b'\\x00\\xff' AS raw, 1.25 AS score"
	moreAccounts = "INSERT INTO sales.accounts SELECT CAST(n AS NUMERIC), 'n' || CAST(n AS STRING) || '@x.example', CAST(CAST(n AS STRING) AS BIGNUMERIC), ['z'], STRUCT(n AS a, 'd' AS c), JSON 'null', " +
		"TIMESTAMP '2026-01-02 03:04:05Z', b'x', 0.5 FROM UNNEST([2, 3, 4]) AS n"
)

// warehouseOf opens a stand-in with the scene.
func warehouseOf(t *testing.T) (*bigquerytest.Server, connector.Warehouse) {
	t.Helper()
	s, err := bigquerytest.Start(t.Context(), "127.0.0.1:0", bigquerytest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Exec(t.Context(), makeAccounts, moreAccounts); err != nil {
		t.Fatal(err)
	}
	w, err := bigquery.Source().Open(t.Context(), connector.NewConfig(s.Settings(), nil, map[string]bool{"credentials": true}), connector.Env{Name: "warehouse"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, w.(connector.Warehouse) //nolint:forcetypeassert // the test is about one that is
}

func exec(t *testing.T, w connector.Warehouse, list ...connector.Statement) {
	t.Helper()
	if err := w.Exec(t.Context(), list); err != nil {
		t.Fatal(err)
	}
}

// table reads a query as texts joined by |, sorted.
func table(t *testing.T, w connector.Warehouse, q connector.Query) []string {
	t.Helper()
	var out []string
	for b, err := range w.Read(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			var cells []string
			for c, f := range b.Schema().Fields() {
				k, err := row.KindOf(f)
				if err != nil {
					t.Fatal(err)
				}
				cells = append(cells, row.At(b.Column(c), k, i).String())
			}
			out = append(out, strings.Join(cells, "|"))
		}
	}
	slices.Sort(out)
	return out
}

func Test_bigquery_compares_what_it_holds_with_a_model(t *testing.T) {
	s, w := warehouseOf(t)
	l := dialect.OfSync(w.Dialect(), "", "acme", "accounts")
	model := connector.Query{SQL: "SELECT * FROM accounts", Where: "score < 100 -- all"}
	schema, err := w.Describe(t.Context(), model)
	if err != nil {
		t.Fatal(err)
	}
	shape := dialect.Shape{Key: []string{"id"}, Fields: schema.Fields(), Match: []string{"email"}}
	exec(t, w, append(l.MakeSchema(), l.Setup()...)...)
	exec(t, w, l.Setup()...) // which changes nothing
	exec(t, w, l.Introduce("t1", "{}"), l.Create(model.Relation(w.Dialect()), shape))

	delta := func(c dialect.Compared) []string {
		t.Helper()
		c.Shape, c.Model = shape, model
		keep, err := l.Keep(c)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, w, keep...)
		planned, err := l.Delta(c)
		if err != nil {
			t.Fatal(err)
		}
		kept := table(t, w, l.Kept(c.Run))
		if d := cmp.Diff(kept, table(t, w, planned)); d != "" {
			t.Errorf("a plan finds other rows than a run: %s", d)
		}
		var short []string // key, presence, entry, total
		for _, r := range kept {
			cells := strings.Split(r, "|")
			short = append(short, strings.Join([]string{cells[0], cells[len(cells)-3], cells[len(cells)-2], cells[len(cells)-1]}, " "))
		}
		return short
	}
	settle := func(run string, version int64, list ...dialect.Settled) {
		t.Helper()
		acked, err := l.Acked(run, shape)
		if err != nil {
			t.Fatal(err)
		}
		var rows [][]row.Value
		for _, e := range list {
			rows = append(rows, e.Row())
		}
		told := l.Told(run)
		one, err1 := l.Insert(acked, rows)
		two, err2 := l.Insert(told, [][]row.Value{dialect.Past([]byte("k"), 1, "what happened")})
		there := func(func([]row.Value, error) bool) {}
		move, err3 := l.Settle(dialect.Settling{Shape: shape, Run: run, Compared: true, Token: "t1", Version: version, Meta: "{}", Told: there, History: there})
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		exec(t, w, slices.Concat(acked.Make, told.Make, []connector.Statement{one, two})...)
		exec(t, w, move...)
	}
	entry := func(id, text string) dialect.Settled {
		return dialect.Settled{Key: []row.Value{row.DecimalValue(id)}, Match: slices.Repeat([]row.Value{row.NullValue()}, len(shape.Kept())), Canonical: []byte(id), Run: "r", At: "2026-01-01T00:00:00Z", Entry: text}
	}

	if got, want := delta(dialect.Compared{Run: "r1", Empty: true}), []string{"1.5 1 null null", "2 1 null null", "3 1 null null", "4 1 null null", "null null null 4"}; !cmp.Equal(got, want) {
		t.Errorf("at first: %s", cmp.Diff(want, got))
	}
	settle("r1", 1, entry("1.5", "e1"), entry("2", "e2"), entry("3", "e3"), entry("4", "e4"))
	if got, want := delta(dialect.Compared{Run: "r2"}), []string{"null null null 4"}; !cmp.Equal(got, want) {
		t.Errorf("nothing has changed: %s", cmp.Diff(want, got))
	}
	if err := s.Exec(t.Context(), "UPDATE sales.accounts SET big = BIGNUMERIC '1.00000000000000000000000000000000000002' WHERE id = NUMERIC '1.5'",
		"UPDATE sales.accounts SET tags = ['z', 'z'] WHERE id = NUMERIC '2'", "DELETE FROM sales.accounts WHERE id = NUMERIC '3'",
		"INSERT INTO sales.accounts (id, email) SELECT NUMERIC '5', 'five@x.example' UNION ALL SELECT NUMERIC '5', 'five@x.example' UNION ALL SELECT NULL, NULL"); err != nil {
		t.Fatal(err)
	}
	want := []string{"1.5 1 e1 null", "2 1 e2 null", "4 1 e4 null", "5 2 null null", "5 2 null null", "null 1 null null", "null null e3 null", "null null null 6"}
	model.Where = "" // null scores belong to the model now
	if got := delta(dialect.Compared{Run: "r3", Asked: [][]row.Value{{row.DecimalValue("4.000")}, {row.DecimalValue("77")}}}); !cmp.Equal(got, want) {
		t.Errorf("after changes: %s", cmp.Diff(want, got))
	}
	left := dialect.Settled{Key: []row.Value{row.NullValue()}, Match: []row.Value{row.TextValue("left@x.example")}, Canonical: []byte("9"), Entry: "e9"}
	settle("r3", 2, entry("1.5", "e1b"), entry("3", ""), left)
	if got, want := table(t, w, connector.Query{SQL: "SELECT upwell_entry, big, IF(id IS NULL, email, '') AS claims FROM upwell.ledger_" + l.ID()}),
		[]string{"e1b|1.00000000000000000000000000000000000002|", "e2|2|", "e4|4|", "e9|null|left@x.example"}; !cmp.Equal(got, want) {
		t.Errorf("the ledger: %s", cmp.Diff(want, got))
	}
	if got := table(t, w, l.Past("r3", nil)); len(got) != 1 || got[0] != "r3|what happened" {
		t.Errorf("history: %q", got)
	}
	exec(t, w, l.Reshape(model.Relation(w.Dialect()), shape)...)
	if got := table(t, w, l.Entries([]byte("2"))); !cmp.Equal(got, []string{"e2"}) {
		t.Errorf("after taking other columns: %q", got)
	}
	for _, j := range s.Stats().Jobs {
		if strings.Contains(j.SQL, "INFORMATION_SCHEMA") {
			t.Errorf("needs rights in the whole project: %s", j.SQL)
		}
	}
}
