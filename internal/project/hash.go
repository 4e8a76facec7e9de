package project

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/row"
)

// The hashes are over a canonical document: what does not change what a run does (order in the file, comments, descriptions,
// owners, schedules, guards, tests) does not change them. They are kept in the state and in saved plans: a change of the document's
// form is a change of its version.
const hashVersion = 1

// DefinitionHash covers everything that decides what a run of the sync does: model (query, key, columns), mapping, mode,
// removal, match, filter and the policies that can apply to its destination. It is "" for an unknown sync.
func (p *Project) DefinitionHash(sync string) string {
	s := p.Syncs[sync]
	if s == nil {
		return ""
	}
	doc := definition{
		Version: hashVersion, Sync: s.Name, Destination: s.Destination, Object: s.Object, Mode: string(s.Mode), Removed: string(s.Removed),
		Filter: strings.TrimSpace(s.Filter), SkipExists: s.SkipExists, CreateOnMove: s.CreateOnMove, AtMostOnce: s.AtMostOnce,
		Baseline: s.Baseline, IgnoreRemapping: s.IgnoreRemapping, Mapping: mappingOf(s),
	}
	if d := p.Destinations[s.Destination]; d != nil {
		doc.DestinationType, doc.DestinationTags = d.Type, sorted(d.Tags)
		for _, pol := range p.Policies {
			if pol.reaches(d, s) {
				doc.Policies = append(doc.Policies, policyOf(pol))
			}
		}
		slices.SortFunc(doc.Policies, func(a, b policyDoc) int { return cmp.Compare(a.Name, b.Name) })
	}
	if m := p.Models[s.Model]; m != nil {
		doc.Model = modelOf(p, m)
	}
	return digest(doc)
}

// MappingHash covers the fields and the match of the sync: what decides how a model row becomes a record.
func (p *Project) MappingHash(sync string) string {
	s := p.Syncs[sync]
	if s == nil {
		return ""
	}
	return digest(mappingOf(s))
}

// The documents. Their JSON is what is hashed: add fields with omitempty, never rename.
type (
	definition struct {
		Version         int
		Sync            string
		Destination     string
		DestinationType string
		DestinationTags []string
		Object          string
		Mode            string
		Removed         string
		Filter          string
		SkipExists      bool
		CreateOnMove    bool
		AtMostOnce      bool
		Baseline        bool
		IgnoreRemapping bool
		Mapping         mappingDoc
		Model           modelDoc
		Policies        []policyDoc
	}
	mappingDoc struct {
		Version int
		Match   [][2]string
		Fields  []fieldDoc
	}
	fieldDoc struct {
		Field, Column, CEL string
		ValueKind, Value   string
		Lookup             *lookupDoc
		Null               string
		CreateOnly         bool
	}
	lookupDoc struct {
		Object string
		By     [][2]string
		ToNull bool
	}
	modelDoc struct {
		Name, Source, SourceType, SQL, Table, DBT string
		Key                                       []string
		Columns                                   []columnDoc
	}
	columnDoc struct {
		Name, Kind string
		Tags       []string
	}
	policyDoc struct {
		Name, Effect, When                                                   string
		Columns, ColumnTags, Models, Destinations, DestTags, Objects, Fields []string
	}
)

func mappingOf(s *Sync) mappingDoc {
	out := mappingDoc{Version: hashVersion, Match: matchOf(s.Match)}
	for _, f := range s.Fields {
		d := fieldDoc{Field: f.Field, Column: f.Column, CEL: strings.TrimSpace(f.CEL), Null: string(f.Null), CreateOnly: f.CreateOnly}
		if f.Value != nil {
			d.ValueKind, d.Value = f.Value.Kind().String(), f.Value.String()
		}
		if f.Lookup != nil {
			d.Lookup = &lookupDoc{f.Lookup.Object, matchOf(f.Lookup.By), f.Lookup.ToNull}
		}
		out.Fields = append(out.Fields, d)
	}
	slices.SortFunc(out.Fields, func(a, b fieldDoc) int { return cmp.Compare(a.Field, b.Field) })
	return out
}

func matchOf(list []MatchField) [][2]string {
	out := make([][2]string, len(list))
	for i, m := range list {
		out[i] = [2]string{m.Field, m.Column}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return cmp.Compare(a[0], b[0]) })
	return out
}

func modelOf(p *Project, m *Model) modelDoc {
	out := modelDoc{Name: m.Name, Source: m.Source, SQL: strings.TrimRight(strings.TrimSpace(m.SQL), "; \t\r\n"), Table: m.Table, DBT: m.DBT, Key: m.Key}
	if s := p.Sources[m.Source]; s != nil {
		out.SourceType = s.Type
	}
	for name, c := range m.Columns {
		d := columnDoc{Name: name, Tags: sorted(c.Tags)}
		if c.Kind != row.Absent {
			d.Kind = c.Kind.String()
		}
		if d.Kind != "" || len(d.Tags) > 0 {
			out.Columns = append(out.Columns, d)
		}
	}
	slices.SortFunc(out.Columns, func(a, b columnDoc) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func policyOf(p *Policy) policyDoc {
	return policyDoc{
		p.Name, p.Effect, strings.TrimSpace(p.When),
		sorted(p.Columns), sorted(p.ColumnTags), sorted(p.Models), sorted(p.Destinations), sorted(p.DestTags), sorted(p.Objects), sorted(p.Fields),
	}
}

// reaches reports whether the policy can apply to the sync's destination and object, its condition left aside.
func (p *Policy) reaches(d *Connection, s *Sync) bool {
	if len(p.Destinations)+len(p.DestTags) > 0 && !slices.Contains(p.Destinations, d.Name) &&
		!slices.ContainsFunc(p.DestTags, func(t string) bool { return slices.Contains(d.Tags, t) }) {
		return false
	}
	return len(p.Objects) == 0 || slices.Contains(p.Objects, s.Object)
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func digest(doc any) string {
	b, err := json.Marshal(doc)
	if err != nil {
		panic("project: hashing a definition: " + err.Error()) //nolint:forbidigo // strings and numbers only: cannot fail
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
