package local

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/packed"
)

// indexBuild merges the index of the base with the rows of new segments.
type indexBuild struct {
	s        *session
	renew    bool // there is no base
	rebuild  bool // the new segments are all there is
	fresh    []segmentRef
	segments []*segment
	renumber [maxSegments + 1]byte
	shared   *sorter // hashes of keys whose match another key has; nil = none

	out  *indexWriter
	base *index
	load *loader
	slot int
	flag *merge
	more bool
}

func (b *indexBuild) open(ctx context.Context) error {
	for _, ref := range b.fresh {
		seg, err := openSegment(b.s.h.dir, ref)
		if err != nil {
			return err
		}
		b.segments = append(b.segments, seg)
	}
	if b.rebuild {
		return b.findShared(ctx)
	}
	if b.renew {
		return nil
	}
	// Damage in the old index must not be copied into a new one whose checksum fits.
	st, buf := b.s.snap.s, make([]byte, 1<<20)
	for _, ref := range st.m.Index.files() {
		if err := st.verifyFile(ref, buf); err != nil {
			return err
		}
	}
	b.base, b.load = st.index, st.loader()
	return b.findShared(ctx)
}

func (b *indexBuild) close() {
	for _, seg := range b.segments {
		seg.close()
	}
	if b.shared != nil {
		discard(closer(b.shared.close))
	}
}

func (b *indexBuild) newRows() *merge {
	m := newMerge(newFirst)
	for _, seg := range b.segments {
		m.add(seg.cursor(b.s.base.Meta.Seed))
	}
	return m
}

// slotRow is a key of one hash on its way into the index.
type slotRow struct {
	key    []byte
	stored uint64
	flags  byte
	match  uint64
	dead   bool
}

func (b *indexBuild) write(ctx context.Context, match bool) (*indexRef, error) {
	estimate := b.base.rows()
	for _, seg := range b.segments {
		estimate += int(seg.rows)
	}
	stem := fmt.Sprintf("%016x", b.s.take())
	out, err := createIndex(b.s.h.opts.disk, b.s.h.dir, stem, estimate, match)
	if err != nil {
		return nil, err
	}
	b.out = out
	if err := b.merge(ctx); err != nil {
		out.abandon()
		return nil, err
	}
	return out.finish()
}

func (b *indexBuild) merge(ctx context.Context) error {
	if b.shared != nil {
		b.flag = b.shared.cursor()
		b.more = b.flag.next()
	}
	rows := b.newRows()
	var group []slotRow
	for n, more := 0, rows.next(); more; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return fault.Wrap(fault.Cancelled, ctx.Err(), "publishing the ledger")
		}
		h := rows.hash()
		b.copyTo(h)
		group = group[:0]
		for ; more && rows.hash() == h; more = rows.next() {
			if len(group) > 0 && bytes.Equal(group[len(group)-1].key, rows.key()) {
				continue // an older row of the same key
			}
			var spare []byte // of a row of an earlier group
			if n := len(group); n < cap(group) {
				spare = group[:n+1][n].key[:0]
			}
			r, err := b.fromSegment(rows, spare)
			if err != nil {
				return err
			}
			group = append(group, r)
		}
		if err := b.emit(h, group); err != nil {
			return err
		}
	}
	if err := rows.err(); err != nil {
		return err
	}
	b.copyTo(1<<64 - 1)
	if b.slot < b.base.rows() { // the largest hash there is
		return b.emit(1<<64-1, nil)
	}
	return nil
}

// copyTo copies the base's slots with hashes below h.
func (b *indexBuild) copyTo(h uint64) {
	x := b.base
	for ; b.slot < x.rows(); b.slot++ {
		hash := x.hash(b.slot)
		if hash >= h {
			return
		}
		b.add(hash, b.fromBase(b.slot))
	}
}

func (b *indexBuild) fromBase(i int) slotRow {
	f := b.base.flags.data[i]
	return slotRow{stored: b.base.stored(i), flags: f&flagSpecial | b.renumber[f&^flagSpecial], match: b.base.matchHash(i)}
}

// fromSegment gives the row the merge stands on; its key is written to the memory of key.
func (b *indexBuild) fromSegment(rows *merge, key []byte) (r slotRow, err error) {
	seg := b.segments[rows.source()]
	var e ledger.Entry
	head := rows.head()
	r.key = append(key, rows.key()...)
	if r.dead = head[entryHead-1]&tombstone != 0; r.dead {
		return r, nil
	}
	if seg.ref.Matches {
		p, err := rows.payload()
		if err != nil {
			return r, err
		}
		d := decoder{packed.Reader{B: p}}
		_, id := entryMatch(&d, nil)
		if d.Bad {
			return r, corrupt(seg.path, "an entry cannot be read")
		}
		if id != nil {
			r.match = matchHash(identity(b.s.base.Meta.Seed, id))
		}
	}
	readEntryHead(&e, head)
	r.stored, r.flags = e.Fingerprint, b.renumber[seg.ref.Number]
	if special(e.State) {
		r.stored, r.flags = ^r.stored, r.flags|flagSpecial
	}
	return r, nil
}

// emit writes the slots of one hash: the new rows, and those of the base they do not replace. Keys decide, not hashes.
func (b *indexBuild) emit(h uint64, group []slotRow) error {
	from, to := b.slot, b.slot
	if from < b.base.rows() {
		to = b.base.group(from, h)
	}
	if from < to {
		old, err := b.load.at(h, from, to)
		if err != nil {
			return err
		}
		for i := range old {
			at, found := slices.BinarySearchFunc(group, old[i].key, func(r slotRow, key []byte) int { return bytes.Compare(r.key, key) })
			if !found {
				r := b.fromBase(old[i].slot)
				r.key = bytes.Clone(old[i].key)
				group = slices.Insert(group, at, r)
			}
		}
		b.slot = to
	}
	for _, r := range group {
		if !r.dead {
			b.add(h, r)
		}
	}
	return nil
}

func (b *indexBuild) add(h uint64, r slotRow) {
	for b.more && b.flag.hash() < h {
		b.more = b.flag.next()
	}
	if b.more && b.flag.hash() == h && r.flags&flagSpecial == 0 {
		r.stored, r.flags = ^r.stored, r.flags|flagSpecial
	}
	b.out.add(h, r.stored, r.flags, r.match)
}
