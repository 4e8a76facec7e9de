package roundtrip_test

import (
	"fmt"
	"maps"
	"strconv"
	"testing"

	"github.com/upwelldata/upwell/internal/testdb"
)

// narrowed is a dialect with some columns of other types.
func (d dialect) narrowed(types map[string]column) dialect {
	d.columns = maps.Clone(d.columns)
	maps.Copy(d.columns, types)
	return d
}

// narrowPostgres is a table whose columns hold less than the model has. The server would round most of it without a word.
func narrowPostgres(t *testing.T) *destination {
	d := postgresDialect.narrowed(map[string]column{
		"bool": {typ: "smallint"}, "int": {typ: "integer"}, "uint": {typ: "bigint"}, "float": {typ: "real"}, "decimal": {typ: "numeric(10,2)"},
		"text": {typ: "varchar(20)"}, "time": {typ: "time(3)"}, "timestamp": {typ: "timestamp(3)"}, "instant": {typ: "timestamptz(0)"},
		"interval": {typ: "interval(0)"}, "uuid": {typ: "char(40)"}, "json": {typ: "jsonb"},
		"ints": {typ: "integer[]", out: "array_to_json(%s)::text"}, "texts": {typ: "varchar(4)[]", out: "array_to_json(%s)::text"},
	})
	dsn := inBerlin(t)
	dest := tableDestination(t, d, connect(t, "pgx", dsn), fmt.Sprintf("type: postgres, dsn: %q", dsn))
	dest.name = "narrowpostgres"
	dest.makes = func(column, text string) string { // a real prints a number that it holds exactly in fewer digits
		if f, err := strconv.ParseFloat(text, 64); column == "float" && err == nil && float64(float32(f)) == f {
			return strconv.FormatFloat(f, 'g', -1, 32)
		}
		return text
	}
	return dest
}

// narrowMySQL is the same for MariaDB.
func narrowMySQL(t *testing.T) *destination {
	d := mysqlDialect.narrowed(map[string]column{
		"bool": {typ: "bit(1)", out: "%s+0"}, "int": {typ: "int"}, "uint": {typ: "int unsigned"}, "float": {typ: "decimal(20,10)"}, "decimal": {typ: "decimal(10,2)"},
		"text": {typ: "varchar(20)"}, "bytes": {typ: "varbinary(4)", out: "HEX(%s)"}, "time": {typ: "time"}, "timestamp": {typ: "datetime(3)"},
		"instant": {typ: "timestamp null", out: "CONCAT(%s, 'Z')"}, "interval": {typ: "varchar(14)"}, "uuid": {typ: "uuid"}, "json": {typ: "varchar(61)"},
		"ints": {typ: "varchar(30)"}, "texts": {typ: "tinytext"},
	})
	dsn := testdb.MySQL(t)
	dest := tableDestination(t, d, connect(t, "mysql", dsn), fmt.Sprintf("type: mysql, dsn: %q", dsn))
	dest.name = "narrowmysql"
	return dest
}

// A column that cannot hold a value exactly refuses it: nothing is rounded, cut or padded.
func Test_a_narrow_column_takes_a_value_exactly_or_refuses_it(t *testing.T) {
	for _, newSource := range sources {
		src := newSource(t)
		for _, newDestination := range []func(*testing.T) *destination{narrowPostgres, narrowMySQL} {
			dest := newDestination(t)
			t.Run(src.name+" to "+dest.name, func(t *testing.T) {
				t.Parallel()
				roundTrip(t, src, dest)
			})
		}
	}
}
