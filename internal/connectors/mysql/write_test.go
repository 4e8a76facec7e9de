package mysql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

var (
	text = row.TextValue
	num  = row.IntValue
	null = row.NullValue()
)

const people = `CREATE TABLE people (id INT PRIMARY KEY, email VARCHAR(20) UNIQUE, name VARCHAR(10) NOT NULL DEFAULT 'nobody', score INT, CHECK (score < 1000))`

var peopleFields = []string{"email", "name", "score"}

func Test_upsert_creates_and_updates_and_tells_which(t *testing.T) {
	s := start(t, people, "INSERT INTO people VALUES (1, 'a@x', 'Ann', 1), (2, 'b@x', 'Bo', 2)")
	to := target(s.object("people"), connector.OpUpsert, []string{"id"}, peopleFields)
	same(t, "outcomes", s.mustWrite(to,
		record{"id": num(1), "email": text("a@x"), "name": text("Anna"), "score": null},
		record{"id": num(3), "email": text("c'); DROP -- 🦆"), "name": text(`O'B\"`), "score": num(3)},
		record{"id": num(2), "score": num(20)},
		record{"id": num(4), "email": null},
	), "delivered updated", "delivered created", "delivered updated", "delivered created")
	same(t, "table", s.table("SELECT * FROM people ORDER BY id"), "1|a@x|Anna|NULL", "2|b@x|Bo|20", `3|c'); DROP -- 🦆|O'B\"|3`, "4|NULL|nobody|NULL")
	same(t, "the same again", s.mustWrite(to, record{"id": num(2), "score": num(20)}), "delivered updated")
}

func Test_update_insert_append_delete_and_clear(t *testing.T) {
	s := start(t, people, "INSERT INTO people VALUES (1, 'a@x', 'Ann', 1), (2, 'b@x', 'Bo', 2)")
	o := s.object("people")
	one, nine := record{"id": num(1), "score": num(9)}, record{"id": num(9), "score": num(9)}
	fields := []string{"score"}
	same(t, "update", s.mustWrite(target(o, connector.OpUpdate, []string{"id"}, fields), one, nine), "delivered updated", "skipped NOT_FOUND")
	same(t, "insert", s.mustWrite(target(o, connector.OpInsert, []string{"id"}, fields), one, nine), "rejected ALREADY_EXISTS", "delivered created")
	skip := target(o, connector.OpInsert, []string{"id"}, fields)
	skip.SkipExists = true
	same(t, "insert, skipping", s.mustWrite(skip, one, record{"id": num(10), "score": num(10)}), "skipped ALREADY_EXISTS", "delivered created")
	same(t, "append", s.mustWrite(target(o, connector.OpAppend, []string{"id"}, fields), nine, record{"id": num(11), "score": num(11)}), "delivered updated", "delivered created")
	same(t, "clear", s.mustWrite(target(o, connector.OpClear, []string{"id"}, fields), record{"id": num(10), "score": null}, record{"id": num(77), "score": null}), "delivered updated", "skipped NOT_FOUND")
	same(t, "delete", s.mustWrite(target(o, connector.OpDelete, []string{"id"}, nil), record{"id": num(2)}, record{"id": num(2000)}), "delivered updated", "delivered updated")
	same(t, "table", s.table("SELECT id, score FROM people ORDER BY id"), "1|9", "9|9", "10|NULL", "11|11")
	move := target(o, connector.OpUpdate, []string{"id"}, []string{"score", "id"})
	b := row.NewBatch(move.Match, move.Fields, 1)
	b.Add(row.Meta{}, []row.Value{num(11)}, []row.Value{num(12), num(12)})
	out := connector.NewOutcomes(1)
	if err := s.dst.Write(t.Context(), move, b, out); err != nil || line(out.Result(0)) != "delivered updated" {
		t.Fatal(err, out.Result(0))
	}
	same(t, "moved", s.table("SELECT id, score FROM people WHERE id > 10"), "12|12")
}

func Test_one_bad_row_does_not_sink_the_rest(t *testing.T) {
	bad := map[string]record{
		"4025/23000":                  {"score": num(5000)},
		"1264/22003 score":            {"score": num(1 << 40)},
		"VALUE_TOO_LONG name":         {"name": text("far too long a name")},
		"REQUIRED_FIELD_MISSING name": {"name": null},
		"VALUE_TYPE score":            {"score": row.FloatValue(1.5)},
		"1062/23000 email":            {"email": text("taken@x")},
		"TEXT_INVALID_UTF8 name":      {"name": text("\xff")},
	}
	for code, wrong := range bad {
		for place, at := range map[string][]int{"first": {0}, "middle": {20}, "last": {39}, "two": {3, 30}, "all": nil} {
			t.Run(strings.Fields(code)[0][:4]+" "+place, func(t *testing.T) {
				s := start(t, people, "INSERT INTO people VALUES (1000, 'taken@x', 'Ann', 1), (7, NULL, 'old', 7)")
				records := ints(0, 40, "score", func(i int) row.Value { return num(int64(i)) })
				wantBad := map[int]bool{}
				for i := range records {
					if at == nil {
						wantBad[i] = true
					}
				}
				for _, i := range at {
					wantBad[i] = true
				}
				for i := range wantBad {
					for k, v := range wrong {
						records[i][k] = v
					}
				}
				lines := s.mustWrite(target(s.object("people"), connector.OpUpsert, []string{"id"}, peopleFields), records...)
				for i, l := range lines {
					want := "delivered created"
					if i == 7 {
						want = "delivered updated"
					}
					if wantBad[i] {
						want = "rejected " + code
					}
					if l != want {
						t.Errorf("row %d: %s, want %s", i, l, want)
					}
				}
				for i := range records {
					got := s.table(fmt.Sprintf("SELECT score, name FROM people WHERE id = %d", i))
					switch {
					case i == 7 && wantBad[i]:
						same(t, "the refused record", got, "7|old")
					case wantBad[i] && len(got) != 0:
						t.Errorf("row %d was refused and is there: %v", i, got)
					case !wantBad[i] && (len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprint(i)+"|")):
						t.Errorf("row %d: %v", i, got)
					}
				}
			})
		}
	}
}

func Test_a_record_with_another_unique_value_is_never_changed(t *testing.T) {
	s := start(t, people, "INSERT INTO people VALUES (1, 'a@x', 'Ann', 1), (2, 'b@x', 'Bo', 2)")
	to := target(s.object("people"), connector.OpUpsert, []string{"id"}, []string{"email", "score"})
	same(t, "outcomes", s.mustWrite(to,
		record{"id": num(5), "email": text("a@x"), "score": num(5)}, // the e-mail is 1's
		record{"id": num(2), "email": text("a@x"), "score": num(6)}, // an update that would take it
		record{"id": num(6), "email": text("f@x"), "score": num(6)},
	), "rejected 1062/23000 email", "rejected 1062/23000 email", "delivered created")
	same(t, "table", s.table("SELECT * FROM people ORDER BY id"), "1|a@x|Ann|1", "2|b@x|Bo|2", "6|f@x|nobody|6")
}

func Test_loose_collations_never_touch_a_strangers_record(t *testing.T) {
	s := start(t, "CREATE TABLE names (name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, n INT)", "INSERT INTO names VALUES ('Jose', 1), ('Ann', 1)")
	o := s.object("names")
	if f := o.Fields[0]; !f.FoldCase || !f.TrimSpace || !f.Match || !f.Unique {
		t.Errorf("%+v", f)
	}
	to := target(o, connector.OpUpsert, []string{"name"}, []string{"n"})
	same(t, "outcomes", s.mustWrite(to, record{"name": text("José"), "n": num(2)}, record{"name": text("ANN "), "n": num(2)}), "rejected MATCH_DUPLICATE name", "delivered updated")
	same(t, "twins", s.mustWrite(to, record{"name": text("Zoë"), "n": num(3)}, record{"name": text("Zoe"), "n": num(4)}, record{"name": text("Bo"), "n": num(5)}),
		"rejected MATCH_DUPLICATE name", "rejected MATCH_DUPLICATE name", "delivered created")
	same(t, "delete", s.mustWrite(target(o, connector.OpDelete, []string{"name"}, nil), record{"name": text("José")}), "rejected MATCH_DUPLICATE name")
	same(t, "table", s.table("SELECT * FROM names ORDER BY name"), "Ann|2", "Bo|5", "Jose|1")
}

func Test_foreign_keys_refuse_single_rows(t *testing.T) {
	s := start(t, "CREATE TABLE parents (id INT PRIMARY KEY)", "CREATE TABLE children (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parents (id))",
		"INSERT INTO parents VALUES (1), (2)", "INSERT INTO children VALUES (1, 1)")
	same(t, "child", s.mustWrite(target(s.object("children"), connector.OpUpsert, []string{"id"}, []string{"parent"}),
		record{"id": num(2), "parent": num(2)}, record{"id": num(3), "parent": num(3)}, record{"id": num(1), "parent": num(9)}),
		"delivered created", "rejected 1452/23000 parent", "rejected 1452/23000 parent")
	same(t, "parent", s.mustWrite(target(s.object("parents"), connector.OpDelete, []string{"id"}, nil), record{"id": num(1)}, record{"id": num(5)}), "rejected 1451/23000", "delivered updated")
}

func Test_identifiers_cannot_inject(t *testing.T) {
	name, col := "odd ` table; DROP", "c`o'l\"; --"
	s := start(t, "CREATE TABLE "+ident(name)+" ("+ident("k`ey")+" INT PRIMARY KEY, "+ident(col)+" VARCHAR(50))")
	o := s.object("`odd `` table; DROP`")
	same(t, "outcomes", s.mustWrite(target(o, connector.OpUpsert, []string{"k`ey"}, []string{col}), record{"k`ey": num(1), col: text("x', 1); -- \\' \x00\x1a")}), "delivered created")
	found, err := s.dst.ReadBack(t.Context(), o, []string{"k`ey"}, [][]row.Value{{num(1)}}, []string{col})
	if err != nil || found[0].Values[0].Str() != "x', 1); -- \\' \x00\x1a" || found[0].RemoteID != "1" {
		t.Fatalf("%+v %v", found, err)
	}
}

func Test_what_cannot_be_written_is_config(t *testing.T) {
	s := start(t, people, "CREATE TABLE isam (id INT PRIMARY KEY) ENGINE=MyISAM", "CREATE TABLE bare (a INT)", "CREATE TABLE gen (id INT PRIMARY KEY, g INT AS (id + 1) STORED)")
	o := s.object("people")
	for name, c := range map[string]struct {
		to   connector.Target
		code fault.Code
	}{
		"no such table":  {target(connector.Object{Name: "nothing"}, connector.OpUpsert, []string{"id"}, nil), fault.DestObjectMissing},
		"no such column": {target(o, connector.OpUpsert, []string{"id"}, []string{"nothing"}), fault.DestFieldMissing},
		"no unique key":  {target(o, connector.OpUpsert, []string{"name"}, []string{"score"}), fault.DestKeyUnusable},
		"generated":      {target(s.object("gen"), connector.OpUpsert, []string{"id"}, []string{"g"}), fault.DestFieldReadOnly},
		"MyISAM":         {target(connector.Object{Name: "isam"}, connector.OpUpsert, []string{"id"}, nil), fault.DestConfig},
	} {
		b := row.NewBatch(c.to.Match, c.to.Fields, 1)
		b.Add(row.Meta{}, make([]row.Value, len(c.to.Match)), make([]row.Value, len(c.to.Fields)))
		err := s.dst.Write(t.Context(), c.to, b, connector.NewOutcomes(1))
		if !fault.Is(err, c.code) || fault.As(err).Landed != fault.LandedNo {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.dst.Objects(t.Context(), []string{"isam"}); !fault.Is(err, fault.DestConfig) || !strings.Contains(fault.As(err).GetFix(), "ENGINE=InnoDB") {
		t.Error(err)
	}
	all, err := s.dst.Objects(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if o.Name == "isam" || o.Name == "bare" && (len(o.Ops) != 1 || o.Ops[connector.OpAppend].Idempotent) {
			t.Errorf("%+v", o)
		}
	}
	same(t, "append without a key", s.mustWrite(target(s.object("bare"), connector.OpAppend, nil, []string{"a"}), record{"a": num(1)}, record{"a": num(1)}), "delivered created", "delivered created")
}
