package deliver

import (
	"context"
	"errors"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/failpoint"
	"github.com/upwelldata/upwell/internal/plan"
)

// Intents gathers the rows of a prestaged load's intent while the plan is judged, which spares a walk over it.
type Intents struct {
	rows IntentRows
	kind batchKind
	n    int64
}

// NewIntents begins the intent of what is staged for op.
func NewIntents(o Options, op connector.Op) (*Intents, error) {
	rows, err := o.Journal.IntendMany()
	return &Intents{rows: rows, kind: batchKind{op: op}}, err
}

// Add notes a planned item, if it is of the load.
func (i *Intents) Add(it *plan.Item) error {
	if i == nil || !it.Action.Sent() || phaseOf(it) != phaseSend || kindOf(it) != i.kind {
		return nil
	}
	i.n++
	return i.rows.Add(intentRow(it))
}

// Discard throws the rows away if no intent came of them.
func (i *Intents) Discard() error {
	if i == nil {
		return nil
	}
	return i.rows.Discard()
}

func intentRow(it *plan.Item) IntentRow {
	return IntentRow{Key: it.Key, Match: it.Match, RemoteID: it.RemoteID}
}

// intendStaged makes the intent of a staged load durable. Invariant 5: durable intent precedes the first byte of a request.
func (d *Delivery) intendStaged(ctx context.Context, in Intent, ph phase, k batchKind, pre *Prestage) (id int64, err error) {
	defer failpoint.Hit(failpoint.Intended)
	if pre != nil && pre.Intents != nil && d.Facts != nil && !d.Facts.Held && d.Facts.Parts[plan.Part{Op: k.op}] == pre.Intents.n {
		return pre.Intents.rows.Intend(ctx, in)
	}
	rows, err := d.Journal.IntendMany()
	if err != nil {
		return 0, err
	}
	for _, it := range d.stagedItems(ctx, ph, k, pre != nil) {
		if err := rows.Add(intentRow(it)); err != nil {
			return 0, errors.Join(err, rows.Discard())
		}
	}
	if err := d.failure(); err != nil {
		return 0, errors.Join(err, rows.Discard())
	}
	return rows.Intend(ctx, in)
}
