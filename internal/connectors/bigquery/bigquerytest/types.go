package bigquerytest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	bq "google.golang.org/api/bigquery/v2"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// kinds are the engine's types, and what BigQuery calls them and sends.
// https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema.FIELDS.type,
// https://docs.cloud.google.com/bigquery/docs/reference/storage#arrow_schema_details
var kinds = map[string]struct {
	name  string
	arrow arrow.DataType
	cast  string // what the engine keeps it as
}{
	"BIGINT": {"INTEGER", arrow.PrimitiveTypes.Int64, "BIGINT"}, "DOUBLE": {"FLOAT", arrow.PrimitiveTypes.Float64, "DOUBLE"},
	"VARCHAR": {"STRING", arrow.BinaryTypes.String, "VARCHAR"}, "BLOB": {"BYTES", arrow.BinaryTypes.Binary, "BLOB"},
	"BOOLEAN": {"BOOLEAN", arrow.FixedWidthTypes.Boolean, "BOOLEAN"}, "DATE": {"DATE", arrow.FixedWidthTypes.Date32, "DATE"},
	"TIME": {"TIME", arrow.FixedWidthTypes.Time64us, "TIME"}, "TIMESTAMP": {"DATETIME", &arrow.TimestampType{Unit: arrow.Microsecond}, "TIMESTAMP"},
	"TIMESTAMP WITH TIME ZONE":  {"TIMESTAMP", &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, "TIMESTAMPTZ"},
	"DECIMAL":                   {"NUMERIC", &arrow.Decimal128Type{Precision: 38, Scale: 9}, "DECIMAL(38,9)"},
	"UNION(bignumeric VARCHAR)": {"BIGNUMERIC", &arrow.Decimal256Type{Precision: 76, Scale: 38}, "VARCHAR"},
	"JSON":                      {"JSON", arrow.BinaryTypes.String, "JSON"}, "UNION(geography VARCHAR)": {"GEOGRAPHY", arrow.BinaryTypes.String, "VARCHAR"},
	"INTERVAL": {"INTERVAL", arrow.BinaryTypes.String, "VARCHAR"}, "UNION(range_date VARCHAR)": {"RANGE", arrow.BinaryTypes.String, "VARCHAR"},
}

// same are types of the engine that BigQuery has one for.
var same = map[string]string{
	"INTEGER": "BIGINT", "SMALLINT": "BIGINT", "TINYINT": "BIGINT", "UINTEGER": "BIGINT", "HUGEINT": "BIGINT", "UBIGINT": "BIGINT", "UHUGEINT": "BIGINT",
	"FLOAT": "DOUBLE", `"NULL"`: "BIGINT", "NULL": "BIGINT",
}

// wire is a column as BigQuery shows and sends it.
type wire struct {
	field  *bq.TableFieldSchema
	arrow  arrow.Field
	cast   string // of the engine's column
	nested bool
}

// wires gives the columns of an answer; names that BigQuery refuses are refused.
// https://docs.cloud.google.com/bigquery/docs/schemas#column_names, #flexible-column-names
func wires(columns []warehousetest.Column) ([]wire, error) {
	out := make([]wire, len(columns))
	seen := map[string]bool{}
	for i, c := range columns {
		if c.Name == "" || strings.ContainsAny(c.Name, "!\"$()*,./;?@[\\]^`{}~") {
			return nil, invalid("Invalid field name %q. Fields must contain the allowed characters, and be at most 300 characters long.", c.Name)
		}
		if low := strings.ToLower(c.Name); seen[low] {
			return nil, invalid("Duplicate column names in the result are not supported. Found duplicate(s): %s", c.Name)
		} else { //nolint:revive // the name is of this choice
			seen[low] = true
		}
		f, a, err := shape(c.Name, c.Type)
		if err != nil {
			return nil, err
		}
		w := wire{field: f, arrow: a, nested: f.Type == "RECORD" || f.Mode == "REPEATED"}
		if !w.nested {
			w.cast = kinds[plainType(c.Type)].cast
		}
		out[i] = w
	}
	return out, nil
}

var decimalType = regexp.MustCompile(`^DECIMAL\(\d+,\d+\)$`)

func plainType(t string) string {
	if decimalType.MatchString(t) {
		return "DECIMAL"
	}
	if one, ok := same[t]; ok {
		return one
	}
	return t
}

// shape reads a type of the engine: "STRUCT(a INTEGER, b VARCHAR[])".
func shape(name, t string) (*bq.TableFieldSchema, arrow.Field, error) {
	f := &bq.TableFieldSchema{Name: name, Mode: "NULLABLE"}
	if inner, ok := strings.CutSuffix(t, "[]"); ok {
		one, a, err := shape("item", inner)
		if err != nil {
			return nil, arrow.Field{}, err
		}
		if one.Mode == "REPEATED" {
			return nil, arrow.Field{}, invalid("Cannot construct array with element type ARRAY because nested arrays are not supported")
		}
		f.Type, f.Fields, f.Mode = one.Type, one.Fields, "REPEATED"
		return f, arrow.Field{Name: name, Type: arrow.ListOfField(a)}, nil
	}
	if inner, ok := strings.CutPrefix(t, "STRUCT("); ok {
		var fields []arrow.Field
		for _, part := range parts(strings.TrimSuffix(inner, ")")) {
			fieldName, typ := firstName(part)
			one, a, err := shape(fieldName, typ)
			if err != nil {
				return nil, arrow.Field{}, err
			}
			f.Fields, fields = append(f.Fields, one), append(fields, a)
		}
		f.Type = "RECORD"
		return f, arrow.Field{Name: name, Type: arrow.StructOf(fields...), Nullable: true}, nil
	}
	k, ok := kinds[plainType(t)]
	if !ok {
		return nil, arrow.Field{}, fmt.Errorf("the stand-in has no type for %s of column %s", t, name)
	}
	f.Type = k.name
	if f.Type == "RANGE" {
		f.RangeElementType = &bq.TableFieldSchemaRangeElementType{Type: "DATE"}
	}
	return f, arrow.Field{Name: name, Type: k.arrow, Nullable: true}, nil
}

// parts cuts a list at its own commas.
func parts(s string) (out []string) {
	depth, from, quoted := 0, 0, false
	for i, c := range s {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out = append(out, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(out, strings.TrimSpace(s[from:]))
}

func firstName(s string) (name, rest string) {
	if s != "" && s[0] == '"' {
		end := strings.Index(s[1:], `"`) + 1
		return s[1:end], strings.TrimSpace(s[end+1:])
	}
	name, rest, _ = strings.Cut(s, " ")
	return name, strings.TrimSpace(rest)
}

func invalid(format string, args ...any) *problem {
	return &problem{status: 400, reason: "invalidQuery", message: fmt.Sprintf(format, args...)}
}
