package cli

import (
	"context"
	"errors"
	"maps"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/run"
)

// undoPlan is what undoing a run would do.
type undoPlan struct {
	Undoes    string           `json:"undoes"`
	Plans     []planDoc        `json:"plans"`
	SkippedBy map[string]int64 `json:"skipped_by"`
	Skipped   []undoSkip       `json:"skipped"`
	Withheld  map[string]int64 `json:"withheld_values"`

	held error // by policies
}

type undoSkip struct {
	Key    object `json:"key"`
	Reason string `json:"reason"`
}

// undone is what an undo did.
type undone struct {
	Undoes    string           `json:"undoes"`
	Runs      []runDoc         `json:"runs"`
	SkippedBy map[string]int64 `json:"skipped_by"`
	Skipped   []undoSkip       `json:"skipped"`
	Withheld  map[string]int64 `json:"withheld_values"`
}

type undoOptions struct {
	yes, force, dryRun bool
	allow              []string
}

func (a *app) undoCommand() *cobra.Command {
	var o undoOptions
	cmd := &cobra.Command{
		Use:   "undo RUN",
		Short: "Restore the values a run replaced",
		Long: `Restores what a run changed: values it replaced are written back, records it created are deleted where the tool says it created them,
what it deleted is created again. Rows whose former values are not known, or that a later run changed, are listed and left alone (--force takes the
latter too). What a policy of today keeps from the destination is not restored, whatever was allowed then. It shows the plan, then asks. The sync's schedule is paused afterwards, because the model still says the other thing.

RUN is an id, its unique beginning, or ` + "`latest`" + `: the newest run that changed something.`,
		Example:           "  upwell undo latest --dry-run\n  upwell undo 01JDPX\n  upwell undo 01JDPX --yes --allow removed",
		Args:              between(1, 1),
		ValidArgsFunction: a.completeRuns,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.undo(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.BoolVar(&o.force, "force", false, "also what a later run has changed")
	f.BoolVar(&o.dryRun, "dry-run", false, "only show the plan")
	allowFlag(cmd, &o.allow)
	return cmd
}

func (a *app) undo(ctx context.Context, id string, o undoOptions) error {
	allow, err := allowing(o.allow)
	if err != nil {
		return err
	}
	if !o.yes && !o.dryRun {
		if err := a.canAsk("undoing a run"); err != nil {
			if wrong := a.known(ctx, id); wrong != nil {
				return wrong
			}
			return err
		}
	}
	full := id
	if !o.yes {
		p, err := a.planUndo(ctx, id, o.force, allow)
		if err != nil {
			return err
		}
		full = p.Undoes
		if o.dryRun {
			return a.show(p)
		}
		a.tell(p.text)
		if !p.Plans[0].sends() {
			err := a.show(&undone{Undoes: full, Runs: []runDoc{}, SkippedBy: p.SkippedBy, Skipped: p.Skipped, Withheld: p.Withheld})
			if p.held != nil {
				err = errors.Join(err, end(fault.ExitHeld))
			}
			return err
		}
		if !a.ask("undo run " + full + "?") {
			return fault.New(fault.Cancelled, "not undone: the answer was no").WithFix("nothing was changed")
		}
	}
	return a.doUndo(ctx, full, o.force, allow)
}

// known refuses a run that does not exist: that is told before anything is asked.
func (a *app) known(ctx context.Context, id string) (err error) {
	p, err := a.looking(ctx)
	if err != nil {
		return err
	}
	defer p.closing(&err)
	_, err = p.findChanged(ctx, id)
	return err
}

func (a *app) planUndo(ctx context.Context, id string, force bool, allow plan.Allow) (r *undoPlan, err error) {
	p, err := a.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer p.closing(&err)
	of, err := p.findChanged(ctx, id)
	if err != nil {
		return nil, err
	}
	res, err := p.UndoPlan(ctx, of, force, allow)
	if err != nil {
		return nil, err
	}
	r = &undoPlan{Undoes: of.ID}
	columns := p.keyColumns(of.Sync)
	r.Plans = []planDoc{newPlanDoc(p.Project.Syncs[of.Sync], columns, res.Summary)}
	r.SkippedBy, r.Skipped, r.Withheld = skips(res, columns)
	r.held = res.Held()
	return r, nil
}

func skips(res *run.UndoResult, columns []string) (by map[string]int64, out []undoSkip, withheld map[string]int64) {
	by, out, withheld = map[string]int64{}, []undoSkip{}, map[string]int64{}
	if res == nil {
		return by, out, withheld
	}
	maps.Copy(by, res.SkippedBy)
	maps.Copy(withheld, res.Withheld)
	for _, s := range res.Skipped {
		out = append(out, undoSkip{keyOf(columns, s.Key), s.Reason})
	}
	return by, out, withheld
}

func (a *app) doUndo(ctx context.Context, id string, force bool, allow plan.Allow) (err error) {
	p, err := a.writing(ctx)
	if err != nil {
		return err
	}
	defer p.closing(&err)
	of, err := p.findChanged(ctx, id)
	if err != nil {
		return err
	}
	a.graceful.Store(true)
	live := a.startProgress()
	one := live.sync(of.Sync)
	rec, res, err := p.Undo(ctx, of, force, run.RunOptions{Allow: allow, Stop: a.stop, Tally: one.tally, OnStatus: one.on})
	one.done("undone")
	live.end()
	if rec == nil {
		return err
	}
	r := &undone{Undoes: of.ID, Runs: []runDoc{newRunDoc(rec)}}
	if err != nil {
		r.Runs[0].Status, r.Runs[0].Error = run.Failed, fault.As(err)
	}
	r.SkippedBy, r.Skipped, r.Withheld = skips(res, p.keyColumns(of.Sync))
	return errors.Join(a.show(r), end(r.Runs[0].exit()))
}

func (r *undoPlan) text(p *printer) {
	p.line("undoing run %s", r.Undoes)
	for i := range r.Plans {
		r.Plans[i].text(p)
	}
	skipsText(p, r.SkippedBy, r.Skipped)
	withheldText(p, r.Withheld)
}

func (r *undone) text(p *printer) {
	if len(r.Runs) == 0 {
		p.line("nothing to undo of run %s", r.Undoes)
	}
	for i := range r.Runs {
		r.Runs[i].text(p)
	}
	skipsText(p, r.SkippedBy, r.Skipped)
	withheldText(p, r.Withheld)
	if len(r.Runs) > 0 && r.Runs[0].Counts.Delivered > 0 {
		p.line("  the schedule of %s is paused; an explicit `%s run %s` sends what the model says; `%s reset %s --pause` starts the schedule again",
			r.Runs[0].Sync, p.upwell, r.Runs[0].Sync, p.upwell, r.Runs[0].Sync)
	}
}

func withheldText(p *printer, withheld map[string]int64) {
	for _, reason := range keys(withheld) {
		p.line("  not restored, %s: %s", reason, plural(withheld[reason], "value"))
	}
}

func skipsText(p *printer, by map[string]int64, skipped []undoSkip) {
	for _, reason := range keys(by) {
		p.line("  left alone, %s: %s", reason, plural(by[reason], "row"))
		shown := 0
		for _, s := range skipped {
			if s.Reason == reason && (shown < 5 || p.verbose) {
				p.line("      %s", s.Key)
				shown++
			}
		}
	}
}
