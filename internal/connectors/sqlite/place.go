package sqlite

import (
	"unicode/utf8"

	"modernc.org/libc"
	"modernc.org/sqlite/lib"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// located adds to a refused query the place in the model's own SQL that SQLite points at.
func (s *source) located(q connector.Query, err error) error {
	f := fault.As(err)
	if f == nil || f.Code != fault.SourceQueryFailed || q.SQL == "" {
		return err
	}
	own, _ := connector.Query{SQL: q.SQL}.Render(dialect)
	at := s.offset(own)
	if at < 0 || at > len(own) {
		return err
	}
	placed := *f
	placed.Line, placed.Column = q.Position(own, utf8.RuneCountInString(own[:at]))
	return &placed
}

// offset is the byte of a statement at which SQLite found it wrong, -1 where it did not or does not tell. The driver does not pass
// it on, so that the statement is compiled once more, on a connection of its own, and never run
// (https://www.sqlite.org/c3ref/errcode.html, sqlite3_error_offset).
func (s *source) offset(statement string) int {
	tls := libc.NewTLS()
	defer tls.Close()
	text := func(s string) uintptr {
		p, err := libc.CString(s)
		if err != nil {
			return 0
		}
		return p
	}
	name, query, out := text(s.uri()), text(statement), tls.Alloc(16)
	defer func() {
		tls.Free(16)
		for _, p := range []uintptr{name, query} {
			if p != 0 {
				libc.Xfree(tls, p)
			}
		}
	}()
	if name == 0 || query == 0 {
		return -1
	}
	opened := sqlite3.Xsqlite3_open_v2(tls, name, out, sqlite3.SQLITE_OPEN_READONLY|sqlite3.SQLITE_OPEN_URI, 0)
	db := libc.AtomicLoadPUintptr(out) // there also when opening failed
	defer sqlite3.Xsqlite3_close_v2(tls, db)
	if opened != sqlite3.SQLITE_OK {
		return -1
	}
	if sqlite3.Xsqlite3_prepare_v2(tls, db, query, -1, out, 0) == sqlite3.SQLITE_OK {
		sqlite3.Xsqlite3_finalize(tls, libc.AtomicLoadPUintptr(out))
		return -1
	}
	return int(sqlite3.Xsqlite3_error_offset(tls, db))
}
