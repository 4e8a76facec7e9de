package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/connectors/postgres"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/testdb"
)

// place is a fresh database with a table for the kit, its settings and a plain connection that looks at it.
type place struct {
	testing.TB
	conn     *pgx.Conn
	settings map[string]string
	address  string
	table    string
}

func newPlace(t testing.TB) *place {
	t.Helper()
	dsn := testdb.Postgres(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	p := &place{TB: t, address: u.Host, table: "things", settings: map[string]string{
		"host": u.Hostname(), "port": u.Port(), "user": u.User.Username(), "database": name, "sslmode": "disable",
	}}
	p.connect(dsn)
	// What a server is set to must not matter.
	p.exec("ALTER DATABASE " + name + " SET timezone = 'Europe/Berlin'; ALTER DATABASE " + name + " SET datestyle = 'German'; ALTER DATABASE " + name + " SET extra_float_digits = -3")
	return p
}

func (p *place) connect(dsn string) {
	p.Helper()
	var err error
	if p.conn, err = pgx.Connect(p.Context(), dsn); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = p.conn.Close(context.Background()) })
	p.exec("SET timezone = 'UTC'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = 1")
}

// livePlace is a table of its own in the database of an account, dropped in the end.
func livePlace(t testing.TB, a conformance.Account) *place {
	t.Helper()
	p := &place{TB: t, settings: a.Settings, table: a.Name}
	var dsn strings.Builder
	for setting, keyword := range map[string]string{
		"host": "host", "port": "port", "user": "user", "password": "password", "database": "dbname", "sslmode": "sslmode", "sslrootcert": "sslrootcert", "schema": "search_path",
	} {
		if v := a.Settings[setting]; v != "" {
			fmt.Fprintf(&dsn, "%s='%s' ", keyword, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v))
		}
	}
	p.connect(dsn.String())
	t.Cleanup(func() { p.exec("DROP TABLE IF EXISTS " + p.table) }) // before the connection is closed
	return p
}

func (p *place) exec(sql string) {
	p.Helper()
	if _, err := p.conn.Exec(context.Background(), sql); err != nil {
		p.Fatalf("%s: %v", sql, err)
	}
}

// columns are the kit table's, by kind: type, and the expression that prints it in row.ParseText's form.
var columns = map[row.Kind][2]string{
	row.Bool: {"boolean", "%s::text"}, row.Int: {"bigint", "%s::text"}, row.Float: {"double precision", "%s::text"}, row.Decimal: {"numeric", "%s::text"},
	row.Text: {"text", "%s"}, row.Bytes: {"bytea", "translate(encode(%s, 'base64'), E'\\n', '')"}, row.Date: {"date", "%s::text"}, row.Time: {"time", "%s::text"},
	row.Timestamp: {"timestamp", "%s::text"}, row.Instant: {"timestamptz", "%s::text"}, row.Interval: {"interval", "%s::text"}, row.UUID: {"uuid", "%s::text"},
	row.JSON: {"jsonb", "%s::text"}, row.Array: {"text[]", "to_json(%s)::text"},
}

func field(k row.Kind) string { return "f_" + k.String() }

// records reads the kit's table past the connector.
func (p *place) records() []conformance.Record {
	p.Helper()
	names := []string{"key", "must", "tier"}
	kinds, list := []row.Kind{row.Text, row.Text, row.Text}, slices.Clone(names)
	for k, c := range columns {
		names, kinds = append(names, field(k)), append(kinds, k)
		list = append(list, fmt.Sprintf(c[1], field(k)))
	}
	rows, err := p.conn.Query(context.Background(), "SELECT "+strings.Join(list, ", ")+" FROM "+p.table+" ORDER BY key", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		p.Fatal(err)
	}
	defer rows.Close()
	var out []conformance.Record
	for rows.Next() {
		r := conformance.Record{}
		for i, b := range rows.RawValues() {
			if r[names[i]] = row.NullValue(); b != nil {
				r[names[i]] = conformance.Text(kinds[i], string(slices.Clone(b)))
			}
		}
		out = append(out, r)
	}
	if rows.Err() != nil {
		p.Fatal(rows.Err())
	}
	return out
}

// seed inserts a record past the connector.
func (p *place) seed(r conformance.Record) {
	p.Helper()
	var names, places []string
	var args []any
	for name, v := range r {
		if v.IsNull() || v.IsAbsent() {
			continue
		}
		s := v.String()
		names, args = append(names, name), append(args, s)
		at := fmt.Sprintf("$%d::text", len(args))
		for k, c := range columns {
			switch {
			case name == field(k) && k == row.Bytes:
				at = "decode(" + at + ", 'base64')"
			case name == field(k) && k == row.Array:
				at = "ARRAY(SELECT json_array_elements_text(" + at + "::json))"
			case name == field(k):
				at += "::" + c[0]
			}
		}
		places = append(places, at)
	}
	if _, err := p.conn.Exec(context.Background(), "INSERT INTO "+p.table+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(places, ", ")+")", args...); err != nil {
		p.Fatal(err)
	}
}

// things makes the table and gives the world around it.
func (p *place) things() conformance.World {
	p.Helper()
	ddl := "CREATE TABLE " + p.table + " (key text PRIMARY KEY, must text NOT NULL, tier text CHECK (tier = 'good')"
	for k, c := range columns {
		ddl += ", " + field(k) + " " + c[0]
	}
	p.exec(ddl + ")")
	return conformance.World{Settings: p.settings, Object: p.table, Records: p.records, Seed: p.seed}
}

// rows3 makes the table a source reads by name.
func (p *place) rows3(name string) conformance.SourceWorld {
	p.Helper()
	p.exec("CREATE TABLE " + name + " (id int, name text); INSERT INTO " + name + " VALUES (1, 'one'), (2, 'two'), (3, 'three')")
	return conformance.SourceWorld{Settings: p.settings, Address: p.address, Table: name}
}

// liveNeeds are the settings an account is reached by; a dsn will not do, because checks lay single settings over it.
var liveNeeds = []string{"host", "user", "database"}

func Test_the_destination_keeps_the_contract(t *testing.T) {
	h := conformance.Harness{
		Connector: postgres.Destination(), Object: "things", Match: "key", AnyBy: true, Fields: map[row.Kind]string{},
		Required: conformance.Record{"must": row.TextValue("there")},
		Bad:      conformance.Record{"tier": row.TextValue("none")},
		Wrong:    map[string]string{"user": "kit_stranger", "password": "wrong-password-0815"},
		Nowhere:  map[string]string{"host": "127.0.0.1", "port": "1"},
		Needs:    []string{"host"},
		New:      func(t testing.TB) conformance.World { return newPlace(t).things() },
		Live: &conformance.Live[conformance.World]{
			Needs: liveNeeds, New: func(t testing.TB, a conformance.Account) conformance.World { return livePlace(t, a).things() },
		},
	}
	for k := range columns {
		h.Fields[k] = field(k)
	}
	conformance.Destination(t, h)
}

func Test_the_source_keeps_the_contract(t *testing.T) {
	conformance.Source(t, conformance.SourceHarness{
		Connector: postgres.Source(),
		New:       func(t testing.TB) conformance.SourceWorld { return newPlace(t).rows3("rows3") },
		Live: &conformance.Live[conformance.SourceWorld]{
			Needs: liveNeeds, New: func(t testing.TB, a conformance.Account) conformance.SourceWorld {
				return livePlace(t, a).rows3(a.Name)
			},
		},
		Numbers: "SELECT g::bigint AS n FROM generate_series(1, %d) g",
		Broken:  "SELECT nonsense FROM nowhere_at_all", Words: `relation "nowhere_at_all" does not exist`,
		Late:    "SELECT 1 / (100000 - g) AS n FROM generate_series(1, 100000) g",
		Wrong:   map[string]string{"user": "kit_stranger", "password": "wrong-password-0815"},
		Nowhere: map[string]string{"host": "127.0.0.1", "port": "1"},
		Needs:   []string{"host"},
		Via:     func(host, port string) map[string]string { return map[string]string{"host": host, "port": port} },
		Types: []conformance.Type{
			{SQL: "true", Kind: row.Bool, Text: "true"},
			{SQL: "(-32768)::int2", Kind: row.Int, Text: "-32768"},
			{SQL: "9223372036854775807", Kind: row.Int, Text: "9223372036854775807"},
			{SQL: "(-9223372036854775808)::int8", Kind: row.Int, Text: "-9223372036854775808"},
			{SQL: "0.1::float4", Kind: row.Float, Text: "0.1"},
			{SQL: "0.1::float8", Kind: row.Float, Text: "0.1"},
			{SQL: "'NaN'::float8", Kind: row.Float, Text: "NaN"},
			{SQL: "'-Infinity'::float8", Kind: row.Float, Text: "-Inf"},
			{SQL: "5e-324::float8", Kind: row.Float, Text: "5e-324"},
			{SQL: "12345678901234567890.123456789012345678::numeric(38,18)", Kind: row.Decimal, Text: "12345678901234567890.123456789012345678"},
			{SQL: "9007199254740993::numeric", Kind: row.Decimal, Text: "9007199254740993"},
			{SQL: "-0.10::numeric", Kind: row.Decimal, Text: "-0.10"},
			{SQL: "1e100::numeric", Kind: row.Decimal, Text: "1" + strings.Repeat("0", 100)},
			{SQL: `E'O''Neil "x" \\ \n 😀 é'`, Kind: row.Text, Text: "O'Neil \"x\" \\ \n 😀 é"},
			{SQL: "'x'::varchar(10)", Kind: row.Text, Text: "x"},
			{SQL: "''::text", Kind: row.Text, Text: ""},
			{SQL: `'\x00ff'::bytea`, Kind: row.Bytes, Text: "AP8="},
			{SQL: "'2024-02-29'::date", Kind: row.Date, Text: "2024-02-29"},
			{SQL: "'0001-01-01'::date", Kind: row.Date, Text: "0001-01-01"},
			{SQL: "'infinity'::date"},
			{SQL: "'24:00'::time"},
			{SQL: "'12:34:56.123456'::time", Kind: row.Time, Text: "12:34:56.123456"},
			{SQL: "'2026-03-29 02:30:00.000001'::timestamp", Kind: row.Timestamp, Text: "2026-03-29T02:30:00.000001"},
			{SQL: "'2026-10-25 01:30:00+01'::timestamptz", Kind: row.Instant, Text: "2026-10-25T00:30:00Z"},
			{SQL: "'2026-10-25 02:30:00 Europe/Berlin'::timestamptz", Kind: row.Instant, Text: "2026-10-25T01:30:00Z"},
			{SQL: "'infinity'::timestamptz"},
			{SQL: "'1 day 2 hours'::interval", Kind: row.Interval, Text: "P1DT2H"},
			{SQL: "'6BA7B810-9DAD-11D1-80B4-00C04FD430C8'::uuid", Kind: row.UUID, Text: "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
			{SQL: `'{"n": 9007199254740993}'::jsonb`, Kind: row.JSON, Text: `{"n": 9007199254740993}`},
			{SQL: `'{"b":1,"a":2}'::json`, Kind: row.JSON, Text: `{"b":1,"a":2}`},
			{SQL: `ARRAY['a','b,c']`, Kind: row.Array, Text: `["a","b,c"]`},
			{SQL: "NULL::int", Kind: row.Int, Text: "null"},
			{SQL: "NULL::numeric", Kind: row.Decimal, Text: "null"},
		},
	})
}
