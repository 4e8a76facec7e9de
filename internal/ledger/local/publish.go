package local

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

func (s *session) Publish(ctx context.Context, pub ledger.Publication) error {
	if err := s.stop(); err != nil {
		return err
	}
	now := s.h.opts.Now().UTC().Truncate(time.Second)
	meta := s.base.Meta
	meta.KeyColumns, meta.KeyKinds, meta.MatchFields = pub.KeyColumns, pub.KeyKinds, pub.MatchFields
	meta.Mapping, meta.LastRun, meta.LastRunAt = pub.Mapping, s.run, now
	if pub.Complete {
		meta.NullKeys, meta.Complete = pub.NullKeys, true
	}
	if pub.NewGeneration && !s.base.Fresh && s.base.Meta.Version > 0 {
		meta.Generation++
	}
	if pub.NewGeneration {
		meta.Complete = pub.Complete
	}
	meta.Fields = union(meta.Fields, s.fields)
	return s.settle(ctx, meta, pub.NewGeneration, now)
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// stop waits until nothing is being written and lets no acknowledgement in any more.
func (s *session) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.leading || s.frozen {
		s.done.Wait()
	}
	switch {
	case s.dead != nil:
		return s.dead
	case s.over:
		return fault.New(fault.Internal, "publishing the ledger twice in one session")
	}
	s.over = true
	return nil
}

// settle makes base and all acknowledgements the published state. With renew nothing of the base is kept but its history.
func (s *session) settle(ctx context.Context, meta ledger.Meta, renew bool, now time.Time) error {
	if !s.table.empty() {
		j := s.job(s.table)
		if err := j.write(); err != nil {
			return s.fail(err)
		}
		s.table = &builder{}
		if j.seg != nil {
			s.segs = append(s.segs, *j.seg)
		}
		if j.hist != nil {
			s.hist = append(s.hist, *j.hist)
		}
	}
	m := &manifest{Format: Format, Canon: s.base.Canon, Meta: meta, Segments: s.base.Segments, Index: s.base.Index, Next: s.next}
	m.Meta.Version++
	m.History = retire(remember(s.base.History, s.run, now, s.hist), s.h.opts, now)
	if renew || len(s.segs) > 0 {
		if err := s.rebuild(ctx, m, renew); err != nil {
			return s.fail(err)
		}
	}
	m.Next = s.next
	if err := m.publish(s.h.opts.disk, s.h.dir); err != nil {
		return s.fail(err)
	}
	return s.clean(m)
}

func (s *session) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.die(err)
}

// clean removes what the new state does not name. What cannot be removed now is removed by the next Begin.
func (s *session) clean(m *manifest) error {
	s.mu.Lock()
	log := s.log
	s.log = nil
	s.mu.Unlock()
	if log != nil {
		discard(log.to)
	}
	_ = s.h.sweep(m) //nolint:errcheck // the state is published; the next Begin sweeps again and reports
	return nil
}

// remember adds a run's files to the history.
func remember(old []historyRef, run string, at time.Time, files []fileRef) []historyRef {
	out := slices.Clone(old)
	if len(files) == 0 {
		return out
	}
	if i := slices.IndexFunc(out, func(h historyRef) bool { return h.Run == run }); i >= 0 {
		files = append(slices.Clone(out[i].Files), files...)
		out = slices.Delete(out, i, i+1)
	}
	return append(out, historyRef{Run: run, At: at, Files: files})
}

// retire lets go of history that is too old; that of the last run always stays.
func retire(h []historyRef, o Options, now time.Time) []historyRef {
	for len(h) > 1 && (len(h) > o.HistoryRuns || now.Sub(h[0].At) > o.HistoryAge) {
		h = h[1:]
	}
	return h
}

// rebuild writes the index of base and new segments, merging segments on the way where there are too many.
func (s *session) rebuild(ctx context.Context, m *manifest, renew bool) error {
	if renew {
		m.Segments, m.Index = nil, nil
	}
	all, fresh, err := numbered(m.Segments, s.segs)
	if err != nil {
		return err
	}
	b := &indexBuild{s: s, renew: renew, fresh: fresh}
	for i := range b.renumber {
		b.renumber[i] = byte(i)
	}
	defer b.close()
	if err := b.open(ctx); err != nil {
		return err
	}
	garbage := -s.base.Meta.Rows
	for _, seg := range m.Segments {
		garbage += seg.Rows
	}
	if from, to := pick(all, garbage, s.base.Meta.Rows); to > from {
		merged, err := s.compact(ctx, all[from:to], all, from == 0)
		if err != nil {
			return err
		}
		for _, seg := range all[from:to] {
			b.renumber[seg.Number] = byte(merged.Number)
		}
		all = slices.Replace(slices.Clone(all), from, to, merged)
	}
	m.Segments = all
	match := slices.ContainsFunc(all, func(r segmentRef) bool { return r.Matches })
	if m.Index, err = b.write(ctx, match); err != nil {
		return err
	}
	m.Meta.Rows = m.Index.Slots.Rows
	return nil
}

// numbered gives new segments numbers that are free.
func numbered(old, add []segmentRef) (all, fresh []segmentRef, err error) {
	used := map[int]bool{}
	for _, s := range old {
		used[s.Number] = true
	}
	n := 0
	for _, s := range add {
		for used[n] {
			n++
		}
		used[n] = true
		s.Number = n
		fresh = append(fresh, s)
	}
	if n >= maxSegments {
		return nil, nil, fault.New(fault.Internal, "the ledger has more than %d segments", maxSegments)
	}
	return append(slices.Clone(old), fresh...), fresh, nil
}

// indexBuild merges the index of the base with the rows of new segments.
type indexBuild struct {
	s        *session
	renew    bool
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
			r, err := b.fromSegment(rows)
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

func (b *indexBuild) fromSegment(rows *merge) (r slotRow, err error) {
	seg := b.segments[rows.source()]
	var e ledger.Entry
	head := rows.head()
	r.key = append(r.key, rows.key()...)
	if r.dead = head[entryHead-1]&tombstone != 0; r.dead {
		return r, nil
	}
	if seg.ref.Matches {
		p, err := rows.payload()
		if err != nil {
			return r, err
		}
		d := decoder{b: p}
		_, id := entryMatch(&d, nil)
		if d.bad {
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
