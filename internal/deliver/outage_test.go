package deliver_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_an_outage_is_waited_out_without_using_up_attempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(500)
		b.wait = 24 * time.Hour
		end := time.Now().Add(6 * time.Hour)
		down := func() error {
			if time.Now().Before(end) {
				return fault.New(fault.DestTransient, "503").NotLanded()
			}
			return nil
		}
		var probed []time.Time
		b.tool.check = func() error {
			probed = append(probed, time.Now())
			return down()
		}
		b.tool.script = func(_ int, _ *row.Batch, out *connector.Outcomes) error {
			if err := down(); err != nil {
				return err
			}
			out.DeliveredAll()
			return nil
		}
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		b.want(t, 500, 0, 0, 0)
		if late := time.Since(end); late > 5*time.Minute {
			t.Errorf("resumed %s after the end of the outage", late)
		}
		if n := len(probed); n > 90 || n < 72 {
			t.Errorf("%d probes in 6 hours", n)
		}
		for i := 20; i < len(probed); i++ {
			if gap := probed[i].Sub(probed[i-1]); gap != 5*time.Minute {
				t.Errorf("probe %d came %s after the one before", i, gap)
			}
		}
	})
}

// Programs that lost a tool at the same moment must not come back to it at the same moment.
func Test_waits_for_a_tool_are_spread_and_not_shortened(t *testing.T) {
	const wait, n = time.Minute, 2000
	var sum, least, most time.Duration = 0, time.Hour, 0
	for range n {
		d := deliver.Spread(wait)
		sum, least, most = sum+d, min(least, d), max(most, d)
	}
	if mean := sum / n; mean < wait*95/100 || mean > wait*105/100 {
		t.Errorf("waits of %s are %s in the mean", wait, mean)
	}
	if least > wait*6/10 || most < wait*14/10 {
		t.Errorf("waits of %s are between %s and %s", wait, least, most)
	}
	for _, long := range []time.Duration{4 * time.Minute, 5 * time.Minute, time.Hour} {
		for range n {
			if d := deliver.Spread(long); d > 5*time.Minute {
				t.Fatalf("a wait of %s is %s", long, d)
			}
		}
	}
}

func Test_an_outage_longer_than_the_budget_leaves_rows_pending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(100)
		b.wait = 10 * time.Minute
		down := fault.New(fault.DestUnreachable, "connection refused").NotLanded()
		b.tool.check = func() error { return down }
		b.tool.script = func(int, *row.Batch, *connector.Outcomes) error { return down }
		begun := time.Now()
		err := b.run(t)
		wantCode(t, err, fault.DestUnreachable)
		b.want(t, 0, 0, 0, 100)
		if took := time.Since(begun); took > 11*time.Minute || took < 10*time.Minute {
			t.Errorf("gave up after %s", took)
		}
		if fault.As(err).Exit() != fault.ExitEnvironment {
			t.Errorf("exit %d", fault.As(err).Exit())
		}
	})
}

func Test_a_row_that_always_fails_is_isolated_and_the_rest_flows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(100)
		b.tool.script = func(_ int, rows *row.Batch, out *connector.Outcomes) error {
			for i := range rows.Len() {
				if rows.Match(i)[0].Int() == 42 {
					return fault.New(fault.DestTransient, "500 Internal Server Error").NotLanded()
				}
			}
			out.DeliveredAll()
			return nil
		}
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		b.want(t, 99, 1, 0, 0)
	})
}

func Test_a_tool_whose_probe_succeeds_while_every_write_fails_is_down(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(100)
		b.wait = 15 * time.Minute
		b.op.MaxRows = 100
		b.tool.script = func(int, *row.Batch, *connector.Outcomes) error {
			return fault.New(fault.DestTransient, "500 Internal Server Error").NotLanded()
		}
		begun := time.Now()
		wantCode(t, b.run(t), fault.DestTransient)
		b.want(t, 0, 0, 0, 100)
		if took := time.Since(begun); took < 14*time.Minute || took > 30*time.Minute {
			t.Errorf("gave up after %s", took)
		}
		if b.tool.calls > 60 {
			t.Errorf("%d calls to a tool that is down", b.tool.calls)
		}
	})
}

func Test_a_row_that_always_fails_is_isolated_even_when_it_is_in_the_only_batch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(64)
		b.op.MaxRows = 64
		b.tool.script = func(_ int, rows *row.Batch, out *connector.Outcomes) error {
			for i := range rows.Len() {
				if rows.Match(i)[0].Int() == 42 {
					return fault.New(fault.DestTransient, "500 Internal Server Error").NotLanded()
				}
			}
			out.DeliveredAll()
			return nil
		}
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		b.want(t, 63, 1, 0, 0)
	})
}
