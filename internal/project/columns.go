package project

import (
	"errors"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/upwelldata/upwell/internal/fault"
)

// Use is one use of a model column by a sync.
type Use struct {
	Column string
	As     string // what for, in words: "the key", "field Score__c"
	Where  fault.Where
}

// Uses lists the columns a sync reads by name: its model's key and tests, its match, its fields. What the SQL of a condition or of
// a test reads is not among them.
func (p *Project) Uses(s *Sync) []Use {
	var out []Use
	m := p.Models[s.Model]
	if m != nil {
		for _, c := range m.Key {
			out = append(out, Use{c, "the key", m.Where})
		}
	}
	for _, f := range s.Match {
		out = append(out, Use{f.Column, "match " + f.Field, f.Where})
	}
	for _, f := range s.Fields {
		for _, c := range f.Reads() {
			out = append(out, Use{c, "field " + f.Field, f.Where})
		}
	}
	if m != nil {
		for _, t := range m.Tests {
			for _, c := range t.Columns {
				out = append(out, Use{c, "test " + t.Name, t.Where})
			}
		}
	}
	return out
}

// Reads lists the model columns a field is made of. An expression that does not compile reads none.
func (f *Field) Reads() []string {
	switch {
	case f.Column != "":
		return []string{f.Column}
	case f.Lookup != nil:
		out := make([]string, len(f.Lookup.By))
		for i, b := range f.Lookup.By {
			out[i] = b.Column
		}
		return out
	case f.CEL != "":
		env, err := RowEnv()
		if err != nil {
			return nil
		}
		tree, issues := env.Compile(f.CEL)
		if issues.Err() != nil {
			return nil // the loader reports it
		}
		columns, err := ColumnsRead(tree.NativeRep())
		if err != nil {
			return nil // compiling the mapping reports it
		}
		return columns
	}
	return nil
}

// ColumnsRead finds every row.column, row["column"] and has(row.column) of an expression. Any other use of row would read columns
// that are not known beforehand.
func ColumnsRead(a *ast.AST) ([]string, error) {
	var out []string
	named := map[int64]bool{}
	var all []int64
	add := func(operand ast.Expr, name string) {
		if isRow(operand) {
			named[operand.ID()] = true
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() { //nolint:exhaustive // only these can name a column
		case ast.SelectKind:
			add(e.AsSelect().Operand(), e.AsSelect().FieldName())
		case ast.CallKind:
			switch e.AsCall().FunctionName() {
			case operators.Index, operators.OptIndex, operators.OptSelect:
				args := e.AsCall().Args()
				if args[1].Kind() != ast.LiteralKind {
					return
				}
				if name, ok := args[1].AsLiteral().(types.String); ok {
					add(args[0], string(name))
				}
			}
		case ast.IdentKind:
			if isRow(e) {
				all = append(all, e.ID())
			}
		}
	}))
	for _, id := range all {
		if !named[id] {
			return nil, errors.New(`row stands without a column: write row.column or row["column"]`)
		}
	}
	return out, nil
}

func isRow(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "row" }
