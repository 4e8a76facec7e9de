// Package state opens a project's folder of state: the lock that lets one process write, the store of runs, the ledgers, and the
// state id that tells a lost folder from a first run.
package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sys/unix"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/local"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/store/sqlite"
)

// layout is the version of the folder's layout. A newer one is refused.
const layout = 1

// State is an open folder of state.
type State struct {
	Dir   string
	Store *sqlite.Store // nil when the folder was opened for reading and there is none
	lock  *os.File
}

// lockFile stands beside upwell.yml and belongs under version control: it remembers which state the project has.
type lockFile struct {
	Version int    `json:"version"`
	StateID string `json:"state_id"`
}

// Choice is what to do about state that is gone.
type Choice string

// The choices of `upwell doctor` when the state is gone.
const (
	Ask     Choice = ""        // refuse
	Adopt   Choice = "adopt"   // take what the models yield now for delivered
	Rebuild Choice = "rebuild" // deliver everything again
)

// Open opens the folder for writing: STATE_LOCKED names another process that has it, STATE_MISSING tells that state the project
// once had is gone.
func Open(ctx context.Context, p *project.Project, choice Choice) (*State, error) {
	dir := p.StateDir()
	id, err := stateID(p.Dir, dir, choice)
	if err != nil {
		return nil, err
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	s := &State{Dir: dir}
	if s.lock, err = take(dir); err != nil {
		return nil, err
	}
	if id != "" { // it is written last
		err = sqlite.Missing(dir)
	}
	if err == nil {
		s.Store, err = sqlite.Open(ctx, dir)
	}
	if err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	if choice != Ask && id == "" {
		err = s.begin(ctx, p, choice)
	}
	if err == nil { // last: a process that dies before it has decided nothing
		err = s.identify(p.Dir, id)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// begin notes for every sync what was chosen. Removals stay off until one full run has completed: what was in the tool before is
// not known any more.
func (s *State) begin(ctx context.Context, p *project.Project, choice Choice) error {
	for name := range p.Syncs {
		st, err := s.Store.SyncState(ctx, name)
		if err != nil {
			return err
		}
		st.AdoptNext, st.RemovalsHeld = choice == Adopt, true
		if err := s.Store.SetSyncState(ctx, name, st); err != nil {
			return err
		}
	}
	return nil
}

// Read opens the folder for reading, beside a process that writes. It changes no byte.
func Read(ctx context.Context, p *project.Project) (*State, error) {
	dir := p.StateDir()
	id, err := stateID(p.Dir, dir, Ask)
	if err == nil && id != "" {
		err = sqlite.Missing(dir)
	}
	if err != nil {
		return nil, err
	}
	s := &State{Dir: dir}
	s.Store, err = sqlite.OpenReadOnly(ctx, dir)
	return s, err
}

// stateID compares the project's lock file with the folder.
func stateID(projectDir, dir string, choice Choice) (string, error) {
	var want lockFile
	b, err := os.ReadFile(lockPath(projectDir))
	switch {
	case err == nil:
		if err := json.Unmarshal(b, &want); err != nil {
			return "", fault.Wrap(fault.StateUnusable, err, "reading %s", lockPath(projectDir)).WithFix("restore upwell.lock from version control, or remove it to start over")
		}
	case !errors.Is(err, os.ErrNotExist):
		return "", fault.Wrap(fault.StateUnusable, err, "reading %s", lockPath(projectDir))
	}
	got, err := os.ReadFile(idPath(dir))
	switch {
	case err == nil:
		if err := checkLayout(string(got)); err != nil {
			return "", err
		}
	case errors.Is(err, os.ErrNotExist):
	default:
		return "", fault.Wrap(fault.StateUnusable, err, "reading %s", idPath(dir))
	}
	have, _, _ := strings.Cut(strings.TrimSpace(string(got)), " ")
	if want.StateID == "" || have == want.StateID {
		return have, nil
	}
	if choice != Ask {
		return "", nil
	}
	what := "its folder .upwell is gone"
	if have != "" {
		what = "the folder .upwell holds another state"
	}
	return "", fault.New(fault.StateMissing, "the project has had state before (%s) and %s", want.StateID, what).
		WithFix("restore .upwell, or choose: `upwell doctor --adopt` takes what the models yield now for delivered, `upwell doctor --rebuild` delivers everything again; removals stay off until one full run has completed")
}

func checkLayout(id string) error {
	_, v, _ := strings.Cut(strings.TrimSpace(id), " ")
	n, err := strconv.Atoi(strings.TrimPrefix(v, "layout="))
	if err != nil {
		return fault.New(fault.StateCorrupt, "the file .upwell/id does not hold what was written")
	}
	if n > layout {
		return fault.New(fault.StateNewer, "the state has layout %d, this program knows up to %d", n, layout)
	}
	return nil
}

func lockPath(projectDir string) string { return filepath.Join(projectDir, "upwell.lock") }

func idPath(dir string) string { return filepath.Join(dir, "id") }

// makeDir makes the folder, private to its owner and out of version control.
func makeDir(dir string) error {
	for _, d := range []string{dir, filepath.Join(dir, "connections"), filepath.Join(dir, "ledger")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fault.Wrap(fault.StateUnusable, err, "making %s", d)
		}
	}
	ignore := filepath.Join(dir, ".gitignore")
	if _, err := os.Stat(ignore); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(ignore, []byte("*\n"), 0o600); err != nil {
			return fault.Wrap(diskCode(err), err, "writing %s", ignore)
		}
	}
	return nil
}

func diskCode(err error) fault.Code {
	if errors.Is(err, unix.ENOSPC) {
		return fault.StateFull
	}
	return fault.StateUnusable
}

// take locks the folder for this process. The lock ends with the process, however it ends.
func take(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.StateUnusable, err, "opening %s", path)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path) //nolint:errcheck // only for the message
		return nil, errors.Join(fault.New(fault.StateLocked, "the state folder is in use by %s", strings.TrimSpace(string(holder))), f.Close())
	}
	who := fmt.Sprintf("process %d (%s) since %s\n", os.Getpid(), strings.Join(os.Args[:min(2, len(os.Args))], " "), time.Now().UTC().Format(time.RFC3339))
	if err := errors.Join(f.Truncate(0), writeAt(f, who)); err != nil {
		return nil, errors.Join(fault.Wrap(diskCode(err), err, "writing %s", path), f.Close())
	}
	return f, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// identify gives a new folder its id and writes the project's lock file where it does not name it yet.
func (s *State) identify(projectDir, id string) error {
	if id == "" {
		id = ulid.Make().String()
		if err := replace(idPath(s.Dir), fmt.Appendf(nil, "%s layout=%d\n", id, layout), 0o600); err != nil {
			return fault.Wrap(diskCode(err), err, "writing %s", idPath(s.Dir))
		}
	}
	var have lockFile
	if b, err := os.ReadFile(lockPath(projectDir)); err == nil && json.Unmarshal(b, &have) == nil && have.StateID == id {
		return nil
	}
	b, err := json.MarshalIndent(lockFile{Version: 1, StateID: id}, "", "  ")
	if err != nil {
		return err
	}
	if err := replace(lockPath(projectDir), append(b, '\n'), 0o644); err != nil { // belongs under version control
		return fault.Wrap(diskCode(err), err, "writing %s", lockPath(projectDir))
	}
	return nil
}

// probeBytes is the largest probe index that is mapped and probed at random (about 15 million rows); beyond it the comparison
// merges sorted runs, so that memory stays bounded whatever the model's size.
const probeBytes = 256 << 20

// replace writes a file in one step: a process that dies leaves the old one or the new one.
func replace(path string, b []byte, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Ledger gives the home of a sync's ledger.
func (s *State) Ledger(sync string) ledger.Home {
	return local.Open(filepath.Join(s.Dir, "ledger", sync), local.Options{ProbeBytes: probeBytes})
}

// LedgerDir is a private folder for what belongs to a sync's ledger.
func (s *State) LedgerDir(sync string) string { return filepath.Join(s.Dir, "ledger", sync) }

// DropLedger removes what the state folder holds of a ledger that has moved elsewhere. A log of the ledger's new home stays.
func (s *State) DropLedger(sync string) error {
	dir := s.LedgerDir(sync)
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.StateUnusable, err, "looking at %s", dir)
	}
	for _, e := range list {
		if e.IsDir() {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fault.Wrap(fault.StateUnusable, err, "removing the ledger that has moved")
		}
	}
	return nil
}

// Withdraw takes back that a new state was begun: the choice what to do about the old one is open again.
func (s *State) Withdraw() error {
	if err := os.Remove(idPath(s.Dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.StateUnusable, err, "removing %s", idPath(s.Dir))
	}
	return nil
}

// Close releases the folder.
func (s *State) Close() error {
	err := s.Store.Close()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Truncate(0), s.lock.Close())
	}
	return err
}

// Busy reports whether another process has the folder open for writing, without touching its lock: a clean end empties the lock
// file, and the process it names is looked for.
func (s *State) Busy() bool {
	b, err := os.ReadFile(filepath.Join(s.Dir, "lock"))
	if err != nil {
		return false
	}
	var pid int
	if _, err := fmt.Sscanf(string(b), "process %d", &pid); err != nil || pid <= 0 {
		return false
	}
	return !errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}
