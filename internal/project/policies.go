package project

import (
	"fmt"
	"slices"

	"github.com/upwelldata/upwell/internal/fault"
)

func (l *loader) policyList(n *node) {
	if n.kind == isNull {
		return
	}
	if n.kind != isList {
		l.wrong(n, "`policies`", "a list").WithFix("write a list: - name: ...")
		return
	}
	l.policies = append(l.policies, n.items...)
}

// policy reads one policy. A policy that selects something that does not exist protects nothing, so names are faults and tags
// are warnings.
func (l *loader) policy(n *node) {
	what := fmt.Sprintf("policy %d", len(l.p.Policies)+1)
	p := &Policy{Where: n.at}
	l.p.Policies = append(l.p.Policies, p)
	if name, ok := policyName(n); ok {
		what = "policy " + tick(name)
	}
	if !l.object(n, n.at, what, policyKeys) {
		return
	}
	if name, ok := l.raw(n.find("name"), of("name", what)); ok {
		p.Name = name
		l.name(name, "policy", n.find("name").at)
		for _, other := range l.p.Policies {
			if other != p && other.Name == name {
				l.fail(fault.ProjectDuplicate, n.find("name").at, "reading %s: it is defined twice, first at %s", what, other.Where).
					WithFix("rename or remove one of %s and %s", other.Where, p.Where)
			}
		}
	}
	l.effect(p, n, what)
	if d := n.find("destinations"); d != nil && l.object(d, d.at, of("destinations", what), reachKeys) {
		at := of("destinations", what)
		p.Destinations = l.texts(d.find("names"), of("names", at))
		p.DestTags = l.texts(d.find("tags"), of("tags", at))
		p.Objects = l.texts(d.find("objects"), of("objects", at))
		p.Fields = l.texts(d.find("fields"), of("fields", at))
		if len(d.pairs) == 0 {
			l.fail(fault.ProjectValue, d.at, "reading %s: the mapping is empty", at).WithFix("leave `destinations` out for a policy that holds everywhere")
		}
		for _, name := range p.Destinations {
			l.refer("destinations", name, d.find("names"), what)
		}
		for _, tag := range p.DestTags {
			l.tagKnown(tag, l.destinationTags(), d.find("tags"), "destination", what)
		}
		objects, fields, _ := l.named()
		l.misspelt(p.Objects, objects, d.find("objects"), "object", what)
		l.misspelt(p.Fields, fields, d.find("fields"), "field", what)
	}
	if w := n.find("when"); w != nil {
		if text, ok := l.raw(w, of("when", what)); ok {
			p.When = text
			l.checkBool(w, of("when", what), l.compile(w, of("when", what), text, PolicyEnv))
		}
	}
}

func policyName(n *node) (string, bool) {
	name := n.find("name")
	if name == nil || !name.scalar() || name.text == "" {
		return "", false
	}
	return name.text, true
}

// effect reads what a policy does and to which columns. An empty selector takes every column.
func (l *loader) effect(p *Policy, n *node, what string) {
	var found []string
	for _, e := range effects {
		if n.find(e) != nil {
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		l.fail(fault.ProjectMissing, n.at, "reading %s: one of %s is missing", what, words(effects)).WithFix("add what the policy does, for instance `deny: {column_tags: [pii]}`")
		return
	}
	if len(found) > 1 {
		l.fail(fault.ProjectValue, n.find(found[1]).at, "reading %s: %s exclude each other", what, words(found)).WithFix("write a policy for each")
		return
	}
	p.Effect = found[0]
	v, at := n.find(found[0]), of(found[0], what)
	if !l.object(v, v.at, at, selectorKeys) {
		return
	}
	p.Columns = l.texts(v.find("columns"), of("columns", at))
	p.ColumnTags = l.texts(v.find("column_tags"), of("column_tags", at))
	p.Models = l.texts(v.find("models"), of("models", at))
	_, _, columns := l.named()
	l.misspelt(p.Columns, columns, v.find("columns"), "column", what)
	for _, m := range p.Models {
		l.refer("models", m, v.find("models"), what)
	}
	for _, tag := range p.ColumnTags {
		l.tagKnown(tag, l.columnTags(), v.find("column_tags"), "column", what)
	}
}

func (l *loader) tagKnown(tag string, known []string, n *node, thing, what string) {
	if !slices.Contains(known, tag) {
		l.warn(fault.ProjectUngoverned, n.at, "reading %s: no %s has the tag %s, so the policy covers nothing by it", what, thing, n.shown(tag)).
			WithFix("%s", didYouMean(tag, known, "give the tag to a %s, or remove it here", thing))
	}
}

// misspelt warns of names that nothing in the project has and that are near to one it has. Others are no mistake: a policy may speak of
// what must never be mapped.
func (l *loader) misspelt(names, known []string, n *node, thing, what string) {
	for _, name := range names {
		if near := Suggest(name, known); near != "" && !slices.Contains(known, name) {
			l.warn(fault.ProjectUngoverned, n.at, "reading %s: there is no %s %s in the project, so the policy covers nothing by it", what, thing, n.shown(name)).
				WithFix("did you mean `%s`?", near)
		}
	}
}

// named are the objects, fields and columns that syncs and models speak of.
func (l *loader) named() (objects, fields, columns []string) {
	match := func(list []MatchField) {
		for _, m := range list {
			fields, columns = append(fields, m.Field), append(columns, m.Column)
		}
	}
	for _, s := range l.p.Syncs {
		objects = append(objects, s.Object)
		match(s.Match)
		for _, f := range s.Fields {
			fields, columns = append(fields, f.Field), append(columns, f.Reads()...)
		}
	}
	for _, m := range l.p.Models {
		columns = append(columns, m.Key...)
		for name := range m.Columns {
			columns = append(columns, name)
		}
	}
	return objects, fields, columns
}

func (l *loader) destinationTags() []string {
	var out []string
	for _, d := range l.p.Destinations {
		out = append(out, d.Tags...)
	}
	return out
}

func (l *loader) columnTags() []string {
	var out []string
	for _, m := range l.p.Models {
		for _, c := range m.Columns {
			out = append(out, c.Tags...)
		}
	}
	return out
}
