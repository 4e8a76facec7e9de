package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start makes a database file whose name needs care in a URI, and the source on it.
func start(t *testing.T, statements ...string) (connector.Source, *sql.DB) {
	t.Helper()
	dir := t.TempDir()
	name := "odd name?#100%.db"
	db, err := sql.Open("sqlite", "file:"+dir+"/odd%20name%3F%23100%25.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, s := range append([]string{"PRAGMA user_version = 1"}, statements...) {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return source1(t, dir, name), db
}

func source1(t *testing.T, dir, path string) connector.Source {
	t.Helper()
	src, err := Source().Open(t.Context(), connector.NewConfig(map[string]string{"path": path}, nil, nil), connector.Env{ProjectDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func readAll(ctx context.Context, src connector.Source, q connector.Query) (kinds []string, rows [][]row.Value, err error) {
	for rec, err := range src.Read(ctx, q) {
		if err != nil {
			return kinds, rows, err
		}
		ks := make([]row.Kind, rec.NumCols())
		kinds = nil
		for j, f := range rec.Schema().Fields() {
			if ks[j], err = row.KindOf(f); err != nil {
				return nil, nil, err
			}
			kinds = append(kinds, ks[j].String())
		}
		for i := range int(rec.NumRows()) {
			r := make([]row.Value, len(ks))
			for j := range r {
				r[j] = row.At(rec.Column(j), ks[j], i)
			}
			rows = append(rows, r)
		}
	}
	return kinds, rows, nil
}

func Test_declared_types_carry_their_values_exactly(t *testing.T) {
	for _, c := range []struct {
		declared, literal string
		want              row.Value
	}{
		{"INTEGER", "9007199254740993", row.IntValue(9007199254740993)},
		{"BIGINT", "-9223372036854775808", row.IntValue(math.MinInt64)},
		{"REAL", "0.1", row.FloatValue(0.1)},
		{"DOUBLE PRECISION", "3", row.FloatValue(3)},
		{"NUMERIC(10,2)", "12.5", row.DecimalValue("12.5")},
		{"DECIMAL(38,18)", "'x12345678901234567890.123456789012345678'", row.Value{}},
		{"NUMERIC", "9007199254740993", row.DecimalValue("9007199254740993")},
		{"TEXT", "'it''s 🦆'", row.TextValue("it's 🦆")},
		{"VARCHAR(10)", "''", row.TextValue("")},
		{"BLOB", "X'00FF27'", row.BytesValue([]byte{0, 255, 39})},
		{"BOOLEAN", "1", row.BoolValue(true)},
		{"DATE", "'9999-12-31'", row.DateValue(2932896)},
		{"DATETIME", "'2024-03-31 02:30:00.123456'", row.TimestampValue(1711852200, 123456000)},
		{"TIMESTAMP", "'2024-03-31T02:30:00'", row.TimestampValue(1711852200, 0)},
		{"TIMESTAMP WITH TIME ZONE", "'2024-03-31T02:30:00+02:00'", row.InstantValue(1711845000, 0)},
		{"TIME", "'23:59:59'", row.TimeValue(86399e9)},
		{"JSON", `'{"a":1.50}'`, row.StringKind(row.JSON, `{"a":1.50}`)},
		{"JSON", `'42'`, row.StringKind(row.JSON, `42`)},
		{"JSON", `'9007199254740993'`, row.StringKind(row.JSON, `9007199254740993`)},
		{"JSON", `'-1.5'`, row.StringKind(row.JSON, `-1.5`)},
		{"JSON", `'1e300'`, row.StringKind(row.JSON, `1e+300`)},
		{"JSON", `'"42"'`, row.StringKind(row.JSON, `"42"`)},
		{"UUID", "'F81D4FAE-7dec-11d0-a765-00a0c91e6bf6'", row.StringKind(row.UUID, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6")},
	} {
		t.Run(c.declared+" "+c.want.String(), func(t *testing.T) {
			src, _ := start(t, "CREATE TABLE t (id INTEGER, v "+c.declared+")", "INSERT INTO t VALUES (1, NULL), (2, "+c.literal+")")
			q := connector.Query{SQL: "SELECT v FROM t ORDER BY id;"}
			kinds, rows, err := readAll(t.Context(), src, q)
			if c.want.IsAbsent() {
				if !fault.Is(err, fault.SourceValue) {
					t.Fatal(rows, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if kinds[0] != c.want.Kind().String() || !rows[0][0].IsNull() || !rows[1][0].Equal(c.want) {
				t.Errorf("%s %v, want %s", kinds, rows, c.want)
			}
			schema, err := src.Describe(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if k, err := row.KindOf(schema.Field(0)); err != nil || k != c.want.Kind() {
				t.Errorf("Describe says %s %v", k, err)
			}
			_, rows, err = readAll(t.Context(), src, connector.Query{Table: "t", Columns: []string{"id"}, Where: "id > 0 -- all", Equal: []connector.ColumnIs{{Column: "v", Value: c.want}}})
			if err != nil || len(rows) != 1 || rows[0][0].Int() != 2 {
				t.Errorf("looking for %s: %v %v", c.want, rows, err)
			}
		})
	}
}

func Test_a_value_of_another_class_ends_the_read_and_names_the_cast(t *testing.T) {
	for declared, literal := range map[string]string{
		"INTEGER": "'abc'", "INT": "1.5", "REAL": "'abc'", "TEXT": "X'00'", "BLOB": "'text'", "BOOLEAN": "2", "DATE": "1700000000", "DATETIME": "'2024-13-01 00:00:00'",
		"TIMESTAMP": "'2024-01-01 00:00:00+02:00'", "TIMESTAMPTZ": "'2024-01-01 00:00:00'", "NUMERIC": "'abc'", "JSON": "'{'", "UUID": "'abc'", "TIME": "'25:00:00'", "FLOAT": "X'01'",
	} {
		src, _ := start(t, `CREATE TABLE t ("od""d" `+declared+")", "INSERT INTO t VALUES ("+literal+")")
		_, _, err := readAll(t.Context(), src, connector.Query{Table: "t"})
		if !fault.Is(err, fault.SourceValue) || !strings.Contains(err.Error(), `od\"d`) || !strings.Contains(fault.As(err).GetFix(), `"od""d"`) {
			t.Errorf("%s into %s: %v", literal, declared, err)
		}
	}
}

func Test_an_expression_takes_its_kind_from_the_first_value(t *testing.T) {
	src, _ := start(t, "CREATE TABLE n AS WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 19999) SELECT i FROM c")
	kinds, rows, err := readAll(t.Context(), src, connector.Query{SQL: "SELECT CASE WHEN i > 100 THEN i END AS a, i * 0.5 AS b, 'x' || i AS c, NULL AS d, CAST(i AS BLOB) AS e, CASE WHEN i % 2 = 0 THEN 0.5 ELSE 1 END AS f FROM n"})
	if err != nil || strings.Join(kinds, " ") != "int float text text bytes float" || len(rows) != 20000 || rows[200][0].Int() != 200 || rows[19999][5].Float() != 1 {
		t.Fatal(kinds, len(rows), err)
	}
	mixed := connector.Query{SQL: "SELECT i, CASE WHEN i < 15000 THEN i ELSE 'text' END AS m FROM n"}
	_, rows, err = readAll(t.Context(), src, mixed)
	if !fault.Is(err, fault.SourceValue) || !strings.Contains(fault.As(err).GetFix(), "CAST") || len(rows) == 0 {
		t.Error(len(rows), err)
	}
	// A part of the model has the kinds of the whole.
	mixed.Equal = []connector.ColumnIs{{Column: "i", Value: row.IntValue(16000)}}
	if _, _, err = readAll(t.Context(), src, mixed); !fault.Is(err, fault.SourceValue) {
		t.Error(err)
	}
	schema, err := src.Describe(t.Context(), mixed)
	if err != nil || schema.Field(1).Type.String() != "int64" {
		t.Error(schema, err)
	}
}

func Test_the_file_is_only_read(t *testing.T) {
	src, db := start(t, "CREATE TABLE t (i INTEGER)", "INSERT INTO t VALUES (1)")
	for _, sql := range []string{"DELETE FROM t", "DELETE FROM t RETURNING i", "PRAGMA user_version = 2", "ATTACH 'x.db' AS x", "SELECT 1; DELETE FROM t", "SELECT 1) ; DELETE FROM t; --", "SELECT * FROM nothing", "SELECT 1,, 2", "SELECT ?", "SELECT 1 AS a, 2 AS A", ""} {
		if _, rows, err := readAll(t.Context(), src, connector.Query{SQL: sql}); !fault.Is(err, fault.SourceQueryFailed) {
			t.Errorf("%q: %v %v", sql, rows, err)
		}
	}
	var n, v int
	if err := db.QueryRow("SELECT COUNT(*), (SELECT user_version FROM pragma_user_version) FROM t").Scan(&n, &v); err != nil || n != 1 || v != 1 {
		t.Error(n, v, err)
	}
	if err := src.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func Test_files_that_cannot_be_read_are_named(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "garbage.db"), []byte(strings.Repeat("garbage ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, words := range map[string]string{"missing.db": "no such file", ".": "folder", "garbage.db": "not a database"} {
		if err := source1(t, dir, path).Check(t.Context()); !fault.Is(err, fault.SourceUnreachable) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "missing.db")); err == nil {
		t.Error("checking made the file")
	}
}

func Test_a_damaged_page_fails_the_read(t *testing.T) {
	src, db := start(t, "CREATE TABLE t (i INTEGER, s TEXT)", "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 50000) INSERT INTO t SELECT i, 'some text of a row ' || i FROM c")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	path := src.(*source).path
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(b) / 2; i < len(b)/2+8192; i++ {
		b[i] = 0xAA
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, rows, err := readAll(t.Context(), src, connector.Query{Table: "t"}); !fault.Is(err, fault.SourceUnreachable) {
		t.Fatal(len(rows), err)
	}
}

func Test_leaving_early_and_cancelling_free_the_file(t *testing.T) {
	src, db := start(t, "CREATE TABLE t AS WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 50000) SELECT i FROM c")
	for rec, err := range src.Read(t.Context(), connector.Query{Table: "t"}) {
		if err != nil || rec.NumRows() == 0 {
			t.Fatal(err)
		}
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range src.Read(ctx, connector.Query{Table: "t"}) {
		cancel()
		last = err
	}
	if !fault.Is(last, fault.Cancelled) || !errors.Is(last, context.Canceled) {
		t.Error(last)
	}
	if _, err := db.Exec("DROP TABLE t"); err != nil {
		t.Error(err)
	}
	if err := src.Check(ctx); !fault.Is(err, fault.Cancelled) {
		t.Error(err)
	}
}

func Test_a_read_sees_one_state_while_another_process_writes(t *testing.T) {
	src, db := start(t, "PRAGMA journal_mode = WAL", "CREATE TABLE t AS WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 29999) SELECT i FROM c")
	n, wrote := int64(0), false
	for rec, err := range src.Read(t.Context(), connector.Query{Table: "t"}) {
		if err != nil {
			t.Fatal(err)
		}
		n += rec.NumRows()
		if !wrote {
			wrote = true
			if _, err := db.Exec("DELETE FROM t WHERE i > 20000"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n != 30000 {
		t.Errorf("%d rows", n)
	}
}

func Test_progress_limit_and_columns(t *testing.T) {
	src, _ := start(t, "CREATE TABLE t (i INTEGER, s TEXT)", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
	var seen int64
	kinds, rows, err := readAll(t.Context(), src, connector.Query{SQL: "SELECT * FROM t ORDER BY i DESC -- newest first", Columns: []string{"s"}, Limit: 2, Rows: func(n int64) { seen = n }})
	if err != nil || seen != 2 || fmt.Sprint(kinds, rows) != "[text] [[c] [b]]" {
		t.Error(kinds, rows, seen, err)
	}
}
