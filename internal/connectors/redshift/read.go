package redshift

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
)

// singleNode is how many rows a FETCH may take from a cluster of one node:
// https://docs.aws.amazon.com/redshift/latest/dg/fetch.html
const singleNode = 1000

// Read runs the query and yields its batches. A read through a cursor is complete when every FETCH brought as many rows as its end mark
// counts, the last one none, and the server has closed the cursor and ended the transaction; a read of one stream when the server's end
// mark came, counting the rows where the server counts them, and the server is ready again. Any other end is SOURCE_READ_INCOMPLETE.
func (s *source) Read(ctx context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for {
			fetch := s.fetch.Load()
			err := s.readOnce(ctx, q, fetch, yield)
			if pe, ok := pgwire.AsServer(err); ok && fetch > singleNode && strings.Contains(pe.Message, "single node configuration") {
				s.fetch.Store(singleNode) // nothing was read yet, and it stays so for this cluster
				continue
			}
			if err != nil {
				yield(nil, s.readFault(ctx, err))
			}
			return
		}
	}
}

// readOnce reads a query. A nil error means that the reader has all, or has left.
func (s *source) readOnce(ctx context.Context, q connector.Query, fetch int64, yield func(arrow.RecordBatch, error) bool) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	p, err := s.prepare(ctx, c, q)
	if err != nil {
		pgwire.Close(c)
		return err
	}
	cursor := !s.extended && fetch > 0
	if cursor {
		if err := pgwire.Run(ctx, c, "DECLARE upwell CURSOR FOR "+p.sql); err != nil {
			pgwire.Close(c)
			return s.sourceFault(ctx, err, "declaring the cursor", connector.Query{}, false)
		}
	}
	if err := c.SyncConn(ctx); err != nil {
		pgwire.Close(c)
		return s.sourceFault(ctx, err, "preparing the query", connector.Query{}, false)
	}
	hc, err := c.Hijack()
	if err != nil {
		pgwire.Close(c)
		return fault.Wrap(fault.Internal, err, "taking over the connection")
	}
	r := &reading{prepared: p, hc: hc, wire: pgwire.NewReader(hc.Conn), yield: yield, told: q.Rows}
	stop := pgwire.Wake(ctx, hc)
	defer func() {
		stop()
		pgwire.Part(hc, r.running)
	}()
	switch {
	case cursor:
		err = r.fetches(fetch)
	case s.extended:
		err = r.bound()
	default:
		err = r.stream(&pgproto3.Query{String: p.sql})
	}
	if err == errLeft { //nolint:errorlint // it is never wrapped
		return nil
	}
	return err
}

var errLeft = fmt.Errorf("the reader left")

// reading is a query whose rows come.
type reading struct {
	*prepared
	hc      *pgconn.HijackedConn
	wire    *pgwire.Reader
	yield   func(arrow.RecordBatch, error) bool
	told    func(int64)
	running bool // the server works for this reader
	rows    int64
	n, size int // of the batch being filled
}

// incomplete ends a read that has no proof of its end.
func incomplete(format string, args ...any) *fault.Error {
	return fault.New(fault.SourceIncomplete, "reading from redshift: "+format, args...)
}

// fetches reads through the cursor, n rows at a time. https://docs.aws.amazon.com/redshift/latest/dg/declare.html
func (r *reading) fetches(n int64) error {
	fetch := &pgproto3.Query{String: "FETCH FORWARD " + strconv.FormatInt(n, 10) + " FROM upwell"}
	for {
		before := r.rows
		tag, err := r.ask(fetch)
		if err != nil {
			return err
		}
		came := r.rows - before
		if counted, ok := counted(tag, "FETCH"); ok && counted != came {
			return incomplete("the server's end mark counts %d rows, %d arrived", counted, came)
		}
		if came > n {
			return incomplete("%d rows arrived where %d were asked for", came, n)
		}
		if came == 0 {
			break
		}
	}
	for _, end := range []string{"CLOSE upwell", "COMMIT"} {
		if _, err := r.ask(&pgproto3.Query{String: end}); err != nil {
			return err
		}
	}
	return r.last()
}

// stream reads the answer to one message. PostgreSQL counts the rows in the end mark since version 9, Redshift's ancestor did not.
func (r *reading) stream(messages ...pgproto3.FrontendMessage) error {
	tag, err := r.ask(messages...)
	if err != nil {
		return err
	}
	if counted, ok := counted(tag, "SELECT"); ok && counted != r.rows {
		return incomplete("the server's end mark counts %d rows, %d arrived", counted, r.rows)
	}
	if tag == "" {
		return incomplete("the answer has no end mark")
	}
	return r.last()
}

// bound sends the statement once more, with its parameters, and reads the answer: taking over a connection may have sent a simple
// query, which takes the unnamed statement away (https://www.postgresql.org/docs/8.0/protocol-flow.html).
func (r *reading) bound() error {
	return r.stream(&pgproto3.Parse{Query: r.sql}, &pgproto3.Bind{Parameters: r.params}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{})
}

// ask sends messages and reads the answer to its end, which is that the server is ready again. It gives the end mark.
func (r *reading) ask(messages ...pgproto3.FrontendMessage) (tag string, err error) {
	var b []byte
	for _, m := range messages {
		if b, err = m.Encode(b); err != nil {
			return "", err
		}
	}
	if _, err := r.hc.Conn.Write(b); err != nil {
		return "", err
	}
	r.running = true
	described := false
	var refused error
	for {
		typ, body, err := r.wire.Next()
		if err != nil {
			return "", err
		}
		switch typ {
		case 'D':
			if !described {
				return "", incomplete("rows came without their columns")
			}
			if err := r.row(body); err != nil {
				return "", err
			}
		case 'T':
			if described = r.same(typesOf(body)); !described {
				return "", incomplete("the columns that came are not those that were described")
			}
		case 'C':
			tag = string(bytes.TrimSuffix(body, []byte{0}))
		case 'Z':
			r.running = false
			return tag, refused
		case 'E':
			var msg pgproto3.ErrorResponse
			if err := msg.Decode(body); err != nil {
				return "", incomplete("the server's error cannot be read: %s", err)
			}
			if refused = pgconn.ErrorResponseToPgError(&msg); msg.Severity == "FATAL" {
				r.running = false
				return "", refused
			}
		case '2', '1', 'N', 'S', 'A': // bind complete, parse complete, notice, parameter status, notification
		default:
			return "", incomplete("the server sent an unexpected message %q", typ)
		}
	}
}

func (r *reading) row(body []byte) error {
	if err := r.decode(r.n, body); err != nil {
		return err
	}
	r.n++
	r.rows++
	r.size += 2 * len(body) // texts of decoded values may be longer than the wire's form
	if r.n == pgwire.BatchRows || r.size >= pgwire.BatchBytes {
		return r.flush()
	}
	return nil
}

func (r *reading) flush() error {
	rec := r.record(r.n)
	ok := r.yield(rec, nil)
	rec.Release()
	r.reset()
	r.n, r.size = 0, 0
	if r.told != nil {
		r.told(r.rows)
	}
	if !ok {
		return errLeft
	}
	return nil
}

// last hands over what is left when the read is complete.
func (r *reading) last() error {
	if r.n == 0 {
		return nil
	}
	return r.flush()
}

// counted reads the row count of an end mark, where it has one.
func counted(tag, command string) (int64, bool) {
	rest, ok := strings.CutPrefix(tag, command+" ")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	return n, err == nil
}

// typesOf gives the types of the columns in a RowDescription message; nil where it cannot be read.
func typesOf(b []byte) []uint32 {
	if len(b) < 2 {
		return nil
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	oids := make([]uint32, n)
	for i := range oids {
		end := bytes.IndexByte(b, 0)
		if end < 0 || len(b) < end+19 {
			return nil
		}
		oids[i] = binary.BigEndian.Uint32(b[end+7:])
		b = b[end+19:]
	}
	return oids
}
