package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/run"
)

// runResult is what runs of several syncs did.
type runResult struct {
	Runs    []runDoc      `json:"runs"`
	Skipped []skippedSync `json:"skipped,omitempty"`
}

// skippedSync is a sync that was not run, with the reason.
type skippedSync struct {
	Sync   string `json:"sync"`
	Reason string `json:"reason"`
}

// runDoc is one run, in the form of the contract.
type runDoc struct {
	RunID            string       `json:"run_id"`
	Sync             string       `json:"sync"`
	Kind             string       `json:"kind"`
	Undoes           string       `json:"undoes,omitempty"`
	Status           run.Status   `json:"status"`
	StartedAt        instant      `json:"started_at"`
	FinishedAt       instant      `json:"finished_at"`
	Counts           run.Counts   `json:"counts"`
	Requests         int64        `json:"requests"`
	Retries          int64        `json:"retries"`
	ThrottledSeconds float64      `json:"throttled_seconds"`
	Error            *fault.Error `json:"error"`
	PlanHash         string       `json:"plan_hash,omitempty"`
	Full             bool         `json:"full,omitempty"`
	Allowed          []string     `json:"allowed,omitempty"`
	Guards           []plan.Guard `json:"guards"`
	Warnings         []string     `json:"warnings"`
}

func newRunDoc(r *run.Record) runDoc {
	return runDoc{
		RunID: r.ID, Sync: r.Sync, Kind: r.Kind, Undoes: r.Undoes, Status: r.Status, StartedAt: instant(r.StartedAt), FinishedAt: instant(r.FinishedAt),
		Counts: r.Counts, Requests: r.Requests, Retries: r.Retries, ThrottledSeconds: r.ThrottledSeconds, Error: r.Error, PlanHash: r.PlanHash,
		Full: r.Full, Allowed: r.Allowed, Guards: list(r.Guards), Warnings: list(r.Warnings),
	}
}

// exit is the exit code a run stands for.
func (d *runDoc) exit() int {
	switch d.Status {
	case run.Succeeded:
		return fault.ExitOK
	case run.Partial:
		return fault.ExitPartial
	case run.Held:
		return fault.ExitHeld
	case run.Cancelled:
		return fault.ExitInterrupted
	case run.Failed, run.Queued, run.Reading, run.Planning, run.Delivering, run.Settling:
	}
	code := fault.ExitFailed
	if d.Error != nil {
		code = d.Error.Exit()
	}
	if code == fault.ExitOK || code == fault.ExitPartial {
		code = fault.ExitFailed // it failed, whatever the fault says of a row
	}
	return code
}

type runOptions struct {
	plan   string
	full   bool
	dryRun bool
	allow  []string
	wait   time.Duration
	asked  bool // --wait was given: a destination that was never reached is waited for too
}

func (a *app) runCommand() *cobra.Command {
	o := runOptions{wait: run.DefaultWait}
	cmd := &cobra.Command{
		Use:   "run [SYNC...]",
		Short: "Run syncs",
		Long: `Runs the syncs named, or all, in dependency order: reads each model, finds what changed and delivers it. A sync that runs after
one that failed is skipped; the others go on.

Ctrl-C once finishes what is in flight and ends; twice ends at once. Nothing is lost either way.`,
		Example: "  upwell run\n  upwell run health_to_crm --allow removed\n  upwell run --plan health.plan\n  upwell run --full --wait 1h",
		Args:    between(0, -1), ValidArgsFunction: a.completeNames(-1, syncNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.asked = cmd.Flags().Changed("wait")
			return a.run(cmd.Context(), args, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.plan, "plan", "", "do exactly what this saved plan says")
	f.BoolVar(&o.full, "full", false, "send everything again; removals are still reconciled")
	f.BoolVar(&o.dryRun, "dry-run", false, "only plan")
	f.DurationVar(&o.wait, "wait", o.wait, "how long to wait for a destination that is down")
	allowFlag(cmd, &o.allow)
	return cmd
}

func (a *app) run(ctx context.Context, names []string, o runOptions) (err error) {
	if o.wait <= 0 {
		return fault.New(fault.UsageUnknown, "reading --wait: it must be longer than nothing").WithFix("for instance --wait 15m")
	}
	allow, err := allowing(o.allow)
	if err != nil {
		return err
	}
	var saved map[string]*run.SavedPlan
	if o.plan != "" {
		if o.full || o.dryRun {
			return fault.New(fault.UsageUnknown, "--plan says already what is done; --full and --dry-run do not go with it")
		}
		if saved, err = loadPlans(o.plan); err != nil {
			return err
		}
		if names, err = planned(names, saved, o.plan); err != nil {
			return err
		}
	}
	if o.dryRun {
		return a.plan(ctx, names, planOptions{full: o.full, changes: shownSamples, allow: o.allow})
	}
	p, err := a.load()
	if err != nil {
		return err
	}
	syncs, err := p.Order(names) // a wrong name is told before the state is opened
	if err != nil {
		return err
	}
	w, err := a.writing(ctx)
	if err != nil {
		return err
	}
	defer w.closing(&err)
	r := a.runAll(ctx, w, syncs, saved, o, allow)
	if err := a.show(r); err != nil {
		return err
	}
	return end(r.exit(a.interrupted()))
}

// planned gives the syncs of a plan file, or those named, which it must hold.
func planned(names []string, saved map[string]*run.SavedPlan, file string) ([]string, error) {
	if len(names) == 0 {
		return keys(saved), nil
	}
	for _, n := range names {
		if saved[n] == nil {
			return nil, notOneOf("looking for a sync in "+file, n, keys(saved))
		}
	}
	return names, nil
}

// runAll runs the syncs one after another. A sync's failure stops those that run after it and no others.
func (a *app) runAll(ctx context.Context, w *opened, syncs []*project.Sync, saved map[string]*run.SavedPlan, o runOptions, allow plan.Allow) *runResult {
	a.graceful.Store(true)
	defer a.graceful.Store(false)
	r := &runResult{Runs: []runDoc{}}
	bad := map[string]string{}
	live := a.startProgress()
	defer live.end()
	for _, s := range syncs {
		if why := a.whyNot(ctx, s, bad); why != "" {
			bad[s.Name] = "was skipped"
			r.Skipped = append(r.Skipped, skippedSync{s.Name, why})
			continue
		}
		one := live.sync(s.Name)
		opts := run.RunOptions{Full: o.full, Allow: allow, Wait: o.wait, Patient: o.asked, Saved: saved[s.Name], Stop: a.stop, Tally: one.tally, OnStatus: one.on}
		if opts.Saved != nil {
			opts.Full = opts.Saved.Full
		}
		rec, err := w.Run(ctx, s, opts)
		doc := newRunDoc(rec)
		if err != nil {
			doc.Status, doc.Error = run.Failed, fault.As(err)
		}
		one.done(string(doc.Status))
		switch doc.Status {
		case run.Succeeded, run.Partial:
		default:
			bad[s.Name] = "ended " + string(doc.Status)
		}
		r.Runs = append(r.Runs, doc)
	}
	return r
}

// whyNot says why a sync is not run, "" when it is.
func (a *app) whyNot(ctx context.Context, s *project.Sync, bad map[string]string) string {
	if a.interrupted() || ctx.Err() != nil {
		return "interrupted"
	}
	for _, parent := range slices.Sorted(slices.Values(s.Schedule.After)) {
		if why, ok := bad[parent]; ok {
			return "runs after " + parent + ", which " + why
		}
	}
	return ""
}

func (a *app) interrupted() bool {
	select {
	case <-a.stop:
		return true
	default:
		return false
	}
}

// exit is the worst of the runs' exit codes. An interrupt that cut something short makes it 130.
func (r *runResult) exit(interrupted bool) int {
	code := fault.ExitOK
	for i := range r.Runs {
		code = worst(code, r.Runs[i].exit())
	}
	if interrupted && len(r.Skipped) > 0 {
		code = fault.ExitInterrupted
	}
	return code
}
