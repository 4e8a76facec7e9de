package run

import (
	"bytes"
	"context"

	"github.com/upwelldata/upwell/internal/plan"
)

// memories loads what the store knows of the sync's keys.
func (p *prepared) memories(ctx context.Context) error {
	p.dirty, p.refused = map[string]plan.Dirty{}, map[string]plan.Refusal{}
	if p.e.Store == nil {
		return nil
	}
	open, err := p.e.Store.Open(ctx, p.sync.Name)
	if err != nil {
		return err
	}
	for _, o := range open {
		o.Dirty.Deadline = o.Deadline
		d := o.Dirty
		if n := len(p.sync.Match); n > 0 && len(d.Match) == 2*n { // the request gave the record another identity
			d.Match, d.Move = d.Match[:n:n], d.Match[n:]
			if err := p.untwist(ctx, o.Key, &d); err != nil {
				return err
			}
		}
		p.dirty[string(o.Key)] = d
		if o.Deadline.After(p.until) {
			p.until = o.Deadline
		}
	}
	if p.refused, err = p.e.Store.Refused(ctx, p.sync.Name, p.e.now()); err != nil {
		return err
	}
	p.state, err = p.e.Store.SyncState(ctx, p.sync.Name)
	return err
}

// untwist tells a move back from a move: either way the record is at the identity on record or at the other one, which is called
// Move.
func (p *prepared) untwist(ctx context.Context, key []byte, d *plan.Dirty) error {
	e, err := p.snap.Get(ctx, key)
	if err != nil || e == nil {
		return err
	}
	back := sameMatch(e.Match, d.Move)
	if p.mapping != nil && e.MatchID != nil {
		back = bytes.Equal(e.MatchID, p.mapping.MatchID(d.Move))
	}
	if back {
		d.Match, d.Move = d.Move, d.Match
	}
	return nil
}
