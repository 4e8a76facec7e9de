package bigquery

import (
	"context"
	"maps"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/row"
)

// wrongKey is a key that was never registered, signing in at a stand-in of its own.
var wrongKey string

func standIn(t testing.TB, o bigquerytest.Options) *bigquerytest.Server {
	t.Helper()
	s, err := bigquerytest.Start(t.Context(), "127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openWith(t testing.TB, s *bigquerytest.Server, over map[string]string) *source {
	t.Helper()
	settings := s.Settings()
	maps.Copy(settings, over)
	return openSettings(t, settings)
}

func openSettings(t testing.TB, settings map[string]string) *source {
	t.Helper()
	for k, v := range settings {
		if v == "" {
			delete(settings, k)
		}
	}
	got, err := Source().Open(t.Context(), connector.NewConfig(settings, nil, map[string]bool{"credentials": true}), connector.Env{Name: "Warehouse"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := got.Close(); err != nil {
			t.Error(err)
		}
	})
	return got.(*source) //nolint:forcetypeassert // it is one
}

// read counts and sums a column of numbers.
func read(ctx context.Context, s *source, q connector.Query) (rows int, sum int64, err error) {
	for b, err := range s.Read(ctx, q) {
		if err != nil {
			return rows, sum, err
		}
		for i := range int(b.NumRows()) {
			sum += row.At(b.Column(0), row.Int, i).Int()
		}
		rows += int(b.NumRows())
	}
	return rows, sum, nil
}
