package mapping

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func dec(s string) row.Value  { return row.DecimalValue(s) }
func text(s string) row.Value { return row.TextValue(s) }

func Test_values_go_into_fields_exactly_or_not_at_all(t *testing.T) {
	const compileTime = fault.DestFieldType
	for _, c := range []struct {
		v    row.Value
		from row.Kind
		to   row.Kind
		want any // the value, or the code of the refusal
	}{
		{row.IntValue(7), row.Int, row.Absent, row.IntValue(7)},
		{row.BytesValue([]byte{0xff}), row.Bytes, row.Absent, row.BytesValue([]byte{0xff})},
		{row.IntValue(7), row.Int, row.Int, row.IntValue(7)},
		{row.IntValue(7), row.Int, row.Uint, row.IntValue(7)},
		{row.IntValue(-7), row.Int, row.Uint, fault.ValueType},
		{row.UintValue(math.MaxUint64), row.Uint, row.Uint, row.UintValue(math.MaxUint64)},
		{row.UintValue(math.MaxUint64), row.Uint, row.Int, fault.ValueType},
		{row.UintValue(5), row.Uint, row.Int, row.IntValue(5)},
		{row.FloatValue(7), row.Float, row.Int, row.IntValue(7)},
		{row.FloatValue(7.5), row.Float, row.Int, fault.ValueType},
		{row.FloatValue(1e30), row.Float, row.Int, fault.ValueType},
		{row.FloatValue(1 << 63), row.Float, row.Uint, row.UintValue(1 << 63)},
		{row.FloatValue(math.NaN()), row.Float, row.Int, fault.ValueNotNumber},
		{dec("7.000"), row.Decimal, row.Int, row.IntValue(7)},
		{dec("7.001"), row.Decimal, row.Int, fault.ValueType},
		{dec("9223372036854775808"), row.Decimal, row.Int, fault.ValueType},
		{row.BoolValue(true), row.Bool, row.Int, row.IntValue(1)},
		{text("7"), row.Text, row.Int, compileTime},
		{row.DateValue(1), row.Date, row.Int, compileTime},

		{row.IntValue(1 << 53), row.Int, row.Float, row.FloatValue(1 << 53)},
		{row.IntValue(1<<53 + 1), row.Int, row.Float, fault.ValueType},
		{row.IntValue(1 << 60), row.Int, row.Float, row.FloatValue(1 << 60)},
		{row.IntValue(math.MaxInt64), row.Int, row.Float, fault.ValueType},
		{dec("12.34"), row.Decimal, row.Float, row.FloatValue(12.34)},
		{dec("0.10000000000000000001"), row.Decimal, row.Float, fault.ValueType},
		{dec("1152921504606846976"), row.Decimal, row.Float, row.FloatValue(1 << 60)},
		{row.FloatValue(math.Inf(1)), row.Float, row.Float, row.FloatValue(math.Inf(1))},
		{text("1.5"), row.Text, row.Float, compileTime},
		{row.BoolValue(true), row.Bool, row.Float, compileTime},

		{row.IntValue(-3), row.Int, row.Decimal, dec("-3")},
		{row.UintValue(math.MaxUint64), row.Uint, row.Decimal, dec("18446744073709551615")},
		{row.FloatValue(0.1), row.Float, row.Decimal, dec("0.1")},
		{row.FloatValue(math.Inf(-1)), row.Float, row.Decimal, fault.ValueNotNumber},
		{dec("1.50"), row.Decimal, row.Decimal, dec("1.50")},

		{row.IntValue(7), row.Int, row.Text, text("7")},
		{row.FloatValue(0.1), row.Float, row.Text, text("0.1")},
		{row.FloatValue(math.NaN()), row.Float, row.Text, fault.ValueNotNumber},
		{dec("1.50"), row.Decimal, row.Text, text("1.50")},
		{row.BoolValue(false), row.Bool, row.Text, text("false")},
		{row.DateValue(0), row.Date, row.Text, text("1970-01-01")},
		{row.InstantValue(0, 5e8), row.Instant, row.Text, text("1970-01-01T00:00:00.5Z")},
		{row.StringKind(row.UUID, "u"), row.UUID, row.Text, text("u")},
		{row.StringKind(row.JSON, `{"a":1}`), row.JSON, row.Text, text(`{"a":1}`)},
		{row.BytesValue([]byte("x")), row.Bytes, row.Text, compileTime},
		{text("a\xffb"), row.Text, row.Text, fault.TextInvalid},
		{text("a\xffb"), row.Text, row.Absent, fault.TextInvalid},
		{row.StringKind(row.JSON, "\"\xff\""), row.JSON, row.JSON, fault.TextInvalid},

		{row.BoolValue(true), row.Bool, row.Bool, row.BoolValue(true)},
		{row.IntValue(1), row.Int, row.Bool, row.BoolValue(true)},
		{row.IntValue(2), row.Int, row.Bool, fault.ValueType},
		{text("true"), row.Text, row.Bool, compileTime},

		{row.DateValue(9), row.Date, row.Date, row.DateValue(9)},
		{row.TimestampValue(0, 0), row.Timestamp, row.Date, compileTime},
		{row.InstantValue(0, 0), row.Instant, row.Date, compileTime},
		{row.DateValue(9), row.Date, row.Instant, compileTime},
		{row.DateValue(9), row.Date, row.Timestamp, compileTime},
		{row.TimestampValue(0, 0), row.Timestamp, row.Instant, compileTime},
		{row.InstantValue(0, 0), row.Instant, row.Timestamp, compileTime},
		{row.InstantValue(9, 1000), row.Instant, row.Instant, row.InstantValue(9, 1000)},
		{text("P1D"), row.Text, row.Interval, compileTime},
		{text("6BA7B810-9DAD-11D1-80B4-00C04FD430C8"), row.Text, row.UUID, row.StringKind(row.UUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8")},
		{text("nope"), row.Text, row.UUID, fault.ValueType},
		{row.StringKind(row.Array, "[1]"), row.Array, row.JSON, row.StringKind(row.JSON, "[1]")},
		{row.StringKind(row.JSON, " [1]"), row.JSON, row.Array, row.StringKind(row.Array, " [1]")},
		{row.StringKind(row.JSON, "{}"), row.JSON, row.Array, fault.ValueType},
		{text("{}"), row.Text, row.JSON, compileTime},
		{text("x"), row.Text, row.Bytes, compileTime},
		{row.NullValue(), row.Null, row.Date, row.NullValue()},
		{row.NullValue(), row.Int, row.Text, row.NullValue()},
	} {
		t.Run(fmt.Sprintf("%s %.20q into %s", c.from, c.v, c.to), func(t *testing.T) {
			got, invalid, faults := one(t, c.v, c.from, writable("F", c.to))
			switch want := c.want.(type) {
			case row.Value:
				if invalid != nil || faults != nil || got.Kind() != want.Kind() || got.String() != want.String() {
					t.Fatalf("got %s %q, %v, %v; want %s %q", got.Kind(), got, invalid, faults, want.Kind(), want)
				}
			case fault.Code:
				if want == compileTime {
					if len(faults) != 1 || faults[0].Code != want || faults[0].GetFix() == "" {
						t.Fatalf("got %q, %v, %v; want one fault %s", got, invalid, faults, want)
					}
					return
				}
				if invalid == nil || invalid.Code != want || invalid.Field != "F" {
					t.Fatalf("got %q, %v, %v; want the row refused with %s", got, invalid, faults, want)
				}
			}
		})
	}
}

func Test_limits_of_a_field_are_checked_before_sending(t *testing.T) {
	long := writable("F", row.Text)
	long.MaxLength = 5
	pick := writable("F", row.Text)
	pick.Choices, pick.Restricted = []string{"pro", "free"}, true
	open := pick
	open.Restricted = false
	multi := writable("F", row.Array)
	multi.Choices, multi.Restricted = pick.Choices, true
	money := writable("F", row.Decimal)
	money.Precision, money.Scale = 5, 2
	finite := writable("F", row.Float)
	finite.NoNaN = true
	blob := writable("F", row.Bytes)
	blob.MaxBytes = 3
	noNUL := writable("F", row.Text)
	noNUL.NoNUL = true
	small := writable("F", row.Int)
	small.Bits = 16
	unsigned := writable("F", row.Uint)
	unsigned.Bits, unsigned.Unsigned = 16, true
	natural := writable("F", row.Int)
	natural.Unsigned = true
	single := writable("F", row.Float)
	single.Single = true
	milli := writable("F", row.Time)
	milli.Step = time.Millisecond
	second := writable("F", row.Timestamp)
	second.Step = time.Second
	micro := writable("F", row.Instant)
	micro.Step = 10 * time.Microsecond
	needed := writable("F", row.Text)
	needed.Required, needed.Nullable = true, false
	defaulted := writable("F", row.Bool)
	defaulted.Nullable = false
	for _, c := range []struct {
		name string
		v    row.Value
		kind row.Kind
		to   connector.Field
		want fault.Code
	}{
		{"five characters of many bytes fit", text("äöüßé"), row.Text, long, ""},
		{"six characters do not", text("äöüßéx"), row.Text, long, fault.ValueTooLong},
		{"a number too long as text", row.IntValue(123456), row.Int, long, fault.ValueTooLong},
		{"a listed choice", text("pro"), row.Text, pick, ""},
		{"another spelling", text("Pro"), row.Text, pick, fault.ValuePicklist},
		{"an open list takes anything", text("Pro"), row.Text, open, ""},
		{"all items listed", row.StringKind(row.Array, `["pro","free"]`), row.Array, multi, ""},
		{"one item not listed", row.StringKind(row.Array, `["pro","x"]`), row.Array, multi, fault.ValuePicklist},
		{"scale kept", dec("123.45"), row.Decimal, money, ""},
		{"zeros that change nothing", dec("000123.4500"), row.Decimal, money, ""},
		{"too many digits after the point", dec("1.234"), row.Decimal, money, fault.ValueType},
		{"too many digits before the point", dec("1234.5"), row.Decimal, money, fault.ValueType},
		{"an int too large", row.IntValue(-1234), row.Int, money, fault.ValueType},
		{"a float with more digits", row.FloatValue(0.30000000000000004), row.Float, money, fault.ValueType},
		{"a float with few digits", row.FloatValue(0.25), row.Float, money, ""},
		{"NaN refused", row.FloatValue(math.NaN()), row.Float, finite, fault.ValueNotNumber},
		{"infinity refused", row.FloatValue(math.Inf(1)), row.Float, finite, fault.ValueNotNumber},
		{"three bytes", row.StringKind(row.Bytes, "abc"), row.Bytes, blob, ""},
		{"four bytes", row.StringKind(row.Bytes, "abcd"), row.Bytes, blob, fault.ValueTooLong},
		{"a NUL character", text("a\x00b"), row.Text, noNUL, fault.ValueType},
		{"the least number of 16 bits", row.IntValue(-1 << 15), row.Int, small, ""},
		{"one less", row.IntValue(-1<<15 - 1), row.Int, small, fault.ValueType},
		{"the most of 16 bits", row.IntValue(1<<15 - 1), row.Int, small, ""},
		{"one more", row.IntValue(1 << 15), row.Int, small, fault.ValueType},
		{"a decimal of 17 bits", dec("65536"), row.Decimal, small, fault.ValueType},
		{"the most without sign", row.UintValue(1<<16 - 1), row.Uint, unsigned, ""},
		{"one more without sign", row.UintValue(1 << 16), row.Uint, unsigned, fault.ValueType},
		{"a negative number without sign", row.IntValue(-1), row.Int, natural, fault.ValueType},
		{"a large number of 64 bits", row.IntValue(math.MaxInt64), row.Int, natural, ""},
		{"a half in 32 bits", row.FloatValue(0.5), row.Float, single, ""},
		{"a tenth in 32 bits, by its digits", row.FloatValue(0.1), row.Float, single, ""},
		{"a third in 32 bits", row.FloatValue(1.0 / 3), row.Float, single, fault.ValueType},
		{"too large for 32 bits", row.FloatValue(1e300), row.Float, single, fault.ValueType},
		{"too small for 32 bits", row.FloatValue(5e-324), row.Float, single, fault.ValueType},
		{"NaN and infinity in 32 bits", row.FloatValue(math.NaN()), row.Float, single, ""},
		{"a time of milliseconds", row.TimeValue(1e6), row.Time, milli, ""},
		{"a time of microseconds", row.TimeValue(1e3), row.Time, milli, fault.ValueType},
		{"a fraction of a second", row.TimestampValue(0, 5e8), row.Timestamp, second, fault.ValueType},
		{"whole seconds before 1970", row.TimestampValue(-1, 0), row.Timestamp, second, ""},
		{"a microsecond where ten are kept", row.InstantValue(0, 1000), row.Instant, micro, fault.ValueType},
		{"ten microseconds before 1970", row.InstantValue(-1, 10_000), row.Instant, micro, ""},
		{"null where a value is needed", row.NullValue(), row.Text, needed, fault.RequiredAbsent},
		{"null where there is a default", row.NullValue(), row.Bool, defaulted, fault.RequiredAbsent},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, invalid, faults := one(t, c.v, c.kind, c.to)
			if faults != nil {
				t.Fatal(faults)
			}
			got := fault.Code("")
			if invalid != nil {
				got = invalid.Code
				if strings.Contains(invalid.Message, c.v.String()) && !c.v.IsNull() {
					t.Errorf("the message shows the value: %s", invalid.Message)
				}
			}
			if got != c.want {
				t.Fatalf("got %v, want %q", invalid, c.want)
			}
		})
	}
}
