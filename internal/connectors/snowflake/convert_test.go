package snowflake

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func columnOf(t testing.TB, typ string, precision, scale int32) *column {
	t.Helper()
	c, err := planColumn("c", typ, precision, scale)
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

// texts converts an array and gives its values as texts.
func texts(t testing.TB, c *column, a arrow.Array) string {
	t.Helper()
	got, err := c.convert(c, a)
	if err != nil {
		t.Fatal(err)
	}
	field := c.field
	field.Type = got.DataType()
	kind, err := row.KindOf(field)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range got.Len() {
		out = append(out, row.At(got, kind, i).String())
	}
	return strings.Join(out, " ")
}

func build(t arrow.DataType, json string) arrow.Array {
	a, _, err := array.FromJSON(memory.DefaultAllocator, t, strings.NewReader(json))
	if err != nil {
		panic(err)
	}
	return a
}

func Test_a_number_is_the_same_in_any_width(t *testing.T) {
	for _, wire := range []arrow.DataType{
		arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64, &arrow.Decimal128Type{Precision: 38},
	} {
		in := "[105, null, -7]"
		if wire.ID() == arrow.DECIMAL128 {
			in = `["105", null, "-7"]`
		}
		for _, c := range []struct {
			precision, scale int32
			want             string
		}{{18, 0, "105 null -7"}, {38, 0, "105 null -7"}, {10, 2, "1.05 null -0.07"}, {38, 37, "0." + strings.Repeat("0", 34) + "105 null -0." + strings.Repeat("0", 36) + "7"}} {
			a := build(wire, in)
			if got := texts(t, columnOf(t, "fixed", c.precision, c.scale), a); got != c.want {
				t.Errorf("NUMBER(%d, %d) sent as %s: %s; want %s", c.precision, c.scale, wire, got, c.want)
			}
			whole := build(wire, strings.Replace(in, "[", strings.Replace(in, "]", ",", 1), 1)) // the same values twice
			if got := texts(t, columnOf(t, "fixed", c.precision, c.scale), array.NewSlice(whole, 3, 6)); got != c.want {
				t.Errorf("a slice of NUMBER(%d, %d) sent as %s: %s", c.precision, c.scale, wire, got)
			}
		}
	}
	b := array.NewDecimal128Builder(memory.DefaultAllocator, &arrow.Decimal128Type{Precision: 38})
	b.Append(decimal128.FromBigInt(new(big.Int).Lsh(big.NewInt(1), 64)))
	if _, err := toInt64(columnOf(t, "fixed", 18, 0), b.NewArray()); err == nil {
		t.Error("2^64 was taken for a NUMBER(18, 0)")
	}
}

func Test_a_timestamp_is_the_same_in_any_form(t *testing.T) {
	pair := arrow.StructOf(arrow.Field{Name: "epoch", Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: "fraction", Type: arrow.PrimitiveTypes.Int32})
	triple := arrow.StructOf(append(pair.Fields(), arrow.Field{Name: "timezone", Type: arrow.PrimitiveTypes.Int32})...)
	zoned := arrow.StructOf(arrow.Field{Name: "epoch", Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: "timezone", Type: arrow.PrimitiveTypes.Int32})
	for _, c := range []struct {
		typ   string
		scale int32
		wire  arrow.DataType
		in    string
		want  string
	}{
		{"timestamp_ntz", 0, arrow.PrimitiveTypes.Int64, "[-1, null]", "1969-12-31T23:59:59 null"},
		{"timestamp_ntz", 3, arrow.PrimitiveTypes.Int64, "[-1, 1500]", "1969-12-31T23:59:59.999 1970-01-01T00:00:01.5"},
		{"timestamp_ntz", 9, arrow.PrimitiveTypes.Int64, "[1]", "1970-01-01T00:00:00.000000001"},
		{"timestamp_ntz", 9, pair, `[{"epoch": -1, "fraction": 999999999}, null]`, "1969-12-31T23:59:59.999999999 null"},
		{"timestamp_ntz", 9, pair, `[{"epoch": 253402214400, "fraction": 500000}, {"epoch": -62135596800, "fraction": 0}]`, "9999-12-31T00:00:00.0005 0001-01-01T00:00:00"},
		{"timestamp_ntz", 6, pair, `[{"epoch": 253402214400, "fraction": 1000}]`, "9999-12-31T00:00:00.000001"},
		{"timestamp_ltz", 9, pair, `[{"epoch": 1, "fraction": 5}]`, "1970-01-01T00:00:01.000000005Z"},
		{"timestamp_tz", 9, triple, `[{"epoch": 1, "fraction": 5, "timezone": 1500}]`, "1970-01-01T00:00:01.000000005Z"},
		{"timestamp_tz", 3, zoned, `[{"epoch": 1500, "timezone": 1380}]`, "1970-01-01T00:00:01.5Z"},
		{"time", 9, arrow.PrimitiveTypes.Int64, "[45296123456789, null]", "12:34:56.123456789 null"},
		{"time", 0, arrow.PrimitiveTypes.Int32, "[45296]", "12:34:56"},
	} {
		if got := texts(t, columnOf(t, c.typ, 0, c.scale), build(c.wire, c.in)); got != c.want {
			t.Errorf("%s(%d) %s: %s; want %s", c.typ, c.scale, c.in, got, c.want)
		}
	}
	c := columnOf(t, "timestamp_ntz", 0, 9)
	_, err := c.convert(c, build(pair, `[{"epoch": 253402214400, "fraction": 0}, {"epoch": 1, "fraction": 1}]`))
	wantFault(t, err, fault.SourceValue, `column "c"`, `"C"::TIMESTAMP_NTZ(6)`)
}

func Test_any_time_of_Snowflakes_range_arrives_exactly(t *testing.T) {
	c := columnOf(t, "timestamp_ntz", 0, 9)
	first, last := time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	rapid.Check(t, func(rt *rapid.T) {
		s, ns := rapid.Int64Range(-62135596800, 253402300799).Draw(rt, "s"), rapid.Int64Range(0, 999_999_999).Draw(rt, "ns")
		if s < first || s > last {
			ns -= ns % 1000
		}
		st := array.NewStructBuilder(memory.DefaultAllocator, arrow.StructOf(arrow.Field{Name: "epoch", Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: "fraction", Type: arrow.PrimitiveTypes.Int32}))
		st.Append(true)
		st.FieldBuilder(0).(*array.Int64Builder).Append(s)
		st.FieldBuilder(1).(*array.Int32Builder).Append(int32(ns))
		if got, want := texts(t, c, st.NewArray()), row.TimestampValue(s, uint32(ns)).String(); got != want {
			rt.Fatalf("%s; want %s", got, want)
		}
	})
}

func Test_a_DECFLOAT_is_written_out_exactly(t *testing.T) {
	for _, c := range []struct {
		digits   []byte
		exponent int64
		want     string
	}{
		{[]byte{0x7b}, 0, "123"},
		{[]byte{0x7b}, -1, "12.3"},
		{[]byte{0x7b}, -5, "0.00123"},
		{[]byte{0x7b}, 3, "123000"},
		{[]byte{0x85}, -2, "-1.23"},
		{[]byte{0x00, 0xff}, 0, "255"},
		{[]byte{0xff}, 0, "-1"},
		{nil, 5000, "0"},
		{[]byte{0}, -16000, "0"},
	} {
		if got, ok := decfloat(c.digits, c.exponent); !ok || got != c.want {
			t.Errorf("%x times ten to the %d: %s, %t; want %s", c.digits, c.exponent, got, ok, c.want)
		}
	}
	if got, ok := decfloat([]byte{1}, 16000); ok {
		t.Errorf("ten to the 16000 became %d digits", len(got))
	}
}

func Test_what_is_not_known_is_refused_with_a_cast(t *testing.T) {
	for typ, words := range map[string]string{"vector": `"C"::ARRAY`, "interval_day_to_second": `"C"::VARCHAR`, "something new": `"C"::VARCHAR`} {
		_, err := planColumn("c", typ, 0, 0)
		wantFault(t, err, fault.SourceTypeUnsupported, `column "c"`, words)
	}
	list := build(arrow.ListOf(arrow.PrimitiveTypes.Int64), "[[1]]")
	for _, typ := range []string{"fixed", "real", "decfloat", "boolean", "text", "binary", "date", "time", "timestamp_ntz", "timestamp_tz", "variant", "array"} {
		for _, precision := range []int32{18, 38} {
			c := columnOf(t, typ, precision, 0)
			_, err := c.convert(c, list)
			wantFault(t, err, fault.SourceTypeUnsupported, "which is not known for its type", `"C"::VARCHAR`)
		}
	}
}
