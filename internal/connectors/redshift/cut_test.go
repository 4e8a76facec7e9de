package redshift

import (
	"bytes"
	"net"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
)

// record is a connection whose server says what was written down.
type record struct {
	net.Conn
	says *bytes.Reader
}

func (r record) Read(b []byte) (int, error)  { return r.says.Read(b) }
func (r record) Write(b []byte) (int, error) { return len(b), nil }

func said(t testing.TB, messages ...pgproto3.BackendMessage) []byte {
	t.Helper()
	var b []byte
	for _, m := range messages {
		var err error
		if b, err = m.Encode(b); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

var (
	columns = &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("n"), DataTypeOID: 20}}}
	ready   = &pgproto3.ReadyForQuery{TxStatus: 'T'}
)

func done(tag string) pgproto3.BackendMessage {
	return &pgproto3.CommandComplete{CommandTag: []byte(tag)}
}

func value(s string) pgproto3.BackendMessage {
	return &pgproto3.DataRow{Values: [][]byte{[]byte(s)}}
}

// hear reads an answer in one of the ways and gives the rows handed over.
func hear(t testing.TB, says []byte, ask func(*reading) error) (rows int64, err error) {
	t.Helper()
	shape, err := plan([]pgconn.FieldDescription{{Name: "n", DataTypeOID: 20}})
	if err != nil {
		t.Fatal(err)
	}
	conn := record{says: bytes.NewReader(says)}
	r := &reading{prepared: &prepared{result: shape}, hc: &pgconn.HijackedConn{Conn: conn}, wire: pgwire.NewReader(conn), yield: func(b arrow.RecordBatch, _ error) bool {
		rows += b.NumRows()
		return true
	}}
	return rows, ask(r)
}

func cursor(r *reading) error { return r.fetches(2) }
func whole(r *reading) error  { return r.stream(&pgproto3.Query{String: "SELECT"}) }

func Test_an_answer_cut_at_any_byte_is_never_complete(t *testing.T) {
	for name, c := range map[string]struct {
		ask  func(*reading) error
		says []byte
	}{
		"cursor": {cursor, said(t, columns, value("1"), value("2"), done("FETCH 2"), ready, columns, value("3"), done("FETCH 1"), ready,
			columns, done("FETCH 0"), ready, done("CLOSE CURSOR"), ready, done("COMMIT"), ready)},
		"one stream": {whole, said(t, columns, value("1"), value("2"), value("3"), done("SELECT"), ready)},
		"bound":      {(*reading).bound, said(t, &pgproto3.BindComplete{}, columns, value("1"), value("2"), value("3"), done("SELECT"), ready)},
	} {
		if _, err := hear(t, c.says, c.ask); err != nil {
			t.Fatalf("%s, uncut: %v", name, err)
		}
		for at := range c.says {
			if rows, err := hear(t, c.says[:at], c.ask); err == nil || rows != 0 {
				t.Errorf("%s cut after byte %d of %d: %d rows, %v", name, at, len(c.says), rows, err)
			}
		}
	}
}

func Test_an_answer_that_does_not_add_up_is_not_complete(t *testing.T) {
	end := []pgproto3.BackendMessage{columns, done("FETCH 0"), ready, done("CLOSE CURSOR"), ready, done("COMMIT"), ready}
	from := func(first ...pgproto3.BackendMessage) []byte { return said(t, append(first, end...)...) }
	text := &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("n"), DataTypeOID: 25}}}
	for name, c := range map[string]struct {
		ask  func(*reading) error
		says []byte
	}{
		"a row less than counted":    {cursor, from(columns, value("1"), done("FETCH 2"), ready)},
		"a row more than counted":    {cursor, from(columns, value("1"), value("2"), done("FETCH 1"), ready)},
		"more rows than asked for":   {cursor, from(columns, value("1"), value("2"), value("3"), done("FETCH"), ready)},
		"columns of another type":    {cursor, from(text, value("1"), done("FETCH 1"), ready)},
		"rows without columns":       {cursor, from(value("1"), done("FETCH 1"), ready)},
		"a stream that counts wrong": {whole, said(t, columns, value("1"), done("SELECT 2"), ready)},
		"a stream without end mark":  {whole, said(t, columns, value("1"), ready)},
		"another protocol":           {whole, said(t, &pgproto3.CopyOutResponse{}, done("COPY"), ready)},
	} {
		if rows, err := hear(t, c.says, c.ask); !fault.Is(err, fault.SourceIncomplete) || rows != 0 {
			t.Errorf("%s: %d rows, %v", name, rows, err)
		}
	}
}
