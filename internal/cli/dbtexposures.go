package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/project"
)

type exposuresResult struct {
	File      string         `json:"file,omitempty"`
	Exposures []dbt.Exposure `json:"exposures"`
	Skipped   []skippedSync  `json:"skipped"`
	yaml      []byte
}

func (r *exposuresResult) text(p *printer) {
	if r.File == "" {
		p.b.Write(r.yaml)
		return
	}
	p.line("%s: %s", r.File, plural(int64(len(r.Exposures)), "exposure"))
	for _, s := range r.Skipped {
		p.line("  without %s: %s", s.Sync, s.Reason)
	}
}

func (a *app) dbtExposuresCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "exposures",
		Short: "Write syncs as exposures of dbt, so that dbt's docs show where models go",
		Long: `Writes a properties file of dbt with one exposure per sync of a dbt model: which model goes to which object of which destination,
by which columns. It holds names only, no setting of a destination. The same project gives the same bytes.`,
		Example: "  upwell dbt exposures\n  upwell dbt exposures --out ../analytics/models/upwell_exposures.yml",
		Args:    between(0, 0),
		RunE: func(_ *cobra.Command, _ []string) error {
			p, err := a.load(project.WithoutSecrets())
			if err != nil {
				return err
			}
			r := exposures(p)
			if out != "" {
				r.File = out
				if err := writeWhole(path(out), r.yaml); err != nil {
					return err
				}
			}
			return a.show(r)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write to this file")
	return cmd
}

// exposures gives an exposure per sync of a dbt model, by name.
func exposures(p *project.Project) *exposuresResult {
	r := &exposuresResult{Exposures: []dbt.Exposure{}, Skipped: []skippedSync{}}
	taken := map[string]bool{}
	for _, name := range keys(p.Syncs) {
		s := p.Syncs[name]
		m := p.Models[s.Model]
		if m.Node == nil {
			r.Skipped = append(r.Skipped, skippedSync{name, "its model is not of dbt"})
			continue
		}
		e := dbt.Exposure{
			Name: "upwell_" + dbt.ExposureName(name), Label: s.Destination + ": " + s.Object, Description: describeSync(p, s), Owner: s.Owner,
			DependsOn: []string{m.Node.Reference(strings.Contains(m.DBT, ".v"+m.Node.Version) && m.Node.Version != "")},
		}
		for base, n := e.Name, 2; taken[e.Name]; n++ { // a-b and a_b
			e.Name = fmt.Sprintf("%s_%d", base, n)
		}
		taken[e.Name] = true
		for _, owner := range []string{m.Owner, p.Name} {
			if e.Owner == "" {
				e.Owner = owner
			}
		}
		r.Exposures = append(r.Exposures, e)
	}
	r.yaml = dbt.WriteExposures(r.Exposures)
	return r
}

// describeSync says what a sync does, in words for dbt's docs.
func describeSync(p *project.Project, s *project.Sync) string {
	var columns []string
	for _, u := range p.Uses(s) {
		if !slices.Contains(columns, u.Column) {
			columns = append(columns, u.Column)
		}
	}
	slices.Sort(columns)
	text := fmt.Sprintf("Upwell keeps %s in %s (%s) in step with this model, mode %s. Columns: %s.",
		s.Object, s.Destination, p.Destinations[s.Destination].Type, s.Mode, strings.Join(columns, ", "))
	if s.Description != "" {
		text = strings.TrimSpace(s.Description) + "\n\n" + text
	}
	return text
}
