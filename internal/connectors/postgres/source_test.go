package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

func Test_every_type_is_carried_exactly(t *testing.T) {
	d := newDB(t)
	d.exec(`CREATE DOMAIN price AS numeric(12,2); CREATE DOMAIN list_price AS price CHECK (value > 0); CREATE TYPE mood AS ENUM ('sad', 'it''s ok 🙂');
	  CREATE TYPE pair AS (a int, b text); CREATE EXTENSION citext; CREATE EXTENSION hstore`)
	s := openSource(t, "dsn", d.dsn)
	for _, c := range []struct{ sql, kind, want string }{
		{"true", "bool", "true"},
		{"false", "bool", "false"},
		{"32767::int2", "int", "32767"},
		{"'-32768'::int2", "int", "-32768"},
		{"-2147483648", "int", "-2147483648"},
		{"9007199254740993", "int", "9007199254740993"},
		{"'-9223372036854775808'::int8", "int", "-9223372036854775808"},
		{"4294967295::oid", "int", "4294967295"},
		{"0.5::float4", "float", "0.5"},
		{"0.1::float8", "float", "0.1"},
		{"1.7976931348623157e308::float8", "float", "1.7976931348623157e+308"},
		{"'NaN'::float8", "float", "NaN"},
		{"0::numeric", "decimal", "0"},
		{"1.50", "decimal", "1.50"},
		{"-0.0001", "decimal", "-0.0001"},
		{"10000", "int", "10000"},
		{"100000000.00000000001", "decimal", "100000000.00000000001"},
		{"99999999999999999999.999999999999999999::numeric(38,18)", "decimal", "99999999999999999999.999999999999999999"},
		{"1e-20::numeric", "decimal", "0.00000000000000000001"},
		{"12345678901234567890123456789012345678901234567890", "decimal", "12345678901234567890123456789012345678901234567890"},
		{"1000000000000::numeric", "decimal", "1000000000000"},
		{"3.5::list_price", "decimal", "3.50"},
		{"E'it''s\\n\\ttext 🙂 \\\\'", "text", "it's\n\ttext 🙂 \\"},
		{"''", "text", ""},
		{"'a'::char(4)", "text", "a   "},
		{"'v'::varchar(9)", "text", "v"},
		{"'n'::name", "text", "n"},
		{"'AbC'::citext", "text", "AbC"},
		{"'it''s ok 🙂'::mood", "text", "it's ok 🙂"},
		{`'\x00ff7f'::bytea`, "bytes", "AP9/"},
		{"date '9999-12-31'", "date", "9999-12-31"},
		{"date '0044-03-15 BC'", "date", "-43-03-15"},
		{"time '23:59:59.999999'", "time", "23:59:59.999999"},
		{"timestamp '2026-03-29 02:30:00'", "timestamp", "2026-03-29T02:30:00"},
		{"timestamp '0001-01-01 00:00:00.000001'", "timestamp", "0001-01-01T00:00:00.000001"},
		{"timestamptz '2026-03-29 02:30:00.5 Europe/Berlin'", "instant", "2026-03-29T01:30:00.5Z"},
		{"timestamptz '2026-10-25 02:30:00+02'", "instant", "2026-10-25T00:30:00Z"},
		{"timestamptz '2026-10-25 02:30:00+01'", "instant", "2026-10-25T01:30:00Z"},
		{"timestamptz '9999-12-31 23:59:59.999999Z'", "instant", "9999-12-31T23:59:59.999999Z"},
		{"interval '0'", "interval", "PT0S"},
		{"interval '14 mons -3 days 01:02:03.0045'", "interval", "P1Y2M-3DT1H2M3.0045S"},
		{"interval '-1 month -00:00:00.5'", "interval", "P-1MT-0.5S"},
		{"interval '30 days'", "interval", "P30D"},
		{"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{`'{"a" :  1.50}'::json`, "json", `{"a" :  1.50}`},
		{`'{"a" :  1.50}'::jsonb`, "json", `{"a": 1.50}`},
		{"ARRAY[1,NULL,3]", "array", "[1,null,3]"},
		{"ARRAY[[1,2],[3,4]]", "array", "[[1,2],[3,4]]"},
		{"'{}'::text[]", "array", "[]"},
		{`ARRAY['a,b','"q"\','NULL','🙂',NULL,E'\n']`, "array", `["a,b","\"q\"\\","NULL","🙂",null,"\n"]`},
		{"ARRAY[1.50,12345678901234567890.1]", "array", "[1.50,12345678901234567890.1]"},
		{"ARRAY[0.1::float4,'NaN']", "array", `[0.1,"NaN"]`},
		{"ARRAY[true,false]", "array", "[true,false]"},
		{"ARRAY[timestamptz '2026-01-02 03:04:05+01']", "array", `["2026-01-02T02:04:05Z"]`},
		{"ARRAY[date '2026-01-02']", "array", `["2026-01-02"]`},
		{`ARRAY['\x00ff'::bytea]`, "array", `["AP8="]`},
		{`ARRAY['{"a":1}'::jsonb]`, "array", `[{"a": 1}]`},
		{"ARRAY['sad'::mood]", "array", `["sad"]`},
		{"ARRAY[3.5::list_price]", "array", `[3.50]`},
		{"ARRAY['10.0.0.0/8'::inet, NULL]", "array", `["10.0.0.0/8",null]`},
		{"ARRAY[(1,'x y')::pair]", "array", `["(1,\"x y\")"]`},
		{"'[0:1]={7,8}'::int[]", "array", "[7,8]"},
		{"'[0:1]={10.1.1.1,10.1.1.2}'::inet[]", "array", `["10.1.1.1","10.1.1.2"]`},
		{"ARRAY['((0,0),(1,1))'::box]", "array", `["(1,1),(0,0)"]`},
		{"'10.0.0.1/24'::inet", "text", "10.0.0.1/24"},
		{"'10.0.0.0/8'::cidr", "text", "10.0.0.0/8"},
		{"'08:00:2b:01:02:03'::macaddr", "text", "08:00:2b:01:02:03"},
		{"'[1,5)'::int4range", "text", "[1,5)"},
		{"'(1,2)'::point", "text", "(1,2)"},
		{"B'101'", "text", "101"},
		{"'a=>1'::hstore", "text", `"a"=>"1"`},
		{"(1,'x')::pair", "text", "(1,x)"},
		{"'12:00+02'::timetz", "text", "12:00:00+02"},
		{"NULL::text", "null", "null"},
		{"NULL", "null", "null"},
	} {
		rows, err := readAll(t.Context(), s, connector.Query{SQL: "SELECT " + c.sql + " AS v"})
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		if v := rows[0][0]; v.String() != c.want || v.Kind().String() != c.kind {
			t.Errorf("%s: got %s %q, want %s %q", c.sql, v.Kind(), v, c.kind, c.want)
		}
	}
}

func Test_a_value_that_cannot_be_carried_ends_the_read_and_is_named(t *testing.T) {
	d := newDB(t)
	s := openSource(t, "dsn", d.dsn)
	for _, expr := range []string{
		"'infinity'::date", "'-infinity'::timestamp", "'infinity'::timestamptz", "'NaN'::numeric", "'-Infinity'::numeric", "'24:00'::time",
		"timestamp '294270-01-01'", "ARRAY['NaN'::numeric]", "ARRAY['infinity'::date]",
	} {
		_, err := readAll(t.Context(), s, connector.Query{SQL: `SELECT 1 AS ok, ` + expr + ` AS "bad one"`})
		if f := fault.As(err); f == nil || f.Code != fault.SourceValue || !strings.Contains(f.Message, `"bad one"`) || !strings.Contains(f.GetFix(), `"bad one"::text`) {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

func Test_describe_gives_the_types_without_reading(t *testing.T) {
	d := newDB(t)
	d.exec("CREATE TABLE t (id bigint, n numeric(12,2), at timestamptz, tags text[])")
	s := openSource(t, "dsn", d.dsn)
	for _, q := range []connector.Query{
		{Table: "t"}, {SQL: "SELECT id, n, at, tags FROM t, (SELECT 1 / 0) x"}, {Table: "public.t", Columns: []string{"id", "n", "at", "tags"}, Where: "id > 0 -- all"},
	} {
		schema, err := s.Describe(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"int64", "utf8 decimal", "timestamp[us, tz=UTC]", "utf8 array"}
		for i, w := range want {
			got := schema.Field(i).Type.String()
			if k, ok := schema.Field(i).Metadata.GetValue(connector.KindKey); ok {
				got += " " + k
			}
			if got != w {
				t.Errorf("column %d is %s, want %s", i, got, w)
			}
		}
	}
}

func Test_the_session_is_pinned(t *testing.T) {
	d := newDB(t)
	d.exec("DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || ' SET TimeZone = ''Asia/Tokyo'''; END $$")
	s := openSource(t, "dsn", d.dsn, "schema", `odd "name`, "statement_timeout", "1234ms")
	rows, err := readAll(t.Context(), s, connector.Query{SQL: `SELECT current_setting(x) FROM unnest(ARRAY['TimeZone','DateStyle','extra_float_digits','IntervalStyle','client_encoding',
	  'default_transaction_read_only','transaction_read_only','statement_timeout','application_name','search_path']) x`})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r[0].String())
	}
	equal(t, "settings", got, []string{"UTC", "ISO, YMD", "3", "iso_8601", "UTF8", "on", "on", "1234ms", "upwell", `"odd ""name", public`})
}

func Test_refused_queries_carry_the_servers_words_and_place(t *testing.T) {
	d := newDB(t)
	d.exec(`CREATE TABLE accounts (id int)`)
	s := openSource(t, "dsn", d.dsn, "statement_timeout", "200ms")
	for _, c := range []struct {
		sql   string
		code  fault.Code
		words []string
	}{
		{"SELECT id,\n  idd FROM accounts", fault.SourceQueryFailed, []string{`column "idd" does not exist`, "hint", "accounts.id", "42703"}},
		{"SELECT 1 / (id - id) FROM generate_series(1, 3) id", fault.SourceQueryFailed, []string{"division by zero"}},
		{"SELECT 1 AS a, 2 AS a", fault.SourceQueryFailed, []string{`two columns named "a"`}},
		{"CREATE TABLE x (id int)", fault.SourceQueryFailed, []string{"no columns"}},
		{"INSERT INTO accounts VALUES (1) RETURNING id", fault.SourceQueryFailed, []string{"read-only"}},
		{"SELECT 1; SELECT 2", fault.SourceQueryFailed, []string{"multiple commands"}},
		{"SELECT pg_sleep(5)", fault.SourceQueryFailed, []string{"statement timeout"}},
		{"EXPLAIN SELECT 1", fault.SourceIncomplete, []string{"counts -1"}},
	} {
		_, err := readAll(t.Context(), s, connector.Query{SQL: c.sql})
		if !fault.Is(err, c.code) {
			t.Errorf("%s: %v, want %s", c.sql, err, c.code)
			continue
		}
		for _, w := range c.words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is missing in %v", c.sql, w, err)
			}
		}
	}
	for _, q := range []connector.Query{{SQL: "SELECT id,\n  idd FROM accounts"}, {SQL: "\nSELECT id,\n  idd FROM accounts;", Where: "id > 1"}} {
		_, err := readAll(t.Context(), s, q)
		if f := fault.As(err); f.Line != 2+strings.Count(q.SQL[:1], "\n") || f.Column != 3 {
			t.Errorf("%q: line %d, column %d", q.SQL, f.Line, f.Column)
		}
	}
}

func Test_a_missing_grant_is_named(t *testing.T) {
	d := newDB(t)
	role := roleName(d)
	d.exec("CREATE TABLE secret_things (id int); CREATE ROLE " + ident(role) + " LOGIN")
	t.Cleanup(func() { d.exec("DROP ROLE " + ident(role)) })
	kv := hostSettings(t, d.dsn)
	kv[5] = role
	_, err := readAll(t.Context(), openSource(t, kv...), connector.Query{Table: "secret_things"})
	if f := fault.As(err); f == nil || f.Code != fault.SourceQueryFailed || f.Fix != `Grant the right: GRANT SELECT ON TABLE "secret_things" TO `+ident(role)+`;` {
		t.Errorf("%v: %s", err, fault.As(err).GetFix())
	}
}

func Test_a_connection_that_fails_says_why_and_hides_the_password(t *testing.T) {
	d := newDB(t)
	host := hostSettings(t, d.dsn)
	const password = "p@ss w'ord/%20?"
	for name, c := range map[string]struct {
		kv   []string
		code fault.Code
	}{
		"nobody listens": {[]string{"host", "127.0.0.1", "port", "1", "user", "u", "password", password, "sslmode", "disable"}, fault.SourceUnreachable},
		"no such role":   {append([]string{"password", password}, replace(host, "user", "nobody")...), fault.SourceAuth},
		"no database":    {append([]string{"password", password}, replace(host, "database", "none")...), fault.SourceAuth},
		"dsn":            {[]string{"dsn", "postgres://u:p%40ss%20w%27ord%2F%2520%3F@127.0.0.1:1/x?sslmode=disable"}, fault.SourceUnreachable},
	} {
		s := openSource(t, c.kv...)
		for _, err := range []error{s.Check(t.Context()), func() error { _, err := readAll(t.Context(), s, connector.Query{SQL: "SELECT 1"}); return err }()} {
			if !fault.Is(err, c.code) {
				t.Errorf("%s: %v, want %s", name, err, c.code)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), "p@ss") || strings.Contains(e.Error(), "p%40ss") {
					t.Errorf("%s: the password shows in %v", name, e)
				}
			}
		}
	}
	for _, kv := range [][]string{{}, {"dsn", d.dsn, "host", "127.0.0.1"}, {"dsn", "postgres://u:hunter2hunter2@host:notaport/db"}} {
		_, err := Source().Open(t.Context(), settings(kv...), connector.Env{})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: %v", kv, err)
		}
	}
	if err := openSource(t, host...).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// roleName is a role of the test's own that needs quoting.
func roleName(d *db) string { return `up"well ` + d.name()[len(d.name())-8:] }

func replace(kv []string, key, value string) []string {
	out := append([]string(nil), kv...)
	for i := 0; i < len(out); i += 2 {
		if out[i] == key {
			out[i+1] = value
		}
	}
	return out
}

func Test_parameters_find_rows_of_every_key_type(t *testing.T) {
	d := newDB(t)
	d.exec(`CREATE TABLE k AS SELECT 5::int8 AS i, 'it''s "5"'::text AS t, 'c'::char(3) AS c, 1.50::numeric AS n, date '0044-03-15 BC' AS d, timestamp '2026-01-02 03:04:05.000006' AS ts,
	  timestamptz '2026-01-02 03:04:05Z' AS tz, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS u, '\x00ff'::bytea AS b, true AS f, interval '1 month' AS iv, time '01:02:03' AS tm, 0.1::float8 AS fl`)
	s := openSource(t, "dsn", d.dsn)
	all, err := readAll(t.Context(), s, connector.Query{Table: "k"})
	if err != nil {
		t.Fatal(err)
	}
	schema, err := s.Describe(t.Context(), connector.Query{Table: "k"})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range all[0] {
		q := connector.Query{SQL: "SELECT * FROM k -- all of it", Equal: []connector.ColumnIs{{Column: schema.Field(i).Name, Value: v}}, Limit: 5}
		got, err := readAll(t.Context(), s, q)
		if err != nil || len(got) != 1 {
			t.Errorf("%s = %s: %d rows, %v", schema.Field(i).Name, v, len(got), err)
		}
	}
}

func Test_bytes_that_are_not_UTF8_are_carried_as_they_are(t *testing.T) {
	d := newDB(t)
	name := "ascii_" + d.name()[len(d.name())-8:]
	d.exec("CREATE DATABASE " + name + " TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() { d.exec("DROP DATABASE " + name + " WITH (FORCE)") })
	kv := replace(hostSettings(t, d.dsn), "database", name)
	rows, err := readAll(t.Context(), openSource(t, kv...), connector.Query{SQL: `SELECT E'a\xffb' AS v, ARRAY[E'\xfe'] AS a`})
	if err != nil || rows[0][0].Str() != "a\xffb" || rows[0][1].Str() != "[\"\xfe\"]" {
		t.Errorf("%q, %v", rows, err)
	}
}
