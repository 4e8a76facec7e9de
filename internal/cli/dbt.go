package cli

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

func (a *app) dbtCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dbt",
		Short: "Check pull requests of dbt, and show syncs in dbt's docs",
		Long: `Models may be models of dbt: ` + "`dbt: name`" + ` in a model. Upwell reads the files dbt leaves in its target folder, it never runs dbt.
docs/guide/dbt.md says how.`,
		Example: "  upwell dbt check --manifest target/manifest.json\n  upwell dbt exposures --out ../analytics/models/upwell.yml",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(a.dbtCheckCommand(), a.dbtExposuresCommand())
	return cmd
}

// dbtCheckResult is what becomes of syncs under another manifest.
type dbtCheckResult struct {
	OK       bool          `json:"ok"`
	Manifest dbtFile       `json:"manifest"`
	Base     *dbtFile      `json:"compared_with"` // null: there was nothing to compare with
	Syncs    []dbtSync     `json:"syncs"`
	Skipped  []skippedSync `json:"skipped,omitempty"`
	strict   bool
}

type dbtFile struct {
	File        string  `json:"file"`
	Schema      int     `json:"manifest_version"`
	DBT         string  `json:"dbt_version"`
	Project     string  `json:"project"`
	GeneratedAt instant `json:"generated_at"`
}

type dbtSync struct {
	Sync     string       `json:"sync"`
	Model    string       `json:"model"`
	DBT      string       `json:"dbt"`
	Status   string       `json:"status"` // ok | breaks | warning | unknown
	Findings []dbtFinding `json:"findings"`
}

type dbtFinding struct {
	Change     dbt.Change  `json:"change"`
	Weight     dbt.Weight  `json:"weight"` // breaks | warning | unknown
	Column     string      `json:"column,omitempty"`
	UsedAs     []string    `json:"used_as"`
	Suggestion string      `json:"suggestion,omitempty"`
	Message    string      `json:"message"`
	Where      fault.Where `json:"where"`
}

func (r *dbtCheckResult) text(p *printer) {
	broken, unsure := 0, 0
	for _, s := range r.Syncs {
		style, word := green, s.Status
		switch s.Status {
		case "ok":
		case "breaks":
			style, word = red, "BREAKS"
			broken++
		default:
			style = yellow
			unsure++
		}
		p.line("%s  %s (%s)", p.paint(style, word), s.Sync, clean(s.DBT))
		for _, f := range s.Findings {
			used := ""
			if len(f.UsedAs) > 0 {
				used = "; used as " + strings.Join(f.UsedAs, ", ")
			}
			p.line("    %s: %s%s", f.Where, clean(f.Message), clean(used))
			if f.Suggestion != "" {
				p.line("        fix: did you mean `%s`?", clean(f.Suggestion))
			}
		}
	}
	for _, s := range r.Skipped {
		p.line("skipped  %s: %s", s.Sync, clean(s.Reason))
	}
	p.blank()
	if r.Base == nil {
		p.line("compared with nothing: columns that the manifest does not list cannot be judged; --base names a manifest to compare with")
	}
	switch {
	case len(r.Syncs) == 0:
		p.line("no sync reads a model of this dbt project")
	default:
		p.line("%s: %d broken, %d to look at", plural(int64(len(r.Syncs)), "sync"), broken, unsure)
	}
}

// exit is 1 when a sync breaks; with strict also when something changed or cannot be told.
func (r *dbtCheckResult) exit() int {
	for _, s := range r.Syncs {
		if s.Status == "breaks" || r.strict && s.Status != "ok" {
			return fault.ExitFailed
		}
	}
	return fault.ExitOK
}

func (a *app) dbtCheckCommand() *cobra.Command {
	var manifest, base, catalog string
	var strict bool
	cmd := &cobra.Command{
		Use:   "check [SYNC...]",
		Short: "Tell which syncs a pull request of dbt would break",
		Long: `Compares what syncs use of dbt models with a manifest, the one of a pull request: models and columns that are gone or renamed,
types that change, models that become ephemeral or disabled. It needs no connection and no secret.

The manifest to compare with is the project's own, or the one --base names. A manifest lists the columns that are documented; with an
enforced contract, or with --catalog, the list is complete.

Exit code 0: nothing breaks; 1: a sync would break; 2: the call, the project or a file is wrong.`,
		Example: "  upwell dbt check --manifest target/manifest.json --base prod/manifest.json\n" +
			"  upwell dbt check --manifest target/manifest.json --catalog target/catalog.json --json",
		Args:              between(0, -1),
		ValidArgsFunction: a.completeNames(-1, syncNames),
		RunE: func(_ *cobra.Command, args []string) error {
			if manifest == "" {
				return fault.New(fault.UsageUnknown, "--manifest is missing").WithFix("name the manifest.json of the pull request")
			}
			p, err := a.load(project.WithoutSecrets(), project.WithoutManifest())
			if err != nil {
				return err
			}
			syncs, err := p.Order(args)
			if err != nil {
				return err
			}
			c := &dbtCheck{p: p, bases: map[string]*dbt.Manifest{}, explicit: base != ""}
			if err := c.open(manifest, base, catalog); err != nil {
				return err
			}
			r := &dbtCheckResult{Syncs: []dbtSync{}, Manifest: newDBTFile(manifest, c.new), strict: strict}
			for _, s := range syncs {
				if err := c.sync(s, r); err != nil {
					return err
				}
			}
			code := r.exit()
			r.OK = code == fault.ExitOK
			if err := a.show(r); err != nil {
				return err
			}
			return end(code)
		},
	}
	f := cmd.Flags()
	f.StringVar(&manifest, "manifest", "", "manifest.json of the pull request")
	f.StringVar(&base, "base", "", "manifest.json to compare with; the project's own without it")
	f.StringVar(&catalog, "catalog", "", "catalog.json of the pull request, which lists every column")
	f.BoolVar(&strict, "strict", false, "exit 1 also for changes to look at and for what cannot be told")
	return cmd
}

func newDBTFile(name string, m *dbt.Manifest) dbtFile {
	return dbtFile{File: name, Schema: m.Schema, DBT: m.DBT, Project: m.Project, GeneratedAt: instant(m.GeneratedAt)}
}

// dbtCheck compares a project with a manifest.
type dbtCheck struct {
	p        *project.Project
	new      *dbt.Manifest
	newInfo  os.FileInfo
	catalog  *dbt.Catalog
	base     *dbt.Manifest // of --base
	baseName string
	explicit bool
	bases    map[string]*dbt.Manifest // the project's own, by path; nil = none
}

func (c *dbtCheck) newer() bool { return c.p.DBT != nil && c.p.DBT.AcceptNewer }

func (c *dbtCheck) open(manifest, base, catalog string) (err error) {
	if c.new, err = dbt.ReadManifest(path(manifest), manifest, c.newer()); err != nil {
		return err
	}
	if c.newInfo, err = os.Stat(path(manifest)); err != nil {
		return fault.Wrap(fault.DBTArtifact, err, "reading dbt's %s", manifest)
	}
	if base != "" {
		if c.base, err = dbt.ReadManifest(path(base), base, c.newer()); err != nil {
			return err
		}
		c.baseName = base
	}
	if catalog != "" {
		c.catalog, err = dbt.ReadCatalog(path(catalog), catalog, c.newer())
	}
	return err
}

// baseOf gives the manifest a model is compared with; nil when there is none, or when it is the one that is checked.
func (c *dbtCheck) baseOf(m *project.Model) (*dbt.Manifest, string, error) {
	if c.explicit {
		return c.base, c.baseName, nil
	}
	if known, ok := c.bases[m.Manifest.Path]; ok {
		return known, m.Manifest.Name, nil
	}
	var found *dbt.Manifest
	info, err := os.Stat(m.Manifest.Path)
	if err == nil && !os.SameFile(info, c.newInfo) {
		found, err = dbt.ReadManifest(m.Manifest.Path, m.Manifest.Name, c.newer())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	c.bases[m.Manifest.Path] = found
	return found, m.Manifest.Name, nil
}

func (c *dbtCheck) sync(s *project.Sync, r *dbtCheckResult) error {
	m := c.p.Models[s.Model]
	if m.DBT == "" {
		return nil
	}
	base, name, err := c.baseOf(m)
	if err != nil {
		return err
	}
	q := dbt.Comparison{Ref: m.Ref, New: c.new, Catalog: c.catalog, Filter: s.Filter, NoKey: len(m.Key) == 0, Near: project.Suggest}
	if base != nil {
		if base.Project != c.new.Project {
			r.Skipped = append(r.Skipped, skippedSync{s.Name, "its model is of the dbt project " + base.Project + ", the manifest of " + c.new.Project})
			return nil
		}
		if r.Base == nil {
			f := newDBTFile(name, base)
			r.Base = &f
		}
		if q.Base, err = base.Find(m.Ref); err != nil {
			q.Base = nil // new in the pull request: nothing to compare with
		}
	}
	uses := c.p.Uses(s)
	if q.NoKey {
		for _, key := range keyIn(q.Base) {
			uses = append(uses, project.Use{Column: key, As: "the key", Where: m.Where})
		}
	}
	for _, u := range uses {
		if !slices.Contains(q.Columns, u.Column) {
			q.Columns = append(q.Columns, u.Column)
		}
	}
	out := dbtSync{Sync: s.Name, Model: m.Name, DBT: m.DBT, Status: "ok", Findings: []dbtFinding{}}
	for _, f := range q.Compare() {
		one := dbtFinding{Change: f.Change, Weight: f.Weight, Column: f.Column, UsedAs: []string{}, Suggestion: f.Suggestion, Message: f.Message, Where: m.Where}
		if f.Change == dbt.FilterColumn || f.Change == dbt.FilterUnknown {
			one.Where = s.Where
		}
		for _, u := range uses {
			if u.Column == f.Column {
				if len(one.UsedAs) == 0 {
					one.Where = u.Where
				}
				one.UsedAs = append(one.UsedAs, u.As)
			}
		}
		out.Findings = append(out.Findings, one)
		out.Status = graver(out.Status, string(f.Weight))
	}
	r.Syncs = append(r.Syncs, out)
	return nil
}

func keyIn(m *dbt.Model) []string {
	if m == nil {
		return nil
	}
	return m.Key
}

func graver(x, y string) string {
	order := []string{"ok", string(dbt.Unknown), string(dbt.Warns), string(dbt.Breaks)}
	if slices.Index(order, y) > slices.Index(order, x) {
		return y
	}
	return x
}
