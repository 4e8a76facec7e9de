package row

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
)

// Canonical form: a tag byte and content, self-delimiting, equal for equal values whatever their physical type. Keys, match
// identities and fingerprints are built from it. It is written to disk: change it only with CanonicalVersion.
const CanonicalVersion = 1

const (
	tagAbsent  = 0x00
	tagNull    = 0x01
	tagFalse   = 0x02
	tagTrue    = 0x03
	tagInt     = 0x10 // 8 bytes big-endian
	tagUint    = 0x11 // above MaxInt64
	tagDecimal = 0x12 // length, normalised text; not an integer of 64 bits
	tagFloat   = 0x13 // 8 bytes; not a whole number
	tagString  = 0x20 // + Kind; length, bytes
	tagFixed   = 0x40 // + Kind; Date, Time: 8 bytes; Timestamp, Instant: 12 bytes
)

// AppendCanonical appends the canonical form of v. A float and a decimal with a fraction are different values (0.5 as float is
// not decimal 0.5); integers are the same in every numeric kind.
func (v Value) AppendCanonical(b []byte) []byte {
	switch v.kind {
	case Absent:
		return append(b, tagAbsent)
	case Null:
		return append(b, tagNull)
	case Bool:
		return append(b, tagFalse+byte(v.num))
	case Int:
		return binary.BigEndian.AppendUint64(append(b, tagInt), v.num)
	case Uint:
		if v.num <= math.MaxInt64 {
			return binary.BigEndian.AppendUint64(append(b, tagInt), v.num)
		}
		return binary.BigEndian.AppendUint64(append(b, tagUint), v.num)
	case Float:
		return appendCanonicalFloat(b, v.Float())
	case Decimal:
		return appendCanonicalDecimal(b, v.str)
	case Date, Time:
		return binary.BigEndian.AppendUint64(append(b, tagFixed+byte(v.kind)), v.num)
	case Timestamp, Instant:
		b = binary.BigEndian.AppendUint64(append(b, tagFixed+byte(v.kind)), v.num)
		return binary.BigEndian.AppendUint32(b, v.nanos)
	case Text, Bytes, Interval, UUID, JSON, Array:
		return appendCanonicalText(b, v.kind, v.str)
	}
	panic("row: unknown kind " + v.kind.String())
}

func appendCanonicalText(b []byte, k Kind, s string) []byte {
	b = binary.AppendUvarint(append(b, tagString+byte(k)), uint64(len(s)))
	return append(b, s...)
}

func appendCanonicalFloat(b []byte, f float64) []byte {
	if f == math.Trunc(f) && f >= -(1<<63) && f < 1<<63 {
		return binary.BigEndian.AppendUint64(append(b, tagInt), uint64(int64(f)))
	}
	if bigInteger(f) {
		var buf [320]byte
		return appendCanonicalDecimal(b, string(strconv.AppendFloat(buf[:0], f, 'f', 0, 64)))
	}
	if math.IsNaN(f) {
		f = math.NaN()
	}
	return binary.BigEndian.AppendUint64(append(b, tagFloat), math.Float64bits(f))
}

// bigInteger reports a whole number; the caller has ruled out those of 64 bits.
func bigInteger(f float64) bool { return f == math.Trunc(f) && !math.IsInf(f, 0) }

func appendCanonicalDecimal(b []byte, s string) []byte {
	s = NormalDecimal(s)
	if !strings.Contains(s, ".") {
		if i, ok := parseInt64(s); ok {
			return binary.BigEndian.AppendUint64(append(b, tagInt), uint64(i))
		}
		if u, ok := parseUint64(s); ok {
			return binary.BigEndian.AppendUint64(append(b, tagUint), u)
		}
	}
	b = binary.AppendUvarint(append(b, tagDecimal), uint64(len(s)))
	return append(b, s...)
}

// NormalDecimal strips sign of zero, leading zeros and trailing zeros of the fraction from exact decimal text. Other text stays
// as it is.
func NormalDecimal(s string) string {
	if !decimalShaped(s) {
		return s
	}
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+"), "0")
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	if s == "" {
		return "0"
	}
	if s[0] == '.' {
		s = "0" + s
	}
	if neg && s != "0" {
		return "-" + s
	}
	return s
}

// decimalShaped reports digits with at most one sign in front and one point.
func decimalShaped(s string) bool {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	digits, points := 0, 0
	for i := range len(s) {
		switch {
		case s[i] >= '0' && s[i] <= '9':
			digits++
		case s[i] == '.':
			points++
		default:
			return false
		}
	}
	return digits > 0 && points <= 1
}

func parseUint64(s string) (uint64, bool) {
	if s == "" || len(s) > 20 {
		return 0, false
	}
	var u uint64
	for i := 0; i < len(s); i++ {
		d := uint64(s[i] - '0')
		if d > 9 || u > (math.MaxUint64-d)/10 {
			return 0, false
		}
		u = u*10 + d
	}
	return u, true
}

func parseInt64(s string) (int64, bool) {
	neg := strings.HasPrefix(s, "-")
	u, ok := parseUint64(strings.TrimPrefix(s, "-"))
	switch {
	case !ok:
		return 0, false
	case neg && u <= 1<<63:
		return int64(-u), true
	case !neg && u <= math.MaxInt64:
		return int64(u), true
	}
	return 0, false
}

// ParseDecimal checks exact decimal text, spelling out an exponent, and gives it as a Decimal without one and without leading
// zeros. Trailing zeros of the fraction stay.
func ParseDecimal(s string) (Value, error) {
	mant, exp := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var err error
		if exp, err = strconv.Atoi(s[i+1:]); err != nil || exp > 100_000 || exp < -100_000 {
			return Value{}, fmt.Errorf("not a decimal number: %q", s)
		}
		mant = s[:i]
	}
	neg := strings.HasPrefix(mant, "-")
	if neg || strings.HasPrefix(mant, "+") {
		mant = mant[1:]
	}
	whole, frac, _ := strings.Cut(mant, ".")
	digits := whole + frac
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return Value{}, fmt.Errorf("not a decimal number: %q", s)
	}
	point := len(whole) + exp
	if point < 0 {
		digits, point = strings.Repeat("0", -point)+digits, 0
	}
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	out := strings.TrimLeft(digits[:point], "0")
	if out == "" {
		out = "0"
	}
	if point < len(digits) {
		out += "." + digits[point:]
	}
	if neg {
		out = "-" + out
	}
	return DecimalValue(out), nil
}

// AppendKey appends the canonical form of a key's values, in order. The result identifies a row: store it, hash it, compare it
// bytewise.
func AppendKey(b []byte, vals ...Value) []byte {
	for _, v := range vals {
		b = v.AppendCanonical(b)
	}
	return b
}

// KeyHash is the 64-bit hash the ledger's index and the spool are ordered by. Keys with equal hashes are told apart by their
// bytes.
func KeyHash(seed uint64, key []byte) uint64 { return xxh3.HashSeed(key, seed) }

// ParseKey reads a key back into n values.
func ParseKey(key []byte) ([]Value, error) {
	var out []Value
	for len(key) > 0 {
		v, rest, err := parseCanonical(key)
		if err != nil {
			return nil, err
		}
		out, key = append(out, v), rest
	}
	return out, nil
}

func parseCanonical(b []byte) (Value, []byte, error) {
	short := errors.New("row: canonical value cut short")
	tag, b := b[0], b[1:]
	fixed := func(n int) (uint64, []byte, error) {
		if len(b) < n {
			return 0, nil, short
		}
		return binary.BigEndian.Uint64(b), b[n:], nil
	}
	text := func() (string, []byte, error) {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return "", nil, short
		}
		return string(b[w : w+int(n)]), b[w+int(n):], nil
	}
	switch {
	case tag == tagAbsent:
		return Value{}, b, nil
	case tag == tagNull:
		return NullValue(), b, nil
	case tag == tagFalse || tag == tagTrue:
		return BoolValue(tag == tagTrue), b, nil
	case tag == tagInt:
		n, rest, err := fixed(8)
		return IntValue(int64(n)), rest, err
	case tag == tagUint:
		n, rest, err := fixed(8)
		return Value{kind: Uint, num: n}, rest, err
	case tag == tagFloat:
		n, rest, err := fixed(8)
		return Value{kind: Float, num: n}, rest, err
	case tag == tagDecimal:
		s, rest, err := text()
		return DecimalValue(s), rest, err
	case tag == tagFixed+byte(Date) || tag == tagFixed+byte(Time):
		n, rest, err := fixed(8)
		return Value{kind: Kind(tag - tagFixed), num: n}, rest, err
	case tag == tagFixed+byte(Timestamp) || tag == tagFixed+byte(Instant):
		n, rest, err := fixed(12)
		if err != nil {
			return Value{}, nil, err
		}
		nanos := binary.BigEndian.Uint32(b[8:])
		if nanos >= 1e9 {
			return Value{}, nil, errors.New("row: canonical time with more than a second of nanoseconds")
		}
		return Value{kind: Kind(tag - tagFixed), num: n, nanos: nanos}, rest, nil
	case tag >= tagString && tag < tagFixed && Kind(tag-tagString) != Decimal && Kind(tag-tagString).TextBacked():
		s, rest, err := text()
		return StringKind(Kind(tag-tagString), s), rest, err
	}
	return Value{}, nil, fmt.Errorf("row: unknown canonical tag %#x", tag)
}
