package bigquery

import (
	"maps"
	"testing"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/row"
)

// numbers makes many rows: an array has at most 1,048,575 elements.
// https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/array_functions#generate_array
const numbers = "SELECT a + b AS n FROM UNNEST(GENERATE_ARRAY(0, %[1]d, 1000000)) AS a, UNNEST(GENERATE_ARRAY(1, 1000000)) AS b WHERE a + b <= %[1]d"

func harness(over map[string]string) conformance.SourceHarness {
	return conformance.SourceHarness{
		Connector: Source(),
		New: func(t testing.TB) conformance.SourceWorld {
			s := standIn(t, bigquerytest.Options{})
			if err := s.Exec(t.Context(), "CREATE TABLE sales.people AS SELECT 1 AS id, 'one' AS name UNION ALL SELECT 2, 'two' UNION ALL SELECT 3, 'three'"); err != nil {
				t.Fatal(err)
			}
			settings := s.Settings()
			maps.Copy(settings, over)
			return conformance.SourceWorld{Settings: settings, Address: s.Addr(), Table: "people"}
		},
		Live: &conformance.Live[conformance.SourceWorld]{
			New: func(_ testing.TB, a conformance.Account) conformance.SourceWorld { // the account may make no table
				return conformance.SourceWorld{Settings: a.Settings}
			},
		},
		Numbers: numbers,
		Broken:  "SELECT nonsense FROM UNNEST([1]) AS n", Words: "Unrecognized name: nonsense at [1:8]",
		Wrong:   map[string]string{"credentials": wrongKey},
		Nowhere: map[string]string{"endpoint": "http://127.0.0.1:1"},
		Needs:   []string{"project", "location"},
		Via: func(host, port string) map[string]string {
			return map[string]string{"endpoint": "http://" + host + ":" + port}
		},
		Names: []string{"select", "Mixed Case", "with-dash", "ünï"},
		Types: types,
	}
}

var types = []conformance.Type{
	{SQL: "9007199254740993", Kind: row.Int, Text: "9007199254740993"},
	{SQL: "CAST(NULL AS INT64)", Kind: row.Int, Text: "null"},
	{SQL: "0.1", Kind: row.Float, Text: "0.1"},
	{SQL: "CAST('inf' AS FLOAT64)", Kind: row.Float, Text: "+Inf"},
	{SQL: "CAST('nan' AS FLOAT64)", Kind: row.Float, Text: "NaN"},
	{SQL: "NUMERIC '0.10'", Kind: row.Decimal, Text: "0.1"},
	{SQL: "NUMERIC '-99999999999999999999999999999.999999999'", Kind: row.Decimal, Text: "-99999999999999999999999999999.999999999"},
	{SQL: "NUMERIC '1200'", Kind: row.Decimal, Text: "1200"},
	{SQL: "BIGNUMERIC '9007199254740993.00000000000000000000000000000000000001'", Kind: row.Decimal, Text: "9007199254740993.00000000000000000000000000000000000001"},
	{SQL: "TRUE", Kind: row.Bool, Text: "true"},
	{SQL: "'x ☃ 𝄞\\n'", Kind: row.Text, Text: "x ☃ 𝄞\n"},
	{SQL: "''", Kind: row.Text, Text: ""},
	{SQL: "b'\\xff\\x00'", Kind: row.Bytes, Text: "/wA="},
	{SQL: "DATE '0001-01-01'", Kind: row.Date, Text: "0001-01-01"},
	{SQL: "DATE '9999-12-31'", Kind: row.Date, Text: "9999-12-31"},
	{SQL: "TIME '23:59:59.999999'", Kind: row.Time, Text: "23:59:59.999999"},
	{SQL: "DATETIME '1969-12-31 23:59:59.123456'", Kind: row.Timestamp, Text: "1969-12-31T23:59:59.123456"},
	{SQL: "TIMESTAMP '2026-03-01 12:00:00.000001+02:00'", Kind: row.Instant, Text: "2026-03-01T10:00:00.000001Z"},
	{SQL: `JSON '{"a":[1,2.5,null]}'`, Kind: row.JSON, Text: `{"a":[1,2.5,null]}`},
	{SQL: "[1, 2, 3]", Kind: row.Array, Text: "[1,2,3]"},
	{SQL: "ARRAY<STRING>[]", Kind: row.Array, Text: "[]"},
	{SQL: "STRUCT(1 AS a, 'x\"y' AS b, NUMERIC '2.50' AS c, DATE '2026-01-02' AS d, [TRUE, FALSE] AS e)", Kind: row.JSON, Text: `{"a":1,"b":"x\"y","c":2.5,"d":"2026-01-02","e":[true,false]}`},
	{SQL: "[STRUCT(1 AS a, CAST(NULL AS STRING) AS b)]", Kind: row.Array, Text: `[{"a":1,"b":null}]`},
	{SQL: "STRUCT(TIMESTAMP '2026-03-01 12:00:00Z' AS t, TIME '01:02:03' AS u, 1.5 AS f)", Kind: row.JSON, Text: `{"t":"2026-03-01T12:00:00Z","u":"01:02:03","f":1.5}`},
	{SQL: "RANGE<DATE> '[2026-01-01, 2026-02-01)'", Kind: row.Absent},
	{SQL: "INTERVAL 3 DAY", Kind: row.Absent},
}

func Test_the_source_keeps_the_contract_through_the_storage_read_api(t *testing.T) {
	conformance.Source(t, harness(map[string]string{"read_api": readStorage}))
}

func Test_the_source_keeps_the_contract_through_the_rest_api(t *testing.T) {
	h := harness(map[string]string{"read_api": readREST})
	h.Except = map[string]string{"read: many rows arrive exactly in little memory": "so many rows take long as JSON; Test_pages_follow_each_other_to_the_last_row reads some"}
	conformance.Source(t, h)
}
