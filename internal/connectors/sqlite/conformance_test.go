package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/connectors/sqlite"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_the_source_keeps_the_contract(t *testing.T) {
	conformance.Source(t, conformance.SourceHarness{
		Connector: sqlite.Source(),
		New: func(t testing.TB) conformance.SourceWorld {
			dir := t.TempDir()
			db, err := sql.Open("sqlite", filepath.Join(dir, "w.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, s := range []string{
				"CREATE TABLE rows3 (id INTEGER, name TEXT)", "INSERT INTO rows3 VALUES (1, 'one'), (2, 'two'), (3, 'three')",
				"CREATE TABLE typed (b BOOLEAN, i BIGINT, f DOUBLE, n NUMERIC, t VARCHAR(9), x BLOB, d DATE, c TIME, s DATETIME, z TIMESTAMPTZ, u UUID, j JSON, e INTEGER, wrong DATE)",
				`INSERT INTO typed VALUES (1, 9223372036854775807, 0.1, 9007199254740993, 'O''Neil 😀', x'00ff', '2024-02-29', '12:34:56.123456',
				  '2026-03-29 02:30:00.000001', '2026-10-25 01:30:00+01:00', '6BA7B810-9DAD-11D1-80B4-00C04FD430C8', '{"n": 9007199254740993}', NULL, 'tomorrow')`,
			} {
				if _, err := db.ExecContext(t.Context(), s); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			}
			return conformance.SourceWorld{Settings: map[string]string{"path": "w.db"}, Dir: dir, Table: "rows3"}
		},
		Numbers: "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT %d) SELECT n FROM s",
		Broken:  "SELECT nonsense FROM nowhere_at_all", Words: "no such table: nowhere_at_all",
		Late:    "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT 200000) SELECT abs(CASE WHEN n = 100000 THEN -9223372036854775808 ELSE n END) AS n FROM s",
		Nowhere: map[string]string{"path": "missing.db"},
		Except: map[string]string{
			"describe: does not run the query": "SQLite types values, not columns: an expression has the kind of its first value (https://www.sqlite.org/datatype3.html)",
		},
		Types: []conformance.Type{
			// A column has the kind it is declared to have, also in an expression that gives it unchanged.
			{SQL: "(SELECT b FROM typed)", Kind: row.Bool, Text: "true"},
			{SQL: "(SELECT i FROM typed)", Kind: row.Int, Text: "9223372036854775807"},
			{SQL: "(SELECT f FROM typed)", Kind: row.Float, Text: "0.1"},
			{SQL: "(SELECT n FROM typed)", Kind: row.Decimal, Text: "9007199254740993"},
			{SQL: "(SELECT t FROM typed)", Kind: row.Text, Text: "O'Neil 😀"},
			{SQL: "(SELECT x FROM typed)", Kind: row.Bytes, Text: "AP8="},
			{SQL: "(SELECT d FROM typed)", Kind: row.Date, Text: "2024-02-29"},
			{SQL: "(SELECT c FROM typed)", Kind: row.Time, Text: "12:34:56.123456"},
			{SQL: "(SELECT s FROM typed)", Kind: row.Timestamp, Text: "2026-03-29T02:30:00.000001"},
			{SQL: "(SELECT z FROM typed)", Kind: row.Instant, Text: "2026-10-25T00:30:00Z"},
			{SQL: "(SELECT u FROM typed)", Kind: row.UUID, Text: "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
			{SQL: "(SELECT j FROM typed)", Kind: row.JSON, Text: `{"n": 9007199254740993}`},
			{SQL: "(SELECT e FROM typed)", Kind: row.Int, Text: "null"},
			{SQL: "(SELECT wrong FROM typed)"}, // a text that is no date
			// Other expressions have the kind of their first value.
			{SQL: "9223372036854775807", Kind: row.Int, Text: "9223372036854775807"},
			{SQL: "0.1", Kind: row.Float, Text: "0.1"},
			{SQL: "9e999", Kind: row.Float, Text: "+Inf"},
			{SQL: `'O''Neil "x" 😀 é'`, Kind: row.Text, Text: `O'Neil "x" 😀 é`},
			{SQL: "''", Kind: row.Text, Text: ""},
			{SQL: "x'00ff'", Kind: row.Bytes, Text: "AP8="},
		},
	})
}
