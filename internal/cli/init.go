package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/project"
)

type initResult struct {
	Dir  string   `json:"dir"`
	Next []string `json:"next"`
}

func (r *initResult) text(p *printer) {
	p.line("made a project in %s", r.Dir)
	p.blank()
	p.line("next:")
	for _, n := range r.Next {
		p.line("  %s", n)
	}
}

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a small working project",
		Long: `Writes a project that works at once: a model over a CSV file, read by DuckDB, kept in step with a JSON Lines file.
Nothing that exists is overwritten.`,
		Example: "  upwell init my-project\n  upwell init",
		Args:    between(0, 1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(_ *cobra.Command, args []string) error {
			dir := a.dir
			if len(args) == 1 {
				dir = args[0]
				if !filepath.IsAbs(dir) {
					dir = filepath.Join(a.dir, dir)
				}
			}
			if err := project.Init(dir); err != nil {
				return err
			}
			if err := project.WriteSchema(dir, a.registry()); err != nil {
				return err
			}
			in := ""
			if filepath.Clean(dir) != "." {
				in = " -C " + dir
			}
			return a.show(&initResult{Dir: dir, Next: []string{
				"upwell" + in + " plan    # what a run would do; sends nothing",
				"upwell" + in + " run     # do it",
				"upwell" + in + " status",
			}})
		},
	}
}
