package snowflake

import (
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// column is one column of an answer: its field, and how what is on the wire becomes it.
type column struct {
	field   arrow.Field
	scale   int32
	offset  bool // a timestamp that comes with its zone's offset
	convert func(*column, arrow.Array) (arrow.Array, error)
}

// planColumns reads what the server says of an answer's columns. The same type on the wire takes a varying form: a NUMBER is sent
// in the fewest bytes its part of the answer needs. What a column becomes depends on its declared type only.
func planColumns(l sf.ArrowStreamLoader) ([]column, error) {
	types := l.RowTypes()
	out := make([]column, len(types))
	seen := make(map[string]bool, len(types))
	for i, t := range types {
		c, err := planColumn(dialect.Known(t.Name), strings.ToLower(t.Type), int32(t.Precision), int32(t.Scale))
		if err != nil {
			return nil, err
		}
		if seen[c.field.Name] {
			return nil, fault.New(fault.SourceQueryFailed, "planning the query: two columns are named %q", c.field.Name).
				WithFix("Give one of them another name with AS.")
		}
		seen[c.field.Name] = true
		out[i] = c
	}
	return out, nil
}

// planColumn decides how a type is carried (https://docs.snowflake.com/en/sql-reference/intro-summary-data-types).
func planColumn(name, typ string, precision, scale int32) (column, error) {
	c := column{scale: scale, offset: typ == "timestamp_tz"}
	is := func(t arrow.DataType, convert func(*column, arrow.Array) (arrow.Array, error)) (column, error) {
		c.field = arrow.Field{Name: name, Type: t, Nullable: true}
		c.convert = convert
		return c, nil
	}
	as := func(k row.Kind, convert func(*column, arrow.Array) (arrow.Array, error)) (column, error) {
		_, _ = is(arrow.BinaryTypes.String, convert) //nolint:errcheck // it never fails
		c.field.Metadata = arrow.NewMetadata([]string{connector.KindKey}, []string{k.String()})
		return c, nil
	}
	switch typ {
	case "fixed":
		if precision <= 0 || precision > 38 {
			precision = 38
		}
		if scale == 0 && precision <= 18 {
			return is(arrow.PrimitiveTypes.Int64, toInt64)
		}
		return is(&arrow.Decimal128Type{Precision: precision, Scale: scale}, toDecimal)
	case "real":
		return is(arrow.PrimitiveTypes.Float64, same)
	case "decfloat":
		return as(row.Decimal, fromDecfloat)
	case "boolean":
		return is(arrow.FixedWidthTypes.Boolean, same)
	case "text":
		return is(arrow.BinaryTypes.String, same)
	case "binary":
		return is(arrow.BinaryTypes.Binary, same)
	case "date":
		return is(arrow.FixedWidthTypes.Date32, same)
	case "time":
		return is(arrow.FixedWidthTypes.Time64ns, toTime)
	case "timestamp_ntz":
		return is(&arrow.TimestampType{Unit: unitFor(scale)}, toTimestamp)
	case "timestamp_ltz", "timestamp_tz":
		return is(&arrow.TimestampType{Unit: unitFor(scale), TimeZone: "UTC"}, toTimestamp)
	case "variant", "object", "map", "geography", "geometry":
		return as(row.JSON, fromJSON)
	case "array":
		return as(row.Array, fromJSON)
	case "vector":
		return column{}, unsupported(name, "VECTOR", "::ARRAY")
	}
	return column{}, unsupported(name, strings.ToUpper(typ), "::VARCHAR")
}

// unsupported names the cast that makes a column of a type that can be carried.
func unsupported(name, typ, cast string) error {
	return fault.New(fault.SourceTypeUnsupported, "planning the query: column %q has type %s, which cannot be carried", name, typ).
		WithFix("Cast it in the model: %s%s AS %s.", dialect.Ident(name), cast, dialect.Ident(name))
}

// unitFor is the unit in which a column's times are given. Nanoseconds reach from 1678 to 2262: see toTimestamp.
func unitFor(scale int32) arrow.TimeUnit {
	if scale > 6 {
		return arrow.Nanosecond
	}
	return arrow.Microsecond
}

func schemaOf(cols []column) *arrow.Schema {
	fields := make([]arrow.Field, len(cols))
	for i := range cols {
		fields[i] = cols[i].field
	}
	return arrow.NewSchema(fields, nil)
}
