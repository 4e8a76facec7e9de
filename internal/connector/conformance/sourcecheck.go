package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func sourceChecks() []sourceCheck {
	return []sourceCheck{
		{"spec: says what the connector is and what each setting means", sourceSpec},
		{"spec: a setting that is needed and missing is named", sourceNeeds},
		{"check: a good connection checks", sourceGood},
		{"check: a wrong credential is refused as such", sourceWrong},
		{"check: a source out of reach is named as such", sourceNowhere},
		{"types: values keep kind and content", sourceTypes},
		{"types: describe gives what read gives", sourceDescribes},
		{"describe: does not run the query", sourceDescribesOnly},
		{"query: a refusal carries the server's words", sourceRefuses},
		{"query: a failure after rows is no end", sourceFailsLate},
		{"query: an empty result ends without error", sourceEmpty},
		{"query: columns, filter and limit", sourceNarrows},
		{"query: names that need quotes", sourceQuotes},
		{"query: values are bound, never spliced", sourceBinds},
		{"query: a table is read by name", sourceTable},
		{"query: a semicolon or a comment at the end does no harm", sourceTail},
		{"read: many rows arrive exactly in little memory", sourceMany},
		{"read: leaving early frees the connection", sourceLeaves},
		{"read: a cancelled read is an error", sourceCancels},
		{"read: an answer that is cut is never complete", sourceCut},
		{"hygiene: several goroutines may read", sourceConcurrent},
		{"hygiene: nothing runs on after close", sourceCloses},
	}
}

func sourceSpec(w *well) {
	for _, p := range specProblems(w.h.Connector.Spec) {
		w.Error(p)
	}
}

func sourceNeeds(w *well) {
	needed := slices.Clone(w.h.Needs)
	for _, one := range w.h.Connector.Spec.Settings {
		if one.Required && !slices.Contains(needed, one.Name) {
			needed = append(needed, one.Name)
		}
	}
	for _, name := range needed {
		s, err := w.try(map[string]string{name: ""})
		if err == nil {
			err = s.Check(w.Context())
			w.hear(err)
			_ = s.Close() //nolint:errcheck // it was not to be opened
		}
		if f := fault.As(err); f == nil || f.GetClass() == fault.ClassBug || slices.Contains(w.h.Needs, name) && !strings.Contains(f.Message+f.GetFix(), name) {
			w.Errorf("without %s: %v; want a fault that names the setting", name, err)
		}
	}
}

func sourceGood(w *well) {
	s := w.open(nil)
	if err := s.Check(w.Context()); err != nil {
		w.Errorf("checking: %v", err)
	}
	if d := s.Dialect(); d.Name == "" || d.Quote == 0 || d.Placeholder == "" {
		w.Errorf("the dialect %+v is not complete", d)
	}
}

func sourceWrong(w *well) {
	if w.h.Wrong == nil {
		w.Skip("there is no login")
	}
	w.wantEverywhere(w.h.Wrong, fault.SourceAuth)
}

func sourceNowhere(w *well) {
	if w.h.Nowhere == nil {
		w.Skip("the source cannot be out of reach")
	}
	w.wantEverywhere(w.h.Nowhere, fault.SourceUnreachable)
}

func (w *well) wantEverywhere(over map[string]string, code fault.Code) {
	w.Helper()
	s := w.open(over)
	q := connector.Query{SQL: "SELECT 1 AS n"}
	_, describing := s.Describe(w.Context(), q)
	_, _, reading := w.read(w.Context(), s, q)
	for doing, err := range map[string]error{"checking": s.Check(w.Context()), "describing": describing, "reading": reading} {
		w.hear(err)
		if f := fault.As(err); f == nil || f.Code != code || f.Exit() != fault.ExitEnvironment {
			w.Errorf("%s: %v; want %s", doing, err, code)
		}
	}
}

func sourceTypes(w *well) {
	s := w.open(nil)
	if len(w.h.Types) == 0 {
		w.Fatal("the harness has no types")
	}
	for _, c := range w.h.Types {
		_, rows, err := w.read(w.Context(), s, connector.Query{SQL: "SELECT " + c.SQL + " AS v"})
		switch {
		case c.Kind == row.Absent:
			if !fault.Is(err, fault.SourceValue) && !fault.Is(err, fault.SourceTypeUnsupported) {
				w.Errorf("%s: %v, %v; want it refused", c.SQL, rows, err)
			}
		case err != nil || len(rows) != 1:
			w.Errorf("%s: %d rows, %v", c.SQL, len(rows), err)
		default:
			v := rows[0][0]
			if v.String() != c.Text || v.Kind() != c.Kind && !(c.Text == "null" && v.IsNull()) {
				w.Errorf("%s: %s %q; want %s %q", c.SQL, v.Kind(), v, c.Kind, c.Text)
			}
		}
	}
}

func sourceDescribes(w *well) {
	s := w.open(nil)
	for _, c := range w.h.Types {
		q := connector.Query{SQL: "SELECT " + c.SQL + " AS v"}
		described, err := s.Describe(w.Context(), q)
		read, _, readErr := w.read(w.Context(), s, q)
		if c.Kind == row.Absent && (err != nil || readErr != nil) {
			continue
		}
		if err != nil || readErr != nil {
			w.Errorf("%s: %v, %v", c.SQL, err, readErr)
			continue
		}
		if d, r := columns(described), columns(read); d != r {
			w.Errorf("%s: described as %s, read as %s", c.SQL, d, r)
		}
	}
}

// columns is a schema as far as the engine looks at it.
func columns(s *arrow.Schema) string {
	var out []string
	for _, f := range s.Fields() {
		k, err := row.KindOf(f)
		if err != nil {
			return err.Error()
		}
		out = append(out, fmt.Sprintf("%s %s (%s)", f.Name, k, f.Type))
	}
	return strings.Join(out, ", ")
}

// promptly is how long describing may take, and how long a cancelled read may go on.
var promptly = 10 * time.Second

func (w *well) numbers(n int) string { return fmt.Sprintf(w.h.Numbers, n) }

func sourceDescribesOnly(w *well) {
	s := w.open(nil)
	ctx, stop := context.WithTimeout(w.Context(), promptly)
	defer stop()
	start := time.Now()
	schema, err := s.Describe(ctx, connector.Query{SQL: "SELECT n, count(*) AS c FROM (" + w.numbers(50_000_000) + ") x GROUP BY n ORDER BY 2, 1"})
	if err != nil || schema.NumFields() != 2 {
		w.Errorf("describing a query that would take long: %v after %s", err, time.Since(start))
	}
}

func sourceRefuses(w *well) {
	s := w.open(nil)
	_, describing := s.Describe(w.Context(), connector.Query{SQL: w.h.Broken})
	_, _, reading := w.read(w.Context(), s, connector.Query{SQL: w.h.Broken})
	for doing, err := range map[string]error{"describing": describing, "reading": reading} {
		w.hear(err)
		if !fault.Is(err, fault.SourceQueryFailed) || !strings.Contains(err.Error(), w.h.Words) {
			w.Errorf("%s: %v; want SOURCE_QUERY_FAILED with %q", doing, err, w.h.Words)
		}
	}
	if got := w.rows(s, connector.Query{SQL: "SELECT 1 AS n"}); !slices.Equal(got, []string{"1"}) {
		w.Errorf("after a refusal: %v", got)
	}
}

func sourceFailsLate(w *well) {
	if w.h.Late == "" {
		w.Skip("the source refuses before it gives rows")
	}
	_, rows, err := w.read(w.Context(), w.open(nil), connector.Query{SQL: w.h.Late})
	if f := fault.As(err); f == nil || f.Code != fault.SourceQueryFailed && f.Code != fault.SourceIncomplete {
		w.Errorf("%d rows and %v; want an error", len(rows), err)
	}
}

func sourceEmpty(w *well) {
	s := w.open(nil)
	if got := w.rows(s, connector.Query{SQL: "SELECT n FROM (" + w.numbers(3) + ") x WHERE n > 3"}); len(got) != 0 {
		w.Errorf("got %v", got)
	}
}

func sourceNarrows(w *well) {
	s := w.open(nil)
	model := "SELECT n, n * 2 AS twice, n * 3 AS thrice FROM (" + w.numbers(9) + ") x ORDER BY n"
	for _, c := range []struct {
		q    connector.Query
		want []string
	}{
		{connector.Query{Columns: []string{"thrice", "n"}, Where: "n <= 2"}, []string{"3|1", "6|2"}},
		{connector.Query{Where: "n = 1 OR n = 2", Equal: []connector.ColumnIs{{Column: "twice", Value: row.IntValue(4)}}}, []string{"2|4|6"}},
		{connector.Query{Where: "n > 100"}, nil},
		{connector.Query{Where: "n = 3 -- the third"}, []string{"3|6|9"}},
	} {
		c.q.SQL = model
		got := w.rows(s, c.q)
		if slices.Sort(got); !slices.Equal(got, c.want) {
			w.Errorf("%+v: got %v; want %v", c.q, got, c.want)
		}
	}
	for _, n := range []int{1, 4, 100} {
		if got := w.rows(s, connector.Query{SQL: model, Limit: n}); len(got) != min(n, 9) {
			w.Errorf("limit %d: %d rows", n, len(got))
		}
	}
	if got := w.rows(s, connector.Query{SQL: model}); len(got) != 9 || got[0] != "1|2|3" || got[8] != "9|18|27" {
		w.Errorf("in the model's order: %v", got)
	}
}

func sourceQuotes(w *well) {
	s := w.open(nil)
	d := s.Dialect()
	names := w.h.Names
	if names == nil {
		names = []string{"select", "Mixed Case", "with" + string(d.Quote) + "quote", "ünï"}
	}
	var list []string
	for i, n := range names {
		list = append(list, fmt.Sprintf("%d AS %s", i+1, d.Ident(n)))
	}
	q := connector.Query{SQL: "SELECT " + strings.Join(list, ", "), Columns: []string{names[3], names[0], names[2], names[1]}, Equal: []connector.ColumnIs{{Column: names[1], Value: row.IntValue(2)}}}
	schema, rows, err := w.read(w.Context(), s, q)
	if err != nil || len(rows) != 1 {
		w.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, want := range []string{"4", "1", "3", "2"} {
		if rows[0][i].String() != want || schema.Field(i).Name != q.Columns[i] {
			w.Errorf("column %d is %s %s; want %s %s", i, schema.Field(i).Name, rows[0][i], q.Columns[i], want)
		}
	}
}

func sourceBinds(w *well) {
	s := w.open(nil)
	model := "SELECT 1 AS id, 'O''Neil' AS name UNION ALL SELECT 2, 'plain' UNION ALL SELECT 3, '100%'"
	for _, c := range []struct {
		name row.Value
		want []string
	}{
		{row.TextValue("O'Neil"), []string{"1|O'Neil"}},
		{row.TextValue("plain"), []string{"2|plain"}},
		{row.TextValue("100%"), []string{"3|100%"}},
		{row.TextValue("x' OR '1'='1"), nil},
		{row.TextValue("' OR 1=1 -- "), nil},
		{row.TextValue(`\' OR 1=1 -- `), nil},
		{row.TextValue("'; DROP TABLE kit; --"), nil},
		{row.TextValue("%"), nil},
	} {
		got := w.rows(s, connector.Query{SQL: model, Equal: []connector.ColumnIs{{Column: "name", Value: c.name}}})
		if !slices.Equal(got, c.want) {
			w.Errorf("name = %s: got %v; want %v", c.name, got, c.want)
		}
	}
	got := w.rows(s, connector.Query{SQL: model, Equal: []connector.ColumnIs{{Column: "id", Value: row.IntValue(2)}, {Column: "name", Value: row.TextValue("plain")}}})
	if !slices.Equal(got, []string{"2|plain"}) {
		w.Errorf("two conditions: %v", got)
	}
	if got := w.rows(s, connector.Query{SQL: model, Equal: []connector.ColumnIs{{Column: "id", Value: row.IntValue(2)}, {Column: "name", Value: row.TextValue("O'Neil")}}}); len(got) != 0 {
		w.Errorf("two conditions that exclude each other: %v", got)
	}
}

func sourceTable(w *well) {
	if w.world.Table == "" {
		w.Skip("the world has no table")
	}
	s := w.open(nil)
	got := w.rows(s, connector.Query{Table: w.world.Table, Columns: []string{"name", "id"}})
	if slices.Sort(got); !slices.Equal(got, []string{"one|1", "three|3", "two|2"}) {
		w.Errorf("got %v", got)
	}
	if got := w.rows(s, connector.Query{Table: w.world.Table, Where: "id = 2"}); !slices.Equal(got, []string{"2|two"}) {
		w.Errorf("filtered: %v", got)
	}
	_, _, err := w.read(w.Context(), s, connector.Query{Table: "no_such_table"})
	if !fault.Is(err, fault.SourceQueryFailed) {
		w.Errorf("a table that is not there: %v", err)
	}
}

func sourceTail(w *well) {
	s := w.open(nil)
	for _, sql := range []string{"SELECT 1 AS n;", "SELECT 1 AS n -- the end", "SELECT 1 AS n\n;\n"} {
		for _, q := range []connector.Query{{SQL: sql}, {SQL: sql, Where: "n = 1"}} {
			if got := w.rows(s, q); !slices.Equal(got, []string{"1"}) {
				w.Errorf("%q: %v", sql, got)
			}
		}
	}
}
