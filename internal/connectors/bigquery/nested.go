package bigquery

import (
	"math"

	"cloud.google.com/go/bigquery"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Arrays and structs are carried as JSON: numbers in full, times as RFC 3339, bytes as base64, structs as objects with their fields
// in order. Both ways of reading write the same text.

// appendNested writes cell i of an Arrow column. f says what it is; of a repeated one, what its elements are.
func (c *column) appendNested(b []byte, f *bigquery.FieldSchema, a arrow.Array, i int) ([]byte, error) {
	switch { // BigQuery keeps no null array: https://docs.cloud.google.com/bigquery/docs/arrays
	case a.IsNull(i) && f.Repeated:
		return append(b, "[]"...), nil
	case a.IsNull(i):
		return append(b, "null"...), nil
	}
	var err error
	switch a := a.(type) {
	case *array.List:
		from, to := a.ValueOffsets(i)
		one := *f
		one.Repeated = false
		b = append(b, '[')
		for j := from; j < to; j++ {
			if j > from {
				b = append(b, ',')
			}
			if b, err = c.appendNested(b, &one, a.ListValues(), int(j)); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case *array.Struct:
		if a.NumField() != len(f.Schema) {
			return nil, incomplete("column %q has %d fields and not %d", c.field.Name, a.NumField(), len(f.Schema))
		}
		b = append(b, '{')
		for j, in := range f.Schema {
			b = appendName(b, in.Name, j)
			if b, err = c.appendNested(b, in, a.Field(j), i); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	return c.appendLeaf(b, row.At(a, wires[f.Type].kind, i))
}

// appendValue writes a value of the vendor's library.
func (c *column) appendValue(b []byte, f *bigquery.FieldSchema, v bigquery.Value) ([]byte, error) {
	if v == nil && !f.Repeated {
		return append(b, "null"...), nil
	}
	list, nested := v.([]bigquery.Value)
	var err error
	switch {
	case f.Repeated:
		one := *f
		one.Repeated = false
		b = append(b, '[')
		for j, e := range list {
			if j > 0 {
				b = append(b, ',')
			}
			if b, err = c.appendValue(b, &one, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case nested && len(list) == len(f.Schema):
		b = append(b, '{')
		for j, in := range f.Schema {
			b = appendName(b, in.Name, j)
			if b, err = c.appendValue(b, in, list[j]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	leaf, err := c.leaf(f, v)
	if err != nil {
		return nil, err
	}
	return c.appendLeaf(b, leaf)
}

func appendName(b []byte, name string, j int) []byte {
	if j > 0 {
		b = append(b, ',')
	}
	return append(row.AppendJSONString(b, name), ':')
}

// appendLeaf writes what holds no other values. JSON has no number for infinities.
func (c *column) appendLeaf(b []byte, v row.Value) ([]byte, error) {
	switch v.Kind() { //nolint:exhaustive // the others are written as they are
	case row.Float:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fault.New(fault.SourceValue, "reading column %q: %s within an array or struct is no JSON number", c.field.Name, v).
				WithFix("Write it in the model as TO_JSON_STRING(%s).", dialect.Ident(c.field.Name))
		}
	case row.Decimal:
		v = row.DecimalValue(trimmed(v.Str()))
	}
	return v.AppendJSON(b), nil
}
