package warehousetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"
)

func session(t *testing.T, setup ...string) *Session {
	t.Helper()
	e, err := Open(t.Context(), setup...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func Test_an_answer_is_handed_out_in_slices_in_its_order(t *testing.T) {
	s := session(t)
	r, err := s.Query(t.Context(), "SELECT i AS n, 'x' AS n FROM range(50000) t(i) ORDER BY i DESC;")
	if err != nil {
		t.Fatal(err)
	}
	if want := []Column{{"n", "BIGINT"}, {"n", "VARCHAR"}}; !cmp.Equal(r.Columns, want) || r.Rows != 50000 {
		t.Errorf("%+v, %d rows", r.Columns, r.Rows)
	}
	next := int64(49999)
	for from := int64(0); from < r.Rows; from += 7000 {
		for b, err := range r.Slice(t.Context(), from, 7000) {
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range b.Column(0).(*array.Int64).Int64Values() {
				if n != next {
					t.Fatalf("%d where %d was due", n, next)
				}
				next--
			}
		}
	}
	if next != -1 {
		t.Errorf("the slices end before %d", next)
	}
	r.Close()
	for _, err := range r.Slice(t.Context(), 0, 1) {
		if err == nil {
			t.Error("a closed answer is still there")
		}
	}
}

func Test_describing_runs_nothing(t *testing.T) {
	s := session(t)
	got, err := s.Describe(t.Context(), "WITH x AS (SELECT 1.50 AS a) SELECT a, a + i AS b, {'k': [i]} AS c FROM x, range(1000000000000) t(i) -- all of it")
	want := []Column{{"a", "DECIMAL(3,2)"}, {"b", "DECIMAL(22,2)"}, {"c", "STRUCT(k BIGINT[])"}}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func Test_sessions_share_tables_and_nothing_else(t *testing.T) {
	e, err := Open(t.Context(), "CREATE SCHEMA sales; CREATE TABLE sales.orders (id INTEGER)")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	one, err := e.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := e.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	if n, err := one.Exec(t.Context(), "USE sales; INSERT INTO orders VALUES (1), (2)"); n != 2 || err != nil {
		t.Errorf("inserted %d: %v", n, err)
	}
	if _, err := two.Describe(t.Context(), "SELECT * FROM orders"); err == nil {
		t.Error("USE reached another session")
	}
	if r, err := two.Query(t.Context(), "SELECT * FROM sales.orders"); err != nil || r.Rows != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := one.Exec(t.Context(), "BEGIN; DELETE FROM sales.orders"); err != nil {
		t.Fatal(err)
	}
	if r, err := two.Query(t.Context(), "SELECT * FROM sales.orders"); err != nil || r.Rows != 2 {
		t.Errorf("an open transaction is seen: %+v, %v", r, err)
	}
}

func Test_a_cancelled_context_interrupts_and_leaves_the_session_usable(t *testing.T) {
	s := session(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var seen arrow.RecordBatch
	var last error
	for b, err := range s.Read(ctx, "SELECT i FROM range(1000000000000) t(i)") {
		if last = err; err == nil {
			seen = b
			stop()
		}
	}
	if seen == nil || !errors.Is(last, context.Canceled) {
		t.Errorf("ended with %v", last)
	}
	if _, err := s.Exec(ctx, "SELECT 1"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a dead context: %v", err)
	}
	if _, err := s.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := s.Exec(t.Context(), "SELECT nothing_here"); err == nil || !strings.Contains(err.Error(), "nothing_here") {
		t.Errorf("a refusal in DuckDB's words: %v", err)
	}
}

func Test_a_csv_file_is_loaded_by_the_names_of_its_columns(t *testing.T) {
	s := session(t, "CREATE TABLE t (id DECIMAL(38, 0), name VARCHAR, on_day DATE, left_out INTEGER)")
	file := filepath.Join(t.TempDir(), "it's.csv")
	if err := os.WriteFile(file, []byte("NAME,id,on_day\n\"a, \"\"b\"\"\",12345678901234567890123456789012345678,2026-02-28\n,2,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context(), "t", file); err != nil {
		t.Fatal(err)
	}
	var got []string
	for b, err := range s.Read(t.Context(), "SELECT CAST(to_json(t) AS VARCHAR) FROM t ORDER BY id") {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			got = append(got, strings.Clone(b.Column(0).(*array.String).Value(i)))
		}
	}
	want := []string{
		`{"id":2,"name":null,"on_day":null,"left_out":null}`,
		`{"id":12345678901234567890123456789012345678,"name":"a, \"b\"","on_day":"2026-02-28","left_out":null}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := os.WriteFile(file, []byte("id,unheard_of\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context(), "t", file); err == nil || !strings.Contains(err.Error(), "unheard_of") {
		t.Errorf("a column that the table lacks: %v", err)
	}
	if err := os.WriteFile(file, []byte("id,on_day\n1,yesterday\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context(), "t", file); err == nil || !strings.Contains(err.Error(), "yesterday") {
		t.Errorf("a value that is no date: %v", err)
	}
}
