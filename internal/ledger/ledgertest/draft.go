package ledgertest

import (
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// drafted reads lines into an empty ledger and writes a draft of them; nil where the home writes none.
func drafted(t *testing.T, h Harness, run string, lines []line) (ledger.Session, ledger.Draft) {
	t.Helper()
	ctx := t.Context()
	s := must[ledger.Session](t)(h.Open().Begin(ctx, run))
	d, can := s.(ledger.Drafter)
	if !can {
		check(t, s.Close())
		t.Skip("this home writes no drafts")
	}
	cmp := must[ledger.Comparison](t)(s.Snapshot().Compare(ledger.CompareOptions{TempDir: t.TempDir(), Memory: h.Memory}))
	feed(t, h, s.Snapshot().Meta().Seed, cmp, lines)
	delta := must[ledger.Delta](t)(cmp.Finish(ctx))
	like := line{}.ack(run)
	like.Entry.RemoteID, like.Entry.Values, like.Before[0].New = "", nil, nil
	draft := must[ledger.Draft](t)(d.Draft(ctx, delta, like))
	check(t, delta.Close())
	check(t, cmp.Close())
	return s, draft
}

var draftLines = []line{{key: 1, val: 1, note: true}, {key: 2, val: 7, match: 3, note: true}, {key: 3, val: 9, note: true}}

func draft(t *testing.T, h Harness) {
	s, d := drafted(t, h, "r1", draftLines)
	if d == nil || d.Rows() != 3 {
		t.Fatalf("drafted %v", d)
	}
	check(t, d.Adopt())
	check(t, d.Discard()) // does nothing any more
	late := line{key: 2, val: 8, match: 3, note: true}
	check(t, s.Ack(t.Context(), []ledger.Ack{late.ack("r1")}, true)) // what is acknowledged later is newer
	check(t, s.Publish(t.Context(), ledger.Publication{KeyColumns: []string{"id"}, KeyKinds: []row.Kind{row.Int}, Mapping: "m", Complete: true}))
	check(t, s.Close())

	snap := open(t, h)
	got := entries(t, snap)
	for _, l := range []line{draftLines[0], late, draftLines[2]} {
		want := l.entry("r1")
		if l != late {
			want.RemoteID = ""
		}
		if !sameEntry(got[l.key], want) {
			t.Errorf("key %d:\n got %+v\nwant %+v", l.key, got[l.key], want)
		}
	}
	n := 0
	for hist, err := range snap.RunHistory(t.Context(), "r1") {
		check(t, err)
		if n++; intKey(hist.Key) == 1 && (hist.Known || hist.Created != connector.Yes || hist.Op != connector.OpUpsert || !sameValues(hist.New, draftLines[0].values())) {
			t.Errorf("history of key 1: %+v", hist)
		}
	}
	if n != 4 {
		t.Errorf("the run left %d changes, want 4", n)
	}
	if c := compare(t, h, snap, ledger.CompareOptions{}, []line{draftLines[0], late, draftLines[2]}); c.counts.Unchanged != 3 {
		t.Errorf("the next read finds %d of 3 rows unchanged: %+v", c.counts.Unchanged, c)
	}
}

// dropped: a draft that is discarded, or left behind by a process that died, is as if it had never been.
func dropped(t *testing.T, h Harness) {
	s, d := drafted(t, h, "r1", draftLines)
	check(t, d.Discard())
	check(t, s.Close())
	s, d = drafted(t, h, "r2", draftLines)
	if d == nil {
		t.Fatal("an empty ledger gave no draft")
	}
	check(t, s.Close()) // and nothing more: the process died
	s = must[ledger.Session](t)(h.Open().Begin(t.Context(), "r3"))
	if n := s.Snapshot().Meta().Rows; n != 0 {
		t.Errorf("the ledger holds %d rows of a draft nobody adopted", n)
	}
	check(t, s.Publish(t.Context(), ledger.Publication{}))
	check(t, s.Close())
	if got := entries(t, open(t, h)); len(got) != 0 {
		t.Errorf("the ledger holds %v", got)
	}
}

// undrafted: what does not end alike for sure is not drafted.
func undrafted(t *testing.T, h Harness) {
	for name, lines := range map[string][]line{
		"an invalid row":    {{key: 1, val: 1}, {key: 2, val: 1, invalid: "X"}},
		"a key read twice":  {{key: 1, val: 1}, {key: 1, val: 2}},
		"a match of two":    {{key: 1, val: 1, match: 5}, {key: 2, val: 1, match: 5}},
		"a row without key": {{key: 1, val: 1}, {null: true}},
	} {
		s, d := drafted(t, h, "r1", lines)
		if d != nil {
			t.Errorf("%s was drafted", name)
		}
		check(t, s.Close())
	}
	deliver(t, h, "r2", line{key: 9, val: 1})
	s, d := drafted(t, h, "r3", draftLines)
	if d != nil {
		t.Error("a draft was written beside entries")
	}
	check(t, s.Close())
}
