package dbt_test

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/upwelldata/upwell/internal/dbt"
)

// target is a folder that dbt writes to, as slowly or quickly as a test wants.
type target struct {
	t    *testing.T
	file dbt.File
	n    int
}

func newTarget(t *testing.T) *target {
	return &target{t: t, file: dbt.File{Path: t.TempDir() + "/run_results.json", Name: "run_results.json"}}
}

// put writes text to the file in place, as dbt does, a second later on the file's clock.
func (w *target) put(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file.Path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.n++
	if err := os.Chtimes(w.file.Path, time.Time{}, manifestAt.Add(time.Duration(w.n)*time.Second)); err != nil {
		w.t.Fatal(err)
	}
}

// invocation gives the results of dbt's n-th invocation.
func (w *target) invocation(n int) string {
	f := results(w.t, "build", manifestAt.Add(time.Duration(n)*time.Hour), map[string]string{"model.shop.customers": "success"})
	b, err := os.ReadFile(f.Path)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

func look(t *testing.T, w *dbt.Watcher, event, broken bool) {
	t.Helper()
	r, err := w.Look()
	if (r != nil) != event || (err != nil) != broken {
		t.Fatalf("event %v, error %v; want %v, %v", r != nil, err, event, broken)
	}
}

func Test_an_invocation_of_dbt_is_one_event(t *testing.T) {
	dir := newTarget(t)
	w := dbt.NewWatcher(dir.file, false, dbt.Seen{})
	look(t, w, false, false) // nothing there yet
	dir.put(dir.invocation(1))
	look(t, w, true, false)
	look(t, w, false, false)
	dir.put(dir.invocation(1)) // the same, touched
	look(t, w, false, false)
	dir.put(dir.invocation(2))
	look(t, w, true, false)
	dir.put(dir.invocation(1)) // an old copy put back
	look(t, w, false, false)
	if err := os.Remove(dir.file.Path); err != nil { // dbt clean
		t.Fatal(err)
	}
	look(t, w, false, false)
	dir.put(dir.invocation(2))
	look(t, w, false, false)
	dir.put(dir.invocation(3))
	look(t, w, true, false)
}

func Test_a_file_half_written_is_no_event(t *testing.T) {
	dir := newTarget(t)
	w := dbt.NewWatcher(dir.file, false, dbt.Seen{})
	look(t, w, false, false)
	whole := dir.invocation(1)
	for _, n := range []int{0, 1, len(whole) / 3, len(whole) - 1} {
		dir.put(whole[:n])
		look(t, w, false, true)
	}
	dir.put(whole)
	look(t, w, true, false)
}

func Test_what_lay_there_before_anybody_asked_is_no_event(t *testing.T) {
	dir := newTarget(t)
	dir.put(dir.invocation(1))
	first := dbt.NewWatcher(dir.file, false, dbt.Seen{})
	look(t, first, false, false)
	seen := first.Seen()

	dir.put(dir.invocation(2)) // while nobody watched
	again := dbt.NewWatcher(dir.file, false, seen)
	look(t, again, true, false)
	look(t, dbt.NewWatcher(dir.file, false, again.Seen()), false, false)
}

// A file that cannot be read at the first look says nothing of what was done before it: what is read next is new.
func Test_an_invocation_after_a_broken_file_is_an_event(t *testing.T) {
	dir := newTarget(t)
	dir.put(dir.invocation(1)[:100])
	w := dbt.NewWatcher(dir.file, false, dbt.Seen{})
	look(t, w, false, true)
	dir.put(dir.invocation(2))
	look(t, w, true, false)
}

func Test_an_invocation_announced_twice_is_one_event(t *testing.T) {
	dir := newTarget(t)
	w := dbt.NewWatcher(dir.file, false, dbt.Seen{})
	look(t, w, false, false)
	r, err := dbt.ParseRunResults([]byte(dir.invocation(1)), "the webhook", false)
	if err != nil {
		t.Fatal(err)
	}
	if w.Offer(r) == nil {
		t.Error("the webhook is no event")
	}
	dir.put(dir.invocation(1))
	look(t, w, false, false)
	if w.Offer(r) != nil {
		t.Error("the webhook is an event twice")
	}
}

func Test_the_watcher_looks_at_every_tick_and_ends_with_its_context(t *testing.T) {
	dir := newTarget(t)
	texts := []string{dir.invocation(1), "{", dir.invocation(2)}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ticks, events, broken := make(chan time.Time), 0, 0
		w := dbt.NewWatcher(dir.file, false, dbt.Seen{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.Watch(ctx, ticks, func(*dbt.RunResults) { events++ }, func(error) { broken++ })
		}()
		ticks <- time.Now()
		for _, s := range texts {
			synctest.Wait()
			dir.put(s)
			ticks <- time.Now()
		}
		synctest.Wait()
		cancel()
		<-done
		if events != 2 || broken != 1 {
			t.Errorf("%d events, %d broken", events, broken)
		}
	})
}

func Test_a_sync_runs_after_dbt_built_its_model(t *testing.T) {
	m := model(t, manifest(t, "testdata/manifest_v12.json"), "customers")
	const c = "model.shop.customers"
	for name, tc := range map[string]struct {
		command string
		results map[string]string
		of      *dbt.Model
		run     bool
		reason  string
	}{
		"built":                          {"build", map[string]string{c: "success"}, m, true, "dbt build built customers"},
		"another one":                    {"build", map[string]string{"model.shop.orders.v2": "success"}, m, false, "did not build customers"},
		"another one failed":             {"run", map[string]string{c: "success", "model.shop.orders.v2": "error"}, m, true, "built customers"},
		"failed":                         {"run", map[string]string{c: "error|no such table"}, m, false, "dbt failed to build customers: no such table"},
		"skipped":                        {"run", map[string]string{c: "skipped"}, m, false, "skipped customers"},
		"its test failed":                {"build", map[string]string{c: "success", "test.shop.unique_customers_customer_id.0a1b2c": "fail|Got 1 result"}, m, false, "Got 1 result"},
		"only tested":                    {"test", map[string]string{"test.shop.unique_customers_customer_id.0a1b2c": "pass"}, m, false, "dbt test builds nothing"},
		"docs":                           {"generate", map[string]string{c: "success"}, m, false, "dbt generate builds nothing"},
		"a sync of no dbt model":         {"build", map[string]string{c: "success"}, nil, true, "ended well"},
		"a sync of no dbt model, failed": {"build", map[string]string{c: "success", "model.shop.orders.v2": "error|broken"}, nil, false, "model.shop.orders.v2: broken"},
	} {
		f := results(t, tc.command, manifestAt.Add(time.Hour), tc.results)
		r, err := dbt.ReadRunResults(f.Path, f.Name, false)
		if err != nil {
			t.Fatal(err)
		}
		if d := dbt.After(r, tc.of); d.Run != tc.run || !contains(d.Reason, tc.reason) {
			t.Errorf("%s: %+v, want %v %q", name, d, tc.run, tc.reason)
		}
	}
}
