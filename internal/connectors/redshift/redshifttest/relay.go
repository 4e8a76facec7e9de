package redshifttest

import (
	"bytes"
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/upwelldata/upwell/internal/connector/pgwire"
)

// answers passes on what the database answers, as Redshift would say it, until either side is gone.
func (one *session) answers() {
	r := pgwire.NewReader(one.hc.Conn)
	a := &answer{session: one}
	for {
		typ, body, err := r.Next()
		if err != nil {
			return
		}
		if err := a.pass(typ, body); err != nil {
			return
		}
	}
}

// answer is what is known of the answer that passes.
type answer struct {
	*session
	hex   []bool // columns of VARBYTE
	any   bool   // there is one
	rows  int
	quiet bool // until the database is ready: the client was told that its query is over
}

func (a *answer) pass(typ byte, body []byte) error {
	if a.quiet {
		if typ == 'Z' {
			a.quiet = false
		}
		return nil
	}
	switch typ {
	case 'S': // parameters of a newer server
		return nil
	case 'T':
		a.rows = 0
		body = a.columns(body)
	case 'D':
		a.rows++
		if what := a.s.due(a.rows); what != 0 {
			return a.trouble(what)
		}
		if a.any {
			body = a.bytes(body)
		}
	case 'C': // the end mark of a SELECT has no count before PostgreSQL 9.0, that of a FETCH has one
		if bytes.HasPrefix(body, []byte("SELECT ")) {
			body = []byte("SELECT\x00")
		}
	}
	if err := a.write(typ, body); err != nil {
		return err
	}
	if typ == 'Z' || typ == 'E' {
		return a.out.Flush()
	}
	return nil
}

func (a *answer) write(typ byte, body []byte) error {
	var head [5]byte
	head[0] = typ
	binary.BigEndian.PutUint32(head[1:], uint32(len(body)+4))
	if _, err := a.out.Write(head[:]); err != nil {
		return err
	}
	_, err := a.out.Write(body)
	return err
}

// columns gives the types Redshift's numbers, and strips what it has not: the table a column is of.
func (a *answer) columns(body []byte) []byte {
	var d pgproto3.RowDescription
	if err := d.Decode(body); err != nil {
		return body
	}
	a.hex, a.any = make([]bool, len(d.Fields)), false
	for i := range d.Fields {
		f := &d.Fields[i]
		if oid, ok := a.s.oids[f.DataTypeOID]; ok {
			f.DataTypeOID = oid
		}
		if f.DataTypeOID == oidVarbyte && f.Format == 0 {
			a.hex[i], a.any = true, true
		}
	}
	b, err := d.Encode(nil)
	if err != nil {
		return body
	}
	return b[5:]
}

// bytes prints VARBYTE as hexadecimal digits alone: https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html
func (a *answer) bytes(body []byte) []byte {
	var d pgproto3.DataRow
	if err := d.Decode(body); err != nil {
		return body
	}
	for i := range d.Values {
		if i < len(a.hex) && a.hex[i] {
			d.Values[i] = bytes.TrimPrefix(d.Values[i], []byte(`\x`))
		}
	}
	b, err := d.Encode(nil)
	if err != nil {
		return body
	}
	return b[5:]
}

// trouble is what happens in place of a row.
func (a *answer) trouble(what Trouble) error {
	say := func(severity, state, words string, more ...pgproto3.BackendMessage) error {
		for _, m := range append([]pgproto3.BackendMessage{&pgproto3.ErrorResponse{Severity: severity, Code: state, Message: words}}, more...) {
			b, err := m.Encode(nil)
			if err != nil {
				return err
			}
			if _, err := a.out.Write(b); err != nil {
				return err
			}
		}
		return a.out.Flush()
	}
	switch what {
	case Cut:
		if err := a.out.Flush(); err != nil {
			return err
		}
		a.cut()
		return errRefused
	case Kill: // https://docs.aws.amazon.com/redshift/latest/dg/r_CANCEL.html
		a.quiet = true
		return say("ERROR", "57014", "Query (150) cancelled on user's request", &pgproto3.ReadyForQuery{TxStatus: 'E'})
	case Expire: // https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html: SESSION TIMEOUT
		if err := say("FATAL", "57P01", "terminating connection due to session timeout"); err != nil {
			return err
		}
		a.cut()
		return errRefused
	case Swallow:
	}
	return nil
}
