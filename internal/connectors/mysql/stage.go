package mysql

import (
	"context"
	"slices"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// staged is a load that is filled over time. Its rows are in a temporary table nobody else sees.
type staged struct {
	*load
	back func(error)
	err  error
	done bool // committed, or tried to
	over bool
}

// Stage opens a load on a session of its own.
func (d *destination) Stage(ctx context.Context, to connector.Target) (connector.Stage, error) {
	c, back, err := d.session(ctx)
	if err != nil {
		return nil, err
	}
	l, err := d.newLoad(ctx, c, to)
	if err != nil {
		back(err)
		return nil, err
	}
	return &staged{load: l, back: back}, nil
}

// Write puts rows aside.
func (s *staged) Write(ctx context.Context, rows *row.Batch) error {
	err := s.put(ctx, rows, func(i int) uint64 { return rows.Meta(i).Ordinal })
	if err != nil {
		s.err = err
	}
	return err
}

// Commit applies the rows that are not excluded, in one transaction.
func (s *staged) Commit(ctx context.Context, exclude map[uint64]bool, settle func(uint64, connector.Result)) error {
	err := s.finish(ctx, exclude, settle)
	if err != nil {
		s.err = err
	}
	return err
}

func (s *staged) finish(ctx context.Context, exclude map[uint64]bool, settle func(uint64, connector.Result)) error {
	switch {
	case s.err != nil:
		return s.err
	case s.done || s.over:
		return fault.New(fault.Internal, "this load has ended").NotLanded()
	}
	s.done = true
	out := make([]uint64, 0, len(exclude))
	for o, yes := range exclude {
		if yes {
			out = append(out, o)
			delete(s.refused, o)
		}
	}
	slices.Sort(out)
	if err := s.remove(ctx, out); err != nil {
		return s.d.destFault(ctx, err, "leaving out rows").NotLanded()
	}
	s.spans = disjoint(s.spans)
	if err := s.commit(ctx); err != nil {
		return err
	}
	return s.results(ctx, settle)
}

// Abort drops the temporary table and gives the session back.
func (s *staged) Abort(ctx context.Context) error {
	if s.over {
		return nil
	}
	s.over = true
	if s.err == nil {
		s.drop(ctx)
	}
	s.back(s.err)
	return nil
}

// disjoint orders spans and joins those that overlap: rows may arrive in any order.
func disjoint(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int {
		switch {
		case a.low < b.low:
			return -1
		case a.low > b.low:
			return 1
		}
		return 0
	})
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && s.low <= out[n-1].high {
			out[n-1].high = max(out[n-1].high, s.high)
			continue
		}
		out = append(out, s)
	}
	return out
}
