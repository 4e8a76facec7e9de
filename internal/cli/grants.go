package cli

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

// grantsResult is the SQL that gives a source's user what it needs.
type grantsResult struct {
	Source string   `json:"source"`
	Type   string   `json:"type"`
	Read   string   `json:"read"`              // to read models
	Ledger string   `json:"ledger"`            // besides, for diff: warehouse; "" where that is not offered
	Fill   []string `json:"fill_in,omitempty"` // what the project does not say
	diff   string
}

func (r *grantsResult) text(p *printer) {
	p.line("-- %s (%s): to read models", r.Source, r.Type)
	p.line("%s", r.Read)
	if r.Ledger != "" {
		p.blank()
		p.line("-- besides, for diff: warehouse (this source has diff: %s)", r.diff)
		p.line("%s", r.Ledger)
	}
	if len(r.Fill) > 0 {
		p.blank()
		p.line("-- fill in: %s", strings.Join(r.Fill, ", "))
	}
}

func (a *app) grantsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "grants SOURCE",
		Short: "Print the SQL that gives a source's user what it needs",
		Long: `Prints the statements that let the user of a source read models, and those it needs besides for diff: warehouse. An administrator of the
warehouse runs them; nothing is connected to. What the project does not say stands in braces, to be filled in.`,
		Example:           "  upwell grants warehouse\n  upwell grants warehouse --json",
		Args:              between(1, 1),
		ValidArgsFunction: a.completeNames(1, sourceNames),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := a.load(project.WithoutSecrets())
			if err != nil {
				return err
			}
			c, ok := p.Sources[args[0]]
			if !ok {
				return unknownSource(p, args[0])
			}
			s, ok := a.Source(c.Type)
			if !ok || s.Spec.Grants.Read == "" {
				return fault.New(fault.NotFound, "no grants are known for a source of type %s", c.Type)
			}
			return a.show(grants(c, s.Spec.Grants.Read, s.Spec.Grants.Ledger))
		},
	}
}

func unknownSource(p *project.Project, name string) error {
	f := fault.New(fault.NotFound, "looking for source %q: there is none", name)
	if _, ok := p.Destinations[name]; ok {
		return f.WithFix("%s is a destination; its page in docs/connectors says what it needs", name)
	}
	if near := project.Suggest(name, keys(p.Sources)); near != "" {
		f.WithFix("did you mean `%s`?", near)
	}
	return f
}

// blank is a place in a grant for a setting.
var blank = regexp.MustCompile(`\{[a-z_]+\}`)

// grants fills in what the project says.
func grants(c *project.Connection, read, ledger string) *grantsResult {
	r := &grantsResult{Source: c.Name, Type: c.Type, diff: c.Diff}
	missing := map[string]bool{}
	fill := func(sql string) string {
		return blank.ReplaceAllStringFunc(sql, func(b string) string {
			name := strings.Trim(b, "{}")
			v := c.Config.String(name)
			if name == "state_schema" {
				if v = c.StateSchema; v == "" {
					v = "upwell"
				}
			}
			if v == "" {
				missing[b] = true
				return b
			}
			return v
		})
	}
	r.Read, r.Ledger = fill(read), fill(ledger)
	r.Fill = keys(missing)
	return r
}
