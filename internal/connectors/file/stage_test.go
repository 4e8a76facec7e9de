package file

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func stageOf(t *testing.T, d *Destination, target connector.Target, batches ...*row.Batch) connector.Stage {
	t.Helper()
	s, err := d.Stage(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Abort(t.Context()) })
	for _, b := range batches {
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func Test_nothing_staged_is_seen_before_the_commit(t *testing.T) {
	for _, form := range []string{"snapshot", "changes"} {
		dir := t.TempDir()
		d := connect(t, dir, "form", form)
		s := stageOf(t, d, to(connector.OpUpsert), batch(nil, []any{1, "Ann", 1}))
		if _, err := os.Stat(filepath.Join(dir, "out/customers.jsonl")); err == nil {
			t.Error("the file is there before the commit")
		}
		if err := s.Abort(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Abort(t.Context()); err != nil {
			t.Errorf("a second abort: %v", err)
		}
		wantOnly(t, dir)
	}
}

func Test_excluded_rows_are_left_out_and_not_settled(t *testing.T) {
	for _, format := range []string{"jsonl", "csv"} {
		for _, existing := range []bool{false, true} {
			dir := t.TempDir()
			d := connect(t, dir, "format", format)
			if existing {
				write(t, d, to(connector.OpUpsert), batch(nil, []any{2, "old", 0}, []any{7, "other", 0}))
			}
			s := stageOf(t, d, to(connector.OpUpsert), batch(nil, []any{1, "a", 1}, []any{2, "b", 2}, []any{3, "c", 3}))
			settled := map[uint64]connector.Result{}
			err := s.Commit(t.Context(), map[uint64]bool{1: true}, func(o uint64, r connector.Result) { settled[o] = r })
			if err != nil || len(settled) != 2 || settled[0].Status != connector.Delivered || settled[2].Created != connector.Yes {
				t.Errorf("%v %v", settled, err)
			}
			if err := s.Abort(t.Context()); err != nil {
				t.Error(err)
			}
			want := "id,name,score\n1,a,1\n3,c,3\n"
			if existing {
				want = "id,name,score\n2,old,0\n7,other,0\n1,a,1\n3,c,3\n"
			}
			if format == "jsonl" {
				want = strings.ReplaceAll(`{"id":1,"name":"a","score":1}|{"id":3,"name":"c","score":3}|`, "|", "\n")
				if existing {
					want = strings.ReplaceAll(`{"id":2,"name":"old","score":0}|{"id":7,"name":"other","score":0}|`, "|", "\n") + want
				}
			}
			wantContent(t, want, dir, "out/customers."+format)
			wantOnly(t, dir, "out/customers."+format)
		}
	}
}

func Test_leftovers_of_a_killed_process_are_swept_after_a_day(t *testing.T) {
	dir := t.TempDir()
	d := connect(t, dir)
	write(t, d, to(connector.OpUpsert), batch(nil, []any{1, "a", 1}))
	old, young, foreign := filepath.Join(dir, "out/.customers.jsonl.AAA.lines"+suffix), filepath.Join(dir, "out/.customers.jsonl.BBB.lines"+suffix), filepath.Join(dir, "out/.mine")
	for _, f := range []string{old, young, foreign} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(f, d.now(), d.now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, d.now().Add(-25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	write(t, d, to(connector.OpUpsert), batch(nil, []any{2, "b", 2}))
	wantOnly(t, dir, "out/.customers.jsonl.BBB.lines"+suffix, "out/.mine", "out/customers.jsonl")
}

func Test_a_log_gets_a_line_for_every_change(t *testing.T) {
	dir := t.TempDir()
	d := connect(t, dir, "form", "changes")
	write(t, d, to(connector.OpUpsert), batch(nil, []any{1, "Ann", 1}, []any{2, null{}, nil}))
	write(t, d, to(connector.OpDelete), batch(nil, []any{1, nil, nil}))
	wantContent(t, strings.Join([]string{
		`{"op":"upsert","at":"2026-11-23T09:00:00Z","run_id":"01RUN","key":{"id":1},"fields":{"name":"Ann","score":1},"idempotency_key":"k1"}`,
		`{"op":"upsert","at":"2026-11-23T09:00:00Z","run_id":"01RUN","key":{"id":2},"fields":{"name":null},"idempotency_key":"k2"}`,
		`{"op":"delete","at":"2026-11-23T09:00:00Z","run_id":"01RUN","key":{"id":1},"idempotency_key":"k1"}`, "",
	}, "\n"), dir, "out/customers.jsonl")
	c := connect(t, dir, "form", "changes", "format", "csv")
	write(t, c, to(connector.OpUpsert), batch(nil, []any{1, "Ann", 1}, []any{2, "", nil}))
	write(t, c, to(connector.OpUpsert, "tier", "score"), batch([]string{"tier", "score"}, []any{3, "gold", 3}))
	write(t, c, to(connector.OpDelete, "score"), batch([]string{"score"}, []any{3, 9}))
	wantContent(t, "_op,_at,_run_id,_idempotency_key,id,name,score,tier\n"+
		"upsert,2026-11-23T09:00:00Z,01RUN,k1,1,Ann,1,\nupsert,2026-11-23T09:00:00Z,01RUN,k2,2,\"\",,\n"+
		"upsert,2026-11-23T09:00:00Z,01RUN,k3,3,,3,gold\ndelete,2026-11-23T09:00:00Z,01RUN,k3,3,,,\n", dir, "out/customers.csv")
	wantOnly(t, dir, "out/customers.csv", "out/customers.jsonl")
	objects, err := d.Objects(t.Context(), []string{"customers"})
	if err != nil || objects[0].Ops[connector.OpAppend].Idempotent || objects[0].Ops[connector.OpInsert].Idempotent || !objects[0].Ops[connector.OpUpsert].Idempotent || objects[0].ReadBatch != 0 {
		t.Errorf("%+v %v", objects, err)
	}
}

func Test_a_crash_while_appending_leaves_no_part_of_the_commit(t *testing.T) {
	dir := t.TempDir()
	d := connect(t, dir, "form", "changes")
	write(t, d, to(connector.OpUpsert), batch(nil, []any{1, "Ann", 1}))
	file, mark := filepath.Join(dir, "out/customers.jsonl"), filepath.Join(dir, "out/.customers.jsonl.upwell-end")
	before := content(t, file)
	second := strings.ReplaceAll(strings.ReplaceAll(before, `"id":1`, `"id":2`), "k1", "k2")
	for torn := range 60 {
		// What a crash leaves: the mark, and some bytes of the commit.
		if err := os.WriteFile(mark, fmt.Appendf(nil, "%d\n", len(before)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(before+strings.Repeat(second, 2)[:torn*4]), 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, d, to(connector.OpUpsert), batch(nil, []any{2, "Ann", 1}))
		wantContent(t, before+second, dir, "out/customers.jsonl")
		wantOnly(t, dir, "out/customers.jsonl")
	}
	for name, text := range map[string]string{"a mark cut short": "1", "an empty mark": "", "a mark beyond the end": "999999\n"} {
		if err := os.WriteFile(mark, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, d, to(connector.OpUpsert), batch(nil, []any{2, "Ann", 1}))
		if content(t, file) != before+second {
			t.Errorf("%s: %s", name, content(t, file))
		}
	}
	// A log moved away begins anew; one whose last line lacks its end gets it.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mark, []byte("10\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, d, to(connector.OpUpsert), batch(nil, []any{2, "Ann", 1}))
	wantContent(t, second, dir, "out/customers.jsonl")
	if err := os.WriteFile(file, []byte(`{"mine":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, d, to(connector.OpUpsert), batch(nil, []any{2, "Ann", 1}))
	wantContent(t, `{"mine":1}`+"\n"+second, dir, "out/customers.jsonl")
}

// Random operations on a snapshot leave what a map would hold.
func Test_a_snapshot_is_what_its_history_says(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		format := rapid.SampledFrom([]string{"jsonl", "csv"}).Draw(r, "format")
		d := connect(t, dir, "format", format)
		model := map[string]string{}
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab,\"\n\r é\\{}:\x00")), 0, 4, -1)
		for range rapid.IntRange(1, 6).Draw(r, "commits") {
			op := rapid.SampledFrom([]connector.Op{connector.OpUpsert, connector.OpUpdate, connector.OpInsert, connector.OpDelete, connector.OpAppend}).Draw(r, "op")
			ids := rapid.SliceOfNDistinct(text, 1, 5, rapid.ID[string]).Draw(r, "ids")
			var rows [][]any
			want := []string{}
			for _, id := range ids {
				v := text.Draw(r, "value")
				rows = append(rows, []any{id, v})
				_, had := model[id]
				status := "delivered"
				switch {
				case op == connector.OpDelete:
					delete(model, id)
				case op == connector.OpUpdate && !had:
					status = "skipped"
				case op == connector.OpInsert && had:
					status = "rejected"
				case op == connector.OpAppend && had:
				default:
					model[id] = v
				}
				want = append(want, status)
			}
			b := batch([]string{"v"}, rows...)
			out := connector.NewOutcomes(b.Len())
			if err := d.Write(t.Context(), to(op, "v"), b, out); err != nil {
				r.Fatal(err)
			}
			if got := statuses(out); got != strings.Join(want, " ") {
				r.Fatalf("%s %v: %s, want %v", op, ids, got, want)
			}
		}
		var matches [][]row.Value
		var ids []string
		for id := range model {
			ids, matches = append(ids, id), append(matches, []row.Value{row.TextValue(id)})
		}
		found, err := d.ReadBack(t.Context(), connector.Object{Name: "customers"}, []string{"id"}, matches, []string{"v"})
		if err != nil {
			r.Fatal(err)
		}
		for i, f := range found {
			if !f.Exists || f.Values[0].Str() != model[ids[i]] {
				r.Fatalf("record %q: %+v, want %q", ids[i], f, model[ids[i]])
			}
		}
		all, err := os.ReadFile(filepath.Join(dir, "out/customers."+format))
		if err == nil && format == "jsonl" && strings.Count(string(all), "\n") != len(model) {
			r.Fatalf("%d records in %q", len(model), all)
		}
	})
}

func Test_memory_does_not_grow_with_the_file(t *testing.T) {
	const n = 200_000
	dir := t.TempDir()
	d := connect(t, dir)
	s := stageOf(t, d, to(connector.OpUpsert))
	for at := 0; at < n; at += 4000 {
		b := row.NewBatch([]string{"id"}, []string{"name", "score"}, 4000)
		for i := at; i < at+4000; i++ {
			b.Add(row.Meta{Ordinal: uint64(i)}, []row.Value{row.IntValue(int64(i))}, []row.Value{row.TextValue(strings.Repeat("x", 100)), row.IntValue(rand.Int64())})
		}
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	settled := 0
	if err := s.Commit(t.Context(), nil, func(uint64, connector.Result) { settled++ }); err != nil || settled != n {
		t.Fatalf("%d settled, %v", settled, err)
	}
	if err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if got := write(t, d, to(connector.OpUpdate), batch(nil, []any{n / 2, "changed", 0})); got != "delivered" {
		t.Fatal(got)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 24<<20 {
		t.Errorf("changing one record of a %d row file allocates %d bytes in all", n, grown)
	}
	if strings.Count(content(t, dir, "out/customers.jsonl"), "\n") != n {
		t.Error("records were lost")
	}
}

func Test_a_full_or_closed_folder_is_told_apart(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root may write everywhere: the rights are checked as far as the classes go")
		if f := explain(os.ErrPermission, "x"); f.Code != fault.DestForbidden || f.GetClass() != fault.ClassAuth {
			t.Errorf("%+v", f)
		}
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	d := connect(t, dir)
	if _, err := d.Check(t.Context()); !fault.Is(err, fault.DestForbidden) {
		t.Errorf("%v", err)
	}
	err := d.Write(t.Context(), to(connector.OpUpsert), batch(nil, []any{1, "a", 1}), connector.NewOutcomes(1))
	if f := fault.As(err); f == nil || f.Code != fault.DestForbidden || f.Landed != fault.LandedNo {
		t.Errorf("%v", err)
	}
}
