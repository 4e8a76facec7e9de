package local

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// quick is a disk that syncs nothing: for tests that never lose power.
type quick struct{ osDisk }

type quickSink struct{ sink }

func (quickSink) Sync() error { return nil }

func (quick) create(path string) (sink, error) {
	f, err := osDisk{}.create(path)
	return quickSink{f}, err
}

func (quick) syncDir(string) error { return nil }

var errKilled = errors.New("the process is dead")

// frail is a disk that fails at a chosen step, and that can lose what was not synced.
type frail struct {
	mu    sync.Mutex
	steps int
	fail  int   // the step that fails; 0 = none
	with  error // errKilled: all later steps fail as well

	side    string // every file made, by number, under a name that stays
	made    int
	visible map[string]*file // by path
	safe    map[string]*file // as after a loss of power
}

type file struct {
	side         string
	size, synced int64
}

func newFrail(t testing.TB) *frail {
	return &frail{side: t.TempDir(), visible: map[string]*file{}, safe: map[string]*file{}}
}

func (d *frail) step() error {
	d.steps++
	if d.fail > 0 && (d.steps == d.fail || d.steps > d.fail && errors.Is(d.with, errKilled)) {
		return d.with
	}
	return nil
}

func (d *frail) mkdir(dir string) error { return osDisk{}.mkdir(dir) }

func (d *frail) create(path string) (sink, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return nil, err
	}
	d.made++
	f := &file{side: filepath.Join(d.side, fmt.Sprint(d.made))}
	if err := (osDisk{}).remove(path); err != nil {
		return nil, err
	}
	s, err := osDisk{}.create(path)
	if err != nil {
		return nil, err
	}
	d.visible[path] = f
	return &frailSink{d: d, f: f, to: s}, os.Link(path, f.side)
}

type frailSink struct {
	d  *frail
	f  *file
	to sink
}

func (s *frailSink) Write(b []byte) (int, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if err := s.d.step(); err != nil {
		n, werr := s.to.Write(b[:len(b)/2]) // a write that fails has often written something
		s.f.size += int64(n)
		return n, errors.Join(err, werr)
	}
	n, err := s.to.Write(b)
	s.f.size += int64(n)
	return n, err
}

func (s *frailSink) Sync() error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if err := s.d.step(); err != nil {
		return err
	}
	s.f.synced = s.f.size
	return nil
}

func (s *frailSink) Close() error { return s.to.Close() }

func (d *frail) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.visible[to] = d.visible[from]
	delete(d.visible, from)
	return os.Rename(from, to)
}

func (d *frail) remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	delete(d.visible, path)
	return osDisk{}.remove(path)
}

func (d *frail) syncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.safe = maps.Clone(d.visible)
	return nil
}

// cut takes the power away: of what was not synced a part is there afterwards, or not, file by file and name by name.
func (d *frail) cut(t testing.TB, dir string, r *rand.Rand) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	after := map[string]*file{}
	for _, names := range []map[string]*file{d.safe, d.visible} {
		for path := range names {
			from := d.safe
			if r.IntN(2) == 0 {
				from = d.visible
			}
			if f := from[path]; f != nil {
				after[path] = f
			} else {
				delete(after, path)
			}
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, f := range after {
		b, err := os.ReadFile(f.side)
		if err != nil {
			t.Fatal(err)
		}
		kept := f.synced
		if f.size > kept {
			kept += r.Int64N(f.size - kept + 1)
		}
		b = b[:kept]
		for i := f.synced; i < kept; i++ { // space that was given to the file and not written yet
			if r.IntN(64) == 0 {
				b[i] = 0
			}
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var errFull = &os.PathError{Op: "write", Path: "ledger", Err: syscall.ENOSPC}
