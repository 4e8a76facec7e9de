package duckdb

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/upwelldata/upwell/internal/row"
)

// The writers append a value's text in the form of its row.Kind. Memory forms are those of duckdb.h.

type int128 struct {
	low  uint64
	high int64
}

func writeHugeInt(b []byte, p unsafe.Pointer) []byte {
	v := (*int128)(p)
	if v.high == int64(v.low)>>63 {
		return strconv.AppendInt(b, int64(v.low), 10)
	}
	n := new(big.Int).Lsh(big.NewInt(v.high), 64)
	return n.Add(n, new(big.Int).SetUint64(v.low)).Append(b, 10)
}

func writeUHugeInt(b []byte, p unsafe.Pointer) []byte {
	v := (*int128)(p)
	if v.high == 0 {
		return strconv.AppendUint(b, v.low, 10)
	}
	n := new(big.Int).Lsh(new(big.Int).SetUint64(uint64(v.high)), 64)
	return n.Add(n, new(big.Int).SetUint64(v.low)).Append(b, 10)
}

// writeUUID: a UUID is a 128-bit number whose top bit is flipped, so that its order is the text's.
func writeUUID(b []byte, p unsafe.Pointer) []byte {
	v := (*int128)(p)
	high := uint64(v.high) ^ 1<<63
	var raw [16]byte
	for i := range 8 {
		raw[i], raw[8+i] = byte(high>>(56-8*i)), byte(v.low>>(56-8*i))
	}
	for i, from := range []int{0, 4, 6, 8, 10} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, raw[from:[]int{4, 6, 8, 10, 16}[i]])
	}
	return b
}

// writeTimeTZ: 40 bits of microseconds, then 24 bits of the offset counted down from 15:59:59.
func writeTimeTZ(b []byte, p unsafe.Pointer) []byte {
	bits := *(*uint64)(p)
	micros := int64(bits >> 24)
	offset := 16*3600 - 1 - int64(bits&0xffffff)
	b = appendClock(b, micros)
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	b = append(b, sign)
	b = appendTwo(b, offset/3600)
	b = append(b, ':')
	b = appendTwo(b, offset/60%60)
	if s := offset % 60; s != 0 {
		b = appendTwo(append(b, ':'), s)
	}
	return b
}

func appendClock(b []byte, micros int64) []byte {
	s := micros / 1_000_000
	b = append(appendTwo(b, s/3600), ':')
	b = append(appendTwo(b, s/60%60), ':')
	return appendFraction(appendTwo(b, s%60), micros%1_000_000)
}

func appendTwo(b []byte, n int64) []byte {
	if n < 10 {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, n, 10)
}

func appendFraction(b []byte, micros int64) []byte {
	if micros == 0 {
		return b
	}
	return append(append(b, '.'), strings.TrimRight(fmt.Sprintf("%06d", micros), "0")...)
}

// writeInterval gives an ISO 8601 duration as PostgreSQL writes it: P1Y2M3DT4H5M6.5S, a sign before each part that is negative.
func writeInterval(b []byte, p unsafe.Pointer) []byte {
	v := (*struct {
		months, days int32
		micros       int64
	})(p)
	b = append(b, 'P')
	start := len(b)
	part := func(n int64, unit byte) {
		if n != 0 {
			b = append(strconv.AppendInt(b, n, 10), unit)
		}
	}
	part(int64(v.months/12), 'Y')
	part(int64(v.months%12), 'M')
	part(int64(v.days), 'D')
	if v.micros != 0 {
		b = append(b, 'T')
		part(v.micros/3_600_000_000, 'H')
		part(v.micros/60_000_000%60, 'M')
		if rest := v.micros % 60_000_000; rest != 0 {
			if rest < 0 {
				b, rest = append(b, '-'), -rest
			}
			b = strconv.AppendInt(b, rest/1_000_000, 10)
			b = append(appendFraction(b, rest%1_000_000), 'S')
		}
	}
	if len(b) == start {
		return append(b, "T0S"...)
	}
	return b
}

// valueOf makes a DuckDB value of a kind that has no bind call of its own.
func valueOf(v row.Value) (bindings.Value, error) {
	sec, nanos := v.Unix()
	switch v.Kind() {
	case row.Date:
		return bindings.CreateDate(bindings.NewDate(int32(v.Int()))), nil
	case row.Time:
		if v.Int()%1000 != 0 {
			return bindings.CreateTimeNS(bindings.NewTimeNS(v.Int())), nil
		}
		return bindings.CreateTime(bindings.NewTime(v.Int() / 1000)), nil
	case row.Timestamp:
		if nanos%1000 != 0 {
			return bindings.CreateTimestampNS(bindings.NewTimestampNS(sec*1e9 + int64(nanos))), nil
		}
		return bindings.CreateTimestamp(bindings.NewTimestamp(sec*1e6 + int64(nanos/1000))), nil
	case row.Instant:
		if nanos%1000 != 0 {
			return bindings.Value{}, fmt.Errorf("%s is finer than DuckDB's microseconds", v)
		}
		return bindings.CreateTimestampTZ(bindings.NewTimestamp(sec*1e6 + int64(nanos/1000))), nil
	default: // has a bind call, or cannot be bound
	}
	whole, frac, _ := strings.Cut(v.Str(), ".")
	n, ok := new(big.Int).SetString(whole+frac, 10)
	digits := len(strings.TrimLeft(strings.TrimLeft(whole, "-")+frac, "0"))
	if !ok || n.BitLen() > 127 || digits > 39 || digits > 38 && frac != "" {
		return bindings.Value{}, fmt.Errorf("decimal %s has more digits than DuckDB holds", v)
	}
	high, low := new(big.Int).Rsh(n, 64), new(big.Int).And(n, new(big.Int).SetUint64(^uint64(0)))
	huge := bindings.NewHugeInt(low.Uint64(), high.Int64())
	if digits > 38 {
		return bindings.CreateHugeInt(huge), nil
	}
	return bindings.CreateDecimal(bindings.NewDecimal(uint8(max(digits, len(frac), 1)), uint8(len(frac)), huge)), nil
}
