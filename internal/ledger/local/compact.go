package local

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"github.com/upwelldata/upwell/internal/fault"
)

const (
	compactFew   = 8         // segments of like size become one
	compactSmall = 4 << 20   // a ledger this small is kept in few segments
	compactBytes = 128 << 20 // what one publication merges at most, unless too much is dead
	compactMany  = 100       // segments are merged whatever their size
)

// pick chooses the segments [from, to) to be merged, none when to == from. garbage counts superseded rows, live those in force.
func pick(segs []segmentRef, garbage, live int64) (from, to int) {
	n := len(segs)
	total := int64(0)
	for _, s := range segs {
		total += s.Bytes
	}
	if n > 1 && garbage > max(live/2, 20_000) || n > 4 && total < compactSmall {
		return 0, n
	}
	sum := int64(0)
	for from = n; from > 0; from-- {
		b := segs[from-1].Bytes
		if from < n && (b > 2*sum || sum+b > compactBytes) {
			break
		}
		sum += b
	}
	if n-from >= compactFew {
		return from, n
	}
	if n > compactMany {
		return n - compactMany/2, n
	}
	return n, n
}

// compact merges segments that follow each other in age into one. bottom: nothing older exists, so tombstones can go.
func (s *session) compact(ctx context.Context, refs, all []segmentRef, bottom bool) (segmentRef, error) {
	rows := newMerge(newFirst)
	var open []*segment
	defer func() {
		for _, seg := range open {
			seg.close()
		}
	}()
	// Cursors are added from old to new; of equal keys the merge gives that of the newest first.
	var out segmentRef
	for _, ref := range refs {
		seg, err := openSegment(s.h.dir, ref)
		if err != nil {
			return out, err
		}
		open = append(open, seg)
		rows.add(seg.cursor(s.base.Meta.Seed))
		out.Matches = out.Matches || ref.Matches
	}
	path := filepath.Join(s.h.dir, fmt.Sprintf("%016x.seg", s.take()))
	w, err := createTable(s.h.opts.disk, path, kindEntries)
	if err != nil {
		return out, err
	}
	l, err := mergeRows(ctx, w, rows, open, bottom, nil)
	if err != nil {
		w.out.abandon()
		return out, err
	}
	if out.fileRef, err = w.finish(l.encode(nil, 0)); err != nil {
		return out, err
	}
	used := [maxSegments + 1]bool{}
	for _, r := range all {
		used[r.Number] = true
	}
	for used[out.Number] {
		out.Number++
	}
	if out.Number >= maxSegments {
		return out, fault.New(fault.Internal, "the ledger has more than %d segments", maxSegments)
	}
	return out, nil
}

// mergeRows writes the newest row of every key; those that skip names are left out as if they were not there.
func mergeRows(ctx context.Context, w *tableWriter, rows *merge, from []*segment, bottom bool, skip func(source int, hash uint64) bool) (*lists, error) {
	l := &lists{}
	var last, buf []byte
	for n := 0; rows.next(); n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, fault.Wrap(fault.Cancelled, ctx.Err(), "merging segments of the ledger")
		}
		if n > 0 && bytes.Equal(last, rows.key()) || skip != nil && skip(rows.source(), rows.hash()) {
			continue
		}
		last = append(last[:0], rows.key()...)
		if rows.head()[entryHead-1]&tombstone != 0 {
			if !bottom {
				w.add(rows.hash(), last, rows.head(), nil)
			}
			continue
		}
		p, err := rows.payload()
		if err != nil {
			return nil, err
		}
		seg := from[rows.source()]
		if buf, err = relist(buf[:0], p, seg.lists, l); err != nil {
			return nil, corrupt(seg.path, "an entry cannot be read")
		}
		w.add(rows.hash(), last, rows.head(), buf)
	}
	return l, rows.err()
}
