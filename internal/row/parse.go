package row

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse reads a value of a kind from the text people write: the inverse of AppendText. Null and Absent have no text.
func Parse(k Kind, s string) (Value, error) {
	bad := func() (Value, error) { return Value{}, fmt.Errorf("%q is not a %s", s, k) }
	switch k {
	case Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return bad()
		}
		return BoolValue(b), nil
	case Int, Uint:
		if i, ok := parseInt64(s); ok {
			return IntValue(i), nil
		}
		if u, ok := parseUint64(s); ok {
			return UintValue(u), nil
		}
		return bad()
	case Float:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return bad()
		}
		return FloatValue(f), nil
	case Decimal:
		return ParseDecimal(s)
	case Bytes:
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return bad()
		}
		return BytesValue(b), nil
	case Date:
		t, err := time.Parse(time.DateOnly, s)
		if err != nil {
			return bad()
		}
		return DateValue(t.Unix() / 86400), nil
	case Time:
		t, err := time.Parse("15:04:05.999999999", s)
		if err != nil {
			return bad()
		}
		return TimeValue(int64(t.Sub(t.Truncate(24 * time.Hour)))), nil
	case Timestamp:
		t, err := time.Parse("2006-01-02T15:04:05.999999999", strings.Replace(s, " ", "T", 1))
		if err != nil {
			return bad()
		}
		return TimestampValue(t.Unix(), uint32(t.Nanosecond())), nil
	case Instant:
		t, err := time.Parse(time.RFC3339Nano, strings.Replace(s, " ", "T", 1))
		if err != nil {
			return bad()
		}
		return InstantValue(t.Unix(), uint32(t.Nanosecond())), nil
	case Text, Interval, UUID, JSON, Array:
		return StringKind(k, s), nil
	case Absent, Null:
	}
	return bad()
}

// Clone gives the value with a text of its own, for values whose text stands in borrowed memory.
func (v Value) Clone() Value {
	v.str = strings.Clone(v.str)
	return v
}
