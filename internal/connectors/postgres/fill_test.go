package postgres

import (
	"errors"
	"fmt"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_an_empty_table_is_filled_unseen_until_the_commit(t *testing.T) {
	d := newDB(t)
	d.exec(accountsDDL)
	dest := openDest(t, "dsn", d.dsn)
	s, err := dest.Fill(t.Context(), upsert.target())
	if err != nil || s == nil {
		t.Fatal(s, err)
	}
	const n = 20_000
	for i := range int64(n) {
		if err := s.Write(t.Context(), upsert.batch(vals(num(i), txt(fmt.Sprint("e", i)), num(1), null))); err != nil {
			t.Fatal(err)
		}
	}
	d.waitFor("SELECT pg_relation_size('accounts') > 0", "t")
	if got := d.text("SELECT count(*) FROM accounts"); got != "0" {
		t.Errorf("%s rows are visible before Commit", got)
	}
	if err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := upsert.fill(t, dest, nil, vals(num(1), null, null, null), vals(num(2), null, txt("bad"), null), vals(num(3), txt("c"), num(3), txt("t")))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "outcomes", got, []string{"created", "rejected VALUE_TYPE score", "created"})
	if got := d.text("SELECT id, email, score, tier FROM accounts ORDER BY id"); got != "1|∅|∅|∅\n3|c|3|t" {
		t.Error(got)
	}
}

func Test_what_spoils_a_filled_table_rolls_it_back_to_be_staged(t *testing.T) {
	one := []row.Value{num(1), null, num(1), null}
	for name, c := range map[string]struct {
		sql     string
		exclude map[uint64]bool
		row     []row.Value
	}{
		"a row the table refuses":         {row: vals(num(2), null, num(-5), null)},
		"two rows that are one record":    {row: one},
		"a row that lacks a field":        {row: vals(num(2), null, row.Value{}, null)},
		"rows that have to be left out":   {row: vals(num(2), null, null, null), exclude: map[uint64]bool{1: true}},
		"a trigger that drops rows":       {sql: "CREATE FUNCTION drop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER t BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION drop()", row: vals(num(2), null, null, null)},
		"a key that must stand elsewhere": {sql: "CREATE TABLE tiers (tier text PRIMARY KEY); ALTER TABLE accounts ADD FOREIGN KEY (tier) REFERENCES tiers", row: vals(num(2), null, null, txt("none"))},
		"a constraint checked at the end": {sql: "ALTER TABLE accounts ADD UNIQUE (email) DEFERRABLE INITIALLY DEFERRED", row: vals(num(2), txt("same"), null, null)},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDB(t)
			d.exec(accountsDDL + ";" + c.sql)
			dest := openDest(t, "dsn", d.dsn)
			_, err := upsert.fill(t, dest, c.exclude, one, c.row, vals(num(9), txt("same"), null, null))
			if !errors.Is(err, connector.ErrStageLost) || fault.As(err).Landed != fault.LandedNo {
				t.Errorf("got %v; want a lost stage that did not land", err)
			}
			if got := d.text("SELECT count(*) FROM accounts"); got != "0" {
				t.Errorf("the table holds %s rows", got)
			}
		})
	}
}

func Test_a_table_where_an_insert_is_more_than_a_copy_is_not_filled(t *testing.T) {
	for name, sql := range map[string]string{
		"it holds a record":      "INSERT INTO accounts (id) VALUES (1)",
		"it has rules":           "CREATE RULE r AS ON INSERT TO accounts DO ALSO NOTIFY x",
		"it has row security":    "ALTER TABLE accounts ENABLE ROW LEVEL SECURITY",
		"a value has to be cast": "ALTER TABLE accounts ALTER tier TYPE char(3)",
		"a column is not given":  "ALTER TABLE accounts ADD more int NOT NULL",
	} {
		t.Run(name, func(t *testing.T) {
			d := newDB(t)
			d.exec(accountsDDL + ";" + sql)
			if s, err := openDest(t, "dsn", d.dsn).Fill(t.Context(), upsert.target()); s != nil || err != nil {
				t.Errorf("filling gave %v, %v", s, err)
			}
		})
	}
	d := newDB(t)
	d.exec(accountsDDL)
	remove := load{object: "accounts", op: connector.OpDelete, match: []string{"id"}}
	if s, err := openDest(t, "dsn", d.dsn).Fill(t.Context(), remove.target()); s != nil || err != nil {
		t.Errorf("filling with deletes gave %v, %v", s, err)
	}
}

func Test_every_kind_that_fills_a_table_arrives_exactly(t *testing.T) {
	d := newDB(t)
	const columns = `id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, n38 numeric(38,18), t text, v varchar(20), by bytea, d date,
	  tm time, ts timestamp, tz timestamptz(3), iv interval, u uuid, o oid`
	d.exec("CREATE TABLE a (" + columns + "); CREATE TABLE f (" + columns + ")")
	d.exec(`INSERT INTO a VALUES (1, true, -32768, 9007199254740993, 0.1, 1e-300, 123456789012345678901234567890.000100, 99999999999999999999.999999999999999999,
	  E'it''s "q" \\ 🙂 \n\t', 'häß', '\x00ff', '9999-12-31', '23:59:59.999999', '0044-03-15 12:00:00.000001 BC', '2026-10-25 02:30:00.125+01',
	  '-1 year 2 months -3 days 04:05:06.000007', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 4294967295);
	  INSERT INTO a (id) VALUES (2); INSERT INTO a VALUES (3, false, 0, -9223372036854775808, 'NaN', '-Infinity', 0.00000, 0.000000000000000001, '', '', '',
	  '4713-01-01 BC', '00:00', '0001-01-01', '9999-12-31 23:59:59.999Z', '0', '00000000-0000-0000-0000-000000000000', 0)`)
	src, dest := openSource(t, "dsn", d.dsn), openDest(t, "dsn", d.dsn)
	rows, err := readAll(t.Context(), src, connector.Query{SQL: "SELECT * FROM a ORDER BY id"})
	if err != nil {
		t.Fatal(err)
	}
	schema, err := src.Describe(t.Context(), connector.Query{Table: "a"})
	if err != nil {
		t.Fatal(err)
	}
	l := load{object: "f", op: connector.OpUpsert, match: []string{"id"}}
	for _, f := range schema.Fields()[1:] {
		l.fields = append(l.fields, f.Name)
	}
	got, err := l.fill(t, dest, nil, rows...)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "outcomes", got, []string{"created", "created", "created"})
	if got := d.text("SELECT count(*) FROM a JOIN f ON f::text = a::text"); got != "3" {
		t.Errorf("what arrived differs:\n%s\n%s", d.text("TABLE f"), d.text("TABLE a"))
	}
}
