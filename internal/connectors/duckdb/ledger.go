package duckdb

import (
	"context"
	"errors"
	"sync"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// ledgerSQL is how DuckDB holds a ledger. Texts are compared by their bytes, as a column may have a collation
// (https://duckdb.org/docs/stable/sql/expressions/collations); nested values as text.
var ledgerSQL = connector.LedgerSQL{
	Schema:       "upwell",
	CreateSchema: "CREATE SCHEMA IF NOT EXISTS %s",
	Tables:       "SELECT COUNT(*) AS n FROM %[1]sinformation_schema.tables WHERE table_schema = %[2]s AND table_name = %[3]s",
	Create:       "CREATE TABLE %s AS ",
	Scratch:      "CREATE TABLE %s AS ",
	Types: map[row.Kind]string{
		row.Text: "VARCHAR", row.Int: "BIGINT", row.Uint: "UBIGINT", row.Decimal: "DECIMAL(%d, %d)", row.Float: "DOUBLE", row.Bool: "BOOLEAN",
		row.Date: "DATE", row.Time: "TIME", row.Timestamp: "TIMESTAMP", row.Instant: "TIMESTAMPTZ", row.UUID: "UUID",
	},
	Rows: "(SELECT UNNEST(CAST(CAST(%s AS JSON) AS JSON[])) AS j) AS upwell_rows",
	Cell: "json_extract_string(j, '$[%d]')",
	Exact: map[row.Kind]string{
		row.Text: "encode(CAST(%s AS VARCHAR))", row.JSON: "CAST(%s AS VARCHAR)", row.Array: "CAST(%s AS VARCHAR)", row.Interval: "CAST(%s AS VARCHAR)",
	},
	Fold:         "LOWER(TRIM(CAST(%s AS VARCHAR)))",
	Materialized: "MATERIALIZED ",
	Late:         true,
	Transactions: true,
	Bulk:         true,
	Passing:      "CREATE TEMPORARY TABLE %s AS ",
}

// writable are the databases that hold a ledger, by path: a process has one instance of each, which reads and writes
// (https://duckdb.org/docs/stable/connect/concurrency).
var writable = struct {
	sync.Mutex
	holders map[string]*holder
}{holders: map[string]*holder{}}

// shared gives the one holder of a database that is written to.
func shared(o options) *holder {
	writable.Lock()
	defer writable.Unlock()
	h := writable.holders[o.path]
	if h == nil {
		h = &holder{options: o}
		writable.holders[o.path] = h
	}
	return h
}

// opened gives the holder of a database that is written to in this process, nil when there is none.
func opened(path string) *holder {
	writable.Lock()
	defer writable.Unlock()
	return writable.holders[path]
}

// stay keeps a database that is written to open until the source is closed: closing it writes all of its log into the file.
func (s *source) stay() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.holder.options.write || s.kept != nil {
		return nil
	}
	c, err := s.holder.connect(context.Background())
	s.kept = c
	return err
}

// leave ends what stay began.
func (s *source) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept != nil {
		s.kept.close()
		s.kept = nil
	}
}

// Exec runs statements of the ledger in one transaction.
func (s *source) Exec(ctx context.Context, statements []connector.Statement) (err error) {
	if !s.holder.options.write {
		return fault.New(fault.Internal, "source %s is only read", s.holder.options.name)
	}
	if err := s.stay(); err != nil {
		return err
	}
	c, err := s.holder.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close() // which rolls back what was not committed
	if _, err := c.execute(connector.Statement{SQL: "BEGIN TRANSACTION"}); err != nil {
		return c.keeping(err)
	}
	for _, st := range statements {
		if st.Rows != nil {
			if err := c.load(st.Into, st.Rows); err != nil {
				return c.keeping(err)
			}
			continue
		}
		n, err := c.execute(st)
		if err != nil {
			return c.keeping(err)
		}
		if st.Affects > 0 && n != st.Affects {
			return fault.New(fault.StateLocked, "another process has taken over the ledger in %s (%d rows affected instead of %d)", c.holder.options.what(), n, st.Affects)
		}
	}
	if _, err := c.execute(connector.Statement{SQL: "COMMIT"}); err != nil {
		return c.keeping(err)
	}
	return nil
}

// execute runs one statement and gives the number of rows it changed.
func (c *conn) execute(st connector.Statement) (int64, error) {
	var raw bindings.PreparedStatement
	defer bindings.DestroyPrepare(&raw)
	if bindings.Prepare(c.raw, st.SQL, &raw) == bindings.StateError {
		return 0, refusal(bindings.PrepareError(raw))
	}
	for i, v := range st.Params {
		if err := bind(raw, i+1, v); err != nil {
			return 0, err
		}
	}
	var res bindings.Result
	state := bindings.ExecutePrepared(raw, &res)
	defer bindings.DestroyResult(&res)
	if state == bindings.StateError {
		return 0, refusal(bindings.ResultError(&res))
	}
	return int64(bindings.RowsChanged(&res)), nil
}

// keeping makes the fault of a statement of the ledger. Two transactions that write one table collide; the later one is told.
func (c *conn) keeping(err error) error {
	if c.ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(c.ctx), "keeping the ledger in %s", c.holder.options.what())
	}
	var r refusal
	if errors.As(err, &r) {
		return fault.New(fault.StateUnusable, "keeping the ledger in %s: %s", c.holder.options.what(), oneLine(string(r))).
			WithFix("The file must be writable, and no other process may have it open.")
	}
	return err
}
