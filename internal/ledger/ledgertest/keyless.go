package ledgertest

import (
	"slices"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// keyless: records that no key of the model stands for have keys with a null in them, after that of a row (plan.LeftKey).
func keyless(t *testing.T, h Harness) {
	key := func(k, m int) []byte {
		_, id := matchOf(m)
		return append(row.NullValue().AppendCanonical(keyOf(k)), id...)
	}
	left := func(k, m, val int) ledger.Ack {
		a := line{key: k, match: m, val: val}.ack("r1")
		a.Before, a.Entry.Key = nil, key(k, m)
		return a
	}
	run := func(name string, acks ...ledger.Ack) {
		s := must[ledger.Session](t)(h.Open().Begin(t.Context(), name))
		check(t, s.Ack(t.Context(), acks, true))
		check(t, s.Publish(t.Context(), ledger.Publication{KeyColumns: []string{"id"}, KeyKinds: []row.Kind{row.Int}, Complete: true}))
		check(t, s.Close())
	}
	run("r1", left(1, 7, 10), line{key: 1, match: 2, val: 1}.ack("r1"), line{key: 2, match: 3, val: 2}.ack("r1"), left(1, 8, 11), left(2, 9, 12))
	run("r2", ledger.Ack{Op: connector.OpDelete, Entry: ledger.Entry{Key: key(1, 8)}, Delete: true}, left(2, 9, 13))
	s := open(t, h)
	for k, want := range map[string]int64{string(key(1, 7)): 10, string(key(1, 8)): -1, string(key(2, 9)): 13, string(keyOf(1)): 1, string(keyOf(2)): 2} {
		got := int64(-1)
		if e := must[*ledger.Entry](t)(s.Get(t.Context(), []byte(k))); e != nil {
			got = e.Values[0].Int()
		}
		if got != want {
			t.Errorf("key %x has the value %d, want %d", k, got, want)
		}
	}
	if n := s.Meta().Rows; n != 4 {
		t.Errorf("%d entries", n)
	}
	// Key 2 now has the match that one of them was left with.
	got := compare(t, h, s, ledger.CompareOptions{}, []line{{key: 1, match: 2, val: 1}, {key: 2, match: 7, val: 2}})
	var gone []int64
	for _, c := range got.changes {
		switch {
		case c.New && c.Key == 2 && c.Moved != moved(false, false, true):
			t.Errorf("a row at the match of such a record: %q", c.Moved)
		case !c.New && c.Old:
			if gone = append(gone, c.OldVal); c.Claimed != (c.OldVal == 10) {
				t.Errorf("%d claimed: %v", c.OldVal, c.Claimed)
			}
		}
	}
	slices.Sort(gone)
	if !slices.Equal(gone, []int64{10, 13}) {
		t.Errorf("gone: %v", gone)
	}
}
