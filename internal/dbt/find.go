package dbt

import (
	"fmt"
	"slices"
	"strings"
)

// Ref names a model: by name, by package.name, either with .v2, or by unique id.
type Ref struct {
	Name    string
	Package string // "" = any, the root project first
	Version string // "" = the latest
}

// String gives the reference as people write it.
func (r Ref) String() string {
	s := r.Name
	if r.Package != "" {
		s = r.Package + "." + s
	}
	if r.Version != "" {
		s += ".v" + r.Version
	}
	return s
}

// Missing is a reference that leads to no model.
type Missing struct {
	Ref      Ref
	Names    []string // what could be meant
	Disabled bool     // the model is there, and dbt leaves it out
	Several  []string // unique ids that fit equally well
}

// Error says what was looked for.
func (e *Missing) Error() string {
	switch {
	case len(e.Several) > 0:
		return fmt.Sprintf("%d models of dbt are called %s", len(e.Several), quoted(e.Ref.String()))
	case e.Disabled:
		return fmt.Sprintf("the dbt model %s is disabled", quoted(e.Ref.String()))
	}
	return fmt.Sprintf("dbt has no model %s", quoted(e.Ref.String()))
}

// Find gives the model a reference means. The error is a *Missing.
func (m *Manifest) Find(r Ref) (*Model, error) {
	var found []*Model
	for _, one := range m.Models {
		if one.answers(r) {
			found = append(found, one)
		}
	}
	if len(found) > 1 { // the root project's own goes before packages
		own := slices.DeleteFunc(slices.Clone(found), func(one *Model) bool { return one.Package != m.Project })
		if len(own) > 0 {
			found = own
		}
	}
	switch len(found) {
	case 1:
		found[0].Sources = m.sources(found[0].ID)
		return found[0], nil
	case 0:
		e := &Missing{Ref: r, Names: m.Names()}
		for id, name := range m.Disabled {
			if r.Name == id || r.Name == name && (r.Package == "" || strings.HasPrefix(id, "model."+r.Package+".")) {
				e.Disabled = true
			}
		}
		return nil, e
	}
	e := &Missing{Ref: r}
	for _, one := range found {
		e.Several = append(e.Several, one.ID)
	}
	slices.Sort(e.Several)
	return nil, e
}

// answers reports whether the reference can mean the model. A dot may part package and name, or name and version.
func (m *Model) answers(r Ref) bool {
	if r.Name == m.ID {
		return (r.Package == "" || r.Package == m.Package) && (r.Version == "" || r.Version == m.Version)
	}
	for _, prefix := range []string{"", m.Package + "."} {
		if prefix != "" && r.Package != "" || r.Package != "" && r.Package != m.Package {
			continue
		}
		switch name := prefix + m.Name; {
		case r.Name == name && r.Version == "":
			return m.Latest
		case r.Name == name:
			return m.Version == r.Version
		case m.Version != "" && r.Version == "" && r.Name == name+".v"+m.Version:
			return true
		}
	}
	return false
}

// Names lists what references can name: models of the root project by name, others by package and name.
func (m *Manifest) Names() []string {
	var out []string
	for _, one := range m.Models {
		name := one.Name
		if one.Package != m.Project {
			name = one.Package + "." + name
		}
		if !one.Latest {
			name += ".v" + one.Version
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Column finds a column by name. Warehouses that fold names write them otherwise than people do, so case does not count where only
// one column fits, and quotes around a name do not either.
func (m *Model) Column(name string) (Column, bool) {
	if n := len(name); n > 1 && (name[0] == '"' || name[0] == '`') && name[n-1] == name[0] {
		name = name[1 : n-1]
	}
	var near []Column
	for _, c := range m.Columns {
		if c.Name == name {
			return c, true
		}
		if strings.EqualFold(c.Name, name) {
			near = append(near, c)
		}
	}
	if len(near) == 1 {
		return near[0], true
	}
	return Column{}, false
}

// sources walks from a model to the sources it is made of.
func (m *Manifest) sources(id string) []string {
	var out []string
	seen := map[string]bool{id: true}
	for todo := []string{id}; len(todo) > 0; todo = todo[1:] {
		for _, p := range m.parents[todo[0]] {
			if seen[p] {
				continue
			}
			seen[p] = true
			if strings.HasPrefix(p, "source.") {
				out = append(out, p)
				continue
			}
			todo = append(todo, p)
		}
	}
	slices.Sort(out)
	return out
}
