package postgres

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// integer gives a number as int64 when it is one exactly.
func integer(v row.Value) (int64, bool) {
	switch v.Kind() { //nolint:exhaustive // numbers only
	case row.Int:
		return v.Int(), true
	case row.Float:
		f := v.Float()
		if f == math.Trunc(f) && f >= -(1<<63) && f < 1<<63 {
			return int64(f), true
		}
	case row.Decimal:
		i, err := strconv.ParseInt(row.NormalDecimal(v.Str()), 10, 64)
		return i, err == nil
	}
	return 0, false
}

// float gives a number as a float of so many bits when that reads back as the same number.
func float(v row.Value, bits int) (float64, bool) {
	var text string
	switch v.Kind() {
	case row.Float:
		f := v.Float()
		if bits == 64 || float64(float32(f)) == f || math.IsNaN(f) {
			return f, true
		}
		text = strconv.FormatFloat(f, 'f', -1, 64)
	case row.Int, row.Uint:
		text = v.String()
	case row.Decimal:
		text = row.NormalDecimal(v.Str())
	default:
		return 0, false
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return 0, false
	}
	return f, row.NormalDecimal(strconv.FormatFloat(f, 'f', -1, bits)) == text
}

func micros(v row.Value) (int64, bool) {
	sec, nanos := v.Unix()
	sec -= daysTo2000 * 86400
	// 4714-11-24 BC to 294276 AD: https://www.postgresql.org/docs/current/datatype-datetime.html
	if nanos%1000 != 0 || sec < -211_813_488_000 || sec >= 9_223_371_331_200 {
		return 0, false
	}
	return sec*1_000_000 + int64(nanos/1000), true
}

// appendNumeric writes a number in numeric's binary form, base 10,000. PostgreSQL would round to the column's scale without a
// word; here that is a refusal.
func (s *slot) appendNumeric(b []byte, v row.Value) ([]byte, *refusal) {
	var buf [64]byte
	var text []byte
	switch v.Kind() {
	case row.Int, row.Uint:
		text = v.AppendText(buf[:0])
	case row.Decimal:
		text = append(buf[:0], v.Str()...)
	case row.Float:
		f := v.Float()
		if math.IsNaN(f) {
			return append(b, 0, 0, 0, 0, 0xC0, 0, 0, 0), nil
		}
		if math.IsInf(f, 0) {
			return b, &refusal{fault.ValueNotNumber, "infinity has no place in a numeric column"}
		}
		text = strconv.AppendFloat(buf[:0], f, 'f', -1, 64)
	default:
		return b, s.mismatch(v)
	}
	neg := len(text) > 0 && text[0] == '-'
	if neg {
		text = text[1:]
	}
	whole, frac := text, []byte(nil)
	for i, c := range text {
		if c == '.' {
			whole, frac = text[:i], text[i+1:]
			break
		}
	}
	for len(whole) > 0 && whole[0] == '0' {
		whole = whole[1:]
	}
	used := len(frac)
	for used > 0 && frac[used-1] == '0' {
		used--
	}
	if s.mod >= 4 {
		precision, scale := s.precision()
		zeros := 0 // trailing zeros of the whole part count for a negative scale
		for zeros < len(whole) && whole[len(whole)-1-zeros] == '0' {
			zeros++
		}
		if used > max(scale, 0) || (scale < 0 && len(whole) > 0 && zeros < -scale) {
			return b, &refusal{fault.ValueType, fmt.Sprintf("%s has more digits after the point than numeric(%d,%d) keeps; nothing is rounded silently", excerpt(v.String()), precision, scale)}
		}
		if len(whole) > max(precision-scale, 0) || (len(whole) == 0 && scale > precision && leadingZeros(frac) < scale-precision && used > 0) {
			return b, &refusal{fault.ValueType, fmt.Sprintf("%s is too large for numeric(%d,%d)", excerpt(v.String()), precision, scale)}
		}
	}
	if len(frac) > 16383 {
		frac = frac[:max(used, 0)]
	}
	if len(whole) > 131072 || len(frac) > 16383 {
		return b, &refusal{fault.ValueType, "the number has more digits than a numeric holds"}
	}
	return appendNumericDigits(b, neg, whole, frac, frac[:used]), nil
}

// keepsFraction reports whether the column's digits of a second hold a time of so many microseconds. PostgreSQL would round to
// timestamp(3), time(0) and the like without a word.
func (s *slot) keepsFraction(us int64) bool {
	return s.mod < 0 || s.mod > 6 || us%powersOfTen[6-s.mod] == 0
}

var powersOfTen = [...]int64{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000}

// keepsInterval is keepsFraction for intervals, whose modifier holds the fields (interval year to month) above the digits of the
// second; what the fields do not name is dropped by the server.
// https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/adt/timestamp.c (AdjustIntervalForTypmod)
func (s *slot) keepsInterval(iv interval) bool {
	if s.mod < 0 {
		return true
	}
	if digits := s.mod & 0xFFFF; digits < 6 && iv.micros%powersOfTen[6-digits] != 0 {
		return false
	}
	const year, month, day, hour, minute, second = 1 << 2, 1 << 1, 1 << 3, 1 << 10, 1 << 11, 1 << 12
	switch fields := s.mod >> 16 & 0x7FFF; {
	case fields&second != 0: // also when none are named: then all bits are set
		return true
	case fields&minute != 0:
		return iv.micros%60_000_000 == 0
	case fields&hour != 0:
		return iv.micros%3_600_000_000 == 0
	case fields&day != 0:
		return iv.micros == 0
	case fields&month != 0:
		return iv.micros == 0 && iv.days == 0
	case fields&year != 0:
		return iv.micros == 0 && iv.days == 0 && iv.months%12 == 0
	}
	return true
}

// keepsText is keepsFraction for types that are written as text and rounded by the server: money has two digits after the point
// nearly everywhere (the server's lc_monetary says).
func (s *slot) keepsText(text string) bool {
	_, frac, ok := strings.Cut(text, ".")
	if !ok || s.oid != moneyOID && s.oid != timetzOID {
		return true
	}
	digits := len(frac) - len(strings.TrimLeft(frac, "0123456789"))
	digits = len(strings.TrimRight(frac[:digits], "0"))
	switch {
	case s.oid == moneyOID:
		return digits <= 2
	case s.mod >= 0:
		return digits <= int(s.mod)
	}
	return digits <= 6
}

// rounded refuses a time that is finer than the column.
func (s *slot) rounded(v row.Value) *refusal {
	return &refusal{fault.ValueType, fmt.Sprintf("%s %s is finer than the column's %s keeps; nothing is rounded silently", v.Kind(), excerpt(v.String()), s.typ.name)}
}

func leadingZeros(b []byte) int {
	return len(b) - len(strings.TrimLeft(string(b), "0"))
}

func appendNumericDigits(b []byte, neg bool, whole, frac, used []byte) []byte {
	groups := (len(whole) + 3) / 4
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	first, n := 0, 0 // groups before the first non-zero one, groups written
	put := func(d uint16) {
		if n == 0 && d == 0 {
			first++
			return
		}
		b = binary.BigEndian.AppendUint16(b, d)
		n++
	}
	for i := range groups {
		end := len(whole) - 4*(groups-1-i)
		d := uint16(0)
		for _, c := range whole[max(end-4, 0):end] {
			d = d*10 + uint16(c-'0')
		}
		put(d)
	}
	for i := 0; i < len(used); i += 4 {
		d := uint16(0)
		for j := i; j < i+4; j++ {
			d *= 10
			if j < len(used) {
				d += uint16(used[j] - '0')
			}
		}
		put(d)
	}
	weight := groups - 1 - first
	if n == 0 {
		weight, neg = 0, false
	}
	be := binary.BigEndian
	be.PutUint16(b[at:], uint16(n))
	be.PutUint16(b[at+2:], uint16(int16(weight)))
	if neg {
		be.PutUint16(b[at+4:], 0x4000)
	}
	be.PutUint16(b[at+6:], uint16(len(frac)))
	return b
}

type interval struct {
	months, days int32
	micros       int64
}

// parseInterval reads an ISO 8601 duration. Months, days and time stay apart; a fraction is possible in the seconds only.
func parseInterval(s string) (interval, bool) {
	var iv interval
	var months, days, us int64
	sign := int64(1)
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		s, sign = rest, -1
	}
	s, ok := strings.CutPrefix(s, "P")
	if !ok || s == "" {
		return iv, false
	}
	inTime := false
	for s != "" {
		if s[0] == 'T' && !inTime {
			if s, inTime = s[1:], true; s == "" {
				return iv, false
			}
			continue
		}
		i := strings.IndexFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' })
		if i < 1 {
			return iv, false
		}
		number, unit := s[:i], s[i]
		s = s[i+1:]
		if inTime && unit == 'S' {
			n, ok := secondMicros(number)
			if !ok {
				return iv, false
			}
			us += n
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n > 1<<40 || n < -(1<<40) {
			return iv, false
		}
		switch {
		case inTime && unit == 'H' && abs(n) < 2_000_000_000:
			us += n * 3_600_000_000
		case inTime && unit == 'M' && abs(n) < 100_000_000_000:
			us += n * 60_000_000
		case !inTime && unit == 'Y':
			months += 12 * n
		case !inTime && unit == 'M':
			months += n
		case !inTime && unit == 'W':
			days += 7 * n
		case !inTime && unit == 'D':
			days += n
		default:
			return iv, false
		}
	}
	months, days, us = sign*months, sign*days, sign*us
	if abs(months) > math.MaxInt32 || abs(days) > math.MaxInt32 {
		return iv, false
	}
	return interval{int32(months), int32(days), us}, true
}

func abs(n int64) int64 { return max(n, -n) }

func secondMicros(s string) (int64, bool) {
	whole, frac, _ := strings.Cut(s, ".")
	frac = strings.TrimRight(frac, "0")
	if len(frac) > 6 || len(whole) > 13 {
		return 0, false
	}
	neg := strings.HasPrefix(whole, "-")
	n, err := strconv.ParseInt(strings.TrimLeft(whole, "+-")+frac+strings.Repeat("0", 6-len(frac)), 10, 64)
	if neg {
		n = -n
	}
	return n, err == nil
}

// appendUUIDBytes reads a uuid's text: 32 hexadecimal digits, hyphens at the usual places.
func appendUUIDBytes(b []byte, s string) ([]byte, bool) {
	switch len(s) {
	case 36:
		if s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
			return b, false
		}
		s = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	case 32:
	default:
		return b, false
	}
	for i := 0; i < 32; i += 2 {
		n, err := strconv.ParseUint(s[i:i+2], 16, 8)
		if err != nil {
			return b, false
		}
		b = append(b, byte(n))
	}
	return b, true
}
