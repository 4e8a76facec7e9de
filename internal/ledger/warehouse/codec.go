package warehouse

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/packed"
	"github.com/upwelldata/upwell/internal/row"
)

// codecVersion is the first byte of everything encoded here.
const codecVersion = 1

var encoding = base64.RawStdEncoding

// encodeEntry writes an entry as one text, for the warehouse to keep.
func encodeEntry(e *ledger.Entry) string {
	b := append(make([]byte, 0, 256), codecVersion, byte(e.State), byte(e.Created))
	b = binary.LittleEndian.AppendUint64(b, e.Fingerprint)
	b = binary.AppendVarint(b, unix(e.At))
	b = packed.AppendBytes(packed.AppendBytes(packed.AppendBytes(b, string(e.Key)), e.Run), e.RemoteID)
	b = appendValues(b, e.Match)
	if e.MatchID == nil {
		b = append(b, 0)
	} else {
		b = packed.AppendBytes(append(b, 1), string(e.MatchID))
	}
	b = packed.AppendStrings(b, e.Fields)
	b = appendValues(b, e.Values)
	return encoding.EncodeToString(b)
}

func decodeEntry(text string) (*ledger.Entry, error) {
	d, err := decode(text)
	if err != nil {
		return nil, err
	}
	e := &ledger.Entry{State: ledger.State(d.Byte()), Created: connector.Tri(d.Byte()), Fingerprint: d.Fixed(), At: moment(d.Varint())}
	e.Key, e.Run, e.RemoteID = []byte(d.text()), d.text(), d.text()
	e.Match = d.values()
	if d.Byte() == 1 {
		e.MatchID = []byte(d.text())
	}
	e.Fields, e.Values = d.texts(), d.values()
	return e, d.end()
}

// encodeHistory writes what a run did to a key.
func encodeHistory(h *ledger.History) string {
	known := byte(0)
	if h.Known {
		known = 1
	}
	b := append(make([]byte, 0, 256), codecVersion, byte(h.Outcome), byte(h.Created), known, byte(h.PrevState))
	b = binary.LittleEndian.AppendUint64(b, h.PrevFingerprint)
	b = binary.AppendVarint(b, unix(h.At))
	b = packed.AppendBytes(packed.AppendBytes(packed.AppendBytes(b, string(h.Key)), string(h.Op)), h.PrevRemoteID)
	b = packed.AppendStrings(b, h.Fields)
	b = appendValues(appendValues(appendValues(b, h.Old), h.New), h.PrevMatch)
	return encoding.EncodeToString(b)
}

func decodeHistory(run, text string) (ledger.History, error) {
	d, err := decode(text)
	if err != nil {
		return ledger.History{}, err
	}
	h := ledger.History{Run: run, Outcome: connector.Status(d.Byte()), Created: connector.Tri(d.Byte()), Known: d.Byte() == 1}
	h.PrevState, h.PrevFingerprint, h.At = ledger.State(d.Byte()), d.Fixed(), moment(d.Varint())
	h.Key, h.Op, h.PrevRemoteID = []byte(d.text()), connector.Op(d.text()), d.text()
	h.Fields = d.texts()
	h.Old, h.New, h.PrevMatch = d.values(), d.values(), d.values()
	return h, d.end()
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.Unix()
}

func moment(sec int64) time.Time {
	if sec < 0 {
		return time.Time{}
	}
	return time.Unix(sec, 0).UTC()
}

// appendValues keeps a list that is not there apart from an empty one.
func appendValues(b []byte, vals []row.Value) []byte {
	if vals == nil {
		return binary.AppendUvarint(b, 0)
	}
	return row.AppendValues(binary.AppendUvarint(b, uint64(len(vals))+1), vals)
}

// decoder reads what was encoded; end says whether all of it was there.
type decoder struct{ packed.Reader }

func decode(text string) (*decoder, error) {
	b, err := encoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil, damaged("it is not what was written")
	}
	if b[0] > codecVersion {
		return nil, fault.New(fault.StateNewer, "the ledger in the warehouse was written by a newer version (format %d)", b[0])
	}
	return &decoder{packed.Reader{B: b[1:]}}, nil
}

func damaged(format string, args ...any) *fault.Error {
	return fault.New(fault.StateCorrupt, "a row of the ledger in the warehouse cannot be read: "+format, args...)
}

func (d *decoder) end() error {
	if d.Bad || len(d.B) > 0 {
		return damaged("its parts do not fit")
	}
	return nil
}

func (d *decoder) text() string { return string(d.Bytes()) }

// texts gives nil for an empty list.
func (d *decoder) texts() []string {
	if out := d.Strings(); len(out) > 0 {
		return out
	}
	return nil
}

func (d *decoder) values() []row.Value {
	n := d.Uvarint()
	if n == 0 {
		return nil
	}
	if n-1 > uint64(len(d.B)) {
		d.Fail()
		return nil
	}
	vals, rest, err := row.ReadValues(d.B, int(n-1), make([]row.Value, 0, min(n, 64)))
	if err != nil {
		d.Fail()
		return nil
	}
	d.B = rest
	return vals
}
