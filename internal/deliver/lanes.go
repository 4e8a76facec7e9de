package deliver

import (
	"cmp"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/row"
)

// lanes deal batches to workers. Where an operation has an affinity (a parent record that is locked while its children are
// written), every row goes down the lane of its value, and a lane has one worker: rows with equal values are never in two requests
// in flight.
type lanes struct {
	works []chan *work
	field string // destination field of the affinity, "" = none: one lane for all workers
}

// laneBatches is how many full batches a lane is worth. A lane ends with a batch that is not full, so more lanes would cost requests.
const laneBatches = 4

func (d *Delivery) newLanes() *lanes {
	l := &lanes{field: d.affinity()}
	n := 1
	if l.field != "" {
		batches := int64(0)
		for op, rows := range d.Planned {
			batches += rows / int64(d.batchRows(op))
		}
		n = max(1, min(d.workers(), int(batches/laneBatches)))
	}
	for range n {
		l.works = append(l.works, make(chan *work))
	}
	return l
}

func (l *lanes) close() {
	for _, c := range l.works {
		close(c)
	}
}

// affinity gives the mapped field whose equal values must not be in two requests in flight, "" = there is none.
func (d *Delivery) affinity() string {
	for op := range d.Planned {
		if f := d.Object.Ops[op].Affinity; f != "" && slices.Contains(d.Shape.Fields, f) {
			return f
		}
	}
	return ""
}

// bond gives an item's affinity as a number: of the value it is given, or has as far as we know. Without one it is the key's.
func (d *Delivery) bond(it *plan.Item, field string) uint64 {
	var v row.Value
	if i := slices.Index(d.Shape.Fields, field); i >= 0 && i < len(it.Values) {
		v = it.Values[i]
	}
	if it.Old != nil && (v.IsAbsent() || it.Action == plan.Remove) {
		if i := slices.Index(it.Old.Fields, field); i >= 0 {
			v = it.Old.Values[i]
		}
	}
	if v.IsAbsent() || v.IsNull() {
		return xxh3.Hash(it.Key)
	}
	return xxh3.Hash(v.AppendCanonical(nil))
}

// inOrder gives a job's rows in the order of their affinity: the tool cuts a job into batches of its own and works on several at
// once (https://developer.salesforce.com/docs/atlas.en-us.242.0.api_asynch.meta/api_asynch/datafiles_organize_data.htm).
func (l *lanes) inOrder(d *Delivery, w *work) *work {
	if l.field == "" || !d.jobs(w.kind.op) {
		return w
	}
	rows := all(w.batch.Len())
	slices.SortStableFunc(rows, func(a, b int) int { return cmp.Compare(w.rows[a].bond, w.rows[b].bond) })
	return w.part(rows)
}

// lane is what rows of a batch have in common.
type lane struct {
	batchKind
	n int
}

func (l *lanes) of(d *Delivery, it *plan.Item) (ln lane, bond uint64) {
	ln.batchKind = kindOf(it)
	if l.field != "" {
		bond = d.bond(it, l.field)
		ln.n = int(bond % uint64(len(l.works)))
	}
	return ln, bond
}
