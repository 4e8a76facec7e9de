package databricks

import (
	"context"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// inlined gives the rows that come as JSON in the answers themselves, chunk by chunk.
func (s *source) inlined(ctx context.Context, st statement, a *answer, take func([]arrow.RecordBatch) bool) error {
	cols, err := columnsOf(a.Manifest, nil)
	if err != nil {
		return err
	}
	for _, c := range cols {
		if err := c.inlineable(); err != nil {
			return err
		}
	}
	r := &reading{source: s, st: st, id: a.StatementID, m: a.Manifest}
	for i := range int(a.Manifest.ChunkCount) {
		p := a.Result
		if i > 0 {
			p = part{}
			if err := s.get(ctx, api+"/"+r.id+"/result/chunks/"+strconv.Itoa(i), st.doing, &p); err != nil {
				f := fault.As(err)
				if f.Code == fault.SourceUnreachable {
					return r.incomplete(i, f.Message)
				}
				return err
			}
		}
		if int(p.Index) != i || len(p.Data) != int(p.Rows) || !r.counted(i, int64(len(p.Data))) {
			return r.incomplete(i, strconv.Itoa(len(p.Data))+" rows came where Databricks counts "+strconv.FormatInt(int64(p.Rows), 10))
		}
		b, err := build(cols, p.Data)
		if err != nil {
			return err
		}
		more := take([]arrow.RecordBatch{b})
		b.Release()
		if !more {
			return nil
		}
	}
	return nil
}

// inlineable refuses types whose JSON text is not documented to be exact.
func (c column) inlineable() error {
	cast := ""
	switch c.kind {
	case row.Timestamp:
		cast = "CAST(%s AS STRING)"
	case row.Instant:
		cast = "UNIX_MICROS(%s)"
	case row.Bytes:
		cast = "BASE64(%s)"
	default:
		return nil
	}
	f := fault.As(c.refuse("cannot be read inline without loss", cast))
	f.Code = fault.SourceTypeUnsupported
	return f
}

// build makes a batch of texts and nulls.
func build(cols []column, rows [][]*string) (arrow.RecordBatch, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schemaOf(cols))
	defer b.Release()
	for _, cells := range rows {
		if len(cells) != len(cols) {
			return nil, fault.New(fault.SourceIncomplete, "a row of the result has %d columns, the result %d", len(cells), len(cols))
		}
		for j, cell := range cells {
			if cell == nil {
				b.Field(j).AppendNull()
			} else if err := cols[j].appendText(b.Field(j), *cell); err != nil {
				return nil, err
			}
		}
	}
	return b.NewRecordBatch(), nil
}

// appendText reads one value from its text. Texts of numbers and dates are those of a CAST to STRING
// (https://docs.databricks.com/aws/en/sql/language-manual/functions/cast).
func (c column) appendText(b array.Builder, s string) error {
	var v row.Value
	err := error(nil)
	switch c.kind {
	case row.Text:
		v = row.TextValue(s)
	case row.Null:
		return c.refuse("holds a value", "CAST(%s AS STRING)")
	case row.Interval:
		text, ok := interval(s, c.sql)
		if !ok {
			return c.refuse("holds an interval whose text is not understood", "CAST(%s AS STRING)")
		}
		v = row.StringKind(row.Interval, text)
	case row.JSON, row.Array:
		if v, err = row.ParseText(c.kind, s); err != nil {
			return c.refuse("comes as a text that is not JSON", toJSON)
		}
	case row.Float:
		if bits, ok := c.field.Type.(*arrow.Float32Type); ok {
			f, err := strconv.ParseFloat(s, bits.BitWidth())
			if err != nil {
				return c.refuse("holds a value that is not understood", "CAST(%s AS STRING)")
			}
			b.(*array.Float32Builder).Append(float32(f)) //nolint:forcetypeassert // of this type
			return nil
		}
		v, err = row.ParseText(c.kind, s)
	default:
		v, err = row.ParseText(c.kind, strings.TrimSpace(s))
	}
	if err == nil {
		err = row.AppendTo(b, v)
	}
	if err != nil {
		return c.refuse("holds a value that is not understood", "CAST(%s AS STRING)")
	}
	return nil
}
