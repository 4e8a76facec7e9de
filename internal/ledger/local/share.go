package local

import (
	"context"

	"github.com/upwelldata/upwell/internal/fault"
)

// findShared names the keys that come to have a match which another key has already. That is rare and right (a record that left
// the model keeps its match), but if both rows are in a later read unchanged, they collide, and probing must not pass them by:
// their slots become special, so both are looked at in the merge. One key too many costs a look and nothing else.
func (b *indexBuild) findShared(ctx context.Context) error {
	x := b.base
	rows := int64(0)
	for _, seg := range b.segments {
		if seg.ref.Matches {
			rows += seg.rows
		}
	}
	if rows == 0 || !b.rebuild && !b.s.gathers && (x.rows() == 0 || x.match == nil) {
		return nil
	}
	byMatch := newSorter(b.s.h.dir, kindRaw, 16<<20, 0)
	defer func() { discard(closer(byMatch.close)) }()
	seen := newBloom(rows)
	cur := b.newRows()
	var r slotRow
	for cur.next() {
		var err error
		r, err = b.fromSegment(cur, r.key[:0])
		if err == nil && !r.dead && r.match != 0 {
			seen.add(r.match)
			err = addClaim(byMatch, r.match, cur.hash())
		}
		if err != nil {
			return err
		}
	}
	if err := cur.err(); err != nil {
		return err
	}
	for i := range x.rows() {
		if i%(1<<20) == 0 && ctx.Err() != nil {
			return fault.Wrap(fault.Cancelled, ctx.Err(), "publishing the ledger")
		}
		if h := x.matchHash(i); h != 0 && seen.has(h) {
			if err := addClaim(byMatch, h, x.hash(i)); err != nil {
				return err
			}
		}
	}
	if err := byMatch.finish(); err != nil {
		return err
	}
	b.shared = newSorter(b.s.h.dir, kindRaw, 16<<20, 0)
	var match, key uint64
	pairs := byMatch.cursor()
	for first := true; pairs.next(); first = false {
		k := pairs.key()
		m, h := pairs.hash(), be64(k[8:])
		if !first && m == match && h != key {
			if err := addClaim(b.shared, key); err != nil {
				return err
			}
			if err := addClaim(b.shared, h); err != nil {
				return err
			}
		}
		match, key = m, h
	}
	if err := pairs.err(); err != nil {
		return err
	}
	return b.shared.finish()
}
