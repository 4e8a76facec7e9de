package conformance

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// recorder takes a check's verdict instead of the test's own. It is a testing.TB whose words are kept.
type recorder struct {
	testing.TB
	ctx     context.Context //nolint:containedctx // testing.TB has one
	mu      sync.Mutex
	lines   []string
	failed  bool
	skipped bool
	last    []func()
}

// record runs a check in a goroutine of its own, so that FailNow ends the check and not the test.
func record(t testing.TB, run func(testing.TB)) *recorder {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &recorder{TB: t, ctx: ctx}
	inGoroutine(func() { run(r) }, func(p any) { r.Errorf("panic: %v", p) })
	stop()
	for _, f := range slices.Backward(r.last) {
		inGoroutine(f, func(p any) { r.Errorf("panic in a clean-up: %v", p) })
	}
	return r
}

func inGoroutine(f func(), failed func(any)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				failed(p)
			}
		}()
		f()
	}()
	<-done
}

func (r *recorder) say(failed bool, s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = r.failed || failed
	r.lines = append(r.lines, strings.TrimSpace(s))
}

func (r *recorder) text() string { return strings.Join(r.lines, "\n") }

func (r *recorder) Helper()                           {}
func (r *recorder) Context() context.Context          { return r.ctx }
func (r *recorder) Error(args ...any)                 { r.say(true, fmt.Sprintln(args...)) }
func (r *recorder) Errorf(format string, args ...any) { r.say(true, fmt.Sprintf(format, args...)) }
func (r *recorder) Log(args ...any)                   { r.say(false, fmt.Sprintln(args...)) }
func (r *recorder) Logf(format string, args ...any)   { r.say(false, fmt.Sprintf(format, args...)) }
func (r *recorder) Fail()                             { r.say(true, "failed") }
func (r *recorder) FailNow()                          { r.Fail(); runtime.Goexit() }
func (r *recorder) Fatal(args ...any)                 { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(f string, args ...any)      { r.Errorf(f, args...); runtime.Goexit() }
func (r *recorder) SkipNow()                          { r.skipped = true; runtime.Goexit() }
func (r *recorder) Skip(args ...any)                  { r.Log(args...); r.SkipNow() }
func (r *recorder) Skipf(f string, args ...any)       { r.Logf(f, args...); r.SkipNow() }
func (r *recorder) Failed() bool                      { r.mu.Lock(); defer r.mu.Unlock(); return r.failed }
func (r *recorder) Skipped() bool                     { return r.skipped }

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = append(r.last, f)
}

func Test_the_recorder_tells_a_failed_check_from_a_good_one(t *testing.T) {
	var order []string
	bad := record(t, func(t testing.TB) {
		t.Cleanup(func() { order = append(order, "first") })
		t.Cleanup(func() { order = append(order, "second") })
		t.Fatalf("no: %d", 1) //nolint:revive // what follows is never reached: that is tested
		order = append(order, "went on")
	})
	if !bad.Failed() || bad.text() != "no: 1" || strings.Join(order, " ") != "second first" {
		t.Errorf("failed %v, %q, %v", bad.Failed(), bad.text(), order)
	}
	if good := record(t, func(t testing.TB) { t.Log("fine") }); good.Failed() {
		t.Error("a good check failed")
	}
	if skipped := record(t, func(t testing.TB) { t.Skip("not here") }); skipped.Failed() || !skipped.Skipped() {
		t.Error("a skipped check failed, or was not skipped")
	}
	if torn := record(t, func(testing.TB) { panic("torn") }); !torn.Failed() {
		t.Error("a panic was taken for success")
	}
}
