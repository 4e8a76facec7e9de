package deliver

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/failpoint"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/row"
)

const (
	stageRows     = 4096 // rows handed to a stage at once
	stageAttempts = 3
)

// Prestage is a stage that was filled while the model was read: every record of the read, under its Ordinal.
type Prestage struct {
	Stage   connector.Stage
	Op      connector.Op
	Draft   *Draft   // what the ledger records if every row is accepted as new; nil = none
	Intents *Intents // the rows of the plan that are in the stage; nil = not gathered
}

// Target is what a stage or batch of this operation is for, outside of a running delivery.
func Target(o Options, op connector.Op) connector.Target {
	d := Delivery{Options: o}
	return d.newWork(batchKind{op: op}).target
}

// Stageable reports whether a delivery with these options may go through staging.
func Stageable(o Options) bool { return (&Delivery{Options: o}).stageable() }

// stageable: staged rows are settled by walking the plan again, so nothing may be looked up per row before they are written.
func (d *Delivery) stageable() bool {
	if d.Sync.ReadBefore || slices.Contains(d.Shape.CreateOnly, true) {
		return false
	}
	return !slices.ContainsFunc(d.Shape.Lookups, lookupSet)
}

// stagePhase delivers a phase through staging: rows are put aside, then each operation becomes visible in one step.
func (d *Delivery) stagePhase(ctx context.Context, s connector.Stager, ph phase) error {
	if !d.stageable() {
		return d.sendPhase(ctx, ph)
	}
	kinds, err := d.phaseKinds(ctx, ph)
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if k.move { // one that finds no record goes on as a write to the new identity, which a staged load cannot
			err = d.sendSome(ctx, ph, func(it *plan.Item) bool { return kindOf(it) == k && d.Withheld(it) == "" })
		} else {
			err = d.stageKind(ctx, s, ph, k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// phaseKinds counts what a phase will not send and names the kinds of operation it will.
func (d *Delivery) phaseKinds(ctx context.Context, ph phase) ([]batchKind, error) {
	var kinds []batchKind
	if d.Facts != nil && !d.Facts.Held {
		for p := range d.Facts.Parts {
			if k := (batchKind{p.Op, p.Move}); phaseOfPart(p) == ph && !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
		slices.SortFunc(kinds, func(a, b batchKind) int { return cmp.Compare(a.String(), b.String()) })
		return kinds, nil
	}
	for it, err := range d.Items(ctx) {
		if err != nil {
			return nil, err
		}
		if !it.Action.Sent() || phaseOf(it) != ph {
			continue
		}
		if d.Withheld(it) != "" {
			d.Tally.Withheld.Add(1)
			continue
		}
		if k := kindOf(it); !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}

// stagedItems walks the items of one staged load, with the ordinal each has in it.
func (d *Delivery) stagedItems(ctx context.Context, ph phase, k batchKind, arrival bool) iter.Seq2[uint64, *plan.Item] {
	return func(yield func(uint64, *plan.Item) bool) {
		n := uint64(0)
		for it, err := range d.Items(ctx) {
			if err != nil {
				d.fail(err)
				return
			}
			if !it.Action.Sent() || phaseOf(it) != ph || kindOf(it) != k || d.Withheld(it) != "" || d.spared(it) {
				continue
			}
			ord := n
			if arrival {
				ord = it.New.Ordinal
			}
			n++
			if !yield(ord, it) {
				return
			}
		}
	}
}

// staged is the outcome of a staged load, compactly: rows delivered are bits, everything else is an exception.
type staged struct {
	done, created bitset
	odd           map[uint64]connector.Result
}

type bitset []uint64

func (b *bitset) set(i uint64) {
	for uint64(len(*b)) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bitset) has(i uint64) bool { return i/64 < uint64(len(b)) && b[i/64]&(1<<(i%64)) != 0 }

func (s *staged) settle(ord uint64, r connector.Result) {
	switch {
	case r.Status != connector.Delivered || r.RemoteID != "" || r.Unconfirmed || len(r.Warnings) > 0:
		s.odd[ord] = r
	default:
		s.done.set(ord)
		if r.Created == connector.Yes {
			s.created.set(ord)
		}
	}
}

func (s *staged) result(ord uint64) connector.Result {
	if r, ok := s.odd[ord]; ok {
		return r
	}
	if !s.done.has(ord) {
		return connector.Result{}
	}
	r := connector.Result{Status: connector.Delivered, Created: connector.NotTold}
	if len(s.created) > 0 {
		r.Created = connector.No
		if s.created.has(ord) {
			r.Created = connector.Yes
		}
	}
	return r
}

// stageKind stages, commits and settles one operation, again from the start when that is safe.
func (d *Delivery) stageKind(ctx context.Context, s connector.Stager, ph phase, k batchKind) error {
	pre := d.Prestage
	if ph != phaseSend || k.move || pre == nil || pre.Op != k.op {
		pre = nil
	}
	for n := 1; ; n++ {
		if d.halted() {
			d.Tally.Pending.Add(d.countStaged(ctx, ph, k))
			return nil
		}
		res := &staged{odd: map[uint64]connector.Result{}}
		intent, err := d.stageOnce(ctx, s, ph, k, pre, res)
		if err == nil {
			return d.settleStaged(ctx, ph, k, pre, res, intent, nil)
		}
		if pre != nil && errors.Is(err, connector.ErrStageLost) { // nothing came of it, and nothing is wrong with the tool
			d.intentSettled(intent)
			pre = nil
			continue
		}
		f := fault.As(err)
		class := f.GetClass()
		passing := class == fault.ClassTransient || class == fault.ClassThrottled || class == fault.ClassEnvironment
		safe := f.Landed == fault.LandedNo || d.repeatable(k.op)
		if !passing || !safe || n == stageAttempts || d.failure() != nil {
			if serr := d.settleStaged(ctx, ph, k, pre, res, intent, f); serr != nil {
				return serr
			}
			return err
		}
		d.Tally.Retries.Add(1)
		if terr := d.circuit.trip(ctx, err); terr != nil {
			if serr := d.settleStaged(ctx, ph, k, pre, res, intent, f); serr != nil {
				return serr
			}
			return terr
		}
		pre = nil // what was staged is gone with its connection; the plan still has every row
	}
}

func (d *Delivery) countStaged(ctx context.Context, ph phase, k batchKind) (n int64) {
	for range d.stagedItems(ctx, ph, k, false) {
		n++
	}
	return n
}

// stageOnce puts the rows aside and makes them visible. The intent is durable before the commit.
func (d *Delivery) stageOnce(ctx context.Context, s connector.Stager, ph phase, k batchKind, pre *Prestage, res *staged) (intent int64, err error) {
	var stage connector.Stage
	exclude := map[uint64]bool{}
	if pre != nil {
		stage = pre.Stage
		if err := d.excluded(ctx, ph, k, exclude); err != nil {
			return 0, err
		}
	} else if stage, err = d.fill(ctx, s, ph, k); err != nil {
		return 0, notLanded(err)
	}
	defer func() {
		if aerr := stage.Abort(context.WithoutCancel(ctx)); err == nil {
			err = aerr
		}
	}()
	in := Intent{Op: k.op, At: time.Now(), Deadline: time.Now().Add(d.timeout())}
	intent, err = d.intendStaged(ctx, in, ph, k, pre)
	if err != nil {
		return 0, notLanded(err)
	}
	if pre != nil { // a ledger that cannot be written stops the run before anything is visible
		if _, err := pre.Draft.wait(); err != nil {
			d.fail(err)
			return intent, notLanded(err)
		}
	}
	group := d.Object.Ops[k.op].Group
	if err := d.Gate.Enter(ctx, group); err != nil {
		return intent, err
	}
	begun := time.Now()
	err = stage.Commit(ctx, exclude, res.settle)
	failpoint.Hit(failpoint.Answered)
	d.Gate.Leave(group, feedback(err, time.Since(begun)))
	return intent, err
}

// excluded names the rows of a prestaged load that the plan does not send.
func (d *Delivery) excluded(ctx context.Context, ph phase, k batchKind, exclude map[uint64]bool) error {
	if f := d.Facts; f != nil && !f.Held && f.Others == 0 && len(f.Parts) == 1 {
		return nil // everything read is sent in one part
	}
	for it, err := range d.Items(ctx) {
		if err != nil {
			return err
		}
		if it.New == nil || len(it.Key) == 0 { // a row without a key was not staged, and has no ordinal
			continue
		}
		if !it.Action.Sent() || phaseOf(it) != ph || kindOf(it) != k || d.Withheld(it) != "" {
			exclude[it.New.Ordinal] = true
		}
	}
	return nil
}

// fill stages the items of a kind.
func (d *Delivery) fill(ctx context.Context, s connector.Stager, ph phase, k batchKind) (connector.Stage, error) {
	w := d.newWork(k)
	stage, err := s.Stage(ctx, w.target)
	if err != nil {
		return nil, err
	}
	batch := row.NewBatch(w.target.Match, w.target.Fields, stageRows)
	flush := func() error {
		if batch.Len() == 0 {
			return nil
		}
		err := stage.Write(ctx, batch)
		batch.Reset()
		return err
	}
	for ord, it := range d.stagedItems(ctx, ph, k, false) {
		values := it.Values
		if k.move {
			values = slices.Concat(it.Values, it.Move)
		}
		batch.Add(row.Meta{Key: it.Key, RemoteID: it.RemoteID, Ordinal: ord, IdempotencyKey: d.stagedID(it)}, it.Match, values)
		if batch.Len() == stageRows {
			if err := flush(); err != nil {
				return nil, abandon(ctx, stage, err)
			}
		}
	}
	if err := flush(); err != nil {
		return nil, abandon(ctx, stage, err)
	}
	if err := d.failure(); err != nil {
		return nil, abandon(ctx, stage, err)
	}
	return stage, nil
}

func abandon(ctx context.Context, stage connector.Stage, err error) error {
	if aerr := stage.Abort(context.WithoutCancel(ctx)); aerr != nil {
		return fault.Wrap(fault.As(err).Code, err, "staging (and throwing away what was staged: %v)", aerr)
	}
	return err
}

// stagedID is an event's idempotency key; staged loads of other operations need none.
func (d *Delivery) stagedID(it *plan.Item) string {
	if it.Op != connector.OpAppend {
		return ""
	}
	w := &work{kind: kindOf(it), batch: row.NewBatch(nil, nil, 1), rows: make([]pending, 1)}
	w.batch.Add(row.Meta{Key: it.Key}, nil, nil)
	w.identify(d)
	return w.batch.Meta(0).IdempotencyKey
}

// settleStaged walks the load again and records every row. f is what ended the load early, nil when it went through.
func (d *Delivery) settleStaged(ctx context.Context, ph phase, k batchKind, pre *Prestage, res *staged, intent int64, f *fault.Error) error {
	if adopted, err := d.adoptDraft(pre, res); adopted || err != nil {
		if adopted {
			d.intentSettled(intent)
		}
		return err
	}
	rec := d.record(context.WithoutCancel(ctx))
	open := false
	for ord, it := range d.stagedItems(ctx, ph, k, pre != nil) {
		r := res.result(ord)
		switch r.Status {
		case connector.Delivered, connector.Skipped:
			p := d.remember(it, slices.Clone(it.Key))
			rec.acks = append(append(rec.acks, p.accepted(k.op, r)), d.recordBeside(&p, r)...)
			if it.Dirty || it.Refused {
				rec.resolved = append(rec.resolved, slices.Clone(it.Key))
			}
			d.countStatus(r)
		case connector.Rejected:
			rec.refusals = append(rec.refusals, refusalOf(it, r))
			d.countRefusal(&rec.refusals[len(rec.refusals)-1])
		case connector.Retry, connector.NotAttempted:
			d.Tally.Pending.Add(1)
		case connector.Unknown:
			if f != nil && f.Landed == fault.LandedNo || intent == 0 {
				d.Tally.Pending.Add(1)
				continue
			}
			d.Tally.Unknown.Add(1)
			open = true
		}
		if len(rec.acks)+len(rec.refusals) >= ackChunk && !rec.hand() {
			break
		}
	}
	if err := rec.end(); err != nil {
		return err
	}
	if !open {
		d.intentSettled(intent)
	}
	return d.failure()
}

// intentSettled notes an intent that holds nothing open; 0 is none.
func (d *Delivery) intentSettled(id int64) {
	if id != 0 {
		d.settledIntents = append(d.settledIntents, id)
	}
}

func (d *Delivery) countStatus(r connector.Result) {
	d.Tally.warned.add(r.Warnings)
	if r.Status == connector.Skipped {
		d.Tally.Skipped.Add(1)
		return
	}
	d.Tally.Delivered.Add(1)
	if r.Unconfirmed {
		d.Tally.Unconfirmed.Add(1)
	}
}

// Published closes the intents of staged loads: their acknowledgements are durable with the ledger's publication.
func (d *Delivery) Published(ctx context.Context) error {
	for _, id := range d.settledIntents {
		if err := d.Journal.Settle(ctx, id); err != nil {
			return err
		}
	}
	d.settledIntents = nil
	return nil
}
