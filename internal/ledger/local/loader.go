package local

import (
	"bytes"
	"path/filepath"
	"slices"

	"github.com/upwelldata/upwell/internal/ledger"
)

// loader finds entries by slot of the index. Asked in hash order it reads every block at most once. It serves one goroutine.
type loader struct {
	s       *state
	cursors []*tableCursor
	group   []live // of the last hash looked at
	hash    uint64
	from    int
	valid   bool
}

// live is one entry in force, by where it stands.
type live struct {
	slot int
	cur  *tableCursor
	seg  *segment
	key  []byte
	head []byte
	row  int // with block: where the cursor must stand for the payload
	blk  int
}

func (s *state) loader() *loader {
	l := &loader{s: s}
	for _, seg := range s.segments {
		l.cursors = append(l.cursors, seg.cursor(s.m.Meta.Seed))
	}
	return l
}

// at gives the entries of the slots [from, to), which share hash h, in slot order: that of their keys.
func (l *loader) at(h uint64, from, to int) ([]live, error) {
	if l.valid && l.hash == h && l.from == from {
		return l.group, nil
	}
	l.group, l.hash, l.from, l.valid = l.group[:0], h, from, false
	if to-from == 1 {
		i := l.s.byNumber[l.s.index.segment(from)] - 1
		if i >= 0 {
			c := l.cursors[i]
			if c.seek(h) && c.hash() == h && c.alone() && c.head()[entryHead-1]&tombstone == 0 {
				l.group = append(l.group, l.stand(i, from))
				l.valid = true
				return l.group, nil
			}
			if c.fail != nil {
				return nil, c.fail
			}
		}
	}
	if err := l.resolve(h, from); err != nil {
		return nil, err
	}
	if len(l.group) != to-from {
		return nil, corrupt(filepath.Join(l.s.dir, l.s.m.Index.Slots.Name), "index and segments do not agree about a key")
	}
	l.valid = true
	return l.group, nil
}

func (l *loader) stand(i, slot int) live {
	c := l.cursors[i]
	return live{slot: slot, cur: c, seg: l.s.segments[i], key: c.key(), head: c.head(), row: c.row, blk: c.block}
}

// resolve looks at all rows with a hash, newest segment first: the way for hashes that several keys share.
func (l *loader) resolve(h uint64, from int) error {
	var seen [][]byte
	for i := len(l.cursors) - 1; i >= 0; i-- {
		c := l.cursors[i]
		for ok := c.seek(h); ok && c.hash() == h; ok = c.next() {
			if slices.ContainsFunc(seen, func(k []byte) bool { return bytes.Equal(k, c.key()) }) {
				continue
			}
			seen = append(seen, bytes.Clone(c.key()))
			if c.head()[entryHead-1]&tombstone == 0 {
				e := l.stand(i, 0)
				e.key, e.head = bytes.Clone(e.key), bytes.Clone(e.head)
				l.group = append(l.group, e)
			}
		}
		if c.fail != nil {
			return c.fail
		}
	}
	slices.SortFunc(l.group, func(a, b live) int { return bytes.Compare(a.key, b.key) })
	for i := range l.group {
		l.group[i].slot = from + i
	}
	return nil
}

// payload gives an entry's payload, valid until the loader moves on.
func (e *live) payload() ([]byte, error) {
	if e.cur.block != e.blk || e.cur.row != e.row {
		if e.cur.block != e.blk && !e.cur.open(e.blk) {
			return nil, e.cur.fail
		}
		e.cur.row = e.row
		e.cur.curHash, e.cur.placed = e.cur.hashAt(e.row), false
	}
	return e.cur.payload()
}

// entry decodes into dst.
func (e *live) entry(dst *ledger.Entry) error {
	p, err := e.payload()
	if err != nil {
		return err
	}
	if decodeEntry(dst, e.key, e.head, p, e.seg.lists) != nil {
		return corrupt(e.seg.path, "an entry cannot be read")
	}
	return nil
}
