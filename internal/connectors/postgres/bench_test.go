package postgres

import (
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/upwelldata/upwell/internal/connector"
)

const benchSQL = "SELECT id,email,name,seats,health_score,mrr,is_active,last_seen,plan,country,tickets_30d FROM accounts"

func Benchmark_reading(b *testing.B) {
	dsn := os.Getenv("BENCH_DSN")
	b.Run("upwell", func(b *testing.B) {
		for b.Loop() {
			s, err := Source().Open(b.Context(), connector.NewConfig(map[string]string{"dsn": dsn}, nil, nil), connector.Env{})
			if err != nil {
				b.Fatal(err)
			}
			n := int64(0)
			for rec, err := range s.Read(b.Context(), connector.Query{SQL: benchSQL}) {
				if err != nil {
					b.Fatal(err)
				}
				n += rec.NumRows()
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()*float64(b.N), "rows/s")
		}
	})
	b.Run("typed scan", func(b *testing.B) {
		for b.Loop() {
			c, err := pgx.Connect(b.Context(), dsn)
			if err != nil {
				b.Fatal(err)
			}
			rows, err := c.Query(b.Context(), benchSQL)
			if err != nil {
				b.Fatal(err)
			}
			var id int64
			var email, name, plan, country string
			var seats, tickets int32
			var hs float64
			var mrr pgtype.Numeric
			var act bool
			var ls time.Time
			for rows.Next() {
				if err := rows.Scan(&id, &email, &name, &seats, &hs, &mrr, &act, &ls, &plan, &country, &tickets); err != nil {
					b.Fatal(err)
				}
			}
			if rows.Err() != nil {
				b.Fatal(rows.Err())
			}
			_ = c.Close(b.Context())
		}
	})
}
