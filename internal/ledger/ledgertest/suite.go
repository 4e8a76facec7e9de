// Package ledgertest is the conformance suite of ledger homes: every home must give the same answers for the same history.
package ledgertest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// Harness is one empty ledger to be tested.
type Harness struct {
	// Open opens the ledger; opening it again is what a new process does.
	Open func() ledger.Home
	// Hash is the key hash in use; nil = row.KeyHash. A home may be tested with a poor one, so that hashes collide.
	Hash func(seed uint64, key []byte) uint64
	// Memory is given to comparisons, 0 = their default. A small one makes spools spill.
	Memory int64
}

func (h Harness) hash(seed uint64, key []byte) uint64 {
	if h.Hash != nil {
		return h.Hash(seed, key)
	}
	return row.KeyHash(seed, key)
}

// Run runs the suite. fresh makes an empty ledger.
func Run(t *testing.T, fresh func(t testing.TB) Harness) {
	t.Run("an empty ledger reads as empty and keeps its seed", func(t *testing.T) { empty(t, fresh(t)) })
	t.Run("a publication is all or nothing", func(t *testing.T) { atomic(t, fresh(t)) })
	t.Run("a reader keeps the state it opened", func(t *testing.T) { isolated(t, fresh(t)) })
	t.Run("durable acknowledgements survive, also of several callers at once", func(t *testing.T) { durable(t, fresh(t)) })
	t.Run("all rows of a duplicated key are invalid, also the one first taken for unchanged", func(t *testing.T) { duplicates(t, fresh(t)) })
	t.Run("rows that claim one match are invalid, also unchanged ones", func(t *testing.T) { matches(t, fresh(t)) })
	t.Run("two entries that came to share a match collide when both are read unchanged", func(t *testing.T) { shared(t, fresh(t)) })
	t.Run("a record whose match another row claims is marked", func(t *testing.T) { claimed(t, fresh(t)) })
	t.Run("a record without a key of the model is kept, and gone", func(t *testing.T) { keyless(t, fresh(t)) })
	t.Run("dirty keys are candidates, and yielded when not read", func(t *testing.T) { dirty(t, fresh(t)) })
	t.Run("rows without a key are counted and sampled in a fixed order", func(t *testing.T) { nulls(t, fresh(t)) })
	t.Run("a candidate keeps the number its caller gave it", func(t *testing.T) { numbered(t, fresh(t)) })
	t.Run("a full comparison yields every row", func(t *testing.T) { full(t, fresh(t)) })
	t.Run("nothing is yielded before the read is complete, and a thrown away one leaves nothing", func(t *testing.T) { thrownAway(t, fresh(t)) })
	t.Run("history tells what runs did, newest first", func(t *testing.T) { history(t, fresh(t)) })
	t.Run("reset forgets entries and keeps history", func(t *testing.T) { reset(t, fresh(t)) })
	t.Run("a new generation keeps only what the run delivered", func(t *testing.T) { generation(t, fresh(t)) })
	t.Run("a draft counts when it is adopted, as if acknowledged row by row", func(t *testing.T) { draft(t, fresh(t)) })
	t.Run("a draft that is not adopted leaves nothing", func(t *testing.T) { dropped(t, fresh(t)) })
	t.Run("only valid rows of new keys are drafted", func(t *testing.T) { undrafted(t, fresh(t)) })
	t.Run("a random history agrees with a simple model", func(t *testing.T) { random(t, fresh) })
}

var (
	fields = []string{"val", "note"}
	clock  = time.Unix(1_790_000_000, 0).UTC()
)

// line is one row of a model under test.
type line struct {
	key     int
	val     int
	match   int // 0 = the match is the key
	note    bool
	invalid fault.Code
	null    bool
}

func keyOf(k int) []byte { return row.AppendKey(nil, row.IntValue(int64(k))) }

func matchOf(m int) ([]row.Value, []byte) {
	if m == 0 {
		return nil, nil
	}
	v := []row.Value{row.TextValue(fmt.Sprintf("M%d@Example.com", m))}
	return v, row.AppendKey(nil, row.TextValue(fmt.Sprintf("m%d@example.com", m)))
}

func (l line) print() uint64 {
	if l.invalid != "" {
		return 0
	}
	return xxh3.HashString(fmt.Sprint(l.key, l.val, l.match, l.note)) | 1
}

func (l line) values() []row.Value {
	v := []row.Value{row.IntValue(int64(l.val)), {}}
	if l.note {
		v[1] = row.TextValue(fmt.Sprintf("note %d", l.val))
	}
	return v
}

func (l line) record(hash uint64) *ledger.Record {
	r := &ledger.Record{Key: keyOf(l.key), Hash: hash, Fingerprint: l.print(), Values: l.values()}
	r.Match, r.MatchID = matchOf(l.match)
	if l.invalid != "" {
		r.Invalid, r.Values = &ledger.Invalid{Code: l.invalid, Field: "val", Message: "refused by the mapping"}, nil
	}
	return r
}

// told is a change, copied and comparable.
type told struct {
	Hash     uint64
	Key      int
	NoKey    bool
	New, Old bool
	Val      int64
	Print    uint64
	OldVal   int64
	State    ledger.State
	Invalid  fault.Code
	Claimed  bool
	Moved    string // OldClaimed, OpenClaimed and Taken
	Same     bool   // New has the fingerprint of Old
}

func tell(c ledger.Change) told {
	out := told{Hash: c.Hash, Key: -1, NoKey: c.Key == nil, New: c.New != nil, Old: c.Old != nil, Claimed: c.Claimed}
	out.Moved = moved(c.OldClaimed, c.OpenClaimed, c.Taken)
	if c.Key != nil {
		out.Key = intKey(c.Key)
	}
	if c.New != nil {
		if c.New.Invalid != nil {
			out.Invalid = c.New.Invalid.Code
		} else {
			out.Val, out.Print = c.New.Values[0].Int(), c.New.Fingerprint
		}
	}
	if c.Old != nil {
		out.OldVal, out.State = c.Old.Values[0].Int(), c.Old.State
		out.Same = c.New != nil && c.New.Invalid == nil && c.New.Fingerprint == c.Old.Fingerprint
	}
	return out
}

func moved(oldClaimed, openClaimed, taken bool) string {
	out := ""
	if oldClaimed {
		out += " old match claimed"
	}
	if openClaimed {
		out += " match of an open request claimed"
	}
	if taken {
		out += " match taken"
	}
	return out
}

func intKey(key []byte) int {
	v, err := row.ParseKey(key)
	if err != nil || len(v) != 1 {
		return -2
	}
	return int(v[0].Int())
}

// compared is what comparing a read gave.
type compared struct {
	counts  ledger.ReadCounts
	changes []told
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// compare reads the lines in chunks, as the engine does, and walks the delta twice.
func compare(t testing.TB, h Harness, snap ledger.Snapshot, opts ledger.CompareOptions, lines []line) compared {
	t.Helper()
	if opts.TempDir == "" {
		opts.TempDir = t.TempDir()
	}
	if opts.Memory == 0 {
		opts.Memory = h.Memory
	}
	cmp := must[ledger.Comparison](t)(snap.Compare(opts))
	feed(t, h, snap.Meta().Seed, cmp, lines)
	ctx := context.Background()
	delta := must[ledger.Delta](t)(cmp.Finish(ctx))
	out := compared{counts: delta.Counts()}
	for range 2 {
		var got []told
		for c, err := range delta.Each(ctx) {
			check(t, err)
			got = append(got, tell(c))
		}
		if out.changes != nil && !slices.Equal(out.changes, got) {
			t.Fatalf("the delta differs when walked again:\n%v\n%v", out.changes, got)
		}
		out.changes = got
	}
	last := uint64(0)
	for _, c := range out.changes {
		if c.Hash < last {
			t.Fatalf("changes are not in key-hash order: %v", out.changes)
		}
		last = c.Hash
	}
	sum := out.counts.Unchanged
	for _, n := range out.counts.Invalid {
		sum += n
	}
	for _, c := range out.changes {
		if c.New && c.Invalid == "" {
			sum++
		}
	}
	if sum != out.counts.Read {
		t.Fatalf("read %d rows and told of %d: %+v %v", out.counts.Read, sum, out.counts, out.changes)
	}
	check(t, delta.Close())
	check(t, cmp.Close())
	return out
}

func feed(t testing.TB, h Harness, seed uint64, cmp ledger.Comparison, lines []line) {
	t.Helper()
	const chunk = 7
	for part := range slices.Chunk(lines, chunk) {
		var hash, print []uint64
		var keyed []line
		for _, l := range part {
			if l.null {
				cmp.PutNullKey(ledger.Invalid{Code: fault.KeyNull, Field: "id", Message: fmt.Sprintf("row with value %d", l.val)})
				continue
			}
			hash, print, keyed = append(hash, h.hash(seed, keyOf(l.key))), append(print, l.print()), append(keyed, l)
		}
		candidate := make([]bool, len(hash))
		cmp.Probe(hash, print, candidate)
		for i, l := range keyed {
			if candidate[i] {
				check(t, cmp.Put(l.record(hash[i])))
			}
		}
	}
}

// entry is what a ledger holds after a line was delivered.
func (l line) entry(run string) ledger.Entry {
	e := ledger.Entry{
		Key: keyOf(l.key), Fingerprint: l.print(), Fields: fields, Values: l.values(), RemoteID: fmt.Sprintf("r%d", l.key),
		Created: connector.Yes, Run: run, At: clock,
	}
	e.Match, e.MatchID = matchOf(l.match)
	return e
}

func (l line) ack(run string) ledger.Ack {
	e := l.entry(run)
	return ledger.Ack{
		Op: connector.OpUpsert, Entry: e, Outcome: connector.Delivered,
		Before: []ledger.History{{At: clock, Op: connector.OpUpsert, Outcome: connector.Delivered, Created: connector.Yes, Fields: fields, Old: make([]row.Value, 2), New: e.Values}},
	}
}

// deliver publishes the lines as delivered by one run.
func deliver(t testing.TB, h Harness, run string, lines ...line) {
	t.Helper()
	ctx := context.Background()
	s := must[ledger.Session](t)(h.Open().Begin(ctx, run))
	var acks []ledger.Ack
	for _, l := range lines {
		acks = append(acks, l.ack(run))
	}
	check(t, s.Ack(ctx, acks, true))
	check(t, s.Publish(ctx, ledger.Publication{KeyColumns: []string{"id"}, KeyKinds: []row.Kind{row.Int}, Mapping: "m", Complete: true}))
	check(t, s.Close())
}

func open(t testing.TB, h Harness) ledger.Snapshot {
	t.Helper()
	s := must[ledger.Snapshot](t)(h.Open().Snapshot(context.Background()))
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

// entries reads everything, checking that Get and Each agree and that Verify is content.
func entries(t testing.TB, s ledger.Snapshot) map[int]ledger.Entry {
	t.Helper()
	ctx := context.Background()
	check(t, s.Verify(ctx))
	out := map[int]ledger.Entry{}
	for e, err := range s.Each(ctx) {
		check(t, err)
		c := *e
		c.Key, c.Match, c.Values, c.MatchID = bytes.Clone(e.Key), slices.Clone(e.Match), slices.Clone(e.Values), bytes.Clone(e.MatchID)
		if _, twice := out[intKey(c.Key)]; twice {
			t.Fatalf("key %d is yielded twice", intKey(c.Key))
		}
		out[intKey(c.Key)] = c
	}
	if int64(len(out)) != s.Meta().Rows {
		t.Fatalf("meta counts %d rows, Each yields %d", s.Meta().Rows, len(out))
	}
	for k, e := range out {
		got := must[*ledger.Entry](t)(s.Get(ctx, keyOf(k)))
		if got == nil || !sameEntry(*got, e) {
			t.Fatalf("Get(%d) = %+v, Each says %+v", k, got, e)
		}
	}
	return out
}

func sameEntry(a, b ledger.Entry) bool {
	return bytes.Equal(a.Key, b.Key) && a.Fingerprint == b.Fingerprint && a.State == b.State && sameValues(a.Match, b.Match) &&
		bytes.Equal(a.MatchID, b.MatchID) && (a.MatchID == nil) == (b.MatchID == nil) && slices.Equal(a.Fields, b.Fields) &&
		sameValues(a.Values, b.Values) && a.RemoteID == b.RemoteID && a.Created == b.Created && a.Run == b.Run && a.At.Equal(b.At)
}

func sameValues(a, b []row.Value) bool {
	return slices.EqualFunc(a, b, func(x, y row.Value) bool { return x.Kind() == y.Kind() && x.Equal(y) })
}
