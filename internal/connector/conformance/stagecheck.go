package conformance

import (
	"maps"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

func stageChecks() []check {
	return []check{
		{name: "stage: nothing is visible before commit", run: stageUnseen},
		{name: "stage: excluded rows are left out", run: stageExcludes},
		{name: "stage: abort leaves nothing", run: stageAborts},
		{name: "stage: a refused row does not sink the rest", run: stageRefuses},
		{name: "stage: commit works once", run: stageOnce},
		{name: "stage: an empty stage commits", run: stageEmpty},
		{name: "stage: every kind arrives exactly or is refused", run: stageCarries},
	}
}

// staged is a stage with what Commit reported.
type staged struct {
	connector.Stage
	s       *stand
	results map[uint64]connector.Result
}

// stage puts records aside in two writes.
func (s *stand) stage(records []Record) *staged {
	s.Helper()
	st, ok := s.dest.(connector.Stager)
	if !ok {
		s.Skip("the tool cannot stage")
	}
	to, b := s.batch(s.creating(), records)
	one, err := st.Stage(s.Context(), to)
	if err != nil {
		s.Fatalf("staging: %v", err)
	}
	s.Cleanup(func() {
		if err := one.Abort(s.Context()); err != nil {
			s.Errorf("aborting at the end: %v", err)
		}
	})
	for _, part := range []*row.Batch{b.Slice(0, len(records)/2), b.Slice(len(records)/2, len(records))} {
		if err := one.Write(s.Context(), part); err != nil {
			s.Fatalf("staging rows: %v", err)
		}
	}
	return &staged{one, s, map[uint64]connector.Result{}}
}

func (g *staged) commit(exclude map[uint64]bool) error {
	err := g.Commit(g.s.Context(), exclude, func(ordinal uint64, r connector.Result) {
		if _, twice := g.results[ordinal]; twice {
			g.s.Errorf("row %d was settled twice", ordinal)
		}
		g.results[ordinal] = r
	})
	g.s.hear(err)
	return err
}

func (s *stand) three() []Record {
	field, a, b := s.some()
	return []Record{s.record(0, Record{field: a}), s.record(1, Record{field: b}), s.record(2, Record{field: a})}
}

func stageUnseen(s *stand) {
	records := s.three()
	g := s.stage(records)
	if got := s.world.Records(); len(got) != 0 {
		s.Errorf("before the commit the tool holds %v", got)
	}
	if err := g.commit(nil); err != nil {
		s.Fatal(err)
	}
	for i := range records {
		if r := g.results[uint64(i)]; r.Status != connector.Delivered {
			s.Errorf("row %d: %+v; want delivered", i, r)
		}
	}
	s.holds(records...)
}

func stageExcludes(s *stand) {
	records := s.three()
	g := s.stage(records)
	if err := g.commit(map[uint64]bool{1: true}); err != nil {
		s.Fatal(err)
	}
	if r, spoken := g.results[1]; spoken && r.Status == connector.Delivered {
		s.Errorf("the excluded row is reported %+v", r)
	}
	s.holds(records[0], records[2])
}

func stageAborts(s *stand) {
	g := s.stage(s.three())
	for range 2 {
		if err := g.Abort(s.Context()); err != nil {
			s.Errorf("aborting: %v", err)
		}
	}
	if err := g.commit(nil); err == nil {
		s.Error("a stage was committed after it was aborted")
	}
	s.holds()
	field, a, _ := s.some()
	s.write(s.creating(), s.record(0, Record{field: a})) // the way is free
	s.holds(s.record(0, Record{field: a}))
}

func stageRefuses(s *stand) {
	bad := func(i, _ int) bool { return i == 2 }
	records, good := s.withBad(5, bad)
	g := s.stage(records)
	if err := g.commit(nil); err != nil {
		s.Fatal(err)
	}
	results := make([]connector.Result, len(records))
	for i := range results {
		results[i] = g.results[uint64(i)]
	}
	s.judgeBad(records, good, results, bad)
}

func stageOnce(s *stand) {
	records := s.three()
	g := s.stage(records)
	if err := g.commit(nil); err != nil {
		s.Fatal(err)
	}
	before := maps.Clone(g.results)
	if err := g.commit(nil); err == nil {
		s.Error("a stage was committed twice without an error")
	}
	if len(g.results) != len(before) {
		s.Error("the second commit spoke of further rows")
	}
	if err := g.Abort(s.Context()); err != nil {
		s.Errorf("aborting after the commit: %v", err)
	}
	s.holds(records...)
}

func stageEmpty(s *stand) {
	st, ok := s.dest.(connector.Stager)
	if !ok {
		s.Skip("the tool cannot stage")
	}
	to, _ := s.batch(s.creating(), s.three())
	one, err := st.Stage(s.Context(), to)
	if err != nil {
		s.Fatal(err)
	}
	g := &staged{one, s, map[uint64]connector.Result{}}
	if err := g.commit(nil); err != nil || len(g.results) != 0 {
		s.Errorf("committing nothing: %v, %v", g.results, err)
	}
	if err := g.Abort(s.Context()); err != nil {
		s.Error(err)
	}
	s.holds()
}

// stageCarries repeats the value checks on the staged way, whose encoding is another one.
func stageCarries(s *stand) {
	var records []Record
	var fields []string
	for _, k := range kinds {
		for _, v := range samples(k) {
			if name, ok := s.h.Fields[k]; ok && (s.h.Filter == nil || s.h.Filter(v)) && v.Kind() == k {
				records, fields = append(records, s.record(len(records), Record{name: v})), append(fields, name)
			}
		}
	}
	g := s.stage(records)
	if err := g.commit(nil); err != nil {
		s.Fatal(err)
	}
	stored := map[string]Record{}
	for _, r := range s.world.Records() {
		stored[r[s.h.Match].String()] = r
	}
	for i, name := range fields {
		want, r := records[i][name], g.results[uint64(i)]
		got, there := stored[s.key(i).String()]
		switch {
		case r.Status == connector.Delivered && (!there || !Same(want, got[name]) && len(r.Warnings) == 0):
			s.Errorf("%s was staged and arrived as %s, and nobody was told", show(want), show(got[name]))
		case r.Status == connector.Rejected && there:
			s.Errorf("%s was refused and is in the tool", show(want))
		case r.Status != connector.Delivered && r.Status != connector.Rejected:
			s.Errorf("%s: %+v; want delivered or rejected", show(want), r)
		}
	}
}
