package run

import (
	"context"

	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
)

// judging is what a run needs to judge its plan, and what was made of that before the read was complete.
type judging struct {
	allow   plan.Allow
	ahead   *plan.Ahead      // of a first load, else nil
	intents *deliver.Intents // of a load that is staged, else nil
}

// openPlan begins the plan. A first load is planned while it is read.
func (x *execution) openPlan(ctx context.Context, stage *prestaged) (*judging, error) {
	d := x.definition(x.o.Full)
	j := &judging{}
	var err error
	if j.allow, err = x.lifts(ctx, &d); err != nil {
		return nil, err
	}
	x.planner = plan.New(d)
	if j.intents, err = x.intents(stage); err != nil {
		return nil, err
	}
	if x.firstLoad() && x.o.Saved == nil {
		j.ahead = x.planner.Ahead(j.intents.Add)
	}
	return j, nil
}

// discard throws away what did not become an intent.
func (j *judging) discard() error { return j.intents.Discard() }

// judge plans, records invalid rows, closes refusals that no longer stand, and compares with a saved plan.
func (x *execution) judge(ctx context.Context, delta ledger.Delta, stage *prestaged, j *judging) error {
	present := map[string]bool{}
	check := newPlanCheck(x.o.Saved)
	s, err := x.summarise(ctx, delta, stage, j, func(it *plan.Item) {
		if it.Refused && it.Action != plan.Unchanged && (it.New != nil || it.Old != nil && it.Action != plan.Leave) {
			present[string(it.Key)] = true
		}
		check.see(it)
	})
	if err != nil {
		return err
	}
	x.summary = s
	x.rec.PlanHash, x.rec.Guards, x.rec.Definition = s.Hash, s.Guards, x.e.Project.DefinitionHash(x.sync.Name)
	x.rec.Warnings = append(x.rec.Warnings, s.Warnings...)
	if d := x.mapping.KeyDrift(); d != "" {
		x.rec.Warnings = append(x.rec.Warnings, d)
	}
	c := &x.rec.Counts
	c.Read, c.Invalid, c.Unchanged, c.Waiting = s.Counts.Read, s.Counts.Invalid, s.Counts.Unchanged, s.Counts.Waiting
	c.Planned = Planned{Add: s.Counts.Add, Change: s.Counts.Change, Remove: s.Counts.Remove}
	x.rec.InvalidBy = s.InvalidBy
	x.o.Tally.Planned.Store(s.Counts.Add + s.Counts.Change + s.Counts.Remove)
	if err := check.verdict(x.sync.Name, s.Hash, x.rec.Definition, x.meta.Version, x.e.now()); err != nil {
		c.Pending = x.o.Tally.Planned.Load()
		return err
	}
	return x.recordRefusals(ctx, present)
}

// summarise gives the plan: what was planned ahead if that is all of it, or what a walk over the delta finds.
func (x *execution) summarise(ctx context.Context, delta ledger.Delta, stage *prestaged, j *judging, see func(*plan.Item)) (*plan.Summary, error) {
	if read := delta.Counts(); j.ahead.Knows(read, x.o.KeepPlan) {
		return j.ahead.Summary(read, j.allow)
	}
	err := j.discard() // what was gathered ahead, if anything
	if err == nil {
		j.intents, err = x.intents(stage)
	}
	if err != nil {
		return nil, err
	}
	x.kept = plan.NewKept(x.o.KeepPlan)
	return x.planner.Summarise(ctx, delta, j.allow, func(it *plan.Item) error {
		see(it)
		x.kept.Add(it)
		return j.intents.Add(it)
	})
}

func (x *execution) recordRefusals(ctx context.Context, present map[string]bool) error {
	var gone [][]byte
	for k := range x.refused {
		if !present[k] && !x.isPerson(k) {
			gone = append(gone, []byte(k))
		}
	}
	if len(gone) > 0 {
		if err := x.e.Store.Gone(ctx, x.sync.Name, gone); err != nil {
			return err
		}
	}
	rows := make([]Refused, 0, len(x.summary.Refusals))
	for _, r := range x.summary.Refusals {
		rows = append(rows, Refused{
			Sync: x.sync.Name, Key: keyBytes(r.Key), Kind: "invalid", Code: r.Invalid.Code, Field: r.Invalid.Field, Message: r.Invalid.Message,
			FirstSeen: x.e.now(), LastSeen: x.e.now(), Run: x.rec.ID,
		})
	}
	return x.e.Store.Invalidate(ctx, x.sync.Name, x.rec.ID, rows)
}

func (x *execution) isPerson(key string) bool { _, ok := x.dirty[key]; return ok }
