package mapping

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// accounts is workload W: bigint key and ten columns.
func accounts(b *testing.B, n int) (*Mapping, arrow.RecordBatch) {
	md := model{fields: columns("id", row.Int, "name", row.Text, "email", row.Text, "seats", arrow.PrimitiveTypes.Int32, "score", row.Float, "mrr", &arrow.Decimal128Type{Precision: 12, Scale: 2},
		"active", row.Bool, "seen", row.Instant, "plan", row.Text, "country", row.Text, "n", arrow.PrimitiveTypes.Int32)}
	for i := range n {
		md.rows = append(md.rows, []row.Value{
			row.IntValue(int64(i)), text(fmt.Sprintf("Company %d", i)), text(fmt.Sprintf("owner%d@example.com", i)), row.IntValue(int64(i % 500)), row.FloatValue(float64(i%1000) / 7),
			dec(fmt.Sprintf("%d.%02d", i%100000, i%100)), row.BoolValue(i%3 == 0), row.InstantValue(1.7e9+int64(i), uint32(i%1000)*1000), text("enterprise"), text("DE"), row.IntValue(int64(i % 90)),
		})
	}
	s := spec(md, nil)
	for _, f := range md.fields[1:] {
		k, err := row.KindOf(f)
		if err != nil {
			b.Fatal(err)
		}
		d := writable(f.Name, k)
		d.MaxLength = 255
		s.Object.Fields = append(s.Object.Fields, d)
		s.Sync.Fields = append(s.Sync.Fields, project.Field{Field: f.Name, Column: f.Name})
	}
	return compile(b, s), md.batch(b)
}

func BenchmarkHash(b *testing.B) {
	const n = 4096
	m, batch := accounts(b, n)
	var p Prints
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Hash(batch, &p); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
}

func BenchmarkMaterialise(b *testing.B) {
	const n = 4096
	m, batch := accounts(b, n)
	var rec ledger.Record
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Materialise(batch, i%n, &rec)
		if rec.Invalid != nil {
			b.Fatal(rec.Invalid)
		}
		i++
	}
}

func BenchmarkExpression(b *testing.B) {
	const n = 1024
	md := model{fields: columns("id", row.Int, "score", row.Float)}
	for i := range n {
		md.rows = append(md.rows, []row.Value{row.IntValue(int64(i)), row.FloatValue(float64(i))})
	}
	m := compile(b, spec(md, []project.Field{{Field: "F", CEL: `row.score >= 80.0 ? "healthy" : "at risk"`}}, writable("F", row.Text)))
	batch := md.batch(b)
	var p Prints
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Hash(batch, &p); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
}
