package local

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
)

func Test_a_torn_end_of_the_log_is_dropped_and_damage_before_good_records_is_not(t *testing.T) {
	log := func(dir string) (string, []byte) {
		for name, b := range read(t, dir) {
			if filepath.Ext(name) == ".log" && len(b) > 200 {
				return name, b
			}
		}
		t.Fatal("no log")
		return "", nil
	}
	dir, h := worn(t, true)
	name, b := log(dir)
	whole := values(t, h)
	put(t, dir, name, b[:len(b)-5])
	damage, err := h.Inspect(t.Context(), false)
	if err != nil || len(damage) != 1 || damage[0].Loss != "" {
		t.Fatalf("%+v %v", damage, err)
	}
	if s, err := h.Begin(t.Context(), "r5"); err != nil {
		t.Fatal(err)
	} else if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := values(t, h); maps.Equal(got, whole) {
		t.Fatal("nothing was recovered before the torn end")
	}

	dir, h = worn(t, true)
	name, b = log(dir)
	for _, at := range []int{10, 60, len(b) / 2} {
		c := slices.Clone(b)
		c[at] ^= 1
		put(t, dir, name, c)
		if _, err := h.Begin(t.Context(), "r5"); !fault.Is(err, fault.StateCorrupt) || !strings.Contains(err.Error(), name) {
			t.Fatalf("a flip in byte %d: %v", at, err)
		}
	}
	c := slices.Clone(b)
	c[60] ^= 1
	put(t, dir, name, c)
	if damage, err = h.Inspect(t.Context(), true); err != nil || len(damage) != 1 || !damage[0].Repaired || damage[0].Loss == "" {
		t.Fatalf("%+v %v", damage, err)
	}
	if damage, err = h.Inspect(t.Context(), false); err != nil || len(damage) != 0 {
		t.Fatalf("%+v %v", damage, err)
	}
	if err := verified(h); err != nil {
		t.Fatal(err)
	}
}

func Test_segments_of_an_interrupted_session_are_checked_before_they_are_taken_over(t *testing.T) {
	dir, h := worn(t, false)
	small := Open(dir, Options{disk: quick{}, TableBytes: 4000})
	s, err := small.Begin(t.Context(), "r5")
	if err != nil {
		t.Fatal(err)
	}
	for k := range 200 {
		if err := s.Ack(t.Context(), []ledger.Ack{testAck(k, 9, "r5")}, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p := &pending{}
	if there, err := readSealed(filepath.Join(dir, pendingName), p); err != nil || !there || len(p.Segments) == 0 {
		t.Fatalf("%v %v %+v", there, err, p)
	}
	for _, name := range []string{p.Segments[0].Name, p.History[0].Name, pendingName} {
		b := read(t, dir)[name]
		c := slices.Clone(b)
		c[len(c)/2] ^= 8
		put(t, dir, name, c)
		if _, err := h.Begin(t.Context(), "r6"); !fault.Is(err, fault.StateCorrupt) {
			t.Fatalf("%s: %v", name, err)
		}
		put(t, dir, name, b)
	}
	b := read(t, dir)[p.Segments[0].Name]
	b[len(b)/2] ^= 8
	put(t, dir, p.Segments[0].Name, b)
	damage, err := h.Inspect(t.Context(), true)
	if err != nil || len(damage) == 0 || damage[0].Loss == "" {
		t.Fatalf("%+v %v", damage, err)
	}
	if err := verified(h); err != nil {
		t.Fatal(err)
	}
}

func Test_files_of_two_times_in_one_folder_are_refused(t *testing.T) {
	dir, h := worn(t, true)
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.Meta.Version--
	for _, name := range []string{manifestName, backupName} {
		if err := replaceSealed(osDisk{}, filepath.Join(dir, name), m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Begin(t.Context(), "r5"); !fault.Is(err, fault.StateCorrupt) || !strings.Contains(err.Error(), "different times") {
		t.Fatal(err)
	}
}
