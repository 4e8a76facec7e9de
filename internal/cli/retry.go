package cli

import (
	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/project"
)

type retryResult struct {
	Sync string `json:"sync"`
	Due  int64  `json:"due"`
}

func (r *retryResult) text(p *printer) {
	if r.Due == 0 {
		p.line("%s has no rejected or unknown rows", r.Sync)
		return
	}
	p.line("%s due now; `%s run %s` sends what is still different", plural(r.Due, "row"), p.upwell, r.Sync)
}

func (a *app) retryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "retry SYNC",
		Short: "Make rejected rows due now",
		Long: `Makes the rejected rows of a sync due now, instead of after their backoff of 1 hour, 6 hours, then daily. Rows whose outcome is not
known and that wait for a person are sent again too. The next run sends them.`,
		Example:           "  upwell retry health_to_crm && upwell run health_to_crm",
		Args:              between(1, 1),
		ValidArgsFunction: a.completeNames(1, syncNames),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			p, err := a.writing(cmd.Context(), project.WithoutSecrets())
			if err != nil {
				return err
			}
			defer p.closing(&err)
			s, err := p.sync(args[0])
			if err != nil {
				return err
			}
			n, err := p.Store.MakeDue(cmd.Context(), s.Name)
			if err != nil {
				return err
			}
			return a.show(&retryResult{s.Name, n})
		},
	}
}
