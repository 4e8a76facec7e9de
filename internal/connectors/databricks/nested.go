package databricks

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// appendJSON writes a cell of a nested Arrow column as JSON: a struct with all its fields, nulls included, a map as an object, and
// plain values as row.Value writes them.
func appendJSON(b []byte, a arrow.Array, i int) ([]byte, error) {
	if a.IsNull(i) {
		return append(b, "null"...), nil
	}
	switch a := a.(type) {
	case *array.Struct:
		return appendStruct(b, a, i)
	case *array.Map: // also a list
		return appendMap(b, a, i)
	case array.ListLike:
		from, to := a.ValueOffsets(i)
		b = append(b, '[')
		for j := from; j < to; j++ {
			if j > from {
				b = append(b, ',')
			}
			var err error
			if b, err = appendJSON(b, a.ListValues(), int(j)); err != nil {
				return b, err
			}
		}
		return append(b, ']'), nil
	}
	k, err := row.KindOf(arrow.Field{Name: "nested", Type: a.DataType()})
	if err != nil {
		return b, fault.New(fault.SourceValue, "a nested value has Arrow type %s, which cannot be carried", a.DataType()).
			WithFix("Write TO_JSON of the column in the model's SQL.")
	}
	return row.At(a, k, i).AppendJSON(b), nil
}

func appendStruct(b []byte, a *array.Struct, i int) ([]byte, error) {
	t := a.DataType().(*arrow.StructType) //nolint:forcetypeassert // what a struct has
	b = append(b, '{')
	for j, f := range t.Fields() {
		if j > 0 {
			b = append(b, ',')
		}
		b = append(row.AppendJSONString(b, f.Name), ':')
		var err error
		if b, err = appendJSON(b, a.Field(j), i); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// appendMap writes keys as texts. Keys of a map are plain values and never null.
func appendMap(b []byte, a *array.Map, i int) ([]byte, error) {
	k, err := row.KindOf(arrow.Field{Name: "key", Type: a.Keys().DataType()})
	if err != nil {
		return b, fault.New(fault.SourceValue, "a map has keys of Arrow type %s, which cannot be carried", a.Keys().DataType()).
			WithFix("Write MAP_ENTRIES of the column in the model's SQL.")
	}
	from, to := a.ValueOffsets(i)
	b = append(b, '{')
	for j := from; j < to; j++ {
		if j > from {
			b = append(b, ',')
		}
		b = append(row.AppendJSONString(b, row.At(a.Keys(), k, int(j)).String()), ':')
		if b, err = appendJSON(b, a.Items(), int(j)); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}
