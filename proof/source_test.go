package proof_test

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// generator is a lazy source: rows 0..n-1, each a function of its id and of the version in the project's file `version`. In every
// version one row in fifty changes, and one in a thousand is not there.
type generator struct {
	n   int
	dir string
}

func generatorSource() connector.SourceConnector {
	return connector.SourceConnector{
		Spec: connector.Spec{Type: "generator", Title: "Generator", Settings: []connector.Setting{
			{Name: "rows", Type: connector.TypeInt, Required: true, Doc: "How many rows."},
		}},
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Source, error) {
			return &generator{n: cfg.Int("rows"), dir: env.ProjectDir}, nil
		},
	}
}

var generated = arrow.NewSchema([]arrow.Field{row.FieldOf("id", row.Int), row.FieldOf("v", row.Int), row.FieldOf("name", row.Text)}, nil)

// mix is splitmix64.
func mix(a, b uint64) uint64 {
	z := a*0x9e3779b97f4a7c15 + b + 0x7f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// valueAt is the version in which a row changed last; 0 = it is not in the model.
func valueAt(id, version int) int {
	if mix(uint64(id), uint64(version)<<32)%1000 == 0 {
		return 0
	}
	for v := version; v > 1; v-- {
		if mix(uint64(id), uint64(v))%50 == 0 {
			return v
		}
	}
	return 1
}

func setVersion(t *testing.T, dir string, v int) {
	t.Helper()
	write(t, dir, "version", strconv.Itoa(v))
}

func (g *generator) version() (int, error) {
	b, err := os.ReadFile(filepath.Join(g.dir, "version"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

func (g *generator) Check(context.Context) error { return nil }
func (g *generator) Close() error                { return nil }
func (g *generator) Dialect() connector.Dialect {
	return connector.Dialect{Name: "generator", Quote: '"', Placeholder: "?"}
}

func (g *generator) Describe(context.Context, connector.Query) (*arrow.Schema, error) {
	return generated, nil
}

func (g *generator) Read(ctx context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		version, err := g.version()
		if err != nil {
			yield(nil, err)
			return
		}
		var fields []arrow.Field
		for _, f := range generated.Fields() {
			for _, want := range q.Columns {
				if f.Name == want {
					fields = append(fields, f)
				}
			}
		}
		b := row.NewBuilder(arrow.NewSchema(fields, nil))
		for id := range g.n {
			v := valueAt(id, version)
			if v > 0 {
				var vals []row.Value
				for _, f := range fields {
					switch f.Name {
					case "id":
						vals = append(vals, row.IntValue(int64(id)))
					case "v":
						vals = append(vals, row.IntValue(int64(v)))
					case "name":
						vals = append(vals, row.TextValue("record "+strconv.Itoa(id)))
					}
				}
				if err := b.Append(vals...); err != nil {
					yield(nil, err)
					return
				}
			}
			if b.Len() == 4096 || id == g.n-1 && b.Len() > 0 {
				rec := b.Batch()
				ok := yield(rec, ctx.Err())
				rec.Release()
				if !ok {
					return
				}
			}
		}
	}
}
