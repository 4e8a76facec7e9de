package deliver_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_throttling_is_obeyed_and_never_counts_as_an_attempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(40)
		b.op.Concurrency, b.limits.Concurrency = 1, 1
		begun := time.Now()
		b.tool.script = func(call int, _ *row.Batch, out *connector.Outcomes) error {
			if call <= 20 {
				return &fault.Error{Code: fault.DestThrottled, Message: "429", RetryAfter: 7 * time.Second}
			}
			out.DeliveredAll()
			return nil
		}
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		b.want(t, 40, 0, 0, 0)
		if took := time.Since(begun); took < 140*time.Second || took > 150*time.Second {
			t.Errorf("20 times Retry-After 7 s took %s", took)
		}
		for i := 1; i <= 20; i++ {
			if gap := b.tool.times[i].Sub(b.tool.times[i-1]); gap < 7*time.Second {
				t.Errorf("call %d came %s after a 429 with Retry-After 7 s", i, gap)
			}
		}
	})
}

func Test_declared_windows_are_kept_and_used_up(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(6000)
		b.op.MaxRows, b.op.Concurrency = 1, 8
		b.tool.latency = 20 * time.Millisecond
		b.limits = deliver.LimitOptions{Concurrency: 8, Windows: []connector.Window{
			{Name: "burst", Requests: 100, Per: 10 * time.Second}, {Name: "second", Requests: 30, Per: time.Second},
		}}
		begun := time.Now()
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begun)
		for i, at := range b.tool.times {
			if j := i - 100; j >= 0 && at.Sub(b.tool.times[j]) < 10*time.Second {
				t.Fatalf("more than 100 requests within 10 s at %d", i)
			}
			if j := i - 30; j >= 0 && at.Sub(b.tool.times[j]) < time.Second {
				t.Fatalf("more than 30 requests within a second at %d", i)
			}
		}
		if ideal := 590 * time.Second; float64(took) > float64(ideal)/0.95 {
			t.Errorf("6000 requests at 100 per 10 s took %s", took)
		}
	})
}

func Test_a_used_up_quota_ends_the_run_when_it_resets_too_late(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(100)
		b.op.MaxRows = 1
		b.limits.Windows = []connector.Window{{Name: "daily", Requests: 60, Per: 24 * time.Hour}}
		err := b.run(t)
		wantCode(t, err, fault.DestQuota)
		b.want(t, 60, 0, 0, 40)
	})
}

func Test_of_two_shares_of_a_quota_the_tighter_holds_also_when_the_tool_tells_another_quota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ declared, users float64 }{{0.5, 0}, {0.5, 0.9}, {0.9, 0.5}, {0, 0.5}} {
			g := deliver.NewLimiter(deliver.LimitOptions{
				DailyShare: c.users, Windows: []connector.Window{{Name: "daily", Requests: 100, Per: 24 * time.Hour, Share: c.declared}},
			})
			g.Learn([]connector.Usage{{Window: "daily", Limit: 20, Used: 0, Remaining: -1}})
			sent := 0
			for ; sent < 30 && g.Enter(t.Context(), "") == nil; sent++ {
				g.Leave("", connector.Feedback{})
			}
			if sent != 10 {
				t.Errorf("the tool's share %v, the user's %v: %d of 20 requests were let through", c.declared, c.users, sent)
			}
		}
	})
}

func Test_concurrency_goes_down_on_throttling_and_comes_back(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(4000)
		b.op.MaxRows, b.op.Concurrency, b.limits.Concurrency = 1, 16, 16
		b.tool.latency = 100 * time.Millisecond
		var refused atomic.Int64
		b.tool.script = func(_ int, _ *row.Batch, out *connector.Outcomes) error {
			b.tool.mu.Lock()
			busy := b.tool.inFlight
			b.tool.mu.Unlock()
			if busy > 8 {
				refused.Add(1)
				return &fault.Error{Code: fault.DestThrottled, Message: "429", RetryAfter: time.Second}
			}
			out.DeliveredAll()
			return nil
		}
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		if n := refused.Load(); n > 400 {
			t.Errorf("%d of 4000 requests were refused", n)
		}
	})
}

// entered lets requests through the gate at once and gives how long that took and what the gate says it held back.
func entered(t *testing.T, g *deliver.Limiter, requests int) (took, throttled time.Duration) {
	t.Helper()
	begun := time.Now()
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() {
			if err := g.Enter(t.Context(), ""); err != nil {
				t.Error(err)
			}
			g.Leave("", connector.Feedback{})
		})
	}
	wg.Wait()
	_, throttled = g.Stats()
	return time.Since(begun), throttled
}

func Test_time_held_back_by_limits_is_counted_by_the_clock_not_by_the_waiting_requests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := deliver.NewLimiter(deliver.LimitOptions{Concurrency: 20, RequestsPerSecond: 1})
		if took, throttled := entered(t, g, 10); took != 9*time.Second || throttled != took {
			t.Errorf("10 requests at 1 per second took %s, held back for %s", took, throttled)
		}
		time.Sleep(time.Hour) //nolint:forbidigo // fake time: nothing waits
		if took, throttled := entered(t, g, 2); took != time.Second || throttled != 10*time.Second {
			t.Errorf("two more took %s, held back for %s in all", took, throttled)
		}
	})
}

func Test_a_pause_that_holds_no_request_back_is_not_counted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := deliver.NewLimiter(deliver.LimitOptions{Concurrency: 4})
		if err := g.Enter(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		g.Leave("", connector.Feedback{Throttled: true, RetryAfter: 7 * time.Second})
		time.Sleep(5 * time.Second) //nolint:forbidigo // fake time
		if took, throttled := entered(t, g, 3); took != 2*time.Second || throttled != took {
			t.Errorf("took %s, held back for %s", took, throttled)
		}
		waiting := make(chan struct{})
		if err := g.Enter(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		g.Leave("", connector.Feedback{Throttled: true, RetryAfter: time.Minute})
		go func() {
			defer close(waiting)
			if err := g.Enter(t.Context(), ""); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(30 * time.Second) //nolint:forbidigo // fake time
		if _, throttled := g.Stats(); throttled != 32*time.Second {
			t.Errorf("held back for %s while a request waits", throttled)
		}
		<-waiting
	})
}
