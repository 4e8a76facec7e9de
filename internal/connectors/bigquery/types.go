package bigquery

import (
	"fmt"
	"strings"

	"cloud.google.com/go/bigquery"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// plan is how the columns of an answer are carried.
type plan struct {
	columns []column
	schema  *arrow.Schema
}

// column is one column. Both ways of reading give the same field.
type column struct {
	from  *bigquery.FieldSchema
	field arrow.Field
	kind  row.Kind
	wire  arrow.Type // what the Storage Read API sends
}

// planned makes the plan of an answer's schema.
func planned(s bigquery.Schema) (*plan, error) {
	p := &plan{}
	fields := make([]arrow.Field, len(s))
	for i, f := range s {
		c := column{from: f}
		if err := c.decide(); err != nil {
			return nil, err
		}
		p.columns = append(p.columns, c)
		fields[i] = c.field
	}
	if len(fields) == 0 {
		return nil, fault.New(fault.SourceQueryFailed, "the query yields no columns").WithFix("A model is one SELECT statement.")
	}
	p.schema = arrow.NewSchema(fields, nil)
	return p, nil
}

// wires says what the Storage Read API sends for each type.
// https://docs.cloud.google.com/bigquery/docs/reference/storage#arrow_schema_details
var wires = map[bigquery.FieldType]struct {
	kind row.Kind
	wire arrow.Type
}{
	bigquery.StringFieldType: {row.Text, arrow.STRING}, bigquery.BytesFieldType: {row.Bytes, arrow.BINARY},
	bigquery.IntegerFieldType: {row.Int, arrow.INT64}, bigquery.FloatFieldType: {row.Float, arrow.FLOAT64},
	bigquery.BooleanFieldType: {row.Bool, arrow.BOOL}, bigquery.DateFieldType: {row.Date, arrow.DATE32},
	bigquery.TimeFieldType: {row.Time, arrow.TIME64}, bigquery.DateTimeFieldType: {row.Timestamp, arrow.TIMESTAMP},
	bigquery.TimestampFieldType: {row.Instant, arrow.TIMESTAMP}, bigquery.NumericFieldType: {row.Decimal, arrow.DECIMAL128},
	bigquery.BigNumericFieldType: {row.Decimal, arrow.DECIMAL256}, bigquery.JSONFieldType: {row.JSON, arrow.STRING},
	bigquery.GeographyFieldType: {row.Text, arrow.STRING}, bigquery.RecordFieldType: {row.JSON, arrow.STRUCT},
}

func (c *column) decide() error {
	f := c.from
	if err := carried(f, f.Name); err != nil {
		return err
	}
	w := wires[f.Type]
	c.kind, c.wire = w.kind, w.wire
	if f.Repeated {
		c.kind, c.wire = row.Array, arrow.LIST
	}
	c.field = row.FieldOf(f.Name, c.kind)
	switch c.kind { //nolint:exhaustive // the others have one type each
	case row.Time:
		c.field.Type = arrow.FixedWidthTypes.Time64us
	case row.Decimal, row.JSON, row.Array:
		c.field = row.TypedField(f.Name, c.kind, typeOf(f))
	case row.Text:
		if f.Type == bigquery.GeographyFieldType {
			c.field = row.TypedField(f.Name, c.kind, typeOf(f))
		}
	}
	return nil
}

// typeOf writes a column's type as GoogleSQL does.
// https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/data-types
func typeOf(f *bigquery.FieldSchema) string {
	t := string(f.Type)
	switch f.Type { //nolint:exhaustive // the others have one name
	case bigquery.IntegerFieldType:
		t = "INT64"
	case bigquery.FloatFieldType:
		t = "FLOAT64"
	case bigquery.BooleanFieldType:
		t = "BOOL"
	case bigquery.RecordFieldType:
		fields := make([]string, len(f.Schema))
		for i, in := range f.Schema {
			fields[i] = dialect.Ident(in.Name) + " " + typeOf(in)
		}
		t = "STRUCT<" + strings.Join(fields, ", ") + ">"
	}
	if f.Repeated {
		return "ARRAY<" + t + ">"
	}
	return t
}

// carried refuses types that cannot be carried exactly, in nested columns too.
func carried(f *bigquery.FieldSchema, column string) error {
	if _, ok := wires[f.Type]; !ok {
		return unsupported(column, string(f.Type))
	}
	if f.Type == bigquery.TimestampFieldType && f.TimestampPrecision > 6 {
		return unsupported(column, fmt.Sprintf("TIMESTAMP(%d)", f.TimestampPrecision))
	}
	for _, in := range f.Schema {
		if err := carried(in, column); err != nil {
			return err
		}
	}
	return nil
}

func unsupported(column, typ string) error {
	return fault.New(fault.SourceTypeUnsupported, "column %q has the type %s, which cannot be carried exactly", column, typ).
		WithFix("Cast it in the model: CAST(%s AS STRING).", dialect.Ident(column))
}

// fits compares what a read session sends with the plan.
func (p *plan) fits(s *arrow.Schema) error {
	if s.NumFields() != len(p.columns) {
		return incomplete("the session has %d columns, the query %d", s.NumFields(), len(p.columns))
	}
	for i, c := range p.columns {
		if got := s.Field(i); got.Name != c.field.Name || got.Type.ID() != c.wire {
			return incomplete("the session has a column %s %s in place of %s %s", got.Name, got.Type, c.field.Name, c.wire)
		}
	}
	return nil
}

// convert makes a batch of the plan's schema. What stands for itself in Arrow passes without a copy.
func (p *plan) convert(b arrow.RecordBatch) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, len(p.columns))
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, c := range p.columns {
		var err error
		if columns[i], err = c.convert(b.Column(i)); err != nil {
			return nil, err
		}
	}
	return array.NewRecordBatch(p.schema, columns, b.NumRows()), nil
}

func (c *column) convert(a arrow.Array) (arrow.Array, error) {
	if a.DataType().ID() != c.field.Type.ID() {
		return c.texts(a)
	}
	if !arrow.TypeEqual(a.DataType(), c.field.Type) {
		return nil, incomplete("column %q arrived as %s and not as %s", c.field.Name, a.DataType(), c.field.Type)
	}
	a.Retain()
	return a, nil
}

// texts writes decimals, arrays and structs as text.
func (c *column) texts(a arrow.Array) (arrow.Array, error) {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	n := a.Len()
	b.Reserve(n)
	var buf []byte
	var scratch row.Scratch
	for i := range n {
		if a.IsNull(i) && c.kind != row.Array {
			b.AppendNull()
			continue
		}
		buf = buf[:0]
		if c.kind == row.Decimal {
			scratch.Reset()
			b.Append(trimmed(scratch.At(a, row.Decimal, i).Str()))
			continue
		}
		var err error
		if buf, err = c.appendNested(buf, c.from, a, i); err != nil {
			return nil, err
		}
		b.BinaryBuilder.Append(buf)
	}
	return b.NewArray(), nil
}

// trimmed takes the zeros off a decimal's end, as BigQuery writes them.
func trimmed(s string) string {
	end := len(s)
	for end > 0 && s[end-1] == '0' {
		end--
	}
	if end > 0 && s[end-1] == '.' {
		return s[:end-1]
	}
	for i := range end {
		if s[i] == '.' {
			return s[:end]
		}
	}
	return s
}
