// Package warehousetest computes the answers of warehouse stand-ins. A stand-in speaks its vendor's protocol and translates the
// vendor's SQL; this package runs the translation on DuckDB in memory and hands the result out in slices, as warehouses do with
// the chunks, streams and partitions of an answer.
//
// An Engine knows DuckDB's SQL only. Lex helps a stand-in to translate. Stand-ins, tests, `upwell sandbox` and the demo import
// this package; nothing that reads a real warehouse does.
package warehousetest

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/upwelldata/upwell/internal/connectors/duckdb"
)

// memory is what DuckDB may hold before it spills.
const memory = 256 << 20

// Engine is one database in memory. Its time zone is UTC.
type Engine struct {
	db  *duckdb.Scratch
	dir string
}

// Open makes an engine and runs the setup in it: schemas, types and macros that make DuckDB look like the vendor's database.
func Open(ctx context.Context, setup ...string) (*Engine, error) {
	dir, err := os.MkdirTemp("", "upwell-warehouse-")
	if err != nil {
		return nil, err
	}
	e := &Engine{dir: dir}
	if e.db, err = duckdb.NewScratch(dir, memory); err != nil {
		_ = os.RemoveAll(dir) //nolint:errcheck // the first error counts
		return nil, err
	}
	s, err := e.Session(ctx)
	if err != nil {
		_ = e.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	defer s.Close()
	for _, sql := range setup {
		if _, err := s.Exec(ctx, sql); err != nil {
			_ = e.Close() //nolint:errcheck // the first error counts
			return nil, err
		}
	}
	return e, nil
}

// Close frees the engine, after its sessions were closed.
func (e *Engine) Close() error {
	e.db.Close()
	return os.RemoveAll(e.dir)
}

// Session opens a connection with a current schema, temporary tables and a transaction of its own.
func (e *Engine) Session(ctx context.Context) (*Session, error) {
	s, err := e.db.Session(ctx)
	if err != nil {
		return nil, err
	}
	return &Session{duck: s}, nil
}

// Session is one connection. Its methods, and those of its results, may be called from several goroutines; they wait for each
// other. Errors are in DuckDB's words, or the context's: a cancelled context interrupts the statement.
type Session struct {
	duck *duckdb.Session
	made atomic.Int64
}

// Close ends the session, its results and its transaction.
func (s *Session) Close() { s.duck.Close() }

// Exec runs statements, separated by semicolons, and gives the number of rows the last one changed.
func (s *Session) Exec(ctx context.Context, sql string) (int64, error) { return s.duck.Exec(ctx, sql) }

// Read streams a SELECT in DuckDB's order and in the Arrow types of connector.Source. A batch is valid until the next step of
// the loop.
func (s *Session) Read(ctx context.Context, sql string) iter.Seq2[arrow.RecordBatch, error] {
	return s.duck.Read(ctx, sql)
}

// Objects gives the rows of a SELECT that has one column, JSON as text.
func (s *Session) Objects(ctx context.Context, sql string) ([]json.RawMessage, error) {
	out := []json.RawMessage{}
	for b, err := range s.Read(ctx, sql) {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			out = append(out, json.RawMessage(strings.Clone(b.Column(0).(*array.String).Value(i))))
		}
	}
	return out, nil
}

// Column is a column of an answer.
type Column struct {
	Name string // as the statement spells it; names may repeat
	Type string // DuckDB's type: "DECIMAL(10,2)", "VARCHAR", "TIMESTAMP WITH TIME ZONE", "STRUCT(a INTEGER)"
}

// Describe gives the columns of a SELECT without running it.
func (s *Session) Describe(ctx context.Context, sql string) ([]Column, error) {
	var out []Column
	for b, err := range s.Read(ctx, "SELECT column_name, column_type FROM (DESCRIBE "+bare(sql)+"\n)") {
		if err != nil {
			return nil, err
		}
		names, types := b.Column(0).(*array.String), b.Column(1).(*array.String)
		for i := range int(b.NumRows()) {
			out = append(out, Column{strings.Clone(names.Value(i)), strings.Clone(types.Value(i))})
		}
	}
	return out, nil
}

// Result is the answer of one SELECT, kept by the engine outside of Go's memory until Close or the session's end.
type Result struct {
	Columns []Column
	Rows    int64
	session *Session
	table   string
}

// Query runs a SELECT and keeps its answer, in the statement's order.
func (s *Session) Query(ctx context.Context, sql string) (*Result, error) {
	columns, err := s.Describe(ctx, sql)
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: columns, session: s, table: "temp.upwell_result_" + strconv.FormatInt(s.made.Add(1), 10)}
	names := make([]string, len(columns))
	for i := range names {
		names[i] = "c" + strconv.Itoa(i)
	}
	if _, err := s.Exec(ctx, "CREATE TEMP TABLE "+r.table+" ("+strings.Join(names, ", ")+") AS "+bare(sql)); err != nil {
		return nil, err
	}
	for b, err := range s.Read(ctx, "SELECT count(*) FROM "+r.table) {
		if err != nil {
			r.Close()
			return nil, err
		}
		r.Rows = b.Column(0).(*array.Int64).Value(0)
	}
	return r, nil
}

// Slice streams n rows of the answer from row from (counted from 0) on. Columns are named c0, c1 and so on: an answer's names
// may repeat.
func (r *Result) Slice(ctx context.Context, from, n int64) iter.Seq2[arrow.RecordBatch, error] {
	low, high := strconv.FormatInt(from, 10), strconv.FormatInt(from+n, 10)
	return r.session.Read(ctx, "SELECT * FROM "+r.table+" WHERE rowid >= "+low+" AND rowid < "+high)
}

// Close forgets the answer.
func (r *Result) Close() {
	_, _ = r.session.Exec(context.Background(), "DROP TABLE IF EXISTS "+r.table) //nolint:errcheck // it goes with the session too
}

// Ident quotes an identifier for DuckDB.
func Ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Literal writes a text as DuckDB's string literal.
func Literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func bare(sql string) string { return strings.TrimRight(strings.TrimSpace(sql), "; \n\t") }
