package file

import (
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

func thousand() *row.Batch {
	b := row.NewBatch([]string{"id"}, []string{"name", "score"}, 1000)
	for i := range 1000 {
		b.Add(row.Meta{Ordinal: uint64(i)}, []row.Value{row.IntValue(int64(i))}, []row.Value{row.TextValue("some name of a customer"), row.FloatValue(float64(i) / 7)})
	}
	return b
}

// One thousand rows staged.
func Benchmark_stage(b *testing.B) {
	for _, format := range []string{"jsonl", "csv"} {
		b.Run(format, func(b *testing.B) {
			d, err := open(connector.NewConfig(map[string]string{"path": b.TempDir(), "format": format}, nil, nil), connector.Env{})
			if err != nil {
				b.Fatal(err)
			}
			s, err := d.Stage(b.Context(), connector.Target{Object: connector.Object{Name: "x"}, Op: connector.OpUpsert, Match: []string{"id"}, Fields: []string{"name", "score"}})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Abort(b.Context())
			rows := thousand()
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Write(b.Context(), rows); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One record changed in a file of 100,000.
func Benchmark_merge(b *testing.B) {
	for _, format := range []string{"jsonl", "csv"} {
		b.Run(format, func(b *testing.B) {
			d, err := open(connector.NewConfig(map[string]string{"path": b.TempDir(), "format": format}, nil, nil), connector.Env{})
			if err != nil {
				b.Fatal(err)
			}
			to := connector.Target{Object: connector.Object{Name: "x"}, Op: connector.OpUpsert, Match: []string{"id"}, Fields: []string{"name", "score"}}
			rows := row.NewBatch(to.Match, to.Fields, 100_000)
			for i := range 100_000 {
				rows.Add(row.Meta{}, []row.Value{row.IntValue(int64(i))}, []row.Value{row.TextValue("some name of a customer"), row.FloatValue(float64(i) / 7)})
			}
			if err := d.Write(b.Context(), to, rows, connector.NewOutcomes(rows.Len())); err != nil {
				b.Fatal(err)
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				one := row.NewBatch(to.Match, to.Fields, 1)
				one.Add(row.Meta{}, []row.Value{row.IntValue(50_000)}, []row.Value{row.TextValue("other"), row.IntValue(int64(n))})
				if err := d.Write(b.Context(), to, one, connector.NewOutcomes(1)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
