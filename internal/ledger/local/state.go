package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/fault"
)

// segment is an open segment of entries and the lists its rows refer to.
type segment struct {
	*table
	ref   segmentRef
	lists *lists
}

// state is one published state with its files open, so that a writer may delete them meanwhile. It is shared by a snapshot, its
// comparisons and the session, and closed by the last.
type state struct {
	dir      string
	m        *manifest
	index    *index
	segments []*segment
	byNumber [maxSegments + 1]int // position in segments + 1
	refs     atomic.Int32

	mu      sync.Mutex
	history map[string]*historyFile // opened when asked for
}

// openState opens what is published. A reader that loses a race with a writer's clean-up starts again with the newer manifest.
func openState(dir string) (*state, error) {
	m, err := readManifest(dir)
	for err == nil {
		var s *state
		if s, err = openFiles(dir, m); err == nil {
			return s, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		newer, again := readManifest(dir)
		if again != nil {
			return nil, again
		}
		if newer.Meta.Version == m.Meta.Version {
			return nil, err
		}
		m, err = newer, nil
	}
	return nil, err
}

func openFiles(dir string, m *manifest) (*state, error) {
	s := &state{dir: dir, m: m, history: map[string]*historyFile{}}
	s.refs.Store(1)
	err := s.open()
	if err != nil {
		discard(closer(s.release))
		return nil, err
	}
	return s, nil
}

type closer func() error

// Close calls the function.
func (c closer) Close() error { return c() }

func (s *state) open() (err error) {
	if s.index, err = openIndex(s.dir, s.m.Index); err != nil {
		return err
	}
	for _, ref := range s.m.Segments {
		seg, err := openSegment(s.dir, ref)
		if err != nil {
			return err
		}
		s.segments = append(s.segments, seg)
		s.byNumber[ref.Number] = len(s.segments)
	}
	if int64(s.index.rows()) != s.m.Meta.Rows {
		return corrupt(filepath.Join(s.dir, manifestName), "it counts %d rows and the index %d", s.m.Meta.Rows, s.index.rows())
	}
	return nil
}

func openSegment(dir string, ref segmentRef) (*segment, error) {
	path := filepath.Join(dir, ref.Name)
	t, err := openTable(path, kindEntries, ref.Bytes)
	if err != nil {
		return nil, err
	}
	l, err := decodeLists(t.tail)
	if err != nil {
		t.close()
		return nil, corrupt(path, "its lists cannot be read")
	}
	return &segment{table: t, ref: ref, lists: l}, nil
}

func (s *state) retain() *state { s.refs.Add(1); return s }

func (s *state) release() error {
	if s.refs.Add(-1) > 0 {
		return nil
	}
	for _, seg := range s.segments {
		seg.close()
	}
	for _, h := range s.history {
		h.close()
	}
	if err := s.index.Close(); err != nil {
		return unreadable(err, "closing the ledger's index")
	}
	return nil
}

// verify reads every file once, in order, and compares checksums.
func (s *state) verify(ctx context.Context) error {
	buf := make([]byte, 1<<20)
	for _, ref := range s.m.files() {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(fault.Cancelled, err, "checking the ledger")
		}
		err := s.verifyFile(ref, buf)
		if errors.Is(err, fs.ErrNotExist) && s.retired(ref) {
			continue
		}
		if err != nil {
			return err
		}
	}
	return verifyBackup(s.dir, s.m)
}

// verifyFile sums the file this state holds open, so that one deleted by a writer meanwhile is still the one checked.
func (s *state) verifyFile(ref fileRef, buf []byte) error {
	if f := s.held(ref.Name); f != nil {
		return sumFile(f, filepath.Join(s.dir, ref.Name), ref, buf)
	}
	return checkFile(s.dir, ref)
}

func (s *state) held(name string) *os.File {
	for _, seg := range s.segments {
		if seg.ref.Name == name {
			return seg.file
		}
	}
	if s.m.Index != nil {
		switch {
		case s.m.Index.Slots.Name == name:
			return s.index.slots.file
		case s.m.Index.Flags.Name == name:
			return s.index.flags.file
		case s.m.Index.Match != nil && s.m.Index.Match.Name == name:
			return s.index.match.file
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.history[name]; h != nil {
		return h.file
	}
	return nil
}

// checkFile opens a file by name and sums it.
func checkFile(dir string, ref fileRef) error {
	path := filepath.Join(dir, ref.Name)
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return unreadable(err, "opening ledger file %s", ref.Name)
	}
	defer discard(f)
	return sumFile(f, path, ref, make([]byte, 1<<20))
}

func sumFile(f *os.File, path string, ref fileRef, buf []byte) error {
	h, at := xxh3.New(), int64(0)
	for {
		n, err := f.ReadAt(buf, at)
		h.Write(buf[:n])
		at += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return unreadable(err, "reading ledger file %s", ref.Name)
		}
	}
	if at != ref.Bytes {
		return corrupt(path, "it is %d bytes long and was written with %d", at, ref.Bytes)
	}
	if hex(h.Sum64()) != ref.Sum {
		return corrupt(path, "its checksum does not fit: some of its bytes are not what was written")
	}
	return nil
}

// retired reports that a newer published state no longer names the file, which then was deleted rightly.
func (s *state) retired(ref fileRef) bool {
	m, err := readManifest(s.dir)
	if err != nil || m.Meta.Version == s.m.Meta.Version {
		return false
	}
	for _, f := range m.files() {
		if f.Name == ref.Name {
			return false
		}
	}
	return true
}

// verifyBackup checks the manifest as it stands now, and the copy it is mended from. The copy may be one publication behind, or
// missing when the process died before its first was written.
func verifyBackup(dir string, held *manifest) error {
	if held.Meta.Version == 0 {
		return nil
	}
	if _, err := readManifest(dir); err != nil {
		return err
	}
	_, err := readSealed(filepath.Join(dir, backupName), &manifest{})
	return err
}
