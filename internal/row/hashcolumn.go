package row

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zeebo/xxh3"
)

// Begin sets the fingerprint of every row to that of a row without values.
func (h *Hasher) Begin(acc []uint64) {
	start := h.Start()
	for i := range acc {
		acc[i] = start
	}
}

// Same adds one value to every row.
func (h *Hasher) Same(v Value, acc []uint64) {
	x := h.value(v)
	for i, a := range acc {
		acc[i] = mix(a, x)
	}
}

// Column adds a column to the fingerprints of its rows; acc has the column's length. kind is the column's KindOf. Nulls count as
// null: Null, or Absent where a null means that the field is not written.
func (h *Hasher) Column(arr arrow.Array, kind Kind, null Kind, acc []uint64) {
	nullHash := h.value(Value{kind: null})
	switch a := arr.(type) {
	case *array.Int64:
		mixInts(a.Values(), arr, nullHash, hashInt, acc)
	case *array.Int32:
		mixInts(a.Values(), arr, nullHash, hashInt, acc)
	case *array.Int16:
		mixInts(a.Values(), arr, nullHash, hashInt, acc)
	case *array.Int8:
		mixInts(a.Values(), arr, nullHash, hashInt, acc)
	case *array.Uint32:
		mixInts(a.Values(), arr, nullHash, hashInt, acc)
	case *array.Uint16:
		mixInts(a.Values(), arr, nullHash, hashInt, acc)
	case *array.Uint8:
		mixInts(a.Values(), arr, nullHash, hashInt, acc)
	case *array.Date32:
		mixInts(a.Values(), arr, nullHash, hashDate, acc)
	case *array.Uint64:
		mixEach(a, arr, nullHash, acc, func(a *array.Uint64, i int) uint64 { return hashOfUint(a.Value(i)) })
	case *array.Float64:
		mixEach(a, arr, nullHash, acc, func(a *array.Float64, i int) uint64 { return h.float(a.Value(i)) })
	case *array.Float32:
		mixEach(a, arr, nullHash, acc, func(a *array.Float32, i int) uint64 { return h.float(widen(a.Value(i))) })
	case *array.Boolean:
		mixEach(a, arr, nullHash, acc, func(a *array.Boolean, i int) uint64 { return hashOfBool(a.Value(i)) })
	case *array.Timestamp:
		h.timestamps(a, kind, nullHash, acc)
	case *array.Decimal128:
		h.decimals(a, nullHash, acc)
	case *array.String:
		if kind == Decimal {
			mixEach(a, arr, nullHash, acc, func(a *array.String, i int) uint64 { return h.decimalText(a.Value(i)) })
			return
		}
		seed := h.seed ^ hashText + uint64(kind)
		mixEach(a, arr, nullHash, acc, func(a *array.String, i int) uint64 { return xxh3.HashStringSeed(a.Value(i), seed) })
	default:
		h.anyColumn(arr, kind, nullHash, acc)
	}
}

func (h *Hasher) anyColumn(arr arrow.Array, kind Kind, nullHash uint64, acc []uint64) {
	var s Scratch
	for i, a := range acc {
		s.Reset()
		v := s.At(arr, kind, i)
		if v.kind == Null {
			acc[i] = mix(a, nullHash)
		} else {
			acc[i] = h.Mix(a, v)
		}
	}
}

type anyInt interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32
}

func mixInts[T anyInt](vals []T, arr arrow.Array, nullHash, tag uint64, acc []uint64) {
	vals = vals[:len(acc)]
	if arr.NullN() == 0 {
		for i, v := range vals {
			acc[i] = mix(acc[i], uint64(int64(v))^tag)
		}
		return
	}
	for i, v := range vals {
		x := uint64(int64(v)) ^ tag
		if arr.IsNull(i) {
			x = nullHash
		}
		acc[i] = mix(acc[i], x)
	}
}

func mixEach[A any](a A, arr arrow.Array, nullHash uint64, acc []uint64, hash func(A, int) uint64) {
	if arr.NullN() == 0 {
		for i := range acc {
			acc[i] = mix(acc[i], hash(a, i))
		}
		return
	}
	for i := range acc {
		x := nullHash
		if arr.IsValid(i) {
			x = hash(a, i)
		}
		acc[i] = mix(acc[i], x)
	}
}

func (h *Hasher) timestamps(a *array.Timestamp, kind Kind, nullHash uint64, acc []uint64) {
	tag, unit := uint64(hashStamp), a.DataType().(*arrow.TimestampType).Unit
	if kind == Instant {
		tag = hashInst
	}
	if unit == arrow.Microsecond { // the usual one: dividing by a constant is several times faster
		mixEach(a, a, nullHash, acc, func(a *array.Timestamp, i int) uint64 {
			v := int64(a.Value(i))
			sec, us := v/1e6, v%1e6
			if us < 0 {
				sec, us = sec-1, us+1e6
			}
			return mix(uint64(sec)^tag, uint64(us)*1e3)
		})
		return
	}
	mixEach(a, a, nullHash, acc, func(a *array.Timestamp, i int) uint64 {
		sec, nanos := splitTime(int64(a.Value(i)), unit)
		return mix(uint64(sec)^tag, uint64(nanos))
	})
}

func (h *Hasher) decimals(a *array.Decimal128, nullHash uint64, acc []uint64) {
	scale := a.DataType().(*arrow.Decimal128Type).Scale
	mixEach(a, a, nullHash, acc, func(a *array.Decimal128, i int) uint64 {
		n := a.Value(i)
		hi, m := n.HighBits(), int64(n.LowBits())
		if scale >= 0 && hi == m>>63 && m < smallLimit && m > -smallLimit {
			return decimal(m, scale)
		}
		h.buf = appendDecimal128(h.buf[:0], hi, n.LowBits(), scale)
		return h.decimalText(alias(h.buf))
	})
}

// Keys computes the key hash of every row of a batch from its key columns, as KeyHash over AppendKey would. null[i] is set for a
// row with a null in its key; its hash means nothing.
func (h *Hasher) Keys(cols []arrow.Array, kinds []Kind, out []uint64, null []bool) {
	clear(null)
	if len(cols) == 1 && cols[0].NullN() == 0 {
		switch a := cols[0].(type) {
		case *array.Int64:
			intKeys(h.seed, a.Values(), out)
			return
		case *array.Int32:
			intKeys(h.seed, a.Values(), out)
			return
		case *array.String:
			if kinds[0] != Decimal {
				for i := range out {
					h.buf = appendCanonicalText(h.buf[:0], kinds[0], a.Value(i))
					out[i] = KeyHash(h.seed, h.buf)
				}
				return
			}
		}
	}
	var s Scratch
	for i := range out {
		s.Reset()
		h.buf = h.buf[:0]
		for c, arr := range cols {
			v := s.At(arr, kinds[c], i)
			if v.kind == Null {
				null[i] = true
			}
			h.buf = v.AppendCanonical(h.buf)
		}
		out[i] = KeyHash(h.seed, h.buf)
	}
}

func intKeys[T int64 | int32](seed uint64, vals []T, out []uint64) {
	var b [9]byte
	for i, v := range vals[:len(out)] {
		out[i] = KeyHash(seed, IntValue(int64(v)).AppendCanonical(b[:0]))
	}
}
