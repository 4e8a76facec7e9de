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
	Ledger  bool   `json:"ledger"`  // what was delivered is forgotten
	Refused int64  `json:"refused"` // rows on record as rejected, invalid or unknown that were forgotten
	Keys    int64  `json:"keys"`    // ledger keys that were forgotten
	NextRun string `json:"next_run"`
	what    forgetting
	done    bool
}

// forgetting is how much of a sync is forgotten.
type forgetting int

const (
	everything forgetting = iota
	onlyLedger
	onlyPause
)

func (r *resetResult) text(p *printer) {
	verb := "this forgets"
	if r.done {
		verb = "forgot"
	}
	switch r.what {
	case everything:
		p.line("%s: %s %s on record as refused, open outcomes, and whether it is paused", p.paint(bold, r.Sync), verb, plural(r.Refused, "row"))
		p.line("  and the ledger: what was delivered for %s", plural(r.Keys, "key"))
	case onlyLedger:
		p.line("%s: %s the ledger: what was delivered for %s", p.paint(bold, r.Sync), verb, plural(r.Keys, "key"))
		p.line("  rows on record as refused, open outcomes and a pause stay")
	case onlyPause:
		p.line("%s: %s that it is paused", p.paint(bold, r.Sync), verb)
	}
	p.line("  the next run %s", r.NextRun)
}

func (a *app) resetCommand() *cobra.Command {
	var ledger, pause, yes bool
	cmd := &cobra.Command{
		Use:   "reset SYNC",
		Short: "Forget what is known of a sync",
		Long: `Forgets everything about a sync but its list of runs: what was delivered, the rows on record as rejected or unknown, open outcomes, and a
pause. The next run is a first run: it sends every row of the model, and removes nothing, because it knows nothing of what is in the tool.

With --ledger: forgets only what was delivered. Rows on record as refused wait as before, and what became of open requests is still settled.

With --pause: forgets only that the schedule is paused, as it is after an undo.

It asks first; --yes does not.`,
		Example:           "  upwell reset health_to_crm\n  upwell reset health_to_crm --ledger --yes\n  upwell reset health_to_crm --pause --yes",
		Args:              between(1, 1),
		ValidArgsFunction: a.completeNames(1, syncNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			what := everything
			switch {
			case ledger && pause:
				return fault.New(fault.UsageUnknown, "--ledger and --pause each say what is forgotten alone").WithFix("give one of them; without them everything is forgotten")
			case ledger:
				what = onlyLedger
			case pause:
				what = onlyPause
			}
			return a.reset(cmd.Context(), args[0], what, yes)
		},
	}
	cmd.Flags().BoolVar(&ledger, "ledger", false, "forget only what was delivered")
	cmd.Flags().BoolVar(&pause, "pause", false, "forget only that the schedule is paused")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) reset(ctx context.Context, name string, what forgetting, yes bool) (err error) {
	known, err := a.load(project.WithoutSecrets())
	if err != nil {
		return err
	}
	if _, err := known.Order([]string{name}); err != nil { // a wrong name is told before anything is asked
		return err
	}
	if !yes {
		if err := a.canAsk("forgetting history"); err != nil {
			return err
		}
	}
	p, err := a.writing(ctx, project.WithoutSecrets())
	if err != nil {
		return err
	}
	defer p.closing(&err)
	s, err := p.sync(name)
	if err != nil {
		return err
	}
	r, err := p.weigh(ctx, s, what)
	if err != nil {
		return err
	}
	if !yes {
		a.tell(r.text)
		if !a.ask("go on?") {
			return fault.New(fault.Cancelled, "not reset: the answer was no").WithFix("nothing was changed")
		}
	}
	if err := p.forget(ctx, name, what); err != nil {
		return err
	}
	r.done = true
	return a.show(r)
}

// forget forgets the ledger first: refusals and open outcomes are worth something without it, and not the other way round.
func (o *opened) forget(ctx context.Context, name string, what forgetting) error {
	if what == onlyPause {
		st, err := o.Store.SyncState(ctx, name)
		if err != nil {
			return err
		}
		st.Paused = ""
		return o.Store.SetSyncState(ctx, name, st)
	}
	if err := o.Ledger(name).Reset(ctx); err != nil || what == onlyLedger {
		return err
	}
	return o.Store.Forget(ctx, name)
}

// weigh says what a reset forgets and what the next run will do.
func (o *opened) weigh(ctx context.Context, s *project.Sync, what forgetting) (r *resetResult, err error) {
	r = &resetResult{Sync: s.Name, Ledger: what != onlyPause, what: what}
	if what == onlyPause {
		r.NextRun = "is as scheduled, and sends what has changed"
		return r, nil
	}
	refused, err := o.Store.Refusals(ctx, s.Name)
	if err != nil {
		return nil, err
	}
	waits := ""
	if what == everything {
		r.Refused = int64(len(refused))
	} else if len(refused) > 0 {
		waits = "; refused rows wait until they are due, and open outcomes are settled"
	}
	snap, err := o.Ledger(s.Name).Snapshot(ctx)
	if err != nil {
		if !fault.Is(err, fault.StateCorrupt) && !fault.Is(err, fault.StateMissing) {
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
	r.NextRun += waits
	return r, nil
}
