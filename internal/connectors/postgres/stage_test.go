package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_excluded_rows_are_not_written_and_not_settled(t *testing.T) {
	d := newDB(t)
	d.exec(accountsDDL)
	dest := openDest(t, "dsn", d.dsn)
	rows := [][]row.Value{vals(num(1), null, null, null), vals(num(2), null, null, null), vals(num(3), null, txt("bad"), null), vals(num(4), null, num(-1), null), vals(num(1), null, null, null)}
	got, err := upsert.stage(t, dest, map[uint64]bool{0: true, 3: true, 77: true}, rows...)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "outcomes", got, []string{"", "created", "rejected VALUE_TYPE score", "", "created"})
	if got := d.text("SELECT id FROM accounts ORDER BY id"); got != "1\n2" {
		t.Error(got)
	}
}

func Test_an_aborted_load_leaves_nothing_and_is_invisible_before(t *testing.T) {
	d := newDB(t)
	d.exec(accountsDDL)
	dest := openDest(t, "dsn", d.dsn, "application_name", "aborted")
	st, err := dest.Stage(t.Context(), upsert.target())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := st.Write(t.Context(), upsert.batch(vals(num(1), null, null, null))); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.text("SELECT count(*) FROM accounts"); got != "0" {
		t.Errorf("%s rows are visible before Commit", got)
	}
	for range 2 {
		if err := st.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d.waitFor("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aborted'", "0")
	if err := st.Commit(t.Context(), nil, nil); err == nil {
		t.Error("an aborted load was committed")
	}
}

func Test_a_server_that_dies_while_rows_are_staged_is_noticed(t *testing.T) {
	d := newDB(t)
	d.exec(accountsDDL)
	dest := openDest(t, "dsn", d.dsn, "application_name", "dies")
	st, err := dest.Stage(t.Context(), upsert.target())
	if err != nil {
		t.Fatal(err)
	}
	d.text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'dies'")
	b := upsert.batch(vals(num(1), txt(fmt.Sprintf("%0100000d", 1)), null, null))
	for i := 0; i < 1000 && err == nil; i++ {
		err = st.Write(t.Context(), b)
	}
	if err == nil {
		err = st.Commit(t.Context(), nil, func(uint64, connector.Result) { t.Error("a row was settled") })
	}
	failure(t, err, fault.As(err).Code, fault.ClassTransient, fault.LandedNo)
	if err := st.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func Test_a_write_to_a_stage_gives_up_with_its_context(t *testing.T) {
	d := newDB(t)
	d.exec(accountsDDL)
	st, err := openDest(t, "dsn", d.dsn).Stage(t.Context(), upsert.target())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = st.Commit(ctx, nil, func(uint64, connector.Result) { t.Error("a row was settled") })
	failure(t, err, fault.Cancelled, fault.ClassCancelled, fault.LandedNo)
}

func Test_many_rows_with_a_bad_one_among_them(t *testing.T) {
	d := newDB(t)
	d.exec(accountsDDL + "; INSERT INTO accounts SELECT g, 'old' || g FROM generate_series(5, 14) g")
	dest := openDest(t, "dsn", d.dsn)
	const n = 20_000
	var rows [][]row.Value
	for i := range int64(n) {
		rows = append(rows, vals(num(i), txt(fmt.Sprint("e", i)), num(i), txt("t")))
	}
	rows[12_345][2] = num(-5)
	got, err := upsert.stage(t, dest, nil, rows...)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, o := range got {
		count[o]++
	}
	if count["created"] != n-11 || count["updated"] != 10 || got[12_345] != "rejected 23514 accounts_score_check" {
		t.Errorf("%v, %s", count, got[12_345])
	}
	if got := d.text("SELECT count(*), sum(id) FROM accounts"); got != fmt.Sprintf("%d|%d", n-1, n*(n-1)/2-12_345) {
		t.Error(got)
	}
}

func Test_records_are_read_back(t *testing.T) {
	d := newDB(t)
	d.exec("CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE t (id int PRIMARY KEY, g text, n numeric(6,2), at timestamptz, m mood, ip inet, a int[], d date); " +
		"INSERT INTO t VALUES (1, 'a', 1.5, '2026-01-02 03:04:05Z', 'ok', '10.0.0.1', '{1,NULL}', 'infinity'); INSERT INTO t (id, g) VALUES (2, 'b'), (3, 'b')")
	dest := openDest(t, "dsn", d.dsn)
	o := connector.Object{Name: "t"}
	got, err := dest.ReadBack(t.Context(), o, []string{"id"}, [][]row.Value{vals(num(9)), vals(num(1)), vals(txt("no number")), vals(num(2))}, []string{"g", "n", "at", "m", "ip", "a", "d"})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, f := range got {
		list = append(list, fmt.Sprint(f.Exists, f.Values))
	}
	equal(t, "by id", list, []string{"false []", "true [a 1.50 2026-01-02T03:04:05Z ok 10.0.0.1 [1,null] ]", "false []", "true [b null null null null null null]"})
	if got[1].RemoteID != "1" || got[3].RemoteID != "2" { // what a lookup writes
		t.Errorf("the ids are %q and %q", got[1].RemoteID, got[3].RemoteID)
	}
	if !got[1].Values[6].IsAbsent() {
		t.Error("infinity came back as a value")
	}
	got, err = dest.ReadBack(t.Context(), o, []string{"g"}, [][]row.Value{vals(txt("b")), vals(txt("a"))}, []string{"id"})
	if err != nil || !got[0].Exists || !got[0].Ambiguous || got[0].Values != nil || got[1].Ambiguous || got[1].Values[0].Int() != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func Test_objects_describe_tables(t *testing.T) {
	d := newDB(t)
	d.exec(`CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(12,2) NOT NULL;
	  CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email citext NOT NULL UNIQUE, name varchar(40) NOT NULL DEFAULT '', m mood, p price, code char(3), twice int GENERATED ALWAYS AS (1) STORED, at timestamptz)`)
	objects, err := openDest(t, "dsn", d.dsn).Objects(t.Context(), []string{"public.t"})
	if err != nil || len(objects) != 1 {
		t.Fatal(objects, err)
	}
	o := objects[0]
	if got := fmt.Sprintf("%s %v %t %s", o.Name, o.Keys, o.CanMove, o.Kind); got != "public.t [[id] [email]] true table" {
		t.Error(got)
	}
	var list []string
	for _, f := range o.Fields {
		list = append(list, fmt.Sprintf("%s %s c%t u%t req%t null%t uniq%t fold%t trim%t %d %d,%d %v", f.Name, f.Kind, f.Creatable, f.Updatable, f.Required, f.Nullable, f.Unique, f.FoldCase, f.TrimSpace, f.MaxLength, f.Precision, f.Scale, f.Choices))
	}
	equal(t, "fields", list, []string{
		"id int cfalse ufalse reqfalse nullfalse uniqtrue foldfalse trimfalse 0 0,0 []",
		"email text ctrue utrue reqtrue nullfalse uniqtrue foldtrue trimfalse 0 0,0 []",
		"name text ctrue utrue reqfalse nullfalse uniqfalse foldfalse trimfalse 40 0,0 []",
		"m text ctrue utrue reqfalse nulltrue uniqfalse foldfalse trimfalse 0 0,0 [sad ok]",
		"p decimal ctrue utrue reqtrue nullfalse uniqfalse foldfalse trimfalse 0 12,2 []",
		"code text ctrue utrue reqfalse nulltrue uniqfalse foldfalse trimtrue 3 0,0 []",
		"twice int cfalse ufalse reqfalse nulltrue uniqfalse foldfalse trimfalse 0 0,0 []",
		"at instant ctrue utrue reqfalse nulltrue uniqfalse foldfalse trimfalse 0 0,0 []",
	})
}

func Test_what_is_read_can_be_written_and_reads_the_same(t *testing.T) {
	d := newDB(t)
	const columns = `id int PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, n38 numeric(38,18), t text, v varchar(20), c char(5), by bytea, d date, tm time, ts timestamp,
	  tz timestamptz, iv interval, u uuid, j json, jb jsonb, ai int[], at text[], an numeric(10,3)[], atz timestamptz[], aby bytea[], af float8[], ip inet, r int4range, bt bit(3), o oid, ajb jsonb[]`
	d.exec("CREATE TABLE a (" + columns + "); CREATE TABLE w (" + columns + "); CREATE TABLE s (" + columns + ")")
	d.exec(`INSERT INTO a VALUES (1, true, -32768, 2147483647, 9007199254740993, 0.1, 1e-300, 123456789012345678901234567890.000100, 99999999999999999999.999999999999999999, E'it''s "q" \\ 🙂 \n\t', 'häß', 'ab', '\x00ff',
	  '9999-12-31', '23:59:59.999999', '0044-03-15 12:00:00.000001 BC', '2026-10-25 02:30:00+01', '-1 year 2 months -3 days 04:05:06.000007', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a" : 1.50}', '{"b": [1, null, "\u00e9"]}',
	  '{{1,2},{NULL,4}}', ARRAY['a,"b', 'NULL', NULL, E'\\', '{x}'], '{1.500,-0.001}', ARRAY[timestamptz '2026-03-29 01:00:00Z'], ARRAY['\x00ff'::bytea], '{NaN,0.5,Infinity}', '10.0.0.1/24', '[1,5)', B'101', 4294967295, ARRAY['{"a": "x\"y"}'::jsonb, '2', '[1]']);
	  INSERT INTO a (id) VALUES (2); INSERT INTO a VALUES (3, false, 0, 0, -9223372036854775808, 'NaN', '-Infinity', 0.00000, 0.000000000000000001, '', '', '', '', '4713-01-01 BC', '00:00', '0001-01-01', '9999-12-31 23:59:59.999999Z', '0', '00000000-0000-0000-0000-000000000000', '[]', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '::1', 'empty', B'000', 0, '{}')`)
	src, dest := openSource(t, "dsn", d.dsn), openDest(t, "dsn", d.dsn)
	rows, err := readAll(t.Context(), src, connector.Query{SQL: "SELECT * FROM a ORDER BY id"})
	if err != nil {
		t.Fatal(err)
	}
	schema, err := src.Describe(t.Context(), connector.Query{Table: "a"})
	if err != nil {
		t.Fatal(err)
	}
	l := load{op: connector.OpUpsert, match: []string{"id"}}
	for _, f := range schema.Fields()[1:] {
		l.fields = append(l.fields, f.Name)
	}
	for _, table := range []string{"w", "s"} {
		l.object = table
		send := func() ([]string, error) { return l.write(t, dest, rows...) }
		if table == "s" {
			send = func() ([]string, error) { return l.stage(t, dest, nil, rows...) }
		}
		for _, want := range []string{"created", "updated"} {
			got, err := send()
			if err != nil {
				t.Fatal(err)
			}
			equal(t, table, got, []string{want, want, want})
		}
		if got := d.text("SELECT count(*) FROM a JOIN " + table + " x ON x::text = a::text"); got != "3" {
			t.Errorf("%s differs:\n%s\n%s", table, d.text("TABLE "+table), d.text("TABLE a"))
		}
	}
}
