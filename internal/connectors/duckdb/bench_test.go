package duckdb

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"

	"github.com/upwelldata/upwell/internal/connector"
)

// wide makes a table of ten columns: integers, doubles, short texts and timestamps.
func wide(tb testing.TB, rows int) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "wide.duckdb")
	db, err := sql.Open("duckdb", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	_, err = db.Exec(`CREATE TABLE wide AS SELECT i AS id, (i % 1000)::INTEGER AS a, (i * 7 % 100000)::INTEGER AS b,
		i / 3.0::DOUBLE AS c, (i * 31 % 9973)::DOUBLE AS d, 'user' || i AS e, 'plan-' || (i % 5) AS f, 'country ' || (i % 200) AS g,
		TIMESTAMP '2024-01-01' + INTERVAL (i % 100000) SECOND AS h, TIMESTAMP '2025-01-01' + INTERVAL (i % 7777) MINUTE AS j
		FROM range(?) t(i)`, rows)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// Reading a table of ten columns, against the ordinary driver with typed Scan.
func BenchmarkRead(b *testing.B) {
	const rows = 1_000_000
	path := wide(b, rows)
	b.Run("stream", func(b *testing.B) {
		src := open1(b, map[string]string{"path": path})
		for b.Loop() {
			n := int64(0)
			for rec, err := range src.Read(context.Background(), connector.Query{Table: "wide"}) {
				if err != nil {
					b.Fatal(err)
				}
				n += rec.NumRows()
			}
			if n != rows {
				b.Fatalf("read %d rows", n)
			}
		}
		b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("database_sql", func(b *testing.B) {
		db, err := sql.Open("duckdb", path+"?access_mode=READ_ONLY")
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		for b.Loop() {
			res, err := db.Query("SELECT * FROM wide")
			if err != nil {
				b.Fatal(err)
			}
			for res.Next() {
				var id int64
				var x, y int32
				var c, d float64
				var e, f, g string
				var h, j time.Time
				if err := res.Scan(&id, &x, &y, &c, &d, &e, &f, &g, &h, &j); err != nil {
					b.Fatal(err)
				}
			}
			if err := res.Err(); err != nil {
				b.Fatal(err)
			}
			res.Close()
		}
		b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
