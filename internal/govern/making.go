package govern

import (
	"slices"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

// Making is what a sync's fields were made of when a run began. It is kept with the run, so that a policy of a later day can be
// judged on values the run sent.
type Making struct {
	Model  string              `json:"model"`
	Fields map[string][]Origin `json:"fields"` // by destination field, those of the match included; empty = of no column
}

// Origin is a column of the model, with the tags it had.
type Origin struct {
	Column string   `json:"column"`
	Tags   []string `json:"tags,omitempty"`
}

// MakingOf gives what a sync's fields are made of now.
func MakingOf(p *project.Project, s *project.Sync) *Making {
	m := p.Models[s.Model]
	out := &Making{Model: m.Name, Fields: map[string][]Origin{}}
	add := func(field string, columns ...string) {
		list := []Origin{}
		for _, c := range columns {
			list = append(list, Origin{c, m.Columns[c].Tags})
		}
		out.Fields[field] = list
	}
	for _, f := range s.Fields {
		add(f.Field, inputs(f, m)...)
	}
	for _, f := range matched(s, m) {
		add(f.Field, f.Column)
	}
	return out
}

// Restricted reports whether any policy keeps anything from a sync's destination.
func Restricted(p *project.Project, s *project.Sync) bool {
	return slices.ContainsFunc(p.Policies, func(pol *project.Policy) bool {
		return restricts(pol) && applies(pol, p.Destinations[s.Destination], s)
	})
}

// Keeps says why today's policies keep a value from a field that was not made today: by one of these, where nil is one nobody
// knows. It gives nil where no policy does. What cannot be told is kept: of columns nobody knows, and by tags of a column that
// the project no longer speaks of.
func Keeps(p *project.Project, s *project.Sync, field string, made []*Making) *fault.Error {
	to := s.Destination + "." + field
	for _, pol := range p.Policies {
		if !restricts(pol) || !applies(pol, p.Destinations[s.Destination], s) || !reaches(pol, field) {
			continue
		}
		for _, m := range made {
			if m == nil {
				return fault.New(fault.PolicyDenied, "policy %s may keep what was in %s from it: which column that came from is not on record", pol.Name, to).
					At(pol.Where).WithFix("say in the policy which `fields` it is about, or write the values with a run")
			}
			for _, o := range m.Fields[field] {
				if picked, told := picksThen(pol, p, s, m.Model, o); picked {
					return fault.New(fault.PolicyDenied, "policy %s keeps column %s of %s, which was in %s, from it", pol.Name, o.Column, m.Model, to).
						At(pol.Where).WithFix("change the policy, or write other values with a run")
				} else if !told {
					return fault.New(fault.PolicyDenied, "policy %s may keep column %s of %s, which was in %s, from it: the project no longer says what tags the column has", pol.Name, o.Column, m.Model, to).
						At(pol.Where).WithFix("name column %s under `columns` of model %s with its tags", o.Column, m.Model)
				}
			}
		}
	}
	return nil
}

// picksThen reports whether a policy is about a column as it was or as it is; told is false when only its tags of today could tell
// and the project has none: it neither describes the column nor maps it.
func picksThen(pol *project.Policy, p *project.Project, s *project.Sync, model string, o Origin) (picked, told bool) {
	then := &project.Model{Name: model, Columns: map[string]project.Column{o.Column: {Tags: o.Tags}}}
	if picks(pol, then, o.Column) {
		return true, true
	}
	if len(pol.ColumnTags) == 0 || len(pol.Models) > 0 && !slices.Contains(pol.Models, model) {
		return false, true
	}
	now, ok := p.Models[model]
	if !ok {
		return false, false
	}
	_, described := now.Columns[o.Column]
	return picks(pol, now, o.Column), described || model == s.Model && mapsColumn(p, s, o.Column)
}

// mapsColumn reports whether a column is part of a sync's mapping.
func mapsColumn(p *project.Project, s *project.Sync, column string) bool {
	m := p.Models[s.Model]
	return slices.ContainsFunc(s.Fields, func(f project.Field) bool { return slices.Contains(inputs(f, m), column) }) ||
		slices.ContainsFunc(matched(s, m), func(f project.MatchField) bool { return f.Column == column })
}
