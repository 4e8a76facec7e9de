package postgres

import (
	"context"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/row"
)

// load puts rows into a table of the ledger by COPY in text format, in which the server reads every value by its column's type. The
// pace of a COPY is that of what it is fed with, so that the limit of a statement's time does not count.
// https://www.postgresql.org/docs/current/sql-copy.html
func (s *source) load(ctx context.Context, c *pgconn.PgConn, into connector.Into, rows iter.Seq2[[]row.Value, error]) error {
	if err := run(ctx, c, "SET LOCAL statement_timeout = 0"); err != nil {
		return s.ledgerFault(ctx, err, "preparing the session")
	}
	f := startCopy(ctx, c, "COPY "+into.Table+" ("+strings.Join(into.Columns, ", ")+") FROM STDIN")
	defer f.abort() // before the connection is used again, or ends
	b := f.buffer()
	for vals, err := range rows {
		if err != nil {
			return err
		}
		if b = appendCopyRow(b, vals); len(b) >= feedBytes {
			if err := f.send(ctx, b); err != nil {
				return s.ledgerFault(ctx, err, "keeping the ledger")
			}
			b = f.buffer()
		}
	}
	if err := f.send(ctx, b); err != nil {
		return s.ledgerFault(ctx, err, "keeping the ledger")
	}
	if _, err := f.finish(ctx); err != nil {
		return s.ledgerFault(ctx, err, "keeping the ledger")
	}
	if err := run(ctx, c, s.timeout()); err != nil {
		return s.ledgerFault(ctx, err, "preparing the session")
	}
	return nil
}

// appendCopyRow writes a row of COPY's text format: columns with tabs between, \N for null, and a backslash before what has a
// meaning. A line of \. alone would be the end of the data before PostgreSQL 18; its backslash is escaped like any other.
func appendCopyRow(b []byte, vals []row.Value) []byte {
	for i, v := range vals {
		if i > 0 {
			b = append(b, '\t')
		}
		switch v.Kind() {
		case row.Null, row.Absent:
			b = append(b, '\\', 'N')
		case row.Int:
			b = v.AppendText(b)
		case row.Text:
			b = appendCopyText(b, v.Str())
		default:
			b = appendCopyText(b, string(pgwire.Param(v, hexMark)))
		}
	}
	return append(b, '\n')
}

func appendCopyText(b []byte, s string) []byte {
	for {
		i := strings.IndexAny(s, "\\\n\r\t")
		if i < 0 {
			return append(b, s...)
		}
		b = append(b, s[:i]...)
		b = append(b, '\\', map[byte]byte{'\\': '\\', '\n': 'n', '\r': 'r', '\t': 't'}[s[i]])
		s = s[i+1:]
	}
}
