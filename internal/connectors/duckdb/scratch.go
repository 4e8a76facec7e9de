package duckdb

import (
	"context"
	"iter"
	"runtime"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/upwelldata/upwell/internal/connector"
)

// Scratch is a database in memory that may be written to. Stand-ins of warehouses compute their answers with it, through
// internal/warehousetest; sources never open one. It lives until Close.
type Scratch struct {
	holder *holder
	keep   *conn
}

// NewScratch makes an empty database that takes at most memory bytes and spills beyond into a private folder below dir.
func NewScratch(dir string, memory int64) (*Scratch, error) {
	h := &holder{options: options{name: "scratch", projectDir: dir, stateDir: dir, memory: memory, threads: runtime.GOMAXPROCS(0), scratch: true}}
	keep, err := h.connect(context.Background())
	if err != nil {
		return nil, err
	}
	return &Scratch{h, keep}, nil
}

// Session opens a connection with its own temporary tables, current schema and transaction.
func (s *Scratch) Session(ctx context.Context) (*Session, error) {
	c, err := s.holder.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.settle() // every call has a context of its own
	return &Session{holder: s.holder, raw: c.raw}, nil
}

// Close frees the database, after its last session was closed.
func (s *Scratch) Close() { s.keep.close() }

// Session is one connection to a Scratch. Its methods may be called from several goroutines; they wait for each other. Errors
// are in DuckDB's words, or the context's.
type Session struct {
	holder *holder
	mu     sync.Mutex
	raw    bindings.Connection
}

// Close rolls back an open transaction and drops the session's temporary tables.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.call(context.Background())
	c.close()
}

func (s *Session) call(ctx context.Context) *conn {
	c := &conn{holder: s.holder, ctx: ctx, raw: s.raw, leave: make(chan struct{}), ended: make(chan struct{})}
	c.stop = context.AfterFunc(ctx, c.interrupt)
	return c
}

func (s *Session) do(ctx context.Context, work func(*conn) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	c := s.call(ctx)
	defer c.settle()
	err := work(c)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Exec runs statements, separated by semicolons, and gives the number of rows the last one changed.
func (s *Session) Exec(ctx context.Context, sql string) (changed int64, err error) {
	err = s.do(ctx, func(c *conn) error {
		var res bindings.Result
		state := bindings.Query(c.raw, sql, &res)
		defer bindings.DestroyResult(&res)
		if state == bindings.StateError {
			return refusal(bindings.ResultError(&res))
		}
		changed = int64(bindings.RowsChanged(&res))
		return nil
	})
	return changed, err
}

// Describe gives the columns of a SELECT without running it.
func (s *Session) Describe(ctx context.Context, sql string) (schema *arrow.Schema, err error) {
	err = s.do(ctx, func(c *conn) error {
		st, err := c.prepare(connector.Query{SQL: sql})
		if err != nil {
			return err
		}
		defer st.close()
		schema = schemaOf(st.columns)
		return nil
	})
	return schema, err
}

// Read streams the result of a SELECT. A batch is valid until the next step of the loop; other calls on the session wait for
// the loop's end.
func (s *Session) Read(ctx context.Context, sql string) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		err := s.do(ctx, func(c *conn) error {
			st, err := c.prepare(connector.Query{SQL: sql})
			if err != nil {
				return err
			}
			defer st.close()
			return st.stream(nil, func(b arrow.RecordBatch) bool { return yield(b, nil) })
		})
		if err != nil {
			yield(nil, err)
		}
	}
}
