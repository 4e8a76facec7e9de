package duckdb

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
)

// refusal is what DuckDB said about a statement.
type refusal string

func (r refusal) Error() string { return string(r) }

// owned is a refusal of the model's own text, before anything was added to it.
type owned struct{ refusal }

func (o owned) Unwrap() error { return o.refusal }

// pointer is how DuckDB shows where in a statement a mistake is: the line, cut at both ends when it is long, and a mark below it.
var pointer = regexp.MustCompile(`(?s)\s*\nLINE (\d+): (.*?)\n( *)\^\s*$`)

// words gives a refusal on one line and without the pointer, and the line and column it points at.
func (r refusal) words() (text string, line, column int) {
	text = string(r)
	m := pointer.FindStringSubmatch(text)
	if m == nil {
		return oneLine(text), 0, 0
	}
	line, err := strconv.Atoi(m[1])
	if err != nil {
		return oneLine(text), 0, 0
	}
	if !strings.HasPrefix(m[2], "...") {
		column = max(0, len(m[3])-len("LINE : ")-len(m[1])+1)
	}
	return oneLine(strings.TrimSuffix(text, m[0])), line, column
}

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
	text, line, column := r.words()
	f := fault.New(fault.SourceQueryFailed, "running the query on %s: %s", c.holder.options.name, text)
	f.Cause = err
	if errors.As(err, new(owned)) {
		f.Line, f.Column = line, column
	}
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
