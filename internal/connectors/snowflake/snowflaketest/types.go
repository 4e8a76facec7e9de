package snowflaketest

import (
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// duckTypes are Snowflake's types (https://docs.snowflake.com/en/sql-reference/intro-summary-data-types) as DuckDB's, without
// their parameters. TIMESTAMP_TZ is an instant in comparisons; TO_TIMESTAMP_TZ gives the type itself.
var duckTypes = map[string]string{
	"NUMBER": "DECIMAL", "NUMERIC": "DECIMAL", "DECIMAL": "DECIMAL",
	"INT": "DECIMAL", "INTEGER": "DECIMAL", "BIGINT": "DECIMAL", "SMALLINT": "DECIMAL", "TINYINT": "DECIMAL", "BYTEINT": "DECIMAL",
	"FLOAT": "DOUBLE", "FLOAT4": "DOUBLE", "FLOAT8": "DOUBLE", "DOUBLE": "DOUBLE", "REAL": "DOUBLE", "DECFLOAT": "UNION(decfloat VARCHAR)",
	"VARCHAR": "VARCHAR", "STRING": "VARCHAR", "TEXT": "VARCHAR", "CHAR": "VARCHAR", "CHARACTER": "VARCHAR", "NVARCHAR": "VARCHAR",
	"BINARY": "BLOB", "VARBINARY": "BLOB", "BOOLEAN": "BOOLEAN", "DATE": "DATE", "TIME": "TIME",
	"TIMESTAMP": "TIMESTAMP", "DATETIME": "TIMESTAMP", "TIMESTAMP_NTZ": "TIMESTAMP", "TIMESTAMP_LTZ": "TIMESTAMPTZ", "TIMESTAMP_TZ": "TIMESTAMPTZ",
	"VARIANT": "JSON", "OBJECT": "MAP(VARCHAR, JSON)", "ARRAY": "JSON[]", "GEOGRAPHY": "UNION(geography VARCHAR)",
}

// isType reports whether the word at i stands where a type does: behind ::, behind AS in a CAST, or behind a column's name in a
// CREATE TABLE.
func (t *translator) isType(i int) bool {
	if _, ok := duckTypes[t.in[i].Value]; !ok && t.in[i].Value != "VECTOR" {
		return false
	}
	before := -1
	for k := i - 1; k >= 0; k-- {
		if t.in[k].Kind != warehousetest.Space {
			before = k
			break
		}
	}
	if before < 0 {
		return false
	}
	after := t.at(t.next(i + 1))
	switch p := t.in[before]; {
	case p.Is("::"):
		return true
	case p.Is("AS"):
		return after.Is(")") || after.Is("(") && t.at(t.next(warehousetest.Closing(t.in, t.next(i+1))+1)).Is(")")
	case p.Kind == warehousetest.Word || p.Kind == warehousetest.Quoted:
		first := t.next(0)
		return t.at(first).Is("CREATE") && !p.Is("SELECT") && !p.Is("BY") && (after.Is(",") || after.Is(")") || after.Is("(") || after.Is("NOT") || after.Is("PRIMARY") || after.Is("DEFAULT"))
	}
	return false
}

// typ writes the type at i for DuckDB.
func (t *translator) typ(i int) (int, bool) {
	name := t.in[i].Value
	spans, behind, parameters := t.args(i)
	if !parameters {
		behind = i + 1
	}
	param := func(k int) string {
		if k >= len(spans) {
			return ""
		}
		return strings.TrimSpace(warehousetest.Join(t.in[spans[k][0]:spans[k][1]]))
	}
	duck := duckTypes[name]
	switch {
	case name == "VECTOR":
		duck = param(0) + "[" + param(1) + "]"
	case duck == "DECIMAL" && !parameters:
		duck = "DECIMAL(38, 0)"
	case duck == "DECIMAL":
		scale := param(1)
		if scale == "" {
			scale = "0"
		}
		duck = "DECIMAL(" + param(0) + ", " + scale + ")"
	case duck == "TIMESTAMP" && param(0) != "":
		switch n, err := strconv.Atoi(param(0)); {
		case err != nil:
		case n == 0:
			duck = "TIMESTAMP_S"
		case n <= 3:
			duck = "TIMESTAMP_MS"
		case n > 6:
			duck = "TIMESTAMP_NS"
		}
	}
	t.out.WriteString(duck)
	return behind, true
}

// rowType is a column as an answer declares it.
type rowType struct {
	Name       string  `json:"name"`
	Database   string  `json:"database"`
	Schema     string  `json:"schema"`
	Table      string  `json:"table"`
	Nullable   bool    `json:"nullable"`
	Length     *int    `json:"length"`
	Type       string  `json:"type"`
	Scale      *int    `json:"scale"`
	Precision  *int    `json:"precision"`
	ByteLength *int    `json:"byteLength"`
	Collation  *string `json:"collation"`
}

// rowTypeOf gives the declaration of a column by its DuckDB type. Whole numbers of DuckDB's have the digits Snowflake gives to
// what they come from here: literals, counts and row numbers.
func rowTypeOf(c warehousetest.Column) rowType {
	out := rowType{Name: decodeNames(c.Name), Nullable: true}
	is := func(typ string, precision, scale int) rowType {
		out.Type = typ
		if precision > 0 {
			out.Precision = &precision
		}
		if precision > 0 || scale > 0 {
			out.Scale = &scale
		}
		return out
	}
	base, params, _ := strings.Cut(strings.TrimSuffix(c.Type, ")"), "(")
	switch {
	case strings.HasSuffix(c.Type, "]") && !strings.HasSuffix(c.Type, "[]"):
		return is("vector", 0, 0)
	case c.Type == "UNION(decfloat VARCHAR)":
		return is("decfloat", 38, 0)
	case c.Type == "UNION(timestamp_tz VARCHAR)":
		return is("timestamp_tz", 0, 9)
	case c.Type == "UNION(geography VARCHAR)":
		return is("object", 0, 0)
	case strings.HasSuffix(c.Type, "[]"):
		return is("array", 0, 0)
	case strings.HasPrefix(c.Type, "MAP("), strings.HasPrefix(c.Type, "STRUCT("):
		return is("object", 0, 0)
	}
	switch base {
	case "DECIMAL":
		p, s, _ := strings.Cut(params, ",")
		precision, _ := strconv.Atoi(strings.TrimSpace(p)) //nolint:errcheck // DuckDB wrote it
		scale, _ := strconv.Atoi(strings.TrimSpace(s))     //nolint:errcheck // DuckDB wrote it
		return is("fixed", precision, scale)
	case "TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER", "BIGINT":
		return is("fixed", 18, 0)
	case "UBIGINT", "HUGEINT", "UHUGEINT":
		return is("fixed", 38, 0)
	case "FLOAT", "DOUBLE":
		return is("real", 0, 0)
	case "BOOLEAN":
		return is("boolean", 0, 0)
	case "BLOB":
		length := 8388608
		out.Length, out.ByteLength = &length, &length
		return is("binary", 0, 0)
	case "DATE":
		return is("date", 0, 0)
	case "TIME":
		return is("time", 0, 9)
	case "TIMESTAMP_S":
		zero := 0
		out.Scale = &zero
		return is("timestamp_ntz", 0, 0)
	case "TIMESTAMP_MS":
		return is("timestamp_ntz", 0, 3)
	case "TIMESTAMP", "TIMESTAMP_NS":
		return is("timestamp_ntz", 0, 9)
	case "TIMESTAMP WITH TIME ZONE":
		return is("timestamp_ltz", 0, 9)
	case "JSON":
		return is("variant", 0, 0)
	}
	length, bytes := 134217728, 134217728
	out.Length, out.ByteLength = &length, &bytes
	return is("text", 0, 0)
}
