package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// A match is claimed by the rows of this read that point at it. Rows with different keys that claim one match collide, and an
// entry that left the model must not be removed while another key claims its match.
//
// Identities are compared by 128 bits. They are sorted by identity (claimants first) to find the groups, and the keys
// concerned sorted by key hash, so that the merge meets them in its own order.
const (
	claimant byte = iota // a row of this read
	gone                 // an entry that was not read, or whose row has another match now; a match an open request was for
	taken                // a row of this read that points at one of those
)

// claim is an identity in trouble, on a key.
type claim struct {
	id   xxh3.Uint128
	kind byte
	key  uint64 // another hash of the key: keys may share the one they are sorted by
}

type claims struct{ byKey *sorter }

type collector struct {
	d     *delta
	byID  *sorter
	bloom bloom
}

func (c *collector) add(id []byte, kind byte, hash uint64, key []byte) error {
	if id == nil {
		return nil
	}
	u := identity(c.d.c.s.m.Meta.Seed, id)
	c.bloom.add(matchHash(u))
	// Keys that share a hash are told apart by another one.
	return addClaim(c.byID, u.Hi, u.Lo, uint64(kind), hash, xxh3.Hash(key))
}

func addClaim(s *sorter, words ...uint64) error {
	a, err := s.room(len(words) * 8)
	if err != nil {
		return err
	}
	var buf [40]byte
	b := buf[:0]
	for _, n := range words {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	a.put(words[0], b, nil)
	return nil
}

func (c *collector) row(w *walk, old *live, _ bool) error {
	_, _, id := recordHead(w.head, w.body)
	if err := c.add(id, claimant, w.hash, w.key); err != nil {
		return err
	}
	var was []byte
	if old != nil {
		var err error
		if was, err = entryMatchID(old); err != nil {
			return err
		}
		if !bytes.Equal(was, id) {
			if err := c.add(was, gone, w.hash, w.key); err != nil {
				return err
			}
		}
	}
	return c.requested(w, w.key, id, was)
}

// requested adds the match a key's open request was for, unless the key has it anyway.
func (c *collector) requested(w *walk, key []byte, has ...[]byte) error {
	id := c.d.c.opts.DirtyMatch[string(key)]
	for _, h := range has {
		if bytes.Equal(h, id) {
			return nil
		}
	}
	return c.add(id, gone, w.hash, key)
}

func (c *collector) first(w *walk, old *live, _ bool) error {
	id, err := entryMatchID(old)
	if err != nil {
		return err
	}
	return c.add(id, claimant, w.hash, old.key)
}

func (c *collector) gone(w *walk, old *live) error {
	id, err := entryMatchID(old)
	if err != nil {
		return err
	}
	if err := c.add(id, gone, w.hash, old.key); err != nil {
		return err
	}
	return c.requested(w, old.key, id)
}

func (c *collector) dirty(w *walk, key []byte) error { return c.requested(w, key) }

// findClaims sets d.claims when some match is in trouble.
func (d *delta) findClaims(ctx context.Context) error {
	c, x := d.c, d.c.s.index
	dir, mem, seed := c.opts.TempDir, c.opts.Memory/4, c.s.m.Meta.Seed
	col := &collector{d: d, byID: newSorter(dir, kindRaw, mem, seed), bloom: newBloom(c.put + int64(x.rows()) - c.unchanged)}
	defer func() { discard(closer(col.byID.close)) }()
	if err := d.walk(ctx, col, false); err != nil {
		return err
	}
	if x.rows() > 0 && x.match != nil {
		load := c.s.loader()
		for i := c.seen.nextOne(0, x.rows()); i < x.rows(); i = c.seen.nextOne(i+1, x.rows()) {
			if h := x.matchHash(i); h == 0 || !col.bloom.has(h) {
				continue
			}
			if err := d.claimUnchanged(col, load, i); err != nil {
				return err
			}
		}
	}
	if err := col.byID.finish(); err != nil {
		return err
	}
	byKey := newSorter(dir, kindRaw, mem, seed)
	n, err := col.judge(byKey)
	if err == nil {
		err = byKey.finish()
	}
	if err != nil || n == 0 {
		discard(closer(byKey.close))
		return err
	}
	d.claims = &claims{byKey: byKey}
	return nil
}

func (d *delta) claimUnchanged(col *collector, load *loader, slot int) error {
	x := d.c.s.index
	h := x.hash(slot)
	from, to := x.find(h)
	group, err := load.at(h, from, to)
	if err != nil {
		return err
	}
	for i := range group {
		if group[i].slot != slot {
			continue
		}
		id, err := entryMatchID(&group[i])
		if err != nil {
			return err
		}
		return col.add(id, claimant, h, group[i].key)
	}
	return nil
}

// judge walks the identities and names the keys in trouble.
func (c *collector) judge(byKey *sorter) (n int, err error) {
	var id, first, last [2]uint64 // identity of the group, its first and its last claimant
	claimants, told := 0, false
	for cur := c.byID.cursor(); ; {
		if !cur.next() {
			return n, cur.err()
		}
		k := cur.key()
		pair := func(i int) [2]uint64 { return [2]uint64{be64(k[i*8:]), be64(k[i*8+8:])} }
		name := func(who [2]uint64, kind byte) {
			n++
			if err == nil {
				err = addClaim(byKey, who[0], id[0], id[1], uint64(kind), who[1])
			}
		}
		if pair(0) != id {
			id, claimants, told = pair(0), 0, false
		}
		switch who := pair(3); {
		case be64(k[16:]) == uint64(gone):
			if claimants > 0 && who != first {
				name(who, gone)
			}
			if claimants == 1 && who != first && !told {
				name(first, taken)
				told = true
			}
		case claimants == 0:
			first, last, claimants = who, who, 1
		case who != last:
			if claimants == 1 {
				name(first, claimant)
			}
			name(who, claimant)
			last, claimants = who, claimants+1
		}
		if err != nil {
			return n, err
		}
	}
}

func (c *claims) close() error {
	if c == nil {
		return nil
	}
	return c.byKey.close()
}

func (c *claims) cursor() *claimCursor {
	if c == nil {
		return &claimCursor{}
	}
	m := c.byKey.cursor()
	return &claimCursor{m: m, more: m.next()}
}

// claimCursor gives the identities in trouble, key hash by key hash.
type claimCursor struct {
	m    *merge
	more bool
	buf  []claim
}

func (c *claimCursor) peek() (uint64, bool) {
	if !c.more {
		return 0, false
	}
	return c.m.hash(), true
}

func (c *claimCursor) take(h uint64) []claim {
	c.buf = c.buf[:0]
	for c.more && c.m.hash() == h {
		k := c.m.key()
		c.buf = append(c.buf, claim{xxh3.Uint128{Hi: be64(k[8:]), Lo: be64(k[16:])}, k[31], be64(k[32:])})
		c.more = c.m.next()
	}
	return c.buf
}

func (c *claimCursor) err() error {
	if c.m == nil {
		return nil
	}
	return c.m.err()
}

// troubled reports that a match is in trouble on a key with the hash looked at.
func (w *walk) troubled(key, matchID []byte, kind byte) bool {
	if matchID == nil || len(w.claim) == 0 {
		return false
	}
	u := identity(w.d.c.s.m.Meta.Seed, matchID)
	who := xxh3.Hash(key)
	for _, c := range w.claim {
		if c.id == u && c.kind == kind && c.key == who {
			return true
		}
	}
	return false
}

func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// collides reports that rows with other keys claim the match of a row.
func (w *walk) collides(key, matchID []byte) bool { return w.troubled(key, matchID, claimant) }

// matchHash is what the index keeps of an identity; 0 stands for none.
func matchHash(u xxh3.Uint128) uint64 { return max(u.Lo, 1) }

// bloom tells quickly that a hash was not added.
type bloom []uint64

func newBloom(n int64) bloom {
	words := 1 << bits.Len64(uint64(max(n, 1)/4)) // 16 bits or more for each
	return make(bloom, min(words, 4<<20))
}

func (b bloom) at(h uint64, i int) (word, bit uint64) {
	h *= [3]uint64{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9}[i]
	return h >> 6 >> 20 & uint64(len(b)-1), 1 << (h >> 58)
}

func (b bloom) add(h uint64) {
	for i := range 3 {
		w, bit := b.at(h, i)
		b[w] |= bit
	}
}

func (b bloom) has(h uint64) bool {
	for i := range 3 {
		if w, bit := b.at(h, i); b[w]&bit == 0 {
			return false
		}
	}
	return true
}
