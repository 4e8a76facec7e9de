package file

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// entry finds a staged line by the hash of its identity. A commit needs 24 bytes of memory for each changed row, whatever the
// size of the file.
type entry struct {
	hash uint64
	at   int64 // in the lines file
	row  uint32
	size uint32
}

// replace writes the file anew: old records in their order, changed where the load says so, new ones at the end.
func (s *stage) replace(ctx context.Context, exclude map[uint64]bool) (func(int64) connector.Result, error) {
	old, err := s.open()
	if err != nil {
		return nil, explain(err, "opening %s", s.abs).NotLanded()
	}
	if old == nil {
		return s.first(ctx, exclude)
	}
	defer old.Close() //nolint:errcheck // only read
	m, err := s.merging(ctx, old, exclude)
	if err != nil {
		return nil, explain(err, "reading %s", s.abs).NotLanded()
	}
	f, err := s.create(".next")
	if err != nil {
		return nil, explain(err, "making a temporary file beside %s", s.abs).NotLanded()
	}
	defer f.Close() //nolint:errcheck // synced by publish
	w := bufio.NewWriterSize(f, 1<<18)
	changed, err := m.run(ctx, w)
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return nil, explain(err, "merging into %s", s.abs).NotLanded()
	}
	if changed {
		if err := s.publish(f, ".next"); err != nil {
			return nil, err
		}
	}
	return m.verdict, nil
}

// first makes a file that was not there. When every staged line is wanted as it stands, the staged file becomes the file.
func (s *stage) first(ctx context.Context, exclude map[uint64]bool) (func(int64) connector.Result, error) {
	creates := s.to.Op == connector.OpUpsert || s.to.Op == connector.OpInsert || s.to.Op == connector.OpAppend
	missing := connector.Result{Status: connector.Delivered}
	if s.to.Op != connector.OpDelete {
		missing = notThere
	}
	if !creates || s.rows == 0 {
		return func(int64) connector.Result { return missing }, nil
	}
	created := func(int64) connector.Result {
		return connector.Result{Status: connector.Delivered, Created: connector.Yes}
	}
	if len(exclude) == 0 && !s.absent {
		// The lines stay open under their new name, for settling.
		return created, s.publish(s.lines, ".lines")
	}
	f, err := s.create(".next")
	if err != nil {
		return nil, explain(err, "making a temporary file beside %s", s.abs).NotLanded()
	}
	defer f.Close() //nolint:errcheck // synced by publish
	w := bufio.NewWriterSize(f, 1<<18)
	if _, err = w.Write(s.d.format.header(nil, s.names.columns)); err == nil {
		err = s.copyStaged(ctx, w, s.names.columns, func(_ int64, ordinal uint64) bool { return !exclude[ordinal] })
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return nil, explain(err, "writing %s", s.abs).NotLanded()
	}
	return created, s.publish(f, ".next")
}

// copyStaged writes staged lines under these columns.
func (s *stage) copyStaged(ctx context.Context, w io.Writer, columns []string, wanted func(int64, uint64) bool) error {
	same := !s.absent && slices.Equal(columns, s.names.columns)
	_, isCSV := s.d.format.(csv)
	var rec record
	var buf []byte
	return s.staged(ctx, func(n int64, ordinal uint64, line []byte) error {
		if !wanted(n, ordinal) {
			return nil
		}
		if isCSV && !same {
			if err := s.d.format.parse(line, s.names.columns, &rec); err != nil {
				return err
			}
			buf = s.d.format.join(buf[:0], columns, &rec)
			line = buf
		}
		_, err := w.Write(line)
		return err
	})
}

var notThere = connector.Result{Status: connector.Skipped, Code: fault.NotFound, Message: "the file has no such record"}

// merge is one merge of a staged load into an existing file.
type merge struct {
	s          *stage
	old        lineReader
	oldColumns []string
	columns    []string
	byHash     []entry
	used       []bool
	wanted     []bool // by row: not excluded
}

func (s *stage) merging(ctx context.Context, old io.Reader, exclude map[uint64]bool) (*merge, error) {
	if s.rows > 1<<32-1 {
		return nil, fmt.Errorf("%d changes are more than one commit can hold", s.rows)
	}
	m := &merge{s: s, old: s.d.format.reader(old), used: make([]bool, s.rows), wanted: make([]bool, s.rows), byHash: make([]entry, 0, s.rows)}
	if _, ok := s.d.format.(csv); ok {
		var err error
		if m.oldColumns, err = readHeader(m.old); err != nil {
			return nil, damaged(err)
		}
		for _, name := range s.to.Match {
			if !slices.Contains(m.oldColumns, name) {
				return nil, fault.New(fault.DestConfig, "%s has no column %s, which identifies the records", s.abs, name).
					WithFix("Move the file away, or write to another one.")
			}
		}
		m.columns = union(m.oldColumns, s.names.columns)
	}
	var rec record
	var id []byte
	at := s.begin
	err := s.staged(ctx, func(n int64, ordinal uint64, line []byte) error {
		defer func() { at += int64(len(line)) }()
		if m.wanted[n] = !exclude[ordinal]; !m.wanted[n] {
			return nil
		}
		if err := s.d.format.parse(line, s.names.columns, &rec); err != nil {
			return err
		}
		id = identityOf(s.d.format, id[:0], &rec, s.to.Match, s.numeric)
		m.byHash = append(m.byHash, entry{xxh3.Hash(id), at, uint32(n), uint32(len(line))})
		return nil
	})
	slices.SortFunc(m.byHash, func(a, b entry) int {
		if a.hash != b.hash {
			if a.hash < b.hash {
				return -1
			}
			return 1
		}
		return int(int64(a.row) - int64(b.row))
	})
	return m, err
}

func union(old, more []string) []string {
	out := slices.Clone(old)
	for _, n := range more {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// damaged explains a file that is not what it should be. It is left alone.
func damaged(err error) error {
	var io *fs.PathError
	if fault.Is(err, fault.DestConfig) || errors.As(err, &io) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.New(fault.DestConfig, "the file holds something that was not written here: %v", err).
		WithFix("Mend the file or move it away; it was left as it is.")
}

// run writes the merged file and reports whether anything differs from the old one.
func (m *merge) run(ctx context.Context, w *bufio.Writer) (changed bool, err error) {
	s, f := m.s, m.s.d.format
	widened := len(m.columns) != len(m.oldColumns)
	if _, err := w.Write(f.header(nil, m.columns)); err != nil {
		return false, err
	}
	var rec, news record
	var id, buf, staged []byte
	for n := int64(0); ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		line, err := m.old.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = f.parse(line, m.oldColumns, &rec)
		}
		if err != nil {
			return false, damaged(fmt.Errorf("record %d: %w", n+1, err))
		}
		id = identityOf(f, id[:0], &rec, s.to.Match, s.numeric)
		e, err := m.find(id, &news, &staged)
		if err != nil {
			return false, err
		}
		out := line
		switch {
		case e == nil || s.to.Op == connector.OpInsert || s.to.Op == connector.OpAppend:
			if e != nil {
				m.used[e.row] = true
			}
			if widened {
				buf = f.join(buf[:0], m.columns, &rec)
				out = buf
			}
		case s.to.Op == connector.OpDelete || m.used[e.row]: // a record that stands there twice stays once
			m.used[e.row], out, changed = true, nil, true
		default:
			m.used[e.row] = true
			rec.merge(&news)
			buf = f.join(buf[:0], m.columns, &rec)
			out = buf
			changed = changed || string(out) != string(line)
		}
		if _, err := w.Write(out); err != nil {
			return false, err
		}
	}
	if s.to.Op == connector.OpUpsert || s.to.Op == connector.OpInsert || s.to.Op == connector.OpAppend {
		err = s.copyStaged(ctx, w, m.columns, func(n int64, _ uint64) bool {
			add := m.wanted[n] && !m.used[n]
			changed = changed || add
			return add
		})
	}
	return changed || widened, err
}

// find gives the staged line about a record, parsed into news; nil when there is none.
func (m *merge) find(id []byte, news *record, buf *[]byte) (*entry, error) {
	if id == nil {
		return nil, nil
	}
	hash := xxh3.Hash(id)
	i, _ := slices.BinarySearchFunc(m.byHash, hash, func(e entry, h uint64) int {
		switch {
		case e.hash < h:
			return -1
		case e.hash > h:
			return 1
		}
		return 0
	})
	for ; i < len(m.byHash) && m.byHash[i].hash == hash; i++ {
		e := &m.byHash[i]
		if cap(*buf) < int(e.size) {
			*buf = make([]byte, e.size+e.size/2)
		}
		*buf = (*buf)[:e.size]
		if _, err := m.s.lines.ReadAt(*buf, e.at); err != nil {
			return nil, err
		}
		if err := m.s.d.format.parse(*buf, m.s.names.columns, news); err != nil {
			return nil, err
		}
		if string(identityOf(m.s.d.format, nil, news, m.s.to.Match, m.s.numeric)) == string(id) {
			return e, nil
		}
	}
	return nil, nil
}

// verdict is the outcome of a staged row after the file was replaced.
func (m *merge) verdict(n int64) connector.Result {
	done := connector.Result{Status: connector.Delivered, Created: connector.No}
	was := m.used[n]
	switch m.s.to.Op { //nolint:exhaustive // no lists
	case connector.OpUpsert:
		if !was {
			done.Created = connector.Yes
		}
	case connector.OpInsert:
		if was && m.s.to.SkipExists {
			return connector.Result{Status: connector.Skipped, Code: fault.AlreadyExists, Message: "the file has this record"}
		}
		if was {
			return connector.Result{Status: connector.Rejected, Code: fault.AlreadyExists, Message: "the file has this record"}
		}
		done.Created = connector.Yes
	case connector.OpAppend, connector.OpDelete:
		done.Created = connector.NotTold
	case connector.OpUpdate, connector.OpClear:
		if !was {
			return notThere
		}
	}
	return done
}
