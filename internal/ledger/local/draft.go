package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/packed"
	"github.com/upwelldata/upwell/internal/row"
)

// draft is a segment and its history, made of a spool without reading its values: spool and segment have the same order, and
// hold values in the same form. Until it is adopted nothing names its files, and the next sweep removes them.
type draft struct {
	s       *session
	seg     segmentRef
	hist    fileRef
	fields  []string
	adopted bool
}

// Draft implements ledger.Drafter.
func (s *session) Draft(ctx context.Context, d ledger.Delta, like ledger.Ack) (ledger.Draft, error) {
	of, ok := d.(*delta)
	if !ok || !of.allNew() || s.base.Meta.Rows > 0 || s.base.Meta.Seed != of.c.s.m.Meta.Seed {
		return nil, nil
	}
	w, err := s.drafting(&like)
	if err != nil {
		return nil, err
	}
	if err := w.copy(ctx, of.c.spool.cursor()); err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	return w.finish()
}

// allNew reports that the delta is its spool: valid rows of keys the ledger does not know.
func (d *delta) allNew() bool {
	return d.c.s.index.rows() == 0 && d.claims == nil && len(d.c.dirty) == 0 && len(d.counts.Invalid) == 0
}

// drafter writes a draft.
type drafter struct {
	draft
	segment, history *tableWriter
	stem             string
	tail             []byte // the lists the rows refer to
	state            byte   // of every entry
	middle           []byte // of every entry: what stands between its match and its values
	change           []byte // the history of every row
	entry            []byte
	match            []row.Value
}

func (s *session) drafting(like *ledger.Ack) (*drafter, error) {
	w := &drafter{draft: draft{s: s, fields: like.Entry.Fields}, stem: filepath.Join(s.h.dir, fmt.Sprintf("%016x", s.take()))}
	var head [entryHead]byte
	w.state = appendEntryHead(head[:0], &like.Entry)[entryHead-1]
	s.mu.Lock()
	w.middle = appendEntryMiddle(nil, &like.Entry, &s.lists)
	if h, told, ok := historyOf(like, s.run); ok {
		w.change = appendHistory(nil, &h, told, &s.lists)
	}
	w.tail = s.lists.encode(nil, 0)
	s.mu.Unlock()
	var err error
	if w.segment, err = createTable(s.h.opts.disk, w.stem+".seg", kindEntries); err != nil {
		return nil, err
	}
	if w.history, err = createTable(s.h.opts.disk, w.stem+".hist", kindHistory); err != nil {
		w.segment.out.abandon()
		return nil, err
	}
	return w, nil
}

func (w *drafter) copy(ctx context.Context, rows *merge) error {
	var head [entryHead]byte
	head[entryHead-1] = w.state
	for n := 0; rows.next(); n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return fault.Wrap(fault.Cancelled, ctx.Err(), "drafting what the ledger records")
		}
		p, err := rows.payload()
		if err != nil {
			return err
		}
		print, err := w.unspool(p)
		if err != nil {
			return err
		}
		binary.LittleEndian.PutUint64(head[:], print)
		w.segment.add(rows.hash(), rows.key(), head[:], w.entry)
		w.history.add(rows.hash(), rows.key(), nil, w.change)
	}
	return rows.err()
}

// unspool makes an entry of a spooled row, see appendRecord and appendEntry.
func (w *drafter) unspool(payload []byte) (print uint64, err error) {
	d := decoder{packed.Reader{B: payload}}
	print = d.Fixed()
	d.Uvarint() // the ordinal
	var id []byte
	has := d.Byte() == 1
	if has {
		id = d.Bytes()
	}
	from := d.B
	kind := matchNone
	if has {
		var buf [128]byte
		w.match = d.values(w.match)
		kind = matchApart
		if bytes.Equal(row.AppendKey(buf[:0], w.match...), id) {
			kind = matchCanonical
		}
		w.seg.Matches = true
	} else {
		d.skipValues()
	}
	w.entry = append(append(w.entry[:0], kind), from[:len(from)-len(d.B)]...)
	if kind == matchApart {
		w.entry = packed.AppendBytes(w.entry, id)
	}
	w.entry = append(append(w.entry, w.middle...), d.B...)
	if d.Bad {
		return 0, fault.New(fault.Internal, "a spooled row cannot be read back")
	}
	return print, nil
}

func (w *drafter) finish() (ledger.Draft, error) {
	ref, err := w.segment.finish(w.tail)
	if err != nil {
		w.history.out.abandon()
		return nil, errors.Join(err, w.remove())
	}
	w.seg.fileRef = ref
	if w.hist, err = w.history.finish(w.tail); err != nil {
		return nil, errors.Join(err, w.remove())
	}
	return &w.draft, nil
}

func (w *drafter) abandon() error {
	w.segment.out.abandon()
	w.history.out.abandon()
	return w.remove()
}

func (w *drafter) remove() error {
	for _, ext := range []string{".seg", ".hist"} {
		if err := w.s.h.opts.disk.remove(w.stem + ext); err != nil {
			return unusable(err, "removing a draft")
		}
	}
	return nil
}

func (d *draft) Rows() int64 { return d.seg.Rows }

func (d *draft) Adopt() error {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	switch {
	case d.s.dead != nil:
		return d.s.dead
	case d.s.over:
		return fault.New(fault.Internal, "acknowledging rows after the ledger was published")
	}
	d.adopted = true
	if d.seg.Rows == 0 {
		return nil
	}
	d.s.segs, d.s.hist = append(d.s.segs, d.seg), append(d.s.hist, d.hist)
	d.s.fields = union(d.s.fields, d.fields)
	return nil
}

func (d *draft) Discard() error {
	if d.adopted {
		return nil
	}
	for _, name := range []string{d.seg.Name, d.hist.Name} {
		if err := d.s.h.opts.disk.remove(filepath.Join(d.s.h.dir, name)); err != nil {
			return unusable(err, "removing a draft")
		}
	}
	return nil
}
