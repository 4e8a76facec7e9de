package project

import (
	"maps"
	"slices"

	"github.com/upwelldata/upwell/internal/fault"
)

// lint warns of what is allowed and most likely not meant. It runs on projects without faults only.
func (l *loader) lint() {
	used := map[string]map[string]bool{"source": {}, "destination": {}, "model": {}}
	for _, m := range l.p.Models {
		used["source"][m.Source] = true
	}
	for _, s := range l.p.Syncs {
		used["model"][s.Model] = true
		used["destination"][s.Destination] = true
	}
	warn := func(kind, name string, at fault.Where) {
		if !used[kind][name] {
			l.warn(fault.ProjectUnused, at, "checking %s `%s`: nothing uses it", kind, name)
		}
	}
	for name, c := range l.p.Sources {
		warn("source", name, c.Where)
	}
	for name, c := range l.p.Destinations {
		warn("destination", name, c.Where)
	}
	for name, m := range l.p.Models {
		warn("model", name, m.Where)
	}
	for _, s := range l.p.Syncs {
		l.personal(s)
	}
}

// personal hints at columns tagged pii that leave without any policy that speaks of them.
func (l *loader) personal(s *Sync) {
	m := l.p.Models[s.Model]
	leaves := func(column string, at fault.Where) {
		tags := m.Columns[column].Tags
		if slices.Contains(tags, "pii") && !slices.ContainsFunc(l.p.Policies, func(p *Policy) bool { return p.speaksOf(m.Name, column, tags) }) {
			l.warn(fault.ProjectUngoverned, at, "checking sync `%s`: column `%s` is tagged pii and no policy covers it", s.Name, column).
				WithFix("write a policy with column_tags: [pii], `allow` if it may go there")
		}
	}
	for _, f := range s.Match {
		leaves(f.Column, f.Where)
	}
	for _, f := range s.Fields {
		for _, c := range f.Reads() {
			leaves(c, f.Where)
		}
	}
}

// speaksOf reports whether the policy's selector can take the column; an empty selector takes all.
func (p *Policy) speaksOf(model, column string, tags []string) bool {
	if len(p.Columns)+len(p.ColumnTags)+len(p.Models) == 0 {
		return true
	}
	return slices.Contains(p.Columns, column) || slices.Contains(p.Models, model) ||
		slices.ContainsFunc(p.ColumnTags, func(t string) bool { return slices.Contains(tags, t) })
}

// checkOrder reports cycles of schedule.after, each once and at its first sync by name.
func (l *loader) checkOrder() {
	reported := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(l.p.Syncs)) {
		cycle := findCycle(l.p.Syncs, name)
		if cycle == nil || reported[slices.Min(cycle)] {
			continue
		}
		for _, c := range cycle {
			reported[c] = true
		}
		l.faults = append(l.faults, cycleFault(l.p.Syncs, cycle))
	}
}
