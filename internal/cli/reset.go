package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

type resetResult struct {
	Sync    string `json:"sync"`
	Ledger  bool   `json:"ledger"`  // the ledger was forgotten too
	Refused int64  `json:"refused"` // rows on record as rejected, invalid or unknown that were forgotten
	Keys    int64  `json:"keys"`    // ledger keys that were forgotten
	NextRun string `json:"next_run"`
	done    bool
}

func (r *resetResult) text(p *printer) {
	verb := "this forgets"
	if r.done {
		verb = "forgot"
	}
	p.line("%s: %s %s on record as refused, open outcomes, and whether it is paused", p.paint(bold, r.Sync), verb, plural(r.Refused, "row"))
	if r.Ledger {
		p.line("  and the ledger: what was delivered for %s", plural(r.Keys, "key"))
	}
	p.line("  the next run %s", r.NextRun)
}

func (a *app) resetCommand() *cobra.Command {
	var withLedger, yes bool
	cmd := &cobra.Command{
		Use:   "reset SYNC",
		Short: "Forget what is known of a sync",
		Long: `Without --ledger: forgets the rows on record as rejected or unknown, open outcomes, and a pause. Rejected rows are sent again by the next run.

With --ledger: also forgets what was delivered. The next run is a first run: it sends every row of the model, and removes nothing,
because it knows nothing of what is in the tool.

The list of runs stays. It asks first; --yes does not.`,
		Example:           "  upwell reset health_to_crm\n  upwell reset health_to_crm --ledger --yes",
		Args:              between(1, 1),
		ValidArgsFunction: a.completeNames(1, syncNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.reset(cmd.Context(), args[0], withLedger, yes)
		},
	}
	cmd.Flags().BoolVar(&withLedger, "ledger", false, "also forget what was delivered")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) reset(ctx context.Context, name string, withLedger, yes bool) (err error) {
	if !yes {
		if err := a.canAsk("forgetting history"); err != nil {
			return err
		}
	}
	p, err := a.writing(ctx)
	if err != nil {
		return err
	}
	defer p.closing(&err)
	s, err := p.sync(name)
	if err != nil {
		return err
	}
	r, err := p.weigh(ctx, s, withLedger)
	if err != nil {
		return err
	}
	if !yes {
		a.tell(r.text)
		if !a.ask("go on?") {
			return fault.New(fault.Cancelled, "not reset: the answer was no").WithFix("nothing was changed")
		}
	}
	if withLedger {
		if err := p.Ledger(name).Reset(ctx); err != nil {
			return err
		}
	}
	if err := p.Store.Forget(ctx, name); err != nil {
		return err
	}
	r.done = true
	return a.show(r)
}

// weigh says what a reset forgets and what the next run will do.
func (o *opened) weigh(ctx context.Context, s *project.Sync, withLedger bool) (r *resetResult, err error) {
	r = &resetResult{Sync: s.Name, Ledger: withLedger}
	refused, err := o.Store.Refusals(ctx, s.Name)
	if err != nil {
		return nil, err
	}
	r.Refused = int64(len(refused))
	if !withLedger {
		r.NextRun = "sends rejected rows again, and otherwise what has changed"
		return r, nil
	}
	snap, err := o.Ledger(s.Name).Snapshot(ctx)
	if err != nil {
		if !fault.Is(err, fault.StateCorrupt) {
			return nil, err
		}
	} else {
		r.Keys = snap.Meta().Rows
		if err := snap.Close(); err != nil {
			return nil, err
		}
	}
	r.NextRun = fmt.Sprintf("is a first run: it sends every row of %s to %s.%s and removes nothing", s.Model, s.Destination, s.Object)
	switch {
	case s.Baseline:
		r.NextRun = fmt.Sprintf("is a first run: it records the rows of %s as delivered and sends nothing (first_run: baseline)", s.Model)
	case s.Mode == connector.ModeInsert:
		r.NextRun += "; records that exist are refused or skipped, as on_exists says"
	case s.Mode == connector.ModeAppend:
		r.NextRun += "; events the tool has already may be there twice"
	}
	return r, nil
}
