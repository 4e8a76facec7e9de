package deliver

import (
	"context"
	"slices"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/row"
)

// vacate notes durably, before anything is sent, which keys lose their record to another key: unless such a key is delivered
// anew, what its entry says is no longer so, and a row that goes back to it must not be taken for unchanged. It also notes the
// records that keys take over, and those an open request may have made: whatever becomes of the requests, they are ours.
func (d *Delivery) vacate(ctx context.Context) error {
	if d.Facts != nil && d.Facts.Vacate == 0 {
		return nil
	}
	err := d.ackEach(ctx, func(it *plan.Item) bool { return it.Action == plan.Note }, func(it *plan.Item) ledger.Ack {
		e := copyEntry(it.Old)
		d.noted[string(e.Key)] = true
		return ledger.Ack{Entry: e}
	})
	if err != nil {
		return err
	}
	return d.ackEach(ctx, func(it *plan.Item) bool { return it.Vacates && !d.noted[string(it.Key)] }, func(it *plan.Item) ledger.Ack {
		e := copyEntry(it.Old)
		e.State, e.Fingerprint = ledger.Missed, 0
		return ledger.Ack{Entry: e}
	})
}

// ackEach records durably what some items stand for.
func (d *Delivery) ackEach(ctx context.Context, which func(*plan.Item) bool, ack func(*plan.Item) ledger.Ack) error {
	var acks []ledger.Ack
	flush := func(least int) error {
		if len(acks) < least {
			return nil
		}
		err := d.Ledger.Ack(ctx, acks, true)
		acks = acks[:0]
		return err
	}
	for it, err := range d.Items(ctx) {
		if err != nil {
			return err
		}
		if which(it) {
			acks = append(acks, ack(it))
		}
		if err := flush(ackChunk); err != nil {
			return err
		}
	}
	return flush(1)
}

// besides gives what is recorded with a row's acknowledgement: the record it leaves behind is known under a key of its own, and
// the one it takes over is its own now.
func (d *Delivery) besides(it *plan.Item, key []byte) (acks []ledger.Ack) {
	if it.New == nil {
		return nil
	}
	if len(d.noted) > 0 {
		if k := plan.LeftKey(key, it.Match, it.New.MatchID); d.noted[string(k)] {
			acks = append(acks, ledger.Ack{Entry: ledger.Entry{Key: k}, Delete: true})
		}
	}
	if it.Leaves(d.Object) {
		e := copyEntry(it.Old)
		e.Key = plan.LeftKey(key, e.Match, e.MatchID)
		acks = append(acks, ledger.Ack{Entry: e})
	}
	return acks
}

// recordBeside gives what is recorded with an accepted row, and lets the record it left behind be removed.
func (d *Delivery) recordBeside(p *pending, r connector.Result) []ledger.Ack {
	if len(p.beside) > 0 && r.Status == connector.Delivered {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, a := range p.beside {
			if !a.Delete {
				d.left[string(a.Entry.Key)] = true
			}
		}
	}
	return p.beside
}

// findMoved finds out where records are whose move was not answered and whose keys are elsewhere by now: one that is not at its
// former identity has moved, and is ours where the request moved it to. It looks before anything is sent.
func (d *Delivery) findMoved(ctx context.Context) error {
	if d.reader == nil || d.Facts != nil && d.Facts.Moved == 0 {
		return nil
	}
	var left []ledger.Entry
	var former [][]row.Value
	for it, err := range d.Items(ctx) {
		if err != nil {
			return err
		}
		if it.MayHaveMoved() {
			e := copyEntry(it.Old)
			former = append(former, e.Match)
			e.Match = slices.Clone(it.Match)
			left = append(left, e)
		}
	}
	if len(left) == 0 {
		return nil
	}
	if err := d.awaitOldRequests(ctx); err != nil {
		return err
	}
	found, err := d.lookUp(ctx, d.Object, d.Shape.MatchFields, former, nil)
	if err != nil {
		return err
	}
	var acks []ledger.Ack
	for i, e := range left {
		if !found[i].Exists && !found[i].Ambiguous {
			acks = append(acks, ledger.Ack{Entry: e})
			d.left[string(e.Key)] = true
		}
	}
	return d.Ledger.Ack(ctx, acks, true)
}

// spared reports the removal of a record that is still, or again, its key's: the key was not delivered elsewhere, or the record was
// never moved.
func (d *Delivery) spared(it *plan.Item) bool {
	if !it.AwaitsOwner() && !it.MayHaveMoved() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.left[string(it.Key)]
}

// spare counts the removals that must not be sent: those of records that were never moved have nothing to do.
func (d *Delivery) spare(ctx context.Context) error {
	if d.Facts != nil && d.Facts.Left+d.Facts.Moved == 0 {
		return nil
	}
	for it, err := range d.Items(context.WithoutCancel(ctx)) {
		switch {
		case err != nil:
			return err
		case d.Withheld(it) != "" || !d.spared(it):
		case it.MayHaveMoved() && d.failure() == nil:
			d.Tally.Skipped.Add(1)
		default:
			d.Tally.Pending.Add(1)
		}
	}
	return nil
}
