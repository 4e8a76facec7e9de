package duckdb

import (
	"context"
	"errors"
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
)

// refusal is what DuckDB said about a statement.
type refusal string

func (r refusal) Error() string { return string(r) }

// finding turns an error of this connection into a fault: an interrupt we asked for is a cancellation, a refusal is
// SOURCE_QUERY_FAILED in DuckDB's words.
func (c *conn) finding(err error) error {
	if cause := context.Cause(c.ctx); cause != nil {
		return fault.Wrap(fault.Cancelled, cause, "reading %s", c.holder.options.name)
	}
	var r refusal
	if !errors.As(err, &r) {
		return err
	}
	f := fault.New(fault.SourceQueryFailed, "running the query on %s: %s", c.holder.options.name, strings.TrimSpace(string(r)))
	f.Cause = err
	switch {
	case outOfMemory(r):
		f = f.WithFix("Raise memory_limit of source %s, or give temp_directory a folder with more space.", c.holder.options.name)
	case strings.Contains(string(r), "No files found that match"):
		f = f.WithFix("Check the path in the model; relative paths start at the project folder.")
	case strings.Contains(string(r), "extension"):
		f = f.WithFix("Only what is built in can be used: Parquet, CSV, JSON and ICU. Extensions are never installed or loaded.")
	}
	return f
}

func outOfMemory(err error) bool {
	var r refusal
	return errors.As(err, &r) && strings.HasPrefix(string(r), "Out of Memory Error")
}

// openFault explains why a database did not open.
func openFault(o *options, msg string) error {
	f := fault.New(fault.SourceUnreachable, "opening %s: %s", o.what(), oneLine(msg))
	switch {
	case strings.Contains(msg, "lock"):
		return f.WithFix("Another process has the file open for writing. Close it, or copy the file; several readers are fine.")
	case strings.Contains(msg, "not a valid DuckDB database"), strings.Contains(msg, "Corrupt"), strings.Contains(msg, "checksum"):
		return f.WithFix("The file is not a DuckDB database or is damaged; restore or rebuild it.")
	case strings.Contains(msg, "newer version"), strings.Contains(msg, "storage version"), strings.Contains(msg, "version number"):
		return f.WithFix("The file was written by another version of DuckDB; export it with that version.")
	case strings.Contains(msg, "WAL"), strings.Contains(msg, "read-only"), strings.Contains(msg, "read only"):
		return f.WithFix("Open the file once with DuckDB and run CHECKPOINT, so that it can be read without writing.")
	}
	return f
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
