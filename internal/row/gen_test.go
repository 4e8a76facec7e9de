package row

import (
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"pgregory.net/rapid"
)

// physical lists the Arrow types that may carry a kind.
var physical = map[Kind][]arrow.DataType{
	Bool:      {arrow.FixedWidthTypes.Boolean},
	Int:       {arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Uint64, arrow.PrimitiveTypes.Float64, &arrow.Decimal128Type{Precision: 38, Scale: 4}, &arrow.Decimal256Type{Precision: 76, Scale: 9}},
	Uint:      {arrow.PrimitiveTypes.Uint64, &arrow.Decimal128Type{Precision: 38, Scale: 0}, &arrow.Decimal128Type{Precision: 38, Scale: 3}},
	Float:     {arrow.PrimitiveTypes.Float64, arrow.PrimitiveTypes.Float32},
	Decimal:   {&arrow.Decimal128Type{Precision: 12, Scale: 2}, &arrow.Decimal128Type{Precision: 38, Scale: 19}, &arrow.Decimal128Type{Precision: 38, Scale: 0}, &arrow.Decimal256Type{Precision: 76, Scale: 30}, arrow.BinaryTypes.String},
	Text:      {arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString},
	Bytes:     {arrow.BinaryTypes.Binary},
	Date:      {arrow.FixedWidthTypes.Date32},
	Time:      {arrow.FixedWidthTypes.Time64ns, arrow.FixedWidthTypes.Time64us, arrow.FixedWidthTypes.Time32ms, arrow.FixedWidthTypes.Time32s},
	Timestamp: {&arrow.TimestampType{Unit: arrow.Second}, &arrow.TimestampType{Unit: arrow.Millisecond}, &arrow.TimestampType{Unit: arrow.Microsecond}, &arrow.TimestampType{Unit: arrow.Nanosecond}},
	Instant:   {&arrow.TimestampType{Unit: arrow.Second, TimeZone: "UTC"}, &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}},
	Interval:  {arrow.BinaryTypes.String},
	UUID:      {arrow.BinaryTypes.String},
	JSON:      {arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString},
	Array:     {arrow.BinaryTypes.String},
}

func fieldFor(name string, k Kind, t arrow.DataType) arrow.Field {
	f := arrow.Field{Name: name, Type: t, Nullable: true}
	if k.TextBacked() && k != Text && isText(t) {
		f.Metadata = arrow.NewMetadata([]string{KindKey}, []string{k.String()})
	}
	return f
}

var valueKinds = []Kind{Bool, Int, Uint, Float, Decimal, Text, Bytes, Date, Time, Timestamp, Instant, Interval, UUID, JSON, Array}

func genInt(t *rapid.T) int64 {
	return rapid.OneOf(rapid.Int64Range(-300, 300), rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, math.MaxUint32, 1 << 53, 1<<53 + 1, 999_999_999_999_999_999, 1_000_000_000_000_000_000})).Draw(t, "int")
}

func genDecimal(t *rapid.T) string {
	digits := rapid.StringMatching(`[0-9]{1,30}`).Draw(t, "digits")
	frac := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`\.0{1,3}`), rapid.StringMatching(`\.[0-9]{1,25}`), rapid.StringMatching(`\.[0-9]{2}`)).Draw(t, "fraction")
	if rapid.Bool().Draw(t, "short") {
		digits = digits[:min(len(digits), 4)]
	}
	return rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign") + digits + frac
}

func genValue(t *rapid.T, k Kind) Value {
	switch k {
	case Absent, Null:
		return Value{kind: k}
	case Bool:
		return BoolValue(rapid.Bool().Draw(t, "bool"))
	case Int:
		return IntValue(genInt(t))
	case Uint:
		return UintValue(rapid.Uint64Min(math.MaxInt64+1).Draw(t, "uint"))
	case Float:
		return FloatValue(rapid.OneOf(rapid.Float64(), rapid.Custom(func(t *rapid.T) float64 { return widen(rapid.Float32().Draw(t, "f32")) }),
			rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1 << 63, 1 << 64, 1e20, 1e300, -1 << 63, 0.1, math.NaN(), math.Inf(1), math.Inf(-1)}),
			rapid.Custom(func(t *rapid.T) float64 { return float64(genInt(t)) })).Draw(t, "float"))
	case Decimal:
		return DecimalValue(genDecimal(t))
	case Text:
		return TextValue(rapid.OneOf(rapid.String(), rapid.Custom(genDecimal), rapid.StringN(200, 400, -1)).Draw(t, "text"))
	case Bytes:
		return BytesValue(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case Date:
		return DateValue(rapid.Int64Range(-1_000_000, 4_000_000).Draw(t, "days"))
	case Time:
		return TimeValue(rapid.OneOf(rapid.Int64Range(0, 86_400e9), rapid.Map(rapid.Int64Range(0, 86_400), func(s int64) int64 { return s * 1e9 })).Draw(t, "nanos"))
	case Timestamp, Instant:
		nanos := rapid.SampledFrom([]uint32{0, 0, 500_000_000, 123_000, 999_999_999, 1}).Draw(t, "nanos")
		sec := rapid.OneOf(rapid.Int64Range(-1e11, 1e11), rapid.Int64Range(-9e9, 9e9)).Draw(t, "sec")
		return Value{kind: k, num: uint64(sec), nanos: nanos}
	case Interval:
		return StringKind(k, "P"+strconv.Itoa(rapid.IntRange(0, 99).Draw(t, "days"))+"D")
	case UUID:
		return StringKind(k, rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`).Draw(t, "uuid"))
	case JSON:
		return StringKind(k, `{"a":`+strings.TrimLeft(genDecimal(t), "0")+`}`)
	case Array:
		return StringKind(k, `["`+rapid.StringMatching(`[a-z]{0,9}`).Draw(t, "item")+`"]`)
	}
	panic(k)
}

func genAny(t *rapid.T) Value {
	return genValue(t, rapid.SampledFrom(append([]Kind{Absent, Null}, valueKinds...)).Draw(t, "kind"))
}
