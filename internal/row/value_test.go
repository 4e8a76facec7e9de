package row

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/fault"
)

func Test_values_as_text_and_as_json(t *testing.T) {
	for _, c := range []struct {
		v          Value
		text, json string
	}{
		{Value{}, "", "null"},
		{NullValue(), "null", "null"},
		{BoolValue(true), "true", "true"},
		{IntValue(math.MinInt64), "-9223372036854775808", "-9223372036854775808"},
		{UintValue(math.MaxUint64), "18446744073709551615", "18446744073709551615"},
		{FloatValue(0.1), "0.1", "0.1"},
		{FloatValue(1e21), "1e+21", "1e+21"},
		{FloatValue(1e-7), "1e-07", "1e-07"},
		{FloatValue(math.NaN()), "NaN", `"NaN"`},
		{FloatValue(math.Inf(-1)), "-Inf", `"-Inf"`},
		{DecimalValue("123456789012345678901234567890.10"), "123456789012345678901234567890.10", "123456789012345678901234567890.10"},
		{DecimalValue("-0.5"), "-0.5", "-0.5"},
		{DecimalValue("NaN"), "NaN", `"NaN"`},
		{DecimalValue("007"), "007", `"007"`},
		{DecimalValue(".5"), ".5", `".5"`},
		{DecimalValue("1.2.3"), "1.2.3", `"1.2.3"`},
		{TextValue("a\"\\\n\r\t\x01é"), "a\"\\\n\r\t\x01é", `"a\"\\\n\r\t\u0001é"`},
		{TextValue("a\xffb"), "a\xffb", "\"a\ufffdb\""},
		{BytesValue([]byte{0, 0xff}), "AP8=", `"AP8="`},
		{DateValue(0), "1970-01-01", `"1970-01-01"`},
		{DateValue(-719529), "-1-12-31", `"-1-12-31"`},
		{DateValue(2932897), "+10000-01-01", `"+10000-01-01"`},
		{TimeValue(0), "00:00:00", `"00:00:00"`},
		{TimeValue(86_399_999_999_999), "23:59:59.999999999", `"23:59:59.999999999"`},
		{TimeValue(86_400e9), "24:00:00", `"24:00:00"`},
		{TimestampValue(-1, 5e8), "1969-12-31T23:59:59.5", `"1969-12-31T23:59:59.5"`},
		{InstantValue(1, 1000), "1970-01-01T00:00:01.000001Z", `"1970-01-01T00:00:01.000001Z"`},
		{StringKind(Interval, "P1D"), "P1D", `"P1D"`},
		{DurationValue(-90*time.Minute - 1500*time.Millisecond), "PT-1H-30M-1.5S", `"PT-1H-30M-1.5S"`},
		{DurationValue(0), "PT0S", `"PT0S"`},
		{StringKind(JSON, `{"a": 1}`), `{"a": 1}`, `{"a": 1}`},
		{StringKind(JSON, `{"a"`), `{"a"`, `"{\"a\""`},
		{StringKind(Array, `[1]`), `[1]`, `[1]`},
	} {
		if got := c.v.String(); got != c.text {
			t.Errorf("%s: text %q, want %q", c.v.Kind(), got, c.text)
		}
		got, err := json.Marshal(c.v)
		if err != nil || string(c.v.AppendJSON(nil)) != c.json || !json.Valid(got) {
			t.Errorf("%s %q: JSON %s, %v, want %s", c.v.Kind(), c.text, c.v.AppendJSON(nil), err, c.json)
		}
	}
}

func Test_json_of_any_value_is_valid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if v := genAny(t); !json.Valid(v.AppendJSON(nil)) {
			t.Fatalf("%s %q: %s", v.Kind(), v, v.AppendJSON(nil))
		}
	})
}

func Test_texts_are_read_back_to_the_value_they_came_from(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genValue(t, rapid.SampledFrom(valueKinds).Draw(t, "kind"))
		got, err := ParseText(v.Kind(), v.String())
		if v.Kind() == JSON && err != nil && !json.Valid([]byte(v.Str())) {
			return
		}
		if err != nil || !got.Equal(v) {
			t.Fatalf("%s %q read back as %q, %v", v.Kind(), v, got, err)
		}
	})
}

func Test_texts_of_another_form_are_refused(t *testing.T) {
	for k, texts := range map[Kind][]string{
		Bool: {"", "True", "1", "yes"}, Int: {"", "1.0", " 1", "9223372036854775808", "x"}, Uint: {"-1", ""}, Float: {"", "0x1p3", "1_0", "1.5x"},
		Decimal: {"", ".", "1e", "1e5x", "--1", "-+1", "+-1", "1.2.3", "NaN", "1e999999999", "e5", "١"}, Bytes: {"!"},
		Date:      {"2026-1-01", "2026-13-01", "2026-02-29", "26-01-01", "2026-01-01T00:00:00", "20261-01-01", ""},
		Time:      {"24:00:01", "12", "12:60", "12:00:60", "12:00:00.", "12:00:00.0000000001", "1:00", "12:00:00Z"},
		Timestamp: {"2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T24:00:00", "2026-01-01x00:00:00"},
		Instant:   {"2026-01-01T00:00:00", "2026-01-01T00:00:00+", "2026-01-01T00:00:00+1", "2026-01-01T00:00:00+01:", "2026-01-01T00:00:00+01:0", "2026-01-01T00:00:00+01:60", "2026-01-01T00:00:00 UTC"},
		Interval:  {"", "P", "1 day", "PX"}, UUID: {"", "6ba7b810-9dad-11d1-80b4-00c04fd430c", "6ba7b8109-dad-11d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430cg", "\x16ba7b810-9dad-11d1-80b4-00c04fd430c"},
		JSON: {"", "{", "'a'"}, Array: {"", "{}", "1", "[1"}, Null: {"null", ""}, Absent: {""},
	} {
		for _, s := range texts {
			if v, err := ParseText(k, s); err == nil {
				t.Errorf("%s %q was read as %q", k, s, v)
			}
		}
	}
}

func Test_times_are_read_in_the_forms_databases_write(t *testing.T) {
	for _, c := range []struct {
		k    Kind
		s    string
		want Value
	}{
		{Instant, "1970-01-01 01:00:00+01", InstantValue(0, 0)},
		{Instant, "1970-01-01T01:30:00+0130", InstantValue(0, 0)},
		{Instant, "1969-12-31T19:00:00.250-05:00", InstantValue(0, 250_000_000)},
		{Instant, "1970-01-01T00:00:00z", InstantValue(0, 0)},
		{Timestamp, "1970-01-01 00:01", TimestampValue(60, 0)},
		{Timestamp, "1970-01-01 00:00:00.1234567890", TimestampValue(0, 123_456_789)},
		{Time, "24:00", TimeValue(86_400e9)},
		{UUID, "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", StringKind(UUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8")},
	} {
		if got, err := ParseText(c.k, c.s); err != nil || !got.Equal(c.want) {
			t.Errorf("%q: %s, %v; want %s", c.s, got, err, c.want)
		}
	}
}

func Test_decimals_are_spelled_out(t *testing.T) {
	for in, want := range map[string]string{
		"1": "1", "+1": "1", "-1.50": "-1.50", "007.5": "7.5", "1e3": "1000", "1.5E-3": "0.0015", "-12.34e1": "-123.4", ".5": "0.5", "5.": "5", "0e5": "0", "123e-5": "0.00123", "1e+2": "100",
	} {
		if v, err := ParseDecimal(in); err != nil || v.Str() != want {
			t.Errorf("%q: %q, %v; want %q", in, v.Str(), err, want)
		}
	}
}

func Test_arrow_types_and_their_kinds(t *testing.T) {
	meta := func(k string) arrow.Metadata { return arrow.NewMetadata([]string{KindKey}, []string{k}) }
	for _, c := range []struct {
		f    arrow.Field
		want Kind // Absent = refused
	}{
		{arrow.Field{Type: arrow.BinaryTypes.String, Metadata: meta("uuid")}, UUID},
		{arrow.Field{Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}}, Text},
		{arrow.Field{Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, Metadata: meta("json")}, JSON},
		{arrow.Field{Type: arrow.Null}, Null},
		{arrow.Field{Type: arrow.FixedWidthTypes.MonthDayNanoInterval}, Interval},
		{arrow.Field{Type: &arrow.TimestampType{Unit: arrow.Second, TimeZone: "Europe/Berlin"}}, Instant},
		{arrow.Field{Type: arrow.PrimitiveTypes.Int64, Metadata: meta("uuid")}, Absent},
		{arrow.Field{Type: arrow.BinaryTypes.String, Metadata: meta("int")}, Absent},
		{arrow.Field{Type: arrow.BinaryTypes.String, Metadata: meta("nonsense")}, Absent},
		{arrow.Field{Type: arrow.ListOf(arrow.PrimitiveTypes.Int8)}, Absent},
	} {
		got, err := KindOf(c.f)
		if got != c.want || (err != nil) != (c.want == Absent) || err != nil && !fault.Is(err, fault.SourceTypeUnsupported) {
			t.Errorf("%s: %s, %v; want %s", c.f.Type, got, err, c.want)
		}
	}
	for _, k := range valueKinds {
		if got, err := KindOf(FieldOf("c", k)); err != nil || got != k {
			t.Errorf("the field of %s has kind %s, %v", k, got, err)
		}
	}
}

func Test_cells_of_rare_arrow_types(t *testing.T) {
	dict := array.NewDictionaryBuilder(memory.DefaultAllocator, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}).(*array.BinaryDictionaryBuilder)
	if err := errors.Join(dict.AppendString("b"), dict.AppendString("a"), dict.AppendString("b")); err != nil {
		t.Fatal(err)
	}
	month := array.NewMonthDayNanoIntervalBuilder(memory.DefaultAllocator)
	month.Append(arrow.MonthDayNanoInterval{Months: 14, Days: -3, Nanoseconds: 3_723_500_000_000})
	dur := array.NewDurationBuilder(memory.DefaultAllocator, &arrow.DurationType{Unit: arrow.Millisecond})
	dur.Append(-1500)
	day := array.NewDate64Builder(memory.DefaultAllocator)
	day.Append(-1)
	fixed := array.NewFixedSizeBinaryBuilder(memory.DefaultAllocator, &arrow.FixedSizeBinaryType{ByteWidth: 16})
	fixed.Append([]byte("0123456789abcdef"))
	f32 := array.NewFloat32Builder(memory.DefaultAllocator)
	f32.Append(0.1)
	second := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Second})
	second.Append(math.MinInt64)
	nano := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Nanosecond})
	nano.Append(-1)
	for _, c := range []struct {
		arr  arrow.Array
		kind Kind
		i    int
		want Value
	}{
		{dict.NewArray(), Text, 2, TextValue("b")},
		{month.NewArray(), Interval, 0, StringKind(Interval, "P1Y2M-3DT1H2M3.5S")},
		{dur.NewArray(), Interval, 0, StringKind(Interval, "PT-1.5S")},
		{day.NewArray(), Date, 0, DateValue(-1)},
		{fixed.NewArray(), UUID, 0, StringKind(UUID, "30313233-3435-3637-3839-616263646566")},
		{f32.NewArray(), Float, 0, FloatValue(0.1)},
		{second.NewArray(), Timestamp, 0, TimestampValue(math.MinInt64, 0)},
		{nano.NewArray(), Timestamp, 0, TimestampValue(-1, 999_999_999)},
		{array.NewNull(3), Null, 1, NullValue()},
	} {
		if got := At(c.arr, c.kind, c.i); !got.Equal(c.want) {
			t.Errorf("%s: %s %q, want %q", c.arr.DataType(), got.Kind(), got, c.want)
		}
		h := NewHasher(5)
		acc := make([]uint64, c.arr.Len())
		h.Begin(acc)
		h.Column(c.arr, c.kind, Null, acc)
		if want := HashValues(5, []Value{c.want}); acc[c.i] != want {
			t.Errorf("%s: hash %x, want %x", c.arr.DataType(), acc[c.i], want)
		}
	}
}

func Test_a_boxed_cell_outlives_its_array(t *testing.T) {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.Append("hello")
	arr := b.NewStringArray()
	v := At(arr, Text, 0)
	copy(arr.Data().Buffers()[2].Bytes(), "XXXXX")
	if v.Str() != "hello" {
		t.Fatalf("the cell changed with the array: %q", v.Str())
	}
}

func Test_values_that_do_not_fit_an_arrow_column_are_refused(t *testing.T) {
	for _, c := range []struct {
		dt arrow.DataType
		v  Value
	}{
		{arrow.PrimitiveTypes.Int8, IntValue(128)},
		{arrow.PrimitiveTypes.Uint8, IntValue(-1)},
		{arrow.PrimitiveTypes.Int64, UintValue(math.MaxUint64)},
		{arrow.PrimitiveTypes.Float64, IntValue(1<<53 + 1)},
		{arrow.PrimitiveTypes.Float64, IntValue(math.MaxInt64)},
		{arrow.PrimitiveTypes.Float32, FloatValue(0.123456789)},
		{&arrow.Decimal128Type{Precision: 4, Scale: 2}, DecimalValue("1.234")},
		{&arrow.Decimal128Type{Precision: 4, Scale: 2}, DecimalValue("123.4")},
		{&arrow.Decimal128Type{Precision: 4, Scale: 2}, DecimalValue("NaN")},
		{&arrow.TimestampType{Unit: arrow.Microsecond}, TimestampValue(0, 1)},
		{&arrow.TimestampType{Unit: arrow.Nanosecond}, TimestampValue(1e11, 0)},
		{&arrow.TimestampType{Unit: arrow.Second}, InstantValue(0, 0)},
		{&arrow.TimestampType{Unit: arrow.Second, TimeZone: "UTC"}, TimestampValue(0, 0)},
		{arrow.FixedWidthTypes.Date32, DateValue(math.MaxInt64)},
		{arrow.FixedWidthTypes.Boolean, IntValue(1)},
		{arrow.BinaryTypes.String, BytesValue(nil)},
		{arrow.BinaryTypes.Binary, TextValue("x")},
		{arrow.FixedWidthTypes.Time32s, TimeValue(1)},
	} {
		b := array.NewBuilder(memory.DefaultAllocator, c.dt)
		if err := AppendTo(b, c.v); err == nil || b.Len() != 0 {
			t.Errorf("%s took %s %q", c.dt, c.v.Kind(), c.v)
		}
	}
	rows := NewBuilder(arrow.NewSchema([]arrow.Field{FieldOf("n", Int)}, nil))
	if rows.Append(IntValue(1), IntValue(2)) == nil || rows.Append(TextValue("x")) == nil || rows.Len() != 0 {
		t.Error("a row of another shape was taken")
	}
}

func Test_a_batch_keeps_rows_apart(t *testing.T) {
	b := NewBatch([]string{"id"}, []string{"a", "b"}, 1)
	for i := range int64(4) {
		b.Add(Meta{Ordinal: uint64(i)}, []Value{IntValue(i)}, []Value{IntValue(i * 10), {}})
	}
	check := func(name string, b *Batch, ids ...int64) {
		t.Helper()
		if b.Len() != len(ids) {
			t.Fatalf("%s: %d rows, want %d", name, b.Len(), len(ids))
		}
		for i, id := range ids {
			if b.Match(i)[0].Int() != id || b.Values(i)[0].Int() != id*10 || !b.Values(i)[1].IsAbsent() || b.Meta(i).Ordinal != uint64(id) {
				t.Errorf("%s: row %d is not row %d", name, i, id)
			}
		}
	}
	check("slice", b.Slice(1, 3), 1, 2)
	picked := b.Pick([]int{3, 0})
	check("pick", picked, 3, 0)
	b.Reset()
	check("reset", b)
	b.Add(Meta{Ordinal: 9}, []Value{IntValue(9)}, []Value{IntValue(90), {}})
	check("picked rows are copies", picked, 3, 0)
}

func Test_the_length_of_a_json_text_is_known_without_writing_it(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		if is := len(AppendJSONString(nil, s)); JSONLen(s) != is {
			t.Fatalf("%q has %d bytes, JSONLen says %d", s, is, JSONLen(s))
		}
	})
}
