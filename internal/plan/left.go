package plan

import (
	"bytes"
	"slices"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// Keys that change places cannot be moved, as the order of their requests would decide which record survives: each is written
// where it belongs. So records are left behind that we delivered and no key stands for, and records are taken over that stood for
// another key. The ledger knows such a record under a key of its own: the key it stood for or will stand for, a null, which no
// key of a model has, and its identity. Under it the record is removed like that of a row that left the model.

// LeftKey is the key of a record without a key of the model.
func LeftKey(key []byte, match []row.Value, id []byte) []byte {
	b := row.NullValue().AppendCanonical(slices.Clone(key))
	if id == nil {
		return row.AppendKey(b, match...)
	}
	return append(b, id...)
}

// Leaves reports that writing the item leaves a record behind that stood for its key and stands for none any more.
func (it *Item) Leaves(o connector.Object) bool {
	return o.CanMove && it.Action == Change && it.Anew() && !it.Vacates && it.Old.State != ledger.Missed && it.Old.State != ledger.Baseline
}

// AwaitsOwner reports the removal of a record that is left behind in this very run: it may be sent when its key, that of Old, has
// been delivered elsewhere.
func (it *Item) AwaitsOwner() bool {
	return it.Action == Remove && it.Old != nil && len(it.Old.Key) > 0 && !bytes.Equal(it.Old.Key, it.Key)
}

// MayHaveMoved reports the removal of a record at an identity an open request was to give it. It is removed there when there is no
// record at the one it had, which is that of Old.
func (it *Item) MayHaveMoved() bool {
	return it.Action == Remove && it.Old != nil && it.New == nil && !sameValues(it.Old.Match, it.Match)
}

// beside gives what belongs to a change besides its item: records taken over and left behind. They are valid until the next call.
func (p *Planner) beside(c ledger.Change, it *Item) []*Item {
	p.more = p.more[:0]
	if p.d.Sync.Mode == connector.ModeInsert || p.d.Sync.Mode == connector.ModeAppend {
		return nil
	}
	if dirty, open := p.d.Dirty[string(c.Key)]; open && p.maybeLeft(c, it, dirty) {
		p.leftByRequest(c.Key, dirty)
	}
	if c.New == nil || !it.Action.Sent() && it.Action != Waiting || !p.d.Object.CanMove { // a key that waits still is to take it over
		return p.more
	}
	if c.Taken && (c.Old == nil || it.Anew()) {
		p.more = append(p.more, p.note(c.Key, c.New.Match, c.New.MatchID))
	}
	if it.Leaves(p.d.Object) {
		old := *c.Old
		p.remove(&Item{Key: LeftKey(c.Key, old.Match, old.MatchID), RemoteID: old.RemoteID, Match: old.Match, Old: &old})
	}
	return p.more
}

// maybeLeft: a request whose outcome is open may have left a record at an identity the key has not, or no longer, and that no other
// key claims.
func (p *Planner) maybeLeft(c ledger.Change, it *Item, dirty Dirty) bool {
	switch {
	case c.New == nil && c.Old == nil, dirty.MatchID == nil, c.OpenClaimed, c.Old != nil && !p.d.Object.CanMove:
		return false
	case c.Old != nil && bytes.Equal(dirty.MatchID, c.Old.MatchID):
		return false
	case c.New == nil:
		return true
	case !it.Action.Sent() || bytes.Equal(dirty.MatchID, c.New.MatchID):
		return false
	}
	return it.Move == nil || !sameValues(it.Match, dirty.Move) // else it is taken back
}

func (p *Planner) leftByRequest(key []byte, dirty Dirty) {
	if dirty.Move == nil {
		left := p.note(key, dirty.Match, dirty.MatchID)
		p.more = append(p.more, left)
		p.remove(&Item{Key: left.Key, Match: dirty.Match, Old: left.Old, Dirty: true})
		return
	}
	if p.d.Object.ReadBatch > 0 { // else it cannot be told whether the record is ours
		k := LeftKey(key, dirty.Move, dirty.MatchID)
		p.remove(&Item{Key: k, Match: dirty.Move, Old: &ledger.Entry{Key: k, Match: dirty.Match, MatchID: dirty.MatchID}, Dirty: true})
	}
}

// note is a record that the ledger must know of before anything is sent.
func (p *Planner) note(key []byte, match []row.Value, id []byte) *Item {
	k := LeftKey(key, match, id)
	return &Item{Action: Note, Hash: row.KeyHash(p.d.Meta.Seed, k), Key: k, Match: match, Old: &ledger.Entry{Key: k, Match: match, MatchID: id}}
}

// remove plans the removal of a record that is left behind, where the sync removes any.
func (p *Planner) remove(it *Item) {
	if r, refused := p.d.Refused[string(it.Key)]; p.d.Sync.Removed == connector.RemovedKeep || p.d.NoRemovals != "" || refused && !r.Due && !p.d.Full {
		return
	}
	_, it.Refused = p.d.Refused[string(it.Key)]
	it.Hash, it.Action = row.KeyHash(p.d.Meta.Seed, it.Key), Remove
	it.Op, it.Values = p.removal(nil)
	p.more = append(p.more, it)
}

// removal gives the operation that removes a record, with its values.
func (p *Planner) removal(values []row.Value) (connector.Op, []row.Value) {
	op := connector.OpDelete
	for i := range p.d.Fields {
		v := row.Value{}
		if p.d.Sync.Removed == connector.RemovedClear && !p.d.CreateOnly[i] {
			v = row.NullValue()
		}
		values = append(values, v)
	}
	if p.d.Sync.Removed == connector.RemovedClear {
		op = connector.OpClear
	}
	if p.d.Object.Kind == connector.KindList {
		op = connector.OpDrop
	}
	return op, values
}
