package govern

import (
	"maps"
	"slices"
	"strings"

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
		if !restricts(pol) || !applies(pol, dest, s) {
			continue
		}
		for _, f := range s.Fields {
			for _, col := range inputs(f, model) {
				if picks(pol, model, col) && reaches(pol, f.Field) {
					out = append(out, verdict(pol, s, f.Field, col).At(f.Where))
				}
			}
		}
		for _, m := range matched(s, model) {
			if picks(pol, model, m.Column) && reaches(pol, m.Field) {
				out = append(out, verdict(pol, s, m.Field, m.Column).At(m.Where))
			}
		}
	}
	return out
}

// restricts: an allow without condition keeps nothing back.
func restricts(p *project.Policy) bool { return p.Effect != "allow" || p.When != "" }

func applies(p *project.Policy, dest *project.Connection, s *project.Sync) bool {
	named := len(p.Destinations) == 0 || slices.Contains(p.Destinations, dest.Name)
	tagged := len(p.DestTags) == 0 || slices.ContainsFunc(p.DestTags, func(t string) bool { return slices.Contains(dest.Tags, t) })
	object := len(p.Objects) == 0 || slices.Contains(p.Objects, s.Object)
	return named && tagged && object
}

func reaches(p *project.Policy, field string) bool {
	return len(p.Fields) == 0 || slices.Contains(p.Fields, field)
}

// matched are the columns that identify the record in the tool: those of match, or without one the model's key under its own names.
func matched(s *project.Sync, m *project.Model) []project.MatchField {
	if len(s.Match) > 0 {
		return s.Match
	}
	out := make([]project.MatchField, len(m.Key))
	for i, k := range m.Key {
		out[i] = project.MatchField{Field: k, Column: k, Where: s.Where}
	}
	return out
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

// verdict is why a policy keeps a column from a field.
func verdict(p *project.Policy, s *project.Sync, field, column string) *fault.Error {
	to := s.Destination + "." + field
	if p.Effect == "deny" && p.When == "" {
		return fault.New(fault.PolicyDenied, "policy %s keeps column %s from %s", p.Name, column, to).
			WithFix("remove the field from the mapping, or change the policy")
	}
	cannot := map[string]string{
		"mask": "mask it", "hash": "hash it", "require_approval": "ask for approval", "allow": "", "deny": "",
	}[p.Effect]
	if p.When != "" {
		cannot = strings.TrimPrefix(cannot+" or judge `when`", " or ")
	}
	f := fault.New(fault.PolicyDenied, "policy %s (%s) concerns column %s on its way to %s; this version cannot %s, so nothing is sent", p.Name, p.Effect, column, to, cannot)
	if p.Effect == "allow" || p.Effect == "deny" {
		return f.WithFix("narrow the policy with `destinations` instead of `when`, or take the field out of the mapping")
	}
	return f.WithFix("take the field out of the mapping, or compute a %s form in the model", map[string]string{"mask": "masked", "hash": "hashed", "require_approval": "harmless"}[p.Effect])
}
