package sqlite

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
)

// intentFile holds the rows of a large intent in a file of their own, flushed before the intent that names it.
type intentFile struct {
	j       *journal
	f       *os.File
	w       *bufio.Writer
	b, head []byte
}

// IntendMany begins a large intent.
func (j *journal) IntendMany() (deliver.IntentRows, error) {
	dir := filepath.Join(filepath.Dir(j.s.path), "intents")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, stateFault(err, "writing an intent")
	}
	f, err := os.CreateTemp(dir, j.run+"-*.keys")
	if err != nil {
		return nil, stateFault(err, "writing an intent")
	}
	return &intentFile{j: j, f: f, w: bufio.NewWriterSize(f, 256<<10)}, nil
}

// Add writes a row.
func (i *intentFile) Add(r deliver.IntentRow) error {
	i.b = appendRow(i.b[:0], r)
	i.head = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(i.head[:0], uint32(len(i.b))), crc32.ChecksumIEEE(i.b))
	_, err := i.w.Write(i.head)
	if err == nil {
		_, err = i.w.Write(i.b)
	}
	return stateFault(err, "writing an intent")
}

// Intend makes the rows durable, and then the intent.
func (i *intentFile) Intend(ctx context.Context, in deliver.Intent) (int64, error) {
	f := i.f
	i.f = nil
	err := errors.Join(i.w.Flush(), f.Sync(), f.Close())
	if err != nil {
		return 0, stateFault(errors.Join(err, os.Remove(f.Name())), "writing an intent")
	}
	return i.j.insert(ctx, in, nil, filepath.Base(f.Name()))
}

// Discard removes the rows of an intent that did not come to be.
func (i *intentFile) Discard() error {
	if i.f == nil {
		return nil
	}
	f := i.f
	i.f = nil
	return stateFault(errors.Join(f.Close(), os.Remove(f.Name())), "removing an intent")
}

// removeGone removes the files of intents that are dropped, after the commit that dropped them: an intent on record without its
// file could never be settled. What is not removed now is swept by the next Open.
func (s *Store) removeGone() {
	for _, file := range s.gone {
		_ = os.Remove(filepath.Join(filepath.Dir(s.path), "intents", filepath.Base(file))) //nolint:errcheck // swept by the next Open
	}
}

// sweepIntents removes files that no intent names: a process ended before it made one of them, or after it had dropped it.
func (s *Store) sweepIntents(ctx context.Context) error {
	dir := filepath.Join(filepath.Dir(s.path), "intents")
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return stateFault(err, "reading intents")
	}
	for _, e := range list {
		var named bool
		if err := s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM intents WHERE file = ?)`, e.Name()).Scan(&named); err != nil {
			return stateFault(err, "reading intents")
		}
		if named {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return stateFault(err, "removing a left-over intent")
		}
	}
	return nil
}

// intentRows yields the rows of a stored intent.
func (s *Store) intentRows(blob []byte, file string) iter.Seq2[deliver.IntentRow, error] {
	return func(yield func(deliver.IntentRow, error) bool) {
		if file == "" {
			for len(blob) > 0 {
				r, rest, err := readRow(blob)
				if !yield(r, err) || err != nil {
					return
				}
				blob = rest
			}
			return
		}
		f, err := os.Open(filepath.Join(filepath.Dir(s.path), "intents", filepath.Base(file)))
		if err != nil {
			yield(deliver.IntentRow{}, err)
			return
		}
		defer f.Close() //nolint:errcheck // read only
		in := bufio.NewReaderSize(f, 256<<10)
		var head [8]byte
		for {
			if _, err := io.ReadFull(in, head[:]); err != nil {
				if !errors.Is(err, io.EOF) {
					yield(deliver.IntentRow{}, err)
				}
				return
			}
			b := make([]byte, binary.LittleEndian.Uint32(head[:]))
			if _, err := io.ReadFull(in, b); err != nil {
				yield(deliver.IntentRow{}, err)
				return
			}
			if crc32.ChecksumIEEE(b) != binary.LittleEndian.Uint32(head[4:]) {
				yield(deliver.IntentRow{}, fault.New(fault.StateCorrupt, "%s does not hold what was written", file))
				return
			}
			r, _, err := readRow(b)
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}
