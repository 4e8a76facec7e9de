package deliver_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// A row whose first request may have landed stays open, whatever later requests of the run end with.
func Test_a_later_refusal_says_nothing_about_an_earlier_request_that_may_have_landed(t *testing.T) {
	first := func(then func(*connector.Outcomes) error) func(int, *row.Batch, *connector.Outcomes) error {
		return func(call int, _ *row.Batch, out *connector.Outcomes) error {
			if call == 1 {
				return fault.New(fault.DestTimeout, "no answer")
			}
			return then(out)
		}
	}
	for name, then := range map[string]func(*connector.Outcomes) error{
		"the credential expires": func(*connector.Outcomes) error { return fault.New(fault.DestAuth, "expired").NotLanded() },
		"the quota ends": func(*connector.Outcomes) error {
			return fault.New(fault.DestQuota, "used up").NotLanded()
		},
		"throttled until the budget ends": func(*connector.Outcomes) error {
			return fault.New(fault.DestThrottled, "slow down").NotLanded()
		},
		"the batch is refused": func(*connector.Outcomes) error { return fault.New(fault.DestRefused, "no").NotLanded() },
		"every row is refused": func(out *connector.Outcomes) error {
			for i := range out.Len() {
				out.Rejected(i, "NO", "f", "no")
			}
			return nil
		},
		"every row is put off": func(out *connector.Outcomes) error {
			for i := range out.Len() {
				out.Retry(i, 0, "LOCKED", "locked")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(4)
				b.wait = time.Minute
				b.tool.script = first(then)
				_ = b.run(t)
				if unknown := b.tally.Unknown.Load(); unknown != 4 {
					t.Errorf("unknown %d, rejected %d, pending %d: want all 4 unknown", unknown, b.tally.Rejected.Load(), b.tally.Pending.Load())
				}
				for k, r := range b.journal.refused {
					if !r.Unknown {
						t.Errorf("%x is on record as %+v", k, r)
					}
				}
				if len(b.journal.refused) != 4 {
					t.Errorf("%d keys are open, want 4", len(b.journal.refused))
				}
			})
		})
	}
}

// P3: the deadline on disk covers every request, also one that left long after its intent.
func Test_no_request_can_land_after_the_deadline_of_its_intent(t *testing.T) {
	for name, prepare := range map[string]func(*bench){
		"after an outage": func(b *bench) {
			down := time.Now().Add(10 * time.Minute)
			b.tool.check = func() error {
				if time.Now().Before(down) {
					return fault.New(fault.DestTransient, "down")
				}
				return nil
			}
			b.tool.script = func(_ int, _ *row.Batch, out *connector.Outcomes) error {
				if time.Now().Before(down) {
					return fault.New(fault.DestTransient, "down")
				}
				out.DeliveredAll()
				return nil
			}
		},
		"after waiting for a limit": func(b *bench) { b.limits.RequestsPerSecond = 0.02 },
		"after being put off": func(b *bench) {
			b.tool.script = func(call int, _ *row.Batch, out *connector.Outcomes) error {
				if call < 4 {
					for i := range out.Len() {
						out.Retry(i, time.Minute, "LOCKED", "locked")
					}
					return nil
				}
				out.DeliveredAll()
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(40)
				b.wait = time.Hour
				prepare(b)
				script := b.tool.script
				b.tool.script = func(call int, rows *row.Batch, out *connector.Outcomes) error {
					covered := false
					b.journal.mu.Lock()
					for id := range b.journal.open {
						covered = covered || !b.journal.deadline[id].Before(time.Now().Add(b.spec.Timeout))
					}
					b.journal.mu.Unlock()
					if !covered {
						t.Errorf("call %d can land after every deadline on disk", call)
					}
					if script == nil {
						out.DeliveredAll()
						return nil
					}
					return script(call, rows, out)
				}
				if err := b.run(t); err != nil {
					t.Fatal(err)
				}
				b.want(t, 40, 0, 0, 0)
			})
		})
	}
}

func Test_a_record_too_large_to_be_sent_keeps_its_open_outcome(t *testing.T) {
	b := newBench(3)
	b.op.MaxRowBytes = 200
	b.items[0].Values[0] = row.TextValue(strings.Repeat("x", 300))
	b.items[1].Values[0] = b.items[0].Values[0]
	b.items[1].Dirty = true
	if err := b.run(t); err != nil {
		t.Fatal(err)
	}
	b.want(t, 1, 1, 1, 0)
	for i, unknown := range []bool{false, true} {
		if r := b.journal.refused[string(b.items[i].Key)]; r.Unknown != unknown || r.Code != fault.RowTooLarge {
			t.Errorf("row %d: %+v", i, r)
		}
	}
}
