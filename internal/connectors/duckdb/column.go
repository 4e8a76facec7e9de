package duckdb

import (
	"math"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// column turns one column's vectors into an Arrow array. Vectors are read as raw memory
// (https://duckdb.org/docs/stable/clients/c/vector): a data array, and a bit mask of valid rows that is absent when all are.
type column struct {
	field arrow.Field
	typ   bindings.Type
	cast  string // SQL that makes DuckDB give text instead, with %s for the column
	text  bool   // data is text with offsets; else fixed width
	add   func(c *column, v vector) error
	dict  []string // enum

	data    []byte
	offsets []int32
	valid   []byte
	nulls   int
}

// vector is n values of one chunk. mask is nil when every value is valid.
type vector struct {
	data unsafe.Pointer
	mask []uint64
	n    int
	at   int // rows already in the column
}

func (v vector) null(i int) bool { return v.mask != nil && v.mask[i>>6]>>(uint(i)&63)&1 == 0 }

// values gives the vector's memory as a slice.
func values[T any](v vector) []T { return unsafe.Slice((*T)(v.data), v.n) }

// newColumn decides how a type is carried.
func newColumn(name string, logical bindings.LogicalType) (*column, error) {
	c := &column{typ: bindings.GetTypeId(logical)}
	is := func(t arrow.DataType, add func(*column, vector) error) {
		c.field = arrow.Field{Name: name, Type: t, Nullable: true}
		c.add = add
		c.text = t.ID() == arrow.STRING || t.ID() == arrow.BINARY
	}
	as := func(k row.Kind, add func(*column, vector) error) {
		is(arrow.BinaryTypes.String, add)
		c.field.Metadata = arrow.NewMetadata([]string{connector.KindKey}, []string{k.String()})
	}
	switch c.typ {
	case bindings.TypeBoolean:
		is(arrow.FixedWidthTypes.Boolean, addBools)
	case bindings.TypeTinyInt:
		is(arrow.PrimitiveTypes.Int8, addFixed(1))
	case bindings.TypeSmallInt:
		is(arrow.PrimitiveTypes.Int16, addFixed(2))
	case bindings.TypeInteger:
		is(arrow.PrimitiveTypes.Int32, addFixed(4))
	case bindings.TypeBigInt:
		is(arrow.PrimitiveTypes.Int64, addFixed(8))
	case bindings.TypeUTinyInt:
		is(arrow.PrimitiveTypes.Uint8, addFixed(1))
	case bindings.TypeUSmallInt:
		is(arrow.PrimitiveTypes.Uint16, addFixed(2))
	case bindings.TypeUInteger:
		is(arrow.PrimitiveTypes.Uint32, addFixed(4))
	case bindings.TypeUBigInt:
		is(arrow.PrimitiveTypes.Uint64, addFixed(8))
	case bindings.TypeFloat:
		is(arrow.PrimitiveTypes.Float32, addFixed(4))
	case bindings.TypeDouble:
		is(arrow.PrimitiveTypes.Float64, addFixed(8))
	case bindings.TypeDecimal:
		is(&arrow.Decimal128Type{Precision: int32(bindings.DecimalWidth(logical)), Scale: int32(bindings.DecimalScale(logical))}, addDecimal(logical))
	case bindings.TypeVarchar:
		if bindings.LogicalTypeGetAlias(logical) == "JSON" {
			as(row.JSON, addTexts)
		} else {
			is(arrow.BinaryTypes.String, addTexts)
		}
	case bindings.TypeBlob:
		is(arrow.BinaryTypes.Binary, addTexts)
	case bindings.TypeDate:
		is(arrow.FixedWidthTypes.Date32, addFinite(int32(math.MaxInt32), "date"))
	case bindings.TypeTime:
		is(arrow.FixedWidthTypes.Time64us, addTime(86_400_000_000))
	case bindings.TypeTimeNS:
		is(arrow.FixedWidthTypes.Time64ns, addTime(86_400_000_000_000))
	case bindings.TypeTimestampS:
		is(&arrow.TimestampType{Unit: arrow.Second}, addFinite(int64(math.MaxInt64), "timestamp"))
	case bindings.TypeTimestampMS:
		is(&arrow.TimestampType{Unit: arrow.Millisecond}, addFinite(int64(math.MaxInt64), "timestamp"))
	case bindings.TypeTimestamp:
		is(&arrow.TimestampType{Unit: arrow.Microsecond}, addFinite(int64(math.MaxInt64), "timestamp"))
	case bindings.TypeTimestampNS:
		is(&arrow.TimestampType{Unit: arrow.Nanosecond}, addFinite(int64(math.MaxInt64), "timestamp"))
	case bindings.TypeTimestampTZ:
		is(&arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, addFinite(int64(math.MaxInt64), "timestamp"))
	case bindings.TypeTimeTZ:
		is(arrow.BinaryTypes.String, addWritten(8, writeTimeTZ))
	case bindings.TypeHugeInt:
		as(row.Decimal, addWritten(16, writeHugeInt))
	case bindings.TypeUHugeInt:
		as(row.Decimal, addWritten(16, writeUHugeInt))
	case bindings.TypeUUID:
		as(row.UUID, addWritten(16, writeUUID))
	case bindings.TypeInterval:
		as(row.Interval, addWritten(16, writeInterval))
	case bindings.TypeEnum:
		is(arrow.BinaryTypes.String, addEnum(logical))
		c.dict = dictionary(logical)
	case bindings.TypeSQLNull:
		is(arrow.BinaryTypes.String, addNulls)
	case bindings.TypeBigNum:
		as(row.Decimal, addTexts)
		c.cast = "CAST(%s AS VARCHAR)"
	case bindings.TypeBit, bindings.TypeGeometry:
		is(arrow.BinaryTypes.String, addTexts)
		c.cast = "CAST(%s AS VARCHAR)"
	case bindings.TypeList, bindings.TypeArray:
		as(row.Array, addJSON(logical))
		c.cast = "to_json(%s)"
	case bindings.TypeStruct, bindings.TypeMap, bindings.TypeUnion, bindings.TypeVariant:
		as(row.JSON, addJSON(logical))
		c.cast = "to_json(%s)"
	default:
		return nil, fault.New(fault.SourceTypeUnsupported, "planning the query: column %q has a type DuckDB gives no values for", name).
			WithFix("Cast it in the model: CAST(%s AS VARCHAR).", dialect.Ident(name))
	}
	return c, nil
}

// unsupported ends the read at a value that cannot be carried exactly.
func (c *column) unsupported(value, expr string) error {
	return fault.New(fault.SourceValue, "reading column %q: %s has no counterpart", c.field.Name, value).
		WithFix("Write it in the model as %s.", expr)
}

// take appends a vector of n values behind the at rows the column has.
func (c *column) take(v bindings.Vector, at, n int) error {
	vec := vector{data: bindings.VectorGetData(v), n: n, at: at}
	before := c.nulls
	if mask := bindings.VectorGetValidity(v); mask != nil {
		words := unsafe.Slice((*uint64)(mask), (n+63)/64)
		bytes := unsafe.Slice((*byte)(mask), len(words)*8)
		if set := bitutil.CountSetBits(bytes, 0, n); set < n {
			vec.mask = words
			c.nulls += n - set
			c.markValid(before, at, n)
			bitutil.CopyBitmap(bytes, 0, n, c.valid, at)
		}
	}
	if vec.mask == nil && c.nulls > 0 {
		c.markValid(before, at, n)
		bitutil.SetBitsTo(c.valid, int64(at), int64(n), true)
	}
	return c.add(c, vec)
}

// markValid makes room for n more bits; the first null of a batch marks all rows before it valid.
func (c *column) markValid(nullsBefore, at, n int) {
	c.valid = growTo(c.valid, (at+n+7)/8)
	if nullsBefore == 0 {
		bitutil.SetBitsTo(c.valid, 0, int64(at), true)
	}
}

// array makes the Arrow array of the column's n rows; it borrows the column's memory.
func (c *column) array(n int) arrow.Array {
	var valid *memory.Buffer
	if c.nulls > 0 {
		valid = memory.NewBufferBytes(c.valid)
	}
	buffers := []*memory.Buffer{valid, memory.NewBufferBytes(c.data)}
	if c.text {
		buffers = []*memory.Buffer{valid, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.offsets)), memory.NewBufferBytes(c.data)}
	}
	data := array.NewData(c.field.Type, n, buffers, nil, c.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func (c *column) reset() {
	c.data, c.offsets, c.valid, c.nulls = c.data[:0], c.offsets[:0], c.valid[:0], 0
}

// growTo makes b at least n bytes long, keeping its content. New bytes hold anything.
func growTo(b []byte, n int) []byte {
	if n <= len(b) {
		return b
	}
	if n > cap(b) {
		bigger := make([]byte, len(b), max(n, 2*cap(b)))
		copy(bigger, b)
		b = bigger
	}
	return b[:n]
}
