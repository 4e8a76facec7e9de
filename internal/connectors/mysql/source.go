package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// A batch goes out when it has this many rows, or this many bytes of text.
const (
	batchRows  = 8192
	batchBytes = 8 << 20
)

type source struct {
	*dialer
}

// Dialect gives MySQL's way of writing SQL.
func (s *source) Dialect() connector.Dialect { return dialect }

// Close has nothing to give back: every read has a connection of its own.
func (s *source) Close() error { return nil }

// Check logs in and runs a statement.
func (s *source) Check(ctx context.Context) error {
	for _, err := range s.Read(ctx, connector.Query{SQL: "SELECT 1 AS one"}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// Describe gives the columns of the query from a result of no rows: LIMIT 0 is answered without running the query
// (https://dev.mysql.com/doc/refman/8.4/en/limit-optimization.html).
func (s *source) Describe(ctx context.Context, q connector.Query) (*arrow.Schema, error) {
	q.Equal, q.Limit = nil, 0
	sql, _ := q.Render(dialect)
	var schema *arrow.Schema
	err := s.run(ctx, q, "SELECT * FROM (\n"+sql+"\n) AS upwell_described LIMIT 0", nil, func(r *result) error {
		schema = r.schema
		return nil
	})
	return schema, err
}

// Read streams the query's rows.
func (s *source) Read(ctx context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		sql, args := q.Render(decimalDialect(q.Equal))
		err := s.run(ctx, q, sql, args, func(r *result) error {
			return r.stream(q.Rows, func(b arrow.RecordBatch) bool { return yield(b, nil) })
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// decimalDialect casts decimal parameters with all the digits these values have.
func decimalDialect(equal []connector.ColumnIs) connector.Dialect {
	scale := 0
	for _, e := range equal {
		if e.Value.Kind() == row.Decimal {
			_, frac, _ := strings.Cut(row.NormalDecimal(e.Value.Str()), ".")
			scale = max(scale, len(frac))
		}
	}
	d := dialect
	d.ParamCast = map[row.Kind]string{row.Decimal: fmt.Sprintf("CAST(%%s AS DECIMAL(65,%d))", min(scale, 30))}
	return d
}

// result is one statement's answer being read.
type result struct {
	rows   driver.Rows
	types  []typ
	schema *arrow.Schema
	scrub  func(string) string
}

// run executes one statement in a read-only transaction on a connection of its own, and hands its answer to use. The connection
// is closed afterwards, which also ends a statement whose rows nobody wants any more.
func (s *source) run(ctx context.Context, q connector.Query, sql string, args []row.Value, use func(*result) error) error {
	c, err := s.connect(ctx)
	if err != nil {
		return s.connectFault(ctx, err)
	}
	inner, leave := context.WithCancel(ctx)
	defer leave()
	id, err := connectionID(inner, c)
	if err == nil {
		err = execute(inner, c, "START TRANSACTION READ ONLY")
	}
	if err != nil {
		_ = c.Close() //nolint:errcheck // the first error counts
		return s.readFault(ctx, err, "opening a read-only transaction")
	}
	finished := false
	defer func() {
		if finished {
			_ = c.Close() //nolint:errcheck // everything has been read
			return
		}
		leave()       // closes the socket at once, instead of reading the rest of the answer
		_ = c.Close() //nolint:errcheck // the answer is given up
		s.kill(id)
	}()
	rows, err := s.query(inner, c, sql, args)
	if err != nil {
		finished = ctx.Err() == nil
		return s.queryFault(inner, c, q, err)
	}
	r := &result{rows: rows, scrub: s.scrub}
	if r.types, err = typesOf(rows); err != nil {
		return err
	}
	fields := make([]arrow.Field, len(r.types))
	for i, t := range r.types {
		fields[i] = t.field()
	}
	r.schema = arrow.NewSchema(fields, nil)
	if err := use(r); err != nil {
		if errors.Is(err, errLeft) {
			return nil
		}
		return s.readFault(ctx, err, "reading the result")
	}
	finished = true
	return nil
}

func (s *source) query(ctx context.Context, c driver.Conn, sql string, args []row.Value) (driver.Rows, error) {
	p, ok := c.(driver.ConnPrepareContext)
	if !ok {
		return nil, errors.New("the driver cannot prepare")
	}
	st, err := p.PrepareContext(ctx, sql)
	if err != nil {
		return nil, err
	}
	q, ok := st.(driver.StmtQueryContext)
	if !ok {
		return nil, errors.New("the driver cannot query")
	}
	if n := st.NumInput(); n != len(args) {
		return nil, fault.New(fault.SourceQueryFailed, "the query has %d parameters of its own", n-len(args)).
			WithFix("A model takes no parameters: write the value in place of the question mark.")
	}
	named := make([]driver.NamedValue, len(args))
	for i, a := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: parameter(a)}
	}
	return q.QueryContext(ctx, named)
}

// parameter gives a value in the form the driver binds.
func parameter(v row.Value) driver.Value {
	switch v.Kind() {
	case row.Null, row.Absent:
		return nil
	case row.Bool:
		if v.Bool() {
			return int64(1)
		}
		return int64(0)
	case row.Int:
		return v.Int()
	case row.Uint:
		return v.Uint()
	case row.Float:
		return v.Float()
	case row.Bytes:
		return []byte(v.Str())
	case row.Timestamp, row.Instant:
		return v.GoTime().Format("2006-01-02 15:04:05.999999999")
	case row.Decimal, row.Text, row.Date, row.Time, row.Interval, row.UUID, row.JSON, row.Array:
	}
	return v.String()
}

func connectionID(ctx context.Context, c driver.Conn) (uint64, error) {
	q, ok := c.(driver.QueryerContext)
	if !ok {
		return 0, errors.New("the driver cannot query")
	}
	rows, err := q.QueryContext(ctx, "SELECT CAST(CONNECTION_ID() AS SIGNED)", nil)
	if err != nil {
		return 0, err
	}
	dest := make([]driver.Value, 1)
	err = rows.Next(dest)
	if closing := rows.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return 0, err
	}
	id, ok := dest[0].(int64)
	if !ok {
		return 0, fmt.Errorf("the server's connection id is %v", dest[0])
	}
	return uint64(id), nil
}

// typesOf reads the columns of a result.
func typesOf(rows driver.Rows) ([]typ, error) {
	names := rows.Columns()
	named, ok := rows.(driver.RowsColumnTypeDatabaseTypeName)
	scaled, ok2 := rows.(driver.RowsColumnTypePrecisionScale)
	if !ok || !ok2 {
		return nil, errors.New("the driver does not tell column types")
	}
	out := make([]typ, len(names))
	seen := map[string]bool{}
	for i, name := range names {
		if seen[name] {
			return nil, fault.New(fault.SourceQueryFailed, "the query yields two columns named %q", name).WithFix("Give one of them another name with AS.")
		}
		seen[name] = true
		t := typ{name: name, server: named.ColumnTypeDatabaseTypeName(i)}
		f, known := forms[t.server]
		if !known {
			return nil, fault.New(fault.SourceTypeUnsupported, "column %q has type %s, which cannot be carried", name, strings.ToLower(t.server)).WithFix("%s", t.remedy(nil))
		}
		t.form = f
		if f == formTime || f == formDatetime || f == formTimestamp {
			// The driver writes as many digits of the fraction as the column declares: an expression without a declared number
			// (31) would lose them.
			if _, decimals, ok := scaled.ColumnTypePrecisionScale(i); ok && decimals > 6 {
				return nil, fault.New(fault.SourceTypeUnsupported, "column %q has a time of undeclared precision", name).
					WithFix("Cast it in the model: CAST(%s AS %s(6)).", ident(name), t.server)
			}
		}
		out[i] = t
	}
	return out, nil
}

// errLeft says that the consumer left the loop.
var errLeft = errors.New("the reader left")

// stream yields batches until the server's end marker: io.EOF comes from nothing else
// (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_eof_packet.html).
func (r *result) stream(progress func(int64), yield func(arrow.RecordBatch) bool) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, r.schema)
	defer b.Release()
	dest := make([]driver.Value, len(r.types))
	total, n, size := int64(0), 0, 0
	flush := func() bool {
		total += int64(n)
		n, size = 0, 0
		rec := b.NewRecordBatch()
		defer rec.Release()
		if progress != nil {
			progress(total)
		}
		return yield(rec)
	}
	for {
		err := r.rows.Next(dest)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for i, t := range r.types {
			if err := t.add(b.Field(i), dest[i]); err != nil {
				return fault.Wrap(fault.SourceValue, err, "column %q (%s) holds a value that cannot be carried exactly", t.name, strings.ToLower(t.server)).
					WithFix("%s", t.remedy(err))
			}
			if s, ok := dest[i].([]byte); ok {
				size += len(s)
			}
		}
		if n++; n == batchRows || size >= batchBytes {
			if !flush() {
				return errLeft
			}
		}
	}
	if n > 0 && !flush() {
		return errLeft
	}
	return nil
}
