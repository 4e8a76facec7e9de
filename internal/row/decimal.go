package row

import (
	"math/bits"
	"strconv"
)

const pow19 = 10_000_000_000_000_000_000 // 10^19, the largest power of ten in 64 bits

// appendDecimal128 appends the exact text of a 128-bit unscaled number divided by 10^scale.
func appendDecimal128(b []byte, hi int64, lo uint64, scale int32) []byte {
	var buf [48]byte
	d := buf[:0]
	h := uint64(hi)
	if hi < 0 {
		d = append(d, '-')
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		h, _ = bits.Sub64(0, h, borrow)
	}
	if h == 0 {
		d = strconv.AppendUint(d, lo, 10)
	} else {
		q, r := bits.Div64(h, lo, pow19) // h < 2^63 < 10^19
		d = strconv.AppendUint(d, q, 10)
		from := len(d)
		d = append(d, "0000000000000000000"...)
		for i := len(d) - 1; i >= from; i, r = i-1, r/10 {
			d[i] = byte('0' + r%10)
		}
	}
	return appendScaled(b, d, scale)
}

// appendScaled appends the digits (with sign) with the point moved left by scale, or zeros for a negative scale.
func appendScaled(b, digits []byte, scale int32) []byte {
	if len(digits) > 0 && digits[0] == '-' {
		b, digits = append(b, '-'), digits[1:]
	}
	if scale <= 0 {
		b = append(b, digits...)
		if len(digits) == 1 && digits[0] == '0' {
			return b
		}
		for ; scale < 0; scale++ {
			b = append(b, '0')
		}
		return b
	}
	whole := len(digits) - int(scale)
	if whole > 0 {
		b = append(append(b, digits[:whole]...), '.')
		return append(b, digits[whole:]...)
	}
	b = append(b, '0', '.')
	for ; whole < 0; whole++ {
		b = append(b, '0')
	}
	return append(b, digits...)
}

// appendInterval appends an ISO 8601 duration. Months, days and seconds keep their own signs; nanos has the sign of sec.
func appendInterval(b []byte, months, days, sec, nanos int64) []byte {
	b = append(b, 'P')
	from := len(b)
	part := func(n int64, unit byte) {
		if n != 0 {
			b = append(strconv.AppendInt(b, n, 10), unit)
		}
	}
	part(months/12, 'Y')
	part(months%12, 'M')
	part(days, 'D')
	if sec != 0 || nanos != 0 || len(b) == from {
		b = append(b, 'T')
		part(sec/3600, 'H')
		part(sec%3600/60, 'M')
		if s := sec % 60; s != 0 || nanos != 0 || (sec == 0) {
			if s < 0 || nanos < 0 {
				b, s, nanos = append(b, '-'), -s, -nanos
			}
			b = strconv.AppendInt(b, s, 10)
			if nanos != 0 {
				f := strconv.AppendInt(nil, nanos+1e9, 10)
				f[0] = '.'
				for f[len(f)-1] == '0' {
					f = f[:len(f)-1]
				}
				b = append(b, f...)
			}
			b = append(b, 'S')
		}
	}
	return b
}
