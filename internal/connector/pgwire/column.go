package pgwire

import (
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// How large a batch may become.
const (
	BatchRows  = 8192
	BatchBytes = 8 << 20
	keepBytes  = 4 * BatchBytes // a text buffer larger than this is not kept for the next batch
)

// Column collects one column's values of the batch being read, in the memory Arrow will show. It is filled again after the
// consumer's step. One of the value slices is set, by the Arrow type.
type Column struct {
	Arrow arrow.DataType
	Bits  []byte // of booleans
	I16   []int16
	I32   []int32  // also float32, uint32 and dates
	I64   []int64  // also float64, times and timestamps
	Wide  []uint64 // decimal128: low and high word, in turn
	Offs  []int32
	Data  []byte
	valid []byte // bitmap, all ones until a null comes
	nulls int
}

// Allocate makes room for a batch of the Arrow type.
func (c *Column) Allocate(t arrow.DataType) {
	c.Arrow, c.valid = t, make([]byte, BatchRows/8)
	switch t.ID() {
	case arrow.BOOL:
		c.Bits = make([]byte, BatchRows/8)
	case arrow.INT16:
		c.I16 = make([]int16, BatchRows)
	case arrow.INT32, arrow.UINT32, arrow.FLOAT32, arrow.DATE32:
		c.I32 = make([]int32, BatchRows)
	case arrow.INT64, arrow.FLOAT64, arrow.TIME64, arrow.TIMESTAMP:
		c.I64 = make([]int64, BatchRows)
	case arrow.DECIMAL128:
		c.Wide = make([]uint64, 2*BatchRows)
	default:
		c.Offs = make([]int32, BatchRows+1) // texts and bytes
	}
	c.Reset()
}

// Reset empties the column for the next batch.
func (c *Column) Reset() {
	for i := range c.valid {
		c.valid[i] = 0xFF
	}
	clear(c.Bits)
	c.nulls, c.Data = 0, c.Data[:0]
	if cap(c.Data) > keepBytes {
		c.Data = nil
	}
}

// Null marks row i null.
func (c *Column) Null(i int) {
	c.valid[i>>3] &^= 1 << (i & 7)
	c.nulls++
	if c.Offs != nil {
		c.Offs[i+1] = int32(len(c.Data))
	}
}

// Array shows the n rows collected as an Arrow array over the column's own memory.
func (c *Column) Array(n int) arrow.Array {
	var valid *memory.Buffer
	if c.nulls > 0 {
		valid = memory.NewBufferBytes(c.valid[:(n+7)/8])
	}
	bufs := []*memory.Buffer{valid}
	switch {
	case c.Offs != nil:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.Offs[:n+1])), memory.NewBufferBytes(c.Data))
	case c.I64 != nil:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.I64[:n])))
	case c.I32 != nil:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.I32[:n])))
	case c.I16 != nil:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int16Traits.CastToBytes(c.I16[:n])))
	case c.Wide != nil:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Uint64Traits.CastToBytes(c.Wide[:2*n])))
	default:
		bufs = append(bufs, memory.NewBufferBytes(c.Bits[:(n+7)/8]))
	}
	data := array.NewData(c.Arrow, n, bufs, nil, c.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// Record makes a batch of arrays and releases them.
func Record(schema *arrow.Schema, arrs []arrow.Array, n int) arrow.RecordBatch {
	rec := array.NewRecordBatch(schema, arrs, int64(n))
	for _, a := range arrs {
		a.Release()
	}
	return rec
}

var errWidth, errShort, errRest = fmt.Errorf("%w: a row of another width", ErrMessage), fmt.Errorf("%w: a row cut short", ErrMessage),
	fmt.Errorf("%w: a row with a rest", ErrMessage)

// Width checks that a DataRow message has n fields and gives what follows.
func Width(b []byte, n int) ([]byte, error) {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != n {
		return nil, errWidth
	}
	return b[2:], nil
}

// Field takes the next field off a DataRow message; nil is null, an empty value is not.
func Field(b []byte) (value, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errShort
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	b = b[4:]
	if n < 0 {
		return nil, b, nil
	}
	if n > len(b) {
		return nil, nil, errShort
	}
	return b[:n:n], b[n:], nil
}

// End checks that nothing follows the last field.
func End(b []byte) error {
	if len(b) != 0 {
		return errRest
	}
	return nil
}
