package row

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/upwelldata/upwell/internal/fault"
)

// KindKey is the Arrow field metadata key that names the kind of a text column whose values Arrow has no exact type for.
const KindKey = "upwell.kind"

// KindOf gives the kind of an Arrow column: from the metadata key upwell.kind on a text column, else from the Arrow type. A type
// that cannot be carried is SOURCE_TYPE_UNSUPPORTED naming the column.
func KindOf(field arrow.Field) (Kind, error) {
	t := field.Type
	if d, ok := t.(*arrow.DictionaryType); ok {
		t = d.ValueType
	}
	if name, ok := field.Metadata.GetValue(KindKey); ok {
		k, known := ParseKind(name)
		if !known || !k.TextBacked() || !isText(t) {
			return Absent, fault.New(fault.SourceTypeUnsupported, "column %q: Arrow type %s cannot hold kind %q", field.Name, t, name)
		}
		return k, nil
	}
	if k := kindOfType(t); k != Absent {
		return k, nil
	}
	return Absent, fault.New(fault.SourceTypeUnsupported, "column %q has type %s, which cannot be carried", field.Name, field.Type).
		WithFix("cast the column in the model's SQL, for instance to text or JSON")
}

// FieldOf gives the Arrow column in which a simple source carries a kind exactly: decimals and the kinds Arrow does not know as
// text with metadata, times in the finest unit that cannot overflow for them.
func FieldOf(name string, k Kind) arrow.Field {
	f := arrow.Field{Name: name, Nullable: true}
	switch k {
	case Null, Absent:
		f.Type = arrow.Null
	case Bool:
		f.Type = arrow.FixedWidthTypes.Boolean
	case Int:
		f.Type = arrow.PrimitiveTypes.Int64
	case Uint:
		f.Type = arrow.PrimitiveTypes.Uint64
	case Float:
		f.Type = arrow.PrimitiveTypes.Float64
	case Text:
		f.Type = arrow.BinaryTypes.String
	case Bytes:
		f.Type = arrow.BinaryTypes.Binary
	case Date:
		f.Type = arrow.FixedWidthTypes.Date32
	case Time:
		f.Type = arrow.FixedWidthTypes.Time64ns
	case Timestamp:
		f.Type = &arrow.TimestampType{Unit: arrow.Microsecond}
	case Instant:
		f.Type = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	case Decimal, Interval, UUID, JSON, Array:
		f.Type = arrow.BinaryTypes.String
		f.Metadata = arrow.NewMetadata([]string{KindKey}, []string{k.String()})
	}
	return f
}

// TypeKey is the Arrow field metadata key for the source's own name of a column's type, where one kind has several.
const TypeKey = "upwell.type"

// TypedField is FieldOf for a column whose type in the source has a name of its own.
func TypedField(name string, k Kind, typ string) arrow.Field {
	f := FieldOf(name, k)
	keys, values := append([]string{TypeKey}, f.Metadata.Keys()...), append([]string{typ}, f.Metadata.Values()...)
	f.Metadata = arrow.NewMetadata(keys, values)
	return f
}

// At boxes one cell, exactly; kind is the column's KindOf. The value owns its text. A cell of a type KindOf refuses panics.
func At(arr arrow.Array, kind Kind, i int) Value {
	var s Scratch
	v := s.At(arr, kind, i)
	v.str = strings.Clone(v.str)
	return v
}

// Scratch boxes cells without allocating: texts alias the Arrow memory, or the scratch where Arrow holds another form. Values
// are valid until Reset and while the Arrow array lives.
type Scratch struct{ b []byte }

// Reset makes the memory free for other values.
func (s *Scratch) Reset() { s.b = s.b[:0] }

// Text appends what write writes to the scratch and gives it as a value of a text-backed kind.
func (s *Scratch) Text(k Kind, write func([]byte) []byte) Value {
	from := len(s.b)
	s.b = write(s.b)
	return s.taken(k, from)
}

func (s *Scratch) taken(k Kind, from int) Value {
	if len(s.b) == from {
		return Value{kind: k}
	}
	return Value{kind: k, str: unsafe.String(&s.b[from], len(s.b)-from)} //nolint:gosec // aliasing is this type's promise
}

// At boxes one cell; see Scratch.
func (s *Scratch) At(arr arrow.Array, kind Kind, i int) Value {
	if arr.IsNull(i) {
		return NullValue()
	}
	switch a := arr.(type) {
	case *array.Int64:
		return IntValue(a.Value(i))
	case *array.String:
		return Value{kind: kind, str: a.Value(i)}
	case *array.Float64:
		return FloatValue(a.Value(i))
	case *array.Int32:
		return IntValue(int64(a.Value(i)))
	case *array.Boolean:
		return BoolValue(a.Value(i))
	case *array.Decimal128:
		from := len(s.b)
		n := a.Value(i)
		s.b = appendDecimal128(s.b, n.HighBits(), n.LowBits(), a.DataType().(*arrow.Decimal128Type).Scale)
		return s.taken(Decimal, from)
	case *array.Timestamp:
		t := a.DataType().(*arrow.TimestampType)
		sec, nanos := splitTime(int64(a.Value(i)), t.Unit)
		return Value{kind: kind, num: uint64(sec), nanos: nanos}
	case *array.Date32:
		return DateValue(int64(a.Value(i)))
	}
	return s.rare(arr, kind, i)
}

func (s *Scratch) rare(arr arrow.Array, kind Kind, i int) Value {
	switch a := arr.(type) {
	case *array.Null:
		return NullValue()
	case *array.Int8:
		return IntValue(int64(a.Value(i)))
	case *array.Int16:
		return IntValue(int64(a.Value(i)))
	case *array.Uint8:
		return IntValue(int64(a.Value(i)))
	case *array.Uint16:
		return IntValue(int64(a.Value(i)))
	case *array.Uint32:
		return IntValue(int64(a.Value(i)))
	case *array.Uint64:
		return UintValue(a.Value(i))
	case *array.Float32:
		return FloatValue(widen(a.Value(i)))
	case *array.Float16:
		return FloatValue(float64(a.Value(i).Float32()))
	case *array.LargeString:
		return Value{kind: kind, str: a.Value(i)}
	case *array.StringView:
		return Value{kind: kind, str: a.Value(i)}
	case *array.Binary:
		return Value{kind: kind, str: alias(a.Value(i))}
	case *array.LargeBinary:
		return Value{kind: kind, str: alias(a.Value(i))}
	case *array.BinaryView:
		return Value{kind: kind, str: alias(a.Value(i))}
	case *array.FixedSizeBinary:
		if kind == UUID {
			return s.Text(kind, func(b []byte) []byte { return appendUUID(b, a.Value(i)) })
		}
		return Value{kind: kind, str: alias(a.Value(i))}
	case *array.Date64:
		days, _ := floorDiv(int64(a.Value(i)), 86_400_000)
		return DateValue(days)
	case *array.Time32:
		return TimeValue(int64(a.Value(i)) * int64(a.DataType().(*arrow.Time32Type).Unit.Multiplier()))
	case *array.Time64:
		return TimeValue(int64(a.Value(i)) * int64(a.DataType().(*arrow.Time64Type).Unit.Multiplier()))
	case *array.Decimal32:
		return s.smallDecimal(int64(a.Value(i)), a.DataType().(*arrow.Decimal32Type).Scale)
	case *array.Decimal64:
		return s.smallDecimal(int64(a.Value(i)), a.DataType().(*arrow.Decimal64Type).Scale)
	case *array.Decimal256:
		digits := a.Value(i).BigInt().Append(nil, 10)
		return s.Text(Decimal, func(b []byte) []byte {
			return appendScaled(b, digits, a.DataType().(*arrow.Decimal256Type).Scale)
		})
	case *array.MonthInterval:
		return s.Text(kind, func(b []byte) []byte { return appendInterval(b, int64(a.Value(i)), 0, 0, 0) })
	case *array.DayTimeInterval:
		v := a.Value(i)
		sec, ms := v.Milliseconds/1000, v.Milliseconds%1000
		return s.Text(kind, func(b []byte) []byte { return appendInterval(b, 0, int64(v.Days), int64(sec), int64(ms)*1e6) })
	case *array.MonthDayNanoInterval:
		v := a.Value(i)
		return s.Text(kind, func(b []byte) []byte {
			return appendInterval(b, int64(v.Months), int64(v.Days), v.Nanoseconds/1e9, v.Nanoseconds%1e9)
		})
	case *array.Duration:
		n, mult := int64(a.Value(i)), int64(a.DataType().(*arrow.DurationType).Unit.Multiplier())
		per := int64(1e9) / mult
		return s.Text(kind, func(b []byte) []byte { return appendInterval(b, 0, 0, n/per, n%per*mult) })
	case *array.Dictionary:
		return s.At(a.Dictionary(), kind, a.GetValueIndex(i))
	case array.ExtensionArray:
		return s.At(a.Storage(), kind, i)
	}
	panic("row: cell of unsupported type " + arr.DataType().String())
}

func (s *Scratch) smallDecimal(n int64, scale int32) Value {
	return s.Text(Decimal, func(b []byte) []byte { return appendDecimal128(b, n>>63, uint64(n), scale) })
}

func alias(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b)) //nolint:gosec // aliasing is Scratch's promise
}

// TextBacked reports whether values of the kind hold text (or bytes).
func (k Kind) TextBacked() bool {
	switch k {
	case Decimal, Text, Bytes, Interval, UUID, JSON, Array:
		return true
	case Absent, Null, Bool, Int, Uint, Float, Date, Time, Timestamp, Instant:
	}
	return false
}

func isText(t arrow.DataType) bool {
	switch t.ID() { //nolint:exhaustive // the text types
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return true
	}
	return false
}

func kindOfType(t arrow.DataType) Kind {
	switch t.ID() { //nolint:exhaustive // the rest cannot be carried
	case arrow.NULL:
		return Null
	case arrow.BOOL:
		return Bool
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32:
		return Int
	case arrow.UINT64:
		return Uint
	case arrow.FLOAT16, arrow.FLOAT32, arrow.FLOAT64:
		return Float
	case arrow.DECIMAL32, arrow.DECIMAL64, arrow.DECIMAL128, arrow.DECIMAL256:
		return Decimal
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return Text
	case arrow.BINARY, arrow.LARGE_BINARY, arrow.BINARY_VIEW, arrow.FIXED_SIZE_BINARY:
		return Bytes
	case arrow.DATE32, arrow.DATE64:
		return Date
	case arrow.TIME32, arrow.TIME64:
		return Time
	case arrow.TIMESTAMP:
		if t.(*arrow.TimestampType).TimeZone == "" {
			return Timestamp
		}
		return Instant
	case arrow.INTERVAL_MONTHS, arrow.INTERVAL_DAY_TIME, arrow.INTERVAL_MONTH_DAY_NANO, arrow.DURATION:
		return Interval
	case arrow.EXTENSION:
		ext := t.(arrow.ExtensionType)
		switch ext.ExtensionName() {
		case "arrow.uuid":
			return UUID
		case "arrow.json":
			return JSON
		}
	}
	return Absent
}

// widen gives a float32 as the float64 with the same shortest decimal text, so that 0.1 stays 0.1.
func widen(f float32) float64 {
	d := float64(f)
	if d == math.Trunc(d) || math.IsNaN(d) {
		return d
	}
	var buf [32]byte
	d, _ = strconv.ParseFloat(string(strconv.AppendFloat(buf[:0], d, 'g', -1, 32)), 64) //nolint:errcheck // its own text
	return d
}

func floorDiv(a, b int64) (q, r int64) {
	q, r = a/b, a%b
	if r < 0 {
		q, r = q-1, r+b
	}
	return q, r
}

func splitTime(v int64, unit arrow.TimeUnit) (sec int64, nanos uint32) {
	switch unit {
	case arrow.Second:
		return v, 0
	case arrow.Millisecond:
		q, r := floorDiv(v, 1e3)
		return q, uint32(r * 1e6)
	case arrow.Microsecond:
		q, r := floorDiv(v, 1e6)
		return q, uint32(r * 1e3)
	case arrow.Nanosecond:
		q, r := floorDiv(v, 1e9)
		return q, uint32(r)
	}
	panic("row: unknown time unit")
}

func appendUUID(b, u []byte) []byte {
	for i, from := range [...]int{0, 4, 6, 8, 10} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, u[from:[...]int{4, 6, 8, 10, 16}[i]])
	}
	return b
}
