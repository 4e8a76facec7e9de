package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var transition = regexp.MustCompile(`(?m)^    (\S+) --> (\S+?):?(?: .*)?$`)

// The drawing must show every state of the program and no other; each is reachable, and five of them are ends.
func Test_the_drawing_of_run_states_has_the_states_of_the_program(t *testing.T) {
	drawing, err := os.ReadFile(filepath.Join(root, "docs/states.md"))
	if err != nil {
		t.Fatal(err)
	}
	var from, to, ends []string
	for _, m := range transition.FindAllStringSubmatch(string(drawing), -1) {
		if m[2] == "[*]" {
			ends = append(ends, m[1])
			continue
		}
		from, to = append(from, m[1]), append(to, m[2])
	}
	if diff := cmp.Diff(union(constants(t, "internal/run", "Status")), union(to)); diff != "" {
		t.Errorf("states of the program (-) and of docs/states.md (+):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"cancelled", "failed", "held", "partial", "succeeded"}, union(ends)); diff != "" {
		t.Errorf("the ends of a run:\n%s", diff)
	}
	for _, s := range union(from) {
		if slices.Contains(ends, s) {
			t.Errorf("%s is an end and has a transition out of it", s)
		}
	}
}

// constants reads the texts of a package's constants of one string type.
func constants(t *testing.T, folder, kind string) (texts []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != kind {
				return true
			}
			for _, v := range spec.Values {
				if text, ok := v.(*ast.BasicLit); ok && text.Kind == token.STRING {
					unquoted, err := strconv.Unquote(text.Value)
					if err != nil {
						t.Fatal(err)
					}
					texts = append(texts, unquoted)
				}
			}
			return true
		})
	}
	if len(texts) == 0 {
		t.Fatalf("%s has no constants of type %s", folder, kind)
	}
	return texts
}
