package databricks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

const (
	benchChunks = 20
	benchRows   = 50_000
)

// canned answers every statement with a million rows of eleven columns that were encoded once: the stand-in's own work would
// hide the reader's.
func canned(b *testing.B) string {
	b.Helper()
	cols := []columnInfo{
		{Name: "id", Text: "BIGINT"},
		{Name: "a", Text: "INT"},
		{Name: "b", Text: "BIGINT"},
		{Name: "c", Text: "DOUBLE"},
		{Name: "d", Text: "DECIMAL(12,2)"},
		{Name: "e", Text: "STRING"},
		{Name: "f", Text: "STRING"},
		{Name: "g", Text: "STRING"},
		{Name: "h", Text: "TIMESTAMP_NTZ"},
		{Name: "j", Text: "TIMESTAMP"},
		{Name: "k", Text: "BOOLEAN"},
	}
	var m manifest
	m.Schema.Columns = cols
	parsed, err := columnsOf(m, nil)
	if err != nil {
		b.Fatal(err)
	}
	rec := array.NewRecordBuilder(memory.DefaultAllocator, schemaOf(parsed))
	for i := range benchRows {
		n := strconv.Itoa(i)
		for j, text := range []string{
			n, strconv.Itoa(i % 1000), strconv.Itoa(i * 7), n + ".5", strconv.Itoa(i%9973) + ".25", "user" + n, "plan-" + strconv.Itoa(i%5),
			"country " + strconv.Itoa(i%200), "2024-01-01 00:00:00.000001", "2025-01-01T00:00:00Z", strconv.FormatBool(i%2 == 0),
		} {
			if err := parsed[j].appendText(rec.Field(j), text); err != nil {
				b.Fatal(err)
			}
		}
	}
	var stream bytes.Buffer
	w := ipc.NewWriter(&stream, ipc.WithSchema(rec.Schema()))
	if err := w.Write(rec.NewRecordBatch()); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	var chunks []string
	for i := range benchChunks {
		chunks = append(chunks, fmt.Sprintf(`{"chunk_index":%d,"row_count":%d,"byte_count":%d}`, i, benchRows, stream.Len()))
	}
	columns, err := json.Marshal(cols)
	if err != nil {
		b.Fatal(err)
	}
	var host string
	link := func(n string) string {
		return fmt.Sprintf(`"external_links":[{"chunk_index":%s,"row_count":%d,"external_link":"http://%s/storage"}]`, n, benchRows, host)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/storage":
			w.Header().Set("Content-Length", strconv.Itoa(stream.Len()))
			_, _ = w.Write(stream.Bytes())
		case strings.Contains(r.URL.Path, "/chunks/"):
			fmt.Fprintf(w, "{%s}", link(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]))
		default:
			fmt.Fprintf(w, `{"statement_id":"x","status":{"state":"SUCCEEDED"},"manifest":{"schema":{"columns":%s},"chunks":[%s],"total_chunk_count":%d,"total_row_count":%d},"result":{%s}}`,
				columns, strings.Join(chunks, ","), benchChunks, benchChunks*benchRows, link("0"))
		}
	}))
	b.Cleanup(srv.Close)
	host = strings.TrimPrefix(srv.URL, "http://")
	return srv.URL
}

// Reading a result into fingerprints: links, downloads, decoding, types, hashes. Run with -cpu 1 for the figure of one core.
func BenchmarkRead(b *testing.B) {
	settings := map[string]string{
		"host": canned(b), "warehouse_id": "abc", "token": "dapi-0123456789", "allow_private": "true", "downloads": "4", "start_timeout": "1m", "results": resultsLinks,
	}
	src, err := open(connector.NewConfig(settings, nil, nil), connector.Env{})
	if err != nil {
		b.Fatal(err)
	}
	most := uint64(0)
	for b.Loop() {
		h := row.NewHasher(1)
		rows := int64(0)
		for batch, err := range src.Read(b.Context(), connector.Query{SQL: "SELECT 1"}) {
			if err != nil {
				b.Fatal(err)
			}
			fingerprint(b, h, batch)
			rows += batch.NumRows()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		if rows != benchChunks*benchRows {
			b.Fatalf("%d rows", rows)
		}
	}
	b.ReportMetric(benchChunks*benchRows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
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
