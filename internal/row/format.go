package row

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// String gives the value as people read it: texts bare, times RFC 3339, bytes base64, null as "null", absent as "".
func (v Value) String() string { return string(v.AppendText(nil)) }

// AppendText appends the value as plain text (no quotes), the form CSV and messages use.
func (v Value) AppendText(b []byte) []byte {
	switch v.kind {
	case Absent:
		return b
	case Null:
		return append(b, "null"...)
	case Bool:
		return strconv.AppendBool(b, v.num != 0)
	case Int:
		return strconv.AppendInt(b, int64(v.num), 10)
	case Uint:
		return strconv.AppendUint(b, v.num, 10)
	case Float:
		return appendFloat(b, v.Float())
	case Bytes:
		return base64.StdEncoding.AppendEncode(b, []byte(v.str))
	case Date:
		return appendDate(b, v.GoTime())
	case Time:
		return appendClock(b, int64(v.num))
	case Timestamp:
		return appendTime(b, v.GoTime(), "T15:04:05.999999999")
	case Instant:
		return appendTime(b, v.GoTime(), "T15:04:05.999999999Z")
	case Decimal, Text, Interval, UUID, JSON, Array:
		return append(b, v.str...)
	}
	return b
}

// appendClock writes hours beyond 23 as they are: 24:00:00 is the end of a day in SQL.
func appendClock(b []byte, nanos int64) []byte {
	if nanos < 24*int64(time.Hour) {
		return time.Unix(0, nanos).UTC().AppendFormat(b, "15:04:05.999999999")
	}
	b = strconv.AppendInt(b, nanos/int64(time.Hour), 10)
	return time.Unix(0, nanos%int64(time.Hour)).UTC().AppendFormat(b, ":04:05.999999999")
}

func appendTime(b []byte, t time.Time, layout string) []byte {
	return t.AppendFormat(appendDate(b, t), layout)
}

// appendDate writes years beyond 9999 or before 0 with a sign, as ISO 8601 has it.
func appendDate(b []byte, t time.Time) []byte {
	if y := t.Year(); y < 0 || y > 9999 {
		if y >= 0 {
			b = append(b, '+')
		}
		b = strconv.AppendInt(b, int64(y), 10)
		return t.AppendFormat(b, "-01-02")
	}
	return t.AppendFormat(b, time.DateOnly)
}

// appendFloat writes the shortest text that reads back as f, without exponent for the usual range.
func appendFloat(b []byte, f float64) []byte {
	a := math.Abs(f)
	if a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// AppendJSON appends the value as JSON: numbers in full precision, times as RFC 3339 strings (a Timestamp without zone has no
// offset), bytes as base64, JSON and Array verbatim, NaN and infinities as strings, Absent as null.
func (v Value) AppendJSON(b []byte) []byte {
	switch v.kind {
	case Absent, Null:
		return append(b, "null"...)
	case Bool, Int, Uint:
		return v.AppendText(b)
	case Decimal:
		if !plainDecimal(v.str) {
			return AppendJSONString(b, v.str)
		}
		return append(b, v.str...)
	case JSON, Array:
		if !json.Valid([]byte(v.str)) {
			return AppendJSONString(b, v.str)
		}
		return append(b, v.str...)
	case Float:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return AppendJSONString(b, v.String())
		}
		return v.AppendText(b)
	case Text, Interval, UUID:
		return AppendJSONString(b, v.str)
	case Bytes, Date, Time, Timestamp, Instant:
		b = append(b, '"')
		b = v.AppendText(b)
		return append(b, '"')
	}
	return append(b, "null"...)
}

// plainDecimal reports text that is a JSON number without exponent.
func plainDecimal(s string) bool {
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	dot := -1
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
		case c == '.' && dot < 0:
			dot = i
		default:
			return false
		}
	}
	whole := dot
	if dot < 0 {
		whole = len(s)
	}
	return whole > 0 && (whole == 1 || s[0] != '0') && dot != len(s)-1
}

// MarshalJSON makes a Value usable in output documents.
func (v Value) MarshalJSON() ([]byte, error) { return v.AppendJSON(nil), nil }

const hexDigits = "0123456789abcdef"

// AppendJSONString appends s as a JSON string. Invalid UTF-8 bytes become U+FFFD; rows with such text never get here because
// materialising refuses them.
func AppendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, s[start:i]...)
			b = append(b, "\ufffd"...)
			i++
			start = i
			continue
		}
		i += n
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// JSONLen is the length of what AppendJSONString appends, in bytes.
func JSONLen(s string) int {
	n := len(s) + 2
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
				n++
			case c < ' ':
				n += 5
			}
			i++
			continue
		}
		r, w := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && w == 1 {
			n += len("\ufffd") - 1
		}
		i += w
	}
	return n
}
