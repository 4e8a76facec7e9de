package deliver

import (
	"context"
	"slices"
	"time"

	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
)

// ackChunk is how many acknowledgements go to the ledger at once where nothing waits for them.
const ackChunk = 2048

// settleUnsent records what needs no request: refreshed fingerprints, rows that left and stay, rows adopted as delivered.
func (d *Delivery) settleUnsent(ctx context.Context) error {
	if d.failure() != nil {
		return nil // a run that stopped early has not earned the right to forget anything
	}
	if d.Facts != nil && d.Facts.Unsent == 0 {
		return nil
	}
	var acks []ledger.Ack
	flush := func(min int) error {
		if len(acks) < min {
			return nil
		}
		err := d.Ledger.Ack(ctx, acks, false)
		acks = acks[:0]
		return err
	}
	for it, err := range d.Items(ctx) {
		if err != nil {
			return err
		}
		if ack, ok := d.unsent(it); ok && d.Withheld(it) == "" {
			acks = append(acks, ack)
		}
		if it.Action == plan.Forget && it.Dirty && time.Now().After(d.NotBefore) { // its request can no longer land, and its record is another key's
			if err := d.Journal.Resolve(ctx, [][]byte{slices.Clone(it.Key)}); err != nil {
				return err
			}
		}
		if err := flush(ackChunk); err != nil {
			return err
		}
	}
	return flush(1)
}

func (d *Delivery) unsent(it *plan.Item) (ledger.Ack, bool) {
	switch it.Action {
	case plan.Leave:
		e := copyEntry(it.Old)
		e.State = ledger.Left
		return ledger.Ack{Entry: e}, true
	case plan.Forget:
		return ledger.Ack{Entry: ledger.Entry{Key: slices.Clone(it.Key)}, Delete: true}, it.Old != nil && !d.noted[string(it.Key)]
	case plan.Unchanged:
		if it.New == nil || it.Old == nil || it.Old.Fingerprint == it.New.Fingerprint && it.Old.State != ledger.Left {
			return ledger.Ack{}, false
		}
		e := copyEntry(it.Old)
		e.Fingerprint = it.New.Fingerprint
		if e.State == ledger.Left {
			e.State = ledger.Present
		}
		return ledger.Ack{Entry: e}, true
	case plan.Adopt:
		e := ledger.Entry{
			Key: slices.Clone(it.Key), Fingerprint: it.New.Fingerprint, State: ledger.Baseline, Match: slices.Clone(it.New.Match), MatchID: slices.Clone(it.New.MatchID),
			Fields: d.Shape.Fields, Values: slices.Clone(it.New.Values), Run: d.RunID, At: time.Now(),
		}
		if it.Old != nil { // nothing was sent: what was delivered stays on record, and only the fingerprint moves on
			fingerprint := e.Fingerprint
			e = copyEntry(it.Old)
			e.Fingerprint = fingerprint
		}
		return ledger.Ack{Entry: e}, true
	case plan.None, plan.Add, plan.Change, plan.Remove, plan.Waiting, plan.Invalid, plan.Note:
	}
	return ledger.Ack{}, false
}

func copyEntry(e *ledger.Entry) ledger.Entry {
	c := *e
	c.Key, c.Match, c.MatchID, c.Values = slices.Clone(e.Key), slices.Clone(e.Match), slices.Clone(e.MatchID), slices.Clone(e.Values)
	return c
}
