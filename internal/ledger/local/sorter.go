package local

import (
	"io"
	"os"

	"github.com/zeebo/xxh3"
)

// sorter sorts rows by (hash, key) in bounded memory: arenas of half the budget are sorted and written to temporary files while
// the next one fills. What fits one arena stays in memory.
type sorter struct {
	dir    string
	kind   tableKind
	budget int // of one arena
	seed   uint64

	cur     *arena
	free    chan *arena
	flushed chan error // one answer for every arena handed over
	waiting int
	files   []*tempFile
	runs    []*table
	scratch []arenaRef
}

func newSorter(dir string, kind tableKind, memory int64, seed uint64) *sorter {
	if dir == "" {
		dir = os.TempDir()
	}
	s := &sorter{
		dir: dir, kind: kind, budget: int(max(memory/2, 64<<10)), seed: seed,
		cur: &arena{}, free: make(chan *arena, 1), flushed: make(chan error, 1),
	}
	s.free <- &arena{}
	return s
}

// room gives the arena to put a row of about this size into.
func (s *sorter) room(size int) (*arena, error) {
	if s.cur.room(size, s.budget) {
		return s.cur, nil
	}
	err := s.hand()
	return s.cur, err
}

// hand gives the full arena to the writer and takes the other one.
func (s *sorter) hand() error {
	if err := s.wait(0); err != nil {
		return err
	}
	f, err := newTempFile(s.dir)
	if err != nil {
		return err
	}
	s.files = append(s.files, f)
	full := s.cur
	s.cur = <-s.free
	s.waiting++
	go func() {
		s.scratch = full.sort(s.scratch)
		err := full.write(f, s.kind)
		full.reset()
		s.free <- full
		s.flushed <- err
	}()
	return nil
}

// wait collects answers until at most n arenas are being written.
func (s *sorter) wait(n int) error {
	var first error
	for s.waiting > n {
		if err := <-s.flushed; first == nil {
			first = err
		}
		s.waiting--
	}
	return first
}

func (a *arena) write(f *tempFile, kind tableKind) error {
	w, n := newTable(f.summed(), kind), kind.headLen()
	for _, r := range a.refs {
		body := a.body(r)
		w.add(r.hash, a.key(r), body[:n], body[n:])
	}
	_, err := w.finish(nil)
	return err
}

// finish ends the filling: afterwards cursors may be asked for, as often as wanted. What filled no arena stays in memory.
func (s *sorter) finish() error {
	s.cur.sort(nil)
	if err := s.wait(0); err != nil {
		return err
	}
	s.scratch, s.free = nil, nil
	for _, f := range s.files {
		t, err := readTable(f.File, f.Name(), s.kind, -1)
		if err != nil {
			return err
		}
		s.runs = append(s.runs, t)
	}
	return nil
}

// cursor walks all rows in the order of (hash, key), equal keys as they came.
func (s *sorter) cursor() *merge {
	m := newMerge(oldFirst)
	for _, t := range s.runs {
		m.add(t.cursor(s.seed))
	}
	m.add(s.cur.cursor(s.kind.headLen()))
	return m
}

func (s *sorter) close() error {
	err := s.wait(0)
	for _, f := range s.files {
		if cerr := f.remove(); err == nil {
			err = cerr
		}
	}
	s.files, s.runs = nil, nil
	return err
}

// tempFile is a file without a name where the system allows it: it is gone when the process is.
type tempFile struct {
	*os.File
	named bool
}

func newTempFile(dir string) (*tempFile, error) {
	f, err := os.CreateTemp(dir, "upwell-spool-")
	if err != nil {
		return nil, unusable(err, "making a temporary file for changed rows in %s", dir)
	}
	return &tempFile{File: f, named: os.Remove(f.Name()) != nil}, nil
}

// summed writes to the file, which stays open.
func (f *tempFile) summed() *sumWriter {
	return &sumWriter{to: unsynced{f.File}, path: f.Name(), buf: make([]byte, 0, 256<<10), sum: xxh3.New()}
}

func (f *tempFile) remove() error {
	discard(f.File)
	if f.named {
		return unusable(os.Remove(f.Name()), "removing a temporary file")
	}
	return nil
}

// unsynced is a sink that leaves its file open and need not outlive the process.
type unsynced struct{ io.Writer }

func (unsynced) Sync() error  { return nil }
func (unsynced) Close() error { return nil }
