package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// Rows holds a warehouse whose dialect says Bulk to what Statement.Rows promises: every value arrives in the type of its column, many
// rows arrive in order of number, and what fails leaves nothing behind. Its schema must be there.
func Rows(t *testing.T, w connector.Warehouse) {
	l := w.Dialect().Ledger
	table := w.Dialect().Table(l.Schema) + ".rows_of_a_test"
	sql := func(format string, args ...any) connector.Statement {
		return connector.Statement{SQL: fmt.Sprintf(format, args...)}
	}
	fresh := func(columns string) []connector.Statement {
		return []connector.Statement{sql("DROP TABLE IF EXISTS %s", table), sql("CREATE TABLE %s (%s)", table, columns)}
	}
	t.Run("every value arrives in the type of its column", func(t *testing.T) {
		for _, v := range rowValues() {
			as := l.Types[v.Kind()]
			if strings.Count(as, "%d") == 2 {
				as = fmt.Sprintf(as, 20, 4)
			}
			list := append(fresh("v "+as), connector.Statement{Rows: yields(nil, []row.Value{v}), Into: connector.Into{Table: table, Columns: []string{"v"}}})
			if err := w.Exec(t.Context(), list); err != nil {
				t.Errorf("%s %q: %v", v.Kind(), v, err)
				continue
			}
			if got := cells(t, w, "SELECT v FROM "+table); len(got) != 1 || got[0] != v.String() {
				t.Errorf("%s %q became %q", v.Kind(), v, got)
			}
		}
	})
	number, text := l.Types[row.Int], l.Types[row.Text]
	into := connector.Into{Table: table, Columns: []string{"a", "b", "n"}}
	t.Run("many rows arrive, each with its nulls", func(t *testing.T) {
		const n = 30_000
		long := strings.Repeat("x", 900)
		rows := func(yield func([]row.Value, error) bool) {
			vals := make([]row.Value, 3) // of one row after the other
			for i := range int64(n) {
				vals[0], vals[1], vals[2] = row.TextValue(fmt.Sprint(long, i)), row.NullValue(), row.IntValue(i)
				if i%3 == 0 {
					vals[0], vals[1] = row.NullValue(), row.TextValue(fmt.Sprint(i))
				}
				if !yield(vals, nil) {
					return
				}
			}
		}
		if err := w.Exec(t.Context(), append(fresh("n "+number+", b "+text+", a "+text), connector.Statement{Rows: rows, Into: into})); err != nil {
			t.Fatal(err)
		}
		got := cells(t, w, "SELECT COUNT(*) FROM "+table+" WHERE n % 3 = 0 AND a IS NULL AND b = CAST(n AS "+text+") OR n % 3 <> 0 AND b IS NULL AND a = '"+long+"' || CAST(n AS "+text+")")
		if got[0] != fmt.Sprint(n) {
			t.Errorf("%s of %d rows arrived", got[0], n)
		}
	})
	t.Run("what fails leaves nothing behind", func(t *testing.T) {
		one := []row.Value{row.TextValue("a"), row.TextValue("b"), row.IntValue(1)}
		wrong := []row.Value{row.TextValue("a"), row.TextValue("b"), row.TextValue("one")}
		broken := errors.New("the rows ended too early")
		if err := w.Exec(t.Context(), fresh("n "+number+", b "+text+", a "+text)); err != nil {
			t.Fatal(err)
		}
		cases := map[string][]connector.Statement{
			"the rows":           {{Rows: yields(broken, one, one), Into: into}},
			"a value":            {{Rows: yields(nil, one, wrong), Into: into}},
			"a later statement":  {{Rows: yields(nil, one), Into: into}, sql("INSERT INTO %s_that_is_not_there SELECT 1", table)},
			"a column":           {{Rows: yields(nil, one), Into: connector.Into{Table: table, Columns: []string{"a", "b", "nowhere"}}}},
			"a number of rows":   {{Rows: yields(nil, one), Into: into}, {SQL: "DELETE FROM " + table + " WHERE n = 7", Affects: 1}},
			"nobody, but ctx is": nil,
		}
		for what, list := range cases {
			ctx, cancel := context.WithCancel(t.Context())
			if list == nil {
				list = []connector.Statement{{Rows: func(yield func([]row.Value, error) bool) {
					cancel()
					for yield(one, nil) { // until it is not wanted any more
					}
				}, Into: into}}
			}
			err := w.Exec(ctx, list)
			cancel()
			if err == nil || (what == "the rows") != errors.Is(err, broken) {
				t.Errorf("%s failed: %v", what, err)
			}
			if got := cells(t, w, "SELECT COUNT(*) FROM "+table); got[0] != "0" {
				t.Errorf("%s failed, and %s rows stay", what, got[0])
			}
		}
	})
}

// rowValues are values of all kinds a key may have, and texts with everything that a bulk format may give a meaning.
func rowValues() []row.Value {
	out := []row.Value{row.IntValue(-7), row.UintValue(1<<64 - 1), row.FloatValue(0.1), row.BoolValue(true), row.BoolValue(false)}
	for kind, text := range map[row.Kind]string{
		row.Decimal: "-0.0500", row.Date: "2024-02-29", row.Time: "23:59:59.999999", row.Timestamp: "2026-03-29T02:30:00.000001",
		row.Instant: "2026-10-25T00:30:00Z", row.UUID: "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
	} {
		v, err := row.ParseText(kind, text)
		if err != nil {
			panic(err)
		}
		out = append(out, v)
	}
	for _, s := range []string{"", " ", `\N`, `\.`, "\\.\n", "a\tb\nc\rd\\e", `"quoted", 'so'`, "null", "NULL", "é🙂\u2028", "\b\f\v\x01"} {
		out = append(out, row.TextValue(s))
	}
	return out
}

// yields gives rows, and then the error where there is one.
func yields(err error, rows ...[]row.Value) func(func([]row.Value, error) bool) {
	return func(yield func([]row.Value, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// cells gives the first column of an answer, as texts.
func cells(t *testing.T, w connector.Warehouse, sql string) (out []string) {
	t.Helper()
	for rec, err := range w.Read(t.Context(), connector.Query{SQL: sql}) {
		if err != nil {
			t.Fatal(err)
		}
		kind, err := row.KindOf(rec.Schema().Field(0))
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(rec.NumRows()) {
			out = append(out, row.At(rec.Column(0), kind, i).String())
		}
	}
	return out
}
