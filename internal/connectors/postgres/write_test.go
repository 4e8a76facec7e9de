package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

const accountsDDL = `CREATE TABLE accounts (id bigint PRIMARY KEY, email text UNIQUE, score int CHECK (score >= 0), tier text DEFAULT 'free', mrr numeric(12,2))`

var upsert = load{object: "accounts", op: connector.OpUpsert, match: []string{"id"}, fields: []string{"email", "score", "tier"}}

func (l load) as(op connector.Op) load { l.op = op; return l }

// ways runs a test through Write and through Stage: the same rows must come to the same end.
func ways(t *testing.T, f func(t *testing.T, d *db, dest *destination, send func(l load, rows ...[]row.Value) []string)) {
	for _, way := range []string{"write", "stage"} {
		t.Run(way, func(t *testing.T) {
			d := newDB(t)
			dest := openDest(t, "dsn", d.dsn)
			f(t, d, dest, func(l load, rows ...[]row.Value) []string {
				t.Helper()
				var out []string
				var err error
				if way == "write" {
					out, err = l.write(t, dest, rows...)
				} else {
					out, err = l.stage(t, dest, nil, rows...)
				}
				if err != nil {
					t.Fatal(err)
				}
				return out
			})
		})
	}
}

func Test_upsert_creates_updates_and_leaves_equal_rows_alone(t *testing.T) {
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec(accountsDDL)
		equal(t, "first", send(upsert, vals(num(1), txt("a"), num(1), txt("x")), vals(num(2), null, num(2), null)), []string{"created", "created"})
		d.exec("CREATE TABLE before AS SELECT id, xmin::text AS x FROM accounts")
		equal(t, "again", send(upsert, vals(num(1), txt("a"), num(1), txt("x")), vals(num(2), null, num(5), null), vals(num(3), txt("it's 🙂"), null, gone)), []string{"updated", "updated", "created"})
		if got := d.text("SELECT id, email, score, tier FROM accounts ORDER BY id"); got != "1|a|1|x\n2|∅|5|∅\n3|it's 🙂|∅|free" {
			t.Error(got)
		}
		if got := d.text("SELECT a.id FROM accounts a JOIN before b ON a.id = b.id AND a.xmin::text = b.x"); got != "1" {
			t.Errorf("rows not written again: %q, want 1", got)
		}
	})
}

func Test_absent_null_and_value_are_three_things(t *testing.T) {
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec(accountsDDL + "; ALTER TABLE accounts ALTER email SET NOT NULL; INSERT INTO accounts VALUES (1, 'a', 1, 'x'), (2, 'b', 2, 'y'), (3, 'c', 3, 'z')")
		got := send(upsert, vals(num(1), gone, num(10), gone), vals(num(2), gone, gone, null), vals(num(3), txt("cc"), null, txt("zz")), vals(num(4), gone, num(4), gone),
			vals(num(5), txt("e"), gone, gone), vals(num(6), gone, gone, gone))
		equal(t, "outcomes", got, []string{"updated", "updated", "updated", "rejected REQUIRED_FIELD_MISSING email", "created", "rejected REQUIRED_FIELD_MISSING email"})
		if got := d.text("SELECT id, email, score, tier FROM accounts ORDER BY id"); got != "1|a|10|x\n2|b|2|∅\n3|cc|∅|zz\n5|e|∅|free" {
			t.Error(got)
		}
	})
}

func Test_update_skips_what_is_not_there(t *testing.T) {
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec(accountsDDL + "; INSERT INTO accounts VALUES (1, 'a', 1, 'x')")
		l := upsert.as(connector.OpUpdate)
		equal(t, "outcomes", send(l, vals(num(1), txt("aa"), gone, null), vals(num(2), txt("b"), num(2), null)), []string{"updated", "skipped NOT_FOUND"})
		l = upsert.as(connector.OpClear)
		equal(t, "clear", send(l, vals(num(1), null, null, null), vals(num(9), null, null, null)), []string{"updated", "skipped NOT_FOUND"})
		if got := d.text("TABLE accounts"); got != "1|∅|∅|∅|∅" {
			t.Error(got)
		}
	})
}

func Test_insert_rejects_or_skips_what_exists(t *testing.T) {
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec(accountsDDL + "; INSERT INTO accounts VALUES (1, 'a', 1, 'x')")
		l := upsert.as(connector.OpInsert)
		rows := [][]row.Value{vals(num(1), txt("aa"), null, null), vals(num(2), txt("b"), null, null), vals(num(3), txt("a"), null, null)}
		equal(t, "reject", send(l, rows...), []string{"rejected ALREADY_EXISTS", "created", "rejected 23505 email"})
		l.skipExists = true
		equal(t, "skip", send(l, rows[:2]...), []string{"skipped ALREADY_EXISTS", "skipped ALREADY_EXISTS"})
		if got := d.text("SELECT id, email FROM accounts ORDER BY id"); got != "1|a\n2|b" {
			t.Error(got)
		}
	})
}

func Test_append_with_a_key_is_repeatable_and_without_one_is_plain(t *testing.T) {
	ways(t, func(t *testing.T, d *db, dest *destination, send func(load, ...[]row.Value) []string) {
		d.exec("CREATE TABLE events (event_id uuid PRIMARY KEY, kind text); CREATE TABLE lines (n int, kind text); CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, kind text)")
		keyed := load{object: "events", op: connector.OpAppend, match: []string{"event_id"}, fields: []string{"kind"}}
		e := vals(row.StringKind(row.UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), txt("login"))
		equal(t, "first", send(keyed, e), []string{"created"})
		equal(t, "again", send(keyed, e), []string{"updated"})
		for _, object := range []string{"lines", "numbered"} {
			plain := load{object: object, op: connector.OpAppend, match: []string{"n"}, fields: []string{"kind"}}
			send(plain, vals(num(1), txt("a")), vals(num(1), txt("a")))
			if got := d.text("SELECT count(*) FROM " + object); got != "2" {
				t.Errorf("%s has %s rows", object, got)
			}
		}
		objects, err := dest.Objects(t.Context(), []string{"events", "lines", "numbered", "none"})
		if err != nil || len(objects) != 3 {
			t.Fatal(objects, err)
		}
		for i, want := range []bool{true, false, false} {
			if got := objects[i].Ops[connector.OpAppend].Idempotent; got != want {
				t.Errorf("append to %s is idempotent: %v", objects[i].Name, got)
			}
		}
	})
}

func Test_delete_takes_what_is_there_and_is_content_with_the_rest(t *testing.T) {
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec(accountsDDL + "; CREATE TABLE child (id bigint REFERENCES accounts); INSERT INTO accounts VALUES (1), (2), (3); INSERT INTO child VALUES (2)")
		l := load{object: "accounts", op: connector.OpDelete, match: []string{"id"}}
		equal(t, "outcomes", send(l, vals(num(1)), vals(num(2)), vals(num(9))), []string{"delivered", "rejected 23503 child_id_fkey", "delivered"})
		if got := d.text("SELECT id FROM accounts ORDER BY id"); got != "2\n3" {
			t.Error(got)
		}
	})
}

func Test_one_bad_row_does_not_sink_the_rest(t *testing.T) {
	const n = 9
	for _, bad := range [][]int{{0}, {4}, {8}, {0, 8}, {3, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8}} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
				d.exec(accountsDDL)
				var rows [][]row.Value
				var want []string
				for i := range n {
					rows = append(rows, vals(num(int64(i)), txt(fmt.Sprint("m", i)), num(int64(i)), txt("t")))
					want = append(want, "created")
				}
				for _, i := range bad {
					rows[i][2] = num(-1)
					want[i] = "rejected 23514 accounts_score_check"
				}
				equal(t, "outcomes", send(upsert, rows...), want)
				if got := d.text("SELECT count(*) FROM accounts"); got != fmt.Sprint(n-len(bad)) {
					t.Errorf("%s rows are there", got)
				}
			})
		})
	}
}

func Test_values_that_do_not_fit_are_refused_not_bent(t *testing.T) {
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec(`CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN pct AS numeric(5,2) CHECK (value <= 100);
		  CREATE TABLE t (id int PRIMARY KEY, n numeric(12,2), i int, s varchar(3), ts timestamp, tz timestamptz, m mood, p pct, j jsonb, a numeric(6,1)[], big bigint, f real, u uuid, neg numeric(3,-2), tiny numeric(2,4))`)
		for _, c := range []struct {
			field string
			v     row.Value
			want  string
		}{
			{"n", dec("1.005"), "VALUE_TYPE n"},
			{"n", dec("12345678901"), "VALUE_TYPE n"},
			{"n", dec("9999999999.99"), "9999999999.99"},
			{"n", dec("1.500"), "1.50"},
			{"n", row.FloatValue(71.5), "71.50"},
			{"n", txt("7"), "VALUE_TYPE n"},
			{"n", num(-7), "-7.00"},
			{"i", txt("1"), "VALUE_TYPE i"},
			{"i", num(1 << 40), "VALUE_TYPE i"},
			{"i", dec("5.0"), "5"},
			{"i", dec("5.5"), "VALUE_TYPE i"},
			{"i", row.FloatValue(6), "6"},
			{"i", row.BoolValue(true), "VALUE_TYPE i"},
			{"s", txt("abcd"), "VALUE_TOO_LONG s"},
			{"s", txt("äöü"), "äöü"},
			{"s", num(12), "12"},
			{"s", txt("\xff"), "TEXT_INVALID_UTF8 s"},
			{"s", txt("a\x00b"), "VALUE_TYPE s"},
			{"s", row.BytesValue([]byte("a")), "VALUE_TYPE s"},
			{"ts", row.InstantValue(0, 0), "VALUE_TYPE ts"},
			{"ts", row.TimestampValue(0, 1), "VALUE_TYPE ts"},
			{"ts", row.TimestampValue(0, 1000), "1970-01-01 00:00:00.000001"},
			{"tz", row.TimestampValue(0, 0), "VALUE_TYPE tz"},
			{"m", txt("ok"), "ok"},
			{"m", txt("glad"), "VALUE_NOT_IN_PICKLIST m"},
			{"p", dec("12.345"), "VALUE_TYPE p"},
			{"p", num(101), "23514 pct_check"},
			{"p", num(100), "100.00"},
			{"j", row.StringKind(row.JSON, "{"), "VALUE_TYPE j"},
			{"j", row.StringKind(row.JSON, `{"a":1.50}`), `{"a": 1.50}`},
			{"j", txt("plain"), "VALUE_TYPE j"},
			{"j", row.StringKind(row.JSON, `"\u0000"`), "22P05"},
			{"a", row.StringKind(row.Array, "[1.5,null]"), "{1.5,NULL}"},
			{"a", row.StringKind(row.Array, "[1.55]"), "VALUE_TYPE a"},
			{"a", row.StringKind(row.Array, "[[1],[2]]"), "{{1.0},{2.0}}"},
			{"a", row.StringKind(row.Array, `["x"]`), "VALUE_TYPE a"},
			{"a", row.StringKind(row.Array, `[[1],[2,3]]`), "22P02"},
			{"big", row.UintValue(1 << 63), "VALUE_TYPE big"},
			{"f", row.FloatValue(0.1), "0.1"},
			{"f", dec("0.1"), "0.1"},
			{"f", row.FloatValue(0.123456789012), "VALUE_TYPE f"},
			{"u", txt("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
			{"u", txt("x"), "VALUE_TYPE u"},
			{"neg", num(12300), "12300"},
			{"neg", num(12345), "VALUE_TYPE neg"},
			{"tiny", dec("0.0099"), "0.0099"},
			{"tiny", dec("0.01"), "VALUE_TYPE tiny"},
		} {
			l := load{object: "t", op: connector.OpUpsert, match: []string{"id"}, fields: []string{c.field}}
			got := send(l, vals(num(1), c.v))[0]
			got = strings.TrimPrefix(got, "rejected ")
			if got == "created" || got == "updated" {
				got = d.text("SELECT " + c.field + " FROM t WHERE id = 1")
			}
			if got != c.want {
				t.Errorf("%s into %s: %s, want %s", c.v, c.field, got, c.want)
			}
			d.exec("DELETE FROM t")
		}
	})
}

func Test_rows_the_database_takes_for_one_record_are_both_rejected(t *testing.T) {
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec("CREATE EXTENSION citext; CREATE TABLE p (email citext PRIMARY KEY, n int)")
		l := load{object: "p", op: connector.OpUpsert, match: []string{"email"}, fields: []string{"n"}}
		equal(t, "outcomes", send(l, vals(txt("A@x"), num(1)), vals(txt("b@x"), num(2)), vals(txt("a@X"), num(3)), vals(null, num(4))),
			[]string{"rejected MATCH_DUPLICATE", "created", "rejected MATCH_DUPLICATE", "rejected MATCH_NULL email"})
		equal(t, "case", send(l, vals(txt("B@x"), num(2))), []string{"updated"})
	})
}

func Test_looser_equality_does_not_hide_a_change(t *testing.T) {
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec(`CREATE EXTENSION citext; CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		  CREATE TABLE t (id int PRIMARY KEY, c citext, l text COLLATE nocase, iv interval, j json, x point);
		  INSERT INTO t VALUES (1, 'abc', 'abc', '1 month', '{"a":1}', '(1,2)')`)
		l := load{object: "t", op: connector.OpUpsert, match: []string{"id"}, fields: []string{"c", "l", "iv", "j", "x"}}
		equal(t, "outcomes", send(l, vals(num(1), txt("ABC"), txt("ABC"), row.StringKind(row.Interval, "P30D"), row.StringKind(row.JSON, `{"a": 1}`), txt("(1.0,2.5)"))), []string{"updated"})
		if got := d.text("SELECT * FROM t"); got != `1|ABC|ABC|30 days|{"a": 1}|(1,2.5)` {
			t.Error(got)
		}
	})
}

func Test_a_trigger_that_drops_rows_is_no_success(t *testing.T) {
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec(accountsDDL + `; CREATE FUNCTION drop_odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		    IF NEW.id = 5 THEN RAISE EXCEPTION 'five is right out'; END IF;
		    RETURN CASE WHEN NEW.id % 2 = 0 THEN NEW END; END $$;
		  CREATE TRIGGER t BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION drop_odd()`)
		got := send(upsert, vals(num(1), null, null, null), vals(num(2), null, null, null), vals(num(5), null, null, null))
		equal(t, "outcomes", got, []string{"rejected DESTINATION_REFUSED_ROW", "created", "rejected P0001"})
	})
}

func Test_names_that_need_quotes_and_attempts_at_injection(t *testing.T) {
	ways(t, func(t *testing.T, d *db, dest *destination, send func(load, ...[]row.Value) []string) {
		d.exec(`CREATE SCHEMA "my.schema"; CREATE TABLE "my.schema"."Order ""x""; DROP TABLE t; --" ("select" int PRIMARY KEY, "a b""c" text, "$1" text); CREATE TABLE t (id int PRIMARY KEY)`)
		l := load{object: `"my.schema"."Order ""x""; DROP TABLE t; --"`, op: connector.OpUpsert, match: []string{"select"}, fields: []string{`a b"c`, "$1"}}
		equal(t, "outcomes", send(l, vals(num(1), txt("'; DROP TABLE t; --"), txt(`\'"`))), []string{"created"})
		if got := d.text(`SELECT * FROM "my.schema"."Order ""x""; DROP TABLE t; --"`); got != `1|'; DROP TABLE t; --|\'"` {
			t.Error(got)
		}
		objects, err := dest.Objects(t.Context(), nil)
		if err != nil || len(objects) != 2 || objects[0].Name != l.object || objects[1].Name != "t" {
			t.Errorf("%v, %v", objects, err)
		}
		for _, name := range []string{"t; DROP TABLE t", "t) --", "a.b.c", "", `"`, "pg_catalog.pg_class\x00"} {
			if objects, err := dest.Objects(t.Context(), []string{name}); err != nil || len(objects) != 0 {
				t.Errorf("%q: %v, %v", name, objects, err)
			}
		}
	})
}

func Test_a_match_needs_a_unique_index(t *testing.T) {
	d := newDB(t)
	dest := openDest(t, "dsn", d.dsn)
	d.exec(`CREATE TABLE t (a int, b int, c int, d int, e int UNIQUE DEFERRABLE, UNIQUE (b, a)); CREATE UNIQUE INDEX ON t (c) WHERE c > 0; CREATE UNIQUE INDEX ON t ((d + 1))`)
	for _, match := range [][]string{{"a"}, {"c"}, {"d"}, {"e"}, {"a", "b", "c"}} {
		l := load{object: "t", op: connector.OpUpsert, match: match, fields: []string{}}
		_, err := l.write(t, dest, make([]row.Value, len(match)))
		if f := fault.As(err); f == nil || f.Code != fault.DestKeyUnusable || f.Landed != fault.LandedNo {
			t.Errorf("%v: %v", match, err)
		}
	}
	l := load{object: "t", op: connector.OpUpsert, match: []string{"a", "b"}, fields: []string{"c"}}
	got, err := l.write(t, dest, vals(num(1), num(2), num(3)), vals(num(1), num(3), null))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "outcomes", got, []string{"created", "created"})
}

func Test_partitioned_tables_tell_created_from_updated(t *testing.T) {
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec(`CREATE TABLE accounts (id bigint PRIMARY KEY, email text, score int, tier text) PARTITION BY HASH (id);
		  CREATE TABLE a0 PARTITION OF accounts FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE a1 PARTITION OF accounts FOR VALUES WITH (MODULUS 2, REMAINDER 1)`)
		equal(t, "first", send(upsert, vals(num(1), txt("a"), null, null)), []string{"created"})
		equal(t, "again", send(upsert, vals(num(1), txt("b"), null, null), vals(num(2), txt("b"), null, null)), []string{"updated", "created"})
	})
}

func Test_a_record_can_be_moved(t *testing.T) {
	d := newDB(t)
	dest := openDest(t, "dsn", d.dsn)
	d.exec(accountsDDL + "; INSERT INTO accounts VALUES (1, 'a'), (2, 'b')")
	l := load{object: "accounts", op: connector.OpUpdate, match: []string{"id"}, fields: []string{"id", "email"}}
	got, err := l.write(t, dest, vals(num(1), num(10), txt("aa")), vals(num(7), num(8), null))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "outcomes", got, []string{"updated", "skipped NOT_FOUND"})
	if got := d.text("SELECT id, email FROM accounts ORDER BY id"); got != "2|b\n10|aa" {
		t.Error(got)
	}
}

func Test_a_character_the_server_cannot_store_costs_only_its_row(t *testing.T) {
	d := newDB(t)
	name := "latin_" + d.name()[len(d.name())-8:]
	d.exec("CREATE DATABASE " + name + " TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() { d.exec("DROP DATABASE " + name + " WITH (FORCE)") })
	kv := replace(hostSettings(t, d.dsn), "database", name)
	latin := d.connect("host=" + kv[1] + " port=" + kv[3] + " user=" + kv[5] + " dbname=" + name)
	t.Cleanup(func() { _ = latin.Close(t.Context()) })
	if _, err := latin.Exec(t.Context(), accountsDDL); err != nil {
		t.Fatal(err)
	}
	dest := openDest(t, kv...)
	rows := [][]row.Value{vals(num(1), txt("é"), null, null), vals(num(2), txt("🙂"), null, null)}
	got, err := upsert.stage(t, dest, nil, rows...)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "stage", got, []string{"created", "rejected 22P05"})
	got, err = upsert.write(t, dest, rows...)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "write", got, []string{"updated", "rejected 22P05"})
}

func Test_rows_that_clash_on_another_unique_column(t *testing.T) {
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec(accountsDDL)
		got := send(upsert, vals(num(1), txt("a"), null, null), vals(num(2), txt("b"), null, null), vals(num(3), txt("a"), null, null))
		equal(t, "outcomes", got, []string{"created", "created", "rejected 23505 email"})
	})
}
