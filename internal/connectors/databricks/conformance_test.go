package databricks_test

import (
	"net"
	"testing"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/connectors/databricks"
	"github.com/upwelldata/upwell/internal/connectors/databricks/databrickstest"
	"github.com/upwelldata/upwell/internal/row"
)

// start makes a workspace with a table of three rows.
func start(t testing.TB) *databrickstest.Server {
	t.Helper()
	s, err := databrickstest.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Exec(t.Context(), "CREATE TABLE rows3 AS SELECT 1 AS id, 'one' AS name UNION ALL SELECT 2, 'two' UNION ALL SELECT 3, 'three'"); err != nil {
		t.Fatal(err)
	}
	return s
}

// types is the type matrix that holds whichever way rows come.
var types = []conformance.Type{
	{SQL: "true", Kind: row.Bool, Text: "true"},
	{SQL: "CAST(-128 AS TINYINT)", Kind: row.Int, Text: "-128"},
	{SQL: "32767S", Kind: row.Int, Text: "32767"},
	{SQL: "CAST(2147483647 AS INT)", Kind: row.Int, Text: "2147483647"},
	{SQL: "9223372036854775807L", Kind: row.Int, Text: "9223372036854775807"},
	{SQL: "CAST('-12345678901234567890.123456789012345678' AS DECIMAL(38,18))", Kind: row.Decimal, Text: "-12345678901234567890.123456789012345678"},
	{SQL: "CAST('99999999999999999999999999999999999999' AS DECIMAL(38,0))", Kind: row.Decimal, Text: "99999999999999999999999999999999999999"},
	{SQL: "CAST(0.10 AS DECIMAL(10,2))", Kind: row.Decimal, Text: "0.10"},
	{SQL: "CAST('0.1' AS FLOAT)", Kind: row.Float, Text: "0.1"},
	{SQL: "0.1D", Kind: row.Float, Text: "0.1"},
	{SQL: "CAST('NaN' AS DOUBLE)", Kind: row.Float, Text: "NaN"},
	{SQL: `'O\'Neil "x" 😀 é'`, Kind: row.Text, Text: `O'Neil "x" 😀 é`},
	{SQL: `'a\nb'`, Kind: row.Text, Text: "a\nb"},
	{SQL: "''", Kind: row.Text, Text: ""},
	{SQL: "DATE'2024-02-29'", Kind: row.Date, Text: "2024-02-29"},
	{SQL: "DATE'0001-01-01'", Kind: row.Date, Text: "0001-01-01"},
	{SQL: "INTERVAL '-1-2' YEAR TO MONTH", Kind: row.Interval, Text: "P-1Y-2M"},
	{SQL: "INTERVAL '3 04:05:06.07' DAY TO SECOND", Kind: row.Interval, Text: "PT76H5M6.07S"},
	{SQL: "ARRAY('a', 'b', NULL)", Kind: row.Array, Text: `["a","b",null]`},
	{SQL: "NAMED_STRUCT('a', 1, 'b', CAST(NULL AS STRING))", Kind: row.JSON, Text: `{"a":1,"b":null}`},
	{SQL: "MAP('k', 1.5BD)", Kind: row.JSON, Text: `{"k":1.5}`},
	{SQL: `PARSE_JSON('{"n":9007199254740993}')`, Kind: row.JSON, Text: `{"n":9007199254740993}`},
	{SQL: "CAST(NULL AS INT)", Kind: row.Int, Text: "null"},
	{SQL: "CAST(NULL AS STRING)", Kind: row.Text, Text: "null"},
}

// exact are the types that only Arrow carries.
var exact = []conformance.Type{
	{SQL: "X'00FF'", Kind: row.Bytes, Text: "AP8="},
	{SQL: "TIMESTAMP'2026-10-25 01:30:00.123456+01:00'", Kind: row.Instant, Text: "2026-10-25T00:30:00.123456Z"},
	{SQL: "TIMESTAMP'1969-12-31 23:59:59.999999Z'", Kind: row.Instant, Text: "1969-12-31T23:59:59.999999Z"},
	{SQL: "TIMESTAMP_NTZ'2026-03-29 02:30:00.000001'", Kind: row.Timestamp, Text: "2026-03-29T02:30:00.000001"},
	{SQL: "CAST(NULL AS TIMESTAMP)", Kind: row.Instant, Text: "null"},
}

func Test_the_source_keeps_the_contract(t *testing.T) {
	conformance.Source(t, conformance.SourceHarness{
		Connector: databricks.Source(),
		New: func(t testing.TB) conformance.SourceWorld {
			s := start(t)
			s.Patient = true // cuts are counted in bytes of a read
			return conformance.SourceWorld{Settings: s.Settings(), Dir: t.TempDir(), Address: s.Addr(), Table: "rows3", Secrets: []string{databrickstest.Token, "X-Amz-Signature"}}
		},
		Live: &conformance.Live[conformance.SourceWorld]{
			Needs: []string{"client_id", "client_secret"},
			New: func(t testing.TB, a conformance.Account) conformance.SourceWorld { // the principal may make no table
				return conformance.SourceWorld{Settings: a.Settings, Dir: t.TempDir()}
			},
		},
		Types:   append(append([]conformance.Type{}, types...), exact...),
		Numbers: "SELECT id AS n FROM RANGE(1, %d + 1)",
		Broken:  "SELECT nonsense FROM nowhere_at_all", Words: "The table or view `nowhere_at_all` cannot be found",
		Wrong:   map[string]string{"client_secret": "not-the-secret"},
		Nowhere: map[string]string{"host": "http://127.0.0.1:1", "allow_private": "true"},
		Needs:   []string{"client_id", "client_secret"},
		Via: func(host, port string) map[string]string {
			return map[string]string{"host": "http://" + net.JoinHostPort(host, port)}
		},
	})
}
