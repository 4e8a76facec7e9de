package local

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"
)

// arena collects rows in memory and sorts them by (hash, key); equal keys keep the order they came in. It takes memory piece by
// piece and keeps it: growing copies nothing.
type arena struct {
	chunks [][]byte
	at     int // the chunk being filled
	used   int // bytes of rows
	refs   []arenaRef
}

type arenaRef struct {
	hash       uint64
	chunk, off uint32
	klen, len  uint32 // of the key; of key, head and payload
}

const (
	refSize    = 24
	arenaMax   = 1 << 31
	arenaChunk = 1 << 20
	firstChunk = 16 << 10 // most arenas hold little
)

// room reports whether n more bytes fit beside what is there within a budget. An empty arena always has room.
func (a *arena) room(n, budget int) bool {
	return len(a.refs) == 0 || (a.size()+n+refSize <= budget && a.used+n < arenaMax)
}

// size is what the rows take, in bytes.
func (a *arena) size() int { return a.used + len(a.refs)*refSize }

// put appends a row; fill appends its head and payload.
func (a *arena) put(hash uint64, key []byte, fill func(b []byte) []byte) {
	b := a.chunk(len(key))
	off := len(b)
	b = append(b, key...)
	if fill != nil {
		b = fill(b)
	}
	a.chunks[a.at] = b
	if len(a.refs) == cap(a.refs) {
		a.refs = slices.Grow(a.refs, max(len(a.refs), 256))
	}
	a.refs = append(a.refs, arenaRef{hash: hash, chunk: uint32(a.at), off: uint32(off), klen: uint32(len(key)), len: uint32(len(b) - off)})
	a.used += len(b) - off
}

// chunk gives the chunk for a row with a key of n bytes. A row that is larger than what is free makes its chunk grow.
func (a *arena) chunk(n int) []byte {
	const row = 1 << 10 // most rows are smaller
	if len(a.chunks) == 0 {
		a.chunks = append(a.chunks, make([]byte, 0, firstChunk))
	}
	b := a.chunks[a.at]
	if cap(b)-len(b) >= n+row || len(b) == 0 {
		return b
	}
	if cap(b) < arenaChunk {
		return slices.Grow(b, len(b)+n+row)
	}
	if a.at++; a.at == len(a.chunks) {
		a.chunks = append(a.chunks, make([]byte, 0, arenaChunk))
	}
	return a.chunks[a.at]
}

func (a *arena) reset() {
	for i := range a.chunks {
		a.chunks[i] = a.chunks[i][:0]
	}
	a.at, a.used, a.refs = 0, 0, a.refs[:0]
}

func (a *arena) row(r arenaRef) []byte  { return a.chunks[r.chunk][r.off : r.off+r.len : r.off+r.len] }
func (a *arena) key(r arenaRef) []byte  { return a.row(r)[:r.klen:r.klen] }
func (a *arena) body(r arenaRef) []byte { return a.row(r)[r.klen:] }

// sort orders the rows. Hashes are uniform, so one scatter by their leading bits leaves almost nothing to compare.
func (a *arena) sort(scratch []arenaRef) []arenaRef {
	n := len(a.refs)
	if n < 64 {
		slices.SortFunc(a.refs, a.compare)
		return scratch
	}
	shift := uint(64 - (bits.Len(uint(n)) - 1))
	if cap(scratch) < n {
		scratch = make([]arenaRef, n)
	}
	scratch = scratch[:n]
	starts := make([]uint32, 1<<(64-shift)+1)
	for i := range a.refs {
		starts[a.refs[i].hash>>shift+1]++
	}
	for i := 1; i < len(starts); i++ {
		starts[i] += starts[i-1]
	}
	at := slices.Clone(starts[:len(starts)-1])
	for i := range a.refs {
		b := a.refs[i].hash >> shift
		scratch[at[b]] = a.refs[i]
		at[b]++
	}
	for i := 1; i < len(starts); i++ {
		from, to := starts[i-1], starts[i]
		switch {
		case to-from < 2:
		case to-from < 16:
			a.insertion(scratch[from:to])
		default:
			slices.SortFunc(scratch[from:to], a.compare)
		}
	}
	a.refs, scratch = scratch, a.refs
	return scratch
}

func (a *arena) insertion(r []arenaRef) {
	for i := 1; i < len(r); i++ {
		for j := i; j > 0 && a.compare(r[j], r[j-1]) < 0; j-- {
			r[j], r[j-1] = r[j-1], r[j]
		}
	}
}

func (a *arena) compare(x, y arenaRef) int {
	if x.hash != y.hash {
		return cmp.Compare(x.hash, y.hash)
	}
	if n := bytes.Compare(a.key(x), a.key(y)); n != 0 {
		return n
	}
	return cmp.Or(cmp.Compare(x.chunk, y.chunk), cmp.Compare(x.off, y.off))
}

// arenaCursor walks a sorted arena.
type arenaCursor struct {
	a       *arena
	headLen int
	i       int
}

func (a *arena) cursor(headLen int) *arenaCursor { return &arenaCursor{a: a, headLen: headLen, i: -1} }

func (c *arenaCursor) next() bool   { c.i++; return c.i < len(c.a.refs) }
func (c *arenaCursor) hash() uint64 { return c.a.refs[c.i].hash }
func (c *arenaCursor) key() []byte  { return c.a.key(c.a.refs[c.i]) }
func (c *arenaCursor) head() []byte { return c.a.body(c.a.refs[c.i])[:c.headLen] }
func (c *arenaCursor) err() error   { return nil }

func (c *arenaCursor) payload() ([]byte, error) { return c.a.body(c.a.refs[c.i])[c.headLen:], nil }
