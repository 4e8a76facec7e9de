package mapping

import (
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// field compiles one mapped field.
func (c *compiler) field(f project.Field) {
	if i := slices.Index(c.p.matchName, f.Field); i >= 0 {
		if f.Column == c.p.names[c.p.match[i].col] && f.Null != project.NullSkip && !f.CreateOnly {
			return // the match sends it already
		}
		c.fail(f.Where, fault.ProjectDuplicate, "field %q is mapped twice: under match and under fields", f.Field).WithFix("remove it from fields")
		return
	}
	dest, ok := c.find(f.Field, f.Where)
	if !ok {
		return
	}
	out := field{null: f.Null, createOnly: f.CreateOnly, to: targetOf(&c.Object, f.Field, dest)}
	if out.null == "" {
		out.null = project.NullClear
	}
	if dest != nil && !c.free() {
		c.writable(f, dest)
	}
	switch {
	case f.Lookup != nil:
		ok = c.lookup(f, dest, &out)
	case f.CEL != "":
		ok = c.expression(f, &out)
	case f.Value != nil:
		ok = c.constant(f, &out)
	default:
		if out.col = c.column(f.Column, "field "+f.Field, f.Where); out.col < 0 {
			return
		}
		kind := c.p.columns[out.col].effective()
		c.compatible("field "+f.Field, f.Column, kind, out.to.kind, f.Where)
		out.kind = resulting(out.to.kind, kind)
	}
	if ok {
		c.p.fields = append(c.p.fields, out)
		c.p.fieldName = append(c.p.fieldName, f.Field)
		c.p.kinds = append(c.p.kinds, out.kind)
	}
}

func (c *compiler) writable(f project.Field, dest *connector.Field) {
	switch {
	case c.creates() && !dest.Creatable:
		c.fail(f.Where, fault.DestFieldReadOnly, "field %q of %s cannot be written when a record is created", f.Field, c.Object.Name)
	case c.updates() && !f.CreateOnly && !dest.Updatable:
		e := c.fail(f.Where, fault.DestFieldReadOnly, "field %q of %s cannot be changed on a record that exists", f.Field, c.Object.Name)
		if dest.Creatable && c.creates() {
			e.WithFix("add `write: create`, so that it is sent only when the record is created")
		}
	}
}

func (c *compiler) lookup(f project.Field, dest *connector.Field, out *field) bool {
	if dest != nil && len(dest.Refers) > 0 && !slices.Contains(dest.Refers, f.Lookup.Object) {
		e := c.fail(f.Where, fault.ProjectReference, "field %q refers to %s, not to %s", f.Field, strings.Join(dest.Refers, " or "), f.Lookup.Object)
		didYouMean(e, f.Lookup.Object, dest.Refers)
	}
	out.from, out.lookup, out.kind = fromLookup, f.Lookup, resulting(out.to.kind, row.Text)
	for _, by := range f.Lookup.By {
		at := by.Where
		if at == (fault.Where{}) {
			at = f.Where
		}
		col := c.column(by.Column, "lookup of field "+f.Field, at)
		if col < 0 {
			return false
		}
		out.by = append(out.by, col)
	}
	return true
}

func (c *compiler) expression(f project.Field, out *field) bool {
	program, columns, kind, err := parseExpression(f.CEL)
	if err != nil {
		c.fail(f.Where, fault.ProjectExpression, "field %s: %v", f.Field, err)
		return false
	}
	out.from, out.expr = fromCEL, &expression{program: program}
	for _, name := range columns {
		col := c.column(name, "expression of field "+f.Field, f.Where)
		if col < 0 {
			return false
		}
		out.expr.cols = append(out.expr.cols, col)
	}
	if kind != row.Absent && !casts(kind, out.to.kind) {
		c.fail(f.Where, fault.DestFieldType, "field %s: the expression gives %s and the field takes %s", f.Field, kind, out.to.kind).
			WithFix("convert the result in the expression, for instance with string(...) or double(...)")
		return false
	}
	if kind == row.Null {
		kind = row.Absent
	}
	out.kind = resulting(out.to.kind, kind)
	return true
}

func (c *compiler) constant(f project.Field, out *field) bool {
	v := *f.Value
	if !v.IsNull() {
		var scratch row.Scratch // constants live as long as the mapping
		w, refused := out.to.fitAs(v, &scratch, casts)
		if refused != nil {
			e := c.fail(f.Where, fault.DestFieldType, "field %s: %s", f.Field, refused.Message)
			if refused.Code == fault.ValuePicklist && v.Kind() == row.Text {
				didYouMean(e, v.Str(), out.to.choices)
			} else {
				e.WithFix("write a value the field takes")
			}
			return false
		}
		v = w
	}
	out.from, out.value, out.kind = fromValue, v, resulting(out.to.kind, v.Kind())
	return true
}

// required names the fields a new record must have and the mapping does not give.
func (c *compiler) required() {
	if !c.creates() || c.Object.Kind == connector.KindList || c.Dest.FreeObject {
		return
	}
	var missing []string
	for _, f := range c.Object.Fields {
		mapped := slices.ContainsFunc(c.Sync.Fields, func(m project.Field) bool { return m.Field == f.Name }) ||
			slices.ContainsFunc(c.Sync.Match, func(m project.MatchField) bool { return m.Field == f.Name }) || slices.Contains(c.p.matchName, f.Name)
		if f.Required && !mapped {
			missing = append(missing, f.Name)
		}
	}
	if len(missing) > 0 {
		c.fail(c.Sync.Where, fault.ProjectMissing, "%s cannot be created without %s", c.Object.Name, strings.Join(missing, ", ")).
			WithFix("map %s under fields, or use mode: update", strings.Join(missing, ", "))
	}
}
