package local

import (
	"context"
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
	meta.LastRun, meta.LastRunAt = s.run, now
	meta.Publish(pub)
	if pub.NewGeneration && !s.base.Fresh && s.base.Meta.Version > 0 {
		meta.Generation++
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
	m := &manifest{Format: Format, Canon: s.base.Canon, Meta: meta, Segments: s.base.Segments, Index: s.base.Index}
	m.Meta.Version++
	m.History = retire(remember(s.base.History, s.run, now, s.hist), s.h.opts, now)
	if renew || len(s.segs) > 0 {
		if err := s.rebuild(ctx, m, renew); err != nil {
			return s.fail(err)
		}
	}
	m.Next = s.next.Load()
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
	// A first load stays as it was written, unless it is very large: what merging saves comes later, what it costs is now.
	first := len(m.Segments) == 0 && len(all) <= 2*sessionSegments
	if from, to := pick(all, garbage, s.base.Meta.Rows); to > from && !first {
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
