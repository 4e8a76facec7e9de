package snowflake

import (
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// wide is a model of a million rows and eleven columns: a key, numbers, texts, a decimal, times and a boolean.
const wide = `SELECT SEQ8() + 1 AS id, MOD(SEQ8(), 1000)::NUMBER(10, 0) AS a, MOD(SEQ8() * 7, 100000)::NUMBER(38, 0) AS b, (SEQ8() * 3)::FLOAT AS c,
	(MOD(SEQ8(), 9973) / 4)::NUMBER(12, 2) AS d, 'user' || SEQ8() AS e, 'plan-' || MOD(SEQ8(), 5) AS f, 'country ' || MOD(SEQ8(), 200) AS g,
	'2024-01-01'::TIMESTAMP_NTZ AS h, '2025-01-01'::TIMESTAMP_LTZ AS j, MOD(SEQ8(), 2) = 0 AS k FROM TABLE(GENERATOR(ROWCOUNT => 1000000))`

// Reading from the stand-in into fingerprints. The stand-in computes and encodes the answer in the same process, on the same
// processors: the figure is a floor. `bench/run --only fingerprints` measures the reader alone.
func BenchmarkRead(b *testing.B) {
	_, settings := start(b)
	src := connect(b, settings)
	most := uint64(0)
	for b.Loop() {
		rows := int64(0)
		h := row.NewHasher(1)
		for batch, err := range src.Read(b.Context(), connector.Query{SQL: wide}) {
			if err != nil {
				b.Fatal(err)
			}
			fingerprint(b, h, batch)
			if rows += batch.NumRows(); rows%50_000 < batch.NumRows() {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
		if rows != 1_000_000 {
			b.Fatalf("%d rows", rows)
		}
	}
	b.ReportMetric(1e6*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(most>>20), "heap-MiB")
}

func fingerprint(tb testing.TB, h *row.Hasher, batch arrow.RecordBatch) {
	tb.Helper()
	acc := make([]uint64, batch.NumRows())
	h.Begin(acc)
	for i, f := range batch.Schema().Fields() {
		k, err := row.KindOf(f)
		if err != nil {
			tb.Fatal(err)
		}
		h.Column(batch.Column(i), k, row.Null, acc)
	}
}
