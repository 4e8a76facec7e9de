package postgres

import (
	"encoding/binary"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// column is one column of a result: its type, and the values of the batch being read.
type column struct {
	*typ
	name string
	pgwire.Column
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
		c := column{typ: t, name: f.Name}
		c.Allocate(t.arrowType())
		md := arrow.Metadata{}
		if c.Arrow == arrow.BinaryTypes.String && t.kind != row.Text {
			md = arrow.NewMetadata([]string{connector.KindKey}, []string{t.kind.String()})
		}
		cols[i], fs[i] = c, arrow.Field{Name: f.Name, Type: c.Arrow, Nullable: true, Metadata: md}
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

// add decodes row i's value. It is the hot path: one switch, no calls through interfaces.
func (c *column) add(i int, b []byte) error {
	var err error
	switch c.form {
	case formString, formText, formJSON, formBytea:
		c.Data = append(c.Data, b...)
		c.Offs[i+1] = int32(len(c.Data))
	case formInt8, formFloat8:
		if len(b) != 8 {
			return errShape
		}
		c.I64[i] = int64(binary.BigEndian.Uint64(b))
	case formInt4, formFloat4, formOID:
		if len(b) != 4 {
			return errShape
		}
		c.I32[i] = int32(binary.BigEndian.Uint32(b))
	case formNumeric:
		c.Data, err = appendNumeric(c.Data, b)
		c.Offs[i+1] = int32(len(c.Data))
	case formBool:
		if len(b) != 1 {
			return errShape
		}
		c.Bits[i>>3] |= (b[0] & 1) << (i & 7)
	case formTimestamp, formTimestamptz:
		c.I64[i], err = timestampMicros(b)
	case formInt2:
		if len(b) != 2 {
			return errShape
		}
		c.I16[i] = int16(binary.BigEndian.Uint16(b))
	case formDate:
		c.I32[i], err = dateDays(b)
	case formTime:
		c.I64[i], err = timeMicros(b)
	case formUUID, formInterval, formJSONB, formArray, formArrayLiteral:
		c.Data, err = c.appendText(c.Data, b)
		c.Offs[i+1] = int32(len(c.Data))
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
		arrs[i] = cols[i].Array(n)
	}
	return pgwire.Record(schema, arrs, n)
}

// decodeRow puts one DataRow message into row i of the columns.
func decodeRow(cols []column, i int, b []byte) error {
	b, err := pgwire.Width(b, len(cols))
	if err != nil {
		return err
	}
	for k := range cols {
		v, rest, err := pgwire.Field(b)
		switch {
		case err != nil:
			return err
		case v == nil:
			cols[k].Null(i)
		default:
			if err := cols[k].add(i, v); err != nil {
				return cols[k].unsupported(err)
			}
		}
		b = rest
	}
	return pgwire.End(b)
}
