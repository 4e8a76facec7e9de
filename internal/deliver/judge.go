package deliver

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// judge decides what happens to rows without an end. It returns the works to send next (one: again; several: split), and
// whether some rows keep an open outcome.
func (d *Delivery) judge(ctx context.Context, w *work, rest remains, werr error, proof int) (next []*work, open bool, err error) {
	f := fault.As(werr)
	if f != nil && errors.Is(werr, context.Canceled) {
		landed := f.Landed
		f = fault.As(cancelled())
		f.Landed = landed
	}
	class := fault.Class("")
	if f != nil {
		class = f.GetClass()
	}
	if f == nil || f.Landed != fault.LandedNo && class != fault.ClassQuota && class != fault.ClassAuth && class != fault.ClassConfig {
		for _, i := range rest.unknown {
			w.rows[i].maybe = true
		}
	}
	switch class {
	case "": // the call went well and some rows are not done
		return d.again(ctx, w, rest, fault.New(fault.DestUnknownOutcome, "the tool said nothing about this row"), true)
	case fault.ClassTransient, fault.ClassEnvironment:
		return d.passing(ctx, w, rest, f, werr, proof)
	case fault.ClassThrottled:
		if d.starved() {
			return nil, d.leave(ctx, w, rest, f), werr
		}
		return d.again(ctx, w, rest, f, false) // a 503 may come from a proxy that lost its upstream: f says whether it landed
	case fault.ClassQuota:
		if err := d.waitQuota(ctx, f); err != nil {
			return nil, d.leave(ctx, w, rest, f.NotLanded()), err
		}
		return d.again(ctx, w, rest, f.NotLanded(), false)
	case fault.ClassBatchRefused, fault.ClassRow:
		return d.split(ctx, w, rest, f)
	case fault.ClassAuth, fault.ClassConfig:
		return nil, d.leave(ctx, w, rest, f.NotLanded()), werr
	case fault.ClassHeld, fault.ClassSource, fault.ClassCancelled, fault.ClassBug:
	}
	return nil, d.leave(ctx, w, rest, f), werr
}

// passing decides about a failure that may go away. When another write succeeded since this work first failed, it is the work and
// not the tool, and attempts count. Otherwise the tool is down until a write proves the contrary: a probe that succeeds is not
// enough, and halving the work once gives a row that always fails the chance to be told from the tool.
func (d *Delivery) passing(ctx context.Context, w *work, rest remains, f *fault.Error, werr error, proof int) ([]*work, bool, error) {
	if w.failedAt == 0 {
		w.failedAt = proof + 1
	}
	if d.circuit.proof() >= w.failedAt {
		return d.again(ctx, w, rest, f, true)
	}
	if w.quick < quickRetries {
		w.quick++
		return d.again(ctx, w, rest, f, false)
	}
	err := d.circuit.trip(ctx, werr)
	if err == nil && w.probed {
		err = d.circuit.suspect(ctx, werr)
	}
	if err != nil {
		return nil, d.leave(ctx, w, rest, f), err
	}
	if w.probed && !w.halved && w.batch.Len() > 1 && len(rest.retry)+len(rest.unknown) == w.batch.Len() && (d.repeatable(w.kind.op) || f.Landed == fault.LandedNo) {
		n := w.batch.Len()
		a, b := w.part(all(n)[:n/2]), w.part(all(n)[n/2:])
		a.halved, b.halved = true, true
		return []*work{a, b}, false, nil
	}
	w.probed = true
	return d.again(ctx, w, rest, f, false)
}

// again sends rows once more where that is safe; attempts count only for failures while the tool is up.
func (d *Delivery) again(ctx context.Context, w *work, rest remains, f *fault.Error, counts bool) ([]*work, bool, error) {
	rows := rest.retry
	open := false
	if d.repeatable(w.kind.op) || f.Landed == fault.LandedNo {
		rows = append(rows, rest.unknown...)
	} else if len(rest.unknown) > 0 {
		open = d.unknown(ctx, w, rest.unknown, f)
	}
	if len(rows) == 0 {
		return nil, open, nil
	}
	next := w
	if len(rows) < w.batch.Len() {
		next = w.part(rows)
	}
	if counts {
		next.attempts++
		for i := range next.rows {
			next.rows[i].attempts++
		}
	}
	if next.attempts >= maxAttempts {
		return d.exhausted(ctx, next, rest, f, open)
	}
	delay := rest.after
	if delay == 0 && f.GetClass() != fault.ClassThrottled && f.GetClass() != fault.ClassQuota {
		delay = backoff(next.attempts)
	}
	if err := d.sleep(ctx, delay); err != nil {
		return nil, d.leave(ctx, next, remains{retry: all(next.batch.Len())}, f) || open, err
	}
	return []*work{next}, open, nil
}

// exhausted isolates a row that fails every time: the batch is split until the row stands alone.
func (d *Delivery) exhausted(ctx context.Context, w *work, rest remains, f *fault.Error, open bool) ([]*work, bool, error) {
	n := w.batch.Len()
	if n > 1 {
		a, b := w.part(all(n)[:n/2]), w.part(all(n)[n/2:])
		a.attempts, b.attempts = maxAttempts-2, maxAttempts-2
		return []*work{a, b}, open, nil
	}
	code, message := f.Code, f.Message
	if rest.code != "" {
		code, message = rest.code, rest.message
	}
	if w.rows[0].maybe && rest.code == "" {
		return nil, d.unknown(ctx, w, []int{0}, f) || open, nil
	}
	return nil, open, d.reject(ctx, w, 0, code, f.Field, message)
}

// split halves a refused batch until single rows: at most 2 log2(n)+1 extra calls for one bad row.
func (d *Delivery) split(ctx context.Context, w *work, rest remains, f *fault.Error) ([]*work, bool, error) {
	rows := append(rest.retry, rest.unknown...)
	if len(rows) == 1 {
		return nil, false, d.reject(ctx, w, rows[0], f.Code, f.Field, f.Message)
	}
	h := len(rows) / 2
	return []*work{w.part(rows[:h]), w.part(rows[h:])}, false, nil
}

func (d *Delivery) reject(ctx context.Context, w *work, i int, code fault.Code, field, message string) error {
	_, ref := w.result(i, connector.Result{Status: connector.Rejected, Code: code, Field: field, Message: message})
	if err := d.Journal.Refuse(ctx, []Refusal{*ref}); err != nil {
		return err
	}
	d.countRefusal(ref)
	return d.watch(0, map[fault.Code]int64{ref.Code: 1})
}

// repeatable: sending a row again after an unknown outcome leaves the tool as one send would.
func (d *Delivery) repeatable(op connector.Op) bool {
	if d.Sync.AtMostOnce {
		return false
	}
	o := d.Object.Ops[op]
	return o.Idempotent || o.Dedupes > 0
}

// unknown settles rows whose outcome nobody told and that must not be repeated blindly: read back where the tool can be read,
// else left for a person.
// Invariant 2: what may not be repeated is never repeated blindly.
func (d *Delivery) unknown(ctx context.Context, w *work, rows []int, f *fault.Error) (open bool) {
	left, found := d.findLanded(ctx, w, rows)
	var acks []ledger.Ack
	for i, g := range found {
		r := connector.Result{Status: connector.Delivered, RemoteID: g.RemoteID}
		ack, _ := w.result(i, r)
		acks = append(append(acks, ack), d.recordBeside(&w.rows[i], r)...)
	}
	if err := d.Ledger.Ack(ctx, acks, true); err != nil {
		d.fail(err)
		d.Tally.Unknown.Add(int64(len(rows)))
		return true
	}
	d.Tally.Delivered.Add(int64(len(found)))
	var refs []Refusal
	for _, i := range left {
		_, ref := w.result(i, connector.Result{Status: connector.Unknown, Code: fault.DestUnknownOutcome, Message: f.Message})
		ref.Person = !d.repeatable(w.kind.op) && d.reader == nil || d.Sync.AtMostOnce
		refs = append(refs, *ref)
	}
	if len(refs) > 0 {
		if err := d.Journal.Refuse(ctx, refs); err != nil {
			d.fail(err)
		}
		d.Tally.Unknown.Add(int64(len(refs)))
	}
	return len(refs) > 0
}

// findLanded reads rows back whose existence alone tells the outcome: a record inserted is there, a record deleted is not. What
// an update left behind cannot be told from what was there before.
func (d *Delivery) findLanded(ctx context.Context, w *work, rows []int) (left []int, found map[int]connector.Found) {
	op := w.kind.op
	tells := op == connector.OpInsert || op == connector.OpAppend || op == connector.OpDelete
	if !tells {
		return rows, nil
	}
	got, ok := d.readBack(ctx, w, rows)
	if !ok {
		return rows, nil
	}
	found = map[int]connector.Found{}
	for n, i := range rows {
		if !got[n].Ambiguous && got[n].Exists == (op != connector.OpDelete) {
			found[i] = got[n]
		} else {
			left = append(left, i)
		}
	}
	return left, found
}

// leave gives up rows because the run stops: those that may have landed, now or at an earlier attempt, are unknown, the others
// pending.
func (d *Delivery) leave(ctx context.Context, w *work, rest remains, f *fault.Error) (open bool) {
	certain := f != nil && f.Landed == fault.LandedNo
	var landed []int
	for _, i := range rest.retry {
		if w.rows[i].maybe {
			landed = append(landed, i)
		}
	}
	for _, i := range rest.unknown {
		if w.rows[i].maybe || !certain {
			landed = append(landed, i)
		}
	}
	d.Tally.Pending.Add(int64(len(rest.retry) + len(rest.unknown) - len(landed)))
	if len(landed) == 0 {
		return false
	}
	if f == nil {
		f = fault.New(fault.DestUnknownOutcome, "the run ended before the tool answered")
	}
	return d.unknown(context.WithoutCancel(ctx), w, landed, f)
}

// starved reports that nothing was accepted for the whole budget.
func (d *Delivery) starved() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Since(d.progress) > d.Wait
}

// waitQuota pauses the account until its quota resets, when that is within the budget.
func (d *Delivery) waitQuota(ctx context.Context, f *fault.Error) error {
	until := f.Until
	d.Gate.PauseQuota(until)
	if until.IsZero() || time.Until(until) > d.Wait {
		return f
	}
	defer d.Gate.Hold()()
	return d.sleep(ctx, time.Until(until))
}

func (d *Delivery) sleep(ctx context.Context, t time.Duration) error {
	if t <= 0 {
		return nil
	}
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return cancelled()
	case <-d.Stop:
		return cancelled()
	case <-d.stopped:
		return nil
	}
}

// backoff is exponential with full jitter.
func backoff(attempt int) time.Duration {
	top := min(30*time.Second, 200*time.Millisecond<<min(attempt, 10))
	return rand.N(top) + 10*time.Millisecond //nolint:gosec // jitter needs no secrecy
}

// readBack looks rows up by their match; ok is false when the tool cannot be read.
func (d *Delivery) readBack(ctx context.Context, w *work, rows []int) ([]connector.Found, bool) {
	if d.reader == nil || d.Object.ReadBatch == 0 || len(w.target.Match) == 0 {
		return nil, false
	}
	matches := make([][]row.Value, len(rows))
	for n, i := range rows {
		matches[n] = w.batch.Match(i)
	}
	got, err := d.lookUp(ctx, d.Object, w.target.Match, matches, nil)
	return got, err == nil
}
