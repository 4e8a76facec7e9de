package webhook

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
)

// sink reads and answers at once.
func sink(b *testing.B) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"ok":true}`)
	}))
	b.Cleanup(srv.Close)
	return srv.URL
}

func Benchmark_write_100_rows(b *testing.B) {
	d, err := Connector().Open(b.Context(), connector.NewConfig(map[string]string{"url": sink(b), "allow_private": "true"}, nil, nil), connector.Env{Gate: connector.OpenGate{}})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	rows, to := people(100), target(connector.OpUpsert)
	b.ReportAllocs()
	for b.Loop() {
		out := connector.NewOutcomes(100)
		if err := d.Write(b.Context(), to, rows, out); err != nil {
			b.Fatal(err)
		}
	}
}

// The floor: what a program of a few lines does with the same rows.
func Benchmark_bare_poster_100_rows(b *testing.B) {
	type item struct {
		Key    map[string]int64 `json:"key"`
		Fields struct {
			Name  string  `json:"name"`
			Score float64 `json:"score"`
		} `json:"fields"`
		IdempotencyKey string `json:"idempotency_key"`
	}
	url, rows := sink(b), people(100)
	b.ReportAllocs()
	for b.Loop() {
		items := make([]item, rows.Len())
		for i := range items {
			items[i].Key = map[string]int64{"id": rows.Match(i)[0].Int()}
			items[i].Fields.Name, items[i].Fields.Score = rows.Values(i)[0].Str(), rows.Values(i)[1].Float()
			items[i].IdempotencyKey = rows.Meta(i).IdempotencyKey
		}
		body, err := json.Marshal(map[string]any{"rows": items})
		if err != nil {
			b.Fatal(err)
		}
		resp, err := http.Post(url, "application/json", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
