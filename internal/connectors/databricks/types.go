package databricks

import (
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// column is one column of a result: what the engine gets, and how it comes.
type column struct {
	field arrow.Field
	kind  row.Kind
	sql   string // "DECIMAL(10,2)"
	from  func(arrow.Array) (arrow.Array, error)
}

// sqlNameKey is the Arrow metadata in which Databricks writes a column's type. Where the manifest says STRING of a nested column
// whose values come as text, it tells the truth: "ARRAY<INT>". Seen in the vendor's own client,
// https://github.com/databricks/databricks-jdbc/pull/1440
const sqlNameKey = "Spark:DataType:SqlName"

// columnsOf gives the columns of a result by its manifest. With the schema of an Arrow stream it also says how to convert them.
func columnsOf(m manifest, stream *arrow.Schema) ([]column, error) {
	infos := m.Schema.Columns
	if stream != nil && stream.NumFields() != len(infos) {
		return nil, fault.New(fault.SourceIncomplete, "a part of the result has %d columns, the result %d", stream.NumFields(), len(infos))
	}
	seen := map[string]bool{}
	out := make([]column, len(infos))
	for i, info := range infos {
		if seen[info.Name] {
			return nil, fault.New(fault.SourceQueryFailed, "the query yields two columns named %q", info.Name).WithFix("Give one of them another name with AS.")
		}
		seen[info.Name] = true
		sql := info.Text
		if sql == "" {
			sql = info.Type
			if sql == "DECIMAL" {
				sql += "(" + strconv.Itoa(int(info.Precision)) + "," + strconv.Itoa(int(info.Scale)) + ")"
			}
		}
		if stream != nil {
			if told, ok := stream.Field(i).Metadata.GetValue(sqlNameKey); ok && base(sql) == "STRING" && told != "" {
				sql = told
			}
		}
		c, err := columnOf(info.Name, sql)
		if err != nil {
			return nil, err
		}
		if stream != nil {
			if c.from, err = c.converter(stream.Field(i).Type); err != nil {
				return nil, err
			}
		}
		out[i] = c
	}
	return out, nil
}

func schemaOf(cols []column) *arrow.Schema {
	fields := make([]arrow.Field, len(cols))
	for i, c := range cols {
		fields[i] = c.field
	}
	return arrow.NewSchema(fields, nil)
}

// base is the type's name without its arguments, in upper case.
func base(sql string) string {
	sql = strings.ToUpper(strings.TrimSpace(sql))
	if i := strings.IndexAny(sql, "(< "); i >= 0 {
		sql = sql[:i]
	}
	return sql
}

// columnOf gives a column of a SQL type, https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-datatypes. The manifest's
// type_name spells some by their Java names.
func columnOf(name, sql string) (column, error) {
	of := func(k row.Kind, t arrow.DataType) (column, error) {
		f := row.FieldOf(name, k)
		if t != nil {
			f.Type, f.Metadata = t, arrow.Metadata{}
		}
		return column{field: f, kind: k, sql: sql}, nil
	}
	switch b := base(sql); b {
	case "BOOLEAN":
		return of(row.Bool, nil)
	case "TINYINT", "BYTE":
		return of(row.Int, arrow.PrimitiveTypes.Int8)
	case "SMALLINT", "SHORT":
		return of(row.Int, arrow.PrimitiveTypes.Int16)
	case "INT", "INTEGER":
		return of(row.Int, arrow.PrimitiveTypes.Int32)
	case "BIGINT", "LONG":
		return of(row.Int, nil)
	case "FLOAT", "REAL":
		return of(row.Float, arrow.PrimitiveTypes.Float32)
	case "DOUBLE":
		return of(row.Float, nil)
	case "DECIMAL", "NUMERIC", "DEC":
		p, s, ok := decimalArgs(sql)
		if !ok {
			return column{}, unsupported(name, sql)
		}
		return of(row.Decimal, &arrow.Decimal128Type{Precision: p, Scale: s})
	case "STRING", "CHAR", "VARCHAR", "GEOGRAPHY", "GEOMETRY":
		return of(row.Text, nil)
	case "BINARY":
		return of(row.Bytes, nil)
	case "DATE":
		return of(row.Date, nil)
	case "TIME":
		return of(row.Time, nil)
	case "TIMESTAMP", "TIMESTAMP_LTZ":
		return of(row.Instant, nil)
	case "TIMESTAMP_NTZ":
		return of(row.Timestamp, nil)
	case "INTERVAL":
		return of(row.Interval, nil)
	case "ARRAY":
		return of(row.Array, nil)
	case "MAP", "STRUCT", "VARIANT", "OBJECT":
		return of(row.JSON, nil)
	case "VOID", "NULL":
		return of(row.Null, arrow.Null)
	}
	return column{}, unsupported(name, sql)
}

// decimalArgs reads DECIMAL(p,s); without arguments it is DECIMAL(10,0).
func decimalArgs(sql string) (p, s int32, ok bool) {
	_, args, found := strings.Cut(sql, "(")
	if !found {
		return 10, 0, true
	}
	a, b, two := strings.Cut(strings.TrimSuffix(strings.TrimSpace(args), ")"), ",")
	pp, err := strconv.ParseInt(strings.TrimSpace(a), 10, 32)
	ss := int64(0)
	if err == nil && two {
		ss, err = strconv.ParseInt(strings.TrimSpace(b), 10, 32)
	}
	return int32(pp), int32(ss), err == nil && pp > 0 && pp <= 38 && ss >= 0 && ss <= pp
}

func unsupported(name, sql string) error {
	return fault.New(fault.SourceTypeUnsupported, "column %q has type %s, which cannot be carried", name, sql).
		WithFix("Cast it in the model's SQL: CAST(%s AS STRING), or TO_JSON(%[1]s).", dialect.Ident(name))
}

// refuse says that a value cannot be carried exactly.
func (c column) refuse(why, cast string) error {
	return fault.New(fault.SourceValue, "column %q (%s) %s", c.field.Name, c.sql, why).
		WithFix("Write %s in the model's SQL.", strings.ReplaceAll(cast, "%s", dialect.Ident(c.field.Name)))
}
