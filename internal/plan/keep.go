package plan

import (
	"encoding/binary"
	"iter"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/packed"
	"github.com/upwelldata/upwell/internal/row"
)

// Kept is a small plan in memory, packed. Delivery walks a plan several times, and walking the delta reads blocks of the ledger
// all over its files, again each time. A plan that outgrows the limit is let go, and walked in the delta as before.
type Kept struct {
	limit  int
	size   int
	chunks [][]byte
	shapes [][]string // field lists of entries, by number
	over   bool
}

// keptChunk is what memory is taken in, so that growing copies nothing.
const keptChunk = 256 << 10

// NewKept makes room for a plan of at most limit bytes, about 200 a change.
func NewKept(limit int) *Kept { return &Kept{limit: limit} }

// Add packs an item; a plan that outgrows the limit is let go.
func (k *Kept) Add(it *Item) {
	if k.over {
		return
	}
	last := len(k.chunks) - 1
	if last < 0 || len(k.chunks[last]) > keptChunk*3/4 {
		k.chunks = append(k.chunks, make([]byte, 0, keptChunk))
		last++
	}
	before := len(k.chunks[last])
	k.chunks[last] = k.pack(k.chunks[last], it)
	if k.size += len(k.chunks[last]) - before; k.size > k.limit {
		*k = Kept{over: true}
	}
}

// Whole reports that every item added is there.
func (k *Kept) Whole() bool { return k != nil && !k.over }

// Items yields the items in the order they were added, as Planner.Walk does. New has its values only where nothing is sent.
func (k *Kept) Items() iter.Seq2[*Item, error] {
	return func(yield func(*Item, error) bool) {
		u := &unpacker{k: k}
		for _, chunk := range k.chunks {
			for u.B = chunk; len(u.B) > 0; {
				if it := u.item(); u.Bad {
					yield(nil, fault.New(fault.Internal, "a plan kept in memory cannot be read back"))
					return
				} else if !yield(it, nil) {
					return
				}
			}
		}
	}
}

const (
	keptDirty = 1 << iota
	keptRefused
	keptVacates
	keptLate
	keptMayCreate
	keptMove
	keptInvalid
	keptNew
	keptNewInvalid
	keptMatchID
	keptOld
	keptOldMatchID
)

func flag(on bool, bit uint64) uint64 {
	if on {
		return bit
	}
	return 0
}

func (k *Kept) pack(b []byte, it *Item) []byte {
	n, o := it.New, it.Old
	flags := flag(it.Dirty, keptDirty) | flag(it.Refused, keptRefused) | flag(it.Vacates, keptVacates) | flag(it.Late, keptLate) |
		flag(it.MayCreate, keptMayCreate) | flag(it.Move != nil, keptMove) | flag(it.Invalid != nil, keptInvalid) |
		flag(n != nil, keptNew) | flag(n != nil && n.Invalid != nil, keptNewInvalid) | flag(n != nil && n.MatchID != nil, keptMatchID) |
		flag(o != nil, keptOld) | flag(o != nil && o.MatchID != nil, keptOldMatchID)
	b = binary.AppendUvarint(append(b, byte(it.Action)), flags)
	b = packed.AppendBytes(packed.AppendBytes(b, it.Op), it.Key)
	b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, it.Hash), it.Fingerprint)
	b = packed.AppendBytes(packed.AppendBytes(b, it.RemoteID), it.Withheld)
	b = packValues(packValues(b, it.Match), it.Values)
	if it.Move != nil {
		b = packValues(b, it.Move)
	}
	if it.Invalid != nil {
		b = packInvalid(b, it.Invalid)
	}
	if n != nil {
		b = k.packRecord(b, n, it.Action.Sent())
	}
	if o != nil {
		b = k.packEntry(b, o)
	}
	return b
}

func (k *Kept) packRecord(b []byte, r *ledger.Record, sent bool) []byte {
	b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, r.Hash), r.Fingerprint)
	b = packed.AppendBytes(binary.AppendUvarint(b, r.Ordinal), r.Key)
	if r.Invalid != nil {
		b = packInvalid(b, r.Invalid)
	}
	if r.MatchID != nil {
		b = packed.AppendBytes(b, r.MatchID)
	}
	if sent {
		return b
	}
	return packValues(packValues(b, r.Match), r.Values)
}

func (k *Kept) packEntry(b []byte, e *ledger.Entry) []byte {
	b = packed.AppendBytes(append(b, byte(e.State), byte(e.Created)), e.Key)
	b = binary.LittleEndian.AppendUint64(b, e.Fingerprint)
	b = packValues(b, e.Match)
	if e.MatchID != nil {
		b = packed.AppendBytes(b, e.MatchID)
	}
	b = packed.AppendBytes(packed.AppendBytes(b, e.RemoteID), e.Run)
	b = binary.AppendVarint(b, e.At.Unix())
	return packValues(binary.AppendUvarint(b, k.shape(e.Fields)), e.Values)
}

// shape numbers a list of fields; entries share few lists.
func (k *Kept) shape(fields []string) uint64 {
	for i, s := range k.shapes {
		if len(s) == len(fields) && (len(s) == 0 || &s[0] == &fields[0]) {
			return uint64(i)
		}
	}
	k.shapes = append(k.shapes, fields)
	return uint64(len(k.shapes) - 1)
}

// packValues notes how long the values are, so that reading them back copies no more than them.
func packValues(b []byte, vals []row.Value) []byte {
	b = binary.AppendUvarint(b, uint64(len(vals)))
	at := len(b)
	b = row.AppendValues(append(b, 0, 0, 0, 0), vals)
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

func packInvalid(b []byte, inv *ledger.Invalid) []byte {
	return packed.AppendBytes(packed.AppendBytes(packed.AppendBytes(b, inv.Code), inv.Field), inv.Message)
}

// unpacker reads items back into memory it uses again. Keys and ids are parts of the plan: good as long as it is kept.
type unpacker struct {
	packed.Reader
	k           *Kept
	it          Item
	rec         ledger.Record
	old         ledger.Entry
	move, match []row.Value
	inv, newInv ledger.Invalid
}

func (u *unpacker) item() *Item {
	it := &u.it
	action := Action(u.Byte())
	flags := u.Uvarint()
	on := func(bit uint64) bool { return flags&bit != 0 }
	*it = Item{
		Action: action, Dirty: on(keptDirty), Refused: on(keptRefused), Vacates: on(keptVacates), Late: on(keptLate), MayCreate: on(keptMayCreate),
		Match: it.Match[:0], Values: it.Values[:0],
	}
	it.Op, it.Key = connector.Op(u.Bytes()), u.Bytes()
	it.Hash, it.Fingerprint = u.Fixed(), u.Fixed()
	it.RemoteID, it.Withheld = string(u.Bytes()), string(u.Bytes())
	it.Match, it.Values = u.values(it.Match), u.values(it.Values)
	if on(keptMove) {
		u.move = u.values(u.move)
		it.Move = u.move
	}
	if on(keptInvalid) {
		it.Invalid = u.invalid(&u.inv)
	}
	if on(keptNew) {
		it.New = u.record(on(keptNewInvalid), on(keptMatchID), action.Sent())
	}
	if on(keptOld) {
		it.Old = u.entry(on(keptOldMatchID))
	}
	return it
}

func (u *unpacker) record(invalid, matchID, sent bool) *ledger.Record {
	r := &u.rec
	*r = ledger.Record{Hash: u.Fixed(), Fingerprint: u.Fixed(), Ordinal: u.Uvarint(), Key: u.Bytes(), Values: r.Values[:0]}
	if invalid {
		r.Invalid = u.invalid(&u.newInv)
	}
	if matchID {
		r.MatchID = u.Bytes()
	}
	if sent {
		r.Match = u.it.Match
		return r
	}
	u.match, r.Values = u.values(u.match), u.values(r.Values)
	r.Match = u.match
	return r
}

func (u *unpacker) entry(matchID bool) *ledger.Entry {
	e := &u.old
	*e = ledger.Entry{State: ledger.State(u.Byte()), Created: connector.Tri(u.Byte()), Key: u.Bytes(), Fingerprint: u.Fixed(), Match: e.Match[:0], Values: e.Values[:0]}
	e.Match = u.values(e.Match)
	if matchID {
		e.MatchID = u.Bytes()
	}
	e.RemoteID, e.Run = string(u.Bytes()), string(u.Bytes())
	e.At = time.Unix(u.Varint(), 0).UTC()
	if shape := u.Uvarint(); shape < uint64(len(u.k.shapes)) {
		e.Fields = u.k.shapes[shape]
	} else {
		u.Fail()
	}
	e.Values = u.values(e.Values)
	return e
}

func (u *unpacker) values(dst []row.Value) []row.Value {
	n := u.Uvarint()
	if len(u.B) < 4 {
		u.Fail()
		return nil
	}
	size := uint64(binary.LittleEndian.Uint32(u.B))
	if u.B = u.B[4:]; n > size || size > uint64(len(u.B)) {
		u.Fail()
		return nil
	}
	vals, rest, err := row.ReadOwned(u.B[:size], int(n), dst)
	if u.B = u.B[size:]; err != nil || len(rest) > 0 {
		u.Fail()
		return nil
	}
	return vals
}

func (u *unpacker) invalid(inv *ledger.Invalid) *ledger.Invalid {
	*inv = ledger.Invalid{Code: fault.Code(u.Bytes()), Field: string(u.Bytes()), Message: string(u.Bytes())}
	return inv
}
