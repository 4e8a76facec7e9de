package local

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

var shape = []string{"name", "email", "score", "rate", "amount", "active", "at", "plan", "country", "seats"}

func benchEntry(i int, e *ledger.Entry) {
	e.Key = row.AppendKey(e.Key[:0], row.IntValue(int64(i)))
	h := uint64(i) * 0x9e3779b97f4a7c15
	e.Fingerprint = h ^ h>>29 | 1
	e.Match = []row.Value{row.IntValue(int64(i))}
	e.Fields = shape
	e.Values = []row.Value{
		row.TextValue(fmt.Sprintf("Customer %d %x", i, h>>40)), row.TextValue(fmt.Sprintf("user%d@example.com", i)), row.IntValue(int64(h >> 50)),
		row.FloatValue(float64(h>>44) / 1024), row.DecimalValue(fmt.Sprintf("%d.%02d", h>>46, h%100)), row.BoolValue(h&1 == 0),
		row.InstantValue(1700000000+int64(h>>42), 0), row.TextValue([]string{"free", "pro", "enterprise"}[h%3]), row.TextValue([]string{"DE", "FR", "US"}[h>>7%3]), row.IntValue(int64(h >> 57)),
	}
	e.Run, e.At = "01JABCDEFGHJKMNPQRSTVWXYZ0", time.Unix(1790000000, 0)
}

func fill(t testing.TB, h ledger.Home, n int) {
	ctx := context.Background()
	s, err := h.Begin(ctx, "01JABCDEFGHJKMNPQRSTVWXYZ0")
	if err != nil {
		t.Fatal(err)
	}
	acks := make([]ledger.Ack, 1000)
	for i := 0; i < n; i += len(acks) {
		for j := range acks {
			acks[j] = ledger.Ack{Op: connector.OpUpsert, Outcome: connector.Delivered}
			benchEntry(i+j, &acks[j].Entry)
			acks[j].Before = []ledger.History{{Op: connector.OpUpsert, Outcome: connector.Delivered, Fields: shape, Old: make([]row.Value, len(shape)), New: acks[j].Entry.Values, At: acks[j].Entry.At}}
		}
		if err := s.Ack(ctx, acks, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Publish(ctx, ledger.Publication{Complete: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func Test_smoke(t *testing.T) {
	dir := t.TempDir()
	h := Open(dir, Options{})
	start := time.Now()
	n := 200000
	fill(t, h, n)
	t.Log("fill", time.Since(start))
	start = time.Now()
	snap, err := h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	if err := snap.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log("verify", time.Since(start), snap.Meta())
	start = time.Now()
	c := 0
	for e, err := range snap.Each(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		_ = e
		c++
	}
	t.Log("each", c, time.Since(start))
	cmp, err := snap.Compare(ledger.CompareOptions{MatchIsKey: true, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	hash, print, cand := make([]uint64, 1024), make([]uint64, 1024), make([]bool, 1024)
	var e ledger.Entry
	var total time.Duration
	puts := 0
	for i := 0; i < n; i += 1024 {
		for j := range hash {
			benchEntry(i+j, &e)
			hash[j], print[j] = row.KeyHash(snap.Meta().Seed, e.Key), e.Fingerprint
			if (i+j)%100 == 37 {
				print[j]++
			}
		}
		m := min(1024, n-i)
		start = time.Now()
		cmp.Probe(hash[:m], print[:m], cand[:m])
		total += time.Since(start)
		for j := range m {
			if cand[j] {
				benchEntry(i+j, &e)
				puts++
				if err := cmp.Put(&ledger.Record{Key: e.Key, Hash: hash[j], Fingerprint: print[j], Values: e.Values, Match: e.Match}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	t.Log("probe", total/time.Duration(n), "puts", puts)
	start = time.Now()
	d, err := cmp.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c = 0
	for ch, err := range d.Each(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if ch.Old == nil || ch.New == nil {
			t.Fatal("!")
		}
		c++
	}
	t.Log("delta", c, time.Since(start), d.Counts())
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for run, err := range snap.RunHistory(t.Context(), "01JABCDEFGHJKMNPQRSTVWXYZ0") {
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", run)
		break
	}
}
