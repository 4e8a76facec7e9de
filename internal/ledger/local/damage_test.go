package local

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

// worn makes a ledger that has several segments, tombstones, matches and history, and one interrupted session.
func worn(t testing.TB, interrupted bool) (string, ledger.Home) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "l")
	h := Open(dir, Options{disk: quick{}, TableBytes: 40_000})
	ctx := context.Background()
	for run, name := range []string{"r1", "r2", "r3", "r4"} {
		s, err := h.Begin(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		var acks []ledger.Ack
		for k := range 600 {
			switch {
			case run > 0 && k%5 != run:
			case run == 2 && k%3 == 0:
				acks = append(acks, testDelete(k))
			default:
				a := testAck(k, run+1, name)
				a.Entry.MatchID = a.Entry.Key
				acks = append(acks, a)
			}
		}
		for part := range slices.Chunk(acks, 50) {
			if err := s.Ack(ctx, part, interrupted && run == 3); err != nil {
				t.Fatal(err)
			}
		}
		if !interrupted || run < 3 {
			if err := s.Publish(ctx, ledger.Publication{Complete: true}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir, h
}

func read(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if out[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func put(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// verified opens the ledger as a run does before a request leaves.
func verified(h ledger.Home) error {
	s, err := h.Snapshot(context.Background())
	if err != nil {
		return err
	}
	return errors.Join(s.Verify(context.Background()), s.Close())
}

func Test_every_flipped_bit_is_found_before_a_request_leaves(t *testing.T) {
	dir, h := worn(t, false)
	if err := verified(h); err != nil {
		t.Fatal(err)
	}
	files := read(t, dir)
	names := slices.Sorted(maps.Keys(files))
	r := rand.New(rand.NewPCG(1, 2))
	hit := map[string]bool{}
	for range 400 {
		name := names[r.IntN(len(names))]
		b := slices.Clone(files[name])
		at := r.IntN(len(b))
		b[at] ^= 1 << r.IntN(8)
		put(t, dir, name, b)
		hit[filepath.Ext(name)] = true
		err := verified(h)
		if !fault.Is(err, fault.StateCorrupt) && !fault.Is(err, fault.StateNewer) {
			t.Fatalf("a flip in byte %d of %s: %v", at, name, err)
		}
		if !strings.Contains(err.Error(), strings.TrimSuffix(name, ".bak")) {
			t.Fatalf("a flip in %s is reported without naming the file: %v", name, err)
		}
		put(t, dir, name, files[name])
	}
	if len(hit) < 7 {
		t.Fatalf("only files of these kinds were hit: %v", hit)
	}
	if err := verified(h); err != nil {
		t.Fatal(err)
	}
}

func Test_files_that_are_cut_missing_or_swapped_are_found(t *testing.T) {
	dir, h := worn(t, false)
	files := read(t, dir)
	bad := func(what string) {
		t.Helper()
		if err := verified(h); !fault.Is(err, fault.StateCorrupt) {
			t.Fatalf("%s: %v", what, err)
		}
		if damage, err := h.Inspect(context.Background(), false); err != nil || len(damage) == 0 {
			t.Fatalf("%s: Inspect finds %v, %v", what, damage, err)
		}
	}
	byExt := map[string][]string{}
	for name, b := range files {
		byExt[filepath.Ext(name)] = append(byExt[filepath.Ext(name)], name)
		for _, n := range []int{0, 1, headerSize, len(b) / 2, len(b) - footerSize, len(b) - columnFooter, len(b) - 1} {
			if n < 0 || n >= len(b) {
				continue
			}
			put(t, dir, name, b[:n])
			bad(name + " cut")
		}
		put(t, dir, name, append(slices.Clone(b), 0))
		bad(name + " with a byte more")
		put(t, dir, name, b)
		if name == backupName {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		bad(name + " missing")
		put(t, dir, name, b)
	}
	for ext, names := range byExt {
		if len(names) < 2 {
			continue
		}
		put(t, dir, names[0], files[names[1]])
		put(t, dir, names[1], files[names[0]])
		bad("swapped " + ext)
		put(t, dir, names[0], files[names[0]])
		put(t, dir, names[1], files[names[1]])
	}
	if err := verified(h); err != nil {
		t.Fatal(err)
	}
}

func Test_state_of_a_newer_version_is_refused(t *testing.T) {
	dir, h := worn(t, false)
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.Format++
	if err := replaceSealed(osDisk{}, filepath.Join(dir, manifestName), m); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Snapshot(t.Context()); !fault.Is(err, fault.StateNewer) {
		t.Fatal(err)
	}
	if _, err := h.Begin(t.Context(), "r9"); !fault.Is(err, fault.StateNewer) {
		t.Fatal(err)
	}
	if _, err := h.Inspect(t.Context(), true); !fault.Is(err, fault.StateNewer) {
		t.Fatal(err)
	}
}

func values(t testing.TB, h ledger.Home) map[int64]int64 {
	t.Helper()
	s, err := h.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer discard(s)
	if err := s.Verify(context.Background()); err != nil {
		t.Fatal(err)
	}
	out := map[int64]int64{}
	for e, err := range s.Each(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		out[mustKey(e.Key)] = e.Values[0].Int()
	}
	return out
}

func Test_what_is_derived_or_doubled_is_mended_without_loss(t *testing.T) {
	dir, h := worn(t, false)
	want := values(t, h)
	files := read(t, dir)
	for name, b := range files {
		switch filepath.Ext(name) {
		case ".slots", ".flags", ".match", ".bak", "":
		default:
			continue
		}
		now := read(t, dir)
		if now[name] == nil {
			continue // an index rebuilt has other names
		}
		b = slices.Clone(b)
		b[len(b)/3] ^= 4
		put(t, dir, name, b)
		before := read(t, dir)
		damage, err := h.Inspect(t.Context(), false)
		if err != nil || len(damage) == 0 || damage[0].Repaired || damage[0].Loss != "" || damage[0].File != name {
			t.Fatalf("%s: %+v %v", name, damage, err)
		}
		if !maps.EqualFunc(before, read(t, dir), slices.Equal) {
			t.Fatal("looking changed a byte")
		}
		if damage, err = h.Inspect(t.Context(), true); err != nil || len(damage) == 0 || !damage[0].Repaired || damage[0].Loss != "" {
			t.Fatalf("%s: %+v %v", name, damage, err)
		}
		if got := values(t, h); !maps.Equal(got, want) {
			t.Fatalf("%s: mending lost entries", name)
		}
		if damage, err = h.Inspect(t.Context(), false); err != nil || len(damage) != 0 {
			t.Fatalf("%s: after mending: %+v %v", name, damage, err)
		}
	}
}

func Test_a_damaged_segment_is_mended_by_forgetting_and_never_by_going_back(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		dir, h := worn(t, false)
		want := values(t, h)
		var segs []string
		for name := range read(t, dir) {
			if filepath.Ext(name) == ".seg" {
				segs = append(segs, name)
			}
		}
		slices.Sort(segs)
		name := segs[r.IntN(len(segs))]
		b := read(t, dir)[name]
		b[r.IntN(len(b))] ^= 1
		put(t, dir, name, b)
		damage, err := h.Inspect(t.Context(), true)
		if err != nil || len(damage) == 0 || !damage[0].Repaired || damage[0].Loss == "" {
			t.Fatalf("%+v %v", damage, err)
		}
		for k, v := range values(t, h) {
			if want[k] != v {
				t.Fatalf("mending %s brought key %d back to %d, it was %d", name, k, v, want[k])
			}
		}
		s, err := h.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Meta().Complete {
			t.Fatal("removals would be allowed before a full run")
		}
		discard(s)
		if damage, err = h.Inspect(t.Context(), false); err != nil || len(damage) != 0 {
			t.Fatalf("after mending: %+v %v", damage, err)
		}
	}
}

func Test_damaged_history_is_let_go_and_entries_stay(t *testing.T) {
	dir, h := worn(t, false)
	want := values(t, h)
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := m.History[1].Files[0].Name
	put(t, dir, name, []byte("nothing of what was written"))
	damage, err := h.Inspect(t.Context(), true)
	if err != nil || len(damage) != 1 || !damage[0].Repaired || !strings.Contains(damage[0].Loss, "run r2") {
		t.Fatalf("%+v %v", damage, err)
	}
	if got := values(t, h); !maps.Equal(got, want) {
		t.Fatal("entries changed")
	}
	s, err := h.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer discard(s)
	for run, there := range map[string]bool{"r1": false, "r2": false, "r3": true, "r4": true} {
		n := 0
		for _, err := range s.RunHistory(t.Context(), run) {
			if err == nil {
				n++
			} else if !fault.Is(err, fault.NotFound) {
				t.Fatal(err)
			}
		}
		if there != (n > 0) {
			t.Fatalf("history of %s: %d changes", run, n)
		}
	}
}
