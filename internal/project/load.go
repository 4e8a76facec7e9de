package project

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/fault"
)

// File is the name of the file that makes a folder a project.
const File = "upwell.yml"

// Option changes how a project is loaded.
type Option func(*options)

type options struct {
	env             func(string) (string, bool)
	withoutSecrets  bool
	withoutManifest bool
}

// WithoutSecrets makes references that cannot be resolved warnings instead of faults, so that a project can be checked where
// its variables are not set. Settings with such a reference have no value; the project must not be run.
func WithoutSecrets() Option { return func(o *options) { o.withoutSecrets = true } }

// WithEnv looks variables up elsewhere than in the process's environment.
func WithEnv(lookup func(name string) (string, bool)) Option {
	return func(o *options) { o.env = lookup }
}

// Load reads and checks the project in dir. Every fault of the project is in the list, sorted by file and line, with its place;
// with any fault the Project is nil. What does not hinder is in Project.Warnings.
func Load(dir string, reg Registry, opts ...Option) (*Project, fault.List) {
	l := &loader{
		reg: reg, opts: options{env: os.LookupEnv}, defined: map[string]map[string]fault.Where{}, manifests: map[string]*dbt.Manifest{},
	}
	for _, o := range opts {
		o(&l.opts)
	}
	l.load(dir)
	sortFaults(l.faults)
	sortFaults(l.warnings)
	if len(l.faults) > 0 {
		return nil, l.faults
	}
	l.p.Warnings = l.warnings
	return l.p, nil
}

type loader struct {
	dir      string
	reg      Registry
	opts     options
	p        *Project
	faults   fault.List
	warnings fault.List
	defined  map[string]map[string]fault.Where // section -> name -> place
	parts    map[string][]pair                 // section -> entries of all files
	policies []*node

	dbtNode   *node // the settings of dbt, nil = none
	manifests map[string]*dbt.Manifest
}

func (l *loader) load(dir string) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		l.fail(fault.ProjectNotFound, fault.Where{File: File}, "finding the project folder: %v", err)
		return
	}
	l.dir = abs
	l.p = &Project{
		Dir: abs, Sources: map[string]*Connection{}, Destinations: map[string]*Connection{},
		Models: map[string]*Model{}, Syncs: map[string]*Sync{},
	}
	if _, err := os.Stat(filepath.Join(abs, File)); err != nil {
		f := l.fail(fault.ProjectNotFound, fault.Where{File: File}, "finding the project: there is no %s in %s", File, abs)
		if _, err := os.Stat(filepath.Join(abs, "upwell.yaml")); err == nil {
			f.WithFix("rename upwell.yaml to %s", File)
		}
		return
	}
	l.parts = map[string][]pair{}
	for _, file := range l.files() {
		l.file(file)
	}
	if l.dbtNode != nil {
		l.dbt(l.dbtNode.at)
	}
	for _, section := range []struct {
		name  string
		build func(name string, p pair)
	}{
		{"sources", l.source}, {"destinations", l.destination}, {"models", l.model}, {"syncs", l.sync},
	} {
		for _, p := range l.parts[section.name] {
			section.build(p.key, p)
		}
	}
	l.spellColumns()
	for _, n := range l.policies {
		l.policy(n)
	}
	l.checkOrder()
	if len(l.faults) == 0 {
		l.lint()
	}
}

// files lists the project's YAML files: upwell.yml first, then the others by path. Hidden folders (.upwell among them) and
// node_modules are left out, and so is a folder below with an upwell.yml of its own: it is another project.
func (l *loader) files() []string {
	var out []string
	walk := func(path string, d fs.DirEntry, err error) error {
		rel := l.rel(path)
		if err != nil {
			l.fail(fault.ProjectUnreadable, fault.Where{File: rel}, "reading the project folder: %s cannot be read", tick(rel))
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			if rel == "." {
				return nil
			}
			if strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, File)); err == nil {
				return fs.SkipDir
			}
			return nil
		}
		ext := filepath.Ext(path)
		if (ext == ".yml" || ext == ".yaml") && rel != File {
			out = append(out, rel)
		}
		return nil
	}
	if err := filepath.WalkDir(l.dir, walk); err != nil {
		l.fail(fault.ProjectUnreadable, fault.Where{File: File}, "reading the project folder: %v", err)
	}
	slices.Sort(out)
	return append([]string{File}, out...)
}

func (l *loader) rel(path string) string {
	rel, err := filepath.Rel(l.dir, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(rel)
}

// file reads one file into the sections.
func (l *loader) file(rel string) {
	start := fault.Where{File: rel, Line: 1, Column: 1}
	src, problem := readRegular(filepath.Join(l.dir, filepath.FromSlash(rel)), maxFile)
	switch {
	case problem != "" && strings.HasPrefix(filepath.Base(rel), "."):
		return // another tool's, or an editor's lock
	case problem == "is too large" && rel != File && !holdsSection(src):
		l.leave(rel, start, "it is large and holds no section of a project")
		return
	case problem == "is too large":
		l.fail(fault.ProjectLimit, start, "reading the file: larger than %d MiB", maxFile>>20)
		return
	case problem != "":
		l.fail(fault.ProjectUnreadable, start, "reading the file: it %s", problem)
		return
	}
	docs, faults := readYAML(rel, src)
	if rel != File && l.foreign(rel, src, docs, faults) {
		return
	}
	l.faults = append(l.faults, faults...)
	if len(docs) > 1 {
		l.fail(fault.ProjectSyntax, docs[1].at, "reading the file: it holds %d YAML documents", len(docs)).WithFix("put each document in a file of its own")
	}
	if rel == File {
		l.head(start, docs, len(faults) > 0)
	}
	if len(docs) > 0 && docs[0].kind != isNull {
		l.sections(rel, docs[0])
	}
}

// head reads what only upwell.yml may say.
func (l *loader) head(start fault.Where, docs []*node, broken bool) {
	l.p.Name, l.p.Version = filepath.Base(l.dir), 1
	if len(docs) == 0 && broken {
		return
	}
	var doc *node
	if len(docs) > 0 {
		doc = docs[0]
	}
	if doc == nil || doc.kind == isNull || doc.kind == isMap && doc.find("version") == nil {
		l.fail(fault.ProjectMissing, start, "reading the project: key `version` is missing").WithFix("add `version: 1` at the top of %s", File)
	}
	if n := doc.find("name"); n != nil {
		if s, ok := l.text(n, "`name` of the project"); ok {
			l.p.Name = s
		}
	}
}

func (l *loader) sections(rel string, doc *node) {
	if !l.mapping(doc, "the project") {
		return
	}
	for _, p := range doc.pairs {
		switch {
		case p.key == "version":
			if p.value.kind != isInt || p.value.text != "1" {
				l.fail(fault.ProjectValue, p.value.at, "reading the project: version %s is not known", p.value.show()).WithFix("write `version: 1`")
			}
		case p.key == "name":
			if rel != File {
				l.fail(fault.ProjectUnknownKey, p.keyAt, "reading the project: `name` may stand in %s only", File).WithFix("remove it here")
			}
		case p.key == "policies":
			l.policyList(p.value)
		case p.key == "dbt":
			l.dbtSection(rel, p)
		case slices.Contains(projectKeys.names(), p.key):
			l.section(p.key, p.value)
		case strings.HasPrefix(p.key, "x-"): // a place for anchors
		default:
			l.unknownKey(p, "the project", projectKeys.names())
		}
	}
}

// section takes the entries of sources, destinations, models or syncs.
func (l *loader) section(name string, n *node) {
	if n.kind == isNull {
		return
	}
	if !l.mapping(n, "`"+name+"`") {
		return
	}
	one := strings.TrimSuffix(name, "s")
	if l.defined[name] == nil {
		l.defined[name] = map[string]fault.Where{}
	}
	for _, p := range n.pairs {
		if first, dup := l.defined[name][p.key]; dup {
			l.fail(fault.ProjectDuplicate, p.keyAt, "reading %s %s: it is defined twice, first at %s", one, tick(p.key), first).
				WithFix("rename or remove one of %s and %s", first, p.keyAt)
			continue
		}
		l.name(p.key, one, p.keyAt)
		l.defined[name][p.key] = p.keyAt
		l.parts[name] = append(l.parts[name], p)
	}
}

// refer checks that a name, read from n, is defined.
func (l *loader) refer(section, name string, n *node, what string) bool {
	if _, ok := l.defined[section][name]; ok {
		return true
	}
	names := make([]string, 0, len(l.defined[section]))
	for n := range l.defined[section] {
		names = append(names, n)
	}
	slices.Sort(names)
	one := strings.TrimSuffix(section, "s")
	otherwise := "define " + one + " " + n.shown(name)
	if len(names) > 0 && len(names) <= 10 {
		otherwise += ", or use one of " + words(names)
	}
	l.fail(fault.ProjectReference, n.at, "reading %s: there is no %s %s", what, one, n.shown(name)).WithFix("%s", didYouMean(name, names, "%s", otherwise))
	return false
}

func sortFaults(list fault.List) {
	slices.SortStableFunc(list, func(a, b *fault.Error) int {
		var x, y fault.Where
		if a.Where != nil {
			x = *a.Where
		}
		if b.Where != nil {
			y = *b.Where
		}
		// upwell.yml is where a reader begins.
		return cmp.Or(
			cmp.Compare(btoi(x.File != File), btoi(y.File != File)), cmp.Compare(x.File, y.File),
			cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column), cmp.Compare(a.Message, b.Message),
		)
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Registry tells which connectors there are.
type Registry interface {
	SourceSpec(typ string) (connector.Spec, bool)
	DestinationSpec(typ string) (connector.Spec, bool)
	Types() (sources, destinations []string)
}

type registry struct {
	sources, destinations map[string]connector.Spec
}

// NewRegistry makes a Registry of connector specs.
func NewRegistry(sources, destinations []connector.Spec) Registry {
	r := registry{map[string]connector.Spec{}, map[string]connector.Spec{}}
	for _, s := range sources {
		r.sources[s.Type] = s
	}
	for _, s := range destinations {
		r.destinations[s.Type] = s
	}
	return r
}

func (r registry) SourceSpec(typ string) (connector.Spec, bool) {
	s, ok := r.sources[typ]
	return s, ok
}

func (r registry) DestinationSpec(typ string) (connector.Spec, bool) {
	s, ok := r.destinations[typ]
	return s, ok
}

func (r registry) Types() (sources, destinations []string) {
	for t := range r.sources {
		sources = append(sources, t)
	}
	for t := range r.destinations {
		destinations = append(destinations, t)
	}
	slices.Sort(sources)
	slices.Sort(destinations)
	return sources, destinations
}
