// Package govern decides whether a model's data and a sync's fields may go out: model tests and policies.
package govern

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// TestResult is one model test's outcome.
type TestResult struct {
	Name    string
	Passed  bool
	Warn    bool
	Failing int64        // rows that fail
	Message string       // what was expected and what was found
	Columns []string     // of Sample
	Sample  [][]string   // a few failing rows, as text
	Error   *fault.Error // the test could not be run: neither passed nor failed
}

const sampleRows = 5

// Test runs a model's tests against its source. A test that cannot be run is an error, not a pass: the first such error comes back
// beside the results. The others are run all the same, unless the source itself fails.
func Test(ctx context.Context, src connector.Source, m *project.Model) (out []TestResult, err error) {
	names, err := columnsOf(ctx, src, m)
	if err != nil {
		return nil, err
	}
	for i := range m.Tests {
		t := &m.Tests[i]
		r, failed := TestResult{Name: t.Name, Warn: t.Warn}, missing(names, t)
		if failed == nil {
			r, failed = runTest(ctx, src, m, t)
		}
		if failed != nil {
			r.Error = broken(t, fault.As(failed))
			if err == nil {
				err = r.Error
			}
			if r.Error.GetClass() != fault.ClassConfig || ctx.Err() != nil {
				return out, r.Error
			}
		}
		out = append(out, r)
	}
	return out, err
}

// broken says which test could not be run.
func broken(t *project.Test, cause *fault.Error) *fault.Error {
	f := *cause
	f.Message = "test " + t.Name + " could not be run: " + f.Message
	if f.Code == fault.SourceQueryFailed && f.Fix == "" && t.Kind == project.TestSQL {
		f.Fix = "Mend the query of the test; {{ model }} stands for the model."
	}
	f.Line, f.Column = 0, 0 // they are of the statement the test became
	if f.Where == nil {
		f.Where = &t.Where
	}
	return &f
}

// columnsOf gives the model's columns when a test names some.
func columnsOf(ctx context.Context, src connector.Source, m *project.Model) (names []string, err error) {
	if !slices.ContainsFunc(m.Tests, func(t project.Test) bool { return len(t.Columns) > 0 }) {
		return nil, nil
	}
	schema, err := src.Describe(ctx, connector.Query{SQL: m.SQL, Table: m.Table})
	if err != nil {
		return nil, err
	}
	for _, f := range schema.Fields() {
		names = append(names, f.Name)
	}
	return names, nil
}

// missing looks for the test's columns among the model's. The source is not left to notice: SQLite takes a quoted name that is no
// column for a text, so that a misspelt not_null would pass.
func missing(names []string, t *project.Test) error {
	for _, c := range t.Columns {
		if slices.Contains(names, c) {
			continue
		}
		f := fault.New(fault.SourceColumnMissing, "the model has no column %q", c).WithFix("use one of: %s", strings.Join(names, ", "))
		if near := project.Suggest(c, names); near != "" {
			f.WithFix("did you mean `%s`?", near)
		}
		return f
	}
	return nil
}

func runTest(ctx context.Context, src connector.Source, m *project.Model, t *project.Test) (TestResult, error) {
	r := TestResult{Name: t.Name, Warn: t.Warn}
	query, err := statement(src.Dialect(), m, t)
	if err != nil {
		return r, err
	}
	if t.Kind == project.TestRowCount {
		return r, countRows(ctx, src, query, t, &r)
	}
	for rec, err := range src.Read(ctx, connector.Query{SQL: query}) {
		if err != nil {
			return r, err
		}
		r.Failing += rec.NumRows()
		if err := sample(rec, &r); err != nil {
			return r, err
		}
	}
	r.Passed = r.Failing == 0
	if !r.Passed {
		r.Message = explain(t, r.Failing)
	}
	return r, nil
}

// explain says what was found: n failing rows.
func explain(t *project.Test, n int64) string {
	cols := strings.Join(t.Columns, ", ")
	switch t.Kind {
	case project.TestNotNull:
		return counted(n, "row") + " where " + strings.Join(t.Columns, " or ") + " is null"
	case project.TestUnique:
		if n == 1 {
			return "1 value of " + cols + " occurs more than once"
		}
		return counted(n, "value") + " of " + cols + " occur more than once"
	case project.TestAcceptedRange:
		var ends []string
		if t.Min != nil {
			ends = append(ends, "below "+t.Min.String())
		}
		if t.Max != nil {
			ends = append(ends, "above "+t.Max.String())
		}
		return counted(n, "row") + " where " + cols + " is " + strings.Join(ends, " or ")
	case project.TestAcceptedValues:
		return counted(n, "row") + " where " + cols + " has another value than accepted"
	case project.TestSQL, project.TestRowCount:
	}
	return counted(n, "row") + " returned"
}

func counted(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func sample(rec arrow.RecordBatch, r *TestResult) error {
	if r.Columns == nil {
		for _, f := range rec.Schema().Fields() {
			r.Columns = append(r.Columns, f.Name)
		}
	}
	for i := range int(rec.NumRows()) {
		if len(r.Sample) >= sampleRows {
			return nil
		}
		var line []string
		for j, f := range rec.Schema().Fields() {
			k, err := row.KindOf(f)
			if err != nil {
				return err
			}
			line = append(line, row.At(rec.Column(j), k, i).String())
		}
		r.Sample = append(r.Sample, line)
	}
	return nil
}

// statement writes the query that returns failing rows (row_count: the count).
func statement(d connector.Dialect, m *project.Model, t *project.Test) (string, error) {
	rel := connector.Query{SQL: m.SQL, Table: m.Table}.Relation(d)
	cols := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		cols[i] = d.Ident(c)
	}
	from := " FROM " + rel + " AS upwell_model"
	switch t.Kind {
	case project.TestSQL:
		if m.SQL == "" {
			return fillModel(t.Query, rel, ""), nil
		}
		return fillModel(t.Query, modelName, rel), nil
	case project.TestRowCount:
		return "SELECT COUNT(*) AS n" + from, nil
	case project.TestNotNull:
		return "SELECT *" + from + " WHERE " + strings.Join(each(cols, "%s IS NULL"), " OR "), nil
	case project.TestUnique:
		list := strings.Join(cols, ", ")
		return "SELECT " + list + ", COUNT(*) AS occurrences" + from + " WHERE " + strings.Join(each(cols, "%s IS NOT NULL"), " AND ") +
			" GROUP BY " + list + " HAVING COUNT(*) > 1", nil
	case project.TestAcceptedRange:
		var or []string
		if t.Min != nil {
			or = append(or, cols[0]+" < "+literal(*t.Min))
		}
		if t.Max != nil {
			or = append(or, cols[0]+" > "+literal(*t.Max))
		}
		return "SELECT *" + from + " WHERE " + strings.Join(or, " OR "), nil
	case project.TestAcceptedValues:
		var vals []string
		for _, v := range t.Values {
			if !v.IsNull() {
				vals = append(vals, literal(v))
			}
		}
		return "SELECT *" + from + " WHERE " + cols[0] + " IS NOT NULL AND " + cols[0] + " NOT IN (" + strings.Join(vals, ", ") + ")", nil
	}
	return "", fault.New(fault.Internal, "unknown test kind %q", t.Kind)
}

func each(list []string, format string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf(format, s)
	}
	return out
}

// literal writes a test's parameter. Parameters come from the project file, which may hold any SQL anyway; quoting keeps
// apostrophes right. Numbers are bare, texts standard strings.
func literal(v row.Value) string {
	switch v.Kind() {
	case row.Int, row.Uint, row.Float, row.Decimal, row.Bool:
		return v.String()
	case row.Absent, row.Null:
		return "NULL"
	case row.Text, row.Bytes, row.Date, row.Time, row.Timestamp, row.Instant, row.Interval, row.UUID, row.JSON, row.Array:
	}
	return "'" + strings.ReplaceAll(v.String(), "'", "''") + "'"
}

func countRows(ctx context.Context, src connector.Source, query string, t *project.Test, r *TestResult) error {
	n := int64(-1)
	for rec, err := range src.Read(ctx, connector.Query{SQL: query}) {
		if err != nil {
			return err
		}
		if rec.NumRows() > 0 {
			k, err := row.KindOf(rec.Schema().Field(0))
			if err != nil {
				return err
			}
			n = row.At(rec.Column(0), k, 0).Int()
		}
	}
	if n < 0 {
		return fault.New(fault.SourceQueryFailed, "counting rows gave no answer")
	}
	r.Passed = (t.Min == nil || n >= t.Min.Int()) && (t.Max == nil || n <= t.Max.Int())
	if !r.Passed {
		r.Failing, r.Message = n, "the model has "+counted(n, "row")
		if t.Min != nil && n < t.Min.Int() {
			r.Message += ", fewer than " + t.Min.String()
		} else {
			r.Message += ", more than " + t.Max.String()
		}
	}
	return nil
}
