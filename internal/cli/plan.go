package cli

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/run"
)

// planResult is what runs of several syncs would do. A sync that cannot be planned is in Failed; the others are planned all the same.
type planResult struct {
	Plans  []planDoc    `json:"plans"`
	Failed []failedSync `json:"failed,omitempty"`
	problems
	saved []run.SavedPlan
	file  string // where the plan was saved
}

type failedSync struct {
	Sync  string       `json:"sync"`
	Error *fault.Error `json:"error"`

	all []*fault.Error
}

// planDoc is one sync's plan, in the form of the contract.
type planDoc struct {
	Sync           string        `json:"sync"`
	RunMode        string        `json:"run_mode"`
	PlanHash       string        `json:"plan_hash"`
	MappingChanged bool          `json:"mapping_changed"`
	Counts         plan.Counts   `json:"counts"`
	Guards         []plan.Guard  `json:"guards"`
	Estimate       plan.Estimate `json:"estimate"`
	Samples        []sampleDoc   `json:"samples"`
	Invalid        []invalidDoc  `json:"invalid_samples,omitempty"`
	Warnings       []string      `json:"warnings"`

	sync  *project.Sync
	shown int // changes of a kind that the text shows
}

type sampleDoc struct {
	Op     string      `json:"op"` // add | change | remove
	Key    object      `json:"key"`
	Fields differences `json:"fields"`
}

type invalidDoc struct {
	Key     object     `json:"key"`
	Code    fault.Code `json:"code"`
	Field   string     `json:"field,omitempty"`
	Message string     `json:"message"`
}

func newPlanDoc(s *project.Sync, key []string, sum *plan.Summary) planDoc {
	d := planDoc{
		Sync: s.Name, RunMode: string(s.Mode), PlanHash: sum.Hash, MappingChanged: sum.Remapped, Counts: sum.Counts,
		Guards: list(sum.Guards), Samples: []sampleDoc{}, Warnings: list(slices.Clone(sum.Warnings)), sync: s, shown: shownSamples,
	}
	samples := slices.Clone(sum.Samples)
	slices.SortStableFunc(samples, func(x, y plan.Sample) int { return cmp.Or(cmp.Compare(x.Action, y.Action), compareKeys(x.Key, y.Key)) })
	for _, sample := range samples {
		one := sampleDoc{Op: sample.Action.String(), Key: keyOf(key, sample.Key), Fields: differences{}}
		for i, f := range sample.Names {
			one.Fields = append(one.Fields, difference{f, sample.Old[i], sample.New[i]})
		}
		d.Samples = append(d.Samples, one)
	}
	for _, bad := range sum.Refusals {
		d.Invalid = append(d.Invalid, invalidDoc{keyOf(key, bad.Key), bad.Invalid.Code, bad.Invalid.Field, bad.Invalid.Message})
	}
	return d
}

// changes reports whether a plan would send anything.
func (r *planResult) changes() bool {
	return slices.ContainsFunc(r.Plans, func(d planDoc) bool { return d.sends() })
}

func (d *planDoc) sends() bool { return d.Counts.Add+d.Counts.Change+d.Counts.Remove > 0 }

// planOptions are the flags of `plan`.
type planOptions struct {
	out      string
	exitCode bool
	full     bool
	changes  int
	allow    []string
}

func (a *app) planCommand() *cobra.Command {
	o := planOptions{changes: shownSamples}
	cmd := &cobra.Command{
		Use:   "plan [SYNC...]",
		Short: "Show what a run would do; sends nothing",
		Long: `Shows what a run of the syncs named, or of all, would do: which records it would add, change and remove, what guards say, and
what it would cost. It sends nothing and changes no state.

--out saves the plan: ` + "`upwell run --plan FILE`" + ` then does exactly that, and refuses if anything has changed since. The file holds
values of your records; it is made readable for you alone.`,
		Example:           "  upwell plan\n  upwell plan health_to_crm --out health.plan\n  upwell plan --exit-code   # 0: no changes, 10: changes",
		Args:              between(0, -1),
		ValidArgsFunction: a.completeNames(-1, syncNames),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.plan(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "", "save the plan in this file")
	f.BoolVar(&o.exitCode, "exit-code", false, "end with 10 where there are changes")
	f.BoolVar(&o.full, "full", false, "plan to send everything again")
	f.IntVar(&o.changes, "changes", o.changes, "show so many changes of each kind; the JSON document has up to 20")
	allowFlag(cmd, &o.allow)
	return cmd
}

func allowFlag(cmd *cobra.Command, to *[]string) {
	cmd.Flags().StringSliceVar(to, "allow", nil, "lift guards: removed, changed, empty")
	if err := cmd.RegisterFlagCompletionFunc("allow", func(_ *cobra.Command, _ []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return offer(reasons, nil, start), cobra.ShellCompDirectiveNoFileComp
	}); err != nil {
		cmd.Flags().Lookup("allow").Usage += " (no completion)"
	}
}

var reasons = []string{"removed", "changed", "empty"}

func allowing(words []string) (plan.Allow, error) {
	out := plan.Allow{}
	for _, w := range words {
		if !slices.Contains(reasons, w) {
			return nil, notOneOf("reading --allow", w, reasons)
		}
		out[w] = true
	}
	return out, nil
}

func (a *app) plan(ctx context.Context, names []string, o planOptions) (err error) {
	if o.changes < 0 {
		return fault.New(fault.UsageUnknown, "reading --changes: %d is less than nothing", o.changes).WithFix("0 shows the counts only")
	}
	allow, err := allowing(o.allow)
	if err != nil {
		return err
	}
	p, err := a.reading(ctx)
	if err != nil {
		return err
	}
	defer p.closing(&err)
	syncs, err := p.Project.Order(names)
	if err != nil {
		return err
	}
	r, code, err := a.planAll(ctx, p, syncs, o, allow)
	if err != nil {
		return err
	}
	if o.out != "" && len(r.Failed) == 0 {
		r.file = o.out
		if err := savePlan(o.out, r); err != nil {
			return err
		}
	}
	if err := a.show(r); err != nil {
		return err
	}
	if code == fault.ExitOK && o.exitCode && r.changes() {
		code = fault.ExitChanges
	}
	return end(code)
}

func (a *app) planAll(ctx context.Context, p *opened, syncs []*project.Sync, o planOptions, allow plan.Allow) (*planResult, int, error) {
	r, code := &planResult{Plans: []planDoc{}}, fault.ExitOK
	live := a.startProgress()
	defer live.end()
	for _, s := range syncs {
		one := live.sync(s.Name)
		res, err := p.Plan(ctx, s, o.full, o.out != "", allow, one.tally)
		one.done("planned")
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		if err != nil {
			code = worst(code, r.add(err))
			r.Failed = append(r.Failed, failedSync{s.Name, faults(err)[0], faults(err)})
			continue
		}
		doc := newPlanDoc(s, res.Model.Key, res.Summary)
		doc.Estimate, doc.Warnings, doc.shown = res.Estimate, list(res.Warnings), o.changes
		r.Plans = append(r.Plans, doc)
		if o.out != "" {
			r.saved = append(r.saved, res.Save(o.full))
		}
	}
	return r, code, nil
}
