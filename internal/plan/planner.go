package plan

import (
	"bytes"
	"context"
	"iter"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// missedAgain is how long an update that found no record waits before it is looked at again.
const missedAgain = 24 * time.Hour

// Definition is everything that decides what happens to a change, fixed for one run.
type Definition struct {
	Sync        *project.Sync
	Object      connector.Object
	Fields      []string // destination fields, in mapping order
	MatchFields []string
	CreateOnly  []bool // by field: written only when the record is created
	MatchIsKey  bool
	Mapping     string // project.MappingHash
	Hash        string // project.DefinitionHash
	Meta        ledger.Meta
	Full        bool // --full
	Now         time.Time
	Dirty       map[string]Dirty   // by key
	Refused     map[string]Refusal // by key
	Ceilings    map[string]int64   // by guard: how much a lift may let through
	NoRemovals  string             // why removals are off altogether, "" = they are on
}

// Planner classifies changes. It holds no rows.
type Planner struct {
	d         Definition
	remapped  bool // the mapping differs from the one last published
	ignoring  bool // on_mapping_change: ignore applies
	baseline  bool // first run that records and sends nothing
	positions []int
	shape     []string // the ledger entry shape positions was computed for
	values    []row.Value
	item      Item
	more      []*Item
}

// New makes a planner.
func New(d Definition) *Planner {
	p := &Planner{d: d}
	p.remapped = d.Meta.Mapping != "" && d.Meta.Mapping != d.Mapping
	p.ignoring = p.remapped && d.Sync.IgnoreRemapping
	p.baseline = d.Sync.Baseline && !d.Meta.Complete // also after a reset, and until the first run went through
	return p
}

// Remapped reports whether the mapping differs from the one last published.
func (p *Planner) Remapped() bool { return p.remapped }

// Walk classifies every change of a delta, in its order.
func (p *Planner) Walk(ctx context.Context, delta ledger.Delta) iter.Seq2[*Item, error] {
	return func(yield func(*Item, error) bool) {
		for c, err := range delta.Each(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			it := p.Classify(c)
			beside := p.beside(c, it)
			if !yield(it, nil) {
				return
			}
			for _, it := range beside {
				if !yield(it, nil) {
					return
				}
			}
		}
	}
}

// Classify decides about one change. The item is valid until the next call.
func (p *Planner) Classify(c ledger.Change) *Item {
	p.item = Item{Hash: c.Hash, Key: c.Key, New: c.New, Old: c.Old}
	dirty, isDirty := p.d.Dirty[string(c.Key)]
	p.item.Vacates = c.Old != nil && (c.Claimed || c.OldClaimed)
	p.item.Dirty, p.item.Late = isDirty, c.Taken && len(p.d.Dirty) > 0
	_, p.item.Refused = p.d.Refused[string(c.Key)]
	switch {
	case c.New != nil && c.New.Invalid != nil:
		p.refuse(c.New.Invalid)
	case c.New != nil:
		p.item.Fingerprint = c.New.Fingerprint
		p.classifyRow(c, dirty)
	default:
		p.classifyGone(c, dirty)
	}
	return &p.item
}

func (p *Planner) refuse(why *ledger.Invalid) {
	p.item.Action, p.item.Invalid = Invalid, why
}

func (p *Planner) classifyRow(c ledger.Change, dirty Dirty) {
	if p.waiting(c, dirty) {
		p.item.Action = Waiting
		return
	}
	switch p.d.Sync.Mode {
	case connector.ModeInsert, connector.ModeAppend:
		p.classifyOnce(c)
	case connector.ModeUpsert, connector.ModeUpdate, connector.ModeMirror:
		p.classifyUpsert(c, dirty)
	}
}

// waiting: refused earlier with this very record, or unknown and for a person to decide, and nobody asked.
func (p *Planner) waiting(c ledger.Change, dirty Dirty) bool {
	r, ok := p.d.Refused[string(c.Key)]
	switch {
	case p.item.Dirty && (dirty.Person || p.onlyAPerson(dirty)):
		return !ok || !r.Due
	case p.item.Dirty, p.d.Full: // an open outcome is settled by sending the newest value
		return false
	}
	return ok && !r.Due && r.Fingerprint == c.New.Fingerprint && r.Mapping == p.d.Mapping
}

// onlyAPerson reports an open request that must not be repeated by itself: repeating would write twice, the tool no longer
// recognises the repetition, and it cannot be read back.
func (p *Planner) onlyAPerson(d Dirty) bool {
	o := p.d.Object.Ops[d.Op]
	switch {
	case p.d.Sync.AtMostOnce:
		return true
	case o.Idempotent, p.d.Object.ReadBatch > 0:
		return false
	}
	return o.Dedupes == 0 || p.d.Now.Sub(d.Deadline) > o.Dedupes
}

// classifyOnce plans insert and append: a key is written once and never again.
func (p *Planner) classifyOnce(c ledger.Change) {
	switch {
	case c.Old != nil:
		p.item.Action = Unchanged
		p.item.New = nil // the ledger keeps what was written
	case p.baseline && !p.item.Dirty:
		p.item.Action = Adopt
	default:
		op := connector.OpInsert
		if p.d.Sync.Mode == connector.ModeAppend {
			op = connector.OpAppend
		}
		p.send(Add, op, c.New.Match, c.New.Values, true)
	}
}

func (p *Planner) classifyUpsert(c ledger.Change, dirty Dirty) {
	op := p.writeOp()
	if c.Old == nil {
		if p.baseline && !p.item.Dirty { // an open request may have left another value than the source has now
			p.item.Action = Adopt
			return
		}
		p.send(Add, op, c.New.Match, c.New.Values, op == connector.OpUpsert)
		return
	}
	p.item.RemoteID = c.Old.RemoteID
	full := p.d.Full || p.item.Dirty || c.Old.State == ledger.Cleared || c.Old.State == ledger.Missed
	if moved(c.New, c.Old) {
		p.classifyMove(c, op, dirty)
		return
	}
	if dirty.Move != nil && p.movable(c, dirty) && !sameValues(dirty.Move, c.New.Match) {
		p.changed(c, true) // an open request may have given the record another identity: it is taken back
		p.send(Change, connector.OpUpdate, dirty.Move, p.values, false)
		p.item.Move = c.New.Match
		return
	}
	if c.Old.State == ledger.Missed && !p.d.Full && !p.item.Dirty &&
		c.Old.Fingerprint == c.New.Fingerprint && p.d.Now.Sub(c.Old.At) < missedAgain {
		p.item.Action = Unchanged
		p.item.New = nil
		return
	}
	switch changed := p.changed(c, full); {
	case !changed:
		p.item.Action = Unchanged
	case p.ignoring && !p.item.Dirty && !p.d.Full && !p.dropUndelivered(c):
		p.item.Action = Adopt
	default:
		p.send(Change, op, c.New.Match, p.values, false)
	}
}

// dropUndelivered leaves fields out that the ledger never delivered, for on_mapping_change: ignore, and reports whether a field
// it did deliver differs.
func (p *Planner) dropUndelivered(c ledger.Change) (differs bool) {
	for i := range p.values {
		j := p.positions[i]
		if known := j >= 0 && !c.Old.Values[j].IsAbsent(); !known {
			p.values[i] = row.Value{}
			continue
		}
		if !p.values[i].IsAbsent() && !p.values[i].Equal(c.Old.Values[j]) {
			differs = true
		}
	}
	return differs
}

// moved reports whether the record's identity changed, as the tool compares identities.
func moved(rec *ledger.Record, old *ledger.Entry) bool {
	if rec.MatchID != nil && old.MatchID != nil {
		return !bytes.Equal(rec.MatchID, old.MatchID)
	}
	return len(old.Match) > 0 && !sameValues(old.Match, rec.Match)
}

// classifyMove plans a record whose identity changed: moved where the tool can, else as on_match_change says.
func (p *Planner) classifyMove(c ledger.Change, op connector.Op, dirty Dirty) {
	switch {
	case p.movable(c, dirty) && c.Old.State != ledger.Missed:
		p.changed(c, true)
		p.send(Change, connector.OpUpdate, c.Old.Match, p.values, false)
		p.item.Move = c.New.Match
	case p.d.Object.CanMove, p.d.Sync.CreateOnMove, c.Old.State == ledger.Missed:
		p.changed(c, true)
		p.item.RemoteID = ""
		p.send(Change, op, c.New.Match, p.withCreateOnly(c), op == connector.OpUpsert)
	default:
		p.refuse(&ledger.Invalid{
			Code:    fault.MatchChanged,
			Field:   p.d.MatchFields[0],
			Message: "the record's identity changed and " + p.d.Object.Name + " cannot move a record",
		})
	}
}

// movable: the record may be given another identity. Where keys of one read change places, the order of their requests would
// decide which record survives; there every record is written where it belongs, in full. So is one that an open request may have
// written there already.
func (p *Planner) movable(c ledger.Change, dirty Dirty) bool {
	written := p.item.Dirty && dirty.Move == nil && dirty.MatchID != nil && bytes.Equal(dirty.MatchID, c.New.MatchID)
	return p.d.Object.CanMove && !c.OldClaimed && !c.OpenClaimed && !c.Taken && !written
}

func (p *Planner) withCreateOnly(c ledger.Change) []row.Value {
	p.values = append(p.values[:0], c.New.Values...)
	return p.values
}

// changed fills p.values with what is sent of an existing record and reports whether anything is.
func (p *Planner) changed(c ledger.Change, full bool) bool {
	p.align(c.Old.Fields)
	p.values = append(p.values[:0], c.New.Values...)
	any := false
	for i := range p.values {
		if p.d.CreateOnly[i] {
			p.values[i] = row.Value{}
			continue
		}
		if p.values[i].IsAbsent() {
			continue
		}
		if j := p.positions[i]; j >= 0 && p.values[i].Equal(c.Old.Values[j]) {
			if !full && p.partial() {
				p.values[i] = row.Value{}
			}
			continue
		}
		any = true
	}
	return any || full
}

// partial: the operation leaves absent fields alone, so unchanged ones need not be sent.
func (p *Planner) partial() bool {
	return p.d.Object.Ops[p.writeOp()].Partial
}

// writeOp is the operation of upsert, update and mirror for this object.
func (p *Planner) writeOp() connector.Op {
	switch {
	case p.d.Object.Kind == connector.KindList:
		return connector.OpAdd
	case p.d.Sync.Mode == connector.ModeUpdate:
		return connector.OpUpdate
	}
	return connector.OpUpsert
}

// align computes where each mapped field stands in an entry of this shape.
func (p *Planner) align(fields []string) {
	if p.positions != nil && len(fields) == len(p.shape) && (len(fields) == 0 || &fields[0] == &p.shape[0]) {
		return
	}
	p.shape = fields
	p.positions = make([]int, len(p.d.Fields))
	for i, f := range p.d.Fields {
		p.positions[i] = -1
		for j, g := range fields {
			if f == g {
				p.positions[i] = j
			}
		}
	}
}

func (p *Planner) send(a Action, op connector.Op, match, values []row.Value, mayCreate bool) {
	p.item.Action, p.item.Op, p.item.Match, p.item.Values, p.item.MayCreate = a, op, match, values, mayCreate
}

// classifyGone plans a key the ledger or an open request knows and the model does not.
func (p *Planner) classifyGone(c ledger.Change, dirty Dirty) {
	if p.d.Sync.Mode == connector.ModeInsert || p.d.Sync.Mode == connector.ModeAppend {
		return
	}
	match, remote := dirty.Match, dirty.RemoteID
	if c.Old != nil {
		match, remote = c.Old.Match, c.Old.RemoteID
	}
	removed := p.d.Sync.Removed
	switch {
	case c.Claimed:
		p.item.Action = Forget
	case c.Old != nil && c.Old.State == ledger.Missed && !p.item.Dirty:
		p.item.Action = Forget
	case c.Old != nil && c.Old.State == ledger.Baseline && !p.item.Dirty, removed == connector.RemovedKeep,
		p.d.NoRemovals != "":
		if c.Old != nil && c.Old.State != ledger.Left && c.Old.State != ledger.Baseline && p.d.NoRemovals == "" {
			p.item.Action = Leave
		}
	case removed == connector.RemovedClear && c.Old != nil && c.Old.State == ledger.Cleared && !p.item.Dirty:
	case p.refusedRemoval(c):
		// the tool refused to remove it, and that is not due again
	case len(match) == 0:
		// an open request of a key that was never written with an identity: nothing can be addressed
		p.item.Action = Forget
	default:
		p.item.RemoteID = remote
		var op connector.Op
		op, p.values = p.removal(p.values[:0])
		p.send(Remove, op, match, p.values, false)
	}
}

// refusedRemoval: the tool refused this removal earlier, and it is not due again.
func (p *Planner) refusedRemoval(c ledger.Change) bool {
	r, ok := p.d.Refused[string(c.Key)]
	return ok && !r.Due && !p.item.Dirty && !p.d.Full && r.Removal
}

func sameValues(a, b []row.Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}
