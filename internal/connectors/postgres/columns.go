package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

const (
	batchRows  = 8192
	batchBytes = 8 << 20
	keepBytes  = 4 * batchBytes // a text buffer larger than this is not kept for the next batch
)

// column collects one column's values of the batch being read, in the memory Arrow will show. It is filled again after the
// consumer's step.
type column struct {
	*typ
	name  string
	arrow arrow.DataType
	valid []byte // bitmap, all ones until a null comes
	nulls int
	bits  []byte // formBool
	i16   []int16
	i32   []int32
	i64   []int64
	offs  []int32
	data  []byte
}

// plan makes the columns and the schema of a described result.
func plan(fields []pgconn.FieldDescription, types map[uint32]*typ) ([]column, *arrow.Schema, []int16, error) {
	cols, fs, formats := make([]column, len(fields)), make([]arrow.Field, len(fields)), make([]int16, len(fields))
	seen := map[string]bool{}
	for i, f := range fields {
		if seen[f.Name] {
			return nil, nil, nil, fault.New(fault.SourceQueryFailed, "the query yields two columns named %q", f.Name).
				WithFix("Give one of them another name with AS.")
		}
		seen[f.Name] = true
		t := types[f.DataTypeOID]
		c := column{typ: t, name: f.Name, arrow: t.arrowType()}
		md := arrow.Metadata{}
		if c.arrow == arrow.BinaryTypes.String && t.kind != row.Text {
			md = arrow.NewMetadata([]string{connector.KindKey}, []string{t.kind.String()})
		}
		c.allocate()
		cols[i], fs[i] = c, arrow.Field{Name: f.Name, Type: c.arrow, Nullable: true, Metadata: md}
		if t.binary() {
			formats[i] = 1
		}
	}
	return cols, arrow.NewSchema(fs, nil), formats, nil
}

func (t *typ) arrowType() arrow.DataType {
	switch t.form {
	case formBool:
		return arrow.FixedWidthTypes.Boolean
	case formInt2:
		return arrow.PrimitiveTypes.Int16
	case formInt4:
		return arrow.PrimitiveTypes.Int32
	case formInt8:
		return arrow.PrimitiveTypes.Int64
	case formOID:
		return arrow.PrimitiveTypes.Uint32
	case formFloat4:
		return arrow.PrimitiveTypes.Float32
	case formFloat8:
		return arrow.PrimitiveTypes.Float64
	case formBytea:
		return arrow.BinaryTypes.Binary
	case formDate:
		return arrow.FixedWidthTypes.Date32
	case formTime:
		return arrow.FixedWidthTypes.Time64us
	case formTimestamp:
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	case formTimestamptz:
		return arrow.FixedWidthTypes.Timestamp_us
	case formText, formString, formNumeric, formInterval, formUUID, formJSON, formJSONB, formArray, formArrayLiteral:
	}
	return arrow.BinaryTypes.String
}

func (c *column) allocate() {
	c.valid = make([]byte, batchRows/8)
	switch c.form {
	case formBool:
		c.bits = make([]byte, batchRows/8)
	case formInt2:
		c.i16 = make([]int16, batchRows)
	case formInt4, formOID, formFloat4, formDate:
		c.i32 = make([]int32, batchRows)
	case formInt8, formFloat8, formTime, formTimestamp, formTimestamptz:
		c.i64 = make([]int64, batchRows)
	case formText, formString, formNumeric, formInterval, formUUID, formJSON, formJSONB, formArray, formArrayLiteral, formBytea:
		c.offs = make([]int32, batchRows+1)
	}
	c.reset()
}

func (c *column) reset() {
	for i := range c.valid {
		c.valid[i] = 0xFF
	}
	clear(c.bits)
	c.nulls, c.data = 0, c.data[:0]
	if cap(c.data) > keepBytes {
		c.data = nil
	}
}

// null marks row i null.
func (c *column) null(i int) {
	c.valid[i>>3] &^= 1 << (i & 7)
	c.nulls++
	if c.offs != nil {
		c.offs[i+1] = int32(len(c.data))
	}
}

// add decodes row i's value. It is the hot path: one switch, no calls through interfaces.
func (c *column) add(i int, b []byte) error {
	var err error
	switch c.form {
	case formString, formText, formJSON, formBytea:
		c.data = append(c.data, b...)
		c.offs[i+1] = int32(len(c.data))
	case formInt8, formFloat8:
		if len(b) != 8 {
			return errShape
		}
		c.i64[i] = int64(binary.BigEndian.Uint64(b))
	case formInt4, formFloat4, formOID:
		if len(b) != 4 {
			return errShape
		}
		c.i32[i] = int32(binary.BigEndian.Uint32(b))
	case formNumeric:
		c.data, err = appendNumeric(c.data, b)
		c.offs[i+1] = int32(len(c.data))
	case formBool:
		if len(b) != 1 {
			return errShape
		}
		c.bits[i>>3] |= (b[0] & 1) << (i & 7)
	case formTimestamp, formTimestamptz:
		c.i64[i], err = timestampMicros(b)
	case formInt2:
		if len(b) != 2 {
			return errShape
		}
		c.i16[i] = int16(binary.BigEndian.Uint16(b))
	case formDate:
		c.i32[i], err = dateDays(b)
	case formTime:
		c.i64[i], err = timeMicros(b)
	case formUUID, formInterval, formJSONB, formArray, formArrayLiteral:
		c.data, err = c.appendText(c.data, b)
		c.offs[i+1] = int32(len(c.data))
	}
	return err
}

// unsupported explains a value that cannot be carried.
func (c *column) unsupported(err error) *fault.Error {
	f := fault.New(fault.SourceValue, "column %q (%s) holds %s, which cannot be carried exactly", c.name, c.typ.name, err)
	f.Cause = err
	if errors.Is(err, errShape) {
		return f.WithFix("Cast the column in the model's SQL: %s::text.", ident(c.name))
	}
	return f.WithFix("Filter the value, or replace it in the model's SQL: NULLIF(...) or %s::text.", ident(c.name))
}

// record shows the n rows collected as an Arrow batch over the columns' own memory.
func record(schema *arrow.Schema, cols []column, n int) arrow.RecordBatch {
	arrs := make([]arrow.Array, len(cols))
	for i := range cols {
		c := &cols[i]
		var valid *memory.Buffer
		if c.nulls > 0 {
			valid = memory.NewBufferBytes(c.valid[:(n+7)/8])
		}
		bufs := []*memory.Buffer{valid}
		switch {
		case c.offs != nil:
			bufs = append(bufs, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.offs[:n+1])), memory.NewBufferBytes(c.data))
		case c.i64 != nil:
			bufs = append(bufs, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.i64[:n])))
		case c.i32 != nil:
			bufs = append(bufs, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.i32[:n])))
		case c.i16 != nil:
			bufs = append(bufs, memory.NewBufferBytes(arrow.Int16Traits.CastToBytes(c.i16[:n])))
		default:
			bufs = append(bufs, memory.NewBufferBytes(c.bits[:(n+7)/8]))
		}
		data := array.NewData(c.arrow, n, bufs, nil, c.nulls, 0)
		arrs[i] = array.MakeFromData(data)
		data.Release()
	}
	rec := array.NewRecordBatch(schema, arrs, int64(n))
	for _, a := range arrs {
		a.Release()
	}
	return rec
}

// decodeRow puts one DataRow message into row i of the columns.
func decodeRow(cols []column, i int, b []byte) error {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(cols) {
		return fmt.Errorf("%w: a row of another width", errMessage)
	}
	b = b[2:]
	for k := range cols {
		if len(b) < 4 {
			return fmt.Errorf("%w: a row cut short", errMessage)
		}
		n := int(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		if n < 0 {
			cols[k].null(i)
			continue
		}
		if n > len(b) {
			return fmt.Errorf("%w: a row cut short", errMessage)
		}
		if err := cols[k].add(i, b[:n]); err != nil {
			return cols[k].unsupported(err)
		}
		b = b[n:]
	}
	if len(b) != 0 {
		return fmt.Errorf("%w: a row with a rest", errMessage)
	}
	return nil
}
