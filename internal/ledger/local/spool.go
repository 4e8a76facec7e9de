package local

import (
	"encoding/binary"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/ledger/packed"
)

// The head of a spooled row.
const (
	spoolValid byte = iota
	spoolInvalid
)

// putRecord spools a record.
func (s *sorter) putRecord(r *ledger.Record) error {
	size := len(r.Key) + len(r.MatchID) + 48
	for _, v := range r.Match {
		size += len(v.Str()) + 12
	}
	for _, v := range r.Values {
		size += len(v.Str()) + 12
	}
	a, err := s.room(size)
	if err != nil {
		return err
	}
	a.put(r.Hash, r.Key, func(b []byte) []byte { return appendRecord(b, r) })
	return nil
}

// appendRecord encodes head and payload of a spooled row.
func appendRecord(b []byte, r *ledger.Record) []byte {
	if r.Invalid == nil {
		b = append(b, spoolValid)
	} else {
		b = append(b, spoolInvalid)
		b = packed.AppendBytes(packed.AppendBytes(packed.AppendBytes(b, string(r.Invalid.Code)), r.Invalid.Field), r.Invalid.Message)
	}
	b = binary.LittleEndian.AppendUint64(b, r.Fingerprint)
	b = binary.AppendUvarint(b, r.Ordinal)
	if r.MatchID == nil {
		b = append(b, 0)
	} else {
		b = packed.AppendBytes(append(b, 1), r.MatchID)
	}
	return appendValues(appendValues(b, r.Match), r.Values)
}

// decodeRecord fills r, reusing its slices.
func decodeRecord(r *ledger.Record, hash uint64, key []byte, head byte, payload []byte) error {
	d := decoder{packed.Reader{B: payload}}
	r.Hash, r.Key = hash, append(r.Key[:0], key...)
	r.Invalid = nil
	if head == spoolInvalid {
		r.Invalid = &ledger.Invalid{Code: fault.Code(d.Bytes()), Field: string(d.Bytes()), Message: string(d.Bytes())}
	}
	r.Fingerprint = d.Fixed()
	r.Ordinal = d.Uvarint()
	has, keep := d.Byte(), r.MatchID
	r.MatchID = nil
	if has == 1 {
		r.MatchID = append(keep[:0], d.Bytes()...)
		if r.MatchID == nil {
			r.MatchID = []byte{}
		}
	}
	r.Match = d.values(r.Match)
	r.Values = d.values(r.Values)
	if d.Bad || len(d.B) > 0 {
		return fault.New(fault.Internal, "a spooled row cannot be read back")
	}
	return nil
}

// recordHead gives what counting needs of a spooled row: its fault if it is invalid, its fingerprint, its normalised match.
func recordHead(head byte, payload []byte) (code fault.Code, print uint64, matchID []byte) {
	d := decoder{packed.Reader{B: payload}}
	if head == spoolInvalid {
		code = fault.Code(d.Bytes())
		d.Bytes()
		d.Bytes()
	}
	print = d.Fixed()
	d.Uvarint() // the ordinal
	if d.Byte() == 1 {
		matchID = d.Bytes()
		if matchID == nil {
			matchID = []byte{}
		}
	}
	return code, print, matchID
}
