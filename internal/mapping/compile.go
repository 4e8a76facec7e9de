package mapping

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// Compile checks a sync's mapping against the model's columns and the object's live fields. Every fault names the place in the
// project file; a mapping with faults is nil.
func Compile(s Spec) (*Mapping, fault.List) {
	c := &compiler{Spec: s, p: &plan{seed: s.Seed}}
	c.key()
	c.matches()
	for _, f := range s.Sync.Fields {
		c.field(f)
	}
	c.required()
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	c.p.matchKey = c.matchIsKey()
	return newMapping(c.p), nil
}

type compiler struct {
	Spec
	p      *plan
	faults fault.List
}

func (c *compiler) fail(at fault.Where, code fault.Code, format string, args ...any) *fault.Error {
	e := fault.New(code, format, args...).At(at)
	c.faults = append(c.faults, e)
	return e
}

// didYouMean adds the near name to a fault's remedy.
func didYouMean(e *fault.Error, word string, candidates []string) {
	if near := project.Suggest(word, candidates); near != "" {
		e.WithFix("did you mean `%s`?", near)
		return
	}
	if len(candidates) > 0 && len(candidates) <= 30 {
		sorted := slices.Sorted(slices.Values(candidates))
		e.WithFix("use one of: %s", strings.Join(sorted, ", "))
	}
}

// column finds or adds a model column; -1 after a fault.
func (c *compiler) column(name, what string, at fault.Where) int {
	if i := slices.Index(c.p.names, name); i >= 0 {
		return i
	}
	found := c.Schema.FieldIndices(name)
	switch len(found) {
	case 1:
	case 0:
		e := c.fail(at, fault.SourceColumnMissing, "%s: the model has no column %q", what, name)
		didYouMean(e, name, columnNames(c.Schema))
		return -1
	default:
		c.fail(at, fault.SourceColumnMissing, "%s: the model has %d columns named %q", what, len(found), name).
			WithFix("give each column of the model a name of its own with AS")
		return -1
	}
	kind, err := row.KindOf(c.Schema.Field(found[0]))
	if err != nil {
		e := fault.As(err)
		c.fail(at, e.Code, "%s: %s", what, e.Message).WithFix("%s", e.GetFix())
		return -1
	}
	declared := c.Columns[name].Kind
	if declared != row.Absent && !casts(kind, declared) {
		c.fail(at, fault.SourceTypeUnsupported, "%s: column %q is %s and cannot be read as the declared type %s", what, name, kind, declared).
			WithFix("cast the column in the model's SQL, or correct its declared type")
		return -1
	}
	if declared == kind {
		declared = row.Absent
	}
	c.p.columns = append(c.p.columns, column{name: name, kind: kind, declared: declared})
	c.p.names = append(c.p.names, name)
	return len(c.p.names) - 1
}

func columnNames(s *arrow.Schema) []string {
	out := make([]string, s.NumFields())
	for i := range out {
		out[i] = s.Field(i).Name
	}
	return out
}

func (c *compiler) key() {
	var drifts []string
	for i, name := range c.Key {
		col := c.column(name, "the model's key", c.Sync.Where)
		if col < 0 {
			continue
		}
		k := part{col: col}
		kind := c.p.columns[col].effective()
		if len(c.KeyKinds) == len(c.Key) && drifted(c.KeyKinds[i], kind) {
			k.as = c.KeyKinds[i]
			k.exact = kind.Numeric() && k.as.Numeric()
			drifts = append(drifts, "key column "+name+" was "+k.as.String()+" and is now "+kind.String()+"; its values are compared as "+k.as.String())
		}
		c.p.keys = append(c.p.keys, k)
	}
	c.p.drift = strings.Join(drifts, "; ")
}

// drifted reports whether keys of two kinds need converting to be compared: whole numbers of every kind are the same key.
func drifted(was, is row.Kind) bool {
	if was == is || was == row.Null || is == row.Null || was == row.Absent {
		return false
	}
	if was.Numeric() && is.Numeric() {
		return was == row.Float && is == row.Decimal || was == row.Decimal && is == row.Float
	}
	return true
}

func (c *compiler) matches() {
	list := c.Sync.Match
	if len(list) == 0 {
		if !c.Dest.NoMatch {
			c.fail(c.Sync.Where, fault.ProjectMissing, "the sync has no match: the fields that identify a record of %s", c.Object.Name).
				WithFix("add match: {<field of %s>: <column>}", c.Object.Name)
			return
		}
		for _, name := range c.Key {
			list = append(list, project.MatchField{Field: name, Column: name, Where: c.Sync.Where})
		}
	}
	for _, m := range list {
		col := c.column(m.Column, "match "+m.Field, m.Where)
		f, ok := c.find(m.Field, m.Where)
		if col < 0 || !ok {
			continue
		}
		to := targetOf(&c.Object, m.Field, f)
		kind := c.p.columns[col].effective()
		c.compatible("match "+m.Field, m.Column, kind, to.kind, m.Where)
		p := part{col: col, to: to}
		if f != nil {
			p.fold, p.trim = f.FoldCase, f.TrimSpace
			c.p.folds = c.p.folds || p.fold || p.trim
			if !f.Match && !c.free() && c.matchesTool() {
				e := c.fail(m.Where, fault.DestKeyUnusable, "field %q of %s cannot identify records", m.Field, c.Object.Name)
				if usable := c.usable(); len(usable) > 0 {
					e.WithFix("use one of: %s", strings.Join(usable, ", "))
				}
			}
		}
		c.p.match = append(c.p.match, p)
		c.p.matchName = append(c.p.matchName, m.Field)
		c.p.matchKind = append(c.p.matchKind, resulting(to.kind, kind))
	}
	c.keySet(list)
}

// keySet checks the match fields together against the field sets that identify a record.
func (c *compiler) keySet(list []project.MatchField) {
	if len(c.faults) > 0 || len(c.Object.Keys) == 0 || !c.matchesTool() {
		return
	}
	names := slices.Sorted(slices.Values(c.p.matchName))
	var sets []string
	for _, set := range c.Object.Keys {
		if slices.Equal(names, slices.Sorted(slices.Values(set))) {
			return
		}
		sets = append(sets, strings.Join(set, "+"))
	}
	c.fail(list[0].Where, fault.DestKeyUnusable, "%s cannot be matched by %s", c.Object.Name, strings.Join(c.p.matchName, "+")).
		WithFix("match by one of: %s", strings.Join(sets, ", "))
}

// matchesTool reports whether the tool looks records up by the match.
func (c *compiler) matchesTool() bool {
	return c.Sync.Mode != connector.ModeInsert && c.Sync.Mode != connector.ModeAppend
}

func (c *compiler) creates() bool { return c.Sync.Mode != connector.ModeUpdate }

func (c *compiler) updates() bool { return c.matchesTool() }

func (c *compiler) free() bool { return c.Dest.FreeObject || c.Object.FreeField }

func (c *compiler) usable() []string {
	var out []string
	for _, f := range c.Object.Fields {
		if f.Match {
			out = append(out, f.Name)
		}
	}
	slices.Sort(out)
	return out
}

// find looks a destination field up; nil without a fault where any name is written.
func (c *compiler) find(name string, at fault.Where) (*connector.Field, bool) {
	for i := range c.Object.Fields {
		if c.Object.Fields[i].Name == name {
			return &c.Object.Fields[i], true
		}
	}
	if c.free() {
		return nil, true
	}
	e := c.fail(at, fault.DestFieldMissing, "%s has no field %q that this connection can see", c.Object.Name, name)
	names := make([]string, len(c.Object.Fields))
	for i, f := range c.Object.Fields {
		names[i] = f.Name
	}
	didYouMean(e, name, names)
	return nil, false
}

// compatible refuses kinds of which no value could fit, with the cast to write.
func (c *compiler) compatible(what, col string, from, to row.Kind, at fault.Where) {
	if fits(from, to) {
		return
	}
	c.fail(at, fault.DestFieldType, "%s: column %q is %s and the field takes %s", what, col, from, to).WithFix("%s", remedy(col, from, to))
}

func remedy(col string, from, to row.Kind) string {
	switch {
	case from == row.Timestamp && to == row.Instant:
		return "say which zone the times are in, in the model's SQL: " + col + " AT TIME ZONE 'UTC' AS " + col
	case from == row.Instant && to == row.Timestamp:
		return "choose the zone the times are shown in, in the model's SQL: " + col + " AT TIME ZONE 'UTC' AS " + col
	case from == row.Bytes:
		return "encode the bytes in the model's SQL, for instance as hexadecimal or base64 text"
	case casts(from, to):
		return "cast it in the model's SQL: CAST(" + col + " AS " + sqlType(to) + ") AS " + col + "; or declare its type on the model: columns: {" + col + ": {type: " + to.String() + "}}"
	}
	return "cast it in the model's SQL: CAST(" + col + " AS " + sqlType(to) + ") AS " + col
}

func sqlType(k row.Kind) string {
	switch k {
	case row.Int, row.Uint:
		return "bigint"
	case row.Float:
		return "double precision"
	case row.Text:
		return "varchar"
	case row.Bool:
		return "boolean"
	case row.Bytes:
		return "bytea"
	case row.Instant:
		return "timestamp with time zone"
	case row.Absent, row.Null, row.Decimal, row.Date, row.Time, row.Timestamp, row.Interval, row.UUID, row.JSON, row.Array:
	}
	return k.String()
}

// resulting is the kind of values after fitting.
func resulting(to, from row.Kind) row.Kind {
	if to != row.Absent {
		return to
	}
	return from
}

func (c *compiler) matchIsKey() bool {
	if c.p.folds || len(c.p.match) != len(c.p.keys) {
		return false
	}
	for _, k := range c.p.keys {
		if !slices.ContainsFunc(c.p.match, func(m part) bool { return m.col == k.col }) {
			return false
		}
	}
	return true
}
