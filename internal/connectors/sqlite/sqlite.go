// Package sqlite reads models from a SQLite file.
//
// SQLite types values, not columns (https://www.sqlite.org/datatype3.html). A column's kind comes from its declared type; a value
// of another storage class ends the read and names the cast. A column without a declared type (an expression) takes its kind from
// the first value that is not null.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"modernc.org/sqlite"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

var dialect = connector.Dialect{Name: "sqlite", Quote: '"', Placeholder: "?"}

// Source is the registration of the sqlite source.
func Source() connector.SourceConnector {
	return connector.SourceConnector{
		Spec: connector.Spec{
			Type: "sqlite", Title: "SQLite", Summary: "Reads models from a SQLite file.",
			Settings: []connector.Setting{
				{Name: "path", Type: connector.TypeString, Required: true, Doc: "Database file, relative to the project.", Example: "data/app.db"},
			},
		},
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Source, error) {
			path := cfg.String("path")
			if path == "" {
				return nil, fault.New(fault.ProjectMissing, "sqlite: `path` must be set")
			}
			if !filepath.IsAbs(path) {
				path = filepath.Join(env.ProjectDir, path)
			}
			abs, err := filepath.Abs(path)
			if err != nil {
				return nil, fault.Wrap(fault.ProjectValue, err, "sqlite: finding %s", path)
			}
			return &source{path: abs}, nil
		},
	}
}

type source struct {
	path string
}

// Dialect gives SQLite's way of writing SQL.
func (s *source) Dialect() connector.Dialect { return dialect }

// Close has nothing to give back: every read opens the file for itself.
func (s *source) Close() error { return nil }

// Check opens the file and reads its schema.
func (s *source) Check(ctx context.Context) error {
	_, err := s.Describe(ctx, connector.Query{SQL: "SELECT COUNT(*) AS n FROM sqlite_schema"})
	return err
}

// Describe gives the columns from their declared types. Only columns without one need a look at the first rows.
func (s *source) Describe(ctx context.Context, q connector.Query) (*arrow.Schema, error) {
	var schema *arrow.Schema
	err := s.with(ctx, func(c driver.Conn) error {
		cols, err := s.kinds(ctx, c, q)
		if err != nil {
			return err
		}
		schema = schemaOf(cols)
		return nil
	})
	if err != nil {
		return nil, s.located(q, err)
	}
	return schema, nil
}

// Read runs the query as one statement, which sees one state of the file
// (https://www.sqlite.org/isolation.html).
func (s *source) Read(ctx context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		err := s.with(ctx, func(c driver.Conn) error {
			return s.read(ctx, c, q, func(b arrow.RecordBatch) bool { return yield(b, nil) })
		})
		if err != nil {
			yield(nil, s.located(q, err))
		}
	}
}

// with opens the file read only, twice over: the file system's way (mode=ro) and SQLite's (query_only).
// https://www.sqlite.org/uri.html#urimode, https://www.sqlite.org/pragma.html#pragma_query_only
func (s *source) with(ctx context.Context, use func(driver.Conn) error) (err error) {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(fault.Cancelled, err, "reading %s", s.path)
	}
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = errors.New("no such file")
	case err == nil && info.IsDir():
		err = errors.New("it is a folder")
	}
	if err != nil {
		return fault.Wrap(fault.SourceUnreachable, err, "opening SQLite file %s", s.path).WithFix("Check `path` of the source; it is relative to the project folder.")
	}
	db, err := sql.Open("sqlite", s.uri()+"&_pragma=busy_timeout(10000)&_pragma=trusted_schema(0)&_query_only=1")
	if err != nil {
		return s.finding(ctx, err)
	}
	defer func() {
		if closing := db.Close(); err == nil && closing != nil {
			err = s.finding(ctx, closing)
		}
	}()
	c, err := db.Conn(ctx)
	if err != nil {
		return s.finding(ctx, err)
	}
	defer c.Close() //nolint:errcheck // closed with its database
	err = c.Raw(func(raw any) error {
		conn, ok := raw.(driver.Conn)
		if !ok {
			return fmt.Errorf("the driver gave no connection")
		}
		return use(conn)
	})
	if err != nil {
		return s.finding(ctx, err)
	}
	return nil
}

func (s *source) uri() string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(s.path), RawQuery: "mode=ro"}
	return u.String()
}

// finding turns an error into a fault, in SQLite's words. Codes: https://www.sqlite.org/rescode.html
func (s *source) finding(ctx context.Context, err error) error {
	var own *fault.Error
	if errors.As(err, &own) {
		return own
	}
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "reading %s", s.path)
	}
	var se *sqlite.Error
	code := 0
	if errors.As(err, &se) {
		code = se.Code() & 0xff
	}
	words := strings.TrimSpace(err.Error())
	refused := func(c fault.Code, doing string) *fault.Error {
		f := fault.New(c, "%s %s: %s", doing, s.path, words)
		f.Cause = err
		return f
	}
	switch code {
	case 5, 6: // SQLITE_BUSY, SQLITE_LOCKED
		return refused(fault.SourceUnreachable, "waiting for").WithFix("Another process writes to the file and holds its lock; run again when it is done.")
	case 11, 26: // SQLITE_CORRUPT, SQLITE_NOTADB
		return refused(fault.SourceUnreachable, "reading").WithFix("The file is damaged or not a SQLite database; restore it, or check it with PRAGMA integrity_check.")
	case 8: // SQLITE_READONLY
		return refused(fault.SourceQueryFailed, "running the query on").WithFix("A model is one SELECT statement; the source is only read.")
	case 10, 14, 23, 3: // SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_AUTH, SQLITE_PERM
		return refused(fault.SourceUnreachable, "opening").WithFix("Check the file's permissions; a database in WAL mode also needs a folder that can be written.")
	}
	return refused(fault.SourceQueryFailed, "running the query on")
}
