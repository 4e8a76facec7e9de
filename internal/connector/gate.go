package connector

import (
	"context"
	"time"
)

// Gate is the engine's only door to a tool: every request passes it, also polling, look-ups and token calls. It enforces the
// account's limits, shared by all syncs on that account, and learns from what the tool answers.
type Gate interface {
	// Enter waits until a request of this group may leave. It returns the context's error when that ends first, and a
	// quota fault when the account is paused. Exactly one call of Leave follows every successful Enter.
	Enter(ctx context.Context, group Group) error
	// Leave reports how the request ended.
	Leave(group Group, fb Feedback)
}

// Group names an endpoint group of an account with limits of its own; "" is the account's default group.
type Group string

// Feedback is what a request taught about the tool's limits.
type Feedback struct {
	Latency    time.Duration
	Throttled  bool          // the tool asked to slow down
	RetryAfter time.Duration // as the tool said; 0 = it did not
	Failed     bool          // transient failure: circuit and concurrency take note
	Usage      []Usage       // what headers told of windows
}

// Usage is the state of one window as the tool reported it.
type Usage struct {
	Window    string    // Window.Name
	Used      int64     // -1 = not told
	Limit     int64     // -1 = not told
	Remaining int64     // -1 = not told
	Resets    time.Time // zero = not told
}

// OpenGate is a gate without limits, for checks and tests.
type OpenGate struct{}

// Enter lets everything pass.
func (OpenGate) Enter(ctx context.Context, _ Group) error { return ctx.Err() }

// Leave takes no note.
func (OpenGate) Leave(Group, Feedback) {}

// Window is one declared limit: at most Requests per Per for an account and group. Several windows hold at once.
type Window struct {
	Name     string // "second", "daily"
	Group    Group  // "" = all requests of the account
	Requests int64
	Per      time.Duration // 24h windows are quotas: used up means pause until they reset
	Share    float64       // part of the window this program may use, 0 = all; users tighten it with limits.daily_share
}
