package deliver

import (
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/row"
)

// batchKind separates rows that cannot share a request.
type batchKind struct {
	op   connector.Op
	move bool
}

func kindOf(it *plan.Item) batchKind { return batchKind{it.Op, it.Move != nil} }

// String gives the kind's name; kinds are delivered in its order.
func (k batchKind) String() string {
	if k.move {
		return string(k.op) + " move"
	}
	return string(k.op)
}

// pending is what is remembered of a row until its outcome is known.
type pending struct {
	ack         ledger.Ack   // as it is recorded when delivered
	beside      []ledger.Ack // what is recorded with it: of records left behind and taken over
	fingerprint uint64
	bond        uint64 // affinity, where the operation has one
	dirty       bool   // has an open refusal or outcome to close
	mayCreate   bool
	reopened    bool // an earlier request of this key has an open outcome
	maybe       bool // an attempt of this run may have landed: only an acceptance settles the row
	attempts    int
}

// work is one batch and the memory of its rows, index by index.
type work struct {
	kind     batchKind
	target   connector.Target
	batch    *row.Batch
	rows     []pending
	bytes    int
	intent   int64
	deadline time.Time // of the intent, as it is on disk
	attempts int       // sends that failed although the tool was up
	quick    int       // retries made before the tool was suspected to be down
	failedAt int       // circuit proof that would show the tool up after the first failure; 0 = has not failed
	probed   bool      // failed again after a successful probe
	halved   bool
}

// batchRoom is the most rows a batch has room for from the start; larger ones grow.
const batchRoom = 256

func (d *Delivery) newWork(k batchKind) *work {
	t := connector.Target{
		Object: d.Object, Op: k.op, Match: d.Shape.MatchFields, MatchKinds: d.Shape.MatchKinds,
		Fields: d.Shape.Fields, Kinds: d.Shape.Kinds, Sync: d.Sync.Name, RunID: d.RunID, SkipExists: d.Sync.SkipExists,
	}
	if k.move { // the record is addressed by its old identity and gets the new one as values
		t.Fields = slices.Concat(d.Shape.Fields, d.Shape.MatchFields)
		t.Kinds = slices.Concat(d.Shape.Kinds, d.Shape.MatchKinds)
	}
	for i, l := range d.Shape.Lookups {
		if l != nil {
			if t.Lookups == nil {
				t.Lookups = map[string]string{}
			}
			t.Lookups[d.Shape.Fields[i]] = l.Object
		}
	}
	room := min(d.batchRows(k.op), batchRoom)
	return &work{kind: k, target: t, batch: row.NewBatch(t.Match, t.Fields, room), rows: make([]pending, 0, room)}
}

// add copies an item into the batch.
func (w *work) add(d *Delivery, it *plan.Item, size int) {
	values := it.Values
	if w.kind.move {
		values = slices.Concat(it.Values, it.Move)
	}
	key := slices.Clone(it.Key)
	w.batch.Add(row.Meta{Key: key, RemoteID: it.RemoteID, Ordinal: uint64(len(w.rows))}, it.Match, values)
	w.rows = append(w.rows, d.remember(it, key))
	w.bytes += size
}

// remember prepares what the ledger records when the row is delivered.
func (d *Delivery) remember(it *plan.Item, key []byte) pending {
	p := pending{fingerprint: it.Fingerprint, dirty: it.Dirty || it.Refused, mayCreate: it.MayCreate, reopened: it.Dirty}
	p.ack = ledger.Ack{Op: it.Op, Delete: it.Op == connector.OpDelete || it.Op == connector.OpDrop}
	p.ack.Entry = d.entry(it, key)
	p.ack.Before = []ledger.History{d.history(it, key)}
	p.beside = d.besides(it, key)
	return p
}

// complete reports a new record that is sent whole: what it leaves behind is what is sent, and nothing was known before.
func (d *Delivery) complete(it *plan.Item) bool {
	return it.Old == nil && it.New != nil && !slices.ContainsFunc(it.Values, row.Value.IsAbsent)
}

// entry is the ledger entry after delivery: values sent, over values delivered earlier.
func (d *Delivery) entry(it *plan.Item, key []byte) ledger.Entry {
	e := ledger.Entry{
		Key: key, Fingerprint: it.Fingerprint, State: ledger.Present, Match: slices.Clone(it.Match), Fields: d.Shape.Fields,
		Values: make([]row.Value, len(d.Shape.Fields)), RemoteID: it.RemoteID, Run: d.RunID, At: time.Now(),
	}
	if it.Move != nil {
		e.Match = slices.Clone(it.Move)
	}
	if d.complete(it) {
		copy(e.Values, it.Values)
		e.MatchID = slices.Clone(it.New.MatchID)
		return e
	}
	if it.New != nil {
		e.MatchID = slices.Clone(it.New.MatchID)
	}
	if it.Old != nil && !it.Anew() {
		e.Created = it.Old.Created
		for i, f := range d.Shape.Fields {
			if j := slices.Index(it.Old.Fields, f); j >= 0 {
				e.Values[i] = it.Old.Values[j]
			}
		}
		d.keep(&e, it.Old)
	}
	if it.Old != nil && it.New == nil {
		e.Fingerprint, e.Match, e.MatchID = it.Old.Fingerprint, slices.Clone(it.Match), slices.Clone(it.Old.MatchID)
	}
	switch {
	case it.Op == connector.OpClear:
		e.State = ledger.Cleared
		for i, v := range it.Values {
			if v.IsNull() {
				e.Values[i] = v
			}
		}
	case it.New != nil:
		for i, v := range it.Values { // what is left out was delivered before, or never
			if !v.IsAbsent() && (!d.Shape.CreateOnly[i] || it.MayCreate) {
				e.Values[i] = v
			}
		}
	}
	return e
}

// widened are the fields of an entry that has more than the mapping: those of the mapping, then the others with their places.
type widened struct {
	from, fields []string
	others       []int
}

// keep leaves on record what was delivered to fields that are not mapped now: mapped again, they are compared with it.
func (d *Delivery) keep(e *ledger.Entry, old *ledger.Entry) {
	if len(old.Fields) == 0 {
		return
	}
	w := &d.wide
	if len(w.from) != len(old.Fields) || &w.from[0] != &old.Fields[0] && !slices.Equal(w.from, old.Fields) {
		*w = widened{from: old.Fields}
		for j, f := range old.Fields {
			if !slices.Contains(d.Shape.Fields, f) {
				w.others = append(w.others, j)
			}
		}
		if len(w.others) > 0 {
			w.fields = slices.Clone(d.Shape.Fields)
			for _, j := range w.others {
				w.fields = append(w.fields, old.Fields[j])
			}
		}
	}
	if len(w.others) == 0 {
		return
	}
	e.Fields = w.fields
	for _, j := range w.others {
		e.Values = append(e.Values, old.Values[j])
	}
}

// history is what a run's undo needs: the values before, of the fields it writes.
func (d *Delivery) history(it *plan.Item, key []byte) ledger.History {
	known := it.Old != nil && it.Old.State != ledger.Missed && !it.Anew() // what was skipped was never in the tool
	h := ledger.History{Run: d.RunID, At: time.Now(), Op: it.Op, Key: key, Known: known}
	if known {
		h.PrevState, h.PrevMatch, h.PrevRemoteID = it.Old.State, slices.Clone(it.Old.Match), it.Old.RemoteID
	}
	if known && it.New == nil {
		h.PrevMatch = slices.Clone(it.Match)
	}
	if d.complete(it) {
		h.Fields, h.Old, h.New = d.Shape.Fields, d.nothing(), slices.Clone(it.Values)
		return h
	}
	if it.Op == connector.OpDelete || it.Op == connector.OpDrop { // of everything the record had
		for j := 0; known && j < len(it.Old.Fields); j++ {
			if v := it.Old.Values[j]; !v.IsAbsent() {
				h.Fields, h.Old, h.New = append(h.Fields, it.Old.Fields[j]), append(h.Old, v), append(h.New, row.Value{})
			}
		}
		return h
	}
	for i, f := range d.Shape.Fields {
		var old row.Value
		if known {
			if j := slices.Index(it.Old.Fields, f); j >= 0 {
				old = it.Old.Values[j]
			}
		}
		if i >= len(it.Values) || it.Values[i].IsAbsent() || known && it.Values[i].Equal(old) {
			continue
		}
		h.Fields, h.Old, h.New = append(h.Fields, f), append(h.Old, old), append(h.New, it.Values[i])
	}
	return h
}

// nothing is the values before of a record nothing was known of, one list for all. read_before writes to it, so it gets its own.
func (d *Delivery) nothing() []row.Value {
	if d.Sync.ReadBefore || d.absents == nil {
		d.absents = make([]row.Value, len(d.Shape.Fields))
	}
	return d.absents
}

// address is the identity a row is addressed by, followed by the one it is given, if any: what a later run must know to find
// the record again.
func (w *work) address(i int) []row.Value {
	if !w.kind.move {
		return w.batch.Match(i)
	}
	v := w.batch.Values(i)
	return slices.Concat(w.batch.Match(i), v[len(v)-len(w.target.Match):])
}

// part gives some rows of the work as a work of its own, under the same intent.
func (w *work) part(rows []int) *work {
	p := &work{}
	*p = *w
	p.batch, p.rows = w.batch.Pick(rows), make([]pending, len(rows))
	for i, r := range rows {
		p.rows[i] = w.rows[r]
	}
	return p
}

func all(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// settle records what is known of a row: acknowledged, refused or unknown.
func (w *work) result(i int, r connector.Result) (ledger.Ack, *Refusal) {
	p := &w.rows[i]
	switch r.Status {
	case connector.Delivered, connector.Skipped:
		return p.accepted(w.kind.op, r), nil
	case connector.Rejected:
		return p.ack, p.refusal(w, i, r, p.maybe || p.reopened) // refused now, but an earlier request may have landed
	case connector.Unknown, connector.Retry, connector.NotAttempted:
	}
	return p.ack, p.refusal(w, i, r, true)
}

// accepted is what the ledger records of a row that was delivered or skipped.
func (p *pending) accepted(op connector.Op, r connector.Result) ledger.Ack {
	ack := p.ack
	h := &ack.Before[0]
	h.Outcome, h.Created = r.Status, r.Created
	ack.Outcome = r.Status
	if r.Status == connector.Skipped {
		if op == connector.OpUpdate || op == connector.OpClear {
			ack.Entry.State = ledger.Missed
		}
		return ack
	}
	if r.RemoteID != "" {
		ack.Entry.RemoteID = r.RemoteID
	}
	if r.Created != connector.NotTold && !h.Known {
		ack.Entry.Created = r.Created
	}
	return ack
}

// refusalOf is the record of a planned row that was refused. Where an earlier request of it is open, it stays open.
func refusalOf(it *plan.Item, r connector.Result) Refusal {
	out := Refusal{
		Key: slices.Clone(it.Key), Match: slices.Clone(it.Match), RemoteID: it.RemoteID, Op: it.Op, Code: r.Code, Field: r.Field, Message: r.Message,
		Fingerprint: it.Fingerprint, Unknown: it.Dirty,
	}
	if out.Code == "" {
		out.Code = fault.DestRowRefused
	}
	return out
}

// countRefusal counts a refused row as what is known of it.
func (d *Delivery) countRefusal(r *Refusal) {
	if r.Unknown {
		d.Tally.Unknown.Add(1)
	} else {
		d.Tally.Rejected.Add(1)
	}
}

func (p *pending) refusal(w *work, i int, r connector.Result, unknown bool) *Refusal {
	m := w.batch.Meta(i)
	out := &Refusal{
		Key: m.Key, Match: slices.Clone(w.address(i)), RemoteID: m.RemoteID, Op: w.kind.op, Unknown: unknown, Code: r.Code, Field: r.Field, Message: r.Message,
		Fingerprint: p.fingerprint, Attempts: p.attempts,
	}
	if out.Code == "" {
		out.Code = fault.DestRowRefused
		if unknown {
			out.Code = fault.DestUnknownOutcome
		}
	}
	return out
}

// identify gives each row its idempotency key: for events one per key for ever, otherwise one per write, so that A -> B -> A is
// three writes and a repeated request of one write is one.
func (w *work) identify(d *Delivery) {
	for i := range w.rows {
		m := w.batch.Meta(i)
		b := append([]byte(d.Sync.Name), 0)
		b = append(b, m.Key...)
		if w.kind.op != connector.OpAppend {
			b = append(b, 0)
			b = append(b, d.RunID...) // intents are counted anew when state was lost; runs are not
			b = strconv.AppendUint(b, d.Generation, 10)
			b = append(b, w.kind.op...)
			b = strconv.AppendInt(b, w.intent, 10)
		}
		sum := xxh3.Hash128(b).Bytes()
		m.IdempotencyKey = hex.EncodeToString(sum[:])
	}
}

// itemBytes estimates a row's encoded size.
func itemBytes(it *plan.Item, s Shape) int {
	n := 32
	for i, v := range it.Values {
		if !v.IsAbsent() {
			n += len(s.Fields[i]) + len(v.Str()) + len(v.Str())/8 + 24
		}
	}
	for i, v := range it.Match {
		n += len(s.MatchFields[i]) + len(v.Str()) + 24
	}
	return n
}

// refuseItem records a planned row that is refused before it is sent.
func (d *Delivery) refuseItem(ctx context.Context, it *plan.Item, code fault.Code, field, message string) error {
	ref := refusalOf(it, connector.Result{Code: code, Field: field, Message: message})
	d.countRefusal(&ref)
	return d.Journal.Refuse(ctx, []Refusal{ref})
}
