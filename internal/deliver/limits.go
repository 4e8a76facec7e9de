package deliver

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/failpoint"
	"github.com/upwelldata/upwell/internal/fault"
)

// quotaPer is the length from which a window is a quota: used up means pause until it resets, not pace.
const quotaPer = time.Hour

// Limiter is the gate of one account: several windows at once, concurrency that adapts, and pauses the tool asked for. All
// syncs on the account share it. Waiting here never counts as an attempt.
type Limiter struct {
	mu        sync.Mutex
	windows   []*window
	ceiling   float64 // declared concurrency
	allowed   float64 // what adaptation allows now
	inFlight  int
	paused    time.Time
	quota     time.Time // account is out of quota until then
	lastCut   time.Time
	streak    int // throttles without a told delay, for backoff
	fast, low time.Duration
	waiters   chan struct{} // closed and renewed whenever something may have become possible
	held      int           // requests that wait for a limit
	heldFrom  time.Time
	throttled time.Duration // time during which at least one did
	requests  int64
}

// LimitOptions are what an account may do.
type LimitOptions struct {
	Windows           []connector.Window
	Concurrency       int     // requests in flight; 0 = 4
	RequestsPerSecond float64 // the user's, 0 = none
	DailyShare        float64 // the user's share of daily windows, 0 = all
}

// NewLimiter makes the gate of an account.
func NewLimiter(o LimitOptions) *Limiter {
	if o.Concurrency <= 0 {
		o.Concurrency = 4
	}
	l := &Limiter{ceiling: float64(o.Concurrency), allowed: float64(o.Concurrency), waiters: make(chan struct{})}
	for _, w := range o.Windows {
		l.windows = append(l.windows, newWindow(w, o.DailyShare))
	}
	if r := o.RequestsPerSecond; r > 0 {
		// one request per 1/r seconds: the smoothest form of r per second
		l.windows = append(l.windows, newWindow(connector.Window{Name: "user", Requests: 1, Per: time.Duration(float64(time.Second) / r)}, 0))
	}
	return l
}

// window counts requests in one rolling or quota window.
type window struct {
	connector.Window
	times []time.Time // ring of the last Requests departures (rolling)
	next  int
	used  int64 // quota windows
	reset time.Time
	usedAtStart,
	allowance int64 // quota windows: what this program may use
	share float64 // part of a quota it may use, the tighter of the tool's and the user's; 0 = all
}

// IsQuota reports a window that is used up and waited for, not one that sets the pace.
func IsQuota(w connector.Window) bool { return w.Per >= quotaPer }

func newWindow(w connector.Window, share float64) *window {
	if w.Share > 0 && (share == 0 || w.Share < share) {
		share = w.Share
	}
	x := &window{Window: w, usedAtStart: -1, share: share}
	if IsQuota(w) {
		x.allow(w.Requests)
		return x
	}
	x.times = make([]time.Time, w.Requests)
	return x
}

// allow sets what this program may use of a quota.
func (w *window) allow(requests int64) {
	w.Requests, w.allowance = requests, requests
	if w.share > 0 {
		w.allowance = int64(float64(requests) * w.share)
	}
}

// wait says how long until the window admits another request; quota reports that it is used up.
func (w *window) wait(now time.Time) (d time.Duration, quota bool) {
	if w.Requests <= 0 {
		return 0, false
	}
	if w.times == nil {
		if !w.reset.IsZero() && !now.Before(w.reset) {
			w.used, w.reset = 0, time.Time{}
		}
		if w.used >= w.allowance {
			if w.reset.IsZero() {
				w.reset = now.Add(w.Per)
			}
			return w.reset.Sub(now), true
		}
		return 0, false
	}
	oldest := w.times[w.next]
	if oldest.IsZero() {
		return 0, false
	}
	return max(0, oldest.Add(w.Per).Sub(now)), false
}

func (w *window) take(now time.Time) {
	if w.times == nil {
		w.used++
		return
	}
	w.times[w.next] = now
	w.next = (w.next + 1) % len(w.times)
}

// Enter waits until a request may leave. A quota fault is returned at once: the caller decides whether to wait it out.
func (l *Limiter) Enter(ctx context.Context, group connector.Group) error {
	for {
		l.mu.Lock()
		now := time.Now()
		delay, until := l.delay(now, group)
		if !until.IsZero() {
			l.mu.Unlock()
			return (&fault.Error{Code: fault.DestQuota, Message: "the account's quota is used up", Until: until}).NotLanded()
		}
		room := float64(l.inFlight) < max(1, l.allowed)
		if delay <= 0 && room {
			for _, w := range l.windows {
				if w.applies(group) {
					w.take(now)
				}
			}
			l.inFlight++
			l.requests++
			l.mu.Unlock()
			if err := departs(ctx); err != nil {
				l.Leave(group, connector.Feedback{})
				return err
			}
			failpoint.Hit(failpoint.Departing)
			return nil
		}
		wake, release := l.waiters, func() {}
		if delay > 0 {
			release = l.hold(now)
		}
		l.mu.Unlock()
		err := pause(ctx, delay, wake)
		release()
		if err != nil {
			return err
		}
	}
}

// hold notes, under the lock, that a limit holds a request back, until release is called.
func (l *Limiter) hold(now time.Time) (release func()) {
	if l.held == 0 {
		l.heldFrom = now
	}
	l.held++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.held--; l.held == 0 {
			l.throttled += time.Since(l.heldFrom)
		}
	}
}

// Hold notes that a limit holds requests back outside of the gate, until release is called.
func (l *Limiter) Hold() (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hold(time.Now())
}

type departure struct{}

// withDeparture makes do run whenever a request made under the context has passed the gate and is about to leave.
func withDeparture(ctx context.Context, do func() error) context.Context {
	return context.WithValue(ctx, departure{}, do)
}

func departs(ctx context.Context) error {
	if do, ok := ctx.Value(departure{}).(func() error); ok {
		return do()
	}
	return nil
}

func (w *window) applies(g connector.Group) bool { return w.Group == "" || w.Group == g }

// delay gives the longest wait any window or pause demands, or the time a quota resets.
func (l *Limiter) delay(now time.Time, group connector.Group) (time.Duration, time.Time) {
	if now.Before(l.quota) {
		return 0, l.quota
	}
	d := l.paused.Sub(now)
	for _, w := range l.windows {
		if !w.applies(group) {
			continue
		}
		wd, quota := w.wait(now)
		if quota {
			return 0, now.Add(wd)
		}
		d = max(d, wd)
	}
	return d, time.Time{}
}

// pause waits d (forever when d <= 0) or until woken.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	if d <= 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
			return nil
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Leave learns from how a request ended.
func (l *Limiter) Leave(group connector.Group, fb connector.Feedback) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.inFlight--
	switch {
	case fb.Throttled:
		l.cut(now, 0.5)
		l.pauseFor(now, fb.RetryAfter)
	case fb.Failed:
		l.cut(now, 0.7)
	default:
		l.streak = 0
		l.observe(now, fb.Latency)
	}
	for _, u := range fb.Usage {
		l.learn(now, group, u)
	}
	close(l.waiters)
	l.waiters = make(chan struct{})
}

// pauseFor honours Retry-After always; without it the pause doubles with full jitter, up to a minute.
func (l *Limiter) pauseFor(now time.Time, told time.Duration) {
	if told <= 0 {
		top := min(time.Minute, time.Second<<min(l.streak, 6))
		told = time.Second/2 + rand.N(top) //nolint:gosec // jitter needs no secrecy
		l.streak++
	}
	if until := now.Add(told); until.After(l.paused) {
		l.paused = until
	}
}

// cut lowers concurrency multiplicatively, at most once per second: one burst of refusals is one signal.
func (l *Limiter) cut(now time.Time, factor float64) {
	if now.Sub(l.lastCut) < time.Second {
		return
	}
	l.lastCut = now
	l.allowed = max(1, l.allowed*factor)
}

// observe raises concurrency additively while latency stays near its best, and cuts it when it rises fourfold.
func (l *Limiter) observe(now time.Time, latency time.Duration) {
	if latency <= 0 {
		return
	}
	if l.low == 0 || latency < l.low {
		l.low = latency
	}
	l.low += l.low / 1000 // forget slowly, so that a tool that became slower is measured afresh
	if l.fast == 0 {
		l.fast = latency
	}
	l.fast += (latency - l.fast) / 8
	if l.fast > 4*l.low+100*time.Millisecond {
		l.cut(now, 0.8)
		return
	}
	l.allowed = min(l.ceiling, l.allowed+1/max(1, l.allowed))
}

// Learn takes over what the tool told of its windows outside of a request of this gate.
func (l *Limiter) Learn(told []connector.Usage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range told {
		l.learn(time.Now(), "", u)
	}
}

// learn takes over what the tool told of a window.
func (l *Limiter) learn(now time.Time, group connector.Group, u connector.Usage) {
	for _, w := range l.windows {
		if w.Name != u.Window || !w.applies(group) || w.times != nil {
			continue
		}
		if u.Limit > 0 && u.Limit != w.Requests {
			w.allow(u.Limit)
		}
		used := u.Used
		if used < 0 && u.Remaining >= 0 && u.Limit > 0 {
			used = u.Limit - u.Remaining
		}
		if used < 0 {
			continue
		}
		if w.usedAtStart < 0 {
			w.usedAtStart = used
		}
		switch {
		case w.share > 0: // our share counts our own requests; the whole quota still ends everything
			if used >= w.Requests {
				w.used = max(w.used, w.allowance)
			}
		default:
			w.used = used
		}
		if !u.Resets.IsZero() && u.Resets.After(now) {
			w.reset = u.Resets
		}
	}
}

// PauseQuota stops the account until a quota resets; an unknown time is an hour.
func (l *Limiter) PauseQuota(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until.IsZero() {
		until = time.Now().Add(time.Hour)
	}
	if until.After(l.quota) {
		l.quota = until
	}
}

// Stats are the requests let through and, by the clock, the time during which a limit held at least one back.
func (l *Limiter) Stats() (requests int64, throttled time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	throttled = l.throttled
	if l.held > 0 {
		throttled += time.Since(l.heldFrom)
	}
	return l.requests, throttled
}
