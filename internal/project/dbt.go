package project

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/fault"
)

// DBT is where dbt's artifacts are and what is asked of them.
type DBT struct {
	Manifest, RunResults, Sources, Catalog dbt.File
	Gate                                   dbt.Mode
	AcceptNewer                            bool
}

// WithoutManifest leaves models of dbt unresolved, for commands that bring a manifest of their own or need none. Such a project must not
// be run: its dbt models have no SQL, and no key where the manifest would tell it.
func WithoutManifest() Option { return func(o *options) { o.withoutManifest = true } }

// dbtSection reads the top-level key dbt.
func (l *loader) dbtSection(rel string, p pair) {
	switch {
	case rel != File:
		l.fail(fault.ProjectUnknownKey, p.keyAt, "reading the project: `dbt` may stand in %s only", File).WithFix("move it there")
	case p.value.kind != isNull && l.object(p.value, p.keyAt, "`dbt`", dbtKeys):
		l.dbtNode = p.value
	}
}

// dbt gives the settings, looked for and read once, when something first asks for them. at is who asks.
func (l *loader) dbt(at fault.Where) *DBT {
	if l.p.DBT != nil {
		return l.p.DBT
	}
	n := l.dbtNode
	d := &DBT{Gate: choose(l, n.find("gate"), of("gate", "`dbt`"), dbt.GateResults, dbt.GateResults, dbt.GateRequired, dbt.GateOff)}
	d.AcceptNewer = l.bool(n.find("accept_newer"), of("accept_newer", "`dbt`"))
	l.p.DBT = d
	target := l.dbtTarget(at)
	for _, f := range []struct {
		key, name string
		to        *dbt.File
	}{
		{"manifest", "manifest.json", &d.Manifest},
		{"run_results", "run_results.json", &d.RunResults},
		{"sources", "sources.json", &d.Sources},
		{"catalog", "catalog.json", &d.Catalog},
	} {
		path := filepath.Join(target, f.name)
		if s, ok := l.text(n.find(f.key), of(f.key, "`dbt`")); ok {
			path = l.within(l.dir, s)
		}
		*f.to = l.artifact(path)
	}
	return d
}

// dbtTarget gives dbt's target folder.
func (l *loader) dbtTarget(at fault.Where) string {
	n := l.dbtNode
	target := "target"
	if s, ok := l.text(n.find("target_path"), of("target_path", "`dbt`")); ok {
		target = s
	}
	if s, ok := l.text(n.find("project_dir"), of("project_dir", "`dbt`")); ok {
		return l.within(l.within(l.dir, s), target)
	}
	if s, ok := l.text(n.find("manifest"), of("manifest", "`dbt`")); ok && n.find("target_path") == nil {
		return filepath.Dir(l.within(l.dir, s))
	}
	found := l.dbtProjects(target)
	if len(found) > 1 {
		names := make([]string, len(found))
		for i, dir := range found {
			names[i] = l.rel(dir)
		}
		l.fail(fault.DBTArtifact, at, "looking for dbt's files: there are several dbt projects nearby: %s", words(names)).
			WithFix("say which: `dbt: {project_dir: %s}` in %s", names[0], File)
	}
	if len(found) == 0 {
		found = []string{l.dir}
	}
	return l.within(found[0], target)
}

// dbtProjects looks for dbt projects where people have them: the project folder itself, a folder in it, the folder above, a folder
// beside it. The nearest kind counts.
func (l *loader) dbtProjects(target string) []string {
	has := func(dir, name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && info.Mode().IsRegular()
	}
	projects := func(pattern string) []string {
		names, err := filepath.Glob(filepath.Join(pattern, "dbt_project.y*ml"))
		if err != nil {
			return nil // a folder whose own name is a pattern
		}
		for i := range names {
			names[i] = filepath.Dir(names[i])
		}
		return slices.Compact(names)
	}
	if has(l.dir, "dbt_project.yml") || has(l.within(l.dir, target), "manifest.json") {
		return []string{l.dir}
	}
	above := filepath.Dir(l.dir)
	for _, pattern := range []string{filepath.Join(l.dir, "*"), above, filepath.Join(above, "*")} {
		if found := projects(pattern); len(found) > 0 {
			return found
		}
	}
	return nil
}

// within gives a path of the project as a path of the machine.
func (l *loader) within(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, filepath.FromSlash(path))
}

func (l *loader) artifact(path string) dbt.File { return dbt.File{Path: path, Name: l.rel(path)} }

// manifest reads a manifest once. nil: it cannot be read, which is reported where it was first asked for.
func (l *loader) manifest(f dbt.File, newer bool, at fault.Where) *dbt.Manifest {
	if m, ok := l.manifests[f.Path]; ok {
		return m
	}
	m, err := dbt.ReadManifest(f.Path, f.Name, newer)
	l.manifests[f.Path] = m
	if err != nil {
		e := fault.As(err)
		l.fail(e.Code, at, "%s", e.Message).WithFix("%s", e.GetFix())
		return nil
	}
	if m.Newer {
		l.warn(fault.DBTArtifact, at, "reading dbt's %s: its schema v%d is newer than this version knows", f.Name, m.Schema).
			WithFix("update Upwell; what it does not know was passed over")
	}
	return m
}

// dbtModel resolves a model of dbt: relation, key, columns.
func (l *loader) dbtModel(m *Model, n *node, what string) {
	at := of("dbt", what)
	ref, file, ok := l.dbtRef(n, at)
	if !ok {
		return
	}
	settings := l.dbt(n.at)
	gate := dbt.Gate{Mode: settings.Gate, Results: settings.RunResults, Sources: settings.Sources, Newer: settings.AcceptNewer}
	if file.Path == "" {
		file = settings.Manifest
	} else { // another project of dbt has results of its own
		gate.Results, gate.Sources = l.artifact(filepath.Join(filepath.Dir(file.Path), "run_results.json")), l.artifact(filepath.Join(filepath.Dir(file.Path), "sources.json"))
	}
	m.DBT, m.Ref, m.Manifest = ref.String(), ref, file
	if l.opts.withoutManifest {
		return
	}
	manifest := l.manifest(file, settings.AcceptNewer, n.at)
	if manifest == nil {
		return
	}
	gate.Manifest = manifest.GeneratedAt
	node, err := manifest.Find(ref)
	if err != nil {
		l.dbtMissing(err, manifest, file, n, at)
		return
	}
	if node.Relation == "" {
		l.fail(fault.ProjectValue, n.at, "reading %s: dbt makes no relation of %s, it is %s", at, tick(node.Name), node.Materialized).
			WithFix("materialise it as a view or table in dbt, or write the query as `sql`")
		return
	}
	if t := l.sourceType(m.Source); t != "" && manifest.Adapter != "" && !fitting(manifest.Adapter, t) {
		l.warn(fault.ProjectValue, n.at, "reading %s: dbt works on %s, and source `%s` is %s", at, manifest.Adapter, m.Source, t).
			WithFix("name the source that is dbt's warehouse")
	}
	m.Node, m.Gate = node, gate
	m.SQL, m.SQLWhere = "select * from "+node.Relation, n.at
	l.query(m.SQL, at, manifest.Adapter, func(int) fault.Where { return n.at })
	if m.Description == "" {
		m.Description = node.Description
	}
}

// dbtRef reads a reference to a model of dbt: a text, or a mapping with name, package, version and manifest.
func (l *loader) dbtRef(n *node, what string) (dbt.Ref, dbt.File, bool) {
	if n.kind != isMap {
		name, ok := l.text(n, what)
		return dbt.Ref{Name: strings.TrimSpace(name)}, dbt.File{}, ok
	}
	var ref dbt.Ref
	var file dbt.File
	if !l.object(n, n.at, what, dbtModelKeys) {
		return ref, file, false
	}
	name, ok := l.text(n.find("name"), of("name", what))
	ref.Name = strings.TrimSpace(name)
	ref.Package, _ = l.text(n.find("package"), of("package", what))
	if v, ok := l.text(n.find("version"), of("version", what)); ok {
		ref.Version = strings.TrimPrefix(strings.TrimSpace(v), "v")
	}
	if s, ok := l.text(n.find("manifest"), of("manifest", what)); ok {
		file = l.artifact(l.within(l.dir, s))
	}
	return ref, file, ok
}

func (l *loader) dbtMissing(err error, manifest *dbt.Manifest, file dbt.File, n *node, what string) {
	f := l.fail(fault.ProjectReference, n.at, "reading %s: %s in %s", what, err, file.Name)
	var missing *dbt.Missing
	if !errors.As(err, &missing) {
		return
	}
	switch {
	case len(missing.Several) > 0:
		f.WithFix("write one of %s", words(missing.Several))
		return
	case missing.Disabled:
		f.WithFix("enable it in dbt and let dbt write its manifest anew")
		return
	}
	names := missing.Names
	if strings.Contains(missing.Ref.String(), ".") {
		for _, one := range manifest.Models {
			names = append(names, dbt.Ref{Name: one.Name, Package: one.Package, Version: one.Version}.String())
		}
	}
	otherwise := "name a model of the manifest; if it is new, let dbt write the manifest anew: dbt parse"
	if len(missing.Names) > 0 && len(missing.Names) <= 10 {
		otherwise = "use one of " + words(missing.Names)
	}
	f.WithFix("%s", didYouMean(missing.Ref.String(), names, "%s", otherwise))
}

// fitting reports whether a source of this type reads what dbt makes with this adapter.
func fitting(adapter, source string) bool {
	same := map[string]string{"mariadb": "mysql", "spark": "databricks", "materialize": "postgres", "postgresql": "postgres", "greenplum": "postgres", "alloydb": "postgres"}
	if s, ok := same[adapter]; ok {
		adapter = s
	}
	return adapter == source
}

// dbtKey gives the key of a model that names none: the manifest's, where that leaves no doubt.
func (l *loader) dbtKey(m *Model, at fault.Where, what string) {
	switch {
	case len(m.Key) > 0 || m.Node == nil:
	case len(m.Node.Key) > 0:
		m.Key = slices.Clone(m.Node.Key)
	case len(m.Node.KeyOptions) > 0:
		l.fail(fault.ProjectMissing, at, "reading %s: key `key` is missing, and the manifest names several columns that could be it", what).
			WithFix("add `key` with one of %s, or with all of them if only together they name a row", words(m.Node.KeyOptions))
	default:
		l.fail(fault.ProjectMissing, at, "reading %s: key `key` is missing, and the manifest names no column that is unique and never null", what).
			WithFix("add `key`, or test the column in dbt with unique and not_null")
	}
}

// dbtColumns adds what the manifest says of columns to what the project says.
func (m *Model) dbtColumns() {
	for name, c := range m.Columns {
		if known, ok := m.Node.Column(name); ok {
			m.Columns[name] = c.with(known)
		}
	}
	for _, c := range m.Node.Columns {
		if _, ok := m.Columns[c.Name]; !ok {
			m.Columns[c.Name] = Column{}.with(c)
		}
	}
	if m.allPersonal() {
		for name, c := range m.Columns {
			m.Columns[name] = c.with(dbt.Column{Tags: []string{dbt.PII}})
		}
	}
}

// allPersonal: dbt marks the model as holding personal data and names no column that does, so any may.
func (m *Model) allPersonal() bool {
	return m.Node.Personal && !slices.ContainsFunc(m.Node.Columns, func(c dbt.Column) bool { return slices.Contains(c.Tags, dbt.PII) })
}

func (c Column) with(known dbt.Column) Column {
	if c.Description == "" {
		c.Description = known.Description
	}
	for _, t := range known.Tags {
		if !slices.Contains(c.Tags, t) {
			c.Tags = append(slices.Clone(c.Tags), t)
		}
	}
	return c
}

// spellColumns gives columns their tags under the names syncs use. A warehouse that folds names has EMAIL where dbt has email, and a
// policy must not miss it.
func (l *loader) spellColumns() {
	for _, s := range l.p.Syncs {
		m := l.p.Models[s.Model]
		if m == nil || m.Node == nil {
			continue
		}
		for _, u := range l.p.Uses(s) {
			c, known := m.Columns[u.Column]
			if d, ok := m.Node.Column(u.Column); ok && !known {
				c, known = c.with(d), true
			}
			if m.allPersonal() {
				c, known = c.with(dbt.Column{Tags: []string{dbt.PII}}), true
			}
			if known {
				m.Columns[u.Column] = c
			}
		}
	}
}
