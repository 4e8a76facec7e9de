package deliver

import (
	"context"
	"math/bits"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// Draft is what the ledger will record of a load, written beside the plan. It is waited for before the load is committed.
type Draft struct {
	stop  context.CancelFunc
	done  chan struct{}
	draft ledger.Draft // nil: the load is settled row by row
	err   error
}

// StartDraft begins to write what the ledger records when every row of a delta is accepted as a new record. The draft must be
// discarded. nil: this ledger writes none.
func StartDraft(ctx context.Context, o Options, delta ledger.Delta, op connector.Op) *Draft {
	l, ok := o.Ledger.(ledger.Drafter)
	if !ok {
		return nil
	}
	d := &Draft{done: make(chan struct{})}
	ctx, d.stop = context.WithCancel(ctx)
	go func() {
		defer close(d.done)
		d.draft, d.err = l.Draft(ctx, delta, o.newRecord(op))
	}()
	return d
}

// newRecord is the acknowledgement of a record that was created, whole, without what is the row's own.
func (o *Options) newRecord(op connector.Op) ledger.Ack {
	now := time.Now()
	return ledger.Ack{
		Op: op, Outcome: connector.Delivered,
		Entry: ledger.Entry{State: ledger.Present, Fields: o.Shape.Fields, Created: connector.Yes, Run: o.RunID, At: now},
		Before: []ledger.History{{
			Run: o.RunID, At: now, Op: op, Outcome: connector.Delivered, Created: connector.Yes, Fields: o.Shape.Fields, Old: make([]row.Value, len(o.Shape.Fields)),
		}},
	}
}

func (d *Draft) wait() (ledger.Draft, error) {
	if d == nil {
		return nil, nil
	}
	<-d.done
	return d.draft, d.err
}

// Discard throws the draft away, unless the load was settled with it.
func (d *Draft) Discard() error {
	if d == nil {
		return nil
	}
	d.stop()
	if draft, _ := d.wait(); draft != nil { //nolint:errcheck // whoever wanted the draft was told
		return draft.Discard()
	}
	return nil
}

// adoptDraft settles a load whose rows were all accepted as new, when that is what the draft says. Invariant 1: the ledger
// advances only for accepted rows, after the answer.
func (d *Delivery) adoptDraft(pre *Prestage, res *staged) (done bool, err error) {
	if pre == nil || d.Facts == nil || d.Facts.Held || d.Facts.Unsent > 0 || len(d.Facts.Parts) != 1 {
		return false, nil
	}
	draft, err := pre.Draft.wait()
	if draft == nil || err != nil { // an error was told before the commit
		return false, nil
	}
	n := draft.Rows()
	for _, planned := range d.Facts.Parts {
		if planned != n || !res.allNew(n) {
			return false, nil
		}
	}
	if err := draft.Adopt(); err != nil {
		return false, err
	}
	d.Tally.Delivered.Add(n)
	return true, nil
}

// allNew reports that exactly n rows were settled, every one as a new record and without remarks.
func (s *staged) allNew(n int64) bool {
	return len(s.odd) == 0 && s.done.count() == n && s.created.count() == n
}

func (b bitset) count() (n int64) {
	for _, word := range b {
		n += int64(bits.OnesCount64(word))
	}
	return n
}
