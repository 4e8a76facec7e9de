package roundtrip_test

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/upwelldata/upwell/internal/testdb"
)

// source is a place models are read from, filled with every example it can hold.
type source struct {
	name     string
	settings string // of the connection, in flow style
	model    string // table or sql, and the types to declare
	// holds is every row by its id: the source's own text of each value.
	holds map[string]map[string]string
	// alters are the examples the source does not keep as they were written into it, with the reason.
	alters map[string]string
}

// column is how a database spells one kind.
type column struct {
	typ  string
	in   string // makes the value of a text parameter, %s
	out  string // the database's own text of the column, %s
	decl string // type to declare in the project, where the database has none of its own
}

// dialect is a database that can be filled.
type dialect struct {
	name     string
	columns  map[string]column
	setup    []string                         // statements of the filling session
	argument func(column, text string) any    // the parameter
	lacks    func(e example) bool             // values that the database cannot hold at all
	makes    func(column, text string) string // what the database is known to make of a value, nil = nothing
}

var duckdbDialect = dialect{
	name: "duckdb", setup: []string{"SET TimeZone = 'UTC'"},
	columns: map[string]column{
		"bool": {typ: "BOOLEAN"}, "int": {typ: "BIGINT"}, "uint": {typ: "UBIGINT"}, "float": {typ: "DOUBLE"}, "decimal": {typ: "DECIMAL(38,18)"},
		"text": {typ: "VARCHAR"}, "bytes": {typ: "BLOB", in: "from_hex(%s)", out: "hex(%s)"}, "date": {typ: "DATE"}, "time": {typ: "TIME"},
		"timestamp": {typ: "TIMESTAMP"}, "instant": {typ: "TIMESTAMPTZ"}, "uuid": {typ: "UUID"}, "json": {typ: "JSON"},
		"interval": {typ: "INTERVAL", in: "(SELECT to_months(p[1]::INTEGER) + to_days(p[2]::INTEGER) + to_microseconds(p[3]::BIGINT) FROM (SELECT string_split(%s, ' ') AS p))"},
		"ints":     {typ: "BIGINT[]", in: `from_json(%s, '["BIGINT"]')`, out: "to_json(%s)::VARCHAR"},
		"texts":    {typ: "VARCHAR[]", in: `from_json(%s, '["VARCHAR"]')`, out: "to_json(%s)::VARCHAR"},
	},
	argument: func(col, text string) any {
		if col != "interval" {
			return text
		}
		months, days, micros, err := parts(text)
		if err != nil {
			panic(err)
		}
		return fmt.Sprintf("%d %d %d", months, days, micros)
	},
	lacks: func(e example) bool { return false },
}

var postgresDialect = dialect{
	name: "postgres", setup: []string{"SET TIME ZONE 'UTC'", "SET datestyle = 'ISO'", "SET intervalstyle = 'iso_8601'"},
	columns: map[string]column{
		"bool": {typ: "boolean"}, "int": {typ: "bigint"}, "uint": {typ: "numeric(20,0)"}, "float": {typ: "double precision"}, "decimal": {typ: "numeric(38,18)"},
		"text": {typ: "text"}, "bytes": {typ: "bytea", in: "decode(%s, 'hex')", out: "encode(%s, 'hex')"}, "date": {typ: "date"}, "time": {typ: "time"},
		"timestamp": {typ: "timestamp"}, "instant": {typ: "timestamptz"}, "uuid": {typ: "uuid"}, "json": {typ: "json"}, "interval": {typ: "interval"},
		"ints":  {typ: "bigint[]", in: "(SELECT coalesce(array_agg(v::bigint ORDER BY n), '{}') FROM json_array_elements_text(%s::json) WITH ORDINALITY AS e(v, n) WHERE %[1]s IS NOT NULL)", out: "array_to_json(%s)::text"},
		"texts": {typ: "text[]", in: "(SELECT coalesce(array_agg(v ORDER BY n), '{}') FROM json_array_elements_text(%s::json) WITH ORDINALITY AS e(v, n))", out: "array_to_json(%s)::text"},
	},
	lacks: func(e example) bool { return e.id() == "text:nul" },
}

var mysqlDialect = dialect{
	name: "mysql", setup: []string{"SET time_zone = '+00:00'", "SET sql_mode = 'STRICT_ALL_TABLES'"},
	columns: map[string]column{
		"bool": {typ: "boolean", decl: "bool"}, "int": {typ: "bigint"}, "uint": {typ: "bigint unsigned"}, "float": {typ: "double"}, "decimal": {typ: "decimal(38,18)"},
		"text": {typ: "longtext"}, "bytes": {typ: "longblob", in: "UNHEX(%s)", out: "HEX(%s)"}, "date": {typ: "date"}, "time": {typ: "time(6)"},
		"timestamp": {typ: "datetime(6)"}, "instant": {typ: "timestamp(6) null", out: "CONCAT(%s, 'Z')"}, "uuid": {typ: "char(36)", decl: "uuid"}, "json": {typ: "json", decl: "json"},
		"interval": {typ: "varchar(100)", decl: "interval"}, "ints": {typ: "json", decl: "array"}, "texts": {typ: "json", decl: "array"},
	},
	makes: func(column, text string) string {
		if column == "float" && (text == "-0" || text == "-0.0") { // there is no minus zero in MariaDB
			return "0"
		}
		return text
	},
	argument: func(col, text string) any {
		switch col {
		case "instant":
			return strings.TrimSuffix(text, "Z")
		case "bool":
			return text == "true"
		}
		return text
	},
	lacks: func(e example) bool {
		switch e.id() {
		case "float:nan", "float:minus zero", "float:inf", "float:-inf", "instant:first", "instant:last", "instant:before epoch", "instant:epoch", "instant:past 2038":
			return true
		}
		return false
	},
}

// SQLite types values, not columns: what it cannot hold itself is kept as text and declared in the project.
var sqliteDialect = dialect{
	name: "sqlite",
	columns: map[string]column{
		"bool": {typ: "BOOLEAN"}, "int": {typ: "INTEGER"}, "uint": {typ: "TEXT", decl: "uint"}, "float": {typ: "REAL", out: "CASE WHEN %[1]s IS NOT NULL THEN printf('%%!.17g', %[1]s) END"},
		"decimal": {typ: "TEXT", decl: "decimal"}, "text": {typ: "TEXT", out: "%s"}, "bytes": {typ: "BLOB", out: "CASE WHEN %[1]s IS NOT NULL THEN hex(%[1]s) END"}, "date": {typ: "DATE"}, "time": {typ: "TIME"},
		"timestamp": {typ: "DATETIME"}, "instant": {typ: "TIMESTAMPTZ"}, "uuid": {typ: "UUID"}, "json": {typ: "JSON"}, "interval": {typ: "TEXT", decl: "interval"},
		"ints": {typ: "TEXT", decl: "array"}, "texts": {typ: "TEXT", decl: "array"},
	},
	argument: func(col, text string) any {
		switch col {
		case "bool":
			return text == "true"
		case "bytes":
			b, err := hex.DecodeString(text)
			if err != nil {
				panic(err)
			}
			return b
		case "float":
			f, err := strconv.ParseFloat(text, 64)
			if err != nil {
				panic(err)
			}
			return f
		}
		return text
	},
	lacks: func(e example) bool { return e.id() == "float:nan" || e.id() == "float:minus zero" },
}

// values are those of one row by column.
type values map[string]string

// rows are one row per example the dialect can hold, one with a value in every column, and one with none.
func (d *dialect) rows() (ids []string, vals []values) {
	all := values{}
	for _, e := range examples {
		if d.lacks(e) {
			continue
		}
		if _, ok := all[e.column]; !ok {
			all[e.column] = e.text
		}
		ids, vals = append(ids, e.id()), append(vals, values{e.column: e.text})
	}
	return append(ids, "all:columns", "no:columns"), append(vals, all, values{})
}

// fill makes the table t and gives the database's own text of everything in it.
func (d *dialect) fill(t *testing.T, db *sql.DB) map[string]map[string]string {
	t.Helper()
	db.SetMaxOpenConns(1) // the session's settings
	ins := []string{"id"}
	for _, name := range columns {
		ins = append(ins, d.ident(name))
	}
	execute(t, db, append(d.setup, d.table("t"))...)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing, once it is committed
	ids, vals := d.rows()
	for i, id := range ids {
		exprs, args := []string{d.place(1)}, []any{id}
		for _, name := range columns {
			text, ok := vals[i][name]
			if !ok {
				exprs = append(exprs, "NULL")
				continue
			}
			arg := any(text)
			if d.argument != nil {
				arg = d.argument(name, text)
			}
			args = append(args, arg)
			exprs = append(exprs, d.value(name, len(args)))
		}
		if _, err := tx.Exec("INSERT INTO t ("+strings.Join(ins, ", ")+") VALUES ("+strings.Join(exprs, ", ")+")", args...); err != nil {
			t.Fatalf("%s: writing %s: %v", d.name, id, err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return ownTexts(t, db, d.reading("t"))
}

// table is the statement that makes a table of one column per kind.
func (d *dialect) table(name string) string {
	id := "id varchar(100) primary key"
	if d.name == "mysql" { // ids differ by case
		id = "id varchar(100) character set utf8mb4 collate utf8mb4_nopad_bin primary key"
	}
	defs := []string{id}
	for _, c := range columns {
		defs = append(defs, d.ident(c)+" "+d.columns[c].typ)
	}
	return "CREATE TABLE " + name + " (" + strings.Join(defs, ", ") + ")"
}

// reading is the query for the database's own text of everything in a table.
func (d *dialect) reading(from string) string {
	outs := []string{"id"}
	for _, name := range columns {
		outs = append(outs, d.own(name))
	}
	return "SELECT " + strings.Join(outs, ", ") + " FROM " + from
}

// ownTexts reads id and the columns as texts; nulls are left out.
func ownTexts(t *testing.T, db *sql.DB, query string) map[string]map[string]string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	out := map[string]map[string]string{}
	for rows.Next() {
		id, cells := "", make([]sql.NullString, len(columns))
		into := []any{&id}
		for i := range cells {
			into = append(into, &cells[i])
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		out[id] = map[string]string{}
		for i, c := range cells {
			if c.Valid {
				out[id][columns[i]] = c.String
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func (d *dialect) ident(name string) string {
	if d.name == "mysql" {
		return "`" + name + "`"
	}
	return `"` + name + `"`
}

func (d *dialect) place(n int) string {
	if d.name == "postgres" {
		return fmt.Sprintf("$%d::text", n)
	}
	return "?"
}

// value makes a column's value from the n-th parameter.
func (d *dialect) value(name string, n int) string {
	c := d.columns[name]
	switch {
	case c.in != "":
		return fmt.Sprintf(c.in, d.place(n))
	case d.name == "duckdb" || d.name == "postgres":
		return "CAST(" + d.place(n) + " AS " + c.typ + ")"
	}
	return d.place(n)
}

// own is the database's text of a column.
func (d *dialect) own(name string) string {
	switch c := d.columns[name]; {
	case c.out != "":
		return fmt.Sprintf(c.out, d.ident(name))
	case d.name == "mysql":
		return "CAST(" + d.ident(name) + " AS CHAR)"
	case d.name == "sqlite":
		return "CAST(" + d.ident(name) + " AS TEXT)"
	}
	return d.ident(name) + "::VARCHAR"
}

// declared are the types the project must declare.
func (d *dialect) declared() string {
	var out []string
	for _, name := range columns {
		if decl := d.columns[name].decl; decl != "" {
			out = append(out, name+": {type: "+decl+"}")
		}
	}
	if len(out) == 0 {
		return ""
	}
	return ", columns: {" + strings.Join(out, ", ") + "}"
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%.300s: %v", s, err)
		}
	}
}

func connect(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// inBerlin gives a database whose sessions are in a zone with daylight saving time unless they say otherwise.
func inBerlin(t *testing.T) string {
	t.Helper()
	dsn := testdb.Postgres(t)
	name := dsn[strings.LastIndex(dsn, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	db := connect(t, "pgx", dsn)
	execute(t, db, "ALTER DATABASE "+name+" SET timezone = 'Europe/Berlin'", "ALTER DATABASE "+name+" SET datestyle = 'SQL, DMY'")
	return dsn
}

func postgresSource(t *testing.T) *source {
	dsn := inBerlin(t)
	return &source{
		name: "postgres", settings: fmt.Sprintf("type: postgres, dsn: %q", dsn), model: "table: t" + postgresDialect.declared(),
		holds: postgresDialect.fill(t, connect(t, "pgx", dsn)),
	}
}

func mysqlSource(t *testing.T) *source {
	dsn := testdb.MySQL(t)
	return &source{
		name: "mysql", settings: fmt.Sprintf("type: mysql, dsn: %q", dsn), model: "table: t" + mysqlDialect.declared(),
		holds: mysqlDialect.fill(t, connect(t, "mysql", dsn)),
	}
}

func sqliteSource(t *testing.T) *source {
	path := filepath.Join(t.TempDir(), "app.db")
	return &source{
		name: "sqlite", settings: fmt.Sprintf("type: sqlite, path: %q", path), model: "table: t" + sqliteDialect.declared(),
		holds: sqliteDialect.fill(t, connect(t, "sqlite", path)), alters: map[string]string{"json:2^64": "SQLite keeps texts that are numbers as numbers in such a column"},
	}
}
