package proof_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/local"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
	"github.com/upwelldata/upwell/internal/state"
)

// files lists the files below a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// delivered is a world whose tool holds n rows.
func delivered(t *testing.T, n int) *world {
	t.Helper()
	w := newWorld(t, "mode: mirror\n    "+byMail)
	for i := range n {
		w.model.rows[i] = record{match: "m" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Duration(i).String(), v: "a", tier: "t"}
	}
	w.ok()
	w.model.rows[0] = record{match: w.model.rows[0].match, v: "b"}
	w.ok()
	w.tool.took()
	return w
}

// attempt opens the project and runs it; whatever goes wrong comes back as one error.
func (w *world) attempt() (*run.Record, error) {
	var rec *run.Record
	err := w.engine(func(e *run.Engine) (err error) {
		rec, err = e.Run(context.Background(), e.Project.Syncs["s"], lift)
		return err
	})
	if err == nil && rec.Error != nil {
		err = rec.Error
	}
	return rec, err
}

// P11: a flipped bit is found before a request is sent, in the ledger and in the store that was closed.
func Test_a_flipped_bit_is_found_before_a_request_is_sent(t *testing.T) {
	w := delivered(t, 400)
	flips := 200
	if long {
		flips = 2000
	}
	w.model.rows[1] = record{match: w.model.rows[1].match, v: "changed", tier: "t"} // the next run has something to send
	for name, of := range map[string]struct {
		dir  string
		want func(error) bool
	}{
		"ledger": {filepath.Join(w.dir, ".upwell", "ledger", "s"), func(err error) bool { return fault.Is(err, fault.StateCorrupt) }},
		"store":  {filepath.Join(w.dir, ".upwell", "state.db"), func(err error) bool { return fault.Is(err, fault.StateCorrupt) }},
	} {
		t.Run(name, func(t *testing.T) {
			list := []string{of.dir}
			if name == "ledger" {
				list = files(t, of.dir)
			}
			kept := t.TempDir()
			if err := os.CopyFS(kept, os.DirFS(filepath.Join(w.dir, ".upwell"))); err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(11, uint64(len(name))))
			found, touched := 0, map[string]bool{}
			for n := range flips {
				path := list[n%len(list)]
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if len(b) == 0 {
					continue
				}
				at := r.IntN(len(b) * 8)
				b[at/8] ^= 1 << (at % 8)
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				_, err = w.attempt()
				switch {
				case !of.want(err):
					t.Errorf("bit %d of %s: the run says %v", at, filepath.Base(path), err)
				case fault.As(err).Exit() != fault.ExitEnvironment:
					t.Errorf("bit %d of %s: exit %d", at, filepath.Base(path), fault.As(err).Exit())
				default:
					found++
				}
				touched[filepath.Ext(path)] = true
				if sent := w.tool.took(); len(sent) > 0 {
					t.Fatalf("bit %d of %s is flipped and %q is sent", at, filepath.Base(path), sent)
				}
				if err := os.RemoveAll(filepath.Join(w.dir, ".upwell")); err != nil {
					t.Fatal(err)
				}
				if err := os.CopyFS(filepath.Join(w.dir, ".upwell"), os.DirFS(kept)); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%s: %d bits flipped in %d files of %d kinds: %d found before a request was sent", name, flips, len(list), len(touched), found)
		})
	}
	w.ok()
	if got := w.tool.took(); len(got) != 1 {
		t.Errorf("on the state as it was, the run sends %q", got)
	}
}

// P11: acknowledgements of a process that was killed are checked too.
func acksOf(i int) []ledger.Ack {
	return []ledger.Ack{{Entry: ledger.Entry{
		Key: row.AppendKey(nil, row.IntValue(int64(i))), Fingerprint: uint64(i) + 1, Fields: []string{"V"},
		Values: []row.Value{row.TextValue("value " + strconv.Itoa(i))}, Run: "r1", At: time.Unix(1, 0),
	}}}
}

func Test_a_flipped_bit_in_what_a_killed_process_left_is_found_or_loses_nothing_but_a_torn_tail(t *testing.T) {
	dir := t.TempDir()
	h := local.Open(dir, local.Options{})
	s, err := h.Begin(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := s.Ack(t.Context(), acksOf(i), true); err != nil {
			t.Fatal(err)
		}
	}
	// the process dies here: the session is never closed
	r := rand.New(rand.NewPCG(12, 1))
	found, torn := 0, 0
	for range 100 {
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		list := files(t, copied)
		path := list[r.IntN(len(list))]
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := r.IntN(len(b) * 8)
		b[at/8] ^= 1 << (at % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := local.Open(copied, local.Options{}).Begin(t.Context(), "r2")
		if fault.Is(err, fault.StateCorrupt) {
			found++
			continue
		}
		if err != nil {
			t.Fatalf("bit %d of %s: %v", at, path, err)
		}
		n := 0
		for e, err := range again.Snapshot().Each(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if want := acksOf(int(e.Fingerprint) - 1)[0].Entry; string(e.Key) != string(want.Key) || e.Values[0].Str() != want.Values[0].Str() {
				t.Fatalf("bit %d of %s gives an entry nobody wrote: %+v", at, path, e)
			}
			n++
		}
		if n < 19 {
			t.Fatalf("bit %d of %s: %d of 20 acknowledgements are left and nobody says so", at, path, n)
		}
		torn++
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("100 bits flipped in an unpublished log: %d found, %d in its last frame, which looks like a write that was cut off and is sent again", found, torn)
}

func Test_state_that_is_gone_is_not_a_first_run(t *testing.T) {
	w := delivered(t, 150)
	if err := os.RemoveAll(filepath.Join(w.dir, ".upwell")); err != nil {
		t.Fatal(err)
	}
	_, err := w.attempt()
	if !fault.Is(err, fault.StateMissing) {
		t.Fatalf("the run says %v", err)
	}
	if sent := w.tool.took(); len(sent) > 0 {
		t.Fatalf("%q is sent", sent)
	}
	if _, err := os.Stat(filepath.Join(w.dir, ".upwell")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was made although nothing was decided: %v", err)
	}
	for _, choice := range []state.Choice{state.Adopt, state.Rebuild} {
		t.Run(string(choice), func(t *testing.T) {
			if err := os.RemoveAll(filepath.Join(w.dir, ".upwell")); err != nil {
				t.Fatal(err)
			}
			e, st, err := open(t.Context(), w.dir, w.connectors(), choice)
			if err != nil {
				t.Fatal(err)
			}
			rec, err := e.Run(t.Context(), e.Project.Syncs["s"], lift)
			if err != nil || rec.Status != run.Succeeded {
				t.Fatalf("%v %+v", err, rec)
			}
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			sent := len(w.tool.took())
			if want := map[state.Choice]int{state.Adopt: 0, state.Rebuild: len(w.model.rows)}[choice]; sent != want {
				t.Errorf("%s sends %d rows, want %d", choice, sent, want)
			}
			w.silent()
			t.Logf("state gone: refused, 0 sent; %s sends %d rows", choice, sent)
		})
	}
}

// P5: state restored from an old copy removes nothing it should not, and ends with the tool holding the model.
func Test_old_state_restored_from_a_copy_ends_right(t *testing.T) {
	w := delivered(t, 50)
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(filepath.Join(w.dir, ".upwell"))); err != nil {
		t.Fatal(err)
	}
	delete(w.model.rows, 3)
	w.model.rows[4] = record{match: w.model.rows[4].match, v: "newer"}
	w.model.rows[60] = record{match: "new", v: "n"}
	w.ok()
	if err := os.RemoveAll(filepath.Join(w.dir, ".upwell")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(w.dir, ".upwell"), os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	w.tool.took()
	w.ok()
	sent := w.tool.took()
	w.agrees(true)
	w.silent()
	t.Logf("an old copy of the state: %d requests' rows repeated (%v), the tool holds the model", len(sent), sent)
}

func Test_a_second_process_is_refused_at_once_and_told_who_holds_the_folder(t *testing.T) {
	o := newOracle(t)
	dir := wireProject(t, o, 100, mirrorSync)
	_, st, err := open(t.Context(), dir, standard(), state.Ask)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r := start(t, dir).wait()
	took := time.Since(began)
	if r.Code != string(fault.StateLocked) || !strings.Contains(r.Text, "process") || took > 3*time.Second {
		t.Errorf("the second process says %s %q after %s", r.Code, r.Text, took)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if o.requests > 0 {
		t.Errorf("%d requests were sent", o.requests)
	}
	t.Logf("a second process is refused after %s, starting it included: %s", took.Round(time.Millisecond), r.Text)
}

func Test_a_folder_that_cannot_be_written_stops_the_run_before_a_request(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("running as root, to whom permissions mean nothing: the folder is made unwritable by mounting it read-only")
		small(t, "ro", 0)
		return
	}
	w := delivered(t, 20)
	w.model.rows[1] = record{match: w.model.rows[1].match, v: "changed"}
	if err := os.Chmod(filepath.Join(w.dir, ".upwell", "ledger", "s"), 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := w.attempt()
	if fault.As(err).Exit() != fault.ExitEnvironment || len(w.tool.took()) > 0 {
		t.Errorf("the run says %v", err)
	}
}

func Test_a_full_disk_stops_the_run_and_loses_nothing(t *testing.T) {
	for _, size := range []int{2, 4, 8} {
		small(t, "full", size)
	}
}

// mounted is set in a child that lives in a mount namespace of its own.
const mountVar = "UPWELL_PROOF_MOUNT"

// small runs a sync whose state lies on a small or read-only file system, in a child with a mount namespace of its own.
func small(t *testing.T, kind string, megabytes int) {
	t.Helper()
	o := newOracle(t)
	const rows = 60_000
	dir := wireProject(t, o, rows, mirrorSync)
	if kind == "ro" {
		if r := start(t, dir).wait(); r.Code != "" || r.Record.Status != run.Succeeded {
			t.Fatalf("%+v", r)
		}
		setVersion(t, dir, 2)
		o.rows = 0
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), childVar+"="+dir, mountVar+"="+kind+":"+strconv.Itoa(megabytes))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if os.Geteuid() == 0 {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	}
	if err := p.cmd.Start(); err != nil {
		t.Skipf("SKIPPED: this machine lets nobody make a mount namespace (%v), so a full disk cannot be had", err)
	}
	r := p.wait()
	if r.Code == "mount" {
		t.Skipf("SKIPPED: this machine lets nobody mount (%s), so a full disk cannot be had", r.Text)
	}
	switch kind {
	case "ro":
		if fault.New(fault.Code(r.Code), "").Exit() != fault.ExitEnvironment || o.rows > 0 {
			t.Errorf("on a read-only folder the run says %s %s and sends %d rows", r.Code, r.Text, o.rows)
		}
		t.Logf("read-only state folder: %s, 0 rows sent", r.Code)
	case "full":
		lost, stale, surplus := o.wrong(rows, 1)
		if r.Code != string(fault.StateFull) || r.Record == nil || r.Record.Status != run.Succeeded || lost+stale+surplus > 0 {
			t.Errorf("on a disk of %d MB the run says %s %s; with room again %+v: lost %d, wrong %d, surplus %d", megabytes, r.Code, r.Text, r.Record, lost, stale, surplus)
		}
		if o.again > wireWorkers*wireRows {
			t.Errorf("%d rows were sent again, the bound is %d", o.again, wireWorkers*wireRows)
		}
		t.Logf("disk of %d MB: %s; with room again the next run ends %s: lost %d, wrong %d, %d of %d rows sent again (bound %d)",
			megabytes, r.Code, r.Record.Status, lost, stale, o.again, rows, wireWorkers*wireRows)
	}
}

// confined runs the sync on a file system of its own, and on a full one again when there is room.
func confined(dir, how string) report {
	kind, size, _ := strings.Cut(how, ":")
	at := filepath.Join(dir, ".upwell")
	fail := func(err error) report { return report{Code: "mount", Text: err.Error()} }
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fail(err)
	}
	if kind == "ro" {
		if err := syscall.Mount(at, at, "", syscall.MS_BIND, ""); err != nil {
			return fail(err)
		}
		if err := syscall.Mount("", at, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			return fail(err)
		}
		return once(dir)
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		return fail(err)
	}
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, "size="+size+"m"); err != nil {
		return fail(err)
	}
	first := once(dir)
	if first.Code == "" && first.Record.Error != nil {
		first.Code, first.Text = string(first.Record.Error.Code), first.Record.Error.Message
	}
	if err := syscall.Mount("tmpfs", at, "tmpfs", syscall.MS_REMOUNT, "size=512m"); err != nil {
		return fail(err)
	}
	second := once(dir)
	if second.Code != "" {
		first.Text += "; then " + second.Text
	}
	first.Record = second.Record
	return first
}
