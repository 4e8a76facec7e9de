package local

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// publish records values of keys as one run.
func publish(t testing.TB, h ledger.Home, run string, val int, keys ...int) {
	t.Helper()
	ctx := context.Background()
	s, err := h.Begin(ctx, run)
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(keys, 100) {
		var acks []ledger.Ack
		for _, k := range part {
			acks = append(acks, testAck(k, val, run))
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

func keys(n, step int) []int {
	var out []int
	for k := 0; k < n; k += step {
		out = append(out, k)
	}
	return out
}

func Test_reading_changes_no_byte_and_makes_no_folder(t *testing.T) {
	dir, h := worn(t, true)
	before, temp := read(t, dir), t.TempDir()
	s, err := h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Compare(ledger.CompareOptions{TempDir: temp, Memory: 1})
	if err != nil {
		t.Fatal(err)
	}
	candidate := make([]bool, 1)
	for k := range 5000 {
		key := row.AppendKey(nil, row.IntValue(int64(k)))
		hash := keyHash(s.Meta().Seed, key)
		c.Probe([]uint64{hash}, []uint64{7}, candidate)
		if err := c.Put(&ledger.Record{Key: key, Hash: hash, Fingerprint: 7, Values: []row.Value{row.TextValue("some text that fills the spool")}}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := c.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range d.Each(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n < 5000 {
		t.Fatalf("%d changes", n)
	}
	for _, err := range []error{s.Verify(t.Context()), d.Close(), c.Close(), s.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !maps.EqualFunc(before, read(t, dir), slices.Equal) {
		t.Fatal("a reader changed the ledger")
	}
	if left := read(t, temp); len(left) > 0 {
		t.Fatalf("%d temporary files are left", len(left))
	}
	none := filepath.Join(t.TempDir(), "none")
	if s, err = Open(none, Options{}).Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	discard(s)
	if _, err := os.Stat(none); !os.IsNotExist(err) {
		t.Fatalf("reading made a folder: %v", err)
	}
}

func Test_files_are_private(t *testing.T) {
	dir, _ := worn(t, true)
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Fatalf("%v %v", st.Mode(), err)
	}
	for name := range read(t, dir) {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Fatalf("%s: %v %v", name, st.Mode(), err)
		}
	}
}

func Test_readers_race_with_a_writer_and_always_see_one_state(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	write := Open(dir, Options{disk: quick{}, TableBytes: 4000})
	publish(t, write, "r000", 0, keys(300, 1)...)
	stop, wg := make(chan struct{}), sync.WaitGroup{}
	for range 2 {
		wg.Go(func() {
			h := Open(dir, Options{})
			for {
				select {
				case <-stop:
					return
				default:
				}
				s, err := h.Snapshot(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Verify(context.Background()); err != nil {
					t.Error(err)
				}
				n := map[string]int{}
				for e, err := range s.Each(context.Background()) {
					if err != nil {
						t.Error(err)
						break
					}
					n[e.Run]++
				}
				if last := s.Meta().LastRun; n[last] != 300 || len(n) != 1 {
					t.Errorf("after %s the entries are of %v", last, n)
				}
				for _, err := range s.KeyHistory(context.Background(), row.AppendKey(nil, row.IntValue(5))) {
					if err != nil {
						t.Error(err)
					}
				}
				discard(s)
			}
		})
	}
	for run := 1; run <= 60; run++ {
		publish(t, Open(dir, Options{disk: quick{}, TableBytes: 4000, HistoryRuns: 3}), fmt.Sprintf("r%03d", run), run, keys(300, 1)...)
	}
	close(stop)
	wg.Wait()
}

func Test_many_small_publications_do_not_pile_up(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	h := Open(dir, Options{disk: quick{}})
	publish(t, h, "r000", 0, keys(2000, 1)...)
	for run := 1; run <= 80; run++ {
		publish(t, h, fmt.Sprintf("r%03d", run), run, keys(2000, 50+run)...)
	}
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Segments) > 16 || len(m.History) != 50 || len(read(t, dir)) > len(m.files())+2 {
		t.Fatalf("%d segments, %d histories, %d files", len(m.Segments), len(m.History), len(read(t, dir)))
	}
	got := values(t, h)
	if len(got) != 2000 || got[0] != 80 || got[1] != 0 {
		t.Fatalf("%d entries, key 0 is %d, key 1 is %d", len(got), got[0], got[1])
	}
}

func Test_a_session_of_any_size_ends_with_few_segments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	h := Open(dir, Options{disk: quick{}, TableBytes: 2000})
	publish(t, h, "r1", 1, keys(6000, 1)...)
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Segments) > 2*sessionSegments {
		t.Fatalf("%d segments", len(m.Segments))
	}
	if got := values(t, h); len(got) != 6000 {
		t.Fatalf("%d entries", len(got))
	}
}

func Test_segments_to_merge_are_picked_by_what_they_cost(t *testing.T) {
	seg := func(mb ...int64) (out []segmentRef) {
		for i, n := range mb {
			out = append(out, segmentRef{fileRef: fileRef{Bytes: n << 20}, Number: i})
		}
		return out
	}
	for _, c := range []struct {
		name           string
		segs           []segmentRef
		garbage, live  int64
		from, to, want int
	}{
		{"one segment", seg(900), 0, 1e6, 0, 0, 0},
		{"a first load stays as it was written", seg(32, 32, 32, 32, 32), 0, 1e6, 0, 0, 0},
		{"small ones behind a large one", seg(900, 1, 1, 1, 1, 1, 1, 1, 1), 0, 1e6, 1, 9, 8},
		{"half of it is dead", seg(900, 300), 600_000, 1e6, 0, 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := pick(c.segs, c.garbage, c.live)
			if to-from != c.want || c.want > 0 && (from != c.from || to != c.to) {
				t.Fatalf("picked [%d, %d)", from, to)
			}
		})
	}
}

func Test_history_is_kept_by_number_and_age_and_that_of_the_last_run_always(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := Open(dir, Options{disk: quick{}, HistoryRuns: 3, HistoryAge: 10 * 24 * time.Hour, Now: func() time.Time { return now }})
	runs := func() (out []string) {
		m, err := readManifest(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range m.History {
			out = append(out, r.Run)
		}
		return out
	}
	for i := range 5 {
		publish(t, h, fmt.Sprintf("r%d", i), i, 1)
	}
	if got := runs(); !slices.Equal(got, []string{"r2", "r3", "r4"}) {
		t.Fatalf("%v", got)
	}
	now = now.Add(9 * 24 * time.Hour)
	publish(t, h, "r5", 5, 1)
	now = now.Add(2 * 24 * time.Hour)
	publish(t, h, "r6", 6)
	if got := runs(); !slices.Equal(got, []string{"r5"}) {
		t.Fatalf("%v", got)
	}
	now = now.Add(100 * 24 * time.Hour)
	publish(t, h, "r7", 7)
	if got := runs(); !slices.Equal(got, []string{"r5"}) {
		t.Fatalf("%v", got)
	}
}

func Test_values_adopted_without_a_delivery_are_not_taken_for_those_of_an_older_run(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	h := Open(dir, Options{disk: quick{}})
	publish(t, h, "r1", 1, 1)
	s, err := h.Begin(t.Context(), "r2")
	if err != nil {
		t.Fatal(err)
	}
	e := testEntry(1, 7, "r2")
	e.State = ledger.Baseline
	if err := s.Ack(t.Context(), []ledger.Ack{{Entry: e}}, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), ledger.Publication{}); err != nil {
		t.Fatal(err)
	}
	discard(s)
	snap, err := h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer discard(snap)
	n := 0
	for c, err := range snap.KeyHistory(t.Context(), e.Key) {
		if err != nil || c.Run != "r1" || !c.New[0].IsAbsent() {
			t.Fatalf("%+v %v", c, err)
		}
		n++
	}
	for range snap.RunHistory(t.Context(), "r2") {
		t.Fatal("adopting rows is no change of the run")
	}
	if n != 1 {
		t.Fatalf("%d changes", n)
	}
}

func Test_publishing_twice_is_refused(t *testing.T) {
	h := Open(filepath.Join(t.TempDir(), "l"), Options{disk: quick{}})
	s, err := h.Begin(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), ledger.Publication{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), ledger.Publication{}); !fault.Is(err, fault.Internal) {
		t.Fatal(err)
	}
	if err := s.Ack(t.Context(), []ledger.Ack{{Op: connector.OpUpsert}}, true); !fault.Is(err, fault.Internal) {
		t.Fatal(err)
	}
	discard(s)
}

func Test_a_comparison_outlives_its_snapshot_and_ends_when_cancelled(t *testing.T) {
	_, h := worn(t, false)
	s, err := h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Compare(ledger.CompareOptions{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := c.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for ch, err := range d.Each(t.Context()) {
		if err != nil || ch.New != nil || ch.Old == nil {
			t.Fatalf("%+v %v", ch, err)
		}
		if left++; left == 10 {
			break
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer discard(s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Verify(ctx); !fault.Is(err, fault.Cancelled) {
		t.Fatal(err)
	}
	for _, err := range s.Each(ctx) {
		if !fault.Is(err, fault.Cancelled) {
			t.Fatal(err)
		}
	}
}
