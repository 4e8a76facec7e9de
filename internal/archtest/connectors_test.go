package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

//go:generate go test -run ^Test_the_pages_of_connectors_are_current$ -count 1 . -args -update

const connectorPages = "docs/connectors"

// A connector's README is its page in the documentation. Users read docs/, authors edit the README beside the code.
func Test_the_pages_of_connectors_are_current(t *testing.T) {
	readmes, err := filepath.Glob(filepath.Join(root, "internal/connectors/*/README.md"))
	if err != nil || len(readmes) < 5 {
		t.Fatalf("found %d READMEs of connectors, %v", len(readmes), err)
	}
	if err := os.MkdirAll(filepath.Join(root, connectorPages), 0o755); err != nil {
		t.Fatal(err)
	}
	index := connectorIndex
	var want []string
	for _, name := range readmes {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		typ := filepath.Base(filepath.Dir(name))
		title, summary := describe(string(content))
		if title == "" || summary == "" {
			t.Errorf("internal/connectors/%s/README.md does not begin with a heading and a sentence", typ)
		}
		if link := relativeLink.FindString(string(content)); link != "" {
			t.Errorf("internal/connectors/%s/README.md: the link %s would lead elsewhere from %s", typ, link, connectorPages)
		}
		page(t, connectorPages+"/"+typ+".md", fmt.Sprintf("<!-- Copied from internal/connectors/%s/README.md by `make generate`. Edit it there. -->\n\n%s", typ, content))
		index += fmt.Sprintf("| [%s](%s.md) | `%s` | %s |\n", title, typ, typ, cell(summary))
		want = append(want, typ+".md")
	}
	page(t, connectorPages+"/README.md", index)
	entries, err := os.ReadDir(filepath.Join(root, connectorPages))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "README.md" && !slices.Contains(want, e.Name()) {
			t.Errorf("%s/%s is the page of no connector", connectorPages, e.Name())
		}
	}
}

const connectorIndex = `# Connectors

<!-- Generated from internal/connectors/*/README.md by ` + "`make generate`" + `. Do not edit. -->

` + "`upwell connectors`" + ` lists what your version has, ` + "`upwell connectors NAME`" + ` shows settings, objects, modes and limits.

| connector | type | |
|---|---|---|
`

// relativeLink is a link that depends on where a page stands. An anchor does not.
var relativeLink = regexp.MustCompile(`\]\((\.|/|[A-Za-z0-9_-]+(/|\.md))[^)]*\)`)

// describe gives a README's heading and the first sentence after it.
func describe(readme string) (title, summary string) {
	for _, part := range strings.Split(readme, "\n\n") {
		part = strings.TrimSpace(part)
		if heading, ok := strings.CutPrefix(part, "# "); ok && title == "" {
			title, part, _ = strings.Cut(heading, "\n")
			part = strings.TrimSpace(part)
		}
		if title == "" || part == "" || strings.HasPrefix(part, "<!--") {
			continue
		}
		summary = strings.Join(strings.Fields(part), " ")
		if i := strings.Index(summary, ". "); i > 0 {
			summary = summary[:i+1]
		}
		return title, summary
	}
	return title, ""
}

func Test_a_readme_is_described_by_its_heading_and_first_sentence(t *testing.T) {
	for readme, want := range map[string][2]string{
		"# Acme\n\nWrites to Acme. And more.\n\n## Next": {"Acme", "Writes to Acme."},
		"# Acme\nWrites\nto Acme.\n":                     {"Acme", "Writes to Acme."},
		"# Acme\n\n<!-- x -->\n\nWrites.":                {"Acme", "Writes."},
		"no heading":                                     {"", ""},
		"# Acme\n":                                       {"Acme", ""},
	} {
		if title, summary := describe(readme); title != want[0] || summary != want[1] {
			t.Errorf("%q: %q, %q", readme, title, summary)
		}
	}
	for link, relative := range map[string]bool{"[a](../x.md)": true, "[a](x.md)": true, "[a](docs/x)": true, "[a](#x)": false, "[a](https://x.example/y.md)": false} {
		if relativeLink.MatchString(link) != relative {
			t.Errorf("%s: relative should be %v", link, relative)
		}
	}
}
