package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkForm = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// pathForm is a path of the repository named in a text: `proof/kill_test.go`.
	pathForm = regexp.MustCompile("`((?:proof|internal|docs|examples|scripts|cmd|bench)/[^`\\s*{}]+)`")
	// pattern is a path to fill in: a NAME in capitals, the made-up tool of the skeleton, dots.
	pattern = regexp.MustCompile(`[<>…]|\.\.\.|\b[A-Z]{3,}(/|$)|/acme\b`)
)

// What a page names must be there: a promise whose proof was renamed is a promise without one.
func Test_pages_name_and_link_only_what_exists(t *testing.T) {
	pages := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".md" || strings.HasPrefix(name, filepath.Join(root, "scripts/templates")):
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		pages++
		for _, missing := range missingFrom(filepath.Dir(name), string(content)) {
			t.Errorf("%s names %s, which is not there", strings.TrimPrefix(name, root+"/"), missing)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages < 10 {
		t.Fatalf("found only %d pages", pages)
	}
}

// missingFrom lists what a page in a folder of the repository links or names and does not exist.
func missingFrom(folder, page string) (out []string) {
	there := func(name string) bool {
		_, err := os.Stat(name)
		return err == nil
	}
	for _, m := range linkForm.FindAllStringSubmatch(page, -1) {
		target, anchor, _ := strings.Cut(m[1], "#")
		if strings.Contains(target, ":") || target == "" && anchor == "" {
			continue
		}
		file := filepath.Join(folder, filepath.FromSlash(target))
		if target == "" || !there(file) {
			if target != "" {
				out = append(out, m[1])
			}
			continue
		}
		if anchor == "" || filepath.Ext(file) != ".md" {
			continue
		}
		linked, err := os.ReadFile(file)
		if err != nil || !strings.Contains(anchors(string(linked)), "\n"+anchor+"\n") {
			out = append(out, m[1])
		}
	}
	for _, m := range pathForm.FindAllStringSubmatch(page, -1) {
		if pattern.MatchString(m[1]) {
			continue
		}
		if !there(filepath.Join(root, m[1])) {
			out = append(out, m[1])
		}
	}
	return out
}

// anchors gives the anchors of a page's headings as GitHub makes them, one per line.
func anchors(page string) string {
	out := "\n"
	for _, m := range regexp.MustCompile(`(?m)^#+ +(.+)$`).FindAllStringSubmatch(page, -1) {
		a := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		out += strings.ReplaceAll(strings.TrimSpace(a), " ", "-") + "\n"
	}
	return out
}

func Test_a_page_that_names_what_is_not_there_is_noticed(t *testing.T) {
	for page, wrong := range map[string]bool{
		"[a](../../go.mod), [b](https://x.example/none), [c](tree_test.go) and `internal/archtest/tree_test.go`": false,
		"[a](nothing.md)":         true,
		"`proof/nothing_test.go`": true,
		"[a](../../docs/invariants.md#9-a-plan-changes-nothing)": false,
		"[a](../../docs/invariants.md#10-none)":                  true,
		"`internal/connectors/NAME/...`":                         false,
	} {
		if got := missingFrom(".", page); (len(got) > 0) != wrong {
			t.Errorf("%s: %v", page, got)
		}
	}
}
