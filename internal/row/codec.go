package row

import (
	"encoding/binary"
	"errors"
)

// AppendBinary appends v in the compact form of spool and ledger: kind, then varint or length and bytes. Unlike the canonical
// form it keeps the exact kind and text (1.50 stays 1.50).
func (v Value) AppendBinary(b []byte) []byte {
	b = append(b, byte(v.kind))
	switch v.kind {
	case Absent, Null:
		return b
	case Bool:
		return append(b, byte(v.num))
	case Int, Date, Time:
		return binary.AppendVarint(b, int64(v.num))
	case Uint:
		return binary.AppendUvarint(b, v.num)
	case Float:
		return binary.LittleEndian.AppendUint64(b, v.num)
	case Timestamp, Instant:
		return binary.AppendUvarint(binary.AppendVarint(b, int64(v.num)), uint64(v.nanos))
	case Decimal, Text, Bytes, Interval, UUID, JSON, Array:
		return append(binary.AppendUvarint(b, uint64(len(v.str))), v.str...)
	}
	panic("row: unknown kind " + v.kind.String())
}

var errShort = errors.New("row: binary value cut short or unknown")

// ReadBinary reads one value written by AppendBinary and gives the rest of b. Texts are copied.
func ReadBinary(b []byte) (Value, []byte, error) {
	if len(b) == 0 {
		return Value{}, nil, errShort
	}
	k := Kind(b[0])
	b = b[1:]
	switch k {
	case Absent, Null:
		return Value{kind: k}, b, nil
	case Bool:
		if len(b) < 1 || b[0] > 1 {
			return Value{}, nil, errShort
		}
		return Value{kind: k, num: uint64(b[0])}, b[1:], nil
	case Int, Date, Time:
		n, w := binary.Varint(b)
		if w <= 0 {
			return Value{}, nil, errShort
		}
		return Value{kind: k, num: uint64(n)}, b[w:], nil
	case Uint:
		n, w := binary.Uvarint(b)
		if w <= 0 {
			return Value{}, nil, errShort
		}
		return Value{kind: k, num: n}, b[w:], nil
	case Float:
		if len(b) < 8 {
			return Value{}, nil, errShort
		}
		return Value{kind: k, num: binary.LittleEndian.Uint64(b)}, b[8:], nil
	case Timestamp, Instant:
		n, w := binary.Varint(b)
		if w <= 0 {
			return Value{}, nil, errShort
		}
		m, x := binary.Uvarint(b[w:])
		if x <= 0 || m >= 1e9 {
			return Value{}, nil, errShort
		}
		return Value{kind: k, num: uint64(n), nanos: uint32(m)}, b[w+x:], nil
	case Decimal, Text, Bytes, Interval, UUID, JSON, Array:
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return Value{}, nil, errShort
		}
		return Value{kind: k, str: string(b[w : w+int(n)])}, b[w+int(n):], nil
	}
	return Value{}, nil, errShort
}

// AppendValues appends several values, in order, without a count.
func AppendValues(b []byte, vals []Value) []byte {
	for _, v := range vals {
		b = v.AppendBinary(b)
	}
	return b
}

// ReadOwned is ReadValues for values that outlive b: their texts share one copy of b instead of having a copy each.
func ReadOwned(b []byte, n int, dst []Value) ([]Value, []byte, error) {
	dst = dst[:0]
	owned, whole := "", b
	for range n {
		if len(b) > 0 && Kind(b[0]).TextBacked() {
			size, w := binary.Uvarint(b[1:])
			if w <= 0 || size > uint64(len(b)-1-w) {
				return nil, nil, errShort
			}
			if owned == "" {
				owned = string(whole)
			}
			at := len(whole) - len(b) + 1 + w
			dst = append(dst, Value{kind: Kind(b[0]), str: owned[at : at+int(size)]})
			b = b[1+w+int(size):]
			continue
		}
		v, rest, err := ReadBinary(b)
		if err != nil {
			return nil, nil, err
		}
		dst, b = append(dst, v), rest
	}
	return dst, b, nil
}

// SkipValues gives what follows n values.
func SkipValues(b []byte, n int) ([]byte, error) {
	for range n {
		if len(b) > 0 && Kind(b[0]).TextBacked() {
			size, w := binary.Uvarint(b[1:])
			if w <= 0 || size > uint64(len(b)-1-w) {
				return nil, errShort
			}
			b = b[1+w+int(size):]
			continue
		}
		_, rest, err := ReadBinary(b)
		if err != nil {
			return nil, err
		}
		b = rest
	}
	return b, nil
}

// ReadValues reads n values into dst[:0] and gives the rest.
func ReadValues(b []byte, n int, dst []Value) ([]Value, []byte, error) {
	dst = dst[:0]
	for range n {
		v, rest, err := ReadBinary(b)
		if err != nil {
			return nil, nil, err
		}
		dst, b = append(dst, v), rest
	}
	return dst, b, nil
}

// GobEncode lets structures that hold values be stored with encoding/gob.
func (v Value) GobEncode() ([]byte, error) { return v.AppendBinary(nil), nil }

// GobDecode reads what GobEncode wrote.
func (v *Value) GobDecode(b []byte) error {
	got, _, err := ReadBinary(b)
	*v = got
	return err
}
