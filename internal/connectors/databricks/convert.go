package databricks

import (
	"encoding/json"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// toJSON is the cast for nested values: to_json leaves out nulls unless told otherwise.
const toJSON = "TO_JSON(%s, MAP('ignoreNullFields', 'false'))"

// convert gives a batch its columns' types. Most columns are taken as they are.
func convert(b arrow.RecordBatch, schema *arrow.Schema, cols []column) (arrow.RecordBatch, error) {
	arrays := make([]arrow.Array, 0, len(cols))
	defer func() {
		for _, a := range arrays {
			a.Release()
		}
	}()
	for i, c := range cols {
		a, err := c.from(b.Column(i))
		if err != nil {
			return nil, err
		}
		arrays = append(arrays, a)
	}
	return array.NewRecordBatch(schema, arrays, b.NumRows()), nil
}

// converter says how Arrow columns of a type become this column.
func (c column) converter(have arrow.DataType) (func(arrow.Array) (arrow.Array, error), error) {
	want := c.field.Type
	nested := c.kind == row.JSON || c.kind == row.Array
	switch t := have.(type) {
	case *arrow.TimestampType:
		// TIMESTAMP comes in the session's zone, which is a label: the number counts from 1970 in UTC.
		w, ok := want.(*arrow.TimestampType)
		if ok && t.Unit == w.Unit && (t.TimeZone == "") == (w.TimeZone == "") {
			return relabel(want), nil
		}
	case *arrow.Decimal128Type:
		if w, ok := want.(*arrow.Decimal128Type); ok && t.Scale == w.Scale && t.Precision <= w.Precision {
			return relabel(want), nil
		}
	case *arrow.StringType, *arrow.LargeStringType:
		switch {
		case nested:
			return c.checked, nil
		case c.kind == row.Text && arrow.TypeEqual(have, want):
			return relabel(want), nil
		}
		return c.parsed, nil
	case *arrow.MonthIntervalType, *arrow.DayTimeIntervalType, *arrow.MonthDayNanoIntervalType, *arrow.DurationType:
		if c.kind == row.Interval {
			return c.written(func(b []byte, a arrow.Array, i int) ([]byte, error) {
				return append(b, row.At(a, row.Interval, i).Str()...), nil
			}), nil
		}
	case *arrow.ListType, *arrow.LargeListType, *arrow.FixedSizeListType, *arrow.StructType, *arrow.MapType:
		if nested {
			return c.written(appendJSON), nil
		}
	case *arrow.Time64Type:
		if w, ok := want.(*arrow.Time64Type); ok && t.Unit != w.Unit {
			return c.valued, nil
		}
	}
	if arrow.TypeEqual(have, want) {
		return relabel(want), nil
	}
	if have.ID() == arrow.NULL {
		return func(a arrow.Array) (arrow.Array, error) {
			return array.MakeArrayOfNull(memory.DefaultAllocator, want, a.Len()), nil
		}, nil
	}
	return nil, fault.New(fault.SourceTypeUnsupported, "column %q has type %s and comes as Arrow %s, which cannot be carried", c.field.Name, c.sql, have).
		WithFix("Cast it in the model's SQL: CAST(%s AS STRING), or TO_JSON(%[1]s).", dialect.Ident(c.field.Name))
}

// relabel takes a column's memory as it is under another type of the same form.
func relabel(t arrow.DataType) func(arrow.Array) (arrow.Array, error) {
	return func(a arrow.Array) (arrow.Array, error) {
		if a.DataType() == t {
			a.Retain()
			return a, nil
		}
		d := a.Data()
		same := array.NewData(t, d.Len(), d.Buffers(), nil, d.NullN(), d.Offset())
		defer same.Release()
		return array.MakeFromData(same), nil
	}
}

// checked is a nested column that comes as text: it must be JSON.
func (c column) checked(a arrow.Array) (arrow.Array, error) {
	return c.written(func(b []byte, a arrow.Array, i int) ([]byte, error) {
		s := textAt(a, i)
		if !json.Valid([]byte(s)) {
			return b, c.refuse("comes as a text that is not JSON", toJSON)
		}
		return append(b, s...), nil
	})(a)
}

// written makes a text column of a column's values.
func (c column) written(write func(b []byte, a arrow.Array, i int) ([]byte, error)) func(arrow.Array) (arrow.Array, error) {
	return func(a arrow.Array) (arrow.Array, error) {
		out := array.NewStringBuilder(memory.DefaultAllocator)
		defer out.Release()
		out.Reserve(a.Len())
		var buf []byte
		for i := range a.Len() {
			if a.IsNull(i) {
				out.AppendNull()
				continue
			}
			var err error
			if buf, err = write(buf[:0], a, i); err != nil {
				return nil, err
			}
			out.BinaryBuilder.Append(buf)
		}
		return out.NewArray(), nil
	}
}

// parsed reads a column that comes as text.
func (c column) parsed(a arrow.Array) (arrow.Array, error) {
	out := array.NewBuilder(memory.DefaultAllocator, c.field.Type)
	defer out.Release()
	out.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) {
			out.AppendNull()
			continue
		}
		if err := c.appendText(out, textAt(a, i)); err != nil {
			return nil, err
		}
	}
	return out.NewArray(), nil
}

// valued reads a column value by value.
func (c column) valued(a arrow.Array) (arrow.Array, error) {
	out := array.NewBuilder(memory.DefaultAllocator, c.field.Type)
	defer out.Release()
	for i := range a.Len() {
		if err := row.AppendTo(out, row.At(a, c.kind, i)); err != nil {
			return nil, c.refuse("holds a value that cannot be carried exactly", "CAST(%s AS STRING)")
		}
	}
	return out.NewArray(), nil
}

func textAt(a arrow.Array, i int) string {
	if s, ok := a.(*array.LargeString); ok {
		return s.Value(i)
	}
	return a.(*array.String).Value(i) //nolint:forcetypeassert // converter chose it by the type
}
