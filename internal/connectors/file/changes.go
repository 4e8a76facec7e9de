package file

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// logLine writes lines of a change log.
type logLine struct {
	names  names
	before string // what every line of the load begins with
	delete bool
}

// logColumns stand before the record's own in a CSV log. Their underscore keeps them apart from fields of the same name.
var logColumns = []string{"_op", "_at", "_run_id", "_idempotency_key"}

func newLog(f format, to connector.Target, now time.Time) logLine {
	at := now.UTC().Format(time.RFC3339Nano)
	l := logLine{names: newNames(f, to.Match, to.Fields), delete: to.Op == connector.OpDelete}
	switch f.(type) {
	case jsonl:
		b := append([]byte(`{"op":`), row.AppendJSONString(nil, string(to.Op))...)
		b = append(append(b, `,"at":"`...), at...)
		b = append(append(b, `","run_id":`...), row.AppendJSONString(nil, to.RunID)...)
		l.before = string(append(b, `,"key":{`...))
	case csv:
		b := append(appendCell(nil, string(to.Op)), ',')
		b = append(append(b, at...), ',')
		l.before = string(append(appendCell(b, to.RunID), ','))
		l.names.columns = slices.Concat(logColumns, l.names.columns)
	}
	return l
}

func (l *logLine) line(b []byte, f format, m *row.Meta, match, values []row.Value) []byte {
	b = append(b, l.before...)
	switch f := f.(type) {
	case jsonl:
		b = append(f.pairs(b, l.names.match, match, true), '}')
		if !l.delete {
			b = append(b, `,"fields":{`...)
			b = append(f.pairs(b, l.names.fields, values, true), '}')
		}
		if m.IdempotencyKey != "" {
			b = append(b, `,"idempotency_key":`...)
			b = row.AppendJSONString(b, m.IdempotencyKey)
		}
		b = append(b, '}', '\n')
	case csv:
		if m.IdempotencyKey != "" {
			b = appendCell(b, m.IdempotencyKey)
		}
		if l.delete {
			values = make([]row.Value, len(values))
		}
		b = append(f.cells(f.cells(b, match, false), values, false), '\n')
	}
	return b
}

// appendLog adds the staged lines to the log. While they are being written a mark beside the log holds its length before: what
// a crash leaves behind it is cut off by the next commit, so that a commit is in the log as a whole or not at all.
func (s *stage) appendLog(ctx context.Context, exclude map[uint64]bool) (func(int64) connector.Result, error) {
	delivered := func(int64) connector.Result { return connector.Result{Status: connector.Delivered} }
	if err := s.recover(); err != nil {
		return nil, explain(err, "cutting off what a crash left in %s", s.abs).NotLanded()
	}
	old, err := s.open()
	if err != nil {
		return nil, explain(err, "opening %s", s.abs).NotLanded()
	}
	if old == nil {
		_, err := s.firstLog(ctx, exclude)
		return delivered, err
	}
	columns := s.names.columns
	if _, ok := s.d.format.(csv); ok {
		if columns, err = readHeader(s.d.format.reader(old)); err != nil {
			return nil, errors.Join(explain(damaged(err), "reading %s", s.abs).NotLanded(), old.Close())
		}
		if wider := union(columns, s.names.columns); len(wider) > len(columns) {
			err := s.widen(ctx, old, columns, wider, exclude)
			return delivered, errors.Join(err, old.Close())
		}
	}
	if err := old.Close(); err != nil {
		return nil, explain(err, "reading %s", s.abs).NotLanded()
	}
	return delivered, s.extend(ctx, columns, exclude)
}

func (s *stage) firstLog(ctx context.Context, exclude map[uint64]bool) (int64, error) {
	if s.rows == 0 {
		return 0, nil
	}
	return 0, s.rewrite(ctx, func(w io.Writer) error {
		if _, err := w.Write(s.d.format.header(nil, s.names.columns)); err != nil {
			return err
		}
		return s.copyStaged(ctx, w, s.names.columns, func(_ int64, ordinal uint64) bool { return !exclude[ordinal] })
	})
}

// widen rewrites a CSV log under more columns.
func (s *stage) widen(ctx context.Context, old *os.File, columns, wider []string, exclude map[uint64]bool) error {
	return s.rewrite(ctx, func(w io.Writer) error {
		if err := rewind(old, 0); err != nil {
			return err
		}
		lines := s.d.format.reader(old)
		if _, err := readHeader(lines); err != nil {
			return err
		}
		if _, err := w.Write(s.d.format.header(nil, wider)); err != nil {
			return err
		}
		var rec record
		var buf []byte
		for n := 1; ; n++ {
			line, err := lines.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = s.d.format.parse(line, columns, &rec)
			}
			if err != nil {
				return damaged(fmt.Errorf("record %d: %w", n, err))
			}
			buf = s.d.format.join(buf[:0], wider, &rec)
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		return s.copyStaged(ctx, w, wider, func(_ int64, ordinal uint64) bool { return !exclude[ordinal] })
	})
}

// rewrite writes the target anew and puts it in place.
func (s *stage) rewrite(_ context.Context, write func(io.Writer) error) error {
	f, err := s.create(".next")
	if err != nil {
		return explain(err, "making a temporary file beside %s", s.abs).NotLanded()
	}
	defer f.Close() //nolint:errcheck // synced by publish
	w := bufio.NewWriterSize(f, 1<<18)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if err != nil {
		return explain(err, "writing %s", s.abs).NotLanded()
	}
	return s.publish(f, ".next")
}

// extend appends the staged lines to the log where it stands.
func (s *stage) extend(ctx context.Context, columns []string, exclude map[uint64]bool) (err error) {
	f, err := s.root.OpenFile(s.name, os.O_RDWR, 0)
	if err != nil {
		return explain(err, "opening %s", s.abs).NotLanded()
	}
	defer f.Close() //nolint:errcheck // synced below
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		err = s.mark(size)
	}
	if err != nil {
		return explain(err, "marking the end of %s", s.abs).NotLanded()
	}
	w := bufio.NewWriterSize(f, 1<<18)
	if err = endLine(f, size, w); err == nil {
		err = s.copyStaged(ctx, w, columns, func(_ int64, ordinal uint64) bool { return !exclude[ordinal] })
	}
	if err == nil {
		err = errors.Join(w.Flush(), f.Sync())
	}
	if err != nil {
		failed := explain(err, "appending to %s", s.abs)
		if undo := s.recover(); undo == nil {
			return failed.NotLanded() // otherwise the next commit cuts it off
		}
		return failed
	}
	// From here on the lines count.
	if err := errors.Join(s.root.Remove(s.markName()), s.syncFolder()); err != nil {
		return explain(err, "making %s durable", s.abs)
	}
	return nil
}

// endLine adds the line feed that a log edited by hand may lack.
func endLine(f *os.File, size int64, w io.Writer) error {
	var last [1]byte
	if _, err := f.ReadAt(last[:], size-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err := w.Write([]byte{'\n'})
	return err
}

func (s *stage) markName() string {
	return path.Join(path.Dir(s.name), "."+path.Base(s.name)+".upwell-end")
}

// mark makes durable where the log ends.
func (s *stage) mark(size int64) error {
	f, err := s.root.OpenFile(s.markName(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.FormatInt(size, 10) + "\n")
	return errors.Join(err, f.Sync(), f.Close(), s.syncFolder())
}

// recover cuts off what an append that did not end left. A mark that was cut short itself was never acted upon.
func (s *stage) recover() error {
	text, err := s.root.ReadFile(s.markName())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	number, whole := strings.CutSuffix(string(text), "\n")
	size, err := strconv.ParseInt(number, 10, 64)
	if whole && err == nil {
		if err := s.truncate(size); err != nil {
			return err
		}
	}
	return errors.Join(s.root.Remove(s.markName()), s.syncFolder())
}

func (s *stage) truncate(size int64) error {
	f, err := s.root.OpenFile(s.name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was moved away, with everything in it
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > size {
		err = errors.Join(f.Truncate(size), f.Sync())
	}
	return errors.Join(err, f.Close())
}
