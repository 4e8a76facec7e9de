package roundtrip_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// zeros: DuckDB packs equal values of a column into one, and minus zero is equal to zero.
const zeros = "DuckDB stores minus zero as zero in a column that also holds zero"

// duckdbSource is a DuckDB file, closed by whoever wrote it.
func duckdbSource(t *testing.T) *source {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	db := open(t, "duckdb", path)
	duckdbDialect.fill(t, db.DB)
	db.close(t)
	db = open(t, "duckdb", path+"?access_mode=READ_ONLY") // what is in the file, not what was written
	defer db.close(t)
	execute(t, db.DB, duckdbDialect.setup...)
	holds := ownTexts(t, db.DB, duckdbDialect.reading("t"))
	return &source{
		name: "duckdb", settings: fmt.Sprintf("type: duckdb, path: %q", path), model: "table: t", holds: holds,
		alters: map[string]string{"float:minus zero": zeros},
	}
}

// parquetSource is a Parquet file that DuckDB wrote. The text of its values is what DuckDB reads of the file.
func parquetSource(t *testing.T) *source {
	path := filepath.Join(t.TempDir(), "data.parquet")
	db := open(t, "duckdb", "")
	defer db.close(t)
	d := duckdbDialect
	d.lacks = func(e example) bool { // a Parquet interval has unsigned parts and milliseconds
		_, _, micros, err := parts(e.text)
		return e.column == "interval" && (err != nil || strings.Contains(e.text, "-") || micros%1000 != 0)
	}
	d.fill(t, db.DB)
	execute(t, db.DB, "COPY t TO '"+path+"' (FORMAT parquet)")
	holds := ownTexts(t, db.DB, duckdbDialect.reading("'"+path+"'"))
	return &source{name: "parquet", settings: "type: duckdb", model: fmt.Sprintf("sql: %q", "SELECT * FROM '"+path+"'"), holds: holds, alters: map[string]string{
		"float:minus zero": zeros, "interval:thirty days": "to DuckDB's dictionary it equals one month", "interval:24 hours": "to DuckDB's dictionary it equals one day",
	}}
}

// fileTypes are the types DuckDB is told to read texts of a file as; bytes are written as hexadecimal.
var fileTypes = map[string]string{
	"bool": "BOOLEAN", "int": "BIGINT", "uint": "UBIGINT", "float": "DOUBLE", "decimal": "DECIMAL(38,18)", "text": "VARCHAR", "bytes": "VARCHAR",
	"date": "DATE", "time": "TIME", "timestamp": "TIMESTAMP", "instant": "TIMESTAMPTZ", "interval": "VARCHAR", "uuid": "UUID", "json": "JSON",
	"ints": "VARCHAR", "texts": "VARCHAR",
}

const fileDeclared = ", columns: {interval: {type: interval}, ints: {type: array}, texts: {type: array}}"

// fromFile is a model over a file; types differ from fileTypes where more says so.
func fromFile(reader, path, options string, more map[string]string) string {
	types := []string{"id: 'VARCHAR'"}
	for _, name := range columns {
		typ := fileTypes[name]
		if more[name] != "" {
			typ = more[name]
		}
		types = append(types, `"`+name+`": '`+typ+`'`)
	}
	return "SELECT * REPLACE (from_hex(bytes) AS bytes) FROM " + reader + "('" + path + "', " + options + ", columns = {" + strings.Join(types, ", ") + "})"
}

// csvSource is a CSV file: an empty cell is null, texts stand in quotes.
func csvSource(t *testing.T) *source {
	path := filepath.Join(t.TempDir(), "data.csv")
	var b bytes.Buffer
	b.WriteString("id," + strings.Join(columns, ",") + "\n")
	d := duckdbDialect
	d.lacks = func(e example) bool { return e.id() == "text:nul" }
	holds := map[string]map[string]string{}
	ids, vals := d.rows()
	for i, id := range ids {
		holds[id] = vals[i]
		b.WriteString(id)
		for _, name := range columns {
			b.WriteByte(',')
			if v, ok := vals[i][name]; ok {
				b.WriteString(`"` + strings.ReplaceAll(v, `"`, `""`) + `"`)
			}
		}
		b.WriteByte('\n')
	}
	write(t, path, b.Bytes())
	return &source{
		name: "csv", settings: "type: duckdb", holds: holds,
		model: fmt.Sprintf("sql: %q", fromFile("read_csv", path,
			`header = true, quote = '"', escape = '"', allow_quoted_nulls = false, auto_detect = false, delim = ',', new_line = '\n'`, nil)) + fileDeclared,
	}
}

// jsonSource is a file of JSON lines. Decimals are texts in it: DuckDB reads JSON numbers with a fraction as floats.
func jsonSource(t *testing.T) *source {
	path := filepath.Join(t.TempDir(), "data.jsonl")
	var b bytes.Buffer
	d := duckdbDialect
	d.lacks = func(e example) bool {
		return e.id() == "float:nan" || e.id() == "float:inf" || e.id() == "float:-inf" || e.id() == "json:null"
	}
	ids, vals := d.rows()
	for i, id := range ids {
		fmt.Fprintf(&b, `{"id":%q`, id)
		for _, name := range columns {
			v, ok := vals[i][name]
			if !ok {
				continue
			}
			switch name {
			case "bool", "int", "uint", "ints", "texts":
			case "float":
				if v == "-0" {
					v = "-0.0" // an integer has no minus zero
				}
			case "json":
				var line bytes.Buffer
				if err := json.Compact(&line, []byte(v)); err != nil {
					t.Fatal(err)
				}
				v = line.String()
			default:
				q, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				v = string(q)
			}
			fmt.Fprintf(&b, `,%q:%s`, name, v)
		}
		b.WriteString("}\n")
	}
	write(t, path, b.Bytes())
	query := fromFile("read_json", path, "format = 'newline_delimited'", map[string]string{"ints": "BIGINT[]", "texts": "VARCHAR[]"})
	db := open(t, "duckdb", "")
	defer db.close(t)
	execute(t, db.DB, duckdbDialect.setup...)
	return &source{
		name: "json", settings: "type: duckdb", holds: ownTexts(t, db.DB, duckdbDialect.reading("("+query+")")),
		model:  fmt.Sprintf("sql: %q", query) + ", columns: {interval: {type: interval}}",
		alters: map[string]string{"json:decimal": "DuckDB reads a number with a fraction in a JSON file as a float"},
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
