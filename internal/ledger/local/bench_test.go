package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// The rows of the workload in shared benchmarks: a key and ten columns.
var shape = []string{"name", "email", "score", "rate", "amount", "active", "at", "plan", "country", "seats"}

func mix(i int) uint64 {
	h := uint64(i) * 0x9e3779b97f4a7c15
	return h ^ h>>29 | 1
}

func benchValues(i int) []row.Value {
	h := mix(i)
	return []row.Value{
		row.TextValue(fmt.Sprintf("Customer %d %x", i, h>>40)), row.TextValue(fmt.Sprintf("user%d@example.com", i)), row.IntValue(int64(h >> 50)),
		row.FloatValue(float64(h>>44) / 1024), row.DecimalValue(fmt.Sprintf("%d.%02d", h>>46, h%100)), row.BoolValue(h&2 == 0),
		row.InstantValue(1700000000+int64(h>>42), 0), row.TextValue([]string{"free", "pro", "enterprise"}[h%3]),
		row.TextValue([]string{"DE", "FR", "US"}[h>>7%3]), row.IntValue(int64(h >> 57)),
	}
}

const benchRun = "01JABCDEFGHJKMNPQRSTVWXYZ0"

func benchAck(i int) ledger.Ack {
	e := ledger.Entry{
		Key: row.AppendKey(nil, row.IntValue(int64(i))), Fingerprint: mix(i), Match: []row.Value{row.IntValue(int64(i))}, Fields: shape,
		Values: benchValues(i), Run: benchRun, At: time.Unix(1_790_000_000, 0),
	}
	return ledger.Ack{
		Op: connector.OpUpsert, Outcome: connector.Delivered, Entry: e,
		Before: []ledger.History{{Op: connector.OpUpsert, Outcome: connector.Delivered, Fields: shape, Old: make([]row.Value, len(shape)), New: e.Values, At: e.At}},
	}
}

func benchRows(b *testing.B) int {
	if testing.Short() {
		return 100_000
	}
	n := 1_000_000
	if s := os.Getenv("UPWELL_BENCH_ROWS"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			b.Fatal(err)
		}
	}
	return n
}

// filled makes a ledger of n rows and reports what that took.
func filled(b *testing.B, n int) ledger.Home {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "l")
	h, ctx := Open(dir, Options{}), context.Background()
	s, err := h.Begin(ctx, benchRun)
	if err != nil {
		b.Fatal(err)
	}
	var inAck, raw time.Duration
	acks := make([]ledger.Ack, 1000)
	values := 0
	for i := 0; i < n; i += len(acks) {
		for j := range acks {
			acks[j] = benchAck(i + j)
			values += len(row.AppendValues(nil, acks[j].Entry.Values))
		}
		start := time.Now()
		if err := s.Ack(ctx, acks, false); err != nil {
			b.Fatal(err)
		}
		inAck += time.Since(start)
	}
	start := time.Now()
	if err := s.Publish(ctx, ledger.Publication{Complete: true}); err != nil {
		b.Fatal(err)
	}
	raw = time.Since(start)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	m, err := readManifest(dir)
	if err != nil {
		b.Fatal(err)
	}
	sizes := map[string]int64{}
	total := int64(0)
	for _, f := range m.files() {
		sizes[filepath.Ext(f.Name)] += f.Bytes
		total += f.Bytes
	}
	rows := int64(n)
	b.Logf("%d rows: ack %v/row, publish %v; disk %d B/row (segments %d, index %d, history %d), values %d B/row before compression; %d segments", n,
		inAck/time.Duration(n), raw, total/rows, sizes[".seg"]/rows, (sizes[".slots"]+sizes[".flags"]+sizes[".match"])/rows, sizes[".hist"]/rows, values/n, len(m.Segments))
	return h
}

// BenchmarkFirst acknowledges and publishes rows that are all new.
func BenchmarkFirst(b *testing.B) {
	n := benchRows(b)
	for b.Loop() {
		filled(b, n)
	}
}

func BenchmarkPut(b *testing.B) {
	n := benchRows(b)
	recs := make([]ledger.Record, 1000)
	for i := range recs {
		recs[i] = ledger.Record{Fingerprint: mix(i), Values: benchValues(i), Match: []row.Value{row.IntValue(int64(i))}}
	}
	for b.Loop() {
		s, err := Open(filepath.Join(b.TempDir(), "none"), Options{}).Snapshot(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		c, err := s.Compare(ledger.CompareOptions{MatchIsKey: true, TempDir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		hash, print, candidate := make([]uint64, 1), make([]uint64, 1), make([]bool, 1)
		var key []byte
		start := time.Now()
		for i := range n {
			r := &recs[i%len(recs)]
			key = row.AppendKey(key[:0], row.IntValue(int64(i)))
			r.Key, r.Hash = key, row.KeyHash(Seed, key)
			hash[0] = r.Hash
			c.Probe(hash, print, candidate)
			if err := c.Put(r); err != nil {
				b.Fatal(err)
			}
		}
		put := time.Since(start)
		start = time.Now()
		d, err := c.Finish(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		finish := time.Since(start)
		start = time.Now()
		for _, err := range d.Each(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(put.Nanoseconds())/float64(n), "put-ns/row")
		b.ReportMetric(float64(finish.Nanoseconds())/float64(n), "finish-ns/row")
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(n), "each-ns/row")
		discard(d)
		discard(s)
	}
}

// BenchmarkProbe compares a read in which one row of a hundred changed and one of a thousand left.
func BenchmarkProbe(b *testing.B) {
	n := benchRows(b)
	h := filled(b, n)
	start := time.Now()
	s, err := h.Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer discard(s)
	b.Logf("open %v", time.Since(start))
	start = time.Now()
	if err := s.Verify(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Logf("verify %v", time.Since(start))
	hashes, prints := make([]uint64, n), make([]uint64, n)
	for i := range n {
		hashes[i], prints[i] = row.KeyHash(Seed, row.AppendKey(nil, row.IntValue(int64(i)))), mix(i)
		if i%100 == 37 {
			prints[i]++
		}
	}
	candidate := make([]bool, 1024)
	for b.Loop() {
		c, err := s.Compare(ledger.CompareOptions{MatchIsKey: true, TempDir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		var probe time.Duration
		for i := 0; i < n; i += 1024 {
			to := min(i+1024, n)
			if i%100_000 < 1024 { // rows that left
				to = min(i+1000, n)
			}
			start := time.Now()
			c.Probe(hashes[i:to], prints[i:to], candidate)
			probe += time.Since(start)
			for j := i; j < to; j++ {
				if candidate[j-i] {
					if err := c.Put(&ledger.Record{Key: row.AppendKey(nil, row.IntValue(int64(j))), Hash: hashes[j], Fingerprint: prints[j], Values: benchValues(j)}); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		start := time.Now()
		d, err := c.Finish(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		finish := time.Since(start)
		start = time.Now()
		changes := 0
		for _, err := range d.Each(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			changes++
		}
		b.ReportMetric(float64(probe.Nanoseconds())/float64(n), "probe-ns/row")
		b.ReportMetric(float64(finish.Milliseconds()), "finish-ms")
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "each-ms")
		b.ReportMetric(float64(changes), "changes")
		discard(d)
	}
}

// BenchmarkPublish records one row of a hundred as changed, durably, in batches of 100.
func BenchmarkPublish(b *testing.B) {
	n := benchRows(b)
	h := filled(b, n)
	for b.Loop() {
		s, err := h.Begin(b.Context(), benchRun)
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		var acks []ledger.Ack
		for i := 37; i < n; i += 100 {
			if acks = append(acks, benchAck(i)); len(acks) == 100 || i+100 >= n {
				if err := s.Ack(b.Context(), acks, true); err != nil {
					b.Fatal(err)
				}
				acks = acks[:0]
			}
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ack-ms")
		start = time.Now()
		if err := s.Publish(b.Context(), ledger.Publication{Complete: true}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "publish-ms")
		discard(s)
	}
}
