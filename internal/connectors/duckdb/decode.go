package duckdb

import (
	"encoding/json"
	"math"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/bitutil"
	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/upwelldata/upwell/internal/fault"
)

// addFixed copies values whose memory is the same in DuckDB and Arrow.
func addFixed(width int) func(*column, vector) error {
	return func(c *column, v vector) error {
		c.data = append(c.data, unsafe.Slice((*byte)(v.data), v.n*width)...)
		return nil
	}
}

// addFinite is addFixed for dates and timestamps; infinity (the largest number, and its negative) is refused.
func addFinite[T int32 | int64](infinity T, cast string) func(*column, vector) error {
	plain := addFixed(int(unsafe.Sizeof(infinity)))
	return func(c *column, v vector) error {
		for i, x := range values[T](v) {
			if (x == infinity || x == -infinity) && !v.null(i) {
				return c.unsupported("an infinite "+cast, "CASE WHEN isfinite("+dialect.Ident(c.field.Name)+") THEN "+dialect.Ident(c.field.Name)+" END")
			}
		}
		return plain(c, v)
	}
}

// addTime is addFixed for times of day; 24:00:00 is refused.
func addTime(day int64) func(*column, vector) error {
	plain := addFixed(8)
	return func(c *column, v vector) error {
		for i, x := range values[int64](v) {
			if x >= day && !v.null(i) {
				return c.unsupported("the time 24:00:00", "CAST("+dialect.Ident(c.field.Name)+" AS VARCHAR)")
			}
		}
		return plain(c, v)
	}
}

func addBools(c *column, v vector) error {
	c.data = growTo(c.data, (v.at+v.n+7)/8)
	for i, b := range values[byte](v) {
		bitutil.SetBitTo(c.data, v.at+i, b != 0)
	}
	return nil
}

// addDecimal widens a decimal's storage (16, 32, 64 or 128 bits by its precision) to Arrow's 128 bits.
func addDecimal(logical bindings.LogicalType) func(*column, vector) error {
	switch bindings.DecimalInternalType(logical) {
	case bindings.TypeSmallInt:
		return widen[int16]
	case bindings.TypeInteger:
		return widen[int32]
	case bindings.TypeBigInt:
		return widen[int64]
	default:
		return addFixed(16) // low word, then high word, as in Arrow
	}
}

func widen[T int16 | int32 | int64](c *column, v vector) error {
	old := len(c.data)
	c.data = growTo(c.data, old+16*v.n)
	out := unsafe.Slice((*[2]int64)(unsafe.Pointer(&c.data[old])), v.n)
	for i, x := range values[T](v) {
		out[i] = [2]int64{int64(x), int64(x) >> 63}
	}
	return nil
}

// stringT is DuckDB's text: up to 12 bytes inside, longer ones behind a pointer after 4 bytes of prefix
// (duckdb_string_t in duckdb.h).
type stringT struct {
	length uint32
	inline [12]byte
}

func (s *stringT) bytes() []byte {
	if s.length <= 12 {
		return s.inline[:s.length]
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&s.inline[4])), s.length)
}

func (c *column) beginText() {
	if len(c.offsets) == 0 {
		c.offsets = append(c.offsets, 0)
	}
}

func (c *column) endText() error {
	if len(c.data) > math.MaxInt32 {
		return fault.New(fault.SourceValue, "reading column %q: more than 2 GiB of text in %d rows", c.field.Name, bindings.VectorSize()).
			WithFix("Leave the column out of the model, or shorten it.")
	}
	return nil
}

func addTexts(c *column, v vector) error {
	c.beginText()
	data, offsets := c.data, c.offsets
	vals := values[stringT](v)
	for i := range vals {
		if v.mask == nil || !v.null(i) {
			data = append(data, vals[i].bytes()...)
		}
		offsets = append(offsets, int32(len(data)))
	}
	c.data, c.offsets = data, offsets
	return c.endText()
}

// addJSON is addTexts for values DuckDB wrote as JSON. It writes NaN and infinities bare, which is not JSON.
func addJSON(logical bindings.LogicalType) func(*column, vector) error {
	if !holdsFloat(logical) {
		return addTexts
	}
	return func(c *column, v vector) error {
		vals := values[stringT](v)
		for i := range vals {
			if !v.null(i) && !json.Valid(vals[i].bytes()) {
				return c.unsupported("NaN or infinity inside a nested value", "CAST("+dialect.Ident(c.field.Name)+" AS VARCHAR)")
			}
		}
		return addTexts(c, v)
	}
}

func holdsFloat(t bindings.LogicalType) bool {
	child := func(get func(bindings.LogicalType) bindings.LogicalType) bool {
		sub := get(t)
		defer bindings.DestroyLogicalType(&sub)
		return holdsFloat(sub)
	}
	switch bindings.GetTypeId(t) {
	case bindings.TypeFloat, bindings.TypeDouble, bindings.TypeVariant:
		return true
	case bindings.TypeList:
		return child(bindings.ListTypeChildType)
	case bindings.TypeArray:
		return child(bindings.ArrayTypeChildType)
	case bindings.TypeMap:
		return child(bindings.MapTypeKeyType) || child(bindings.MapTypeValueType)
	case bindings.TypeStruct:
		for i := range bindings.StructTypeChildCount(t) {
			if child(func(t bindings.LogicalType) bindings.LogicalType { return bindings.StructTypeChildType(t, i) }) {
				return true
			}
		}
	case bindings.TypeUnion:
		for i := range bindings.UnionTypeMemberCount(t) {
			if child(func(t bindings.LogicalType) bindings.LogicalType { return bindings.UnionTypeMemberType(t, i) }) {
				return true
			}
		}
	default: // holds none
	}
	return false
}

// addWritten is for values of width bytes that become text in Go.
func addWritten(width uintptr, write func(b []byte, p unsafe.Pointer) []byte) func(*column, vector) error {
	return func(c *column, v vector) error {
		c.beginText()
		for i := range v.n {
			if !v.null(i) {
				c.data = write(c.data, unsafe.Add(v.data, uintptr(i)*width))
			}
			c.offsets = append(c.offsets, int32(len(c.data)))
		}
		return c.endText()
	}
}

func addEnum(logical bindings.LogicalType) func(*column, vector) error {
	switch bindings.EnumInternalType(logical) {
	case bindings.TypeUTinyInt:
		return addCodes[uint8]
	case bindings.TypeUSmallInt:
		return addCodes[uint16]
	default:
		return addCodes[uint32]
	}
}

func addCodes[T uint8 | uint16 | uint32](c *column, v vector) error {
	c.beginText()
	for i, code := range values[T](v) {
		if !v.null(i) {
			c.data = append(c.data, c.dict[code]...)
		}
		c.offsets = append(c.offsets, int32(len(c.data)))
	}
	return c.endText()
}

func dictionary(logical bindings.LogicalType) []string {
	out := make([]string, bindings.EnumDictionarySize(logical))
	for i := range out {
		out[i] = bindings.EnumDictionaryValue(logical, bindings.IdxT(i))
	}
	return out
}

// addNulls is for a column without a type (SELECT NULL): DuckDB gives it some type and no value.
func addNulls(c *column, v vector) error {
	c.beginText()
	for range v.n {
		c.offsets = append(c.offsets, int32(len(c.data)))
	}
	return nil
}
