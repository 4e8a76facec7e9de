package archtest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
)

//go:generate go test -run ^Test_every_invariant_is_enforced_and_tested$ -count 1 . -args -update

const invariantsPage = "docs/invariants.md"

var (
	invariantHeading = regexp.MustCompile(`(?m)^## (\d+)\. `)
	invariantSites   = regexp.MustCompile(`(?s)(<!-- sites (\d+) -->\n).*?(<!-- end -->)`)
	enforcementMark  = regexp.MustCompile(`(?m)//.*\bInvariant (\d+): `)
	testMark         = regexp.MustCompile(`(?m)//.*\bInvariant (\d+)\b`)
)

// The page names, for every invariant, the files that enforce it and the files whose tests fail without the enforcement.
func Test_every_invariant_is_enforced_and_tested(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, invariantsPage))
	if err != nil {
		t.Fatal(err)
	}
	enforced, tested := sites(goFiles(t))
	headings := invariantHeading.FindAllStringSubmatch(string(content), -1)
	if len(headings) != 9 {
		t.Fatalf("%s has %d invariants, want 9", invariantsPage, len(headings))
	}
	var known []string
	for _, h := range headings {
		n := h[1]
		known = append(known, n)
		if len(enforced[n]) == 0 {
			t.Errorf("invariant %s has no enforcement site: mark it with `// Invariant %s: ...` in the program", n, n)
		}
		if len(tested[n]) == 0 {
			t.Errorf("invariant %s has no test: mark the one that kills it with `// Invariant %s` in a test file", n, n)
		}
	}
	for n, where := range enforced {
		if !slices.Contains(known, n) {
			t.Errorf("%s quotes invariant %s, which %s does not have", where, n, invariantsPage)
		}
	}
	page(t, invariantsPage, invariantSites.ReplaceAllStringFunc(string(content), func(block string) string {
		m := invariantSites.FindStringSubmatch(block)
		return m[1] + fmt.Sprintf("**Enforced in** %s.\n**Tested in** %s.\n", names(enforced[m[2]]), names(tested[m[2]])) + m[3]
	}))
}

func Test_marks_are_told_apart_by_where_they_stand(t *testing.T) {
	enforced, tested := sites(map[string][]byte{
		"internal/run/settle.go":              []byte("package run\n\tif !ok { // settle at last. Invariant 6: counts add up.\n"),
		"internal/run/settle_test.go":         []byte("package run\n// Invariant 6\nfunc Test_x(t *testing.T) {}\n"),
		"internal/connector/conformance/a.go": []byte("package conformance\n// Invariant 8: the kit looks for secrets.\n"),
		"internal/plan/plan.go":               []byte("package plan\n// prose (Invariant 3), not a mark\nvar s = `Invariant 4: neither`\n"),
	})
	if len(enforced) != 1 || !slices.Equal(enforced["6"], []string{"internal/run/settle.go"}) {
		t.Errorf("enforced: %v", enforced)
	}
	if len(tested) != 2 || len(tested["6"]) != 1 || len(tested["8"]) != 1 {
		t.Errorf("tested: %v", tested)
	}
}

// sites finds the marks: file names by invariant number, sorted.
func sites(files map[string][]byte) (enforced, tested map[string][]string) {
	enforced, tested = map[string][]string{}, map[string][]string{}
	for name, content := range files {
		into, mark := enforced, enforcementMark
		switch {
		case strings.HasPrefix(name, "internal/archtest/"):
			continue
		case isTest(name):
			into, mark = tested, testMark
		}
		for _, m := range mark.FindAllSubmatch(content, -1) {
			if n := string(m[1]); !slices.Contains(into[n], name) {
				into[n] = append(into[n], name)
			}
		}
	}
	for _, m := range []map[string][]string{enforced, tested} {
		for _, where := range m {
			sort.Strings(where)
		}
	}
	return enforced, tested
}

// isTest reports whether a file holds tests: by its name, or as part of a conformance kit.
func isTest(name string) bool {
	return strings.HasSuffix(name, "_test.go") || path.Base(path.Dir(name)) == "conformance"
}

func names(files []string) string {
	if len(files) == 0 {
		return "nothing yet"
	}
	return "`" + strings.Join(files, "`, `") + "`"
}
