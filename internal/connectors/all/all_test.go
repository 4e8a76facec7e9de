package all

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// A connector that is not held to the contract is not registered.
func Test_every_connector_runs_the_conformance_kit(t *testing.T) {
	if len(Sources()) == 0 || len(Destinations()) == 0 {
		t.Fatal("no connector is registered")
	}
	seen := map[string]bool{}
	demand := func(kind, typ string, open any) {
		if seen[kind+" "+typ] {
			t.Errorf("two connectors are of type %s", typ)
		}
		seen[kind+" "+typ] = true
		folder := folderOf(t, open)
		if !runs(t, folder, kind) {
			t.Errorf("%s: no test of %s calls conformance.%s", typ, folder, kind)
		}
	}
	for _, c := range Sources() {
		demand("Source", c.Spec.Type, c.Open)
	}
	for _, c := range Destinations() {
		demand("Destination", c.Spec.Type, c.Open)
	}
}

func Test_the_sweep_notices_a_connector_without_the_kit(t *testing.T) {
	for content, want := range map[string]bool{
		"package x": false,
		"package x\n// conformance.Destination(t, h)\nvar s = `conformance.Destination(t, h)`": false,
		"package x\nfunc helper() { conformance.Destination(t, h) }":                           false,
		"package x\nfunc Test_it(t *testing.T) { conformance.Source(t, h) }":                   false,
		"package x\nfunc Test_it(t *testing.T) { conformance.Destination(t, h) }":              true,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x_test.go"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := runs(t, dir, "Destination"); got != want {
			t.Errorf("%q: %v", content, got)
		}
	}
}

// folderOf finds the folder a connector's Open is written in.
func folderOf(t *testing.T, open any) string {
	t.Helper()
	pc := reflect.ValueOf(open).Pointer()
	file, _ := runtime.FuncForPC(pc).FileLine(pc)
	_, below, ok := strings.Cut(filepath.ToSlash(file), "/internal/connectors/")
	if !ok {
		t.Fatalf("%s is not below internal/connectors", file)
	}
	return filepath.Join("..", filepath.Dir(filepath.FromSlash(below)))
}

// runs reports whether a test in the folder calls the kit.
func runs(t *testing.T, folder, kind string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || !strings.HasPrefix(fn.Name.Name, "Test") {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == kind {
						if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "conformance" {
							found = true
						}
					}
				}
				return true
			})
		}
	}
	return found
}
