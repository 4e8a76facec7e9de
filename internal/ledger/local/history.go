package local

import (
	"encoding/binary"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/packed"
	"github.com/upwelldata/upwell/internal/row"
)

const (
	histKnown   = 0x01 // the key was in the ledger before
	histDerived = 0x02 // New is what the next newer change replaced, or what the entry holds now
	histNew     = 0x04 // New is stored
	histOnly    = 0x08 // the entry was left alone
	histHidden  = 0x10 // not a change, but the end of what is known about the values before
)

// historyOf gives what is recorded of an acknowledgement; ok is false when that is nothing: the entry was kept in order, its
// values are what they were. Values recorded by this run without a statement about those before are hidden: not a change of the
// run, but older changes must not take them for their own.
func historyOf(a *ledger.Ack, run string) (h ledger.History, flags byte, ok bool) {
	if len(a.Before) == 0 {
		return h, histHidden, !a.Delete && !a.HistOnly && a.Entry.Run == run
	}
	h = a.Before[0]
	if h.Op == "" {
		h.Op = a.Op
	}
	if h.Outcome == connector.Unknown {
		h.Outcome = a.Outcome
	}
	if h.Created == connector.NotTold {
		h.Created = a.Entry.Created
	}
	if h.At.IsZero() {
		h.At = a.Entry.At
	}
	if h.Known {
		flags |= histKnown
	}
	switch {
	case a.HistOnly:
		flags |= histOnly
	case !a.Delete && !h.Read && follows(&h, &a.Entry): // what the next change read need not be what this one left
		return h, flags | histDerived, true
	}
	if h.New != nil {
		flags |= histNew
	}
	return h, flags, true
}

// appendHistory encodes a change. Values that follow from the entry acknowledged with it are not stored twice.
func appendHistory(b []byte, h *ledger.History, flags byte, l *lists) []byte {
	b = append(b, flags)
	if flags&histHidden != 0 {
		return b
	}
	b = append(b, byte(h.Outcome)|byte(h.Created)<<4)
	b = binary.AppendUvarint(b, l.one(string(h.Op)))
	b = binary.AppendVarint(b, toUnix(h.At))
	b = binary.AppendUvarint(b, l.id(h.Fields))
	b = appendValues(b, h.Old)
	if flags&histNew != 0 {
		b = appendValues(b, h.New)
	}
	if h.Known {
		b = append(b, byte(h.PrevState))
		b = appendValues(b, h.PrevMatch)
		b = packed.AppendBytes(b, h.PrevRemoteID)
		b = binary.LittleEndian.AppendUint64(b, h.PrevFingerprint)
	}
	return b
}

// follows reports that h.New is what the entry holds for its fields, or was left for the ledger to say.
func follows(h *ledger.History, e *ledger.Entry) bool {
	if h.New == nil {
		return true
	}
	for i, f := range h.Fields {
		if i >= len(h.New) || !same(h.New[i], fieldValue(e, f)) {
			return false
		}
	}
	return len(h.New) == len(h.Fields)
}

func same(a, b row.Value) bool { return a.Kind() == b.Kind() && a.Equal(b) }

func fieldValue(e *ledger.Entry, field string) row.Value {
	for i, f := range e.Fields {
		if f == field && i < len(e.Values) {
			return e.Values[i]
		}
	}
	return row.Value{}
}

// change is one change as stored.
type change struct {
	ledger.History
	flags byte
}

func decodeHistory(run string, key, payload []byte, l *lists) (h change, err error) {
	d := decoder{packed.Reader{B: payload}}
	h.Run, h.Key = run, append([]byte(nil), key...)
	if h.flags = d.Byte(); h.flags == histHidden && !d.Bad && len(d.B) == 0 {
		return h, nil
	}
	told := d.Byte()
	h.Outcome, h.Created, h.Known = connector.Status(told&0x0f), connector.Tri(told>>4), h.flags&histKnown != 0
	h.Op = connector.Op(d.one(l))
	h.At = fromUnix(d.Varint())
	h.Fields = d.list(l)
	h.Old = d.values(nil)
	if h.flags&histNew != 0 {
		h.New = d.values(nil)
	}
	if h.Known {
		h.PrevState = ledger.State(d.Byte())
		h.PrevMatch = d.values(nil)
		h.PrevRemoteID = string(d.Bytes())
		h.PrevFingerprint = d.Fixed()
	}
	if d.Bad || len(d.B) > 0 || h.Outcome > connector.NotAttempted || h.Created > connector.Yes || h.flags >= histHidden {
		return change{}, errRow
	}
	return h, nil
}

// after follows a key backwards in time and knows what its fields held after the change looked at next.
type after struct {
	fields []string
	values []row.Value
}

// start begins with the entry of today, nil when there is none.
func (a *after) start(e *ledger.Entry) {
	a.fields, a.values = a.fields[:0], a.values[:0]
	if e != nil {
		a.fields, a.values = append(a.fields, e.Fields...), append(a.values, e.Values...)
	}
}

// step fills New of a change and goes back before it.
func (a *after) step(h *change) {
	if h.flags&histDerived != 0 {
		h.New = make([]row.Value, len(h.Fields))
		for i, f := range h.Fields {
			h.New[i] = a.get(f)
		}
	}
	if h.flags&histOnly != 0 {
		return
	}
	if !h.Known {
		a.start(nil)
		return
	}
	for i, f := range h.Fields {
		v := row.Value{}
		if i < len(h.Old) {
			v = h.Old[i]
		}
		a.set(f, v)
	}
}

func (a *after) get(field string) row.Value {
	for i, f := range a.fields {
		if f == field && i < len(a.values) {
			return a.values[i]
		}
	}
	return row.Value{}
}

func (a *after) set(field string, v row.Value) {
	for len(a.values) < len(a.fields) {
		a.values = append(a.values, row.Value{})
	}
	for i, f := range a.fields {
		if f == field {
			a.values[i] = v
			return
		}
	}
	a.fields, a.values = append(a.fields, field), append(a.values, v)
}
