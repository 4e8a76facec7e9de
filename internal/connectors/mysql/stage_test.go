package mysql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// staging fills a stage with batches of ordinals and gives what settled.
func (s *server) commitStage(to connector.Target, exclude map[uint64]bool, batches ...[]record) (map[uint64]string, error) {
	s.t.Helper()
	stage, err := s.dst.Stage(s.t.Context(), to)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		if err := stage.Abort(s.t.Context()); err != nil {
			s.t.Error(err)
		}
	}()
	ord := uint64(100)
	for _, records := range batches {
		b := row.NewBatch(to.Match, to.Fields, len(records))
		plain := toBatch(to.Match, to.Fields, records)
		for i := range plain.Len() {
			b.Add(row.Meta{Ordinal: ord}, plain.Match(i), plain.Values(i))
			ord++
		}
		if err := stage.Write(s.t.Context(), b); err != nil {
			return nil, err
		}
	}
	settled := map[uint64]string{}
	err = stage.Commit(s.t.Context(), exclude, func(o uint64, r connector.Result) {
		if _, twice := settled[o]; twice {
			s.t.Errorf("row %d settled twice", o)
		}
		settled[o] = line(r)
	})
	return settled, err
}

func Test_a_staged_load_is_unseen_until_committed_and_leaves_out_what_is_excluded(t *testing.T) {
	s := start(t, people, "INSERT INTO people VALUES (3, NULL, 'old', 0)")
	to := target(s.object("people"), connector.OpUpsert, []string{"id"}, peopleFields)
	stage, err := s.dst.Stage(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	if err := stage.Write(t.Context(), toBatch(to.Match, to.Fields, ints(0, 10, "score", func(i int) row.Value { return num(1) }))); err != nil {
		t.Fatal(err)
	}
	same(t, "before", s.table("SELECT COUNT(*), SUM(score) FROM people"), "1|0")
	if err := stage.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "after abort", s.table("SELECT COUNT(*) FROM people"), "1")

	second := ints(10, 20, "score", func(i int) row.Value { return num(int64(i)) })
	second[5]["score"] = num(5000)             // refused by a check of the table
	second[6]["name"] = text("far too long a") // refused before it is sent
	second[7]["score"] = num(5000)             // refused too, and excluded
	twin := record{"id": num(4), "score": num(99)}
	got, err := s.commitStage(to, map[uint64]bool{117: true, 120: true, 999: true}, ints(0, 10, "score", func(i int) row.Value { return num(int64(i)) }), second, []record{twin})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 19 || got[103] != "delivered updated" || got[104] != "delivered created" || got[115] != "rejected 4025/23000" || got[116] != "rejected VALUE_TOO_LONG name" || got[117] != "" {
		t.Errorf("%v", got)
	}
	same(t, "table", s.table("SELECT GROUP_CONCAT(id ORDER BY id), SUM(score) FROM people"), fmt.Sprintf("%s|%d", "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,18,19", 45+10+11+12+13+14+18+19))
	same(t, "left behind", s.table("SELECT COUNT(*) FROM information_schema.INNODB_SYS_TABLES WHERE NAME LIKE '%upwell_stage%'"), "0")
}

func Test_a_large_staged_load_keeps_count(t *testing.T) {
	s := start(t, "CREATE TABLE big (id INT PRIMARY KEY, v VARCHAR(40), CHECK (v <> 'bad'))", "INSERT INTO big SELECT seq, 'old' FROM seq_0_to_29999")
	to := target(s.object("big"), connector.OpUpsert, []string{"id"}, []string{"v"})
	var batches [][]record
	for from := 0; from < 60_000; from += 7000 {
		batches = append(batches, ints(from, min(from+7000, 60_000), "v", func(i int) row.Value {
			if i%20_000 == 17 {
				return text("bad")
			}
			return text(fmt.Sprint("value ", i))
		}))
	}
	got, err := s.commitStage(to, nil, batches...)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, 0, len(got))
	for _, l := range got {
		lines = append(lines, l)
	}
	same(t, "outcomes", []string{count(lines)}, "29998 delivered updated, 29999 delivered created, 3 rejected 4025/23000")
	same(t, "table", s.table("SELECT COUNT(*), SUM(v LIKE 'value %'), SUM(v = 'old') FROM big"), "59999|59997|2")
}

func Test_many_patterns_of_absent_fields_stay_apart(t *testing.T) {
	fields := []string{"a", "b", "c"}
	s := start(t, "CREATE TABLE t (id INT PRIMARY KEY, a INT DEFAULT 1, b INT DEFAULT 2, c INT DEFAULT 3)", "INSERT INTO t SELECT seq, 10, 20, 30 FROM seq_0_to_7")
	var records []record
	for i := range 16 {
		r := record{"id": num(int64(i))}
		for k, f := range fields {
			if i>>k&1 == 1 {
				r[f] = null
				if i%3 == 0 {
					r[f] = num(7)
				}
			}
		}
		records = append(records, r)
	}
	s.mustWrite(target(s.object("t"), connector.OpUpsert, []string{"id"}, fields), records...)
	for i, got := range s.table("SELECT a, b, c FROM t ORDER BY id") {
		want := make([]string, 3)
		for k := range fields {
			before := [2][3]string{{"10", "20", "30"}, {"1", "2", "3"}}[i/8][k]
			switch {
			case i>>k&1 == 0:
				want[k] = before
			case i%3 == 0:
				want[k] = "7"
			default:
				want[k] = "NULL"
			}
		}
		if got != strings.Join(want, "|") {
			t.Errorf("row %d: %s, want %s", i, got, strings.Join(want, "|"))
		}
	}
}

func Test_a_row_larger_than_a_packet_is_refused_alone(t *testing.T) {
	s := start(t, "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)")
	s.dst.packet = 100_000 // as a server with a small max_allowed_packet answers
	lines := s.mustWrite(target(s.object("t"), connector.OpUpsert, []string{"id"}, []string{"v"}),
		record{"id": num(1), "v": text("small")}, record{"id": num(2), "v": text(strings.Repeat("x", 100_000))}, record{"id": num(3), "v": text(strings.Repeat("y", 90_000))})
	same(t, "outcomes", lines, "delivered created", "rejected ROW_TOO_LARGE", "delivered created")
}

func Test_reading_back_tells_existing_missing_and_ambiguous(t *testing.T) {
	s := start(t, people, "INSERT INTO people VALUES (1, 'a@x', 'Ann', 1), (2, 'b@x', 'Ann', NULL)")
	o := s.object("people")
	found, err := s.dst.ReadBack(t.Context(), o, []string{"email"}, [][]row.Value{{text("B@x")}, {text("none")}, {text(strings.Repeat("z", 99))}, {null}}, []string{"score", "name", "email"})
	if err != nil || !found[0].Exists || found[0].RemoteID != "2" || !found[0].Values[0].IsNull() || found[0].Values[1].Str() != "Ann" || found[0].Values[2].Str() != "b@x" {
		t.Errorf("%+v %v", found, err)
	}
	for _, f := range found[1:] {
		if f.Exists {
			t.Errorf("%+v", f)
		}
	}
	found, err = s.dst.ReadBack(t.Context(), o, []string{"name"}, [][]row.Value{{text("Ann")}}, []string{"id"})
	if err != nil || !found[0].Ambiguous || found[0].RemoteID != "" || found[0].Values != nil {
		t.Errorf("%+v %v", found, err)
	}
}
