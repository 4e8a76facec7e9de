package redshift

import (
	"errors"
	"math"
	"math/bits"
	"strconv"

	"github.com/upwelldata/upwell/internal/connector/pgwire"
)

// Values the types can hold and the program cannot carry exactly. The column and a cast are added by the caller.
var (
	errForm     = errors.New("a value whose text is not of the form expected")
	errInfinity = errors.New("infinity")
	errRange    = errors.New("a time outside the range that can be carried")
	errMidnight = errors.New("24:00:00")
	errNaN      = errors.New("NaN in a decimal")
)

// Redshift's texts are those of PostgreSQL 8.0 with the settings pinned by begin: ISO dates, UTC.

func parseInt(b []byte, size int) (int64, error) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, errForm
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errForm
		}
		n = n*10 + uint64(c-'0')
	}
	limit := uint64(1) << (size - 1)
	switch {
	case neg && n <= limit:
		return -int64(n), nil
	case !neg && n < limit:
		return int64(n), nil
	}
	return 0, errForm
}

// parseDecimal gives the two words of a decimal with the column's scale. More digits than that are refused, not rounded.
func parseDecimal(b []byte, scale int) (lo, hi uint64, err error) {
	if string(b) == "NaN" {
		return 0, 0, errNaN
	}
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	digits, after := 0, -1
	push := func(d uint64) {
		var carry, c uint64
		carry, lo = bits.Mul64(lo, 10)
		hi = hi*10 + carry
		lo, c = bits.Add64(lo, d, 0)
		hi += c
		digits++
	}
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			if digits > 0 || c != '0' {
				push(uint64(c - '0'))
			}
			if after >= 0 {
				after++
			}
		case c == '.' && after < 0:
			after = 0
		default:
			return 0, 0, errForm
		}
	}
	if len(b) == 0 || after > scale {
		return 0, 0, errForm
	}
	for ; max(after, 0) < scale; scale-- {
		if digits > 0 {
			push(0)
		}
	}
	if digits > 38 {
		return 0, 0, errForm
	}
	if neg {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	return lo, hi, nil
}

func float(b []byte) (float64, error) {
	if n, err := parseInt(b, 54); err == nil && n != 0 { // a whole number without a sign of zero
		return float64(n), nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return 0, errForm
	}
	return f, nil
}

func parseFloat8(b []byte) (int64, error) {
	f, err := float(b)
	return int64(math.Float64bits(f)), err
}

// parseFloat4 reads a REAL printed as a DOUBLE PRECISION.
func parseFloat4(b []byte) (int32, error) {
	f, err := float(b)
	if err == nil && !math.IsNaN(f) && float64(float32(f)) != f {
		err = errForm
	}
	return int32(math.Float32bits(float32(f))), err
}

func parseBool(b []byte) (byte, error) {
	switch string(b) {
	case "t", "true", "1":
		return 1, nil
	case "f", "false", "0":
		return 0, nil
	}
	return 0, errForm
}

// two reads two digits.
func two(b []byte, at int) (int, bool) {
	if len(b) < at+2 {
		return 0, false
	}
	hi, lo := b[at]-'0', b[at+1]-'0'
	return int(hi)*10 + int(lo), hi <= 9 && lo <= 9
}

// day reads YYYY-MM-DD, with more digits of the year beyond 9999, and gives days since 1970 of its year as it stands and what follows.
func day(b []byte) (year, days int, rest []byte, err error) {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		year = year*10 + int(b[n]-'0')
		if n++; n > 7 {
			return 0, 0, nil, errForm
		}
	}
	if n < 4 || len(b) < n+6 || b[n] != '-' || b[n+3] != '-' {
		return 0, 0, nil, errForm
	}
	month, ok1 := two(b, n+1)
	d, ok2 := two(b, n+4)
	if !ok1 || !ok2 || month < 1 || month > 12 || d < 1 || d > 31 || year < 1 {
		return 0, 0, nil, errForm
	}
	rest = b[n+6:]
	if bc := len(rest) - 3; bc >= 0 && string(rest[bc:]) == " BC" {
		rest, year = rest[:bc], 1-year
	}
	return year, civil(year, month, d), rest, nil
}

// civil counts days from 1970-01-01 in the Gregorian calendar, year 0 being 1 BC.
func civil(y, m, d int) int {
	if m <= 2 {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	doy := (153*((m+9)%12)+2)/5 + d - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}

func parseDate(b []byte) (int32, error) {
	if infinite(b) {
		return 0, errInfinity
	}
	_, days, rest, err := day(b)
	if err == nil && len(rest) != 0 {
		err = errForm
	}
	return int32(days), err
}

func infinite(b []byte) bool {
	return len(b) > 0 && (b[0] == 'i' || len(b) > 1 && b[1] == 'i')
}

// clock reads HH:MM:SS with up to six further digits and gives microseconds and what follows.
func clock(b []byte) (int64, []byte, error) {
	h, ok1 := two(b, 0)
	m, ok2 := two(b, 3)
	s, ok3 := two(b, 6)
	if !ok1 || !ok2 || !ok3 || b[2] != ':' || b[5] != ':' || m > 59 || s > 59 || h > 24 {
		return 0, nil, errForm
	}
	us := int64(h*3600+m*60+s) * 1_000_000
	b = b[8:]
	if len(b) > 0 && b[0] == '.' {
		n, unit := 1, int64(100_000)
		for ; n < len(b) && b[n] >= '0' && b[n] <= '9'; n++ {
			if unit == 0 {
				return 0, nil, errForm
			}
			us += int64(b[n]-'0') * unit
			unit /= 10
		}
		b = b[n:]
	}
	return us, b, nil
}

const microsPerDay = 86400 * 1_000_000

func parseTime(b []byte) (int64, error) {
	us, rest, err := clock(b)
	switch {
	case err != nil || len(rest) != 0:
		return 0, errForm
	case us >= microsPerDay:
		return 0, errMidnight
	}
	return us, nil
}

// parseTimestamp reads a TIMESTAMP, or a TIMESTAMPTZ in a session whose zone is UTC, as microseconds since 1970.
func parseTimestamp(b []byte) (int64, error) {
	if infinite(b) {
		return 0, errInfinity
	}
	_, days, rest, err := day(b)
	if err != nil || len(rest) < 9 || rest[0] != ' ' {
		return 0, errForm
	}
	us, rest, err := clock(rest[1:])
	if err != nil || len(rest) != 0 && string(rest) != "+00" {
		return 0, errForm
	}
	if days > math.MaxInt64/microsPerDay-1 {
		return 0, errRange
	}
	return int64(days)*microsPerDay + us, nil
}

// appendHex reads a VARBYTE, which is printed as hexadecimal digits: https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html
func appendHex(dst, b []byte) ([]byte, error) {
	if len(b)%2 != 0 {
		return dst, errForm
	}
	for i := 0; i < len(b); i += 2 {
		hi, lo := nibble[b[i]], nibble[b[i+1]]
		if hi > 15 || lo > 15 {
			return dst, errForm
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst, nil
}

var nibble = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xFF
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()

// appendInterval reads an interval's text ("1 year 2 mons", "3 days -04:05:06.5") and writes it as an ISO 8601 duration. Months, days
// and time stay apart, each with its own sign. https://docs.aws.amazon.com/redshift/latest/dg/r_interval_data_types.html
func appendInterval(dst, b []byte) ([]byte, error) {
	dst = append(dst, 'P')
	start := len(dst)
	for len(b) > 0 {
		word, rest := cut(b)
		neg := len(word) > 0 && word[0] == '-'
		if len(word) > 0 && (neg || word[0] == '+') {
			word = word[1:]
		}
		if len(word) >= 8 && word[2] == ':' || len(word) > 8 && indexByte(word, ':') > 2 {
			var err error
			if dst, err = appendClock(dst, word, neg); err != nil || len(rest) != 0 {
				return dst, errForm
			}
			break
		}
		unit, rest := cut(rest)
		n, err := parseInt(word, 32)
		if err != nil || len(unit) == 0 {
			return dst, errForm
		}
		letter := byte(0)
		switch string(unit) {
		case "year", "years":
			letter = 'Y'
		case "mon", "mons", "month", "months":
			letter = 'M'
		case "day", "days":
			letter = 'D'
		default:
			return dst, errForm
		}
		if n != 0 {
			if neg {
				dst = append(dst, '-')
			}
			dst = append(strconv.AppendInt(dst, n, 10), letter)
		}
		b = rest
	}
	if len(dst) == start {
		dst = append(dst, "T0S"...)
	}
	return dst, nil
}

func cut(b []byte) (word, rest []byte) {
	if i := indexByte(b, ' '); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

func indexByte(b []byte, c byte) int {
	for i, x := range b {
		if x == c {
			return i
		}
	}
	return -1
}

// appendClock writes the time of an interval; hours may have any number of digits.
func appendClock(dst, word []byte, neg bool) ([]byte, error) {
	colon := indexByte(word, ':')
	hours, err := parseInt(word[:colon], 54)
	if err != nil {
		return dst, err
	}
	us, rest, err := clock(append([]byte("00"), word[colon:]...))
	if err != nil || len(rest) != 0 {
		return dst, errForm
	}
	minutes, us := us/60_000_000, us%60_000_000
	if hours == 0 && minutes == 0 && us == 0 {
		return dst, nil
	}
	dst = append(dst, 'T')
	part := func(n int64, unit byte) {
		if n != 0 {
			if neg {
				dst = append(dst, '-')
			}
			dst = append(strconv.AppendInt(dst, n, 10), unit)
		}
	}
	part(hours, 'H')
	part(minutes, 'M')
	if us != 0 {
		if neg {
			us = -us
		}
		dst = pgwire.AppendSeconds(dst, us)
	}
	return dst, nil
}
