package file

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// suffix marks temporary files; they are hidden, stand beside the file they are for, and are no longer needed after a day.
const (
	suffix   = ".upwell-tmp"
	leftover = 24 * time.Hour
)

// stage is one staged load. Its lines stand in a temporary file in the format of the target, so that a first load becomes
// visible by a rename; a second file holds the ordinal and length of each line. Memory does not grow with the load.
type stage struct {
	d    *Destination
	to   connector.Target
	root *os.Root
	name string // of the target below root
	abs  string

	names    names
	lines    *os.File
	index    *os.File
	toLines  *bufio.Writer
	toIndex  *bufio.Writer
	rows     int64
	begin    int64 // where the lines start
	absent   bool  // some value of a column is not part of its record
	numeric  []bool
	refused  map[uint64]connector.Result
	log      logLine
	buf      []byte
	head     []byte
	tempBase string
	done     bool

	committed bool
}

// Stage puts rows aside until Commit.
func (d *Destination) Stage(_ context.Context, to connector.Target) (connector.Stage, error) {
	return d.stage(to)
}

func (d *Destination) stage(to connector.Target) (_ *stage, err error) {
	if !slices.Contains(offered, to.Op) {
		return nil, fault.New(fault.DestConfig, "a file has no operation %s", to.Op).NotLanded()
	}
	name, err := d.place(to.Object.Name)
	if err != nil {
		return nil, err
	}
	s := &stage{d: d, to: to, name: filepath.ToSlash(name), abs: filepath.Join(d.base, name), refused: map[uint64]connector.Result{}}
	doing := "making a temporary file beside " + s.abs
	if err := os.MkdirAll(d.base, 0o755); err != nil { //nolint:gosec // a folder of results: who may read it is for the umask
		return nil, explain(err, "making the folder %s", d.base).NotLanded()
	}
	if s.root, err = os.OpenRoot(d.base); err != nil {
		return nil, explain(err, "opening the folder %s", d.base).NotLanded()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Abort(context.Background()))
			err = fault.As(err).NotLanded()
		}
	}()
	if folder := path.Dir(s.name); folder != "." {
		if err := s.root.MkdirAll(folder, 0o755); err != nil {
			return nil, explain(err, "making the folder of %s", s.abs)
		}
	}
	s.sweep()
	s.tempBase = path.Join(path.Dir(s.name), "."+path.Base(s.name)+"."+rand.Text()[:10])
	if s.lines, err = s.create(".lines"); err != nil {
		return nil, explain(err, "%s", doing)
	}
	if s.index, err = s.create(".index"); err != nil {
		return nil, explain(err, "%s", doing)
	}
	s.toLines, s.toIndex = bufio.NewWriterSize(s.lines, 1<<18), bufio.NewWriterSize(s.index, 1<<16)
	s.names = newNames(d.format, to.Match, to.Fields)
	s.numeric = make([]bool, len(to.Match))
	for i := range min(len(to.MatchKinds), len(to.Match)) {
		s.numeric[i] = to.MatchKinds[i].Numeric()
	}
	if d.changes {
		s.log = newLog(d.format, to, d.now())
		s.names = s.log.names
	}
	head := d.format.header(nil, s.names.columns)
	s.begin = int64(len(head))
	if _, err := s.toLines.Write(head); err != nil {
		return nil, explain(err, "%s", doing)
	}
	return s, nil
}

func (s *stage) create(kind string) (*os.File, error) {
	return s.root.OpenFile(s.tempBase+kind+suffix, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
}

// sweep removes what a killed process left.
func (s *stage) sweep() {
	entries, err := fs.ReadDir(s.root.FS(), path.Dir(s.name))
	if err != nil {
		return // what is wrong with the folder shows with the next step
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "."+path.Base(s.name)+".") || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		if info, err := e.Info(); err == nil && s.d.now().Sub(info.ModTime()) > leftover {
			_ = s.root.Remove(path.Join(path.Dir(s.name), e.Name())) //nolint:errcheck // tried again next time
		}
	}
}

// Write puts rows aside.
func (s *stage) Write(_ context.Context, rows *row.Batch) error {
	return s.add(rows, func(i int) uint64 { return rows.Meta(i).Ordinal })
}

func (s *stage) add(rows *row.Batch, ordinal func(int) uint64) error {
	for i := range rows.Len() {
		match, values := rows.Match(i), rows.Values(i)
		if s.to.Op == connector.OpDelete && !s.d.changes {
			values = make([]row.Value, len(values)) // a record to delete is only its identity
		}
		if field, why := s.refuses(rows, match, values); why != "" {
			s.refused[ordinal(i)] = connector.Result{Status: connector.Rejected, Code: fault.ValueNotNumber, Field: field, Message: why}
			continue
		}
		if s.d.changes {
			s.buf = s.log.line(s.buf[:0], s.d.format, rows.Meta(i), match, values)
		} else {
			s.buf = s.d.format.line(s.buf[:0], s.names, match, values)
		}
		s.note(match, values)
		s.head = binary.AppendUvarint(binary.AppendUvarint(s.head[:0], ordinal(i)), uint64(len(s.buf)))
		if _, err := s.toIndex.Write(s.head); err != nil {
			return explain(err, "writing a temporary file beside %s", s.abs).NotLanded()
		}
		if _, err := s.toLines.Write(s.buf); err != nil {
			return explain(err, "writing a temporary file beside %s", s.abs).NotLanded()
		}
		s.rows++
	}
	return nil
}

func (s *stage) refuses(rows *row.Batch, match, values []row.Value) (field, why string) {
	for i, v := range match {
		if why := s.d.format.carries(v); why != "" {
			return rows.MatchFields()[i], why
		}
	}
	for i, v := range values {
		if why := s.d.format.carries(v); why != "" {
			return rows.Fields()[i], why
		}
	}
	return "", ""
}

func (s *stage) note(match, values []row.Value) {
	for i, v := range match {
		s.numeric[i] = s.numeric[i] || v.Kind().Numeric()
		s.absent = s.absent || v.IsAbsent()
	}
	for _, v := range values {
		s.absent = s.absent || v.IsAbsent()
	}
}

// staged walks over the staged lines in their order. line is valid until the next one.
func (s *stage) staged(ctx context.Context, visit func(n int64, ordinal uint64, line []byte) error) error {
	if err := errors.Join(rewind(s.lines, s.begin), rewind(s.index, 0)); err != nil {
		return err
	}
	lines, index := bufio.NewReaderSize(s.lines, 1<<18), bufio.NewReaderSize(s.index, 1<<16)
	var buf []byte
	for n := range s.rows {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ordinal, err := binary.ReadUvarint(index)
		if err != nil {
			return err
		}
		size, err := binary.ReadUvarint(index)
		if err != nil {
			return err
		}
		if uint64(cap(buf)) < size {
			buf = make([]byte, size+size/2)
		}
		buf = buf[:size]
		if _, err := io.ReadFull(lines, buf); err != nil {
			return err
		}
		if err := visit(n, ordinal, buf); err != nil {
			return err
		}
	}
	return nil
}

func rewind(f *os.File, to int64) error {
	_, err := f.Seek(to, io.SeekStart)
	return err
}

// Commit makes the staged rows visible in one step.
func (s *stage) Commit(ctx context.Context, exclude map[uint64]bool, settle func(uint64, connector.Result)) error {
	switch {
	case ctx.Err() != nil:
		return explain(ctx.Err(), "committing to %s", s.abs).NotLanded()
	case s.committed || s.done:
		return fault.New(fault.Internal, "a load for %s is committed twice, or after it was thrown away", s.abs).NotLanded()
	}
	s.committed = true
	if err := errors.Join(s.toLines.Flush(), s.toIndex.Flush()); err != nil {
		return explain(err, "writing a temporary file beside %s", s.abs).NotLanded()
	}
	defer lock(s.abs)()
	var verdict func(n int64) connector.Result
	var err error
	switch {
	case s.rows == 0:
	case s.d.changes:
		verdict, err = s.appendLog(ctx, exclude)
	default:
		verdict, err = s.replace(ctx, exclude)
	}
	if err != nil {
		return err
	}
	for ordinal, r := range s.refused {
		if !exclude[ordinal] {
			settle(ordinal, r)
		}
	}
	err = s.staged(context.WithoutCancel(ctx), func(n int64, ordinal uint64, _ []byte) error {
		if !exclude[ordinal] {
			settle(ordinal, verdict(n))
		}
		return nil
	})
	if err != nil {
		return explain(err, "reading what was staged for %s", s.abs)
	}
	return nil
}

// Abort removes the temporary files. A commit that went through stays.
func (s *stage) Abort(context.Context) error {
	if s.done || s.root == nil {
		return nil
	}
	s.done = true
	var errs []error
	for _, f := range []*os.File{s.lines, s.index} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	for _, kind := range []string{".lines", ".index", ".next"} {
		if s.tempBase == "" {
			break
		}
		if err := s.root.Remove(s.tempBase + kind + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, s.root.Close())
	if err := errors.Join(errs...); err != nil {
		return explain(err, "removing temporary files beside %s", s.abs)
	}
	return nil
}

// publish puts a finished temporary file in the target's place, durably. Before the rename nothing is visible.
func (s *stage) publish(f *os.File, kind string) error {
	if old, err := s.root.Stat(s.name); err == nil {
		if err := f.Chmod(old.Mode().Perm()); err != nil {
			return explain(err, "keeping the rights of %s", s.abs).NotLanded()
		}
	}
	if err := f.Sync(); err != nil {
		return explain(err, "writing %s", s.abs).NotLanded()
	}
	if err := s.root.Rename(s.tempBase+kind+suffix, s.name); err != nil {
		return explain(err, "replacing %s", s.abs).NotLanded()
	}
	return s.syncFolder()
}

func (s *stage) syncFolder() error {
	f, err := s.root.Open(path.Dir(s.name))
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return explain(err, "making %s durable", s.abs)
	}
	return nil
}

// open gives the target as it is, nil when there is none or it is empty.
func (s *stage) open() (*os.File, error) {
	return openExisting(s.root, s.name)
}

func openExisting(root *os.Root, name string) (*os.File, error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fault.New(fault.DestConfig, "%s is not a regular file", name)
	case info.Size() > 0:
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}
