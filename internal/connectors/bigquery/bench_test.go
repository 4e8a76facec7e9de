package bigquery

import (
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/row"
)

// Eleven columns, as in the benchmarks of other sources.
const benchModel = "SELECT a + b AS id, 'user' || CAST(a + b AS STRING) || '@example.com' AS email, 'Name ' || CAST(MOD(a + b, 9973) AS STRING) AS name, MOD(a + b, 512) + 1 AS seats, " +
	"MOD(a + b, 1048576) / 10485.75 AS health_score, CAST(MOD(a + b, 16777216) AS NUMERIC) / 100 AS mrr, MOD(a + b, 8) <> 0 AS is_active, " +
	"TIMESTAMP '2026-01-01 00:00:00Z' AS last_seen, 'plan ' || CAST(MOD(a + b, 5) AS STRING) AS plan, 'country ' || CAST(MOD(a + b, 16) AS STRING) AS country, MOD(a + b, 32) AS tickets_30d " +
	"FROM UNNEST(GENERATE_ARRAY(0, 500000, 1000000)) AS a, UNNEST(GENERATE_ARRAY(1, 1000000)) AS b WHERE a + b <= 500000"

// Reading into fingerprints. The stand-in makes its messages once, so that this measures the client and the transport.
func Benchmark_reading(b *testing.B) {
	const rows = 500_000
	s := standIn(b, bigquerytest.Options{Remember: true, BatchRows: 8192})
	for _, api := range []string{readStorage, readREST} {
		b.Run(api, func(b *testing.B) {
			o := openWith(b, s, map[string]string{"read_api": api})
			limit, n := 0, int64(rows)
			if api == readREST {
				limit, n = 50_000, 50_000
			}
			fingerprint(b, o, limit, n)
			for b.Loop() {
				fingerprint(b, o, limit, n)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func fingerprint(b *testing.B, o *source, limit int, want int64) {
	b.Helper()
	h, n := row.NewHasher(1), int64(0)
	acc := make([]uint64, 1<<16)
	sql := benchModel
	if limit > 0 {
		sql += " LIMIT 50000"
	}
	for rec, err := range o.Read(b.Context(), connector.Query{SQL: sql}) {
		if err != nil {
			b.Fatal(err)
		}
		n += rec.NumRows()
		part := acc[:rec.NumRows()]
		h.Begin(part)
		for c, f := range rec.Schema().Fields() {
			k, err := row.KindOf(f)
			if err != nil {
				b.Fatal(err)
			}
			h.Column(rec.Column(c), k, row.Null, part)
		}
	}
	if n != want {
		b.Fatalf("%d rows", n)
	}
}
