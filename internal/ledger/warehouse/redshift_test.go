package warehouse_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/redshift"
	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/dialect"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/ledgertest"
	"github.com/upwelldata/upwell/internal/ledger/warehouse"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/testdb"
)

func Test_the_ledger_in_redshift_keeps_the_contract(t *testing.T) {
	ledgertest.Run(t, func(t testing.TB) ledgertest.Harness {
		s, err := redshifttest.Start(t.Context(), redshifttest.Options{
			Postgres: testdb.Postgres(t), Users: map[string]redshifttest.User{"upwell": {Password: "secret"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		settings := s.Settings("upwell")
		open := func(ctx context.Context) (connector.Warehouse, error) {
			s, err := redshift.Source().Open(ctx, connector.NewConfig(settings, nil, nil), connector.Env{Name: "warehouse"})
			if err != nil {
				return nil, err
			}
			return s.(connector.Warehouse), nil //nolint:forcetypeassert // the test is about one that is
		}
		dir := t.TempDir()
		return ledgertest.Harness{Open: func() ledger.Home {
			return warehouse.Open(warehouse.Options{Open: open, Dir: dir, Source: "warehouse", Project: "acme", Sync: "accounts"})
		}}
	})
}

// VARCHAR compares without trailing blanks in Redshift: such a change must leave the warehouse all the same, and a short parameter must
// not limit how many rows one statement takes.
func Test_redshift_compares_texts_to_the_last_blank(t *testing.T) {
	s, err := redshifttest.Start(t.Context(), redshifttest.Options{
		Postgres: testdb.Postgres(t), Users: map[string]redshifttest.User{"upwell": {Password: "secret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	src, err := redshift.Source().Open(t.Context(), connector.NewConfig(s.Settings("upwell"), nil, nil), connector.Env{})
	if err != nil {
		t.Fatal(err)
	}
	wh := src.(connector.Warehouse)
	l := dialect.OfSync(wh.Dialect(), "", "acme", "accounts")
	shape := dialect.Shape{Key: []string{"id"}, Fields: []arrow.Field{row.FieldOf("id", row.Text), row.FieldOf("name", row.Text)}}
	keys := make([][]row.Value, 0, 5000)
	for i := range 5000 {
		keys = append(keys, []row.Value{row.TextValue(fmt.Sprintf("key number %d of many", i))})
	}
	relation := "(SELECT CAST('a' AS VARCHAR(10)) AS id, CAST('x' AS VARCHAR(10)) AS name)"
	statements := append(append(l.MakeSchema(), l.Setup()...), l.Create(relation, shape))
	table := strings.Split(l.Describe().SQL, " ")[3]
	statements = append(statements, connector.Statement{SQL: "INSERT INTO " + table + " (id, name, upwell_k, upwell_state, upwell_fresh, upwell_entry) VALUES ('a', 'x', '61', 0, 1, 'entry'), ('b', 'x', '62', 0, 1, 'entry'), ('c', 'x', '63', 0, 1, 'entry')"})
	if err := wh.Exec(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	q, err := l.Delta(dialect.Compared{Shape: shape, Asked: keys, Model: connector.Query{
		SQL: "SELECT CAST('a' AS VARCHAR(10)) AS id, CAST('x' AS VARCHAR(10)) AS name UNION ALL SELECT 'b', 'x ' UNION ALL SELECT 'c ', 'x'",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(q.Params) < 2 {
		t.Errorf("%d parameters for 5000 keys, each of them at most 65,535 bytes", len(q.Params))
	}
	var got []string
	for rec, err := range wh.Read(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(rec.NumRows()) {
			id, present := row.At(rec.Column(0), row.Text, i), row.At(rec.Column(2), row.Int, i)
			got = append(got, fmt.Sprintf("%q %s", id.String(), present))
		}
	}
	slices.Sort(got)
	// b changed; "c " is new, c is gone, and one row counts the model's.
	if want := []string{`"b" 1`, `"c " 1`, `"null" null`, `"null" null`}; !slices.Equal(got, want) {
		t.Errorf("left the warehouse: %q; want %q", got, want)
	}
	shape.Fields = append(shape.Fields, row.FieldOf("doc", row.JSON))
	if _, err := l.Delta(dialect.Compared{Shape: shape, Model: connector.Query{Table: "x"}}); !fault.Is(err, fault.SourceValue) || !strings.Contains(fault.As(err).GetFix(), `JSON_SERIALIZE("doc") AS "doc"`) {
		t.Errorf("a SUPER column: %v", err)
	}
}

// Where the key is one column that is compared as it is, the tables of a comparison lie so that their join moves no rows.
func Test_redshift_puts_rows_of_one_key_together(t *testing.T) {
	s, err := redshift.Source().Open(t.Context(), connector.NewConfig(map[string]string{"host": "localhost", "user": "u", "database": "d"}, nil, nil), connector.Env{})
	if err != nil {
		t.Fatal(err)
	}
	l := dialect.OfSync(s.Dialect(), "", "acme", "accounts")
	id, name, n := row.FieldOf("id", row.Int), row.FieldOf("name", row.Text), row.FieldOf("n", row.Float)
	for _, c := range []struct {
		key  []string
		want string
	}{
		{[]string{"id"}, ` DISTKEY("id")`},
		{[]string{"n"}, ` DISTKEY("n")`},
		{[]string{"name"}, ""},
		{[]string{"id", "n"}, ""},
	} {
		shape := dialect.Shape{Key: c.key, Fields: []arrow.Field{id, name, n}}
		keep, err := l.Keep(dialect.Compared{Shape: shape, Model: connector.Query{Table: "sales.accounts"}, Run: "01A"})
		if err != nil {
			t.Fatal(err)
		}
		ledger, next, read := `"upwell"."ledger_`+l.ID()+`"`, `"upwell"."ledger_`+l.ID()+`_next"`, `"upwell"."read_`+l.ID()+`_01a"`
		placed := 0
		for _, st := range append(append(keep, l.Create(`"sales"."accounts"`, shape)), l.Reshape(`"sales"."accounts"`, shape)...) {
			for _, table := range []string{ledger, next, read} {
				if strings.HasPrefix(st.SQL, "CREATE TABLE "+table+c.want+" AS SELECT ") {
					placed++
				}
			}
			if c.want == "" && strings.Contains(st.SQL, "DISTKEY") {
				t.Errorf("key %v: %s", c.key, st.SQL)
			}
		}
		if placed != 4 {
			t.Errorf("key %v: %d of the 4 tables are made with %q", c.key, placed, c.want)
		}
		if got := keep[2].SQL; len(c.key) == 1 && c.key[0] == "id" && got != "CREATE TABLE "+read+` DISTKEY("id") AS SELECT m."id", m."name", m."n" FROM "sales"."accounts" AS m` {
			t.Errorf("the model is read by\n%s", got)
		}
	}
}
