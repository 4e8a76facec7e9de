package duckdb

import (
	"path/filepath"
	"testing"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_the_source_keeps_the_contract(t *testing.T) {
	conformance.Source(t, conformance.SourceHarness{
		Connector: Source(),
		New: func(t testing.TB) conformance.SourceWorld {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "w.duckdb"), "CREATE TABLE rows3 AS SELECT * FROM (VALUES (1, 'one'), (2, 'two'), (3, 'three')) v(id, name)")
			return conformance.SourceWorld{Settings: map[string]string{"path": "w.duckdb"}, Dir: dir, Table: "rows3"}
		},
		Numbers: "SELECT i + 1 AS n FROM range(%d) t(i)",
		Broken:  "SELECT nonsense FROM nowhere_at_all", Words: "Table with name nowhere_at_all does not exist",
		Late:    "SELECT i + 9223372036854000000 AS n FROM range(1000000) t(i)",
		Nowhere: map[string]string{"path": "missing.duckdb"},
		Types: []conformance.Type{
			{SQL: "true", Kind: row.Bool, Text: "true"},
			{SQL: "(-128)::TINYINT", Kind: row.Int, Text: "-128"},
			{SQL: "9223372036854775807", Kind: row.Int, Text: "9223372036854775807"},
			{SQL: "18446744073709551615::UBIGINT", Kind: row.Uint, Text: "18446744073709551615"},
			{SQL: "'170141183460469231731687303715884105727'::HUGEINT", Kind: row.Decimal, Text: "170141183460469231731687303715884105727"},
			{SQL: "0.1::FLOAT", Kind: row.Float, Text: "0.1"},
			{SQL: "0.1::DOUBLE", Kind: row.Float, Text: "0.1"},
			{SQL: "'nan'::DOUBLE", Kind: row.Float, Text: "NaN"},
			{SQL: "'12345678901234567890.123456789012345678'::DECIMAL(38,18)", Kind: row.Decimal, Text: "12345678901234567890.123456789012345678"},
			{SQL: "0.10", Kind: row.Decimal, Text: "0.10"},
			{SQL: "'O''Neil \"x\" 😀 é'", Kind: row.Text, Text: `O'Neil "x" 😀 é`},
			{SQL: "''", Kind: row.Text, Text: ""},
			{SQL: `'\x00\xFF'::BLOB`, Kind: row.Bytes, Text: "AP8="},
			{SQL: "DATE '2024-02-29'", Kind: row.Date, Text: "2024-02-29"},
			{SQL: "'infinity'::DATE"},
			{SQL: "TIME '12:34:56.123456'", Kind: row.Time, Text: "12:34:56.123456"},
			{SQL: "TIMESTAMP '2026-03-29 02:30:00.000001'", Kind: row.Timestamp, Text: "2026-03-29T02:30:00.000001"},
			{SQL: "TIMESTAMPTZ '2026-10-25 01:30:00+01'", Kind: row.Instant, Text: "2026-10-25T00:30:00Z"},
			{SQL: "INTERVAL '1 day 2 hours'", Kind: row.Interval, Text: "P1DT2H"},
			{SQL: "'6BA7B810-9DAD-11D1-80B4-00C04FD430C8'::UUID", Kind: row.UUID, Text: "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
			{SQL: `'{"n": 9007199254740993}'::JSON`, Kind: row.JSON, Text: `{"n": 9007199254740993}`},
			{SQL: "['a', 'b,c']", Kind: row.Array, Text: `["a","b,c"]`},
			{SQL: "NULL::INTEGER", Kind: row.Int, Text: "null"},
		},
	})
}
