// Package govern decides whether a model's data and a sync's fields may go out: model tests and policies.
package govern

import (
	"context"
	"fmt"
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
	Failing int64      // rows that fail
	Message string     // what was expected and what was found
	Columns []string   // of Sample
	Sample  [][]string // a few failing rows, as text
}

const sampleRows = 5

// Test runs a model's tests against its source. A test query that fails to run is an error, not a pass.
func Test(ctx context.Context, src connector.Source, m *project.Model) ([]TestResult, error) {
	var out []TestResult
	for i := range m.Tests {
		r, err := runTest(ctx, src, m, &m.Tests[i])
		if err != nil {
			f := *fault.As(err)
			f.Message = "test " + m.Tests[i].Name + " could not be run: " + f.Message
			if f.Where == nil {
				f.Where = &m.Tests[i].Where
			}
			return out, &f
		}
		out = append(out, r)
	}
	return out, nil
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
		r.Message = fmt.Sprintf("%d %s", r.Failing, explain(t))
	}
	return r, nil
}

func explain(t *project.Test) string {
	cols := strings.Join(t.Columns, ", ")
	switch t.Kind {
	case project.TestNotNull:
		return "rows where " + cols + " is null"
	case project.TestUnique:
		return "values of " + cols + " that occur more than once"
	case project.TestAcceptedRange:
		return "rows where " + cols + " is out of range"
	case project.TestAcceptedValues:
		return "rows where " + cols + " has another value than accepted"
	case project.TestSQL:
		return "rows returned"
	case project.TestRowCount:
	}
	return "rows"
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
		return fillModel(t.Query, rel), nil
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

// fillModel puts the model in place of {{ model }}: a name stays a name, SQL becomes a subquery with an alias where none is given.
func fillModel(query, rel string) string {
	var b strings.Builder
	for {
		i := strings.Index(query, "{{")
		j := strings.Index(query, "}}")
		if i < 0 || j < i {
			b.WriteString(query)
			return strings.TrimRight(strings.TrimSpace(b.String()), ";")
		}
		b.WriteString(query[:i])
		if strings.TrimSpace(query[i+2:j]) == "model" {
			b.WriteString("(SELECT * FROM " + rel + " AS upwell_inner) AS upwell_model")
		} else {
			b.WriteString(query[i : j+2])
		}
		query = query[j+2:]
	}
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
		r.Failing, r.Message = n, fmt.Sprintf("the model has %d rows", n)
	}
	return nil
}
