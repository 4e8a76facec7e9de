package project

import (
	"slices"

	"cel.dev/cel-go/cel"

	"github.com/upwelldata/upwell/internal/fault"
)

// matchFields reads a map of destination field to model column, in file order.
func (l *loader) matchFields(n *node, what string) []MatchField {
	if n == nil || !l.mapping(n, what) {
		return nil
	}
	if len(n.pairs) == 0 {
		l.fail(fault.ProjectValue, n.at, "reading %s: the mapping is empty", what).WithFix("write {destination field: model column}")
	}
	var out []MatchField
	columns := map[string]string{}
	for _, p := range n.pairs {
		c, ok := l.text(p.value, "`"+p.key+"` in "+what)
		if !ok {
			continue
		}
		if other, dup := columns[c]; dup {
			l.fail(fault.ProjectDuplicate, p.value.at, "reading %s: column %s stands for `%s` already", what, p.value.shown(c), other).WithFix("match each column once")
			continue
		}
		columns[c] = p.key
		out = append(out, MatchField{Field: p.key, Column: c, Where: p.keyAt})
	}
	return out
}

// fields reads the mapping of a sync, in file order.
func (l *loader) fields(s *Sync, n *node, what string) {
	if n == nil || n.kind == isNull || !l.mapping(n, of("fields", what)) {
		return
	}
	for _, p := range n.pairs {
		if f, ok := l.field(p, "field `"+p.key+"` of "+what); ok {
			s.Fields = append(s.Fields, f)
		}
	}
}

func (l *loader) field(p pair, what string) (Field, bool) {
	f := Field{Field: p.key, Null: NullClear, Where: p.keyAt}
	n := p.value
	switch n.kind {
	case isText:
		c, ok := l.text(n, what)
		f.Column = c
		return f, ok
	case isMap:
	case isList:
		l.wrong(n, what, "a column, or a mapping with column, value, cel or lookup")
		return f, false
	default:
		l.wrong(n, what, "a column").WithFix("write {value: ...} for a constant, or quote the name of a column")
		return f, false
	}
	before := len(l.faults)
	l.object(n, p.keyAt, what, fieldKeys)
	l.fieldOrigin(&f, n, p.keyAt, what)
	f.Null = choose(l, n.find("null"), of("null", what), NullClear, NullClear, NullSkip, NullReject)
	f.CreateOnly = choose(l, n.find("write"), of("write", what), "always", "create", "always") == "create"
	return f, len(l.faults) == before
}

func (l *loader) fieldOrigin(f *Field, n *node, at fault.Where, what string) {
	var found []string
	for _, k := range []string{"column", "value", "cel", "lookup"} {
		if n.find(k) != nil {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		l.fail(fault.ProjectMissing, at, "reading %s: one of column, value, cel, lookup is missing", what).WithFix("add `column` with the model column")
		return
	}
	if len(found) > 1 {
		l.fail(fault.ProjectValue, n.find(found[1]).at, "reading %s: %s exclude each other", what, words(found)).WithFix("keep exactly one of them")
		return
	}
	v, what := n.find(found[0]), of(found[0], what)
	switch found[0] {
	case "column":
		f.Column, _ = l.text(v, what)
	case "value":
		if c, ok := l.constant(v, what); ok {
			f.Value = &c
		}
	case "cel":
		if text, ok := l.raw(v, what); ok {
			f.CEL = text
			if tree := l.compile(v, what, text, RowEnv); tree != nil {
				if _, err := ColumnsRead(tree.NativeRep()); err != nil {
					l.fail(fault.ProjectExpression, v.body, "compiling %s: %v in %s", what, err, tick(text))
				}
			}
		}
	case "lookup":
		f.Lookup = l.lookup(v, what)
	}
}

func (l *loader) lookup(n *node, what string) *Lookup {
	if !l.object(n, n.at, what, lookupKeys) {
		return nil
	}
	out := &Lookup{By: l.matchFields(n.find("by"), of("by", what))}
	out.Object, _ = l.text(n.find("object"), of("object", what))
	// YAML reads a bare null as nothing; here it is the word.
	out.ToNull = choose(l, n.find("on_missing"), of("on_missing", what), "reject", "reject", "null") == "null"
	return out
}

// checkBool reports an expression that can never be true or false.
func (l *loader) checkBool(n *node, what string, tree *cel.Ast) {
	if tree == nil {
		return
	}
	if t := tree.OutputType(); !slices.Contains([]cel.Kind{cel.BoolKind, cel.DynKind, cel.AnyKind}, t.Kind()) {
		l.fail(fault.ProjectExpression, n.body, "compiling %s: it yields %s, not true or false", what, t).WithFix("write a condition")
	}
}
