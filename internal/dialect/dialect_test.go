package dialect

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func words(merge bool, once string) connector.Dialect {
	return connector.Dialect{Name: "test", Quote: '"', Placeholder: "$", Ledger: &connector.LedgerSQL{
		Schema: "upwell", CreateSchema: "CREATE SCHEMA IF NOT EXISTS %s", Tables: "SELECT COUNT(*) FROM %[1]stables WHERE s = %[2]s AND t = %[3]s",
		Create: "CREATE TABLE %s AS ", Scratch: "CREATE SCRATCH %s AS ",
		Types: map[row.Kind]string{row.Text: "TEXT", row.Int: "BIGINT", row.Decimal: "DECIMAL(%d, %d)"},
		Rows:  "ROWS(%s) AS r", Cell: "j[%d]", Exact: map[row.Kind]string{row.Text: "BYTES(%s)"}, Fold: "LOWER(%s)", Materialized: once, Transactions: !merge, Merge: merge,
	}}
}

// using is a dialect whose DELETE takes no alias, and whose parameters are short.
func using() connector.Dialect {
	d := words(false, "")
	d.Ledger.DeleteUsing, d.Ledger.ParamBytes, d.Ledger.ParamCount = true, 100, 10
	d.Ledger.Refused = map[row.Kind]string{row.JSON: "TEXT_OF(%[1]s) AS %[1]s"}
	return d
}

const evil = `id"; DROP TABLE x; --`

func evilModel() Compared {
	return Compared{
		Shape: Shape{Key: []string{evil}, Match: []string{"mail"}, Fields: []arrow.Field{row.FieldOf(evil, row.Text), row.FieldOf("mail", row.Text), row.FieldOf("n", row.Int)}},
		Model: connector.Query{Table: `sch.t"able`}, Run: "01M8", Asked: [][]row.Value{{row.TextValue("'); DELETE FROM y; --")}}, Settled: []int{1, 2},
	}
}

func none(func([]row.Value, error) bool) {}

// all gives every statement that the names of a model and values of rows can get into.
func all(t *testing.T, l Ledger) []connector.Statement {
	t.Helper()
	c := evilModel()
	q, err := l.Delta(c)
	if err != nil {
		t.Fatal(err)
	}
	keep, err := l.Keep(c)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := l.Acked("01M8", c.Shape)
	if err != nil {
		t.Fatal(err)
	}
	one := Settled{Key: []row.Value{row.TextValue("'; --")}, Canonical: []byte("k"), Run: "'; --", RemoteID: "'; --", Entry: "'; --"}
	acked, err := l.Insert(entries, [][]row.Value{one.Row()})
	if err != nil {
		t.Fatal(err)
	}
	told, err := l.Insert(l.Told("01M8"), [][]row.Value{Past([]byte("k"), 1, "'; --")})
	if err != nil {
		t.Fatal(err)
	}
	bare, err := l.CreateBare(c.Shape)
	if err != nil {
		t.Fatal(err)
	}
	out := append([]connector.Statement{{SQL: q.SQL, Params: q.Params}, acked, told, bare, l.Create(c.Model.Relation(l.Dialect), c.Shape)}, keep...)
	out = append(out, entries.Make...)
	out = append(out, l.Reshape(c.Model.Relation(l.Dialect), c.Shape)...)
	settle, err := l.Settle(Settling{Shape: c.Shape, Run: "01M8", Compared: true, Token: "'; --", Version: 3, Meta: "'; --", Renew: true, Told: none, History: none})
	if err != nil {
		t.Fatal(err)
	}
	return append(out, settle...)
}

func Test_names_are_quoted_and_values_are_bound(t *testing.T) {
	for _, d := range []connector.Dialect{words(false, "MATERIALIZED "), words(true, ""), using()} {
		for _, s := range all(t, OfSync(d, `up"well`, "p", "sync")) {
			rest := strings.ReplaceAll(s.SQL, `"`+strings.ReplaceAll(evil, `"`, `""`)+`"`, "")
			rest = strings.ReplaceAll(rest, `"t""able"`, "")
			for _, bad := range []string{"DROP TABLE x", "DELETE FROM y", "'; --", `t"able`, `up"well`} {
				if strings.Contains(strings.ReplaceAll(rest, `"up""well"`, ""), bad) {
					t.Errorf("%q stands in\n%s", bad, s.SQL)
				}
			}
			if n := strings.Count(s.SQL, "$"); n != len(s.Params) {
				t.Errorf("%d placeholders, %d parameters in\n%s", n, len(s.Params), s.SQL)
			}
		}
	}
}

func Test_a_delete_without_alias_names_its_tables(t *testing.T) {
	l := OfSync(using(), "", "p", "sync")
	n := 0
	for _, s := range all(t, l) {
		if !strings.HasPrefix(s.SQL, "DELETE") || !strings.Contains(s.SQL, "acked") {
			continue
		}
		n++
		ledger, acked := `"ledger_`+l.ID()+`"`, `"acked_`+l.ID()+`_01m8"`
		if !strings.HasPrefix(s.SQL, `DELETE FROM "upwell".`+ledger+` USING "upwell".`+acked+` WHERE `) || strings.Contains(s.SQL, " AS ") || !strings.Contains(s.SQL, ledger+".") || !strings.Contains(s.SQL, acked+".") {
			t.Errorf("%s", s.SQL)
		}
	}
	if n != 2 {
		t.Errorf("%d statements delete what was accepted", n)
	}
}

// No row is lost or torn where one parameter does not hold all.
func Test_rows_are_spread_over_short_parameters(t *testing.T) {
	l := OfSync(using(), "", "p", "sync")
	var rows [][]row.Value
	for n := range 20 {
		rows = append(rows, Past([]byte{byte(n)}, int64(n), strings.Repeat("x", 7*n)))
	}
	s, err := l.Insert(l.Told("01M8"), rows)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range s.Params {
		var list [][]string
		if err := json.Unmarshal([]byte(p.Str()), &list); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if len(p.Str()) > 100 && len(list) != 1 {
			t.Errorf("%d rows in %d bytes", len(list), len(p.Str()))
		}
		for _, r := range list {
			got = append(got, r[1])
		}
	}
	if want := strings.Fields("0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19"); !slices.Equal(got, want) {
		t.Errorf("rows %v", got)
	}
	if n := strings.Count(s.SQL, "UNION ALL"); n != len(s.Params)-1 {
		t.Errorf("%d parameters in\n%s", len(s.Params), s.SQL)
	}
}

func Test_a_column_that_cannot_be_compared_is_named_with_what_to_write(t *testing.T) {
	c := evilModel()
	c.Fields = append(c.Fields, row.FieldOf("doc", row.JSON))
	_, err := OfSync(using(), "", "p", "sync").Delta(c)
	if f := fault.As(err); f == nil || f.Code != fault.SourceValue || !strings.Contains(f.GetFix(), `TEXT_OF("doc") AS "doc"`) {
		t.Errorf("%v", err)
	}
}

// A model is read once: by a table expression that is computed once, or into a table.
func Test_a_model_is_read_by_one_statement(t *testing.T) {
	for once, want := range map[string]int{"MATERIALIZED ": 1, "": 1} {
		l := OfSync(words(false, once), "", "p", "sync")
		c := evilModel()
		c.Model, c.Asked = connector.Query{SQL: "SELECT the_model"}, nil
		keep, err := l.Keep(c)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, s := range keep {
			n += strings.Count(s.SQL, "the_model")
		}
		if n != want {
			t.Errorf("materialized %q: the model is named %d times in %v", once, n, keep)
		}
	}
}

func Test_every_write_of_the_state_checks_who_writes(t *testing.T) {
	l := OfSync(words(false, ""), "", "p", "sync")
	list, err := l.Settle(Settling{Shape: evilModel().Shape, Run: "r", Token: "me", Told: none})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []connector.Statement{list[0], list[len(list)-1], l.Take("a", "b", "me", 1, ""), l.Prolong("me", 1), l.Scratched("me", "r")} {
		if s.Affects != 1 || !strings.Contains(s.SQL, "token = $") {
			t.Errorf("%+v", s)
		}
	}
}

func Test_syncs_of_two_projects_have_tables_of_their_own(t *testing.T) {
	a, b := OfSync(words(false, ""), "", "p", "Health to CRM!"), OfSync(words(false, ""), "", "q", "Health to CRM!")
	if a.ID() == b.ID() || !strings.HasPrefix(a.ID(), "health_to_crm__") {
		t.Error(a.ID(), b.ID())
	}
	for _, table := range a.Scratch("01M8HYWF09WFV65SGFATX48231") {
		if name := table[strings.LastIndex(table, ".")+2 : len(table)-1]; len(name) > 63 {
			t.Errorf("%s has %d characters", name, len(name))
		}
	}
}

func Test_a_key_that_a_ledger_cannot_keep_is_named_with_a_way_out(t *testing.T) {
	l := OfSync(words(false, ""), "", "p", "sync")
	err := l.Keeps(Shape{Key: []string{"blob"}, Fields: []arrow.Field{row.FieldOf("blob", row.Bytes)}})
	if f := fault.As(err); f == nil || f.Code != fault.SourceValue || !strings.Contains(f.Message, "blob") || !strings.Contains(f.GetFix(), "diff: local") {
		t.Error(err)
	}
}
