package row

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseText reads a value of a kind from its text form (see AppendText), strictly: the whole text must be of that form. Times
// may have a blank instead of T; an Instant needs an offset, a Timestamp must not have one; UUIDs may be upper-case.
func ParseText(k Kind, s string) (Value, error) {
	bad := fmt.Errorf("not a value of kind %s", k)
	switch k {
	case Bool:
		switch s {
		case "true", "false":
			return BoolValue(s == "true"), nil
		}
	case Int:
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return IntValue(n), nil
		}
	case Uint:
		if n, err := strconv.ParseUint(s, 10, 64); err == nil {
			return UintValue(n), nil
		}
	case Float:
		if f, err := strconv.ParseFloat(s, 64); err == nil && !strings.ContainsAny(s, "_xX") {
			return FloatValue(f), nil
		}
	case Decimal:
		return ParseDecimal(s)
	case Text:
		return TextValue(s), nil
	case Bytes:
		if b, err := base64.StdEncoding.DecodeString(s); err == nil {
			return BytesValue(b), nil
		}
	case Date:
		if days, rest, ok := scanDate(s); ok && rest == "" {
			return DateValue(days), nil
		}
	case Time:
		if nanos, rest, ok := scanClock(s); ok && rest == "" {
			return TimeValue(nanos), nil
		}
	case Timestamp, Instant:
		if v, ok := parseMoment(k, s); ok {
			return v, nil
		}
	case Interval:
		if t := strings.TrimPrefix(s, "-"); len(t) > 2 && t[0] == 'P' && strings.Trim(t[1:], "0123456789.,-+YMWDTHS") == "" {
			return StringKind(Interval, s), nil
		}
	case UUID:
		if isUUID(s) {
			return StringKind(UUID, strings.ToLower(s)), nil
		}
	case JSON, Array:
		if json.Valid([]byte(s)) && (k == JSON || strings.TrimLeft(s, " \t\r\n")[0] == '[') {
			return StringKind(k, s), nil
		}
	case Absent, Null:
	}
	return Value{}, bad
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') || s[i] < '0' {
			return false
		}
	}
	return true
}

func parseMoment(k Kind, s string) (Value, bool) {
	days, rest, ok := scanDate(s)
	if !ok || rest == "" || rest[0] != 'T' && rest[0] != ' ' {
		return Value{}, false
	}
	nanos, rest, ok := scanClock(rest[1:])
	if !ok || nanos >= int64(24*time.Hour) || (k == Instant) == (rest == "") {
		return Value{}, false
	}
	offset := int64(0)
	if k == Instant {
		if offset, ok = scanOffset(rest); !ok {
			return Value{}, false
		}
	}
	return Value{kind: k, num: uint64(days*86400 + nanos/1e9 - offset), nanos: uint32(nanos % 1e9)}, true
}

// scanDate reads -?YYYY-MM-DD; years beyond 9999 have a sign and more digits. Rest is what follows.
func scanDate(s string) (days int64, rest string, ok bool) {
	sign, t := 1, s
	if t != "" && (t[0] == '-' || t[0] == '+') {
		if t[0] == '-' {
			sign = -1
		}
		t = t[1:]
	}
	n := 0
	for n < len(t) && t[n] >= '0' && t[n] <= '9' {
		n++
	}
	if n < 4 && len(t) == len(s) || n == 0 || n > 9 || n > 4 && len(t) == len(s) || len(t) < n+6 || t[n] != '-' || t[n+3] != '-' {
		return 0, "", false
	}
	year, _ := strconv.Atoi(t[:n]) //nolint:errcheck // digits
	month, ok1 := twoDigits(t[n+1:])
	day, ok2 := twoDigits(t[n+4:])
	d := time.Date(sign*year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if !ok1 || !ok2 || int(d.Month()) != month || d.Day() != day {
		return 0, "", false
	}
	return d.Unix() / 86400, t[n+6:], true
}

// scanClock reads HH:MM[:SS[.fraction]] up to 24:00:00; the fraction has at most nine digits that count.
func scanClock(s string) (nanos int64, rest string, ok bool) {
	h, ok1 := twoDigits(s)
	if !ok1 || len(s) < 5 || s[2] != ':' {
		return 0, "", false
	}
	m, ok2 := twoDigits(s[3:])
	sec, s := 0, s[5:]
	if ok2 && s != "" && s[0] == ':' {
		if sec, ok2 = twoDigits(s[1:]); ok2 {
			s = s[3:]
		}
	}
	if !ok2 || m > 59 || sec > 59 {
		return 0, "", false
	}
	nanos = (int64(h)*3600 + int64(m)*60 + int64(sec)) * 1e9
	if s != "" && s[0] == '.' {
		n := 1
		for unit := int64(1e8); n < len(s) && s[n] >= '0' && s[n] <= '9'; n, unit = n+1, unit/10 {
			if unit == 0 && s[n] != '0' {
				return 0, "", false
			}
			nanos += int64(s[n]-'0') * unit
		}
		if n == 1 {
			return 0, "", false
		}
		s = s[n:]
	}
	return nanos, s, nanos <= 24*int64(time.Hour)
}

// scanOffset reads Z, ±HH, ±HHMM or ±HH:MM as seconds east of UTC.
func scanOffset(s string) (int64, bool) {
	if s == "Z" || s == "z" {
		return 0, true
	}
	if len(s) < 3 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	h, ok := twoDigits(s[1:])
	m := 0
	if rest := strings.TrimPrefix(s[3:], ":"); ok && rest != "" {
		if m, ok = twoDigits(rest); len(rest) != 2 {
			return 0, false
		}
	}
	if !ok || m > 59 || strings.HasSuffix(s, ":") {
		return 0, false
	}
	n := int64(h)*3600 + int64(m)*60
	if s[0] == '-' {
		n = -n
	}
	return n, true
}

func twoDigits(s string) (int, bool) {
	if len(s) < 2 || s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return 0, false
	}
	return int(s[0]-'0')*10 + int(s[1]-'0'), true
}
