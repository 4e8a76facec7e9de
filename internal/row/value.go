// Package row holds typed values, batches of changed rows, canonical keys and fingerprints.
//
// Rows come in as Arrow record batches and stay there while they are compared: keys and fingerprints are computed over the
// columns, without boxing. Only rows that changed become Values. Value is a small tagged struct, so a batch of rows is one
// slab of memory and not a tree of maps and interfaces.
package row

import (
	"math"
	"strconv"
	"time"
)

// Kind is the type of a Value. Absent (not mapped), Null and a value are three different things.
type Kind uint8

// The kinds. The numbers are written to disk: append only.
const (
	Absent    Kind = iota // not part of the record
	Null                  // known to be empty
	Bool                  //
	Int                   // int64
	Uint                  // uint64
	Float                 // float64
	Decimal               // exact decimal text: -?digits[.digits], no exponent
	Text                  // UTF-8 (checked when a row is materialised)
	Bytes                 //
	Date                  // days since 1970-01-01, proleptic Gregorian
	Time                  // nanoseconds since midnight
	Timestamp             // date and time without zone: seconds and nanoseconds as if UTC
	Instant               // point in time: Unix seconds and nanoseconds, UTC
	Interval              // ISO 8601 duration text
	UUID                  // lower-case text with hyphens
	JSON                  // JSON text
	Array                 // JSON array text
)

var kindNames = [...]string{"absent", "null", "bool", "int", "uint", "float", "decimal", "text", "bytes", "date", "time", "timestamp", "instant", "interval", "uuid", "json", "array"}

// String gives the kind's name, as used in Arrow field metadata and messages.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// ParseKind is the inverse of Kind.String.
func ParseKind(s string) (Kind, bool) {
	for i, n := range kindNames {
		if n == s {
			return Kind(i), true
		}
	}
	return Absent, false
}

// Value is one typed value. The zero Value is Absent. Compare with Equal, not ==.
type Value struct {
	str   string // Decimal, Text, Bytes, Interval, UUID, JSON, Array
	num   uint64 // Bool, Int, Uint, Float bits, Date days, Time nanos, Timestamp and Instant seconds
	nanos uint32 // Timestamp, Instant
	kind  Kind
}

// Kind gives the value's kind.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports a known-empty value.
func (v Value) IsNull() bool { return v.kind == Null }

// IsAbsent reports a value that is not part of the record.
func (v Value) IsAbsent() bool { return v.kind == Absent }

// NullValue is the null.
func NullValue() Value { return Value{kind: Null} }

// BoolValue makes a Bool.
func BoolValue(b bool) Value {
	if b {
		return Value{kind: Bool, num: 1}
	}
	return Value{kind: Bool}
}

// IntValue makes an Int.
func IntValue(i int64) Value { return Value{kind: Int, num: uint64(i)} }

// UintValue makes a Uint, or an Int when it fits one, so that equal numbers have one form.
func UintValue(u uint64) Value {
	if u <= math.MaxInt64 {
		return Value{kind: Int, num: u}
	}
	return Value{kind: Uint, num: u}
}

// FloatValue makes a Float.
func FloatValue(f float64) Value { return Value{kind: Float, num: math.Float64bits(f)} }

// DecimalValue makes a Decimal from exact text (-?digits[.digits]). The caller vouches for the form; see ParseDecimal.
func DecimalValue(s string) Value { return Value{kind: Decimal, str: s} }

// TextValue makes a Text. UTF-8 validity is checked where rows are materialised.
func TextValue(s string) Value { return Value{kind: Text, str: s} }

// BytesValue makes Bytes from a copy of b.
func BytesValue(b []byte) Value { return Value{kind: Bytes, str: string(b)} }

// DateValue makes a Date from days since 1970-01-01.
func DateValue(days int64) Value { return Value{kind: Date, num: uint64(days)} }

// TimeValue makes a Time from nanoseconds since midnight.
func TimeValue(nanos int64) Value { return Value{kind: Time, num: uint64(nanos)} }

// TimestampValue makes a Timestamp (no zone) from the seconds and nanoseconds it would have as UTC.
func TimestampValue(sec int64, nanos uint32) Value {
	return Value{kind: Timestamp, num: uint64(sec), nanos: nanos}
}

// InstantValue makes an Instant from Unix seconds and nanoseconds.
func InstantValue(sec int64, nanos uint32) Value {
	return Value{kind: Instant, num: uint64(sec), nanos: nanos}
}

// StringKind makes a value of one of the text-backed kinds: Decimal, Text, Bytes, Interval, UUID, JSON, Array.
func StringKind(k Kind, s string) Value { return Value{kind: k, str: s} }

// Bool, Int, Uint, Float, Str give the content; the kind must be the one named (Str: any text-backed kind).
func (v Value) Bool() bool { return v.num != 0 }

// Int gives an Int's number, a Date's days or a Time's nanoseconds.
func (v Value) Int() int64 { return int64(v.num) }

// Uint gives a Uint's number.
func (v Value) Uint() uint64 { return v.num }

// Float gives a Float's number.
func (v Value) Float() float64 { return math.Float64frombits(v.num) }

// Str gives the text of a text-backed kind; for Bytes the raw bytes.
func (v Value) Str() string { return v.str }

// Unix gives seconds and nanoseconds of a Timestamp or Instant.
func (v Value) Unix() (sec int64, nanos uint32) { return int64(v.num), v.nanos }

// GoTime gives a Date, Timestamp or Instant as a time.Time in UTC.
func (v Value) GoTime() time.Time {
	if v.kind == Date {
		return time.Unix(int64(v.num)*86400, 0).UTC()
	}
	return time.Unix(int64(v.num), int64(v.nanos)).UTC()
}

// Equal reports whether two values are the same for delivery: numbers by value (1 = 1.0 = decimal 1.00), everything else by
// kind and content. Absent equals only Absent, Null only Null.
func (v Value) Equal(w Value) bool {
	if v.kind == w.kind && v.num == w.num && v.nanos == w.nanos && v.str == w.str {
		return true
	}
	if v.kind.numeric() && w.kind.numeric() {
		var a, b [64]byte
		return string(v.AppendCanonical(a[:0])) == string(w.AppendCanonical(b[:0]))
	}
	return false
}

func (k Kind) numeric() bool { return k == Int || k == Uint || k == Float || k == Decimal }

// Numeric reports whether the kind is a number: Int, Uint, Float or Decimal.
func (k Kind) Numeric() bool { return k.numeric() }

// DurationValue makes an Interval of hours, minutes and seconds.
func DurationValue(d time.Duration) Value {
	return Value{kind: Interval, str: string(appendInterval(nil, 0, 0, int64(d/time.Second), int64(d%time.Second)))}
}
