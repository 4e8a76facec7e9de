package local

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

// mend publishes the state again without what is damaged, under its version, so that the log of an interrupted session still
// fits it.
func (i *inspection) mend(ctx context.Context) error {
	m := *i.m
	next, err := nextNumber(i.h.dir, i.m)
	if err != nil {
		return err
	}
	s := &session{h: i.h, base: i.m}
	s.next.Store(next)
	index, segments := i.m.Index == nil && len(m.Segments) > 0, false
	for _, ref := range i.m.Index.files() {
		if err := i.bad[ref.Name]; err != nil {
			index = true
			i.report(ref.Name, err, true, "")
		}
	}
	for _, seg := range m.Segments {
		segments = segments || i.bad[seg.Name] != nil
	}
	if segments {
		i.forgot = true
		if err := i.salvage(ctx, s, &m); err != nil {
			return err
		}
	}
	if index || segments {
		if err := s.reindex(ctx, &m); err != nil {
			return err
		}
	}
	for n := len(m.History) - 1; n >= 0; n-- {
		broken := slices.IndexFunc(m.History[n].Files, func(f fileRef) bool { return i.bad[f.Name] != nil })
		if broken < 0 {
			continue
		}
		// What older changes wrote is told by newer ones, so they go as well.
		name := m.History[n].Files[broken].Name
		i.report(name, i.bad[name], true, i.loss(name))
		m.History = slices.Clone(m.History[n+1:])
		break
	}
	m.Next = s.next.Load()
	if err := m.publish(i.h.opts.disk, i.h.dir); err != nil {
		return err
	}
	i.m = &m
	return nil
}

// reindex builds the index from the segments alone.
func (s *session) reindex(ctx context.Context, m *manifest) error {
	b := &indexBuild{s: s, renew: true, rebuild: true, fresh: m.Segments}
	for i := range b.renumber {
		b.renumber[i] = byte(i)
	}
	defer b.close()
	if err := b.open(ctx); err != nil {
		return err
	}
	var err error
	m.Index, err = b.write(ctx, slices.ContainsFunc(m.Segments, func(r segmentRef) bool { return r.Matches }))
	if err != nil {
		return err
	}
	m.Meta.Rows = m.Index.Slots.Rows
	return nil
}

// hashRange is the hashes from first to last of a block that cannot be read.
type hashRange struct{ first, last uint64 }

// salvage merges the readable blocks of all segments into one. An older entry of a key whose newer one is lost would be a wrong
// one, and nothing would tell: so in the range of a lost block older segments count as lost too.
func (i *inspection) salvage(ctx context.Context, s *session, m *manifest) error {
	var open []*segment
	defer func() {
		for _, seg := range open {
			seg.close()
		}
	}()
	var lost [][]hashRange // of the segments in open and, for those that cannot be opened, of everything
	rows := newMerge(newFirst)
	matches := false
	for _, ref := range m.Segments {
		seg, err := openSegment(i.h.dir, ref)
		if err != nil && !damaged(err) {
			return err
		}
		if err != nil {
			i.report(ref.Name, i.bad[ref.Name], true, fmt.Sprintf("%d entries, and all older ones: their rows count as new and are sent again", ref.Rows))
			for k := range lost {
				lost[k] = append(lost[k], hashRange{0, 1<<64 - 1})
			}
			continue
		}
		open = append(open, seg)
		lost = append(lost, nil)
		if i.bad[ref.Name] != nil {
			ranges, n := seg.readable()
			i.report(ref.Name, i.bad[ref.Name], true, fmt.Sprintf("%d entries, and older ones near them: their rows count as new and are sent again", n))
			for k := range len(lost) - 1 {
				lost[k] = append(lost[k], ranges...)
			}
		}
		rows.add(seg.cursor(i.m.Meta.Seed))
		matches = matches || ref.Matches
	}
	w, err := createTable(i.h.opts.disk, filepath.Join(i.h.dir, fmt.Sprintf("%016x.seg", s.take())), kindEntries)
	if err != nil {
		return err
	}
	l, err := mergeRows(ctx, w, rows, open, true, func(source int, hash uint64) bool {
		return slices.ContainsFunc(lost[source], func(r hashRange) bool { return r.first <= hash && hash <= r.last })
	})
	if err != nil {
		w.out.abandon()
		return err
	}
	ref, err := w.finish(l.encode(nil, 0))
	if err != nil {
		return err
	}
	m.Segments = []segmentRef{{fileRef: ref, Matches: matches}}
	m.Meta.Complete = false
	return nil
}

// readable leaves only the blocks that can be read, and tells the hashes and the number of rows of the others.
func (t *table) readable() (lost []hashRange, rows int) {
	var good []block
	for k, b := range t.blocks {
		_, _, kerr := t.load(b.keys, nil, nil)
		_, _, verr := t.load(b.vals, nil, nil)
		if kerr == nil && verr == nil {
			good = append(good, b)
			continue
		}
		last := uint64(1<<64 - 1)
		if k+1 < len(t.blocks) {
			last = t.blocks[k+1].first
		}
		lost, rows = append(lost, hashRange{b.first, last}), rows+b.rows
	}
	t.blocks = good
	return lost, rows
}
