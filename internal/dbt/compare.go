package dbt

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// Change is a kind of difference between what a sync needs and what a manifest offers.
type Change string

// The changes.
const (
	ModelMissing   Change = "model_missing"
	ModelDisabled  Change = "model_disabled"
	ModelAmbiguous Change = "model_ambiguous"
	ModelEphemeral Change = "model_ephemeral"
	KeyLost        Change = "key_lost"
	KeyChanged     Change = "key_changed"
	ColumnDropped  Change = "column_dropped"
	ColumnRenamed  Change = "column_renamed"
	ColumnUnknown  Change = "column_unknown"
	TypeChanged    Change = "type_changed"
	FilterColumn   Change = "filter_column"
	FilterUnknown  Change = "filter_unknown"
)

// Weight is how much a finding means.
type Weight string

// The weights of findings.
const (
	Breaks  Weight = "breaks"  // the sync would fail, or start anew
	Warns   Weight = "warning" // it runs on; somebody should look
	Unknown Weight = "unknown" // the artifacts do not tell
)

// Finding is one thing a manifest changes for a sync.
type Finding struct {
	Change     Change
	Weight     Weight
	Column     string
	Suggestion string // what the name probably is now, "" = nothing near
	Message    string
}

// Comparison asks what becomes of a sync under another manifest.
type Comparison struct {
	Ref     Ref
	Base    *Model    // the model as it is, nil = not known
	New     *Manifest // the manifest of the pull request
	Catalog *Catalog  // the pull request's, nil = none
	Columns []string  // columns the sync names
	Filter  string    // its SQL condition
	NoKey   bool      // the project names no key: the manifest does
	// Near gives the candidate that is most likely meant by a word, "" = none.
	Near func(word string, candidates []string) string
}

// Compare lists what the new manifest changes, gravest first within each column's order.
func (c Comparison) Compare() []Finding {
	m, err := c.New.Find(c.Ref)
	if err != nil {
		return []Finding{c.missing(err)}
	}
	if m.Relation == "" {
		return []Finding{{Change: ModelEphemeral, Weight: Breaks, Message: "dbt makes no relation of " + m.Name + " any more: it is " + m.Materialized}}
	}
	out := c.key(m)
	list, complete := c.columns(m)
	for _, column := range c.Columns {
		out = append(out, c.column(m, column, list, complete)...)
	}
	return append(out, c.filter(list)...)
}

func (c Comparison) missing(err error) Finding {
	f := Finding{Change: ModelMissing, Weight: Breaks, Message: err.Error()}
	var missing *Missing
	if !errors.As(err, &missing) {
		return f
	}
	switch {
	case missing.Disabled:
		f.Change = ModelDisabled
	case len(missing.Several) > 0:
		f.Change = ModelAmbiguous
		f.Message += ": " + strings.Join(missing.Several, ", ")
	default:
		f.Suggestion = c.Near(c.Ref.String(), missing.Names)
	}
	return f
}

func (c Comparison) key(m *Model) []Finding {
	switch {
	case !c.NoKey:
		return nil
	case len(m.Key) == 0:
		return []Finding{{Change: KeyLost, Weight: Breaks, Message: "the project names no key, and the manifest does not tell it without doubt"}}
	case c.Base != nil && len(c.Base.Key) > 0 && !slices.Equal(c.Base.Key, m.Key):
		return []Finding{{
			Change: KeyChanged, Weight: Breaks,
			Message: "the project names no key, and the manifest's changes from " + strings.Join(c.Base.Key, ", ") + " to " + strings.Join(m.Key, ", "),
		}}
	}
	return nil
}

// columns gives the columns the model will have, and whether the list is complete: a contract or a catalog says so, documentation
// alone does not.
func (c Comparison) columns(m *Model) ([]Column, bool) {
	if c.Catalog != nil {
		if list := c.Catalog.Columns[m.ID]; len(list) > 0 {
			return list, true
		}
	}
	return m.Columns, m.Contract
}

func (c Comparison) column(m *Model, name string, list []Column, complete bool) []Finding {
	now, there := (&Model{Columns: list}).Column(name)
	var before Column
	listed := false
	if c.Base != nil {
		before, listed = c.Base.Column(name)
	}
	if there {
		if d, ok := m.Column(name); ok && m.Contract { // the contract's words, not the catalog's: they are written alike
			now = d
		}
		if listed && before.DataType != "" && m.Contract && !strings.EqualFold(before.DataType, now.DataType) {
			return []Finding{{Change: TypeChanged, Weight: Warns, Column: name, Message: "column " + name + " changes its type from " + before.DataType + " to " + orWord(now.DataType, "one not named")}}
		}
		return nil
	}
	f := Finding{Change: ColumnDropped, Weight: Breaks, Column: name, Suggestion: c.renamed(name, before, list)}
	switch {
	case complete || listed:
		f.Message = m.Name + " has no column " + name + " any more"
	case c.Base == nil && f.Suggestion != "":
		f.Message = m.Name + " lists no column " + name
	default:
		f.Change, f.Weight, f.Suggestion = ColumnUnknown, Unknown, ""
		f.Message = "cannot tell whether " + m.Name + " has column " + name + ": the manifest does not list it, and need not"
		return []Finding{f}
	}
	if f.Suggestion != "" {
		f.Change = ColumnRenamed
	}
	return []Finding{f}
}

// renamed gives the new column that a dropped one most likely became: the one with the same description, or with a name much like it.
func (c Comparison) renamed(name string, before Column, list []Column) string {
	var names []string
	for _, n := range list {
		if c.Base != nil {
			if _, old := c.Base.Column(n.Name); old {
				continue
			}
			if before.Description != "" && n.Description == before.Description {
				return n.Name
			}
		}
		names = append(names, n.Name)
	}
	return c.Near(name, names)
}

var word = regexp.MustCompile(`[\pL_][\pL\pN_$]*`)

// filter looks for dropped columns in the sync's condition. It is SQL, so a name in it may be something else.
func (c Comparison) filter(list []Column) []Finding {
	if c.Filter == "" {
		return nil
	}
	if c.Base == nil {
		return []Finding{{Change: FilterUnknown, Weight: Unknown, Message: "cannot tell whether the columns of `where` are there: there is no manifest to compare with"}}
	}
	var out []Finding
	now := &Model{Columns: list}
	for _, w := range union(word.FindAllString(c.Filter, -1)) {
		if slices.Contains(c.Columns, w) {
			continue
		}
		before, was := c.Base.Column(w)
		if _, is := now.Column(w); was && !is {
			out = append(out, Finding{
				Change: FilterColumn, Weight: Breaks, Column: w, Suggestion: c.renamed(w, before, list),
				Message: "`where` names " + w + ", which the model does not have any more",
			})
		}
	}
	return out
}
