package duckdb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// A batch goes out when it has this many rows, or this many bytes of text.
const (
	batchRows  = 16384
	batchBytes = 4 << 20
)

// statement is a prepared query and how its columns become Arrow.
type statement struct {
	conn    *conn
	raw     bindings.PreparedStatement
	columns []*column
}

// prepare plans a query. Columns that DuckDB stores in a form without a counterpart (nested values, bit strings) are turned
// into text by DuckDB itself, in a projection around the query.
func (c *conn) prepare(q connector.Query) (*statement, error) {
	sql, args := q.Render(dialect)
	plain := q
	plain.Equal, plain.Limit = nil, 0 // parameters have no types yet, and none is needed to know the columns
	typed, _ := plain.Render(dialect)

	raw, err := c.compile(typed)
	if err != nil {
		return nil, c.locate(q, err)
	}
	st := &statement{conn: c, raw: raw}
	if st.columns, err = describe(raw); err != nil {
		st.close()
		return nil, err
	}
	final := project(sql, st.columns)
	if final != typed {
		bindings.DestroyPrepare(&st.raw)
		if st.raw, err = c.compile(final); err != nil {
			return nil, err
		}
	}
	for i, v := range args {
		if err := bind(st.raw, i+1, v); err != nil {
			st.close()
			what := fmt.Sprintf("parameter %d", i+1)
			if len(q.Equal) > i {
				what = fmt.Sprintf("column %q", q.Equal[i].Column)
			}
			return nil, fault.Wrap(fault.SourceQueryFailed, err, "comparing %s", what)
		}
	}
	return st, nil
}

func (c *conn) compile(sql string) (bindings.PreparedStatement, error) {
	var raw bindings.PreparedStatement
	if bindings.Prepare(c.raw, sql, &raw) == bindings.StateError {
		msg := bindings.PrepareError(raw)
		bindings.DestroyPrepare(&raw)
		return raw, refusal(msg)
	}
	if bindings.PreparedStatementType(raw) != bindings.StatementTypeSelect {
		bindings.DestroyPrepare(&raw)
		return raw, fault.New(fault.SourceQueryFailed, "planning the query on %s: it is not a SELECT", c.holder.options.name).
			WithFix("A model is one SELECT statement; the source is only read.")
	}
	return raw, nil
}

// locate gives the error of the model's own text, whose line numbers are the user's, when that text alone is already wrong.
func (c *conn) locate(q connector.Query, err error) error {
	var r refusal
	if q.SQL == "" || !errors.As(err, &r) {
		return err
	}
	raw, own := c.compile(q.SQL)
	if own != nil {
		if errors.As(own, &r) {
			return owned{r}
		}
		return own
	}
	bindings.DestroyPrepare(&raw)
	return err
}

func describe(raw bindings.PreparedStatement) ([]*column, error) {
	n := bindings.PreparedStatementColumnCount(raw)
	cols := make([]*column, n)
	seen := make(map[string]bool, n)
	for i := range n {
		name := bindings.PreparedStatementColumnName(raw, i)
		if seen[name] {
			return nil, fault.New(fault.SourceQueryFailed, "planning the query: two columns are named %q", name).
				WithFix("Give one of them another name with AS.")
		}
		seen[name] = true
		logical := bindings.PreparedStatementColumnLogicalType(raw, i)
		col, err := newColumn(name, logical)
		bindings.DestroyLogicalType(&logical)
		if err != nil {
			return nil, err
		}
		cols[i] = col
	}
	return cols, nil
}

// project wraps sql where a column needs DuckDB to turn it into text.
func project(sql string, cols []*column) string {
	wrap := false
	names, exprs := make([]string, len(cols)), make([]string, len(cols))
	for i, c := range cols {
		names[i] = fmt.Sprintf("c%d", i)
		expr := names[i]
		if c.cast != "" {
			wrap = true
			expr = strings.ReplaceAll(c.cast, "%s", names[i])
		}
		exprs[i] = expr + " AS " + dialect.Ident(c.field.Name)
	}
	if !wrap {
		return sql
	}
	return "SELECT " + strings.Join(exprs, ", ") + " FROM (\n" + sql + "\n) AS upwell_text(" + strings.Join(names, ", ") + ")"
}

// stream runs the statement and yields batches until the result's end marker or an error.
func (st *statement) stream(progress func(int64), yield func(arrow.RecordBatch) bool) error {
	var pending bindings.PendingResult
	// The call is marked deprecated since DuckDB 1.0 and is the only way to a result that is not held in memory first.
	state := bindings.PendingPreparedStreaming(st.raw, &pending)
	defer bindings.DestroyPending(&pending)
	if state == bindings.StateError {
		return refusal(bindings.PendingError(pending))
	}
	var res bindings.Result
	state = bindings.ExecutePending(pending, &res)
	defer bindings.DestroyResult(&res)
	if state == bindings.StateError {
		return refusal(bindings.ResultError(&res))
	}
	if err := st.matches(&res); err != nil {
		return err
	}
	out := batch{schema: schemaOf(st.columns), columns: st.columns}
	total := int64(0)
	flush := func() bool {
		total += int64(out.rows)
		rec := out.record()
		defer rec.Release()
		if progress != nil {
			progress(total)
		}
		return yield(rec)
	}
	for {
		more, err := out.fetch(&res)
		if err != nil {
			return err
		}
		if err := st.conn.ctx.Err(); err != nil {
			return err
		}
		if !more {
			break
		}
		if out.full() && !flush() {
			return nil
		}
	}
	if out.rows > 0 {
		flush()
	}
	return nil
}

// matches makes sure that the result has the columns planned for: a file may have changed since.
func (st *statement) matches(res *bindings.Result) error {
	n := int(bindings.ColumnCount(res))
	same := n == len(st.columns)
	for i := 0; same && i < n; i++ {
		got := bindings.ColumnType(res, bindings.IdxT(i))
		want := st.columns[i].typ
		same = got == want || st.columns[i].cast != "" && got == bindings.TypeVarchar || want == bindings.TypeSQLNull
	}
	if !same {
		return fault.New(fault.SourceIncomplete, "running the query: its columns changed between planning and reading").
			WithFix("A file it reads was replaced meanwhile; run again.")
	}
	return nil
}

func (st *statement) close() { bindings.DestroyPrepare(&st.raw) }

// batch collects chunks into one Arrow record. Its memory is reused: a record is valid until the next fetch.
type batch struct {
	schema  *arrow.Schema
	columns []*column
	rows    int
	lent    bool // the record of these rows is with the consumer
}

// fetch takes one chunk from the result; false at its end. DuckDB gives no chunk at the end and after an error alike
// (duckdb_fetch_chunk in https://duckdb.org/docs/stable/clients/c/api): only the result's error state tells them apart, and
// an interrupt is such an error.
func (b *batch) fetch(res *bindings.Result) (bool, error) {
	if b.lent {
		for _, c := range b.columns {
			c.reset()
		}
		b.rows, b.lent = 0, false
	}
	chunk := bindings.FetchChunk(*res)
	defer bindings.DestroyDataChunk(&chunk)
	n := 0
	if chunk.Ptr != nil {
		n = int(bindings.DataChunkGetSize(chunk))
	}
	if n == 0 {
		if msg := bindings.ResultError(res); msg != "" || bindings.ResultErrorType(res) != bindings.ErrorTypeInvalid {
			return false, refusal(msg)
		}
		return false, nil
	}
	for i, c := range b.columns {
		if err := c.take(bindings.DataChunkGetVector(chunk, bindings.IdxT(i)), b.rows, n); err != nil {
			return false, err
		}
	}
	b.rows += n
	return true, nil
}

func (b *batch) full() bool {
	if b.rows >= batchRows {
		return true
	}
	bytes := 0
	for _, c := range b.columns {
		if c.text {
			bytes += len(c.data)
		}
	}
	return bytes >= batchBytes
}

func (b *batch) record() arrow.RecordBatch {
	cols := make([]arrow.Array, len(b.columns))
	for i, c := range b.columns {
		cols[i] = c.array(b.rows)
	}
	rec := array.NewRecordBatch(b.schema, cols, int64(b.rows))
	for _, c := range cols {
		c.Release()
	}
	b.lent = true
	return rec
}

// bind gives a parameter its value, in the type the model's column has.
func bind(st bindings.PreparedStatement, n int, v row.Value) error {
	i := bindings.IdxT(n)
	state := bindings.StateError
	switch v.Kind() {
	case row.Null:
		state = bindings.BindNull(st, i)
	case row.Bool:
		state = bindings.BindBoolean(st, i, v.Bool())
	case row.Int:
		state = bindings.BindInt64(st, i, v.Int())
	case row.Uint:
		state = bindings.BindUInt64(st, i, v.Uint())
	case row.Float:
		state = bindings.BindDouble(st, i, v.Float())
	case row.Bytes:
		state = bindings.BindBlob(st, i, []byte(v.Str()))
	case row.Text, row.UUID, row.JSON:
		state = bindings.BindVarchar(st, i, v.Str())
	case row.Decimal, row.Date, row.Time, row.Timestamp, row.Instant:
		val, err := valueOf(v)
		if err != nil {
			return err
		}
		defer bindings.DestroyValue(&val)
		state = bindings.BindValue(st, i, val)
	case row.Absent, row.Interval, row.Array:
		return fmt.Errorf("a column of kind %s cannot be compared with a parameter", v.Kind())
	}
	if state == bindings.StateError {
		return fmt.Errorf("DuckDB does not take %s %q as a parameter", v.Kind(), v)
	}
	return nil
}
