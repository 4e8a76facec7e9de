package local

import (
	"bytes"
	"context"
	"iter"
	"math/bits"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

// delta merges the spool with the ledger, in the order of key hashes.
type delta struct {
	c      *comparison
	counts ledger.ReadCounts
	claims *claims // nil when no match is claimed twice
}

func (d *delta) Counts() ledger.ReadCounts { return d.counts }

func (d *delta) Close() error {
	err := d.claims.close()
	if rerr := d.c.release(); err == nil {
		err = rerr
	}
	return err
}

// visitor is told what the merge finds. All it is given is valid during the call only.
type visitor interface {
	// row is a spooled row. old is its key's entry, nil when there is none. dup: the key has other rows.
	row(w *walk, old *live, dup bool) error
	// first is a row that was found unchanged and therefore not spooled, where that turns out to matter: its key has other rows,
	// or another row claims its match.
	first(w *walk, old *live, dup bool) error
	// gone is an entry whose key was not read.
	gone(w *walk, old *live) error
	// dirty is a dirty key that was neither read nor is in the ledger.
	dirty(w *walk, key []byte) error
}

// walk is one pass of the merge.
type walk struct {
	d      *delta
	sp     *merge
	more   bool
	load   *loader
	slot   int // next slot that was not seen unchanged
	dirty  int
	told   bool // the dirty key with this hash was read
	bare   bool // entries are loaded only where they decide whether a key was read twice
	hash   uint64
	claim  []claim // on keys with this hash
	cursor *claimCursor
	key    []byte // of the spooled row, copied: the spool is one row ahead
	head   byte
	body   []byte // nil on a bare walk, unless the row is invalid
	n      int
}

func (d *delta) walk(ctx context.Context, v visitor, bare bool) error {
	w := &walk{d: d, sp: d.c.spool.cursor(), load: d.c.s.loader(), bare: bare}
	w.more = w.sp.next()
	w.cursor = d.claims.cursor()
	x := d.c.s.index
	w.slot = d.c.seen.nextZero(0, x.rows())
	for {
		h, any := w.nextHash()
		if !any {
			break
		}
		if w.n++; w.n%1024 == 0 && ctx.Err() != nil {
			return fault.Wrap(fault.Cancelled, ctx.Err(), "comparing the model with the ledger")
		}
		if err := w.visit(h, v); err != nil {
			return err
		}
	}
	if err := w.sp.err(); err != nil {
		return err
	}
	return w.cursor.err()
}

// nextHash is the smallest hash with something to tell.
func (w *walk) nextHash() (h uint64, any bool) {
	least := func(o uint64) {
		if !any || o < h {
			h, any = o, true
		}
	}
	if w.more {
		least(w.sp.hash())
	}
	if w.slot < w.d.c.s.index.rows() {
		least(w.d.c.s.index.hash(w.slot))
	}
	if w.dirty < len(w.d.c.dirty) {
		least(w.d.c.dirty[w.dirty].hash)
	}
	if o, ok := w.cursor.peek(); ok {
		least(o)
	}
	return h, any
}

// visit tells of everything with hash h, key by key.
func (w *walk) visit(h uint64, v visitor) error {
	c, x := w.d.c, w.d.c.s.index
	w.hash, w.told = h, false
	w.claim = w.cursor.take(h)
	from, to := x.find(h)
	var group []live
	if from < to && (!w.bare || c.seen.nextOne(from, to) < to) {
		var err error
		if group, err = w.load.at(h, from, to); err != nil {
			return err
		}
	}
	if w.slot < to {
		w.slot = c.seen.nextZero(max(to, w.slot), x.rows())
	}
	for w.spooled(h) || len(group) > 0 {
		order := -1 // of the spooled key against the entry's
		if !w.spooled(h) {
			order = 1
		} else if len(group) > 0 {
			order = bytes.Compare(w.sp.key(), group[0].key)
		}
		switch {
		case order < 0:
			if err := w.rows(v, nil); err != nil {
				return err
			}
		case order == 0:
			if err := w.rows(v, &group[0]); err != nil {
				return err
			}
			group = group[1:]
		default:
			if err := w.unspooled(v, &group[0]); err != nil {
				return err
			}
			group = group[1:]
		}
	}
	return w.untold(h, v, from, to)
}

func (w *walk) spooled(h uint64) bool { return w.more && w.sp.hash() == h }

// rows tells of the spooled rows of one key.
func (w *walk) rows(v visitor, old *live) error {
	h := w.hash
	w.key = append(w.key[:0], w.sp.key()...)
	if c := w.d.c; w.dirty < len(c.dirty) && c.dirty[w.dirty].hash == h && bytes.Equal(c.dirty[w.dirty].key, w.key) {
		w.told = true
	}
	dup := false
	if old != nil && w.d.c.seen.get(old.slot) {
		dup = true
		if err := v.first(w, old, true); err != nil {
			return err
		}
	}
	for same := true; same; {
		if err := w.take(); err != nil {
			return err
		}
		w.more = w.sp.next()
		same = w.spooled(h) && bytes.Equal(w.sp.key(), w.key)
		dup = dup || same
		if err := v.row(w, old, dup); err != nil {
			return err
		}
	}
	return w.sp.err()
}

// take copies the row the spool stands on.
func (w *walk) take() error {
	w.head, w.body = w.sp.head()[0], w.body[:0]
	if w.bare && w.head == spoolValid {
		return nil
	}
	p, err := w.sp.payload()
	w.body = append(w.body, p...)
	return err
}

// unspooled tells of an entry that has no spooled row.
func (w *walk) unspooled(v visitor, old *live) error {
	if !w.d.c.seen.get(old.slot) {
		return v.gone(w, old)
	}
	if len(w.claim) > 0 {
		return v.first(w, old, false)
	}
	return nil
}

// untold tells of dirty keys with hash h that were neither read nor are in the ledger.
func (w *walk) untold(h uint64, v visitor, from, to int) error {
	c := w.d.c
	for ; w.dirty < len(c.dirty) && c.dirty[w.dirty].hash == h; w.dirty++ {
		key := c.dirty[w.dirty].key
		known := w.told
		if from < to && !w.bare {
			group, err := w.load.at(h, from, to)
			if err != nil {
				return err
			}
			for i := range group {
				known = known || bytes.Equal(group[i].key, key)
			}
		}
		if !known {
			if err := v.dirty(w, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// nextZero is the first unset bit from i on, or n.
func (b bitmap) nextZero(i, n int) int {
	for i < n {
		if word := ^b[i>>6] >> (i & 63); word != 0 {
			return min(i+bits.TrailingZeros64(word), n)
		}
		i = i>>6<<6 + 64
	}
	return n
}

// nextOne is the first set bit from i on, or n.
func (b bitmap) nextOne(i, n int) int {
	for i < n {
		if word := b[i>>6] >> (i & 63); word != 0 {
			return min(i+bits.TrailingZeros64(word), n)
		}
		i = i>>6<<6 + 64
	}
	return n
}

// Each yields the changes.
func (d *delta) Each(ctx context.Context) iter.Seq2[ledger.Change, error] {
	return func(yield func(ledger.Change, error) bool) {
		for i := range d.c.nulls {
			if !yield(ledger.Change{New: &ledger.Record{Invalid: &d.c.nulls[i]}}, nil) {
				return
			}
		}
		t := &teller{yield: yield}
		if err := d.walk(ctx, t, false); err != nil && !t.stopped {
			yield(ledger.Change{}, err)
		}
	}
}

// errStop ends a walk whose reader has seen enough.
var errStop = fault.New(fault.Cancelled, "stopped")

// teller turns what the merge finds into changes.
type teller struct {
	yield   func(ledger.Change, error) bool
	stopped bool
	rec     ledger.Record
	old     ledger.Entry
	oldAt   *live
	oldHash uint64
}

func (t *teller) tell(c ledger.Change) error {
	if !t.yield(c, nil) {
		t.stopped = true
		return errStop
	}
	return nil
}

func (t *teller) entry(old *live) (*ledger.Entry, error) {
	if old == nil {
		return nil, nil
	}
	return &t.old, old.entry(&t.old)
}

func (t *teller) row(w *walk, at *live, dup bool) error {
	if err := decodeRecord(&t.rec, w.hash, w.key, w.head, w.body); err != nil {
		return err
	}
	old, err := t.entry(at)
	if err != nil {
		return err
	}
	switch {
	case dup:
		t.rec.Invalid = duplicateKey()
	case t.rec.Invalid == nil && w.collides(w.key, t.rec.MatchID):
		t.rec.Invalid = duplicateMatch()
	case t.rec.Invalid == nil && w.unchangedLate(at, t.rec.Fingerprint):
		return nil
	}
	return t.tell(ledger.Change{
		Hash: w.hash, Key: t.rec.Key, New: &t.rec, Old: old,
		OldClaimed:  old != nil && w.troubled(w.key, old.MatchID, gone),
		OpenClaimed: w.troubled(w.key, w.d.c.opts.DirtyMatch[string(t.rec.Key)], gone),
		Taken:       w.troubled(w.key, t.rec.MatchID, taken),
	})
}

func (t *teller) first(w *walk, at *live, dup bool) error {
	old, err := t.entry(at)
	if err != nil {
		return err
	}
	inv := duplicateKey()
	if !dup {
		if !w.collides(old.Key, old.MatchID) {
			return nil
		}
		inv = duplicateMatch()
	}
	// The row was not kept: it is the one the entry was made from.
	rec := &ledger.Record{Key: old.Key, Hash: w.hash, Fingerprint: old.Fingerprint, Match: old.Match, MatchID: old.MatchID, Invalid: inv}
	return t.tell(ledger.Change{Hash: w.hash, Key: old.Key, New: rec, Old: old})
}

func (t *teller) gone(w *walk, at *live) error {
	old, err := t.entry(at)
	if err != nil {
		return err
	}
	return t.tell(ledger.Change{
		Hash: w.hash, Key: old.Key, Old: old, Claimed: w.troubled(old.Key, old.MatchID, gone), OpenClaimed: w.troubled(old.Key, w.d.c.opts.DirtyMatch[string(old.Key)], gone),
	})
}

func (t *teller) dirty(w *walk, key []byte) error {
	return t.tell(ledger.Change{Hash: w.hash, Key: key, Claimed: w.troubled(key, w.d.c.opts.DirtyMatch[string(key)], gone)})
}

func duplicateKey() *ledger.Invalid {
	return &ledger.Invalid{Code: fault.KeyDuplicate, Message: "several rows have this key"}
}

func duplicateMatch() *ledger.Invalid {
	return &ledger.Invalid{Code: fault.MatchDuplicate, Message: "rows with other keys point at the same record"}
}
