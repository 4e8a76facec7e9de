package postgres

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
)

// hexMark stands before the digits of a bytea: https://www.postgresql.org/docs/current/datatype-binary.html
const hexMark = `\x`

// source reads models. Every call has a connection of its own, so that nothing of one query can leak into another.
type source struct{ *dialer }

// Dialect is PostgreSQL's SQL as data.
func (s *source) Dialect() connector.Dialect {
	return connector.Dialect{Name: typeName, Quote: '"', Placeholder: "$", Ledger: &ledgerSQL}
}

// Close has nothing to close: connections end with their calls.
func (s *source) Close() error { return nil }

// Check logs in and runs the smallest query.
func (s *source) Check(ctx context.Context) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closeConn(c)
	if _, err := query(ctx, c, "SELECT 1"); err != nil {
		return s.sourceFault(ctx, err, "checking the connection", connector.Query{}, false)
	}
	return nil
}

// Describe prepares the query and reads its columns; the server plans it and reads no data.
func (s *source) Describe(ctx context.Context, q connector.Query) (*arrow.Schema, error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(c)
	p, err := s.prepare(ctx, c, q)
	if err != nil {
		return nil, err
	}
	return p.schema, nil
}

// open connects and starts a pinned read-only transaction.
func (s *source) open(ctx context.Context) (*pgconn.PgConn, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, s.connectFault(ctx, err)
	}
	begin := s.begin(true)
	if c.ParameterStatus("server_encoding") == "SQL_ASCII" { // such a server knows no encoding; its bytes pass as they are
		begin += "; SET LOCAL client_encoding = 'SQL_ASCII'"
	}
	if err := run(ctx, c, begin); err != nil {
		closeConn(c)
		return nil, s.sourceFault(ctx, err, "preparing the session", connector.Query{}, false)
	}
	return c, nil
}

type prepared struct {
	sql     string
	cols    []column
	schema  *arrow.Schema
	formats []int16
	params  [][]byte
}

func (s *source) prepare(ctx context.Context, c *pgconn.PgConn, q connector.Query) (*prepared, error) {
	sql, args := q.Render(s.Dialect())
	desc, err := c.Prepare(ctx, "", sql, nil)
	if err != nil {
		return nil, s.sourceFault(ctx, err, "preparing the query", q, false)
	}
	if len(desc.Fields) == 0 {
		return nil, fault.New(fault.SourceQueryFailed, "the query yields no columns").WithFix("A model is one SELECT statement.")
	}
	oids := make([]uint32, len(desc.Fields))
	known := map[uint32]*typ{}
	unknown := false
	for i, f := range desc.Fields {
		oids[i] = f.DataTypeOID
		if t, ok := builtin[f.DataTypeOID]; ok {
			known[f.DataTypeOID] = t
		} else {
			unknown = true
		}
	}
	if unknown {
		if known, err = resolveTypes(ctx, c, oids); err != nil {
			return nil, s.sourceFault(ctx, err, "looking up column types", connector.Query{}, false)
		}
		if _, err := c.Prepare(ctx, "", sql, nil); err != nil { // the look-up took the unnamed statement
			return nil, s.sourceFault(ctx, err, "preparing the query", q, false)
		}
	}
	p := &prepared{sql: sql}
	if p.cols, p.schema, p.formats, err = plan(desc.Fields, known); err != nil {
		return nil, err
	}
	for _, a := range args {
		p.params = append(p.params, pgwire.Param(a, hexMark))
	}
	return p, nil
}

// Read runs the query and yields its batches. The read is complete when the server's CommandComplete tag counts as many rows as
// were decoded and ReadyForQuery followed; any other end is SOURCE_READ_INCOMPLETE.
func (s *source) Read(ctx context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		c, err := s.open(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		p, err := s.prepare(ctx, c, q)
		if err != nil {
			closeConn(c)
			yield(nil, err)
			return
		}
		if err := c.SyncConn(ctx); err != nil {
			closeConn(c)
			yield(nil, s.sourceFault(ctx, err, "preparing the query", connector.Query{}, false))
			return
		}
		taken, err := c.Hijack()
		if err != nil {
			closeConn(c)
			yield(nil, fault.Wrap(fault.Internal, err, "taking over the connection"))
			return
		}
		s.stream(ctx, taken, p, q.Rows, yield)
	}
}

// stream executes the prepared statement on a connection taken over from pgconn and decodes the answer.
func (s *source) stream(ctx context.Context, hc *pgconn.HijackedConn, p *prepared, progress func(int64), yield func(arrow.RecordBatch, error) bool) {
	stop := pgwire.Wake(ctx, hc)
	running := false
	defer func() {
		stop()
		pgwire.Part(hc, running)
	}()

	if err := execute(hc.Conn, p); err != nil {
		yield(nil, s.sourceFault(ctx, err, "sending the query", connector.Query{}, false))
		return
	}
	running = true
	w := pgwire.NewReader(hc.Conn)
	var rows, tagged int64 = 0, -1
	n, size := 0, 0
	flush := func() bool {
		rec := record(p.schema, p.cols, n)
		ok := yield(rec, nil)
		rec.Release()
		for i := range p.cols {
			p.cols[i].Reset()
		}
		n, size = 0, 0
		if progress != nil {
			progress(rows)
		}
		return ok
	}
	for {
		typ, body, err := w.Next()
		if err != nil {
			yield(nil, s.sourceFault(ctx, err, fmt.Sprintf("reading (%d rows so far)", rows), connector.Query{}, true))
			return
		}
		switch typ {
		case 'D':
			if err := decodeRow(p.cols, n, body); err != nil {
				yield(nil, s.sourceFault(ctx, err, fmt.Sprintf("reading row %d", rows+1), connector.Query{}, true))
				return
			}
			n++
			rows++
			size += 2 * len(body) // texts of decoded values may be longer than the wire's form
			if (n == pgwire.BatchRows || size >= pgwire.BatchBytes) && !flush() {
				return
			}
		case 'C':
			tagged = rowsOf(body)
		case 'Z':
			running = false
			if tagged != rows {
				yield(nil, incomplete("the server's end mark counts %d rows, %d arrived", tagged, rows))
				return
			}
			if n > 0 {
				flush()
			}
			return
		case 'E':
			var msg pgproto3.ErrorResponse
			if err := msg.Decode(body); err != nil {
				yield(nil, incomplete("the server's error cannot be read: %s", err))
				return
			}
			running = false
			yield(nil, s.sourceFault(ctx, pgconn.ErrorResponseToPgError(&msg), "reading", connector.Query{}, true))
			return
		case '2', '1', 'N', 'S', 'A': // bind complete, parse complete, notice, parameter status, notification
		default:
			yield(nil, incomplete("the server sent an unexpected message %q", typ))
			return
		}
	}
}

func incomplete(format string, args ...any) *fault.Error {
	return fault.New(fault.SourceIncomplete, "reading from postgres: "+format, args...)
}

// execute sends the statement once more, with Bind, Execute and Sync: taking over a connection may have sent a simple query, which
// takes the unnamed statement away (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY).
func execute(w net.Conn, p *prepared) error {
	var b []byte
	var err error
	for _, m := range []pgproto3.FrontendMessage{
		&pgproto3.Parse{Query: p.sql}, &pgproto3.Bind{Parameters: p.params, ResultFormatCodes: p.formats}, &pgproto3.Execute{}, &pgproto3.Sync{},
	} {
		if b, err = m.Encode(b); err != nil {
			return err
		}
	}
	_, err = w.Write(b)
	return err
}

// rowsOf reads the row count of a SELECT's command tag; -1 where there is none.
func rowsOf(tag []byte) int64 {
	tag = bytes.TrimSuffix(tag, []byte{0})
	rest, ok := bytes.CutPrefix(tag, []byte("SELECT "))
	if !ok {
		return -1
	}
	n, err := strconv.ParseInt(string(rest), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// Tables names what lies beside a table.
func (s *source) Tables(ctx context.Context, name string) ([]string, error) {
	return connector.Listed(ctx, s, name, "SELECT table_name::text FROM information_schema.tables WHERE table_schema = %s", "current_schema()")
}
