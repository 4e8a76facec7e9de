// Package deliver is the concrete half of every destination: it cuts batches, paces and adapts, retries, splits, waits out
// outages, settles unknown outcomes, and accounts for every row. Connectors write one batch; everything else is here, once.
package deliver

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// Shape is what delivery needs to know of a mapping.
type Shape struct {
	Fields, MatchFields []string
	Kinds, MatchKinds   []row.Kind
	CreateOnly          []bool
	Lookups             []*project.Lookup                                 // by field, nil = none
	LookupInputs        func(field int, v row.Value) ([]row.Value, error) // nil: the value is sent as it is
}

// Options are one delivery.
type Options struct {
	Dest       connector.Destination
	Spec       connector.Spec
	Object     connector.Object
	Sync       *project.Sync
	Shape      Shape
	RunID      string
	Generation uint64 // of the ledger, part of idempotency keys
	Gate       *Limiter
	Ledger     ledger.Session
	Journal    Journal
	Items      func(context.Context) iter.Seq2[*plan.Item, error] // the plan; walked more than once
	Planned    map[connector.Op]int64                             // rows per operation
	Withheld   func(*plan.Item) string                            // guard or policy that holds an item back
	NotBefore  time.Time                                          // dirty keys are sent after this, when their old requests can no longer land
	Wait       time.Duration                                      // how long an outage or a limit is waited for without progress
	Stop       <-chan struct{}                                    // finish what is in flight, then end
	Tally      *Tally
	Prestage   *Prestage   // rows staged while the model was read, nil = none
	Facts      *plan.Facts // what the plan is known to hold, nil = not known: sparing walks over it
}

// Delivery is one run's delivery in progress.
type Delivery struct {
	Options
	circuit *circuit
	cache   *lookupCache
	reader  connector.Reader

	mu       sync.Mutex
	err      error // what stopped the run
	stopped  chan struct{}
	refused  map[fault.Code]int64
	settled  int64
	progress time.Time

	absents        []row.Value
	scratch        *work           // one row, for its size
	wide           widened         // of the entry looked at last
	noted          map[string]bool // records noted before anything was sent, by their keys
	left           map[string]bool // records left behind whose keys were delivered elsewhere, by their keys
	settledIntents []int64         // of staged loads, closed when the ledger is published
}

func lookupSet(l *project.Lookup) bool { return l != nil }

// New prepares a delivery.
func New(o Options) *Delivery {
	d := &Delivery{
		Options: o, stopped: make(chan struct{}), refused: map[fault.Code]int64{}, progress: time.Now(), cache: newLookupCache(100_000),
		noted: map[string]bool{}, left: map[string]bool{},
	}
	d.circuit = newCircuit(func(ctx context.Context) error {
		_, err := o.Dest.Check(ctx)
		return err
	}, o.Wait)
	d.reader, _ = o.Dest.(connector.Reader)
	return d
}

// Run delivers the plan and settles everything that is not sent. ctx ending aborts requests in flight; Options.Stop lets them
// finish. The error is what ended the run early; what was settled before it stays settled.
func (d *Delivery) Run(ctx context.Context) error {
	stager, _ := d.Dest.(connector.Stager)
	for _, prepare := range []func(context.Context) error{d.findMoved, d.vacate} {
		if err := prepare(ctx); err != nil {
			d.fail(err)
		}
	}
	for _, phase := range []phase{phaseSend, phaseDirty, phaseRemove} {
		if d.lacks(phase) {
			continue
		}
		if d.mayBeOpen(phase) {
			if err := d.awaitOldRequests(ctx); err != nil {
				d.fail(err)
			}
		}
		if phase == phaseRemove {
			if err := d.spare(ctx); err != nil {
				d.fail(err)
			}
		}
		var err error
		if stager != nil && d.Spec.Stages {
			err = d.stagePhase(ctx, stager, phase)
		} else {
			err = d.sendPhase(ctx, phase)
		}
		if err != nil {
			d.fail(err)
		}
	}
	if err := d.settleUnsent(ctx); err != nil {
		d.fail(err)
	}
	return d.failure()
}

// lacks reports that the plan is known to hold nothing for a phase.
func (d *Delivery) lacks(ph phase) bool {
	if d.Facts == nil {
		return false
	}
	for p := range d.Facts.Parts {
		if phaseOfPart(p) == ph {
			return false
		}
	}
	return true
}

// mayBeOpen reports that a phase has records whose earlier requests may still be landing.
func (d *Delivery) mayBeOpen(ph phase) bool {
	if d.Facts == nil {
		return ph != phaseSend
	}
	for p := range d.Facts.Parts {
		if p.Dirty && phaseOfPart(p) == ph {
			return true
		}
	}
	return false
}

// phaseOfPart gives the phase of a part of a plan.
func phaseOfPart(p plan.Part) phase {
	switch {
	case p.Op == connector.OpDelete || p.Op == connector.OpClear || p.Op == connector.OpDrop:
		return phaseRemove
	case p.Dirty:
		return phaseDirty
	}
	return phaseSend
}

// phase orders a delivery: records first, then records whose old requests had to expire, removals last.
type phase uint8

const (
	phaseSend phase = iota
	phaseDirty
	phaseRemove
)

func phaseOf(it *plan.Item) phase {
	switch {
	case it.Action == plan.Remove:
		return phaseRemove
	case it.Dirty || it.Late:
		return phaseDirty
	}
	return phaseSend
}

// awaitOldRequests waits until requests of a process that died can no longer land, if this plan touches their keys. Promise:
// the newest value wins for every key, also after a crash.
func (d *Delivery) awaitOldRequests(ctx context.Context) error {
	wait := time.Until(d.NotBefore)
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-d.Stop:
		return cancelled()
	case <-d.stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func cancelled() error { return fault.New(fault.Cancelled, "interrupted") }

// fail keeps the first error and stops sending.
func (d *Delivery) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
		close(d.stopped)
	}
}

func (d *Delivery) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// halted reports whether nothing new may be sent.
func (d *Delivery) halted() bool {
	select {
	case <-d.stopped:
		return true
	case <-d.Stop:
		d.fail(cancelled())
		return true
	default:
		return false
	}
}

// sendPhase cuts the phase's items into batches and delivers them with several workers.
func (d *Delivery) sendPhase(ctx context.Context, ph phase) error {
	return d.sendSome(ctx, ph, func(*plan.Item) bool { return true })
}

func (d *Delivery) sendSome(ctx context.Context, ph phase, which func(*plan.Item) bool) error {
	l := d.newLanes()
	g, gctx := errgroup.WithContext(ctx)
	if l.field == "" {
		d.pipe(gctx, g, l.works[0])
	} else {
		for _, works := range l.works {
			g.Go(func() error {
				for w := range works {
					d.attend(func() error { return d.process(gctx, w) })
				}
				return nil
			})
		}
	}
	g.Go(func() error {
		defer l.close()
		return d.cut(gctx, ph, which, l)
	})
	return g.Wait()
}

// attend runs a part of the delivery; what breaks it stops the run.
func (d *Delivery) attend(do func() error) {
	if err := guarded(do); err != nil {
		d.fail(err)
	}
}

// guarded turns a panic in a connector or in this package into a fault: the run fails, the process and other runs live.
func guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.Internal, "delivering broke: %v", r)
		}
	}()
	return do()
}

// cut walks the plan and hands out batches of one operation each.
func (d *Delivery) cut(ctx context.Context, ph phase, which func(*plan.Item) bool, l *lanes) error {
	open := map[lane]*work{}
	over := func() bool {
		if ctx.Err() != nil {
			d.fail(cancelled())
		}
		return d.halted()
	}
	emit := func(w *work, n int) {
		if over() {
			d.Tally.Pending.Add(int64(w.batch.Len()))
			return
		}
		select {
		case l.works[n] <- l.inOrder(d, w):
		case <-ctx.Done():
			d.fail(cancelled())
			d.Tally.Pending.Add(int64(w.batch.Len()))
		}
	}
	for it, err := range d.Items(context.WithoutCancel(ctx)) { // to its end, so that what is not sent any more is counted
		if err != nil {
			return err
		}
		if !it.Action.Sent() || phaseOf(it) != ph || !which(it) {
			continue
		}
		if d.Withheld(it) != "" {
			d.Tally.Withheld.Add(1)
			continue
		}
		if d.spared(it) {
			continue
		}
		if over() {
			d.Tally.Pending.Add(1)
			continue
		}
		k, bond := l.of(d, it)
		w := open[k]
		op := d.Object.Ops[k.op]
		size := d.size(k.batchKind, it)
		if op.MaxRowBytes > 0 && size > op.MaxRowBytes {
			if err := d.refuseItem(ctx, it, fault.RowTooLarge, "", fmt.Sprintf("the record has about %d bytes, the tool takes %d", size, op.MaxRowBytes)); err != nil {
				return err
			}
			continue
		}
		if w != nil && (w.batch.Len() >= d.batchRows(k.op) || op.MaxBytes > 0 && w.bytes+size > d.batchBytes(k.op)) {
			emit(w, k.n)
			w = nil
		}
		if w == nil {
			w = d.newWork(k.batchKind)
			open[k] = w
		}
		w.add(d, it, size)
		w.rows[len(w.rows)-1].bond = bond
	}
	for k, w := range open {
		if w.batch.Len() > 0 {
			emit(w, k.n)
		}
	}
	return nil
}

// size is an item's encoded size: as the connector says, or estimated. It is called by one goroutine.
func (d *Delivery) size(k batchKind, it *plan.Item) int {
	sizer, ok := d.Dest.(connector.Sizer)
	if !ok || k.move {
		return itemBytes(it, d.Shape)
	}
	if d.scratch == nil || d.scratch.kind != k {
		d.scratch = d.newWork(k)
	}
	d.scratch.batch.Reset()
	d.scratch.batch.Add(row.Meta{Key: it.Key, RemoteID: it.RemoteID}, it.Match, it.Values)
	return sizer.RowBytes(d.scratch.target, d.scratch.batch, 0)
}

// jobs reports whether an operation goes through the tool's asynchronous API in this plan.
func (d *Delivery) jobs(op connector.Op) bool {
	o := d.Object.Ops[op]
	_, can := d.Dest.(connector.JobWriter)
	return can && o.JobAbove > 0 && d.Planned[op] >= int64(o.JobAbove)
}

func (d *Delivery) batchRows(op connector.Op) int {
	o := d.Object.Ops[op]
	if d.jobs(op) {
		return max(1, o.JobRows)
	}
	return max(1, o.MaxRows)
}

func (d *Delivery) batchBytes(op connector.Op) int {
	o := d.Object.Ops[op]
	if d.jobs(op) && o.JobBytes > 0 {
		return o.JobBytes
	}
	return o.MaxBytes
}
