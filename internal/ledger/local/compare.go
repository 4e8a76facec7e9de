package local

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

// nullSamples is how many rows without a key are kept to be shown.
const nullSamples = 100

// comparison holds one bit per slot: a row of this read was found unchanged there. Everything else about a read is in the spool,
// and comes out of the merge: rows seen twice, keys that share a hash, and what was not seen at all.
type comparison struct {
	s     *state
	opts  ledger.CompareOptions
	spool *sorter
	seen  bitmap // slots whose row was unchanged
	block bitmap // slots of dirty keys; nil when there are none
	late  bool   // the index is too large to be probed at random: all rows are spooled, the merge finds the unchanged

	probed    int64
	unchanged int64
	put       int64
	nulls     []ledger.Invalid
	nullCodes map[fault.Code]int64
	nullRows  int64
	dirty     []dirtyKey
	err       error
	done      bool
	touched   byte // keeps the compiler from dropping the loads of guess
}

type dirtyKey struct {
	hash uint64
	key  []byte
}

type bitmap []uint64

func newBitmap(n int) bitmap    { return make(bitmap, (n+63)/64) }
func (b bitmap) get(i int) bool { return b[i>>6]&(1<<(i&63)) != 0 }
func (b bitmap) set(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b bitmap) has(i int) bool { return b != nil && b.get(i) }

func (p *snapshot) Compare(opts ledger.CompareOptions) (ledger.Comparison, error) {
	c := newComparison(opts, p.s.m.Meta.Seed)
	c.bind(p.s.retain())
	c.late = !opts.All && int64(c.s.index.rows())*slotSize > p.opts.ProbeBytes
	return c, nil
}

func newComparison(opts ledger.CompareOptions, seed uint64) *comparison {
	if opts.Memory <= 0 {
		opts.Memory = 64 << 20
	}
	return &comparison{opts: opts, spool: newSorter(opts.TempDir, kindSpool, opts.Memory, seed), nullCodes: map[fault.Code]int64{}}
}

// bind says which entries are compared with. The state is released with the comparison.
func (c *comparison) bind(s *state) {
	c.s, c.seen = s, newBitmap(s.index.rows())
	for h, key := range c.opts.Dirty {
		c.dirty = append(c.dirty, dirtyKey{h, bytes.Clone(key)})
		from, to := s.index.find(h)
		if c.block == nil {
			c.block = newBitmap(s.index.rows())
		}
		for ; from < to; from++ {
			c.block.set(from)
		}
	}
	slices.SortFunc(c.dirty, func(a, b dirtyKey) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(a.key, b.key))
	})
}

func (c *comparison) Probe(hash, print []uint64, candidate []bool) {
	c.probed += int64(len(hash))
	if c.opts.All || c.late || c.s == nil || c.s.index.rows() == 0 {
		for i := range candidate[:len(hash)] {
			candidate[i] = true
		}
		return
	}
	const lane = 16
	var at [lane]uint32
	for len(hash) >= lane {
		// The loads of one lane do not depend on each other, so their cache misses overlap.
		c.touched ^= c.s.index.guess(hash[:lane], at[:])
		c.resolve(hash[:lane], print, candidate, at[:])
		hash, print, candidate = hash[lane:], print[lane:], candidate[lane:]
	}
	c.touched ^= c.s.index.guess(hash, at[:])
	c.resolve(hash, print, candidate, at[:])
}

// guess gives for each hash the slot where its search begins, and touches it.
func (x *index) guess(hash []uint64, at []uint32) (touched byte) {
	for i, h := range hash {
		at[i] = x.fences[h>>x.shift]
	}
	for i := range hash {
		if int(at[i]) < x.n {
			touched ^= x.slots.data[int(at[i])*slotSize]
		}
	}
	return touched
}

func (c *comparison) resolve(hash, print []uint64, candidate []bool, at []uint32) {
	x := c.s.index
	for i, h := range hash {
		candidate[i] = true
		p := int(at[i])
		end := int(x.fences[h>>x.shift+1])
		for p < end && x.hash(p) < h {
			p++
		}
		for ; p < end && x.hash(p) == h; p++ {
			if x.stored(p) != print[i] || print[i] == 0 || c.block.has(p) {
				continue
			}
			if !c.seen.get(p) {
				c.seen.set(p)
				c.unchanged++
				candidate[i] = false
			}
			break
		}
	}
}

func (c *comparison) Put(rec *ledger.Record) error {
	if c.err == nil {
		c.put++
		c.err = c.spool.putRecord(rec)
	}
	return c.err
}

func (c *comparison) PutNullKey(inv ledger.Invalid) {
	if inv.Code == "" {
		inv.Code = fault.KeyNull
	}
	c.nullRows++
	c.nullCodes[inv.Code]++
	// The samples kept do not depend on the order in which the source answers.
	order := func(a, b ledger.Invalid) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	}
	if n := len(c.nulls); n == nullSamples {
		if order(inv, c.nulls[n-1]) >= 0 {
			return
		}
		c.nulls = c.nulls[:n-1]
	}
	i, _ := slices.BinarySearchFunc(c.nulls, inv, order)
	c.nulls = slices.Insert(c.nulls, i, inv)
}

func (c *comparison) Finish(ctx context.Context) (ledger.Delta, error) {
	if c.err == nil && c.put != c.probed-c.unchanged {
		c.err = fault.New(fault.Internal, "the comparison called %d rows candidates and got %d", c.probed-c.unchanged, c.put)
	}
	if c.err == nil {
		c.err = c.spool.finish()
	}
	if c.err != nil {
		return nil, c.err
	}
	d := &delta{c: c, counts: ledger.ReadCounts{Read: c.probed + c.nullRows, NullKeys: c.nullRows, Invalid: map[fault.Code]int64{}}}
	if err := d.count(ctx); err != nil {
		discard(d)
		return nil, err
	}
	c.done = true // the delta owns the spool now
	return d, nil
}

func (c *comparison) Close() error {
	if c.done || c.s == nil {
		return nil
	}
	return c.release()
}

func (c *comparison) release() error {
	if c.s == nil {
		return nil
	}
	err := c.spool.close()
	if rerr := c.s.release(); err == nil {
		err = rerr
	}
	c.s = nil
	return err
}
