package duckdb

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	bindings "github.com/duckdb/duckdb-go-bindings"
	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("UPWELL_TEST_HOLD"); path != "" {
		hold(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// hold opens a database for writing, as another process would, until its standard input ends.
func hold(path string) {
	var db bindings.Database
	var cfg bindings.Config
	var msg string
	bindings.CreateConfig(&cfg)
	bindings.SetConfig(cfg, "access_mode", os.Getenv("UPWELL_TEST_HOLD_MODE"))
	if bindings.OpenExt(path, &db, cfg, &msg) == bindings.StateError {
		panic(msg)
	}
	_, _ = os.Stdout.WriteString("held\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
	bindings.Close(&db)
}

func Test_relative_paths_start_at_the_project_folder(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"data/x.csv": "id,name\n1,Ann\n2,Bo\n", "data/y.json": `{"id": 3, "tags": ["a"]}` + "\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(t, "", "COPY (SELECT 4 AS id) TO "+quoteText(filepath.Join(dir, "data", "z.parquet")))
	t.Chdir(t.TempDir())
	for _, settings := range []map[string]string{{"project": dir}, {"project": dir, "path": "db.duckdb"}} {
		if settings["path"] != "" {
			write(t, filepath.Join(dir, "db.duckdb"), "CREATE TABLE t (id INT)")
		}
		src := open1(t, settings)
		for sql, want := range map[string]string{
			"SELECT name FROM read_csv('data/x.csv') ORDER BY id": "Ann",
			"SELECT name FROM 'data/x.csv' ORDER BY id":           "Ann",
			"SELECT tags FROM 'data/*.json'":                      `["a"]`,
			"FROM read_parquet('data/z.parquet')":                 "4",
			"SELECT id FROM 'data/*.parquet'":                     "4",
		} {
			_, rows, err := readAll(src, connector.Query{SQL: sql})
			if err != nil || rows[0][0] != want {
				t.Errorf("%s: %v %v", sql, rows, err)
			}
		}
	}
}

func Test_refusals_name_the_cause(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"corrupt.duckdb": strings.Repeat("not a database ", 1000), "broken.parquet": "PAR1 nothing here PAR1"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		path, sql string
		code      fault.Code
		words     string
	}{
		{"missing.duckdb", "SELECT 1", fault.SourceUnreachable, "no such file"},
		{".", "SELECT 1", fault.SourceUnreachable, "it is a folder"},
		{"corrupt.duckdb", "SELECT 1", fault.SourceUnreachable, "not a valid DuckDB database"},
		{"", "SELECT * FROM 'data/none.parquet'", fault.SourceQueryFailed, "none.parquet"},
		{"", "SELECT * FROM 'broken.parquet'", fault.SourceQueryFailed, "broken.parquet"},
		{"", "SELECT\n  1,\n  nonsense(2)", fault.SourceQueryFailed, "nonsense"},
		{"", "SELEKT 1", fault.SourceQueryFailed, "syntax error"},
		{"", "SELECT * FROM nothing", fault.SourceQueryFailed, "nothing"},
		{"", "SELECT 1; SELECT 2", fault.SourceQueryFailed, "multiple"},
		{"", "", fault.SourceQueryFailed, ""},
		{"", "CREATE TABLE t (i INT)", fault.SourceQueryFailed, "not a SELECT"},
		{"", "COPY (SELECT 1) TO 'out.csv'", fault.SourceQueryFailed, "not a SELECT"},
		{"", "SET threads = 1", fault.SourceQueryFailed, "not a SELECT"},
		{"", "ATTACH 'x.db'", fault.SourceQueryFailed, "not a SELECT"},
		{"", "SELECT 1 AS a, 2 AS a", fault.SourceQueryFailed, `two columns are named "a"`},
		{"", "SELECT * FROM 's3://bucket/file.parquet'", fault.SourceQueryFailed, "httpfs"},
		{"", "SELECT (CASE WHEN i = 900000 THEN 'x' ELSE '1' END)::INT AS n FROM range(1000000) t(i)", fault.SourceQueryFailed, "Could not convert string 'x'"},
		{"", "SELECT i + 9223372036854000000 AS n FROM range(1000000) t(i)", fault.SourceQueryFailed, "Overflow"},
	} {
		// one thread: DuckDB may tell of the interrupt of the others instead of the error that caused it
		src := open1(t, map[string]string{"project": dir, "path": c.path, "threads": "1"})
		_, _, err := readAll(src, connector.Query{SQL: c.sql})
		if !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s %q: %v", c.path, c.sql, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "out.csv")); err == nil {
		t.Error("a model wrote a file")
	}
}

func Test_the_line_of_an_error_is_the_models_also_under_a_filter(t *testing.T) {
	_, _, err := readAll(open1(t, map[string]string{}), connector.Query{SQL: "SELECT 1 AS id,\n  wrong", Where: "id > 0", Columns: []string{"id"}})
	if f := fault.As(err); f == nil || f.Line != 2 || f.Column != 3 {
		t.Fatal(err)
	}
}

func Test_a_file_is_opened_read_only_and_given_back(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.duckdb")
	write(t, path, "CREATE TABLE t AS SELECT 1 AS id")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	src := open1(t, map[string]string{"path": path})
	if _, rows, err := readAll(src, connector.Query{Table: "t"}); err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Error("reading changed the file")
	}
	write(t, path, "INSERT INTO t VALUES (2)") // nothing keeps the file open between reads
	if _, rows, err := readAll(src, connector.Query{Table: "t"}); err != nil || len(rows) != 2 {
		t.Error("the new row is not seen:", rows, err)
	}
}

func Test_a_file_held_by_a_writer_is_reported_and_one_held_by_a_reader_is_read(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.duckdb")
	write(t, path, "CREATE TABLE t AS SELECT 1 AS id")
	for mode, want := range map[string]fault.Code{"READ_WRITE": fault.SourceUnreachable, "READ_ONLY": ""} {
		release := holdElsewhere(t, path, mode)
		_, rows, err := readAll(open1(t, map[string]string{"path": path}), connector.Query{Table: "t"})
		release()
		switch {
		case want == "" && (err != nil || len(rows) != 1):
			t.Errorf("%s: %v %v", mode, rows, err)
		case want != "" && (!fault.Is(err, want) || !strings.Contains(fault.As(err).GetFix(), "Another process")):
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// holdElsewhere has another process open the database until release.
func holdElsewhere(t *testing.T, path, mode string) (release func()) {
	t.Helper()
	other := exec.Command(os.Args[0], "-test.run=^$")
	other.Env = append(os.Environ(), "UPWELL_TEST_HOLD="+path, "UPWELL_TEST_HOLD_MODE="+mode)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = in.Close()
		if err := other.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func Test_rows_are_found_by_bound_values_of_every_kind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.duckdb")
	write(t, path, `CREATE TABLE k AS SELECT 7::BIGINT AS i, 18446744073709551615::UBIGINT AS u, 0.25::DOUBLE AS f, 12.50::DECIMAL(10,2) AS d,
		'170141183460469231731687303715884105727'::HUGEINT AS h, 'x''; DROP TABLE k; --' AS s, '\xFF'::BLOB AS b, true AS t, DATE '2024-02-29' AS day,
		TIME '01:02:03.5' AS clock, TIMESTAMP '9999-12-31 23:59:59.999999' AS ts, '2024-01-01 00:00:00.000000001'::TIMESTAMP_NS AS ns,
		'2024-01-01 00:00:00+00'::TIMESTAMPTZ AS tz, 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::UUID AS id, [1] AS "odd "" list"`, "INSERT INTO k (i) VALUES (8)")
	src := open1(t, map[string]string{"path": path})
	instant := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	for column, v := range map[string]row.Value{
		"i": row.IntValue(7), "u": row.UintValue(18446744073709551615), "f": row.FloatValue(0.25), "d": row.DecimalValue("12.5"),
		"h": row.DecimalValue("170141183460469231731687303715884105727"), "s": row.TextValue("x'; DROP TABLE k; --"), "b": row.BytesValue([]byte{0xff}),
		"t": row.BoolValue(true), "day": row.DateValue(19782), "clock": row.TimeValue(3723_500_000_000),
		"ts": row.TimestampValue(253402300799, 999999000), "ns": row.TimestampValue(instant, 1), "tz": row.InstantValue(instant, 0),
		"id": row.StringKind(row.UUID, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
	} {
		_, rows, err := readAll(src, connector.Query{Table: "k", Columns: []string{"i", `odd " list`}, Where: "true -- all of them", Equal: []connector.ColumnIs{{Column: column, Value: v}}})
		if err != nil || len(rows) != 1 || rows[0][0] != "7" || rows[0][1] != "[1]" {
			t.Errorf("%s = %s: %v %v", column, v, rows, err)
		}
	}
	_, rows, err := readAll(src, connector.Query{Table: "k", Limit: 1})
	if err != nil || len(rows) != 1 {
		t.Errorf("limit: %v %v", rows, err)
	}
}

func Test_leaving_early_frees_the_statement(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.duckdb")
	write(t, path, "CREATE TABLE t AS SELECT i, 'text number ' || i AS s FROM range(500000) t(i)")
	src := open1(t, map[string]string{"path": path})
	for range 20 {
		for rec, err := range src.Read(context.Background(), connector.Query{Table: "t"}) {
			if err != nil || rec.NumRows() == 0 {
				t.Fatal(err)
			}
			break
		}
	}
	write(t, path, "DROP TABLE t") // nothing holds the file
}

func Test_cancelling_stops_at_once_and_is_never_a_complete_read(t *testing.T) {
	for name, sql := range map[string]string{
		"while streaming":       "SELECT i FROM range(100000000000) t(i)",
		"before the first row":  "SELECT count(*) FROM range(100000000000) a(i) WHERE i % 3 = hash(i) % 3",
		"while nothing matches": "SELECT i FROM range(100000000000) t(i) WHERE hash(i) = 1",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if name != "while streaming" {
				timer := time.AfterFunc(30*time.Millisecond, cancel)
				defer timer.Stop()
			}
			var last error
			for _, err := range open1(t, map[string]string{}).Read(ctx, connector.Query{SQL: sql}) {
				cancel()
				last = err
			}
			if !fault.Is(last, fault.Cancelled) || !errors.Is(last, context.Canceled) {
				t.Fatal(last)
			}
		})
	}
	t.Run("before it starts", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := open1(t, map[string]string{}).Check(ctx); !fault.Is(err, fault.Cancelled) {
			t.Fatal(err)
		}
	})
}

func Test_several_reads_share_the_database(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.duckdb")
	write(t, path, "CREATE TABLE t AS SELECT i FROM range(200000) t(i)")
	src := open1(t, map[string]string{"path": path})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			n := int64(0)
			for rec, err := range src.Read(context.Background(), connector.Query{Table: "t"}) {
				if err != nil {
					t.Error(err)
					return
				}
				n += rec.NumRows()
			}
			if n != 200000 {
				t.Errorf("%d rows", n)
			}
		})
	}
	wg.Wait()
}

func Test_the_time_zone_of_the_machine_does_not_matter(t *testing.T) {
	if os.Getenv("TZ") != "Asia/Tokyo" { // the library looks at it once per process
		again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		again.Env = append(os.Environ(), "TZ=Asia/Tokyo")
		if out, err := again.CombinedOutput(); err != nil {
			t.Fatalf("in Tokyo: %v\n%s", err, out)
		}
		return
	}
	_, rows, err := readAll(open1(t, map[string]string{}), connector.Query{SQL: "SELECT CAST(TIMESTAMPTZ '2024-07-01 00:00:00+00' AS VARCHAR) AS s, date_trunc('day', TIMESTAMPTZ '2024-07-01 23:00:00+00')::VARCHAR AS d"})
	if err != nil || rows[0][0] != "2024-07-01 00:00:00+00" || rows[0][1] != "2024-07-01 00:00:00+00" {
		t.Fatal(rows, err)
	}
}

func Test_more_memory_is_taken_only_for_a_query_that_needs_it(t *testing.T) {
	// An aggregate over lists cannot spill: it needs more than the usual limit.
	greedy := connector.Query{SQL: "SELECT len(list(i)) AS n FROM range(8000000) t(i)"}
	src := open1(t, map[string]string{"threads": "1"})
	if _, rows, err := readAll(src, greedy); err != nil || rows[0][0] != "8000000" {
		t.Fatal(rows, err)
	}
	_, _, err := readAll(open1(t, map[string]string{"threads": "1", "memory_limit": "64MiB"}), greedy)
	if !fault.Is(err, fault.SourceQueryFailed) || !strings.Contains(fault.As(err).GetFix(), "memory_limit") {
		t.Fatal("a limit of the user's is kept:", err)
	}
}

func Test_spilled_data_is_removed(t *testing.T) {
	dir := t.TempDir()
	src, err := Source().Open(context.Background(), connector.NewConfig(map[string]string{"memory_limit": "64MiB", "threads": "2"}, nil, nil), connector.Env{ProjectDir: dir, StateDir: filepath.Join(dir, "state", "deep"), Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	spilled := false
	for _, err := range src.Read(context.Background(), connector.Query{SQL: "SELECT i, repeat('x', 50) || i AS s FROM range(2000000) t(i) ORDER BY hash(i)"}) {
		if err != nil {
			t.Fatal(err)
		}
		found, _ := filepath.Glob(filepath.Join(dir, "state", "deep", "upwell-duckdb-*", "*"))
		spilled = spilled || len(found) > 0
	}
	if !spilled {
		t.Error("nothing was spilled: the test proves nothing")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "state", "deep", "*")); len(left) > 0 {
		t.Error("left behind:", left)
	}
}

func Test_a_refused_query_is_pointed_at(t *testing.T) {
	long := "SELECT " + strings.Repeat("1, ", 100) + "\n" + strings.Repeat(" ", 300) + "nonsense(2), " + strings.Repeat("3, ", 100) + "4"
	src := open1(t, map[string]string{"project": t.TempDir()})
	for _, c := range []struct {
		q            connector.Query
		line, column int
	}{
		{connector.Query{SQL: "SELECT\n  1,\n  nonsense(2)"}, 3, 3},
		{connector.Query{SQL: "SELECT\n  1 AS a,\n  nonsense(2) AS b", Columns: []string{"a"}}, 3, 3},
		{connector.Query{SQL: "SELEKT 1"}, 1, 1},
		{connector.Query{SQL: long}, 2, 0}, // DuckDB shows a part of the line
		{connector.Query{SQL: "SELECT 1 AS a", Where: "nonsense(a)"}, 0, 0},
	} {
		_, err := src.Describe(t.Context(), c.q)
		f := fault.As(err)
		if f == nil || f.Line != c.line || f.Column != c.column || strings.ContainsAny(f.Message, "\n^") || strings.Contains(f.Message, "LINE") {
			t.Errorf("%.40q: line %d, column %d, %v", c.q.SQL, f.Line, f.Column, err)
		}
	}
}
