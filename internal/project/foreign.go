package project

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
)

// maxForeign bounds how many foreign files are named one by one.
const maxForeign = 10

var ownSection = regexp.MustCompile(`(?m)^["']?((destinations|syncs|policies)["']?[ \t]*:|(models|sources)["']?[ \t]*:[ \t]*\r?\n[ \t]+[^ \t-])`)

// foreign reports whether a file below the project belongs to another program and leaves it alone with a warning. It is ours
// when one of our sections stands at its top level; then a misspelt key beside it is a fault. version and name alone say nothing,
// half the world's YAML has them. dbt has sections with our names, but writes them as lists, or in dbt_project.yml; inside a dbt project
// nobody needs to be told of its files.
func (l *loader) foreign(rel string, src []byte, docs []*node, faults fault.List) bool {
	base := path.Base(rel)
	if base == "dbt_project.yml" || base == "dbt_project.yaml" {
		return true
	}
	if len(docs) == 0 {
		if len(faults) == 0 {
			return true // empty
		}
		// A template of another tool often is no valid YAML. Ours shows a section that dbt does not have.
		if holdsSection(src) {
			return false
		}
		l.leave(rel, fault.Where{File: rel, Line: 1, Column: 1}, "it is not valid YAML and holds no section of a project")
		return true
	}
	for _, doc := range docs {
		if ours(doc) {
			return false
		}
	}
	doc := docs[0]
	if l.inDBT(rel) && onlyDBT(doc) {
		return true
	}
	at := fault.Where{File: rel, Line: 1, Column: 1}
	for _, p := range doc.pairs {
		if p.key == "models" || p.key == "sources" {
			l.leave(rel, at, "it looks like a dbt file: `"+p.key+"` is a list")
			return true
		}
	}
	for _, p := range doc.pairs {
		if s := Suggest(p.key, projectKeys.names()); s != "" {
			l.leave(rel, at, "no key at its top is a section of a project").WithFix("did you mean `%s` for `%s` in line %d?", s, p.key, p.keyAt.Line)
			return true
		}
	}
	l.leave(rel, at, "no key at its top is a section of a project")
	return true
}

// dbtSections are the keys at the top of dbt's own files: https://docs.getdbt.com/reference/dbt_project.yml and the pages on properties.
var dbtSections = []string{
	"version", "models", "sources", "seeds", "snapshots", "macros", "analyses", "exposures", "metrics", "semantic_models", "saved_queries", "unit_tests",
	"data_tests", "tests", "groups", "functions", "packages", "projects", "selectors", "sha1_hash",
}

// inDBT reports whether a file lies in a dbt project that is part of this folder.
func (l *loader) inDBT(rel string) bool {
	for dir := path.Dir(rel); ; dir = path.Dir(dir) {
		info, err := os.Stat(filepath.Join(l.dir, filepath.FromSlash(dir), "dbt_project.yml"))
		if err == nil && info.Mode().IsRegular() {
			return true
		}
		if dir == "." || dir == "/" {
			return false
		}
	}
}

func onlyDBT(doc *node) bool {
	return doc.kind == isMap && !slices.ContainsFunc(doc.pairs, func(p pair) bool { return !slices.Contains(dbtSections, p.key) })
}

// holdsSection reports whether text that cannot be read as YAML shows a section of ours. Without its zeros and byte order mark UTF-16
// can be searched too.
func holdsSection(src []byte) bool {
	return ownSection.Match(bytes.TrimLeft(bytes.ReplaceAll(src, []byte{0}, nil), "\xff\xfe\ufeff"))
}

func ours(doc *node) bool {
	if doc.kind != isMap {
		return false
	}
	dbt := doc.find("version") != nil && doc.find("version").text == "2"
	for _, p := range doc.pairs {
		switch p.key {
		case "destinations", "syncs", "policies":
			return true
		case "sources", "models":
			if p.value.kind != isList && !dbt {
				return true
			}
		}
	}
	return false
}

// leave warns of a file left alone. Hidden files are left alone in silence: they are other tools' settings.
func (l *loader) leave(rel string, at fault.Where, why string) *fault.Error {
	if strings.HasPrefix(path.Base(rel), ".") {
		return &fault.Error{}
	}
	n := 0
	for _, w := range l.warnings {
		if w.Code == fault.ProjectForeign {
			n++
		}
	}
	switch {
	case n < maxForeign:
		return l.warn(fault.ProjectForeign, at, "leaving the file alone: %s", why)
	case n == maxForeign:
		return l.warn(fault.ProjectForeign, at, "leaving the file alone, and others after it: %s", why)
	}
	return &fault.Error{}
}

// nearest is the suggestion among the keys of a map.
func nearest[V any](word string, m map[string]V) string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return Suggest(word, names)
}
