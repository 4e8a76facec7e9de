package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/cli"
)

// stalling makes a project whose first request hangs in the destination; batches hold one row.
func stalling(t *testing.T) *world {
	w := newWorld(t, models, toHook)
	w.write("upwell.yml", strings.Replace(sources, "allow_private: true", "allow_private: true, batch: {max_rows: 1}, limits: {concurrency: 1}", 1)+models+toHook)
	w.hook.stall = make(chan struct{})
	t.Cleanup(w.release)
	w.con.Signals = make(chan os.Signal, 2)
	return w
}

// start runs a command beside the test.
func (w *world) start(args ...string) (done chan int, out, err *bytes.Buffer) {
	done, out, err = make(chan int, 1), &bytes.Buffer{}, &bytes.Buffer{}
	go func() { done <- w.con.Main(append([]string{"-C", w.dir}, args...), w.stdin, out, err) }()
	return done, out, err
}

func Test_one_interrupt_settles_what_is_in_flight(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		w := stalling(t)
		done, out, stderr := w.start("run", "--json")
		<-w.hook.stalled
		w.con.Signals <- sig
		w.release()
		if code := <-done; code != 130 {
			t.Fatalf("%v: exit code %d\n%s%s", sig, code, out, stderr)
		}
		doc := answer{out: out.String()}.decoded(t)
		if at(t, doc, "runs", 0, "status") != "cancelled" || at(t, doc, "runs", 0, "error", "code") != "CANCELLED" {
			t.Errorf("%s", out)
		}
		sent, pending := fmt.Sprint(at(t, doc, "runs", 0, "counts", "delivered")), fmt.Sprint(at(t, doc, "runs", 0, "counts", "pending"))
		if sent != fmt.Sprint(w.hook.count()) || sent == "0" || pending == "0" {
			t.Errorf("delivered %s of which the tool has %d, pending %s", sent, w.hook.count(), pending)
		}
		if !strings.Contains(stderr.String(), "finishing what is in flight") {
			t.Errorf("it does not say that it waits: %s", stderr)
		}
		w.must(0, "run")
		if w.hook.count() != 4 {
			t.Errorf("after going on: %d records", w.hook.count())
		}
	}
}

func Test_two_interrupts_end_at_once_and_lose_nothing(t *testing.T) {
	w := stalling(t)
	done, out, stderr := w.start("run", "--json")
	<-w.hook.stalled
	w.con.Signals <- os.Interrupt
	w.con.Signals <- os.Interrupt
	if code := <-done; code != 130 { // while the tool still stalls
		t.Fatalf("exit code %d\n%s%s", code, out, stderr)
	}
	if at(t, answer{out: out.String()}.decoded(t), "error", "code") != "CANCELLED" {
		t.Errorf("%s", out)
	}
	w.release()
}

// onLine does something when a line is written, before the writer goes on.
type onLine struct {
	bytes.Buffer
	with string
	do   func()
}

func (o *onLine) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(o.with)) {
		o.do()
	}
	return o.Buffer.Write(b)
}

func Test_a_command_that_ends_during_the_second_interrupt_leaves_one_document(t *testing.T) {
	w := stalling(t)
	var out bytes.Buffer
	stderr := &onLine{with: "interrupted twice", do: func() {
		w.release()
		w.con.Wait() // its document is written
	}}
	done := make(chan int, 1)
	go func() { done <- w.con.Main([]string{"-C", w.dir, "run", "--json"}, w.stdin, &out, stderr) }()
	<-w.hook.stalled
	w.con.Signals <- os.Interrupt
	w.con.Signals <- os.Interrupt
	if code := <-done; code != 130 {
		t.Errorf("exit code %d", code)
	}
	if doc := (answer{out: out.String()}).decoded(t); at(t, doc, "runs", 0, "status") != "cancelled" {
		t.Errorf("%v", doc)
	}
}

func Test_an_interrupt_while_looking_ends_the_command(t *testing.T) {
	w := newWorld(t, strings.Replace(models, "table: health", "sql: with recursive n(i) as (select 1 union all select i + 1 from n) select cast(i as text) as account_id, i as score, 'x' as tier from n", 1), toHook)
	w.con.Signals = make(chan os.Signal, 1)
	w.con.Signals <- os.Interrupt
	done, _, stderr := w.start("plan", "--json")
	if code := <-done; code != 130 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func Test_without_a_terminal_progress_is_a_line_now_and_then(t *testing.T) {
	w := stalling(t)
	w.con.Ticks = make(chan time.Time)
	done, _, stderr := w.start("run")
	<-w.hook.stalled
	w.con.Ticks <- time.Time{}
	w.con.Ticks <- time.Time{} // the first line is written when the second tick is taken
	w.release()
	if code := <-done; code != 0 {
		t.Fatalf("exit code %d", code)
	}
	line, _, _ := strings.Cut(stderr.String(), "\n")
	if !strings.HasPrefix(line, "health_to_hook: delivering, 4 read, 4 changes, 0 delivered") {
		t.Errorf("progress: %s", stderr)
	}
	w.con.Ticks = nil
	if a := w.must(0, "run"); a.err != "" {
		t.Errorf("a short run talks: %s", a.err)
	}
}

// screen is a terminal.
type screen struct{ bytes.Buffer }

func (*screen) IsTerminal() bool { return true }

// keyboard is a person's standard input.
type keyboard struct{ *strings.Reader }

func (keyboard) IsTerminal() bool { return true }

func typed(s string) keyboard { return keyboard{strings.NewReader(s)} }

func Test_on_a_terminal_progress_is_live_and_the_result_stays(t *testing.T) {
	w := stalling(t)
	var out, stderr screen
	done := make(chan int, 1)
	go func() { done <- w.con.Main([]string{"-C", w.dir, "run"}, w.stdin, &out, &stderr) }()
	<-w.hook.stalled
	w.release()
	if code := <-done; code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if !strings.Contains(out.String(), "4 delivered of 4") {
		t.Errorf("%s", out.String())
	}
	if strings.Contains(out.String(), "reading,") {
		t.Errorf("progress is on standard output: %s", out.String())
	}
}

func Test_colours_are_for_terminals_and_can_be_switched_off(t *testing.T) {
	w := newWorld(t, models, toHook)
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	os.Unsetenv("NO_COLOR")
	colored := func(args ...string) (string, bool) {
		var out screen
		var con cli.Console
		con.Main(append([]string{"-C", w.dir}, args...), w.stdin, &out, &bytes.Buffer{})
		return out.String(), strings.Contains(out.String(), "\x1b[")
	}
	with, yes := colored("plan")
	if !yes {
		t.Error("no colour on a terminal")
	}
	without, yes := colored("plan", "--no-color")
	if yes {
		t.Error("--no-color is coloured")
	}
	if _, yes := colored("plan", "--json"); yes {
		t.Error("a document is coloured")
	}
	plain := strings.NewReplacer("\x1b[0m", "", "\x1b[1m", "", "\x1b[2m", "", "\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "").Replace(with)
	if plain != without {
		t.Errorf("colour says something that words do not:\n%s\n%s", plain, without)
	}
	if a := w.must(0, "plan"); strings.Contains(a.out, "\x1b") {
		t.Error("colour without a terminal")
	}
	t.Setenv("NO_COLOR", "1")
	if _, yes := colored("plan"); yes {
		t.Error("NO_COLOR is not obeyed")
	}
}

func Test_an_undo_shows_its_plan_and_asks(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.must(0, "run")
	w.exec(`update health set score = 1`)
	w.must(0, "run")
	score := func() (s string) {
		w.hook.set(func() { s = fmt.Sprint(w.hook.records["A1"]["score"]) })
		return s
	}
	w.stdin = typed("n\n")
	if a := w.must(130, "undo", "latest"); !strings.Contains(a.err, "1 -> 71") || !strings.Contains(a.err, "[y/N]") {
		t.Errorf("%s", a.err)
	}
	if score() != "1" {
		t.Error("no was taken for yes")
	}
	w.stdin = typed("yes\n")
	w.must(0, "undo", "latest")
	if score() != "71" {
		t.Errorf("after an undo: %s", score())
	}
	doc := w.must(0, "status", "--json").decoded(t)
	if at(t, doc, "syncs", 0, "next_run_at") != nil || !strings.Contains(fmt.Sprint(at(t, doc, "syncs", 0, "paused")), "undone") {
		t.Errorf("%v", doc)
	}
	w.stdin = strings.NewReader("")
	again := w.must(0, "undo", "latest", "--yes", "--json").decoded(t)
	at(t, again, "runs", 0, "undoes")
}
