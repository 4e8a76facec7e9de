package project

import (
	"maps"
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
)

// Order gives the syncs named in dependency order: a sync stands behind those it runs after, as far as they are named too;
// otherwise by name. No names means all syncs. It answers a fault when a name is unknown or dependencies form a cycle.
func (p *Project) Order(names []string) ([]*Sync, error) {
	if len(names) == 0 {
		names = slices.Collect(maps.Keys(p.Syncs))
	}
	wanted := map[string]bool{}
	for _, n := range names {
		if p.Syncs[n] == nil {
			return nil, NoSuch("sync", n, slices.Sorted(maps.Keys(p.Syncs)))
		}
		wanted[n] = true
	}
	var out []*Sync
	done := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		s := p.Syncs[name]
		if s == nil || done[name] {
			return
		}
		done[name] = true
		// A parent that is not named itself still orders those behind it.
		for _, parent := range slices.Sorted(slices.Values(s.Schedule.After)) {
			visit(parent)
		}
		if wanted[name] {
			out = append(out, s)
		}
	}
	sorted := slices.Sorted(maps.Keys(wanted))
	for _, n := range sorted {
		if cycle := findCycle(p.Syncs, n); cycle != nil {
			return nil, cycleFault(p.Syncs, cycle)
		}
	}
	for _, n := range sorted {
		visit(n)
	}
	return out, nil
}

// NoSuch is the fault of a name that is asked for and not there; known are the names there are, sorted.
func NoSuch(kind, name string, known []string) *fault.Error {
	f := fault.New(fault.NotFound, "looking for %s %s: there is none", kind, tick(name))
	switch near := Suggest(name, known); {
	case near != "":
		f.WithFix("did you mean `%s`?", near)
	case len(known) == 0:
		f.WithFix("the project defines no %s", kind)
	case len(known) <= 10:
		f.WithFix("use one of %s", words(known))
	}
	return f
}

// findCycle gives the syncs of a cycle that start depends on, in order, or nil.
func findCycle(syncs map[string]*Sync, start string) []string {
	const open, closed = 1, 2
	state := map[string]int{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		s := syncs[name]
		switch {
		case s == nil || state[name] == closed:
			return nil
		case state[name] == open:
			return slices.Clone(path[slices.Index(path, name):])
		}
		state[name] = open
		path = append(path, name)
		for _, parent := range s.Schedule.After {
			if cycle := visit(parent); cycle != nil {
				return cycle
			}
		}
		path = path[:len(path)-1]
		state[name] = closed
		return nil
	}
	return visit(start)
}

// cycleFault names a cycle beginning with its first sync by name.
func cycleFault(syncs map[string]*Sync, cycle []string) *fault.Error {
	i := slices.Index(cycle, slices.Min(cycle))
	cycle = append(slices.Clone(cycle[i:]), cycle[:i]...)
	shown := strings.Join(append(slices.Clone(cycle), cycle[0]), " after ")
	return fault.New(fault.ProjectReference, "ordering syncs: %s is a cycle", shown).At(syncs[cycle[0]].Where).
		WithFix("take one `after` out of the cycle")
}
