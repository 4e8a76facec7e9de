package snowflake

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// dialect is Snowflake's (https://docs.snowflake.com/en/sql-reference/identifiers-syntax). Parameters travel as text: casts give
// them the type of what they are compared with.
var dialect = connector.Dialect{
	Name: typeName, Quote: '"', Placeholder: "?", Upper: true,
	ParamCast: map[row.Kind]string{
		row.Int: "CAST(%s AS NUMBER(38, 0))", row.Uint: "CAST(%s AS NUMBER(38, 0))", row.Float: "CAST(%s AS FLOAT)",
		row.Bool: "CAST(%s AS BOOLEAN)", row.Bytes: "TO_BINARY(%s, 'HEX')", row.Date: "CAST(%s AS DATE)", row.Time: "CAST(%s AS TIME(9))",
		row.Timestamp: "CAST(%s AS TIMESTAMP_NTZ(9))", row.Instant: "CAST(%s AS TIMESTAMP_TZ(9))",
		row.JSON: "PARSE_JSON(%s)", row.Array: "PARSE_JSON(%s)",
	},
	Ledger: &ledgerSQL,
}

type source struct {
	config  *sf.Config
	name    string // of the connection in the project
	secrets []string
	db      *sql.DB
}

func newSource(c *sf.Config, base *http.Transport, name string, secrets []string) *source {
	s := &source{config: c, name: name, secrets: secrets, db: sql.OpenDB(&sessions{c, base})}
	s.db.SetMaxIdleConns(2)
	s.db.SetConnMaxIdleTime(10 * time.Minute)
	return s
}

// Dialect gives Snowflake's way of writing SQL.
func (s *source) Dialect() connector.Dialect { return dialect }

// Close ends the sessions.
func (s *source) Close() error {
	if err := s.db.Close(); err != nil {
		return fault.Wrap(fault.SourceUnreachable, errors.New(s.scrub(err)), "closing %s", s.name)
	}
	return nil
}

// Check signs in and asks which warehouse will compute; asking resumes none.
func (s *source) Check(ctx context.Context) error {
	found := false
	for b, err := range s.Read(ctx, connector.Query{SQL: "SELECT CURRENT_WAREHOUSE() AS WAREHOUSE"}) {
		if err != nil {
			return err
		}
		found = found || b.NumRows() > 0 && b.Column(0).IsValid(0)
	}
	if !found {
		return fault.New(fault.SourceAuth, "%s: no warehouse is in use, so no query can run", s.name).
			WithFix("Set `warehouse` on the source, and: GRANT USAGE ON WAREHOUSE %s TO ROLE %s;", orName(s.config.Warehouse, "<warehouse>"), s.role())
	}
	return nil
}

// Describe lets the server plan the query; nothing runs, and no warehouse resumes.
func (s *source) Describe(ctx context.Context, q connector.Query) (schema *arrow.Schema, err error) {
	err = s.with(ctx, func(ss *session) error {
		schema, err = s.describe(ctx, ss, q)
		return err
	})
	return schema, err
}

func (s *source) describe(ctx context.Context, ss *session, q connector.Query) (*arrow.Schema, error) {
	q.Equal, q.Limit = nil, 0
	stmt, args, err := render(q)
	if err != nil {
		return nil, err
	}
	asModel, isModel := asSelect(q, stmt)
	loader, err := s.ask(sf.WithDescribeOnly(ctx), ss, asModel, args)
	if err != nil {
		if !isModel || ctx.Err() != nil {
			return nil, s.queryFault(ctx, ss, err, "planning the query")
		}
		// The model's own text has the line numbers of the file; and what is refused only inside of parentheses is no SELECT.
		if _, own := s.ask(sf.WithDescribeOnly(ctx), ss, stmt, args); own != nil {
			return nil, s.queryFault(ctx, ss, own, "planning the query")
		}
		if fault.Is(s.queryFault(ctx, ss, err, ""), fault.SourceQueryFailed) {
			return nil, fault.New(fault.SourceQueryFailed, "planning the query on %s: it is not a SELECT", s.name).
				WithFix("A model is one SELECT statement; the source is only read.")
		}
		return nil, s.queryFault(ctx, ss, err, "planning the query")
	}
	cols, err := planColumns(loader)
	if err != nil {
		return nil, err
	}
	return schemaOf(cols), nil
}

// asSelect puts a model that is sent as it is into parentheses, where nothing but a SELECT may stand.
func asSelect(q connector.Query, stmt string) (string, bool) {
	if q.SQL == "" || q.Columns != nil || q.Where != "" || len(q.Equal) > 0 || q.Limit > 0 {
		return stmt, false
	}
	return "SELECT * FROM (\n" + stmt + "\n) AS upwell_model", true
}

// Read runs the query and gives its parts on in order.
func (s *source) Read(ctx context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		left := false
		err := s.with(ctx, func(ss *session) error {
			return s.read(ctx, ss, q, func(b arrow.RecordBatch) bool {
				left = !yield(b, nil)
				return !left
			})
		})
		if err != nil && !left {
			yield(nil, err)
		}
	}
}

func (s *source) read(ctx context.Context, ss *session, q connector.Query, yield func(arrow.RecordBatch) bool) error {
	stmt, args, err := render(q)
	if err != nil {
		return err
	}
	if _, isModel := asSelect(q, stmt); isModel {
		if _, err := s.describe(ctx, ss, q); err != nil {
			return err
		}
	}
	loader, err := s.ask(ctx, ss, stmt, args)
	if err != nil {
		return s.queryFault(ctx, ss, err, "running the query")
	}
	if f, ok := loader.(sf.QueryResultFormatProvider); ok && f.QueryResultFormat() != "arrow" && loader.TotalRows() > 0 {
		return fault.New(fault.SourceQueryFailed, "running the query on %s: Snowflake answers this statement in the format %q, which does not carry values exactly", s.name, f.QueryResultFormat()).
			WithFix("A model is one SELECT over tables and views; read what SHOW and CALL give from a table.")
	}
	cols, err := planColumns(loader)
	if err != nil {
		return err
	}
	batches, err := loader.GetBatches()
	if err != nil {
		return s.incomplete("the first rows of the answer cannot be read: %s", s.scrub(err))
	}
	f := &fetch{source: s, session: ss, columns: cols, schema: schemaOf(cols), progress: q.Rows}
	return f.all(ctx, batches, loader.TotalRows(), yield)
}

// ask sends one statement.
func (s *source) ask(ctx context.Context, ss *session, stmt string, args []driver.NamedValue) (sf.ArrowStreamLoader, error) {
	a, err := ss.arrow()
	if err != nil {
		return nil, err
	}
	return a.QueryArrowStream(ctx, stmt, args...)
}

// with lends a session to work. One that the server forgot while it was idle is replaced once, before anything was read in it.
func (s *source) with(ctx context.Context, work func(*session) error) error {
	for {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return s.loginFault(ctx, err)
		}
		var result error
		again := false
		_ = conn.Raw(func(c any) error { //nolint:errcheck // it gives back what this function returns, which only says whether to keep the session
			ss := c.(*session)
			result = work(ss)
			var gone sessionGone
			again = ss.used && errors.As(result, &gone)
			ss.used = true
			if f := fault.As(result); result != nil && f.Code != fault.SourceQueryFailed && f.Code != fault.SourceTypeUnsupported && f.Code != fault.SourceValue {
				ss.wire.broken.Store(f.Code == fault.SourceUnreachable || f.Code == fault.SourceIncomplete)
				return driver.ErrBadConn
			}
			if ss.spent {
				return driver.ErrBadConn
			}
			return nil
		})
		_ = conn.Close() //nolint:errcheck // the result is in; a session that was thrown away is reported as an error here
		if !again {
			return result
		}
	}
}

// render gives the statement and its bound values.
func render(q connector.Query) (string, []driver.NamedValue, error) {
	d := dialect
	scale := int32(0)
	for _, e := range q.Equal {
		if e.Value.Kind() == row.Decimal {
			n, digits := decimals(e.Value.Str())
			if digits > 38 {
				return "", nil, fault.New(fault.SourceQueryFailed, "comparing column %q: %s has more than 38 digits", e.Column, e.Value)
			}
			scale = max(scale, n)
		}
	}
	d.ParamCast = map[row.Kind]string{row.Decimal: fmt.Sprintf("CAST(%%s AS NUMBER(38, %d))", scale)}
	for k, cast := range dialect.ParamCast {
		d.ParamCast[k] = cast
	}
	stmt, values := q.Render(d)
	args, at := bind(values)
	if at >= 0 {
		return "", nil, fault.New(fault.SourceQueryFailed, "comparing column %q: a column of kind %s cannot be compared with a value", q.Equal[at].Column, values[at].Kind())
	}
	return stmt, args, nil
}

// bind gives values as they are bound; at is the place of the first that cannot be, -1 when all can.
func bind(values []row.Value) (args []driver.NamedValue, at int) {
	args = make([]driver.NamedValue, len(values))
	for i, v := range values {
		args[i] = driver.NamedValue{Ordinal: i + 1}
		if v.IsNull() {
			continue
		}
		text, ok := paramText(v)
		if !ok {
			return nil, i
		}
		args[i].Value = text
	}
	return args, -1
}

// Tables names what lies beside a table and the role can see (https://docs.snowflake.com/en/sql-reference/info-schema/tables). Like any query it
// needs a warehouse.
func (s *source) Tables(ctx context.Context, name string) ([]string, error) {
	from := "INFORMATION_SCHEMA.TABLES"
	if parts := strings.Split(name, "."); len(parts) == 3 {
		from = dialect.Ident(parts[0]) + "." + from
	}
	return connector.Listed(ctx, s, name, "SELECT TABLE_NAME FROM "+from+" WHERE TABLE_SCHEMA = %s", "CURRENT_SCHEMA()")
}
