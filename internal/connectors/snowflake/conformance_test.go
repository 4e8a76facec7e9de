package snowflake

import (
	"maps"
	"testing"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/connectors/snowflake/snowflaketest"
	"github.com/upwelldata/upwell/internal/row"
)

// start makes a stand-in with a table of three rows, and settings that connect to it by key pair.
func start(t testing.TB) (*snowflaketest.Server, map[string]string) {
	t.Helper()
	s, err := snowflaketest.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	err = s.Exec(t.Context(), `CREATE TRANSIENT TABLE rows3 (id NUMBER(10, 0), name VARCHAR);
		INSERT INTO rows3 VALUES (1, 'one'), (2, 'two'), (3, 'three')`)
	if err != nil {
		t.Fatal(err)
	}
	settings := maps.Clone(s.Settings())
	delete(settings, "token")
	settings["private_key"], settings["retry_for"] = snowflaketest.PrivateKey(), "1ms"
	return s, settings
}

func Test_the_source_keeps_the_contract(t *testing.T) {
	conformance.Source(t, conformance.SourceHarness{
		Connector: Source(),
		New: func(t testing.TB) conformance.SourceWorld {
			s, settings := start(t)
			return conformance.SourceWorld{Settings: settings, Dir: t.TempDir(), Address: s.Addr(), Table: "rows3"}
		},
		Live: &conformance.Live[conformance.SourceWorld]{
			Needs: []string{"user", "private_key", "warehouse"},
			New: func(t testing.TB, a conformance.Account) conformance.SourceWorld { // the role may make no table
				return conformance.SourceWorld{Settings: a.Settings, Dir: t.TempDir()}
			},
		},
		Numbers: "SELECT CAST(ROW_NUMBER() OVER (ORDER BY SEQ8()) AS NUMBER(18, 0)) AS n FROM TABLE(GENERATOR(ROWCOUNT => %d))",
		Broken:  "SELECT nonsense FROM nowhere_at_all", Words: "Object 'NOWHERE_AT_ALL' does not exist or not authorized.",
		Wrong:   map[string]string{"private_key": "", "token": "not-the-token"},
		Nowhere: map[string]string{"host": "127.0.0.1", "port": "1", "retry_for": "1ms"},
		Needs:   []string{"user", "private_key"},
		Via:     func(host, port string) map[string]string { return map[string]string{"host": host, "port": port} },
		Types: []conformance.Type{
			{SQL: "TRUE", Kind: row.Bool, Text: "true"},
			{SQL: "(-128)::NUMBER(3,0)", Kind: row.Int, Text: "-128"},
			{SQL: "999999999999999999::NUMBER(18,0)", Kind: row.Int, Text: "999999999999999999"},
			{SQL: "9223372036854775807::NUMBER(38,0)", Kind: row.Decimal, Text: "9223372036854775807"},
			{SQL: "'99999999999999999999999999999999999999'::NUMBER(38,0)", Kind: row.Decimal, Text: "99999999999999999999999999999999999999"},
			{SQL: "'-12345678901234567890.123456789012345678'::NUMBER(38,18)", Kind: row.Decimal, Text: "-12345678901234567890.123456789012345678"},
			{SQL: "0.10::NUMBER(10,2)", Kind: row.Decimal, Text: "0.10"},
			{SQL: "'-123.45'::DECFLOAT", Kind: row.Decimal, Text: "-123.45"},
			{SQL: "0.1::FLOAT", Kind: row.Float, Text: "0.1"},
			{SQL: "'NaN'::FLOAT", Kind: row.Float, Text: "NaN"},
			{SQL: `'O\'Neil "x" 😀 é'`, Kind: row.Text, Text: `O'Neil "x" 😀 é`},
			{SQL: "''", Kind: row.Text, Text: ""},
			{SQL: "TO_BINARY('00FF', 'HEX')", Kind: row.Bytes, Text: "AP8="},
			{SQL: "'2024-02-29'::DATE", Kind: row.Date, Text: "2024-02-29"},
			{SQL: "'12:34:56.123456'::TIME", Kind: row.Time, Text: "12:34:56.123456"},
			{SQL: "'2026-03-29 02:30:00.000000001'::TIMESTAMP_NTZ(9)", Kind: row.Timestamp, Text: "2026-03-29T02:30:00.000000001"},
			{SQL: "'1677-12-31 23:59:59'::TIMESTAMP_NTZ(0)", Kind: row.Timestamp, Text: "1677-12-31T23:59:59"},
			{SQL: "'1969-12-31 23:59:59.999'::TIMESTAMP_NTZ(3)", Kind: row.Timestamp, Text: "1969-12-31T23:59:59.999"},
			{SQL: "'2026-10-25 01:30:00+01:00'::TIMESTAMP_LTZ", Kind: row.Instant, Text: "2026-10-25T00:30:00Z"},
			{SQL: "TO_TIMESTAMP_TZ('2026-10-25 01:30:00.5+01:00')", Kind: row.Instant, Text: "2026-10-25T00:30:00.5Z"},
			{SQL: `PARSE_JSON('{"n":9007199254740993}')`, Kind: row.JSON, Text: `{"n":9007199254740993}`},
			{SQL: "OBJECT_CONSTRUCT('a', 1, 'b', NULL)", Kind: row.JSON, Text: `{"a":1}`},
			{SQL: "ARRAY_CONSTRUCT('a', 1, PARSE_JSON('null'))", Kind: row.Array, Text: `["a",1,null]`},
			{SQL: `TO_GEOGRAPHY('{"coordinates":[1,2],"type":"Point"}')`, Kind: row.JSON, Text: `{"coordinates":[1,2],"type":"Point"}`},
			{SQL: "[1, 2]::VECTOR(FLOAT, 2)"},
			{SQL: "NULL::NUMBER(10,0)", Kind: row.Int, Text: "null"},
		},
	})
}
