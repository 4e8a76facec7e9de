package dbt

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// Manifest is what Upwell takes of a manifest.json.
type Manifest struct {
	Metadata
	Models   map[string]*Model // models, snapshots and seeds by unique id
	Disabled map[string]string // unique ids that dbt leaves out, and their names
	Newer    bool              // the schema is newer than this package knows

	parents map[string][]string // of models, snapshots and seeds
}

// Model is one relation that dbt makes.
type Model struct {
	ID           string // model.jaffle_shop.customers, with a version model.jaffle_shop.customers.v2
	Kind         string // model, snapshot, seed
	Package      string
	Root         string // dbt's root project
	Name         string
	Version      string // "" = not versioned
	Latest       bool   // what a reference without a version means
	Relation     string // as dbt wrote it, quotes included; "" = dbt makes none
	Materialized string // table, view, incremental, ephemeral, …
	Description  string
	Tags         []string
	Personal     bool // its own tags or meta say that it holds personal data
	Columns      []Column
	Contract     bool     // enforced: Columns is the whole list
	Key          []string // columns that name a row, as far as dbt knows without doubt
	KeyOptions   []string // single columns of which each could be the key
	Tests        []Test
	Sources      []string // unique ids of the sources it is made of, over any number of steps; filled by Find
}

// Column is what the manifest says of a column.
type Column struct {
	Name        string
	Description string
	DataType    string
	Tags        []string // of tags and config.tags; "pii" also where meta says so
}

// Test is a test that speaks of a model.
type Test struct {
	ID     string
	Name   string
	Column string
	Kind   string // unique, not_null, …; "" = a query of its own
	Warn   bool   // severity warn
	Unit   bool
}

// ReadManifest reads a manifest.json. name stands for the file in messages; newer takes schemas this package does not know yet.
func ReadManifest(path, name string, newer bool) (*Manifest, error) {
	f, err := open(path, name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return ParseManifest(buffered(f), name, newer)
}

// ParseManifest reads a manifest. Its nodes are taken one at a time: what a large manifest holds beside them costs no memory.
func ParseManifest(r io.Reader, name string, newer bool) (*Manifest, error) {
	b := builder{m: &Manifest{Models: map[string]*Model{}, Disabled: map[string]string{}, parents: map[string][]string{}}}
	meta, err := artifact(r, name, isManifest, newer, func(dec *json.Decoder, key string) (bool, error) {
		switch key {
		case "nodes":
			return true, entries(dec, func(id string) error { return b.node(dec, id) })
		case "unit_tests":
			return true, entries(dec, func(id string) error { return b.unitTest(dec, id) })
		case "disabled":
			return true, entries(dec, func(id string) error { return b.disabled(dec, id) })
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	if !b.nodes {
		return nil, unreadable(name, "it has no `nodes`").WithFix("let dbt write it anew: dbt parse")
	}
	b.m.Metadata, b.m.Newer = meta, meta.Schema > known[isManifest].most
	b.finish()
	return b.m, nil
}

// rawNode is the part of a node that is read.
type rawNode struct {
	Type        text                       `json:"resource_type"`
	Package     text                       `json:"package_name"`
	Name        text                       `json:"name"`
	Version     text                       `json:"version"`
	Latest      text                       `json:"latest_version"`
	Relation    text                       `json:"relation_name"`
	Database    text                       `json:"database"`
	Schema      text                       `json:"schema"`
	Alias       text                       `json:"alias"`
	Description text                       `json:"description"`
	Tags        texts                      `json:"tags"`
	Meta        any                        `json:"meta"`
	Config      maybe[rawConfig]           `json:"config"`
	Contract    maybe[rawContract]         `json:"contract"`
	Columns     maybe[map[string]rawEntry] `json:"columns"`
	Constraints maybe[[]rawConstraint]     `json:"constraints"`
	PrimaryKey  texts                      `json:"primary_key"`
	DependsOn   maybe[rawParents]          `json:"depends_on"`
	Attached    text                       `json:"attached_node"`
	Column      text                       `json:"column_name"`
	TestMeta    maybe[rawTest]             `json:"test_metadata"`
}

type (
	rawConfig struct {
		Materialized text               `json:"materialized"`
		Severity     text               `json:"severity"`
		Tags         texts              `json:"tags"`
		Meta         any                `json:"meta"`
		Where        text               `json:"where"`
		Contract     maybe[rawContract] `json:"contract"`
	}
	rawContract struct {
		Enforced truth `json:"enforced"`
	}
	rawParents struct {
		Nodes texts `json:"nodes"`
	}
	rawTest struct {
		Name text `json:"name"`
	}
	rawConstraint struct {
		Type    text  `json:"type"`
		Columns texts `json:"columns"`
	}
	rawEntry struct {
		Name        text                   `json:"name"`
		Description text                   `json:"description"`
		DataType    text                   `json:"data_type"`
		Tags        texts                  `json:"tags"`
		Meta        any                    `json:"meta"`
		Config      maybe[rawConfig]       `json:"config"`
		Constraints maybe[[]rawConstraint] `json:"constraints"`
	}
)

// builder gathers nodes in any order and connects them at the end.
type builder struct {
	m     *Manifest
	nodes bool
	tests []builtTest
}

type builtTest struct {
	Test
	of       []string // the models it speaks of
	filtered bool     // it looks at some rows only
}

func (b *builder) node(dec *json.Decoder, id string) error {
	b.nodes = true
	var n rawNode
	if err := dec.Decode(&n); err != nil {
		return err
	}
	switch n.Type {
	case "model", "snapshot", "seed":
		b.m.parents[id] = n.DependsOn.v.Nodes
		b.m.Models[id] = n.model(id)
	case "test":
		b.test(id, &n)
	}
	return nil
}

func (n *rawNode) model(id string) *Model {
	m := &Model{
		ID: id, Kind: string(n.Type), Package: string(n.Package), Name: string(n.Name), Version: string(n.Version),
		Latest: n.Version == n.Latest, Relation: strings.TrimSpace(string(n.Relation)), Materialized: string(n.Config.v.Materialized),
		Description: strings.TrimSpace(string(n.Description)), Tags: union(n.Tags, n.Config.v.Tags),
		Contract: bool(n.Contract.v.Enforced || n.Config.v.Contract.v.Enforced), Key: slices.Clone(n.PrimaryKey),
	}
	m.Personal = personal(m.Tags, n.Meta, n.Config.v.Meta)
	if m.Relation == "" && m.Materialized != "ephemeral" {
		m.Relation = joinDots(string(n.Database), string(n.Schema), string(n.Alias))
	}
	constrained := primary(n.Constraints.v, "")
	for name, c := range n.Columns.v {
		if c.Name != "" {
			name = string(c.Name)
		}
		col := Column{
			Name: name, Description: strings.TrimSpace(string(c.Description)), DataType: string(c.DataType), Tags: union(c.Tags, c.Config.v.Tags),
		}
		if personal(col.Tags, c.Meta, c.Config.v.Meta) {
			col.Tags = union(slices.DeleteFunc(col.Tags, isPII), []string{PII})
		}
		m.Columns = append(m.Columns, col)
		if constrained == nil {
			constrained = primary(c.Constraints.v, name)
		}
	}
	slices.SortFunc(m.Columns, func(x, y Column) int { return cmp.Compare(x.Name, y.Name) })
	if constrained != nil {
		m.Key = constrained
	} else if len(m.Key) > 1 {
		m.Key = nil // dbt lists every column that is unique by itself: no telling which
		m.KeyOptions = slices.Clone(n.PrimaryKey)
	}
	return m
}

// primary gives the columns of a primary key that a constraint declares.
func primary(list []rawConstraint, column string) []string {
	for _, c := range list {
		switch {
		case !strings.EqualFold(string(c.Type), "primary_key"):
		case len(c.Columns) > 0:
			return c.Columns
		case column != "":
			return []string{column}
		}
	}
	return nil
}

func joinDots(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ".")
}

func (b *builder) test(id string, n *rawNode) {
	t := builtTest{
		Test: Test{
			ID: id, Name: string(n.Name), Column: string(n.Column), Kind: string(n.TestMeta.v.Name),
			Warn: strings.EqualFold(string(n.Config.v.Severity), "warn"),
		},
		filtered: n.Config.v.Where != "",
	}
	switch {
	case n.Attached != "":
		t.of = []string{string(n.Attached)}
	default: // a query of its own speaks of every model it reads
		t.of = n.DependsOn.v.Nodes
	}
	b.tests = append(b.tests, t)
}

func (b *builder) unitTest(dec *json.Decoder, id string) error {
	var n rawNode
	if err := dec.Decode(&n); err != nil {
		return err
	}
	b.tests = append(b.tests, builtTest{Test: Test{ID: id, Name: string(n.Name), Unit: true}, of: n.DependsOn.v.Nodes})
	return nil
}

func (b *builder) disabled(dec *json.Decoder, id string) error {
	var list maybe[[]rawNode]
	if err := dec.Decode(&list); err != nil {
		return err
	}
	for _, n := range list.v {
		if n.Type == "model" || n.Type == "snapshot" || n.Type == "seed" {
			b.m.Disabled[id] = string(n.Name)
		}
	}
	return nil
}

// finish gives each model its tests and its key.
func (b *builder) finish() {
	slices.SortFunc(b.tests, func(x, y builtTest) int { return cmp.Compare(x.ID, y.ID) })
	for _, t := range b.tests {
		for _, id := range t.of {
			if m := b.m.Models[id]; m != nil {
				m.Tests = append(m.Tests, t.Test)
			}
		}
	}
	proven := b.proven()
	for id, m := range b.m.Models {
		m.Root = b.m.Project
		if len(m.Key) > 0 || len(m.KeyOptions) > 0 {
			continue
		}
		if m.KeyOptions = proven[id]; len(m.KeyOptions) == 1 {
			m.Key = m.KeyOptions
		}
	}
}

// proven gives per model the columns that are tested to be unique and never null, on all rows.
func (b *builder) proven() map[string][]string {
	seen := map[[3]string]bool{}
	out := map[string][]string{}
	for _, t := range b.tests {
		if t.filtered || t.Warn || t.Column == "" || len(t.of) != 1 || t.Kind != "unique" && t.Kind != "not_null" {
			continue
		}
		seen[[3]string{t.of[0], t.Column, t.Kind}] = true
		if seen[[3]string{t.of[0], t.Column, "unique"}] && seen[[3]string{t.of[0], t.Column, "not_null"}] && !slices.Contains(out[t.of[0]], t.Column) {
			out[t.of[0]] = append(out[t.of[0]], t.Column)
		}
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out
}
