package deliver

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
)

// Probe intervals of an open circuit.
const (
	firstProbe = 500 * time.Millisecond
	maxProbe   = 5 * time.Minute
)

// circuit waits out outages. It is open after a transient failure until one probe succeeds; while it is open nothing is sent
// and no attempt is used up. When the destination stayed down for the whole budget, the run ends.
type circuit struct {
	probe  func(context.Context) error
	budget time.Duration

	mu     sync.Mutex
	open   bool
	since  time.Time
	opened chan struct{} // closed when the open circuit closes or fails for good
	fatal  error
	epoch  int       // grows with every request the tool answered as it should
	barren int       // recoveries by probe after which no write succeeded
	doubt  time.Time // since when writes fail although probes succeed
}

func newCircuit(probe func(context.Context) error, budget time.Duration) *circuit {
	return &circuit{probe: probe, budget: budget}
}

// Spread gives a wait of d in the mean, so that programs that lost a tool together do not come back together. It is never longer
// than the longest interval, which is kept as it is: by then the shorter waits have spread the probes.
func Spread(d time.Duration) time.Duration {
	if d >= maxProbe {
		return maxProbe
	}
	return min(d/2+rand.N(d+1), maxProbe) //nolint:gosec // jitter needs no secrecy
}

// healthy records a request that the tool answered as it should.
func (c *circuit) healthy() {
	c.mu.Lock()
	c.epoch++
	c.barren, c.doubt = 0, time.Time{}
	c.mu.Unlock()
}

// suspect waits after a write that failed although a probe had just succeeded: such a tool is not up. The waits grow until a
// write succeeds or the budget is used up.
func (c *circuit) suspect(ctx context.Context, cause error) error {
	c.mu.Lock()
	if c.doubt.IsZero() {
		c.doubt = time.Now()
	}
	c.barren++
	delay, left := min(firstProbe<<min(c.barren, 10), maxProbe), c.budget-time.Since(c.doubt)
	c.mu.Unlock()
	if left <= 0 {
		return fault.As(cause)
	}
	return pause(ctx, min(Spread(delay*3/4), left), nil) // the tool answers: its next write is waited for less long than a tool that is down
}

// proof is a number that has grown when the tool answered a request since.
func (c *circuit) proof() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

// await waits while the circuit is open; nothing is sent meanwhile.
func (c *circuit) await(ctx context.Context) error {
	c.mu.Lock()
	open, wait := c.open, c.opened
	c.mu.Unlock()
	if !open {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wait:
		c.mu.Lock()
		defer c.mu.Unlock()
		return notLanded(c.fatal)
	}
}

// notLanded says of an error that nothing was sent.
func notLanded(err error) error {
	if err == nil {
		return nil
	}
	f := *fault.As(err)
	return f.NotLanded()
}

// trip opens the circuit after a transient failure and waits until the tool is up again. The first caller probes; the others
// wait for it. It returns nil when sending may go on.
func (c *circuit) trip(ctx context.Context, cause error) error {
	c.mu.Lock()
	if c.fatal != nil {
		defer c.mu.Unlock()
		return c.fatal
	}
	if c.open {
		wait := c.opened
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait:
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.fatal
		}
	}
	c.open, c.since, c.opened = true, time.Now(), make(chan struct{})
	c.mu.Unlock()
	err := c.recover(ctx, cause)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = false
	if err != nil && ctx.Err() == nil {
		c.fatal = err
	}
	close(c.opened)
	return err
}

// recover probes with growing pauses until the tool answers or the budget is used up.
func (c *circuit) recover(ctx context.Context, cause error) error {
	delay := firstProbe
	for {
		left := c.budget - time.Since(c.since)
		if left <= 0 {
			return fault.As(cause)
		}
		if err := pause(ctx, min(Spread(delay), left), nil); err != nil {
			return err
		}
		err := c.probe(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if cl := fault.As(err).GetClass(); cl == fault.ClassAuth || cl == fault.ClassConfig {
			return err
		}
		cause = err
		delay = min(2*delay, maxProbe)
	}
}
