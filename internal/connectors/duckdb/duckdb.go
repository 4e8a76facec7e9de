// Package duckdb reads models from DuckDB: a database file, or an in-memory database for models that read Parquet, CSV or JSON
// files of the project. It is the only package that links DuckDB's C library.
//
// Results are streamed: DuckDB holds a few chunks at a time whatever the result's size. Facts about DuckDB come from its
// documentation (https://duckdb.org/docs/stable/) and were tried with the linked version.
package duckdb

import (
	"context"
	"iter"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Source is the registration of the duckdb source.
func Source() connector.SourceConnector {
	return connector.SourceConnector{
		Spec: connector.Spec{
			Type:    "duckdb",
			Title:   "DuckDB",
			Summary: "Reads a DuckDB file, or Parquet, CSV and JSON files of the project through DuckDB.",
			Ledger:  true,
			Grants: connector.Grants{
				Read:   "-- DuckDB has no users: the process needs to read the file {path}.",
				Ledger: "-- For diff: warehouse the process needs to write the file {path} and its folder, and no other process may have it open meanwhile.",
			},
			Settings: []connector.Setting{
				{Name: "path", Type: connector.TypeString, Doc: "Database file, relative to the project; without it the database is in memory and models read files by path.", Example: "data/warehouse.duckdb"},
				{Name: "memory_limit", Type: connector.TypeSize, Doc: "Memory DuckDB may use before it spills to temp_directory; without it 32MiB per thread (at least 64MiB), and 256MiB for a query that needs more.", Example: "1GiB"},
				{Name: "threads", Type: connector.TypeInt, Doc: "Threads a query uses; without it one per CPU.", Example: "4"},
				{Name: "temp_directory", Type: connector.TypeString, Doc: "Folder for spilled data, relative to the project; without it a private folder that is removed afterwards.", Example: "/var/tmp/duckdb"},
			},
		},
		Open: open,
	}
}

var dialect = connector.Dialect{
	Name: "duckdb", Quote: '"', Placeholder: "$",
	ParamCast: map[row.Kind]string{row.UUID: "CAST(%s AS UUID)", row.JSON: "CAST(%s AS JSON)"},
	Ledger:    &ledgerSQL,
}

type source struct {
	holder *holder
	mu     sync.Mutex
	kept   *conn   // keeps a database open that is written to; nil when nothing does
	roomy  *holder // for queries that need more than the usual memory; nil when the user set a limit
}

func open(_ context.Context, cfg connector.Config, env connector.Env) (connector.Source, error) {
	dir, err := filepath.Abs(env.ProjectDir)
	if err != nil {
		return nil, fault.Wrap(fault.SourceUnreachable, err, "finding the project folder %s", env.ProjectDir)
	}
	inProject := func(p string) string {
		if p == "" || filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(dir, p)
	}
	o := options{
		name: env.Name, projectDir: dir, stateDir: env.StateDir,
		memory: cfg.Size("memory_limit"), threads: cfg.Int("threads"), temp: inProject(cfg.String("temp_directory")),
	}
	if p := cfg.String("path"); p != "" && p != ":memory:" {
		o.path = inProject(p)
	}
	if o.threads == 0 {
		o.threads = runtime.GOMAXPROCS(0)
	}
	s := &source{}
	if h := opened(o.path); h != nil { // by another connection of this process, for a ledger
		s.holder = h
		return s, nil
	}
	if env.Ledger {
		if o.path == "" {
			return nil, fault.New(fault.ProjectValue, "source %s has no database file, and can keep no ledger", env.Name).WithFix("set `path`, or use `diff: local`")
		}
		o.write = true
		if o.memory == 0 {
			o.memory = mostMemory
		}
		s.holder = shared(o)
		return s, nil
	}
	if o.memory == 0 {
		o.memory = min(max(int64(o.threads)*threadMemory, leastMemory), mostMemory)
		roomy := o
		roomy.memory = mostMemory
		s.roomy = &holder{options: roomy}
	}
	s.holder = &holder{options: o}
	return s, nil
}

// Dialect gives DuckDB's way of writing SQL (https://duckdb.org/docs/stable/sql/dialect/keywords_and_identifiers).
func (s *source) Dialect() connector.Dialect { return dialect }

// Check opens the database and runs a statement.
func (s *source) Check(ctx context.Context) error {
	_, err := s.Describe(ctx, connector.Query{SQL: "SELECT 1 AS one"})
	return err
}

// Describe plans the query and gives the types of its columns; no row is read. Column types of files come from their headers
// (Parquet) or a sample (CSV, JSON), as they do when the query runs.
func (s *source) Describe(ctx context.Context, q connector.Query) (*arrow.Schema, error) {
	if err := s.stay(); err != nil {
		return nil, err
	}
	c, err := s.holder.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	st, err := c.prepare(q)
	if err != nil {
		return nil, c.finding(err)
	}
	defer st.close()
	return schemaOf(st.columns), nil
}

// Read streams the query's result. Without a memory_limit of the user's, a query that runs out of memory before its first row
// is run again with more.
func (s *source) Read(ctx context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if err := s.stay(); err != nil {
			yield(nil, err)
			return
		}
		begun := false
		err := s.holder.read(ctx, q, func(b arrow.RecordBatch) bool { begun = true; return yield(b, nil) })
		if err != nil && !begun && s.roomy != nil && outOfMemory(err) {
			err = s.roomy.read(ctx, q, func(b arrow.RecordBatch) bool { return yield(b, nil) })
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func (h *holder) read(ctx context.Context, q connector.Query, yield func(arrow.RecordBatch) bool) error {
	c, err := h.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	st, err := c.prepare(q)
	if err != nil {
		return c.finding(err)
	}
	defer st.close()
	if err := st.stream(q.Rows, yield); err != nil {
		return c.finding(err)
	}
	return nil
}

// Close ends nothing that is still being read: readers hold the database open until they leave.
func (s *source) Close() error {
	s.leave()
	return nil
}

func schemaOf(cols []*column) *arrow.Schema {
	fields := make([]arrow.Field, len(cols))
	for i, c := range cols {
		fields[i] = c.field
	}
	return arrow.NewSchema(fields, nil)
}

// quoteText writes a text as an SQL literal.
func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
