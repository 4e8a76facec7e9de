package govern

import (
	"maps"
	"slices"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/mapping"
	"github.com/upwelldata/upwell/internal/project"
)

// Deny gives a fault per field that a policy keeps from a sync's destination. Policies are judged on definitions, so nothing is
// read before. Effects this version does not carry out (mask, hash, require_approval, conditions in CEL) hold the sync as a
// denial would: a rule that is not enforced must not look enforced.
func Deny(p *project.Project, s *project.Sync) fault.List {
	var out fault.List
	dest, model := p.Destinations[s.Destination], p.Models[s.Model]
	for _, pol := range p.Policies {
		if !applies(pol, dest, s) {
			continue
		}
		for _, f := range s.Fields {
			for _, col := range inputs(f, model) {
				if !picks(pol, model, col) || len(pol.Fields) > 0 && !slices.Contains(pol.Fields, f.Field) {
					continue
				}
				if fl := verdict(pol, f, col, s); fl != nil {
					out = append(out, fl)
				}
			}
		}
		for _, m := range s.Match {
			if picks(pol, model, m.Column) && (len(pol.Fields) == 0 || slices.Contains(pol.Fields, m.Field)) {
				if fl := verdict(pol, project.Field{Field: m.Field, Where: m.Where}, m.Column, s); fl != nil {
					out = append(out, fl)
				}
			}
		}
	}
	return out
}

func applies(p *project.Policy, dest *project.Connection, s *project.Sync) bool {
	named := len(p.Destinations) == 0 || slices.Contains(p.Destinations, dest.Name)
	tagged := len(p.DestTags) == 0 || slices.ContainsFunc(p.DestTags, func(t string) bool { return slices.Contains(dest.Tags, t) })
	object := len(p.Objects) == 0 || slices.Contains(p.Objects, s.Object)
	return named && tagged && object
}

// inputs are the model columns a field is made of. An expression that cannot be read stands for every column the project speaks of.
func inputs(f project.Field, m *project.Model) []string {
	switch {
	case f.Column != "":
		return []string{f.Column}
	case f.Lookup != nil:
		var out []string
		for _, b := range f.Lookup.By {
			out = append(out, b.Column)
		}
		return out
	case f.CEL != "":
		cols, err := mapping.ColumnsOf(f.CEL)
		if err != nil {
			return slices.Sorted(maps.Keys(m.Columns))
		}
		return cols
	}
	return nil
}

// picks reports whether a policy is about a column of a model.
func picks(p *project.Policy, m *project.Model, column string) bool {
	if len(p.Models) > 0 && !slices.Contains(p.Models, m.Name) {
		return false
	}
	if len(p.Columns) == 0 && len(p.ColumnTags) == 0 {
		return true
	}
	if slices.Contains(p.Columns, column) {
		return true
	}
	tags := m.Columns[column].Tags
	return slices.ContainsFunc(p.ColumnTags, func(t string) bool { return slices.Contains(tags, t) })
}

func verdict(p *project.Policy, f project.Field, column string, s *project.Sync) *fault.Error {
	switch p.Effect {
	case "allow":
		if p.When == "" {
			return nil
		}
	case "deny":
		if p.When == "" {
			return fault.New(fault.PolicyDenied, "policy %s keeps column %s from %s.%s", p.Name, column, s.Destination, f.Field).At(f.Where).
				WithFix("remove the field from the mapping, or change the policy")
		}
	}
	return fault.New(fault.PolicyDenied, "policy %s concerns column %s, and this version enforces deny without `when` only", p.Name, column).At(f.Where).
		WithFix("deny the column outright, or remove the policy; nothing is sent while it cannot be enforced")
}
