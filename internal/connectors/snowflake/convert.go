package snowflake

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/fault"
)

// convert turns a batch of the wire into one of the columns' types. What needs no change is not copied.
func (f *fetch) convert(wire arrow.RecordBatch) (arrow.RecordBatch, error) {
	if int(wire.NumCols()) != len(f.columns) {
		return nil, f.source.incomplete("a batch has %d columns, the answer %d", wire.NumCols(), len(f.columns))
	}
	schema := f.schema
	out := make([]arrow.Array, len(f.columns))
	defer func() {
		for _, a := range out {
			if a != nil {
				a.Release()
			}
		}
	}()
	for i := range f.columns {
		c := &f.columns[i]
		a, err := c.convert(c, wire.Column(i))
		if err != nil {
			return nil, err
		}
		out[i] = a
		if !arrow.TypeEqual(a.DataType(), c.field.Type) { // times too far away for nanoseconds: see toTimestamp
			fields := schema.Fields()
			fields[i].Type = a.DataType()
			schema = arrow.NewSchema(fields, nil)
		}
	}
	return array.NewRecordBatch(schema, out, wire.NumRows()), nil
}

// odd is the fault of a column whose form on the wire is not one of those its type is known to have.
func (c *column) odd(a arrow.Array) error {
	return fault.New(fault.SourceTypeUnsupported, "reading column %q: Snowflake sent it as %s, which is not known for its type", c.field.Name, a.DataType()).
		WithFix("Cast it in the model: %s::VARCHAR AS %s.", dialect.Ident(c.field.Name), dialect.Ident(c.field.Name))
}

// refuse ends the read at a value that cannot be carried exactly.
func (c *column) refuse(value, cast string) error {
	return fault.New(fault.SourceValue, "reading column %q: %s has no exact counterpart", c.field.Name, value).
		WithFix("Write it in the model as %s.", cast)
}

// ident is the column as SQL.
func (c *column) ident() string { return dialect.Ident(c.field.Name) }

// same takes an array that has the column's type already.
func same(c *column, a arrow.Array) (arrow.Array, error) {
	if !arrow.TypeEqual(a.DataType(), c.field.Type) {
		return nil, c.odd(a)
	}
	a.Retain()
	return a, nil
}

// integers gives the value function of a column of whole numbers, nil when it is none.
func integers(a arrow.Array) func(int) int64 {
	switch a := a.(type) {
	case *array.Int8:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int16:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int32:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int64:
		return a.Value
	}
	return nil
}

// built makes an array of values and of a's nulls.
func built(t arrow.DataType, a arrow.Array, values []byte) arrow.Array {
	n := a.Len()
	var valid *memory.Buffer
	if a.NullN() > 0 {
		bits := a.NullBitmapBytes()
		if off := a.Data().Offset(); off != 0 {
			moved := make([]byte, bitutil.BytesForBits(int64(n)))
			bitutil.CopyBitmap(bits, off, n, moved, 0)
			bits = moved
		}
		valid = memory.NewBufferBytes(bits)
	}
	data := array.NewData(t, n, []*memory.Buffer{valid, memory.NewBufferBytes(values)}, nil, a.NullN(), 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// toInt64 is for NUMBER(p, 0) with at most 18 digits.
func toInt64(c *column, a arrow.Array) (arrow.Array, error) {
	if a.DataType().ID() == arrow.INT64 {
		return same(c, a)
	}
	values := make([]int64, a.Len())
	if of := integers(a); of != nil {
		for i := range values {
			values[i] = of(i)
		}
	} else if d, ok := a.(*array.Decimal128); ok {
		for i := range values {
			n := d.Value(i)
			if values[i] = int64(n.LowBits()); n.HighBits() != values[i]>>63 && d.IsValid(i) {
				return nil, c.odd(a)
			}
		}
	} else {
		return nil, c.odd(a)
	}
	return built(c.field.Type, a, arrow.Int64Traits.CastToBytes(values)), nil
}

// toDecimal is for other NUMBERs: whole numbers on the wire, to be read with the column's scale.
func toDecimal(c *column, a arrow.Array) (arrow.Array, error) {
	if d, ok := a.(*array.Decimal128); ok { // its type may say another precision, or no scale
		data := array.NewData(c.field.Type, d.Len(), d.Data().Buffers(), nil, d.NullN(), d.Data().Offset())
		defer data.Release()
		return array.MakeFromData(data), nil
	}
	of := integers(a)
	if of == nil {
		return nil, c.odd(a)
	}
	values := make([][2]int64, a.Len()) // low word, then high word
	for i := range values {
		n := of(i)
		values[i] = [2]int64{n, n >> 63}
	}
	return built(c.field.Type, a, raw(values)), nil
}

// raw gives the bytes of two-word values.
func raw(v [][2]int64) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*16) //nolint:gosec // the layout of decimal128 in Arrow
}

func pow10(n int32) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// toTime is for TIME(s): units of 10^-s seconds since midnight.
func toTime(c *column, a arrow.Array) (arrow.Array, error) {
	of := integers(a)
	if of == nil || c.scale < 0 || c.scale > 9 {
		return nil, c.odd(a)
	}
	mult := pow10(9 - c.scale)
	values := make([]int64, a.Len())
	for i := range values {
		values[i] = of(i) * mult
	}
	return built(c.field.Type, a, arrow.Int64Traits.CastToBytes(values)), nil
}

// instants gives seconds and nanoseconds of each value of a timestamp column, in any of the forms the driver knows: units of
// 10^-s seconds; a struct of seconds and nanoseconds; either of them beside the zone's offset, which an instant does not need.
func (c *column) instants(a arrow.Array) func(int) (int64, int64) {
	st, isStruct := a.(*array.Struct)
	parts := 1
	if isStruct {
		parts = st.NumField()
		if c.offset {
			parts--
		}
	}
	switch {
	case isStruct && parts == 2:
		seconds, fraction := integers(st.Field(0)), integers(st.Field(1))
		if seconds == nil || fraction == nil {
			return nil
		}
		return func(i int) (int64, int64) { return seconds(i), fraction(i) }
	case isStruct && parts == 1:
		a = st.Field(0)
	case isStruct, c.offset:
		return nil
	}
	of := integers(a)
	if of == nil || c.scale < 0 || c.scale > 9 {
		return nil
	}
	per, mult := pow10(c.scale), pow10(9-c.scale)
	return func(i int) (int64, int64) {
		v := of(i)
		s, f := v/per, v%per
		if f < 0 {
			s, f = s-1, f+per
		}
		return s, f * mult
	}
}

// Seconds that nanoseconds in 64 bits can tell.
const (
	firstNano = math.MinInt64/1_000_000_000 + 1
	lastNano  = math.MaxInt64/1_000_000_000 - 1
)

// toTimestamp is for all timestamps. Columns of more than six decimals are given in nanoseconds, which end in the year 2262: a
// batch with a time beyond (a "valid until" of 9999-12-31) is given in microseconds, if none of its times needs more.
func toTimestamp(c *column, a arrow.Array) (arrow.Array, error) {
	of := c.instants(a)
	if of == nil {
		return nil, c.odd(a)
	}
	declared := c.field.Type.(*arrow.TimestampType)
	t := &arrow.TimestampType{Unit: declared.Unit, TimeZone: declared.TimeZone}
	values := make([]int64, a.Len())
	far, fine := false, -1
	for i := range values {
		if a.IsNull(i) {
			continue
		}
		s, ns := of(i)
		if s < firstNano || s > lastNano {
			far = true
		}
		if ns%1000 != 0 {
			fine = i
		}
		if values[i] = s*1_000_000 + ns/1000; t.Unit == arrow.Nanosecond {
			values[i] = s*1_000_000_000 + ns
		}
	}
	switch {
	case far && fine >= 0 && t.Unit == arrow.Nanosecond:
		return nil, c.refuse("a time outside of the years 1678 to 2262 beside one with nanoseconds", c.ident()+"::"+c.typeName()+"(6)")
	case far && t.Unit == arrow.Nanosecond:
		t.Unit = arrow.Microsecond
		for i := range values {
			if a.IsValid(i) {
				s, ns := of(i)
				values[i] = s*1_000_000 + ns/1000
			}
		}
	}
	return built(t, a, arrow.Int64Traits.CastToBytes(values)), nil
}

func (c *column) typeName() string {
	if c.field.Type.(*arrow.TimestampType).TimeZone == "" {
		return "TIMESTAMP_NTZ"
	}
	return "TIMESTAMP_LTZ"
}

// notJSON are words Snowflake writes into semi-structured values and JSON does not know
// (https://docs.snowflake.com/en/user-guide/semistructured-considerations).
var notJSON = [][]byte{[]byte("undefined"), []byte("NaN"), []byte("nf")}

// fromJSON is for semi-structured values, which are text on the wire.
func fromJSON(c *column, a arrow.Array) (arrow.Array, error) {
	text, ok := a.(*array.String)
	if !ok {
		return nil, c.odd(a)
	}
	suspect := false
	for _, w := range notJSON {
		suspect = suspect || bytes.Contains(text.ValueBytes(), w)
	}
	for i := 0; suspect && i < text.Len(); i++ {
		if v := text.Value(i); text.IsValid(i) && !json.Valid(unsafe.Slice(unsafe.StringData(v), len(v))) { //nolint:gosec // it is only read
			return nil, c.refuse("undefined, NaN or infinity inside a semi-structured value", "TO_JSON("+c.ident()+")")
		}
	}
	text.Retain()
	return text, nil
}

// fromDecfloat is for DECFLOAT: a struct of a decimal exponent and a big-endian two's complement.
func fromDecfloat(c *column, a arrow.Array) (arrow.Array, error) {
	st, ok := a.(*array.Struct)
	if !ok || st.NumField() != 2 {
		return nil, c.odd(a)
	}
	exponent := integers(st.Field(0))
	digits, ok := st.Field(1).(*array.Binary)
	if exponent == nil || !ok {
		return nil, c.odd(a)
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range st.Len() {
		if st.IsNull(i) {
			b.AppendNull()
			continue
		}
		text, ok := decfloat(digits.Value(i), exponent(i))
		if !ok {
			return nil, c.refuse("a DECFLOAT of more than 1,000 digits", c.ident()+"::VARCHAR")
		}
		b.Append(text)
	}
	return b.NewArray(), nil
}

// decfloat writes digits times ten to the exponent without an exponent.
func decfloat(be []byte, exponent int64) (string, bool) {
	n := new(big.Int).SetBytes(be)
	if len(be) > 0 && be[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(be))*8))
	}
	switch {
	case n.Sign() == 0:
		return "0", true
	case exponent > 1000 || exponent < -1000:
		return "", false
	case exponent >= 0:
		return n.Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(exponent), nil)).String(), true
	}
	sign, text := "", new(big.Int).Abs(n).String()
	if n.Sign() < 0 {
		sign = "-"
	}
	places := int(-exponent)
	for len(text) <= places {
		text = "0" + text
	}
	return sign + text[:len(text)-places] + "." + text[len(text)-places:], true
}

// decimals gives a decimal text's digits behind the point, and all its digits.
func decimals(text string) (scale int32, digits int) {
	whole, behind, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	return int32(len(behind)), len(whole) + len(behind)
}
