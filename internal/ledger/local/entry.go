package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/packed"
	"github.com/upwelldata/upwell/internal/row"
)

// lists interns lists of strings: field names of a shape, run ids, operations. Rows hold numbers; a file's tail holds the lists.
type lists struct {
	all [][]string
	ids map[string]uint64
	// the answers last given, as one shape and one run come again and again
	shape   []string
	shapeID uint64
	name    string
	nameID  uint64
}

// id interns a list.
func (l *lists) id(list []string) uint64 {
	if len(list) > 0 && slices.Equal(list, l.shape) {
		return l.shapeID
	}
	l.shapeID = l.intern(list)
	l.shape = l.all[l.shapeID]
	return l.shapeID
}

func (l *lists) one(s string) uint64 {
	if len(l.all) == 0 || l.name != s || l.nameID >= uint64(len(l.all)) || len(l.all[l.nameID]) != 1 || l.all[l.nameID][0] != s {
		l.name, l.nameID = s, l.intern([]string{s})
	}
	return l.nameID
}

func (l *lists) intern(list []string) uint64 {
	var buf [256]byte
	k := packed.AppendStrings(buf[:0], list)
	if id, ok := l.ids[string(k)]; ok {
		return id
	}
	if l.ids == nil {
		l.ids = map[string]uint64{}
	}
	id := uint64(len(l.all))
	l.all = append(l.all, slices.Clone(list))
	l.ids[string(k)] = id
	return id
}

func (l *lists) get(id uint64) ([]string, bool) {
	if id >= uint64(len(l.all)) {
		return nil, false
	}
	return l.all[id], true
}

func (l *lists) encode(b []byte, from int) []byte {
	for _, list := range l.all[from:] {
		b = packed.AppendStrings(b, list)
	}
	return b
}

func decodeLists(b []byte) (*lists, error) {
	l := &lists{}
	for len(b) > 0 {
		d := decoder{packed.Reader{B: b}}
		list := d.Strings()
		if d.Bad {
			return nil, errRow
		}
		l.all = append(l.all, list)
		b = d.B
	}
	return l, nil
}

var errRow = errors.New("a row does not hold what it should")

// decoder reads the parts of a payload.
type decoder struct{ packed.Reader }

func (d *decoder) list(l *lists) []string {
	list, ok := l.get(d.Uvarint())
	if !ok {
		d.Fail()
	}
	return list
}

func (d *decoder) one(l *lists) string {
	list := d.list(l)
	if len(list) != 1 {
		d.Fail()
		return ""
	}
	return list[0]
}

// values reads a counted list into dst[:0]; nil when it is empty and dst is nil.
func (d *decoder) values(dst []row.Value) []row.Value {
	n := d.Uvarint()
	if n > uint64(len(d.B)) {
		d.Fail()
		return nil
	}
	vals, rest, err := row.ReadOwned(d.B, int(n), dst)
	if err != nil {
		d.Fail()
		return nil
	}
	d.B = rest
	return vals
}

func appendValues(b []byte, vals []row.Value) []byte {
	return row.AppendValues(binary.AppendUvarint(b, uint64(len(vals))), vals)
}

// The head of an entry: fingerprint and a byte of flags. A tombstone has no payload.
const (
	entryHead = 9
	tombstone = 0x80
)

// The ways a MatchID is kept.
const (
	matchNone byte = iota
	matchCanonical
	matchApart
)

func appendEntryHead(b []byte, e *ledger.Entry) []byte {
	return append(binary.LittleEndian.AppendUint64(b, e.Fingerprint), byte(e.State)&0x0f|byte(e.Created)<<4)
}

func readEntryHead(e *ledger.Entry, head []byte) {
	e.Fingerprint = binary.LittleEndian.Uint64(head)
	e.State, e.Created = ledger.State(head[8]&0x0f), connector.Tri(head[8]>>4&3)
}

// appendEntry encodes what is not in key and head. The match stands first, so that it can be read alone.
func appendEntry(b []byte, e *ledger.Entry, l *lists) []byte {
	kind := matchNone
	if e.MatchID != nil {
		var buf [128]byte
		kind = matchApart
		if bytes.Equal(row.AppendKey(buf[:0], e.Match...), e.MatchID) {
			kind = matchCanonical
		}
	}
	b = append(b, kind)
	b = appendValues(b, e.Match)
	if kind == matchApart {
		b = packed.AppendBytes(b, e.MatchID)
	}
	return appendValues(appendEntryMiddle(b, e, l), e.Values)
}

// appendEntryMiddle encodes what stands between match and values.
func appendEntryMiddle(b []byte, e *ledger.Entry, l *lists) []byte {
	b = binary.AppendUvarint(b, l.one(e.Run))
	b = binary.AppendUvarint(b, l.id(e.Fields))
	b = binary.AppendVarint(b, toUnix(e.At))
	return packed.AppendBytes(b, e.RemoteID)
}

// entryMatch reads the match alone.
func entryMatch(d *decoder, dst []row.Value) (match []row.Value, id []byte) {
	kind := d.Byte()
	match = d.values(dst)
	switch kind {
	case matchNone:
	case matchCanonical:
		id = row.AppendKey([]byte{}, match...)
	case matchApart:
		id = bytes.Clone(d.Bytes())
	default:
		d.Fail()
	}
	return match, id
}

func special(s ledger.State) bool { return s != ledger.Present && s != ledger.Baseline }

// decodeEntry fills e; its slices are reused, its key is copied.
func decodeEntry(e *ledger.Entry, key, head, payload []byte, l *lists) error {
	d := decoder{packed.Reader{B: payload}}
	e.Key = append(e.Key[:0], key...)
	readEntryHead(e, head)
	e.Match, e.MatchID = entryMatch(&d, e.Match)
	e.Run = d.one(l)
	e.Fields = d.list(l)
	e.At = fromUnix(d.Varint())
	e.RemoteID = string(d.Bytes())
	e.Values = d.values(e.Values)
	if d.Bad || len(d.B) > 0 {
		return errRow
	}
	return nil
}

// relist copies an entry's payload from the lists of one file to those of another.
func relist(b, payload []byte, from, to *lists) ([]byte, error) {
	d := decoder{packed.Reader{B: payload}}
	kind := d.Byte()
	d.skipValues()
	if kind == matchApart {
		d.Bytes()
	}
	head := payload[:len(payload)-len(d.B)]
	run, shape := d.list(from), d.list(from)
	if d.Bad {
		return nil, errRow
	}
	b = append(b, head...)
	b = binary.AppendUvarint(binary.AppendUvarint(b, to.id(run)), to.id(shape))
	return append(b, d.B...), nil
}

func (d *decoder) skipValues() {
	n := d.Uvarint()
	if n > uint64(len(d.B)) {
		d.Fail()
		return
	}
	rest, err := row.SkipValues(d.B, int(n))
	if err != nil {
		d.Fail()
		return
	}
	d.B = rest
}

// hashMask lets tests give many keys the same hash.
var hashMask = ^uint64(0)

func keyHash(seed uint64, key []byte) uint64 { return row.KeyHash(seed, key) & hashMask }

// identity is the 128-bit hash a normalised match is compared by.
func identity(seed uint64, matchID []byte) xxh3.Uint128 { return xxh3.Hash128Seed(matchID, seed) }

func toUnix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func fromUnix(sec int64) time.Time {
	if sec == 0 {
		return time.Time{}
	}
	return time.Unix(sec, 0).UTC()
}

func hex(n uint64) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for i := 60; i >= 0; i -= 4 {
		s.WriteByte(digits[n>>i&15])
	}
	return s.String()
}
