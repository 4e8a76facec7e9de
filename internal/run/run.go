package run

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/failpoint"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/govern"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/project"
)

// RunOptions are how one run is asked for.
type RunOptions struct {
	Full     bool
	Allow    plan.Allow
	Wait     time.Duration // how long outages and limits are waited for; 0 = 15 minutes
	Saved    *SavedPlan    // apply exactly this plan
	Patient  bool          // wait at the start also for a destination that was never reached
	KeepPlan int           // bytes a plan may take in memory; a larger one is walked in the ledger's delta; 0 = 24 MiB
	Stop     <-chan struct{}
	Tally    *deliver.Tally
	OnStatus func(*Record) // called when the run's state changes; may be nil
}

// DefaultWait is how long a run waits for a destination that is down.
const DefaultWait = 15 * time.Minute

// keepPlan is RunOptions.KeepPlan when nothing is said: about 100,000 changes.
const keepPlan = 24 << 20

// execution is one run in progress.
type execution struct {
	*prepared
	o       RunOptions
	rec     *Record
	session ledger.Session
	keyed   bool // this run gave the ledger its key
	home    ledger.Home
	planner *plan.Planner
	summary *plan.Summary
	kept    *plan.Kept // the plan, when it is small; else nil or let go
}

// Run runs one sync. The record always comes back and says how the run ended; an error means it could not even be recorded.
func (e *Engine) Run(ctx context.Context, s *project.Sync, o RunOptions) (*Record, error) {
	return e.record(ctx, s, o, kindRun, "", func(x *execution) error { return x.begin(ctx, e, s) })
}

// record wraps a run's work: it has a beginning and an end in the store whatever happens.
func (e *Engine) record(ctx context.Context, s *project.Sync, o RunOptions, kind, undoes string, work func(*execution) error) (*Record, error) {
	if o.Wait == 0 {
		o.Wait = DefaultWait
	}
	if o.KeepPlan == 0 {
		o.KeepPlan = keepPlan
	}
	if o.Tally == nil {
		o.Tally = &deliver.Tally{}
	}
	id, err := e.runID(ctx)
	rec := &Record{ID: id, Sync: s.Name, Kind: kind, Undoes: undoes, Status: Reading, StartedAt: e.now().UTC(), Full: o.Full}
	if kind == kindRun { // what an undo writes was made by other runs
		rec.Made = govern.MakingOf(e.Project, s)
	}
	for a, on := range o.Allow {
		if on {
			rec.Allowed = append(rec.Allowed, a)
		}
	}
	slices.Sort(rec.Allowed)
	if err == nil {
		err = e.Store.BeginRun(ctx, rec)
	}
	if err != nil {
		return rec, err
	}
	x := &execution{o: o, rec: rec, home: e.Ledger(s.Name)}
	failpoint.Hit(failpoint.RunBegun)
	x.conclude(work(x))
	failpoint.Hit(failpoint.RunFinishing)
	err = e.Store.FinishRun(context.WithoutCancel(ctx), rec)
	failpoint.Hit(failpoint.RunFinished)
	return rec, err
}

// run reads, plans, delivers and settles.
func (x *execution) run(ctx context.Context) (err error) {
	warnings, err := x.tests(ctx)
	x.rec.Warnings = append(x.rec.Warnings, warnings...)
	if err != nil {
		return err
	}
	to := x.target()
	x.rec.Target = &to
	x.rec.Warnings = append(x.rec.Warnings, x.otherAccount()...)
	x.rec.Warnings = append(x.rec.Warnings, messages(x.loose())...)
	if x.newGeneration() {
		x.rec.Warnings = append(x.rec.Warnings, x.generationWarning())
		next, nerr := x.nextGeneration(ctx)
		if nerr != nil {
			return nerr
		}
		defer func() { err = errors.Join(err, next.Close()) }()
	}
	stage, err := x.openPrestage(ctx, x.delivery(nil))
	if err != nil {
		return err
	}
	if stage != nil {
		defer func() { err = errors.Join(err, stage.stage.Abort(context.WithoutCancel(ctx))) }()
	}
	j, err := x.openPlan(ctx, stage)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.discard()) }()
	delta, cmp, err := x.readVerified(ctx, stage, j.ahead)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cmp.Close()) }()
	x.status(ctx, Planning)
	draft, err := x.draft(ctx, stage, delta)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, draft.Discard()) }()
	if err := x.judge(ctx, delta, stage, j); err != nil {
		return err
	}
	failpoint.Hit(failpoint.Planned)
	if err := x.startGeneration(ctx); err != nil {
		return err
	}
	o := x.delivery(delta)
	if stage != nil && !stage.lost {
		o.Prestage = &deliver.Prestage{Stage: stage.stage, Op: stage.op, Draft: draft, Intents: j.intents}
	}
	return x.deliver(ctx, o)
}

// runID makes the id of a new run. Ids grow from run to run, also when the clock was set back: which of two runs spoke last
// about a key is told by their ids.
func (e *Engine) runID(ctx context.Context) (string, error) {
	id := ulid.Make()
	last, err := e.Store.Runs(ctx, "", 1)
	if err != nil {
		return "", err
	}
	if len(last) == 0 || last[0].ID < id.String() {
		return id.String(), nil
	}
	before, err := ulid.ParseStrict(last[0].ID)
	if err != nil {
		return "", fault.Wrap(fault.StateCorrupt, err, "reading the id of the last run")
	}
	return ulid.MustNew(before.Time()+1, ulid.DefaultEntropy()).String(), nil
}

// deliver sends the plan and publishes what it did; the publication is computed when delivery has ended.
func (x *execution) deliver(ctx context.Context, o deliver.Options) error {
	return x.deliverWith(ctx, o, x.publication(true))
}

// readVerified reads the model while every byte of the ledger is checked; both must end well before a request leaves.
func (x *execution) readVerified(ctx context.Context, stage *prestaged, ahead *plan.Ahead) (ledger.Delta, ledger.Comparison, error) {
	rctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	verified := make(chan error, 1)
	go func() {
		err := x.snap.Verify(rctx)
		if err != nil {
			cancel(err)
		}
		verified <- err
	}()
	stopped := make(chan struct{})
	go func() {
		select {
		case <-x.o.Stop:
			cancel(fault.New(fault.Cancelled, "interrupted while reading"))
		case <-rctx.Done():
		}
		close(stopped)
	}()
	delta, cmp, err := x.read(rctx, x.o.Full, stage, ahead, x.o.Tally)
	verr := <-verified
	if cause := context.Cause(rctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if err == nil {
		err = verr
	}
	cancel(nil)
	<-stopped
	if err != nil && cmp != nil {
		return nil, nil, errors.Join(err, cmp.Close())
	}
	return delta, cmp, err
}

// delivery gives the options of this run's delivery. delta nil: nothing planned yet.
func (x *execution) delivery(delta ledger.Delta) deliver.Options {
	o := deliver.Options{
		Dest: x.dest.Destination, Spec: x.dest.spec, Object: x.dest.object, Sync: x.sync, Shape: x.shape(), RunID: x.rec.ID,
		Generation: x.meta.Generation, Gate: x.dest.gate, Ledger: x.session,
		Journal:   x.e.Store.Journal(x.sync.Name, x.rec.ID, x.e.Project.MappingHash(x.sync.Name)),
		NotBefore: x.until, Wait: x.o.Wait, Stop: x.o.Stop, Tally: x.o.Tally,
	}
	if delta != nil {
		o.Planned = x.summary.ByOp
		o.Withheld = x.summary.Withholds
		o.Facts = &x.summary.Facts
		o.Items = func(ctx context.Context) iter.Seq2[*plan.Item, error] {
			if x.kept.Whole() {
				return x.kept.Items()
			}
			return x.planner.Walk(ctx, delta)
		}
	}
	return o
}

// deliverWith sends the plan, publishes the ledger and accounts for every row.
func (x *execution) deliverWith(ctx context.Context, o deliver.Options, p ledger.Publication) error {
	x.status(ctx, Delivering)
	before, throttledBefore := x.dest.gate.Stats()
	d := deliver.New(o)
	derr := d.Run(ctx)
	failpoint.Hit(failpoint.Delivered)
	x.status(ctx, Settling)
	sctx := context.WithoutCancel(ctx)
	if derr != nil || len(x.summary.Held()) > 0 {
		p.Complete, p.NullKeys, p.Mapping = x.meta.Complete, x.meta.NullKeys, x.meta.Mapping
	}
	perr := x.publish(sctx, p)
	if perr == nil {
		perr = d.Published(sctx)
	}
	t, c := x.o.Tally, &x.rec.Counts
	c.Delivered, c.Unconfirmed, c.Skipped, c.Rejected = t.Delivered.Load(), t.Unconfirmed.Load(), t.Skipped.Load(), t.Rejected.Load()
	c.Unknown, c.Withheld, c.Pending = t.Unknown.Load(), t.Withheld.Load(), t.Pending.Load()
	x.rec.Warnings = append(x.rec.Warnings, t.Warnings()...)
	requests, throttled := x.dest.gate.Stats()
	x.rec.Requests, x.rec.Retries, x.rec.ThrottledSeconds = requests-before, t.Retries.Load(), (throttled - throttledBefore).Seconds()
	if derr != nil || perr != nil {
		c.account()
		if derr == nil {
			derr = perr
		}
		return derr
	}
	if x.state.RemovalsHeld || x.state.AdoptNext {
		x.state.RemovalsHeld, x.state.AdoptNext = false, false
		if err := x.e.Store.SetSyncState(sctx, x.sync.Name, x.state); err != nil {
			return err
		}
	}
	return c.balanced()
}

// account counts rows that a broken delivery lost sight of as unknown: nothing better is known of them.
func (c *Counts) account() {
	c.Unknown += max(0, c.unaccounted())
}

// balanced asserts Invariant 6 on every run.
func (c Counts) balanced() error {
	if c.Read != c.Invalid+c.Unchanged+c.Waiting+c.Planned.Add+c.Planned.Change {
		return fault.New(fault.AccountingBroken, "read %d rows but accounted for %d", c.Read, c.Invalid+c.Unchanged+c.Waiting+c.Planned.Add+c.Planned.Change)
	}
	if n := c.unaccounted(); n != 0 {
		planned := c.Planned.Add + c.Planned.Change + c.Planned.Remove
		return fault.New(fault.AccountingBroken, "planned %d rows but accounted for %d", planned, planned-n)
	}
	return nil
}

// unaccounted is how many planned rows have no end.
func (c Counts) unaccounted() int64 {
	return c.Planned.Add + c.Planned.Change + c.Planned.Remove - c.Delivered - c.Skipped - c.Rejected - c.Unknown - c.Withheld - c.Pending
}

func (x *execution) publication(complete bool) ledger.Publication {
	p := ledger.Publication{
		KeyColumns: x.model.Key, KeyKinds: x.mapping.KeyKinds(), MatchFields: x.mapping.MatchFields(),
		Mapping: x.e.Project.MappingHash(x.sync.Name), Target: x.target(), Complete: complete, NullKeys: x.meta.NullKeys,
	}
	if x.summary != nil && complete {
		p.NullKeys = x.summary.NullKeys
	}
	return p
}

func (x *execution) status(ctx context.Context, s Status) {
	x.rec.Status = s
	if err := x.e.Store.SetStatus(ctx, x.rec.ID, s); err != nil {
		x.rec.Warnings = append(x.rec.Warnings, fmt.Sprintf("the run's state could not be recorded: %v", err))
	}
	if x.o.OnStatus != nil {
		x.o.OnStatus(x.rec)
	}
}

// conclude gives the run its final state.
func (x *execution) conclude(err error) {
	r := x.rec
	r.FinishedAt = time.Now().UTC()
	c := r.Counts
	switch {
	case err != nil:
		r.Counts.Pending += max(0, c.unaccounted()) // Invariant 6: what a run that broke off did not come to is pending
		r.Error = summarise(err)
		r.Status = Failed
		switch r.Error.GetClass() {
		case fault.ClassCancelled:
			r.Status = Cancelled
		case fault.ClassHeld:
			r.Status = Held
		case fault.ClassTransient, fault.ClassThrottled, fault.ClassQuota, fault.ClassAuth, fault.ClassConfig, fault.ClassRow, fault.ClassBatchRefused,
			fault.ClassEnvironment, fault.ClassSource, fault.ClassBug:
		}
	case x.summary != nil && len(x.summary.Held()) > 0:
		r.Status = Held
		r.Error = heldBy(x.summary.Held())
	case c.Rejected+c.Invalid+c.Unknown > 0:
		r.Status = Partial
	default:
		r.Status = Succeeded
	}
}

// summarise makes one fault of several.
func summarise(err error) *fault.Error {
	var list fault.List
	if errors.As(err, &list) && len(list) > 0 {
		first := *list[0]
		if len(list) > 1 {
			first.Message += fmt.Sprintf(" (and %d more: `upwell check --connect` lists them)", len(list)-1)
		}
		return &first
	}
	if errors.Is(err, context.Canceled) {
		return fault.New(fault.Cancelled, "interrupted")
	}
	return fault.As(err)
}

func heldBy(gs []plan.Guard) *fault.Error {
	var parts []string
	allow := map[string]bool{}
	for _, g := range gs {
		parts = append(parts, fmt.Sprintf("%s is %s, the limit is %s (%d rows withheld)", g.Guard, g.Value, g.Limit, g.Count))
		switch g.Guard {
		case "max_changed":
			allow["changed"] = true
		case "allow_empty":
			allow["empty"] = true
		default:
			allow["removed"] = true
		}
	}
	var reasons []string
	for a := range allow {
		reasons = append(reasons, a)
	}
	slices.Sort(reasons)
	return fault.New(fault.GuardHeld, "%s", strings.Join(parts, "; ")).
		WithFix("look at `upwell plan`; if it is right, run with --allow %s", strings.Join(reasons, ","))
}
