package deliver

import (
	"context"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/failpoint"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

// maxAttempts is how often rows are sent while the tool is up and still fails them for a passing reason; quickRetries come
// before the tool is suspected to be down, and do not count.
const (
	maxAttempts  = 5
	quickRetries = 2
)

// process delivers one batch to its end: every row has an outcome, or is left pending because the run stopped.
func (d *Delivery) process(ctx context.Context, w *work) error {
	w, err := d.prepare(ctx, w)
	if w == nil || err != nil {
		return err
	}
	if d.jobs(w.kind.op) {
		return d.runJob(ctx, w)
	}
	return d.conclude(ctx, w, d.try(ctx, w))
}

// prepare makes a batch ready to be sent, its intent durable. nil: nothing of it is to be sent, and its rows are accounted for.
func (d *Delivery) prepare(ctx context.Context, w *work) (*work, error) {
	if d.halted() {
		d.Tally.Pending.Add(int64(w.batch.Len()))
		return nil, nil
	}
	w, err := d.resolve(ctx, w)
	if err != nil {
		if w != nil {
			d.Tally.Pending.Add(int64(w.batch.Len()))
		}
		return nil, err
	}
	if w.batch.Len() == 0 {
		return nil, nil
	}
	if err := d.intend(ctx, w); err != nil {
		d.Tally.Pending.Add(int64(w.batch.Len()))
		return nil, err
	}
	return w, nil
}

// conclude follows a batch that was sent once to its end, and closes its intent.
func (d *Delivery) conclude(ctx context.Context, w *work, first tried) error {
	open, err := d.follow(ctx, w, first)
	if !open {
		failpoint.Hit(failpoint.Settled)
		if serr := d.Journal.Settle(ctx, w.intent); err == nil {
			err = serr
		}
	}
	return err
}

// intend makes the intent durable. Invariant 5: durable intent precedes the first byte of a request.
func (d *Delivery) intend(ctx context.Context, w *work) error {
	in := Intent{Op: w.kind.op, At: time.Now(), Rows: make([]IntentRow, w.batch.Len())}
	in.Deadline = in.At.Add(d.timeout() + d.slack())
	for i := range in.Rows {
		m := w.batch.Meta(i)
		in.Rows[i] = IntentRow{Key: m.Key, Match: w.address(i), RemoteID: m.RemoteID}
	}
	id, err := d.Journal.Intend(ctx, in)
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.Intended)
	w.intent, w.deadline = id, in.Deadline
	w.identify(d)
	return nil
}

func (d *Delivery) timeout() time.Duration {
	if t, ok := d.Dest.(connector.Timed); ok {
		return t.Timeout()
	}
	if d.Spec.Timeout > 0 {
		return d.Spec.Timeout
	}
	return 30 * time.Second
}

// slack spares most intents a second write: a request that leaves this much after its intent is still within its deadline.
func (d *Delivery) slack() time.Duration { return min(time.Second, d.timeout()/4) }

// onDeparture keeps the promise of an intent's deadline: however long a request waited for limits, outages or its turn to be
// repeated, it cannot land after the deadline on disk.
func (d *Delivery) onDeparture(ctx context.Context, w *work) context.Context {
	return withDeparture(ctx, func() error {
		lands := time.Now().Add(d.timeout())
		if !lands.After(w.deadline) {
			return nil
		}
		w.deadline = lands.Add(d.slack())
		err := d.Journal.Extend(ctx, w.intent, w.deadline)
		if err != nil {
			return notLanded(err)
		}
		return nil
	})
}

// tried is what came of sending a work once.
type tried struct {
	out   *connector.Outcomes
	err   error
	proof int // of the circuit, when it was sent
}

func (d *Delivery) try(ctx context.Context, w *work) tried {
	t := tried{out: connector.NewOutcomes(w.batch.Len()), proof: d.circuit.proof()}
	if t.err = d.write(ctx, w, t.out); t.err == nil {
		d.circuit.healthy()
	}
	return t
}

// attempt sends a work until its rows are settled. open reports that some row's outcome stays open, so that its intent must not
// be closed.
func (d *Delivery) attempt(ctx context.Context, w *work) (open bool, err error) {
	return d.follow(ctx, w, d.try(ctx, w))
}

// follow settles what was sent once, and sends the rest again until it is settled; open as for attempt.
func (d *Delivery) follow(ctx context.Context, w *work, t tried) (open bool, err error) {
	for {
		rest, err := d.settleMarked(ctx, w, t.out)
		if err != nil {
			d.Tally.Unknown.Add(int64(len(rest.retry) + len(rest.unknown) + len(rest.absent)))
			return true, err
		}
		if len(rest.absent) > 0 {
			o, err := d.attempt(ctx, d.atNewPlace(w, rest.absent))
			open = open || o
			if err != nil {
				d.fail(err)
			}
		}
		if len(rest.retry) == 0 && len(rest.unknown) == 0 {
			return open, nil
		}
		next, stays, err := d.judge(ctx, w, rest, t.err, t.proof)
		if err != nil || next == nil {
			return stays || open, err
		}
		open = open || stays
		if len(next) > 1 {
			for _, part := range next {
				o, err := d.attempt(ctx, part)
				open = open || o
				if err != nil {
					d.fail(err)
				}
			}
			return open, nil
		}
		w = next[0]
		d.Tally.Retries.Add(1)
		t = d.try(ctx, w)
	}
}

// atNewPlace gives records that are not at their old identity as writes to the new one: an earlier request, whose answer was
// lost, may have moved them already.
func (d *Delivery) atNewPlace(w *work, rows []int) *work {
	op := connector.OpUpsert
	if d.Sync.Mode == connector.ModeUpdate {
		op = connector.OpUpdate
	}
	p := d.newWork(batchKind{op: op})
	p.intent, p.deadline = w.intent, w.deadline
	n := len(d.Shape.Fields)
	for _, i := range rows {
		v, m := w.batch.Values(i), *w.batch.Meta(i)
		p.batch.Add(m, v[n:], v[:n])
		r := w.rows[i]
		r.ack.Op = op
		p.rows = append(p.rows, r)
	}
	p.identify(d)
	return p
}

// write makes one call. Connectors that speak HTTP pass the gate themselves, request by request; for the others the call is
// the request. Only rows the connector marked count; an answer with rows too many proves nothing about any.
func (d *Delivery) write(ctx context.Context, w *work, out *connector.Outcomes) (err error) {
	if d.halted() {
		return fault.As(cancelled()).NotLanded()
	}
	if err := d.circuit.await(ctx); err != nil {
		return notLanded(err)
	}
	ctx = d.onDeparture(ctx, w)
	if !d.Spec.HTTP {
		group := d.Object.Ops[w.kind.op].Group
		if err := d.Gate.Enter(ctx, group); err != nil {
			return notLanded(err)
		}
		begun := time.Now()
		defer func() { d.Gate.Leave(group, feedback(err, time.Since(begun))) }()
	}
	err = d.Dest.Write(ctx, w.target, w.batch, out)
	failpoint.Hit(failpoint.Answered)
	if out.Extra() > 0 {
		out.Clear()
		if err == nil {
			err = fault.New(fault.DestAnswer, "the answer speaks of rows that were not sent")
		}
	}
	return err
}

func feedback(err error, took time.Duration) connector.Feedback {
	fb := connector.Feedback{Latency: took}
	if err != nil {
		f := fault.As(err)
		fb.Throttled = f.GetClass() == fault.ClassThrottled
		fb.RetryAfter = f.RetryAfter
		fb.Failed = f.GetClass() == fault.ClassTransient
	}
	return fb
}

// remains are the rows of a call without an end.
type remains struct {
	retry   []int         // certainly without effect: may be sent again
	unknown []int         // no word about them
	absent  []int         // records to be moved that are not at their old identity
	after   time.Duration // longest wait a row asked for
	code    fault.Code
	message string
}

// settleMarked records every row that has an end. Invariant 1: the ledger advances only for accepted rows, after the answer.
func (d *Delivery) settleMarked(ctx context.Context, w *work, out *connector.Outcomes) (remains, error) {
	var rest remains
	var acks []ledger.Ack
	var refusals []Refusal
	var resolved [][]byte
	counts := map[connector.Status]int64{}
	var unconfirmed, accepted int64
	codes := map[fault.Code]int64{}
	for i := range w.batch.Len() {
		r := out.Result(i)
		switch r.Status {
		case connector.Delivered, connector.Skipped:
			if _, can := d.Object.Ops[connector.OpUpsert]; w.kind.move && r.Status == connector.Skipped && can {
				rest.absent = append(rest.absent, i)
				continue
			}
			ack, _ := w.result(i, r)
			acks = append(append(acks, ack), d.recordBeside(&w.rows[i], r)...)
			accepted++
			counts[r.Status]++
			if r.Unconfirmed {
				unconfirmed++
			}
			d.Tally.warned.add(r.Warnings)
			if w.rows[i].dirty {
				resolved = append(resolved, w.batch.Meta(i).Key)
			}
		case connector.Rejected:
			_, ref := w.result(i, r)
			ref.Excerpt = excerpt(out)
			refusals = append(refusals, *ref)
			if ref.Unknown {
				counts[connector.Unknown]++
			} else {
				counts[r.Status]++
			}
			codes[ref.Code]++
		case connector.Retry, connector.NotAttempted:
			rest.retry = append(rest.retry, i)
			rest.after = max(rest.after, r.After)
			if r.Code != "" {
				rest.code, rest.message = r.Code, r.Message
			}
		case connector.Unknown:
			rest.unknown = append(rest.unknown, i)
		}
	}
	if err := d.Ledger.Ack(ctx, acks, true); err != nil {
		rest.unknown = append(rest.unknown, all(int(accepted))...) // delivered, but nobody will know: counted unknown
		return rest, err
	}
	if len(refusals) > 0 {
		if err := d.Journal.Refuse(ctx, refusals); err != nil {
			return rest, err
		}
	}
	if len(resolved) > 0 {
		if err := d.Journal.Resolve(ctx, resolved); err != nil {
			return rest, err
		}
	}
	d.Tally.Delivered.Add(counts[connector.Delivered])
	d.Tally.Skipped.Add(counts[connector.Skipped])
	d.Tally.Rejected.Add(counts[connector.Rejected])
	d.Tally.Unknown.Add(counts[connector.Unknown])
	d.Tally.Unconfirmed.Add(unconfirmed)
	return rest, d.watch(accepted, codes)
}

func excerpt(out *connector.Outcomes) string {
	if out.Request == "" && out.Response == "" {
		return ""
	}
	return out.Request + "\n" + out.Response
}

// watch is the systemic breaker: more than half of at least 200 rows refused with one code stops the run instead of burning
// the quota.
func (d *Delivery) watch(accepted int64, codes map[fault.Code]int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settled += accepted
	if accepted > 0 {
		d.progress = time.Now()
	}
	for code, n := range codes {
		d.refused[code] += n
		d.settled += n
		if d.settled >= 200 && 2*d.refused[code] > d.settled {
			return fault.New(fault.DestSystemic, "%d of %d rows were refused with %s", d.refused[code], d.settled, code)
		}
	}
	return nil
}
