package row

import (
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
)

// FingerprintVersion names the way fingerprints are computed. They are written to disk: change hash.go only with it.
const FingerprintVersion = 1

// Odd constants without structure (fractions of pi). One per kind of content keeps equal bits of different kinds apart.
const (
	hashStart  = 0x243f6a8885a308d3
	hashMixA   = 0x13198a2e03707345
	hashMixB   = 0xa4093822299f31d1
	hashAbsent = 0x082efa98ec4e6c89
	hashNull   = 0x452821e638d01377
	hashFalse  = 0xbe5466cf34e90c6d
	hashTrue   = 0xc0ac29b7c97c50dd
	hashInt    = 0x3f84d5b5b5470917
	hashUint   = 0x9216d5d98979fb1b
	hashFloat  = 0xd1310ba698dfb5ad
	hashDec    = 0x2ffd72dbd01adfb7
	hashDate   = 0xb8e1afed6a267e97
	hashTime   = 0xba7c9045f12c7f99
	hashStamp  = 0x24a19947b3916cf7
	hashInst   = 0x0801f2e2858efc17
	hashText   = 0x636920d871574e69
	hashMarker = 0xa458fea3f4933d7f
)

// Hasher computes fingerprints under a seed, over Values or over Arrow columns, with one result for both: equal values (see
// Value.Equal) in the same order give equal fingerprints whatever their physical type. It is not safe for several goroutines.
type Hasher struct {
	seed  uint64
	about uint64 // of what the values are values of
	buf   []byte
}

// NewHasher makes a hasher. The seed is the ledger's.
func NewHasher(seed uint64) *Hasher { return &Hasher{seed: seed} }

// HashValues gives the fingerprint of a row of values.
func HashValues(seed uint64, vals []Value) uint64 {
	h := Hasher{seed: seed}
	acc := h.Start()
	for _, v := range vals {
		acc = h.Mix(acc, v)
	}
	return acc
}

// About makes every fingerprint also one of this text: equal values of other fields are another record.
func (h *Hasher) About(text string) { h.about = h.text(Text, text) }

// Start is the fingerprint of a row without values.
func (h *Hasher) Start() uint64 { return mix(h.seed^h.about^hashStart, hashStart) }

// Mix adds the next value of a row to its fingerprint.
func (h *Hasher) Mix(acc uint64, v Value) uint64 { return mix(acc, h.value(v)) }

// MixError adds a mark that no value has, for a value that could not be computed.
func (h *Hasher) MixError(acc uint64) uint64 { return mix(acc, hashMarker) }

// mix folds the 128-bit product of both sides; adding the sides themselves keeps a zero factor from wiping out the other.
func mix(acc, v uint64) uint64 {
	a, b := acc^hashMixA, v^hashMixB
	hi, lo := bits.Mul64(a, b)
	return (a ^ lo) + (b ^ hi)
}

func (h *Hasher) value(v Value) uint64 {
	switch v.kind {
	case Absent:
		return hashAbsent
	case Null:
		return hashNull
	case Bool:
		return hashOfBool(v.num != 0)
	case Int:
		return v.num ^ hashInt
	case Uint:
		return hashOfUint(v.num)
	case Float:
		return h.float(v.Float())
	case Decimal:
		return h.decimalText(v.str)
	case Date:
		return v.num ^ hashDate
	case Time:
		return v.num ^ hashTime
	case Timestamp:
		return mix(v.num^hashStamp, uint64(v.nanos))
	case Instant:
		return mix(v.num^hashInst, uint64(v.nanos))
	case Text, Bytes, Interval, UUID, JSON, Array:
		return h.text(v.kind, v.str)
	}
	panic("row: unknown kind " + v.kind.String())
}

func hashOfBool(b bool) uint64 {
	if b {
		return hashTrue
	}
	return hashFalse
}

func hashOfUint(u uint64) uint64 {
	if u <= math.MaxInt64 {
		return u ^ hashInt
	}
	return u ^ hashUint
}

func (h *Hasher) text(k Kind, s string) uint64 {
	return xxh3.HashStringSeed(s, h.seed^hashText+uint64(k))
}

func (h *Hasher) float(f float64) uint64 {
	if i := int64(f); float64(i) == f && f < 1<<63 {
		return uint64(i) ^ hashInt
	}
	if bigInteger(f) {
		h.buf = strconv.AppendFloat(h.buf[:0], f, 'f', 0, 64)
		return h.decimalText(alias(h.buf))
	}
	if f != f {
		f = math.NaN()
	}
	return math.Float64bits(f) ^ hashFloat
}

// decimal hashes m / 10^scale; m's magnitude is below smallLimit.
func decimal(m int64, scale int32) uint64 {
	for scale > 0 {
		q := m / 10
		if q*10 != m {
			return mix(uint64(m)^hashDec, uint64(scale))
		}
		m, scale = q, scale-1
	}
	return uint64(m) ^ hashInt
}

// decimalText hashes exact decimal text as its number: digits and scale while they are small, else the normal text.
func (h *Hasher) decimalText(s string) uint64 {
	if m, scale, ok := scanDecimal(s); ok {
		return decimal(m, scale)
	}
	s = NormalDecimal(s)
	if m, scale, ok := scanDecimal(s); ok {
		return decimal(m, scale)
	}
	if !strings.Contains(s, ".") {
		if i, ok := parseInt64(s); ok {
			return uint64(i) ^ hashInt
		}
		if u, ok := parseUint64(s); ok {
			return u ^ hashUint
		}
	}
	return h.text(Decimal, s)
}

// scanDecimal reads -?digits[.digits] whose digits make a number below 10^18.
func scanDecimal(s string) (m int64, scale int32, ok bool) {
	neg := s != "" && s[0] == '-'
	if neg {
		s = s[1:]
	}
	dot, digits := len(s), 0
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			if s[i] != '.' || dot < len(s) {
				return 0, 0, false
			}
			dot = i
			continue
		}
		if m >= smallLimit/10 {
			return 0, 0, false
		}
		m, digits = m*10+int64(c), digits+1
	}
	if digits == 0 {
		return 0, 0, false
	}
	if neg {
		m = -m
	}
	return m, int32(max(0, len(s)-1-dot)), true
}

// smallLimit bounds the unscaled numbers hashed as numbers; the rest is hashed as text.
const smallLimit = 1_000_000_000_000_000_000
