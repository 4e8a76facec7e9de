package ledgertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

var byKey = ledger.CompareOptions{MatchIsKey: true}

func empty(t *testing.T, h Harness) {
	s := open(t, h)
	if m := s.Meta(); m.Rows != 0 || m.Version != 0 || m.Complete {
		t.Fatalf("meta of an empty ledger: %+v", m)
	}
	if got := entries(t, s); len(got) != 0 {
		t.Fatalf("entries of an empty ledger: %v", got)
	}
	if e := must[*ledger.Entry](t)(s.Get(t.Context(), keyOf(1))); e != nil {
		t.Fatalf("found %v", e)
	}
	for range s.KeyHistory(t.Context(), keyOf(1)) {
		t.Fatal("history of an empty ledger")
	}
	for _, err := range s.RunHistory(t.Context(), "none") {
		if !fault.Is(err, fault.NotFound) {
			t.Fatalf("history of a run that never was: %v", err)
		}
	}
	got := compare(t, h, s, byKey, []line{{key: 1}, {key: 2}})
	if len(got.changes) != 2 || got.counts.Read != 2 {
		t.Fatalf("%+v", got)
	}
	deliver(t, h, "r1", line{key: 1})
	if a, b := s.Meta(), open(t, h).Meta(); a.Seed != b.Seed || a.Generation != b.Generation {
		t.Fatalf("the first publication changed seed or generation: %+v %+v", a, b)
	}
}

func atomic(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 1, val: 1}, line{key: 2, val: 1})
	s := must[ledger.Session](t)(h.Open().Begin(t.Context(), "r2"))
	check(t, s.Ack(t.Context(), []ledger.Ack{line{key: 1, val: 2}.ack("r2"), {Op: connector.OpDelete, Entry: ledger.Entry{Key: keyOf(2)}, Delete: true}, line{key: 3, val: 2}.ack("r2")}, false))
	if got := entries(t, open(t, h)); len(got) != 2 || got[1].Run != "r1" {
		t.Fatalf("unpublished acknowledgements are visible: %v", got)
	}
	check(t, s.Publish(t.Context(), ledger.Publication{KeyColumns: []string{"id"}, Mapping: "m2", NullKeys: 7, Complete: true}))
	check(t, s.Close())
	now := open(t, h)
	if got := entries(t, now); len(got) != 2 || !sameEntry(got[1], line{key: 1, val: 2}.entry("r2")) || !sameEntry(got[3], line{key: 3, val: 2}.entry("r2")) {
		t.Fatalf("published: %v", got)
	}
	if m := now.Meta(); m.Version != 2 || m.LastRun != "r2" || m.Mapping != "m2" || m.NullKeys != 7 || !m.Complete || !slices.Contains(m.Fields, "note") {
		t.Fatalf("meta: %+v", m)
	}
	if err := s.Ack(t.Context(), []ledger.Ack{line{key: 9}.ack("r2")}, true); err == nil {
		t.Fatal("a closed session takes acknowledgements")
	}
}

func isolated(t *testing.T, h Harness) {
	var first []line
	for k := range 500 {
		first = append(first, line{key: k, val: 1})
	}
	deliver(t, h, "r00", first...)
	old := open(t, h)
	cmp := must[ledger.Comparison](t)(old.Compare(ledger.CompareOptions{MatchIsKey: true, TempDir: t.TempDir(), Memory: h.Memory}))
	for i := range 12 {
		var next []line
		for k := i; k < 500; k += 3 {
			next = append(next, line{key: k, val: 2 + i})
		}
		deliver(t, h, fmt.Sprintf("r%02d", i+1), next...)
	}
	for k, e := range entries(t, old) {
		if e.Run != "r00" {
			t.Fatalf("key %d changed under a reader: %+v", k, e)
		}
	}
	feed(t, h, old.Meta().Seed, cmp, first)
	d := must[ledger.Delta](t)(cmp.Finish(t.Context()))
	if c := d.Counts(); c.Unchanged != 500 {
		t.Fatalf("comparing with the state opened: %+v", c)
	}
	check(t, d.Close())
	n := 0
	for _, err := range old.RunHistory(t.Context(), "r00") {
		check(t, err)
		n++
	}
	if n != 500 {
		t.Fatalf("history of r00 has %d keys", n)
	}
}

func durable(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 0})
	s := must[ledger.Session](t)(h.Open().Begin(t.Context(), "r2"))
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				k := 1 + w*25 + i
				if err := s.Ack(context.Background(), []ledger.Ack{line{key: k, val: 1}.ack("r2"), line{key: k, val: 2}.ack("r2")}, true); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	check(t, s.Close()) // without publication
	s = must[ledger.Session](t)(h.Open().Begin(t.Context(), "r3"))
	got := entries(t, s.Snapshot())
	check(t, s.Close())
	if len(got) != 201 {
		t.Fatalf("%d of 201 entries survived", len(got))
	}
	for k := 1; k <= 200; k++ {
		if !sameEntry(got[k], line{key: k, val: 2}.entry("r2")) {
			t.Fatalf("key %d: %+v", k, got[k])
		}
	}
	if m := open(t, h).Meta(); m.LastRun != "r1" {
		t.Fatalf("a recovered run is taken for a finished one: %+v", m)
	}
}

func duplicates(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 1, val: 1}, line{key: 2, val: 1}, line{key: 3, val: 1})
	rows := []line{
		{key: 1, val: 1}, {key: 1, val: 1}, {key: 1, val: 9}, // known, twice as it was and once changed
		{key: 2, val: 1},                   // unchanged
		{key: 4, val: 1}, {key: 4, val: 1}, // new twice
		{key: 5, val: 1, invalid: fault.ValueType}, {key: 5, val: 2}, // once invalid
		{key: 3, val: 4},
	}
	for range len(rows) { // in every rotation of arrival
		rows = append(rows[1:], rows[0])
		got := compare(t, h, open(t, h), byKey, rows)
		if got.counts.Read != 9 || got.counts.Unchanged != 1 || got.counts.Invalid[fault.KeyDuplicate] != 7 || got.counts.Invalid[fault.ValueType] != 0 {
			t.Fatalf("%+v", got.counts)
		}
		per := map[int]int{}
		for _, c := range got.changes {
			if !c.New {
				t.Fatalf("a key that was read is yielded as left: %+v", c)
			}
			if c.Invalid == fault.KeyDuplicate {
				per[c.Key]++
			}
		}
		if per[1] != 3 || per[4] != 2 || per[5] != 2 || len(got.changes) != 8 {
			t.Fatalf("%v", got.changes)
		}
	}
}

func matches(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 1, val: 1, match: 1}, line{key: 2, val: 1, match: 2}, line{key: 3, val: 1, match: 3})
	got := compare(t, h, open(t, h), ledger.CompareOptions{}, []line{
		{key: 1, val: 1, match: 1},                             // unchanged, but
		{key: 4, val: 1, match: 1},                             // claims the same record
		{key: 2, val: 2, match: 2},                             // changed, alone
		{key: 5, val: 1, match: 5}, {key: 6, val: 1, match: 5}, // both new
		{key: 3, val: 1, match: 3},                             // unchanged, alone
		{key: 7, val: 1, match: 7, invalid: fault.ValueType},   // invalid, but points at
		{key: 8, val: 1, match: 7},                             // the same record
		{key: 9, val: 1, match: 9}, {key: 9, val: 2, match: 9}, // one key twice is no collision of matches
		{key: 10, val: 1, match: 9, invalid: fault.ValueTooLong}, //
	})
	want := map[fault.Code]int64{fault.MatchDuplicate: 5, fault.ValueType: 1, fault.KeyDuplicate: 2, fault.ValueTooLong: 1}
	for code, n := range want {
		if got.counts.Invalid[code] != n {
			t.Fatalf("%s: %+v\n%+v", code, got.counts, got.changes)
		}
	}
	if got.counts.Unchanged != 1 {
		t.Fatalf("%+v", got.counts)
	}
	bad := map[int]bool{}
	for _, c := range got.changes {
		if c.Invalid == fault.MatchDuplicate {
			bad[c.Key] = true
		}
	}
	if len(bad) != 5 || !bad[1] || !bad[4] || !bad[5] || !bad[6] || !bad[8] {
		t.Fatalf("%+v", got.changes)
	}
}

func shared(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 1, val: 1, match: 1}, line{key: 3, val: 1, match: 3})
	deliver(t, h, "r2", line{key: 2, val: 1, match: 1}) // key 1 had left the model meanwhile and its entry stayed
	got := compare(t, h, open(t, h), ledger.CompareOptions{}, []line{{key: 1, val: 1, match: 1}, {key: 2, val: 1, match: 1}, {key: 3, val: 1, match: 3}})
	same := got.counts.Unchanged // or told with the fingerprint it has, which the planner finds unchanged
	for _, c := range got.changes {
		if c.Same {
			same++
		}
	}
	if got.counts.Invalid[fault.MatchDuplicate] != 2 || same != 1 {
		t.Fatalf("%+v %+v", got.counts, got.changes)
	}
}

func claimed(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 1, val: 1, match: 1}, line{key: 2, val: 1, match: 2}, line{key: 3, val: 1, match: 3}, line{key: 4, val: 1, match: 4})
	deliver(t, h, "r2", line{key: 5, val: 1, match: 4})
	got := compare(t, h, open(t, h), ledger.CompareOptions{}, []line{
		{key: 6, val: 1, match: 1},                           // a new row takes over the record of key 1
		{key: 7, val: 1, match: 2, invalid: fault.ValueType}, // an invalid one that of key 2
		{key: 5, val: 1, match: 4},                           // an unchanged one that of key 4
	})
	want := map[int]bool{1: true, 2: true, 3: false, 4: true}
	for _, c := range got.changes {
		if w, left := want[c.Key]; left {
			if c.New || c.Claimed != w {
				t.Fatalf("%+v", c)
			}
			delete(want, c.Key)
		}
	}
	if len(want) > 0 || got.counts.Invalid[fault.MatchDuplicate] != 0 {
		t.Fatalf("not yielded: %v; %+v", want, got)
	}
}

func dirty(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 1, val: 1}, line{key: 2, val: 1}, line{key: 3, val: 1})
	s := open(t, h)
	o := byKey
	o.Dirty = map[uint64][]byte{}
	for _, k := range []int{1, 2, 7, 8} {
		o.Dirty[h.hash(s.Meta().Seed, keyOf(k))] = keyOf(k)
	}
	if len(o.Dirty) < 4 {
		t.Skip("this hash gives two of the keys one hash, and dirty keys are told apart by it")
	}
	got := compare(t, h, s, o, []line{{key: 1, val: 1}, {key: 3, val: 1}, {key: 7, val: 1}})
	kinds := map[int]string{}
	for _, c := range got.changes {
		kinds[c.Key] += fmt.Sprint(c.New, c.Old, ";")
	}
	want := map[int]string{1: "true true;", 2: "false true;", 7: "true false;", 8: "false false;"}
	delete(kinds, 3) // sharing a hash with a dirty key makes a key a candidate as well
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", kinds, want)
	}
}

func nulls(t *testing.T, h Harness) {
	var rows []line
	for i := range 150 {
		rows = append(rows, line{null: true, val: i * 7 % 150})
	}
	rows = append(rows, line{key: 1})
	a := compare(t, h, open(t, h), byKey, rows)
	slices.Reverse(rows)
	b := compare(t, h, open(t, h), byKey, rows)
	if a.counts.NullKeys != 150 || a.counts.Invalid[fault.KeyNull] != 150 || a.counts.Read != 151 {
		t.Fatalf("%+v", a.counts)
	}
	if !slices.Equal(a.changes, b.changes) || !a.changes[0].NoKey || a.changes[len(a.changes)-1].Key != 1 {
		t.Fatalf("%v\n%v", a.changes, b.changes)
	}
}

func numbered(t *testing.T, h Harness) {
	s := open(t, h)
	cmp := must[ledger.Comparison](t)(s.Compare(ledger.CompareOptions{TempDir: t.TempDir()}))
	seed := s.Meta().Seed
	// The last two share a key: each of them must be named, so that a staged load can leave both out.
	lines := []line{{key: 5, val: 1}, {key: 6, val: 1, invalid: fault.ValueType}, {key: 7, val: 1}, {key: 7, val: 2}}
	hashes, prints, candidate := make([]uint64, len(lines)), make([]uint64, len(lines)), make([]bool, len(lines))
	for i, l := range lines {
		hashes[i], prints[i] = row.KeyHash(seed, keyOf(l.key)), l.print()
	}
	cmp.Probe(hashes, prints, candidate)
	for i, l := range lines {
		r := l.record(hashes[i])
		r.Ordinal = uint64(i + 100)
		check(t, cmp.Put(r))
	}
	delta := must[ledger.Delta](t)(cmp.Finish(t.Context()))
	got := map[uint64]int{}
	for c, err := range delta.Each(t.Context()) {
		check(t, err)
		got[c.New.Ordinal] = intKey(c.Key)
	}
	if want := map[uint64]int{100: 5, 101: 6, 102: 7, 103: 7}; !maps.Equal(got, want) {
		t.Errorf("ordinals with their keys: %v, want %v", got, want)
	}
	check(t, delta.Close())
	check(t, cmp.Close())
}

func full(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 1, val: 1}, line{key: 2, val: 1})
	o := byKey
	o.All = true
	got := compare(t, h, open(t, h), o, []line{{key: 1, val: 1}})
	if len(got.changes) != 2 || got.counts.Unchanged != 0 {
		t.Fatalf("%+v", got)
	}
	for _, c := range got.changes {
		if c.Key == 1 && !c.Same || c.Key == 2 && c.New {
			t.Fatalf("%+v", c)
		}
	}
}

func thrownAway(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 1, val: 1})
	s := open(t, h)
	cmp := must[ledger.Comparison](t)(s.Compare(ledger.CompareOptions{TempDir: t.TempDir()}))
	feed(t, h, s.Meta().Seed, cmp, []line{{key: 2, val: 1}})
	check(t, cmp.Close())
	check(t, cmp.Close())
	if got := entries(t, s); len(got) != 1 {
		t.Fatalf("%v", got)
	}
}

func reset(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 1, val: 1})
	s := must[ledger.Session](t)(h.Open().Begin(t.Context(), "r2"))
	check(t, s.Ack(t.Context(), []ledger.Ack{line{key: 2, val: 1}.ack("r2")}, true))
	check(t, s.Close())
	before := open(t, h).Meta()
	check(t, h.Open().Reset(t.Context()))
	now := open(t, h)
	if m := now.Meta(); m.Rows != 0 || m.Generation != before.Generation+1 || m.Version <= before.Version || m.Complete || m.Seed != before.Seed {
		t.Fatalf("%+v", m)
	}
	if got := entries(t, now); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	for _, k := range []int{1, 2} {
		n := 0
		for hist, err := range now.KeyHistory(t.Context(), keyOf(k)) {
			check(t, err)
			if want := fmt.Sprintf("r%d", k); hist.Run != want {
				t.Fatalf("key %d: %+v", k, hist)
			}
			n++
		}
		if n != 1 {
			t.Fatalf("key %d has %d changes in its history", k, n)
		}
	}
}

func generation(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 1, val: 1}, line{key: 2, val: 1})
	before := open(t, h).Meta()
	s := must[ledger.Session](t)(h.Open().Begin(t.Context(), "r2"))
	check(t, s.Ack(t.Context(), []ledger.Ack{line{key: 2, val: 2}.ack("r2")}, false))
	check(t, s.Publish(t.Context(), ledger.Publication{KeyColumns: []string{"other"}, NewGeneration: true}))
	check(t, s.Close())
	now := open(t, h)
	if got := entries(t, now); len(got) != 1 || got[2].Run != "r2" {
		t.Fatalf("%v", got)
	}
	if m := now.Meta(); m.Generation != before.Generation+1 || m.KeyColumns[0] != "other" || m.Complete {
		t.Fatalf("%+v", m)
	}
}

func history(t *testing.T, h Harness) {
	deliver(t, h, "r1", line{key: 1, val: 1, note: true}, line{key: 2, val: 1})
	ctx := t.Context()
	s := must[ledger.Session](t)(h.Open().Begin(ctx, "r2"))
	e := line{key: 1, val: 2, note: true}.entry("r2")
	e.Values[1] = row.TextValue("note 1") // only val was written
	check(t, s.Ack(ctx, []ledger.Ack{{
		Op: connector.OpUpsert, Outcome: connector.Delivered, Entry: e,
		Before: []ledger.History{{
			At: clock, Op: connector.OpUpdate, Outcome: connector.Delivered, Fields: fields[:1], Old: []row.Value{row.IntValue(1)},
			Known: true, PrevState: ledger.Missed, PrevMatch: []row.Value{row.TextValue("x")}, PrevRemoteID: "old", PrevFingerprint: 42,
		}},
	}, {
		Op: connector.OpUpdate, Outcome: connector.Rejected, HistOnly: true, Entry: ledger.Entry{Key: keyOf(2)},
		Before: []ledger.History{{At: clock, Op: connector.OpUpdate, Outcome: connector.Rejected, Known: true}},
	}}, true))
	check(t, s.Publish(ctx, ledger.Publication{}))
	check(t, s.Close())

	snap := open(t, h)
	var got []ledger.History
	for hist, err := range snap.KeyHistory(ctx, keyOf(1)) {
		check(t, err)
		got = append(got, hist)
	}
	if len(got) != 2 || got[0].Run != "r2" || got[1].Run != "r1" {
		t.Fatalf("%+v", got)
	}
	n := got[0]
	if !n.Known || n.PrevState != ledger.Missed || n.PrevRemoteID != "old" || n.PrevFingerprint != 42 || n.PrevMatch[0].Str() != "x" || n.Op != connector.OpUpdate ||
		!n.At.Equal(clock) || !sameValues(n.Old, []row.Value{row.IntValue(1)}) || !sameValues(n.New, []row.Value{row.IntValue(2)}) {
		t.Fatalf("%+v", n)
	}
	if f := got[1]; f.Known || !sameValues(f.New, []row.Value{row.IntValue(1), row.TextValue("note 1")}) || f.Created != connector.Yes {
		t.Fatalf("the values the first run wrote: %+v", f)
	}
	for run, want := range map[string]int{"r1": 2, "r2": 2} {
		n := 0
		for hist, err := range snap.RunHistory(ctx, run) {
			check(t, err)
			if hist.Run != run || intKey(hist.Key) < 1 {
				t.Fatalf("%+v", hist)
			}
			n++
		}
		if n != want {
			t.Fatalf("run %s changed %d keys, want %d", run, n, want)
		}
	}
	if e := must[*ledger.Entry](t)(snap.Get(ctx, keyOf(2))); e == nil || e.Run != "r1" {
		t.Fatalf("an attempt that failed changed the entry: %+v", e)
	}
}
