package run

import (
	"context"
	"errors"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/failpoint"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/project"
)

// begin opens the ledger for writing, settles what dead runs left behind, and does the work.
func (x *execution) begin(ctx context.Context, e *Engine, s *project.Sync) (err error) {
	if x.session, err = x.home.Begin(ctx, x.rec.ID); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.session.Close()) }() // the session may have been replaced by then
	if err := e.adopt(ctx, s.Name, x.session.Snapshot()); err != nil {
		return err
	}
	failpoint.Hit(failpoint.Adopted)
	if x.prepared, err = x.prepareWith(ctx, e, s, x.session.Snapshot()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.prepared.close()) }()
	if err := x.resumeJobs(ctx); err != nil {
		return err
	}
	return x.run(ctx)
}

// adopt turns what dead runs left open into open keys. A row whose acknowledgement made it into the ledger is not open.
func (e *Engine) adopt(ctx context.Context, sync string, snap ledger.Snapshot) error {
	return e.Store.Adopt(ctx, sync, func(run string, r deliver.IntentRow) (bool, error) {
		entry, err := snap.Get(ctx, r.Key)
		if err != nil {
			return false, err
		}
		if entry != nil {
			return entry.Run >= run, nil
		}
		for h, err := range snap.KeyHistory(ctx, r.Key) { // a delete leaves no entry, but history
			if err != nil {
				return false, err
			}
			return h.Run >= run && (h.Outcome == connector.Delivered || h.Outcome == connector.Skipped), nil
		}
		return false, nil
	})
}

// resumeJobs polls asynchronous jobs an earlier run submitted, before anything is read.
func (x *execution) resumeJobs(ctx context.Context) error {
	jobs, err := x.e.Store.Jobs(ctx, x.sync.Name)
	if err != nil || len(jobs) == 0 {
		return err
	}
	var tally deliver.Tally
	o := x.delivery(nil)
	o.Tally = &tally
	if err := deliver.New(o).Resume(ctx, jobs); err != nil {
		return err
	}
	m := x.meta // the jobs are of the key, match and mapping the ledger has, whatever the project says by now
	if err := x.republish(ctx, ledger.Publication{
		KeyColumns: m.KeyColumns, KeyKinds: m.KeyKinds, MatchFields: m.MatchFields, Mapping: m.Mapping, Target: m.Target, Complete: m.Complete, NullKeys: m.NullKeys,
	}); err != nil {
		return err
	}
	x.snap = x.session.Snapshot()
	x.meta = x.snap.Meta()
	return x.memories(ctx)
}

// prepareWith prepares the sync, and waits for a destination that is down: one that was reached before, or that the user asked
// to wait for. One that was never reached is a mistake in the project until proved otherwise, and is reported at once.
func (x *execution) prepareWith(ctx context.Context, e *Engine, s *project.Sync, snap ledger.Snapshot) (*prepared, error) {
	begun := time.Now()
	delay := 500 * time.Millisecond
	for {
		p, err := e.prepare(ctx, s, snap)
		f := fault.As(err)
		if err == nil || !x.o.Patient && snap.Meta().Version == 0 || !passing(f) {
			return p, err
		}
		left := x.o.Wait - time.Since(begun)
		if left <= 0 {
			return p, err
		}
		t := time.NewTimer(min(left, deliver.Spread(delay)))
		select {
		case <-t.C:
		case <-x.o.Stop:
			t.Stop()
			return nil, fault.New(fault.Cancelled, "interrupted while waiting for %s: %s", s.Destination, f.Message)
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
		delay = min(2*delay, 5*time.Minute)
	}
}

// passing reports a fault of a destination that may go away by itself.
func passing(f *fault.Error) bool {
	if f == nil {
		return false
	}
	c := f.GetClass()
	return c == fault.ClassTransient || c == fault.ClassThrottled
}

// startGeneration empties the ledger when the key or the match changed: only now, when the read is complete and judged. A new
// ledger is given its key before the first acknowledgement: should this run die, the next one must know what its keys are.
func (x *execution) startGeneration(ctx context.Context) error {
	if x.renewed && !x.keyed {
		if err := x.e.Store.Renew(ctx, x.sync.Name); err != nil {
			return err
		}
		if err := x.session.Close(); err != nil {
			return err
		}
		if err := x.home.Reset(ctx); err != nil {
			return err
		}
		var err error
		if x.session, err = x.home.Begin(ctx, x.rec.ID); err != nil {
			return err
		}
	}
	if !x.renewed && len(x.meta.KeyColumns) > 0 || x.keyed {
		return nil
	}
	x.keyed = true
	return x.republish(ctx, ledger.Publication{KeyColumns: x.model.Key, KeyKinds: x.mapping.KeyKinds(), MatchFields: x.mapping.MatchFields(), Target: x.target()})
}

// republish publishes what there is and goes on writing.
func (x *execution) republish(ctx context.Context, p ledger.Publication) error {
	if err := x.publish(ctx, p); err != nil {
		return err
	}
	if err := x.session.Close(); err != nil {
		return err
	}
	var err error
	x.session, err = x.home.Begin(ctx, x.rec.ID)
	return err
}

// lifts says which guards may be lifted, and sets the ceilings: what a held run withheld is what may now pass, under the
// definitions it was judged by.
func (x *execution) lifts(ctx context.Context, d *plan.Definition) (plan.Allow, error) {
	if len(x.o.Allow) == 0 {
		return nil, nil
	}
	r, err := x.judgedBefore(ctx)
	if err != nil || r == nil || r.Status != Held || r.Error == nil || r.Error.Code != fault.GuardHeld {
		return x.o.Allow, err
	}
	if r.Definition != x.e.Project.DefinitionHash(x.sync.Name) {
		x.rec.Warnings = append(x.rec.Warnings, "the definitions changed since run "+r.ID+" was held, so --allow lifts nothing: look at the plan again")
		return nil, nil
	}
	d.Ceilings = map[string]int64{}
	for _, g := range r.Guards {
		if g.Held {
			d.Ceilings[g.Guard] = g.Count
		}
	}
	return x.o.Allow, nil
}

// judgedBefore finds the run that was judged like this one: of the runs that came to their guards the newest, for an undo the
// newest undo of the same run; nil when there is none.
func (x *execution) judgedBefore(ctx context.Context) (*Record, error) {
	for limit := 8; ; limit *= 8 {
		runs, err := x.e.Store.Runs(ctx, x.sync.Name, limit)
		if err != nil {
			return nil, err
		}
		for i := range runs {
			if r := &runs[i]; r.ID != x.rec.ID && r.Kind == x.rec.Kind && r.Undoes == x.rec.Undoes && len(r.Guards) > 0 {
				return r, nil
			}
		}
		if len(runs) < limit {
			return nil, nil
		}
	}
}
