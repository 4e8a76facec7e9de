package redshift_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/connectors/redshift"
	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/row"
)

const rows3 = "CREATE TABLE %[1]s (id INTEGER, name VARCHAR(20)); INSERT INTO %[1]s VALUES (1, 'one'), (2, 'two'), (3, 'three')"

// live makes the kit's table in a real database and drops it in the end.
func live(t testing.TB, a conformance.Account) conformance.SourceWorld {
	t.Helper()
	var dsn strings.Builder
	for setting, keyword := range map[string]string{"host": "host", "port": "port", "user": "user", "password": "password", "database": "dbname", "sslmode": "sslmode", "sslrootcert": "sslrootcert"} {
		if v := a.Settings[setting]; v != "" {
			dsn.WriteString(keyword + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "' ")
		}
	}
	config, err := pgx.ParseConfig(dsn.String())
	if err != nil {
		t.Fatal(err)
	}
	if a.Settings["port"] == "" {
		config.Port = 5439
	}
	c, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	exec := func(sql string) {
		if _, err := c.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	exec(strings.ReplaceAll(rows3, "%[1]s", a.Name))
	t.Cleanup(func() { exec("DROP TABLE IF EXISTS " + a.Name) })
	return conformance.SourceWorld{Settings: a.Settings, Table: a.Name}
}

func Test_the_source_keeps_the_contract(t *testing.T) { conformance.Source(t, harness()) }

// harness tries the source with settings laid over the usual ones.
func harness(over ...string) conformance.SourceHarness {
	return conformance.SourceHarness{
		Connector: redshift.Source(),
		New: func(t testing.TB) conformance.SourceWorld {
			c := newCluster(t, redshifttest.Options{})
			c.exec(strings.ReplaceAll(rows3, "%[1]s", "rows3"))
			return conformance.SourceWorld{Settings: with(c.Settings(user), over...), Address: c.Addr(), Table: "rows3"}
		},
		Live: &conformance.Live[conformance.SourceWorld]{Needs: []string{"host", "user", "password", "database"}, New: live},
		// Such a query runs on the leader node, in a cluster too.
		Numbers: "SELECT g::bigint AS n FROM generate_series(1, %d) g",
		Broken:  "SELECT nonsense FROM nowhere_at_all", Words: `relation "nowhere_at_all" does not exist`,
		Late:    "SELECT 1 / (100000 - g) AS n FROM generate_series(1, 100000) g",
		Wrong:   map[string]string{"user": "kit_stranger", "password": "wrong-password-0815"},
		Nowhere: map[string]string{"host": "127.0.0.1", "port": "1"},
		Needs:   []string{"host"},
		Via:     func(host, port string) map[string]string { return map[string]string{"host": host, "port": port} },
		Types:   matrix,
	}
}

// matrix is the types of https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html.
var matrix = []conformance.Type{
	{SQL: "true", Kind: row.Bool, Text: "true"},
	{SQL: "(1 = 2)", Kind: row.Bool, Text: "false"},
	{SQL: "CAST(-32768 AS SMALLINT)", Kind: row.Int, Text: "-32768"},
	{SQL: "CAST(2147483647 AS INTEGER)", Kind: row.Int, Text: "2147483647"},
	{SQL: "CAST('-9223372036854775808' AS BIGINT)", Kind: row.Int, Text: "-9223372036854775808"},
	{SQL: "9223372036854775807", Kind: row.Int, Text: "9223372036854775807"},
	{SQL: "CAST(0.1 AS REAL)", Kind: row.Float, Text: "0.1"},
	{SQL: "CAST('16777217.5' AS REAL)", Kind: row.Float, Text: "16777218"},
	{SQL: "CAST('1.17549435e-38' AS REAL)", Kind: row.Float, Text: "1.1754944e-38"},
	{SQL: "CAST(0.1 AS DOUBLE PRECISION)", Kind: row.Float, Text: "0.1"},
	{SQL: "CAST('NaN' AS DOUBLE PRECISION)", Kind: row.Float, Text: "NaN"},
	{SQL: "CAST('-Infinity' AS DOUBLE PRECISION)", Kind: row.Float, Text: "-Inf"},
	{SQL: "CAST('5e-324' AS DOUBLE PRECISION)", Kind: row.Float, Text: "5e-324"},
	{SQL: "CAST('-0.0' AS DOUBLE PRECISION)", Kind: row.Float, Text: "-0"},
	{SQL: "CAST(12345678901234567890.123456789012345678 AS DECIMAL(38,18))", Kind: row.Decimal, Text: "12345678901234567890.123456789012345678"},
	{SQL: "CAST('-99999999999999999999999999999999999999' AS DECIMAL(38,0))", Kind: row.Decimal, Text: "-99999999999999999999999999999999999999"},
	{SQL: "CAST(9007199254740993 AS DECIMAL(18,0))", Kind: row.Decimal, Text: "9007199254740993"},
	{SQL: "CAST(-0.10 AS DECIMAL(4,2))", Kind: row.Decimal, Text: "-0.10"},
	{SQL: "CAST('0.00000000000000000000000000000000000001' AS DECIMAL(38,38))", Kind: row.Decimal, Text: "0.00000000000000000000000000000000000001"},
	{SQL: `'O''Neil "x" \\ \n 😀 é'`, Kind: row.Text, Text: "O'Neil \"x\" \\ \n 😀 é"},
	{SQL: "CAST('x' AS VARCHAR(10))", Kind: row.Text, Text: "x"},
	{SQL: "CAST('x  ' AS VARCHAR(10))", Kind: row.Text, Text: "x  "},
	{SQL: "CAST('x  ' AS CHAR(10))", Kind: row.Text, Text: "x"}, // padding is no part of a CHAR
	{SQL: "CAST('' AS VARCHAR(10))", Kind: row.Text, Text: ""},
	{SQL: "FROM_HEX('00ff')", Kind: row.Bytes, Text: "AP8="},
	{SQL: "CAST('2024-02-29' AS DATE)", Kind: row.Date, Text: "2024-02-29"},
	{SQL: "CAST('0001-01-01' AS DATE)", Kind: row.Date, Text: "0001-01-01"},
	{SQL: "CAST('0044-03-15 BC' AS DATE)", Kind: row.Date, Text: "-43-03-15"},
	{SQL: "CAST('12345-01-31' AS DATE)", Kind: row.Date, Text: "+12345-01-31"},
	{SQL: "CAST('infinity' AS DATE)"},
	{SQL: "CAST('24:00' AS TIME)"},
	{SQL: "CAST('12:34:56.123456' AS TIME)", Kind: row.Time, Text: "12:34:56.123456"},
	{SQL: "CAST('04:05:06.5+02' AS TIMETZ)", Kind: row.Text, Text: "04:05:06.5+02"},
	{SQL: "CAST('2026-03-29 02:30:00.000001' AS TIMESTAMP)", Kind: row.Timestamp, Text: "2026-03-29T02:30:00.000001"},
	{SQL: "CAST('1969-12-31 23:59:59.999999' AS TIMESTAMP)", Kind: row.Timestamp, Text: "1969-12-31T23:59:59.999999"},
	{SQL: "CAST('2026-10-25 01:30:00+01' AS TIMESTAMPTZ)", Kind: row.Instant, Text: "2026-10-25T00:30:00Z"},
	{SQL: "CAST('2026-10-25 02:30:00 Europe/Berlin' AS TIMESTAMPTZ)", Kind: row.Instant, Text: "2026-10-25T01:30:00Z"},
	{SQL: "CAST('infinity' AS TIMESTAMPTZ)"},
	{SQL: "CAST('1 day 2 hours' AS INTERVAL)", Kind: row.Interval, Text: "P1DT2H"},
	{SQL: "CAST('-1 year 2 months' AS INTERVAL)", Kind: row.Interval, Text: "P-10M"},
	{SQL: "CAST('-100:00:00.5' AS INTERVAL)", Kind: row.Interval, Text: "PT-100H-0.5S"},
	{SQL: `JSON_PARSE('{"n": 9007199254740993}')`, Kind: row.JSON, Text: `{"n": 9007199254740993}`},
	{SQL: `JSON_PARSE('"text"')`, Kind: row.JSON, Text: `"text"`},
	{SQL: "ST_GeomFromText('POINT(1 2)')"},
	{SQL: "ST_AsEWKT(ST_GeomFromText('POINT(1 2)'))", Kind: row.Text, Text: "POINT(1 2)"},
	{SQL: "CAST(NULL AS INTEGER)", Kind: row.Int, Text: "null"},
	{SQL: "CAST(NULL AS DECIMAL(10,2))", Kind: row.Decimal, Text: "null"},
	{SQL: "CAST(NULL AS VARCHAR(5))", Kind: row.Text, Text: "null"},
}
