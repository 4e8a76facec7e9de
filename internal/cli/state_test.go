package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func Test_lost_state_is_no_first_run(t *testing.T) {
	for _, c := range []struct {
		choice  string
		sent    string
		planned string
	}{{"--adopt", "0", "0"}, {"--rebuild", "4", "4"}} {
		w := newWorld(t, models, toHook)
		w.must(0, "run")
		if err := os.RemoveAll(filepath.Join(w.dir, ".upwell")); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"run"}, {"plan"}, {"status"}, {"doctor"}} {
			if a := w.must(5, args...); !strings.Contains(a.err, "--adopt") || !strings.Contains(a.err, "--rebuild") {
				t.Errorf("%v does not offer the choice: %s", args, a.err)
			}
		}
		w.must(2, "doctor", "--adopt", "--rebuild")
		doc := w.must(0, "doctor", c.choice, "--json").decoded(t)
		if at(t, doc, "syncs", 0) != "health_to_hook" {
			t.Errorf("%v", doc)
		}
		w.exec(`delete from health where account_id = 'A1'`)
		w.exec(`insert into health values ('A9', 9, 'watch')`)
		run := w.must(0, "run", "--json").decoded(t)
		if got := at(t, run, "runs", 0, "counts", "delivered").(json.Number).String(); got != c.sent {
			t.Errorf("%s: %s delivered, want %s", c.choice, got, c.sent)
		}
		if got := at(t, run, "runs", 0, "counts", "planned", "remove").(json.Number).String(); got != "0" {
			t.Errorf("%s: %s removed before a full run completed", c.choice, got)
		}
		w.exec(`update health set score = 10 where account_id = 'A9'`)
		w.must(0, "run")
		w.must(2, "doctor", c.choice) // there is nothing to choose now
	}
}

func Test_doctor_finds_and_mends_a_damaged_store(t *testing.T) {
	w := newWorld(t, models, toHook)
	if a := w.must(0, "doctor"); !strings.Contains(a.out, "no state yet") {
		t.Errorf("%s", a.out)
	}
	w.must(0, "run")
	w.must(0, "doctor")
	file := filepath.Join(w.dir, ".upwell", "state.db")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if a := w.must(5, "run"); !strings.Contains(a.err, "STATE_CORRUPT") {
		t.Errorf("%s", a.err)
	}
	doc := w.must(5, "doctor", "--json").decoded(t) // it gives something up, and nobody can answer
	if at(t, doc, "state") != "damaged" || at(t, doc, "damage", 0, "part") != "store" || at(t, doc, "damage", 0, "loss") == "" {
		t.Errorf("%v", doc)
	}
	w.stdin = typed("no\n")
	w.must(5, "doctor")
	w.stdin = typed("y\n")
	if a := w.must(0, "doctor"); !strings.Contains(a.out, "set aside") {
		t.Errorf("%s", a.out)
	}
	w.must(0, "doctor")
	run := w.must(0, "run", "--json").decoded(t)
	if at(t, run, "runs", 0, "counts", "unchanged") != json.Number("4") {
		t.Errorf("the ledger was lost too: %v", run)
	}
}

func Test_doctor_finds_a_damaged_ledger(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.must(0, "run")
	flipped := 0
	err := filepath.WalkDir(filepath.Join(w.dir, ".upwell", "ledger"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), "seg") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b[len(b)/3] ^= 0x10
		flipped++
		return os.WriteFile(path, b, 0o600)
	})
	if err != nil || flipped == 0 {
		t.Fatalf("nothing damaged: %v", err)
	}
	w.exec(`update health set score = 0`)
	if a := w.must(5, "run"); !strings.Contains(a.out, "STATE_CORRUPT") {
		t.Errorf("%s", a.out)
	}
	if w.hook.records["A1"]["score"] == 0.0 {
		t.Error("something was sent")
	}
	doc := w.must(5, "doctor", "--dry-run", "--json").decoded(t)
	if at(t, doc, "damage", 0, "part") != "ledger health_to_hook" {
		t.Errorf("%v", doc)
	}
	w.must(0, "reset", "health_to_hook", "--ledger", "--yes")
	w.must(0, "doctor")
	w.must(0, "run")
}

func Test_a_reset_forgets_what_it_says(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.hook.reject["A1"] = "NO"
	w.must(3, "run")
	w.must(2, "reset", "health_to_hook") // nobody can answer
	w.stdin = typed("n\n")
	w.must(130, "reset", "health_to_hook")
	w.stdin = typed("y\n")
	if a := w.must(0, "reset", "health_to_hook"); !strings.Contains(a.err, "this forgets 1 row") || !strings.Contains(a.out, "forgot 1 row") {
		t.Errorf("%s%s", a.out, a.err)
	}
	w.hook.reject = nil
	w.exec(`delete from health where account_id = 'A4'`)
	run := w.must(0, "run", "--json").decoded(t)
	if at(t, run, "runs", 0, "counts", "delivered") != json.Number("3") || w.hook.count() != 4 {
		t.Errorf("a first run sends every row and removes nothing: %v, %d records", run, w.hook.count())
	}
}

func Test_a_reset_of_the_ledger_keeps_refusals_and_a_pause(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.hook.reject["A1"] = "NO"
	w.must(3, "run")
	w.must(0, "undo", "latest", "--yes", "--allow", "removed") // nothing it created is known to be created: nothing is undone
	w.exec(`update health set score = 60 where account_id = 'A4'`)
	w.must(0, "run")
	w.must(0, "undo", "latest", "--yes")
	paused := func() bool {
		return strings.Contains(w.must(0, "status", "--json").out, `"paused"`)
	}
	if !paused() {
		t.Fatal("not paused after an undo")
	}
	a := w.must(0, "reset", "health_to_hook", "--ledger", "--yes")
	for _, want := range []string{"forgot the ledger: what was delivered for 3 keys", "refused, open outcomes and a pause stay", "is a first run", "refused rows wait"} {
		if !strings.Contains(a.out, want) {
			t.Errorf("no %q in\n%s", want, a.out)
		}
	}
	if !paused() {
		t.Error("the pause was forgotten")
	}
	run := w.must(0, "run", "--json").decoded(t)
	if at(t, run, "runs", 0, "counts", "delivered") != json.Number("3") || at(t, run, "runs", 0, "counts", "waiting") != json.Number("1") {
		t.Errorf("the refused row does not wait, or the others are not sent: %v", run)
	}
	w.must(0, "reset", "health_to_hook", "--pause", "--yes")
	run = w.must(0, "run", "--json").decoded(t)
	if paused() || at(t, run, "runs", 0, "counts", "delivered") != json.Number("0") {
		t.Errorf("paused or sent again: %v", run)
	}
	w.must(2, "reset", "health_to_hook", "--pause", "--ledger", "--yes")
}

func Test_retry_makes_refused_rows_due(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.hook.reject["A1"] = "NO"
	w.must(3, "run")
	w.hook.set(func() { w.hook.reject = nil })
	run := w.must(0, "run", "--json").decoded(t)
	if at(t, run, "runs", 0, "counts", "waiting") != json.Number("1") {
		t.Errorf("a refused row does not wait: %v", run)
	}
	if doc := w.must(0, "retry", "health_to_hook", "--json").decoded(t); at(t, doc, "due") != json.Number("1") {
		t.Errorf("%v", doc)
	}
	w.must(0, "run")
	if w.hook.count() != 4 {
		t.Errorf("%d records", w.hook.count())
	}
	if a := w.must(0, "rejects"); !strings.Contains(a.out, "no rejected") {
		t.Errorf("%s", a.out)
	}
}

func Test_status_tells_a_live_run_from_a_dead_one(t *testing.T) {
	w := stalling(t)
	done, _, stderr := w.start("run")
	<-w.hook.stalled
	if state := at(t, w.must(0, "status", "--json").decoded(t), "syncs", 0, "state"); state != "running" {
		t.Errorf("while it runs: %v", state)
	}
	// A dead process leaves its lock file behind and holds no lock.
	dead := strings.Replace(string(must(os.ReadFile(filepath.Join(w.dir, ".upwell", "lock")))), "process ", "process 99999", 1)
	live := filepath.Join(w.dir, ".upwell", "lock")
	keep := must(os.ReadFile(live))
	w.writeState("lock", dead)
	doc := w.must(0, "status", "--json").decoded(t)
	if at(t, doc, "syncs", 0, "state") != "interrupted" || at(t, doc, "syncs", 0, "problem", "code") == "" {
		t.Errorf("after its process died: %v", doc)
	}
	w.writeState("lock", string(keep))
	w.release()
	if code := <-done; code != 0 {
		t.Errorf("%d %s", code, stderr)
	}
}

func (w *world) writeState(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, ".upwell", name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// lines is a stream whose growth can be waited for.
type lines struct {
	bytes.Buffer
	grown chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	n, err := l.Buffer.Write(b)
	close(l.grown)
	l.grown = make(chan struct{})
	return n, err
}

func Test_a_sandbox_stands_in_until_it_is_interrupted(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.con.Signals = make(chan os.Signal, 1)
	first := make(chan struct{})
	out := &lines{grown: first}
	done := make(chan int, 1)
	go func() { done <- w.con.Main([]string{"sandbox", "webhook", "--json"}, w.stdin, out, &bytes.Buffer{}) }()
	select {
	case <-first:
	case <-time.After(20 * time.Second):
		t.Fatal("it never says that it is there")
	}
	doc := answer{out: out.String()}.decoded(t)
	resp, err := http.Get("http://" + at(t, doc, "addr").(string) + "/_sandbox/records/accounts")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("records: %s", resp.Status)
	}
	has(t, doc["settings"], "url")
	has(t, at(t, doc, "settings", "auth"), "type", "token")
	if at(t, doc, "settings", "allow_private") != true {
		t.Errorf("%v", doc["settings"])
	}
	w.con.Signals <- os.Interrupt
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.must(2, "sandbox", "file")
}
