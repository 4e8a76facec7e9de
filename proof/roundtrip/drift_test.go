package roundtrip_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/upwelldata/upwell/internal/testdb"
)

// drifting is a source whose columns change their types and keep their values.
type drifting struct {
	source
	exec  func(t *testing.T, statements ...string)
	first []string   // makes the table t: id, n, d, s, f, ts
	steps [][]string // each changes types only
	bump  string     // changes one value
}

const driftRows = "INSERT INTO t VALUES (1, 42, 1.50, 'it''s', 0.5, '2026-10-25 02:30:00'), (2, -7, 0.00, '  ', -2, '2026-03-29 02:30:00'), (3, 2147483647, 99999999.99, '1.50', 1024, '1969-12-31 23:59:59'), (4, NULL, NULL, NULL, NULL, NULL)"

const bump = "UPDATE t SET n = 43 WHERE id = 1"

var driftingSources = []func(*testing.T) *drifting{
	func(t *testing.T) *drifting {
		path := filepath.Join(t.TempDir(), "warehouse.duckdb")
		return &drifting{
			source: source{name: "duckdb", settings: fmt.Sprintf("type: duckdb, path: %q", path), model: "table: t"},
			exec: func(t *testing.T, statements ...string) {
				db := open(t, "duckdb", path)
				defer db.close(t)
				execute(t, db.DB, statements...)
			},
			first: []string{"CREATE TABLE t (id INTEGER, n INTEGER, d DECIMAL(10,2), s VARCHAR, f FLOAT, ts TIMESTAMP_S)", driftRows},
			steps: [][]string{
				{"ALTER TABLE t ALTER n TYPE BIGINT", "ALTER TABLE t ALTER d TYPE DECIMAL(20,6)", "ALTER TABLE t ALTER f TYPE DOUBLE", "ALTER TABLE t ALTER ts TYPE TIMESTAMP"},
				{"ALTER TABLE t ALTER id TYPE BIGINT", "ALTER TABLE t ALTER n TYPE DECIMAL(18,2)", "ALTER TABLE t ALTER d TYPE DECIMAL(38,18)", "ALTER TABLE t ALTER ts TYPE TIMESTAMP_NS"},
				{"ALTER TABLE t ALTER id TYPE DECIMAL(20,4)", "ALTER TABLE t ALTER n TYPE DOUBLE", "ALTER TABLE t ALTER ts TYPE TIMESTAMP"},
				{"ALTER TABLE t ALTER id TYPE HUGEINT", "ALTER TABLE t ALTER n TYPE HUGEINT", "ALTER TABLE t ALTER ts TYPE TIMESTAMP_MS", "ALTER TABLE t ALTER s TYPE ENUM('it''s', '  ', '1.50')"},
				{"ALTER TABLE t ALTER id TYPE UTINYINT", "ALTER TABLE t ALTER n TYPE FLOAT", "UPDATE t SET n = NULL WHERE id = 3", "ALTER TABLE t ALTER n TYPE INTEGER", "UPDATE t SET n = 2147483647 WHERE id = 3"},
			},
		}
	},
	func(t *testing.T) *drifting {
		dsn := inBerlin(t)
		db := connect(t, "pgx", dsn)
		return &drifting{
			source: source{name: "postgres", settings: fmt.Sprintf("type: postgres, dsn: %q", dsn), model: "table: t"},
			exec:   into(db),
			first:  []string{"CREATE TABLE t (id smallint, n integer, d numeric(10,2), s varchar(20), f real, ts timestamp(0))", driftRows},
			steps: [][]string{
				{"ALTER TABLE t ALTER n TYPE bigint, ALTER s TYPE text, ALTER f TYPE double precision, ALTER ts TYPE timestamp(6)"},
				{"ALTER TABLE t ALTER id TYPE bigint, ALTER n TYPE numeric(20,4), ALTER d TYPE numeric, ALTER s TYPE varchar"},
				{"CREATE DOMAIN id AS numeric(12,3); CREATE DOMAIN word AS varchar(30)", "ALTER TABLE t ALTER id TYPE id, ALTER n TYPE double precision, ALTER d TYPE numeric(30,10), ALTER s TYPE word"},
				{"ALTER TABLE t ALTER id TYPE double precision, ALTER n TYPE oid USING CASE WHEN n >= 0 THEN n::bigint::oid END", "UPDATE t SET n = NULL", "ALTER TABLE t ALTER n TYPE bigint USING (ARRAY[42, -7, 2147483647])[id::int]"},
			},
		}
	},
	func(t *testing.T) *drifting {
		dsn := testdb.MySQL(t)
		db := connect(t, "mysql", dsn)
		return &drifting{
			source: source{name: "mysql", settings: fmt.Sprintf("type: mysql, dsn: %q", dsn), model: "table: t"},
			exec:   into(db),
			first:  []string{"CREATE TABLE t (id tinyint, n int, d decimal(10,2), s varchar(20), f float, ts datetime)", driftRows},
			steps: [][]string{
				{"ALTER TABLE t MODIFY n bigint, MODIFY d decimal(20,6), MODIFY s text, MODIFY f double, MODIFY ts datetime(6)"},
				{"ALTER TABLE t MODIFY id bigint unsigned, MODIFY n decimal(20,4), MODIFY s longtext CHARACTER SET utf8mb4, MODIFY ts datetime(3)"},
				{"ALTER TABLE t MODIFY id decimal(12,3), MODIFY n double, MODIFY d decimal(38,18), MODIFY s varchar(9) CHARACTER SET latin1"},
			},
		}
	},
	func(t *testing.T) *drifting {
		path := filepath.Join(t.TempDir(), "app.db")
		db := connect(t, "sqlite", path)
		again := func(types string) []string {
			return []string{"ALTER TABLE t RENAME TO old", "CREATE TABLE t (" + types + ")", "INSERT INTO t SELECT * FROM old", "DROP TABLE old"}
		}
		return &drifting{
			source: source{name: "sqlite", settings: fmt.Sprintf("type: sqlite, path: %q", path), model: "table: t"},
			exec:   into(db),
			first:  []string{"CREATE TABLE t (id INT, n INT, d NUMERIC, s VARCHAR(20), f REAL, ts DATETIME)", driftRows},
			steps: [][]string{
				again("id BIGINT, n BIGINT, d DECIMAL(10,2), s TEXT, f DOUBLE, ts TIMESTAMP"),
				again("id NUMERIC, n NUMERIC, d DECIMAL(20,6), s CLOB, f FLOAT, ts DATETIME"),
				again("id INTEGER, n REAL, d NUMBER, s NVARCHAR, f REAL, ts DATETIME"),
			},
		}
	},
}

func into(db *sql.DB) func(*testing.T, ...string) {
	return func(t *testing.T, statements ...string) { t.Helper(); execute(t, db, statements...) }
}

// A model whose columns, its key among them, change their types and hold the same values sends nothing and removes nothing; a
// value that changes afterwards is sent alone.
func Test_a_changed_type_with_the_same_values_sends_nothing(t *testing.T) {
	for _, newSource := range driftingSources {
		for _, to := range []string{"webhook", "postgres", "csv"} {
			src := newSource(t)
			t.Run(src.name+" to "+to, func(t *testing.T) {
				src.exec(t, src.first...)
				dest, w := driftDestination(t, to), &world{t, t.TempDir()}
				w.define(&src.source, dest, []string{"n: n", "d: d", "s: s", "f: f", "ts: ts", "shown: n"}, ", removed: delete")
				if rec, refused := w.run(false); rec.Counts.Delivered != 4 {
					t.Fatalf("the first run: %+v %v", rec.Counts, refused)
				}
				for i, step := range src.steps {
					src.exec(t, step...)
					rec, refused := w.run(false)
					if c := rec.Counts; c.Unchanged != 4 || c.Planned.Add+c.Planned.Change+c.Planned.Remove != 0 || c.Invalid != 0 {
						t.Errorf("after step %d: %+v %v", i+1, c, refused)
					}
				}
				src.exec(t, bump)
				if rec, refused := w.run(false); rec.Counts.Planned.Change != 1 || rec.Counts.Delivered != 1 || rec.Counts.Unchanged != 3 {
					t.Errorf("a changed value: %+v %v", rec.Counts, refused)
				}
			})
		}
	}
}

func driftDestination(t *testing.T, name string) *destination {
	switch name {
	case "webhook":
		return webhookDestination(t)
	case "csv":
		return csvDestination(t)
	}
	dsn := inBerlin(t)
	execute(t, connect(t, "pgx", dsn), "CREATE TABLE records (id bigint PRIMARY KEY, n bigint, d numeric(30,12), s text, f double precision, ts timestamp, shown text)")
	return &destination{settings: fmt.Sprintf("type: postgres, dsn: %q", dsn), object: "records", match: "id"}
}
