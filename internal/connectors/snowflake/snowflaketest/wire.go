package snowflaketest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// What Snowflake's Arrow looks like is not documented; this follows what its drivers decode (gosnowflake v2.1.0, converter.go):
// whole and decimal numbers are integers in as few bytes as the batch needs, or decimal128, with the scale beside them; times of
// day are integers of the scale; timestamps are integers of the scale up to three decimals, else a struct of seconds and
// nanoseconds; with a zone, a third field holds its offset in minutes plus 1440.
var (
	epochFraction     = arrow.StructOf(arrow.Field{Name: "epoch", Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: "fraction", Type: arrow.PrimitiveTypes.Int32})
	epochFractionZone = arrow.StructOf(append(epochFraction.Fields(), arrow.Field{Name: "timezone", Type: arrow.PrimitiveTypes.Int32})...)
	exponentDigits    = arrow.StructOf(arrow.Field{Name: "exponent", Type: arrow.PrimitiveTypes.Int16}, arrow.Field{Name: "significand", Type: arrow.BinaryTypes.Binary})
)

// encode writes batches of DuckDB's as one Arrow stream of Snowflake's, in messages of at most so many rows.
func encode(w io.Writer, types []rowType, batches []arrow.RecordBatch, rows int) error {
	columns := make([][]arrow.Array, len(types)) // by column, then batch
	fields := make([]arrow.Field, len(types))
	for i := range types {
		var err error
		if columns[i], err = toWire(&types[i], batches, i); err != nil {
			return err
		}
		var t arrow.DataType = arrow.BinaryTypes.String
		if len(columns[i]) > 0 {
			t = columns[i][0].DataType()
		}
		fields[i] = arrow.Field{Name: types[i].Name, Type: t, Nullable: true, Metadata: describeField(&types[i])}
	}
	schema := arrow.NewSchema(fields, nil)
	out := ipc.NewWriter(w, ipc.WithSchema(schema))
	for b := range batches {
		arrays := make([]arrow.Array, len(types))
		for i := range types {
			arrays[i] = columns[i][b]
		}
		whole := array.NewRecordBatch(schema, arrays, batches[b].NumRows())
		for from := int64(0); from < whole.NumRows(); from += int64(rows) {
			piece := whole.NewSlice(from, min(from+int64(rows), whole.NumRows()))
			err := out.Write(piece)
			piece.Release()
			if err != nil {
				return err
			}
		}
	}
	return out.Close()
}

func describeField(t *rowType) arrow.Metadata {
	values := map[string]string{"logicalType": strings.ToUpper(t.Type), "finalType": "T"}
	if t.Precision != nil {
		values["precision"] = strconv.Itoa(*t.Precision)
	}
	if t.Scale != nil {
		values["scale"] = strconv.Itoa(*t.Scale)
	}
	return arrow.MetadataFrom(values)
}

// toWire gives one column of all batches in its form on the wire, the same for all.
func toWire(t *rowType, batches []arrow.RecordBatch, at int) ([]arrow.Array, error) {
	out := make([]arrow.Array, len(batches))
	for b, batch := range batches {
		out[b] = batch.Column(at)
	}
	switch t.Type {
	case "fixed":
		return fixed(out), nil
	case "time":
		return each(out, arrow.PrimitiveTypes.Int64, func(b array.Builder, a arrow.Array, i int) {
			b.(*array.Int64Builder).Append(int64(a.(*array.Time64).Value(i)) * int64(a.DataType().(*arrow.Time64Type).Unit.Multiplier()))
		}), nil
	case "timestamp_ntz", "timestamp_ltz":
		return timestamps(out, *t.Scale), nil
	case "timestamp_tz":
		return each(out, epochFractionZone, func(b array.Builder, a arrow.Array, i int) {
			var zoned struct {
				At string `json:"timestamp_tz"`
			}
			_ = json.Unmarshal([]byte(union(a, i, "timestamp_tz")), &zoned.At) //nolint:errcheck // DuckDB wrote it
			at, err := time.Parse("2006-01-02 15:04:05.999999999-07", zoned.At)
			if err != nil {
				panic(err)
			}
			s := b.(*array.StructBuilder)
			s.Append(true)
			s.FieldBuilder(0).(*array.Int64Builder).Append(at.Unix())
			s.FieldBuilder(1).(*array.Int32Builder).Append(int32(at.Nanosecond()))
			s.FieldBuilder(2).(*array.Int32Builder).Append(1440 + 60)
		}), nil
	case "decfloat":
		return each(out, exponentDigits, func(b array.Builder, a arrow.Array, i int) {
			var text string
			_ = json.Unmarshal([]byte(union(a, i, "decfloat")), &text) //nolint:errcheck // DuckDB wrote it
			whole, behind, _ := strings.Cut(text, ".")
			n, ok := new(big.Int).SetString(whole+behind, 10)
			if !ok {
				panic("not a DECFLOAT: " + text)
			}
			s := b.(*array.StructBuilder)
			s.Append(true)
			s.FieldBuilder(0).(*array.Int16Builder).Append(int16(-len(behind)))
			s.FieldBuilder(1).(*array.BinaryBuilder).Append(twosComplement(n))
		}), nil
	case "object":
		return each(out, arrow.BinaryTypes.String, func(b array.Builder, a arrow.Array, i int) {
			text := a.(*array.String).Value(i)
			var inner string
			if json.Unmarshal([]byte(union(a, i, "geography")), &inner) == nil {
				text = inner
			}
			b.(*array.StringBuilder).Append(text)
		}), nil
	}
	for _, a := range out {
		if id := a.DataType().ID(); id == arrow.FLOAT32 {
			return each(out, arrow.PrimitiveTypes.Float64, func(b array.Builder, a arrow.Array, i int) {
				f, _ := strconv.ParseFloat(strconv.FormatFloat(float64(a.(*array.Float32).Value(i)), 'g', -1, 32), 64) //nolint:errcheck // its own text
				b.(*array.Float64Builder).Append(f)
			}), nil
		} else if id == arrow.NULL {
			return nil, fmt.Errorf("a column has no type")
		}
	}
	return out, nil
}

// union gives the text DuckDB writes for a UNION's member: the value alone, or in an object of one.
func union(a arrow.Array, i int, member string) string {
	text := a.(*array.String).Value(i)
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) == nil && len(object) == 1 && object[member] != nil {
		return string(object[member])
	}
	return text
}

// each builds a column anew, value by value.
func each(in []arrow.Array, t arrow.DataType, add func(array.Builder, arrow.Array, int)) []arrow.Array {
	out := make([]arrow.Array, len(in))
	for k, a := range in {
		b := array.NewBuilder(memory.DefaultAllocator, t)
		b.Reserve(a.Len())
		for i := range a.Len() {
			if a.IsNull(i) {
				b.AppendNull()
			} else {
				add(b, a, i)
			}
		}
		out[k] = b.NewArray()
		b.Release()
	}
	return out
}

// fixed sends numbers as integers in the fewest bytes, or as decimal128.
func fixed(in []arrow.Array) []arrow.Array {
	width := 1
	for _, a := range in {
		for i := range a.Len() {
			if a.IsValid(i) {
				hi, lo := words(a, i)
				switch {
				case hi != int64(lo)>>63:
					width = 16
				case int64(lo) != int64(int32(lo)):
					width = max(width, 8)
				case int64(lo) != int64(int16(lo)):
					width = max(width, 4)
				case int64(lo) != int64(int8(lo)):
					width = max(width, 2)
				}
			}
		}
	}
	out := make([]arrow.Array, len(in))
	for k, a := range in {
		if width == 8 && a.DataType().ID() == arrow.INT64 || width == 16 && a.DataType().ID() == arrow.DECIMAL128 {
			out[k] = a
			continue
		}
		values := make([]byte, width*a.Len())
		for i := range a.Len() {
			hi, lo := words(a, i)
			switch width {
			case 1:
				values[i] = byte(lo)
			case 2:
				binary.LittleEndian.PutUint16(values[2*i:], uint16(lo))
			case 4:
				binary.LittleEndian.PutUint32(values[4*i:], uint32(lo))
			case 8:
				binary.LittleEndian.PutUint64(values[8*i:], lo)
			case 16:
				binary.LittleEndian.PutUint64(values[16*i:], lo)
				binary.LittleEndian.PutUint64(values[16*i+8:], uint64(hi))
			}
		}
		t := map[int]arrow.DataType{
			1: arrow.PrimitiveTypes.Int8, 2: arrow.PrimitiveTypes.Int16, 4: arrow.PrimitiveTypes.Int32, 8: arrow.PrimitiveTypes.Int64,
			16: &arrow.Decimal128Type{Precision: 38},
		}[width]
		data := array.NewData(t, a.Len(), []*memory.Buffer{a.Data().Buffers()[0], memory.NewBufferBytes(values)}, nil, a.NullN(), 0)
		out[k] = array.MakeFromData(data)
		data.Release()
	}
	return out
}

// words gives a number's 128 bits; of a huge one's text too.
func words(a arrow.Array, i int) (hi int64, lo uint64) {
	n := int64(0)
	switch a := a.(type) {
	case *array.Int8:
		n = int64(a.Value(i))
	case *array.Int16:
		n = int64(a.Value(i))
	case *array.Int32:
		n = int64(a.Value(i))
	case *array.Int64:
		n = a.Value(i)
	case *array.Uint8:
		n = int64(a.Value(i))
	case *array.Uint16:
		n = int64(a.Value(i))
	case *array.Uint32:
		n = int64(a.Value(i))
	case *array.Uint64:
		return 0, a.Value(i)
	case *array.Decimal128:
		v := a.Value(i)
		return v.HighBits(), v.LowBits()
	case *array.String:
		v, _ := new(big.Int).SetString(a.Value(i), 10)
		if v == nil {
			return 0, 0
		}
		b := make([]byte, 16)
		if v.Sign() < 0 {
			v.Add(v, new(big.Int).Lsh(big.NewInt(1), 128))
		}
		v.FillBytes(b)
		return int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:])
	}
	return n >> 63, uint64(n)
}

// timestamps sends up to three decimals as one integer, more as seconds and nanoseconds.
func timestamps(in []arrow.Array, scale int) []arrow.Array {
	split := func(a arrow.Array, i int) (s, ns int64) {
		per := int64(1e9) / int64(a.DataType().(*arrow.TimestampType).Unit.Multiplier())
		v := int64(a.(*array.Timestamp).Value(i))
		s, f := v/per, v%per
		if f < 0 {
			s, f = s-1, f+per
		}
		return s, f * (1e9 / per)
	}
	if scale <= 3 {
		return each(in, arrow.PrimitiveTypes.Int64, func(b array.Builder, a arrow.Array, i int) {
			s, ns := split(a, i)
			for range scale {
				s *= 10
				ns *= 10
			}
			b.(*array.Int64Builder).Append(s + ns/1e9)
		})
	}
	return each(in, epochFraction, func(b array.Builder, a arrow.Array, i int) {
		s, ns := split(a, i)
		st := b.(*array.StructBuilder)
		st.Append(true)
		st.FieldBuilder(0).(*array.Int64Builder).Append(s)
		st.FieldBuilder(1).(*array.Int32Builder).Append(int32(ns))
	})
}

// twosComplement gives a number's bytes, the sign in the first bit.
func twosComplement(n *big.Int) []byte {
	size := n.BitLen()/8 + 1
	b := make([]byte, size)
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	return n.FillBytes(b)
}

func rowTypes(columns []warehousetest.Column) []rowType {
	out := make([]rowType, len(columns))
	for i, c := range columns {
		out[i] = rowTypeOf(c)
	}
	return out
}

func result(types []rowType, query string, total int64) map[string]any {
	return map[string]any{
		"queryId": query, "rowtype": types, "total": total, "returned": total, "queryResultFormat": "arrow", "statementTypeId": 0x1000,
		"parameters": parameters(nil), "databaseProvider": nil, "version": 1, "numberOfBinds": 0, "arrayBindSupported": false,
	}
}

// described answers a statement that was only to be planned.
func described(columns []warehousetest.Column, query string) map[string]any {
	out := result(rowTypes(columns), query, 0)
	out["rowsetBase64"] = ""
	return out
}

// changed answers a DML statement: JSON, with one row that counts.
func changed(verb string, n int64, query string) map[string]any {
	ids := map[string]int{"INSERT": 0x3100, "UPDATE": 0x3200, "DELETE": 0x3300, "MERGE": 0x3400}
	name := map[string]string{"INSERT": "number of rows inserted", "UPDATE": "number of rows updated", "DELETE": "number of rows deleted", "MERGE": "number of rows updated"}[verb]
	columns, row := []warehousetest.Column{{Name: name, Type: "BIGINT"}}, []string{strconv.FormatInt(n, 10)}
	if verb == "UPDATE" {
		columns, row = append(columns, warehousetest.Column{Name: "number of multi-joined rows updated", Type: "BIGINT"}), append(row, "0")
	}
	out := result(rowTypes(columns), query, 1)
	out["queryResultFormat"], out["statementTypeId"] = "json", ids[verb]
	out["rowset"] = [][]string{row}
	return out
}

// said answers any other statement.
func said(text, query string) map[string]any {
	out := result(rowTypes([]warehousetest.Column{{Name: "status", Type: "VARCHAR"}}), query, 1)
	out["queryResultFormat"], out["statementTypeId"] = "json", 0x4000
	out["rowset"] = [][]string{{text}}
	return out
}

func inline(stream []byte) string { return base64.StdEncoding.EncodeToString(stream) }
