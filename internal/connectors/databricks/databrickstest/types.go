package databrickstest

import (
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/warehousetest"
)

// column is a column of a result.
type column struct {
	name string
	sql  string // DECIMAL(10,2)
	java string // the manifest's type_name: LONG for BIGINT
}

// plainTypes are DuckDB's types with Databricks' names
// (https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-datatypes).
var plainTypes = map[string][2]string{
	"BOOLEAN": {"BOOLEAN", "BOOLEAN"}, "TINYINT": {"TINYINT", "BYTE"}, "SMALLINT": {"SMALLINT", "SHORT"}, "INTEGER": {"INT", "INT"},
	"BIGINT": {"BIGINT", "LONG"}, "HUGEINT": {"DECIMAL(38,0)", "DECIMAL"}, "FLOAT": {"FLOAT", "FLOAT"}, "DOUBLE": {"DOUBLE", "DOUBLE"},
	"VARCHAR": {"STRING", "STRING"}, "BLOB": {"BINARY", "BINARY"}, "DATE": {"DATE", "DATE"}, "TIMESTAMP": {"TIMESTAMP_NTZ", "TIMESTAMP_NTZ"},
	"TIMESTAMP WITH TIME ZONE": {"TIMESTAMP", "TIMESTAMP"}, "JSON": {"VARIANT", "VARIANT"}, `"NULL"`: {"VOID", "NULL"},
	"TIMESTAMP_S": {"INTERVAL YEAR TO MONTH", "INTERVAL"}, "TIMESTAMP_NS": {"INTERVAL DAY TO SECOND", "INTERVAL"},
}

func columnOf(c warehousetest.Column) column {
	sql, java := sqlType(c.Type)
	return column{name: c.Name, sql: sql, java: java}
}

func sqlType(duck string) (sql, java string) {
	upper := strings.ToUpper(duck)
	if n, ok := plainTypes[upper]; ok {
		return n[0], n[1]
	}
	switch {
	case strings.HasPrefix(upper, "DECIMAL("):
		return upper, "DECIMAL"
	case strings.HasSuffix(upper, "[]"):
		inner, _ := sqlType(strings.TrimSuffix(duck, "[]"))
		return "ARRAY<" + inner + ">", "ARRAY"
	case strings.HasPrefix(upper, "STRUCT("):
		return "STRUCT<...>", "STRUCT"
	case strings.HasPrefix(upper, "MAP("):
		return "MAP<...>", "MAP"
	}
	return duck, "USER_DEFINED_TYPE"
}

func (c column) nested() bool {
	return c.java == "ARRAY" || c.java == "STRUCT" || c.java == "MAP" || c.java == "VARIANT"
}

// manifestColumns describes columns. With links, nested ones are called STRING, as their values come as text; the Arrow schema
// tells their type (https://github.com/databricks/databricks-jdbc/pull/1440).
func manifestColumns(columns []column, inline bool) []map[string]any {
	out := make([]map[string]any, len(columns))
	for i, c := range columns {
		if c.nested() && !inline {
			c.sql, c.java = "STRING", "STRING"
		}
		out[i] = map[string]any{"name": c.name, "position": i, "type_name": c.java, "type_text": c.sql}
		if c.java == "DECIMAL" {
			var p, s int
			if _, err := sscan(c.sql, &p, &s); err == nil {
				out[i]["type_precision"], out[i]["type_scale"] = p, s
			}
		}
	}
	return out
}

// arrowSchema is that of the streams: instants in the session's zone, intervals as such, nested values as text.
func arrowSchema(columns []column) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.name, Nullable: true, Type: arrowType(c), Metadata: arrow.NewMetadata([]string{"Spark:DataType:SqlName"}, []string{c.sql})}
	}
	return arrow.NewSchema(fields, nil)
}

func arrowType(c column) arrow.DataType {
	switch c.java {
	case "BOOLEAN":
		return arrow.FixedWidthTypes.Boolean
	case "BYTE":
		return arrow.PrimitiveTypes.Int8
	case "SHORT":
		return arrow.PrimitiveTypes.Int16
	case "INT":
		return arrow.PrimitiveTypes.Int32
	case "LONG":
		return arrow.PrimitiveTypes.Int64
	case "FLOAT":
		return arrow.PrimitiveTypes.Float32
	case "DOUBLE":
		return arrow.PrimitiveTypes.Float64
	case "DECIMAL":
		var p, s int32
		_, _ = sscan(c.sql, &p, &s) //nolint:errcheck // written by this package
		return &arrow.Decimal128Type{Precision: p, Scale: s}
	case "BINARY":
		return arrow.BinaryTypes.Binary
	case "DATE":
		return arrow.FixedWidthTypes.Date32
	case "TIMESTAMP":
		return &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "Etc/UTC"}
	case "TIMESTAMP_NTZ":
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	case "NULL":
		return arrow.Null
	case "INTERVAL":
		if c.sql == "INTERVAL YEAR TO MONTH" {
			return arrow.FixedWidthTypes.MonthInterval
		}
		return arrow.FixedWidthTypes.Duration_us
	}
	return arrow.BinaryTypes.String
}

// relabel takes DuckDB's column under the type it has on the wire; the memory is the same.
func (c column) relabel(a arrow.Array, t arrow.DataType) arrow.Array {
	switch t.ID() { //nolint:exhaustive // those of another form
	case arrow.NULL:
		return array.NewNull(a.Len())
	case arrow.INTERVAL_MONTHS:
		b := array.NewMonthIntervalBuilder(memory.DefaultAllocator)
		defer b.Release()
		for i := range a.Len() {
			if a.IsNull(i) {
				b.AppendNull()
			} else {
				b.Append(arrow.MonthInterval(a.(*array.Timestamp).Value(i))) //nolint:forcetypeassert // see interval
			}
		}
		return b.NewArray()
	}
	d := a.Data()
	same := array.NewData(t, d.Len(), d.Buffers(), nil, d.NullN(), d.Offset())
	defer same.Release()
	return array.MakeFromData(same)
}

// text is a value as JSON_ARRAY has it, the text of a CAST to STRING
// (https://docs.databricks.com/api/workspace/statementexecution/executestatement).
func (c column) text(v row.Value) string {
	if c.java != "INTERVAL" {
		return v.String()
	}
	n, nanos := v.Unix()
	if c.sql != "INTERVAL YEAR TO MONTH" {
		n = n*1e9 + int64(nanos)
	}
	return intervalText(c.sql, n)
}
