package conformance

import (
	"errors"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func fillChecks() []check {
	return []check{
		{name: "fill: nothing is visible before commit", run: fillUnseen},
		{name: "fill: abort leaves nothing", run: fillAborts},
		{name: "fill: a bad row loses the load and leaves nothing", run: fillRefuses},
		{name: "fill: rows that are one record lose the load and leave nothing", run: fillRepeats},
		{name: "fill: rows that are to be left out lose the load", run: fillExcludes},
		{name: "fill: an object that holds a record is not filled", run: fillOccupied},
		{name: "fill: every kind arrives exactly, is refused or loses the load", run: fillCarries},
	}
}

// fill begins to put records where they belong; nil when the connector says that they must go another way.
func (s *stand) fill(records []Record) (*staged, *row.Batch) {
	s.Helper()
	f, ok := s.dest.(connector.Filler)
	if !ok {
		s.Skip("the tool fills nothing in place")
	}
	to, b := s.batch(s.creating(), records)
	if to.Op == connector.OpAppend {
		s.Skip("events are not filled in")
	}
	one, err := f.Fill(s.Context(), to)
	if err != nil {
		s.Fatalf("beginning to fill: %v", err)
	}
	if one == nil {
		return nil, b
	}
	s.Cleanup(func() {
		if err := one.Abort(s.Context()); err != nil {
			s.Errorf("aborting at the end: %v", err)
		}
	})
	return &staged{one, s, map[uint64]connector.Result{}}, b
}

// filling fills an empty object with records in two writes. What a write says is the load's end.
func (s *stand) filling(records []Record) (*staged, error) {
	s.Helper()
	g, b := s.fill(records)
	if g == nil {
		s.Fatal("an empty object is not filled; the harness should name an object and fields that can be")
	}
	half := (len(records) + 1) / 2
	for _, part := range []*row.Batch{b.Slice(0, half), b.Slice(half, len(records))} {
		if err := g.Write(s.Context(), part); err != nil {
			s.hear(err)
			return g, err
		}
	}
	return g, nil
}

// lost fails unless a load ended as one that has to be staged anew: nothing is in the tool, and no row is spoken for.
func (g *staged) lost(err error) {
	g.s.Helper()
	if !errors.Is(err, connector.ErrStageLost) {
		g.s.Errorf("got %v; want an error that wraps ErrStageLost", err)
	} else if fault.As(err).Landed != fault.LandedNo {
		g.s.Errorf("the load may have landed: %v", err)
	}
	if len(g.results) > 0 {
		g.s.Errorf("rows of a lost load were settled: %v", g.results)
	}
	if err := g.Abort(g.s.Context()); err != nil {
		g.s.Errorf("aborting a lost load: %v", err)
	}
	g.s.holds()
}

func fillUnseen(s *stand) {
	records := s.three()
	g, err := s.filling(records)
	if err != nil {
		s.Fatalf("filling: %v", err)
	}
	if got := s.world.Records(); len(got) != 0 {
		s.Errorf("before the commit the tool holds %v", got)
	}
	if err := g.commit(nil); err != nil {
		s.Fatal(err)
	}
	for i := range records {
		if r := g.results[uint64(i)]; r.Status != connector.Delivered || r.Created == connector.No {
			s.Errorf("row %d: %+v; want delivered, and new", i, r)
		}
	}
	s.holds(records...)
}

func fillAborts(s *stand) {
	g, err := s.filling(s.three())
	if err != nil {
		s.Fatalf("filling: %v", err)
	}
	for range 2 {
		if err := g.Abort(s.Context()); err != nil {
			s.Errorf("aborting: %v", err)
		}
	}
	if err := g.commit(nil); err == nil {
		s.Error("a load was committed after it was aborted")
	}
	s.holds()
	if again, _ := s.fill(s.three()); again == nil { // the way is free
		s.Error("the object is empty and is not filled after a load was aborted")
	}
}

func fillRefuses(s *stand) {
	for at := range 3 { // the row in trouble comes first, in the middle and last
		bad := func(i, _ int) bool { return i == at }
		records, _ := s.withBad(3, bad)
		g, err := s.filling(records)
		if err == nil {
			err = g.commit(nil)
		}
		g.lost(err)
	}
	bad := func(i, _ int) bool { return i == 1 }
	records, good := s.withBad(3, bad)
	g := s.stage(records) // as the engine does then
	if err := g.commit(nil); err != nil {
		s.Fatal(err)
	}
	s.judgeBad(records, good, []connector.Result{g.results[0], g.results[1], g.results[2]}, bad)
}

func fillRepeats(s *stand) {
	records := s.three()
	records[2][s.h.Match] = records[0][s.h.Match]
	g, err := s.filling(records)
	if err == nil {
		err = g.commit(nil)
	}
	g.lost(err)
}

func fillExcludes(s *stand) {
	g, err := s.filling(s.three())
	if err == nil {
		err = g.commit(map[uint64]bool{1: true})
	}
	g.lost(err)
}

func fillOccupied(s *stand) {
	field, a, _ := s.some()
	if g, _ := s.fill(s.three()); g == nil {
		s.Fatal("an empty object is not filled")
	} else if err := g.Abort(s.Context()); err != nil {
		s.Fatal(err)
	}
	there := s.record(9, Record{field: a})
	s.seed(there)
	if g, _ := s.fill(s.three()); g != nil {
		s.Error("an object that holds a record is to be filled")
	}
	s.holds(there)
}

// fillCarries fills the object with one value after the other: its encoding is a third one, beside those of writes and stages.
func fillCarries(s *stand) {
	if s.need(connector.OpDelete); len(s.object.NeedsRemoteID) > 0 {
		s.Skip("the object cannot be emptied by match")
	}
	for _, k := range kinds {
		name, ok := s.h.Fields[k]
		if !ok {
			continue
		}
		for _, v := range samples(k) {
			if v.Kind() != k || s.h.Filter != nil && !s.h.Filter(v) {
				continue
			}
			if !s.fillsWith(name, v) {
				break // values of this kind are cast
			}
		}
	}
}

// fillsWith fills the empty object with one value, looks at it and takes it away again. false: the connector fills no such field.
func (s *stand) fillsWith(name string, v row.Value) bool {
	s.Helper()
	one := s.record(0, Record{name: v})
	g, b := s.fill([]Record{one})
	if g == nil {
		return false
	}
	err := g.Write(s.Context(), b)
	if err == nil {
		err = g.commit(nil)
	}
	if err != nil {
		g.lost(err)
		return true
	}
	got, r := s.world.Records(), g.results[0]
	switch {
	case r.Status == connector.Rejected && r.Code != "" && len(got) == 0: // the connector saw that it cannot send it
		return true
	case r.Status != connector.Delivered || len(got) != 1 || !Same(v, got[0][name]) && len(r.Warnings) == 0:
		s.Errorf("%s was filled in, the result is %+v and the tool holds %v", show(v), r, got)
	}
	s.write(connector.OpDelete, Record{s.h.Match: one[s.h.Match]})
	return true
}
