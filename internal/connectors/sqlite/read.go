package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"modernc.org/sqlite"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// A batch goes out when it has this many rows, or this many bytes of text. An expression's kind is decided within the first.
const (
	batchRows  = 8192
	batchBytes = 4 << 20
)

// columns gives names and declared types without running anything.
func columns(c driver.Conn, query string) ([]column, error) {
	d, ok := c.(interface {
		ColumnInfo(string) ([]sqlite.ColumnInfo, error)
	})
	if !ok {
		return nil, errors.New("the driver does not tell column types")
	}
	info, err := d.ColumnInfo(query)
	if err != nil {
		return nil, err
	}
	out := make([]column, len(info))
	for i, f := range info {
		if slices.ContainsFunc(out[:i], func(c column) bool { return strings.EqualFold(c.name, f.Name) }) {
			return nil, fault.New(fault.SourceQueryFailed, "the query yields two columns named %q", f.Name).WithFix("Give one of them another name with AS.")
		}
		out[i] = column{name: f.Name, declared: f.DeclType, kind: kindOf(f.DeclType)}
	}
	return out, nil
}

// kinds gives the columns with their kinds. For expressions the first rows of the model decide, whatever part of it is asked for.
func (s *source) kinds(ctx context.Context, c driver.Conn, q connector.Query) ([]column, error) {
	q.Equal, q.Limit = nil, 0
	text, _ := q.Render(dialect)
	cols, err := inside(c, text)
	if err != nil || !open(cols) {
		return cols, err
	}
	err = s.scan(ctx, c, cols, text, nil, func(rows [][]driver.Value) (bool, error) {
		settle(cols, rows)
		return false, nil
	})
	settle(cols, nil)
	return cols, err
}

// inside plans the query, first alone, for its own names and errors, then as a subquery, which only a SELECT can be.
func inside(c driver.Conn, text string) ([]column, error) {
	cols, err := columns(c, text)
	if err != nil {
		return nil, err
	}
	_, err = columns(c, "SELECT * FROM (\n"+text+"\n)")
	return cols, err
}

func open(cols []column) bool {
	return slices.ContainsFunc(cols, func(c column) bool { return c.kind == row.Absent })
}

// settle decides the kinds still open from rows; nil = no row has a value: text.
func settle(cols []column, rows [][]driver.Value) {
	for i := range cols {
		for _, r := range rows {
			if cols[i].kind == row.Absent {
				cols[i].kind = kindOfValue(r[i])
			}
		}
		if rows == nil && cols[i].kind == row.Absent {
			cols[i].kind = row.Text
		}
	}
}

// read yields the query's rows as batches.
func (s *source) read(ctx context.Context, c driver.Conn, q connector.Query, yield func(arrow.RecordBatch) bool) error {
	var cols []column
	var err error
	base := len(q.Equal) == 0 && q.Limit == 0
	if base {
		text, _ := q.Render(dialect)
		cols, err = inside(c, text)
	} else {
		cols, err = s.kinds(ctx, c, q)
	}
	if err != nil {
		return err
	}
	text, args := render(q)
	var b *row.Builder
	vals := make([]row.Value, len(cols))
	total := int64(0)
	return s.scan(ctx, c, cols, text, args, func(rows [][]driver.Value) (bool, error) {
		if b == nil {
			settle(cols, rows)
			settle(cols, nil)
			b = row.NewBuilder(schemaOf(cols))
		}
		for _, r := range rows {
			for i := range cols {
				if vals[i], err = cols[i].value(r[i]); err != nil {
					return false, err
				}
			}
			if err := b.Append(vals...); err != nil {
				return false, fault.Wrap(fault.SourceValue, err, "a value cannot be carried exactly").WithFix("Cast the column in the model: CAST(... AS TEXT).")
			}
		}
		total += int64(len(rows))
		if q.Rows != nil {
			q.Rows(total)
		}
		rec := b.Batch()
		defer rec.Release()
		return yield(rec), nil
	})
}

// scan runs a query and hands its rows over in groups until use says stop or the end is reached, which the driver reports as
// io.EOF and nothing else (SQLITE_DONE). Every column is read through a unary plus: it keeps the stored value as it is, and keeps
// the driver from turning texts of declared dates into times (https://www.sqlite.org/lang_expr.html#operators).
func (s *source) scan(ctx context.Context, c driver.Conn, cols []column, text string, args []any, use func([][]driver.Value) (bool, error)) (err error) {
	exprs := make([]string, len(cols))
	for i, col := range cols {
		exprs[i] = "+" + dialect.Ident(col.name)
	}
	q, ok := c.(driver.QueryerContext)
	if !ok {
		return errors.New("the driver cannot query")
	}
	named := make([]driver.NamedValue, len(args))
	for i, a := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	rows, err := q.QueryContext(ctx, "SELECT "+strings.Join(exprs, ", ")+" FROM (\n"+text+"\n)", named)
	if err != nil {
		return err
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	var group [][]driver.Value
	size := 0
	slab := make([]driver.Value, batchRows*len(cols))
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := slab[len(group)*len(cols) : (len(group)+1)*len(cols)]
		switch err := rows.Next(r); {
		case errors.Is(err, io.EOF):
			done = true
		case err != nil:
			return err
		default:
			group = append(group, r)
			for _, v := range r {
				switch v := v.(type) {
				case string:
					size += len(v)
				case []byte:
					size += len(v)
				}
			}
		}
		if len(group) == batchRows || size >= batchBytes || done && len(group) > 0 {
			more, err := use(group)
			if err != nil || !more {
				return err
			}
			group, size = group[:0], 0
		}
	}
	return nil
}

// render writes the query. Times are stored as texts in several forms, so a condition on one lists them.
func render(q connector.Query) (string, []any) {
	if len(q.Equal) == 0 {
		text, _ := q.Render(dialect)
		return text, nil
	}
	var conds []string
	var args []any
	if q.Where != "" {
		conds = append(conds, "("+q.Where+"\n)")
	}
	for _, e := range q.Equal {
		forms, col := parameters(e.Value), dialect.Ident(e.Column)
		switch e.Value.Kind() { //nolint:exhaustive // the others are compared as they are stored
		case row.UUID:
			col = "lower(" + col + ")"
		case row.Instant: // any offset may be stored; to the millisecond
			conds, args = append(conds, "julianday("+col+") = julianday(?)"), append(args, forms[0])
			continue
		}
		conds = append(conds, col+" IN (?"+strings.Repeat(", ?", len(forms)-1)+")")
		args = append(args, forms...)
	}
	q.Where, q.Equal = strings.Join(conds, " AND "), nil
	text, _ := q.Render(dialect)
	return text, args
}

// parameters gives the stored forms a value may have.
func parameters(v row.Value) []any {
	switch v.Kind() {
	case row.Null, row.Absent:
		return []any{nil}
	case row.Bool:
		if v.Bool() {
			return []any{int64(1)}
		}
		return []any{int64(0)}
	case row.Int:
		return []any{v.Int()}
	case row.Float:
		return []any{v.Float()}
	case row.Bytes:
		return []any{[]byte(v.Str())}
	case row.Decimal, row.Uint:
		forms := []any{v.String()}
		if n, err := strconv.ParseInt(row.NormalDecimal(v.String()), 10, 64); err == nil {
			return append(forms, n)
		}
		if f, err := strconv.ParseFloat(v.String(), 64); err == nil && row.NormalDecimal(strconv.FormatFloat(f, 'f', -1, 64)) == row.NormalDecimal(v.String()) {
			forms = append(forms, f)
		}
		return forms
	case row.Timestamp, row.Time:
		var forms []any
		day := "2006-01-02 "
		t := v.GoTime()
		if v.Kind() == row.Time {
			day, t = "", row.TimestampValue(v.Int()/1e9, uint32(v.Int()%1e9)).GoTime()
		}
		clocks := []string{"15:04:05.999999999", "15:04:05.000", "15:04:05.000000", "15:04:05.000000000"}
		if t.Second() == 0 && t.Nanosecond() == 0 {
			clocks = append(clocks, "15:04")
		}
		for _, c := range clocks {
			text := t.Format(day + c)
			forms = append(forms, text, strings.Replace(text, " ", "T", 1))
		}
		return forms
	case row.Text, row.Date, row.Instant, row.Interval, row.UUID, row.JSON, row.Array:
	}
	return []any{v.String()}
}
