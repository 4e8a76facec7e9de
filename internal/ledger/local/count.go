package local

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/packed"
)

// count makes the counts exact, after looking for matches claimed twice.
func (d *delta) count(ctx context.Context) error {
	c := d.c
	for code, n := range c.nullCodes {
		d.counts.Invalid[code] += n
	}
	if !c.opts.MatchIsKey {
		if err := d.findClaims(ctx); err != nil {
			return err
		}
	}
	d.counts.Unchanged = c.unchanged
	if c.put == 0 && d.claims == nil {
		return nil
	}
	if c.s.index.rows() == 0 && len(c.dirty) == 0 && d.claims == nil {
		return d.countNew(ctx)
	}
	return d.walk(ctx, (*counter)(d), !c.late && d.claims == nil)
}

// countNew counts where nothing is known that the rows could be merged with.
func (d *delta) countNew(ctx context.Context) error {
	var hash uint64
	var key []byte
	var code fault.Code // of the first row with the key
	rows, n := int64(0), 0
	tell := func() {
		switch {
		case rows > 1:
			d.counts.Invalid[fault.KeyDuplicate] += rows
		case code != "":
			d.counts.Invalid[code]++
		}
	}
	sp := d.c.spool.cursor()
	for sp.next() {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return fault.Wrap(fault.Cancelled, ctx.Err(), "comparing the model with the ledger")
		}
		if h, k := sp.hash(), sp.key(); rows == 0 || h != hash || !bytes.Equal(k, key) {
			tell()
			hash, key, code, rows = h, append(key[:0], k...), "", 0
		}
		if rows++; sp.head()[0] == spoolValid {
			continue
		}
		body, err := sp.payload()
		if err != nil {
			return err
		}
		code, _, _ = recordHead(spoolInvalid, body)
	}
	tell()
	return sp.err()
}

// counter counts what the teller will tell.
type counter delta

func (n *counter) row(w *walk, old *live, dup bool) error {
	if w.bare && !dup && w.head == spoolValid {
		return nil
	}
	code, print, matchID := recordHead(w.head, w.body)
	switch {
	case dup:
		n.counts.Invalid[fault.KeyDuplicate]++
	case code != "":
		n.counts.Invalid[code]++
	case matchID != nil && w.collides(w.key, matchID):
		n.counts.Invalid[fault.MatchDuplicate]++
	case w.unchangedLate(old, print):
		n.counts.Unchanged++
	}
	return nil
}

func (n *counter) first(w *walk, old *live, dup bool) error {
	code := fault.KeyDuplicate
	if !dup {
		collides, err := w.entryCollides(old)
		if err != nil || !collides {
			return err
		}
		code = fault.MatchDuplicate
	}
	n.counts.Unchanged--
	n.counts.Invalid[code]++
	return nil
}

func (n *counter) gone(*walk, *live) error   { return nil }
func (n *counter) dirty(*walk, []byte) error { return nil }

// unchangedLate reports that a spooled row is unchanged after all, where the index was too large to be probed.
func (w *walk) unchangedLate(old *live, print uint64) bool {
	c := w.d.c
	return c.late && old != nil && print != 0 && !c.s.index.special(old.slot) && !c.block.has(old.slot) &&
		binary.LittleEndian.Uint64(old.head) == print
}

// entryMatchID loads the normalised match of an entry.
func entryMatchID(old *live) ([]byte, error) {
	p, err := old.payload()
	if err != nil {
		return nil, err
	}
	d := decoder{packed.Reader{B: p}}
	_, id := entryMatch(&d, nil)
	if d.Bad {
		return nil, corrupt(old.seg.path, "an entry cannot be read")
	}
	return id, nil
}

func (w *walk) entryCollides(old *live) (bool, error) {
	id, err := entryMatchID(old)
	return err == nil && w.collides(old.key, id), err
}

var (
	_ visitor      = (*counter)(nil)
	_ ledger.Delta = (*delta)(nil)
)
