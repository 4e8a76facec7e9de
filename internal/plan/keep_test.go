package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

var shapes = [][]string{{"name", "score"}, {"score"}, {}}

func anyValues(t *rapid.T, label string) []row.Value {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) row.Value {
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return row.Value{}
		case 1:
			return row.NullValue()
		case 2:
			return row.IntValue(rapid.Int64().Draw(t, "int"))
		case 3:
			return row.InstantValue(rapid.Int64().Draw(t, "sec"), 5)
		}
		return row.TextValue(rapid.String().Draw(t, "text"))
	}), 0, 4).Draw(t, label)
}

func anyBytes(t *rapid.T, label string) []byte {
	return rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, label)
}

func anyInvalid(t *rapid.T, label string) *ledger.Invalid {
	if !rapid.Bool().Draw(t, label) {
		return nil
	}
	return &ledger.Invalid{Code: fault.KeyNull, Field: "name", Message: rapid.String().Draw(t, "message")}
}

func anyItem(t *rapid.T) *Item {
	it := &Item{
		Action: Action(rapid.IntRange(int(None), int(Adopt)).Draw(t, "action")), Op: connector.OpUpsert, Hash: rapid.Uint64().Draw(t, "hash"),
		Key: anyBytes(t, "key"), Match: anyValues(t, "match"), Values: anyValues(t, "values"), RemoteID: rapid.String().Draw(t, "id"),
		Fingerprint: rapid.Uint64().Draw(t, "print"), Dirty: rapid.Bool().Draw(t, "dirty"), Refused: rapid.Bool().Draw(t, "refused"),
		Vacates: rapid.Bool().Draw(t, "vacates"), Late: rapid.Bool().Draw(t, "late"), MayCreate: rapid.Bool().Draw(t, "may"),
		Invalid: anyInvalid(t, "invalid"), Withheld: rapid.String().Draw(t, "withheld"),
	}
	if rapid.Bool().Draw(t, "move") {
		it.Move = append([]row.Value{row.IntValue(1)}, anyValues(t, "to")...)
	}
	if rapid.Bool().Draw(t, "new") {
		it.New = &ledger.Record{
			Key: it.Key, Hash: it.Hash, Fingerprint: 7, Match: anyValues(t, "new match"), Values: anyValues(t, "new values"),
			Invalid: anyInvalid(t, "new invalid"), Ordinal: rapid.Uint64().Draw(t, "ordinal"),
		}
		if rapid.Bool().Draw(t, "matched") {
			it.New.MatchID = anyBytes(t, "match id")
		}
	}
	if rapid.Bool().Draw(t, "old") {
		it.Old = &ledger.Entry{
			Key: it.Key, Fingerprint: 9, State: ledger.Left, Match: anyValues(t, "old match"), Fields: shapes[rapid.IntRange(0, 2).Draw(t, "shape")],
			Values: anyValues(t, "old values"), RemoteID: "r", Created: connector.Yes, Run: "run", At: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "at"), 0).UTC(),
		}
		if rapid.Bool().Draw(t, "old matched") {
			it.Old.MatchID = anyBytes(t, "old id")
		}
	}
	return it
}

// same compares items as delivery sees them: empty lists and nil are one, and a sent item's New has no values of its own.
func same(a, b *Item) string {
	strip := func(it *Item) Item {
		c := *it
		if c.New != nil && c.Action.Sent() {
			n := *c.New
			n.Match, n.Values = nil, nil
			c.New = &n
		}
		return c
	}
	empty := cmp.FilterValues(func(x, y []row.Value) bool { return len(x) == 0 && len(y) == 0 }, cmp.Ignore())
	return cmp.Diff(strip(a), strip(b), empty, cmp.Comparer(func(x, y row.Value) bool { return x.Kind() == y.Kind() && x.Equal(y) }))
}

func Test_a_kept_plan_gives_back_what_was_planned_as_often_as_asked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.Custom(anyItem), 0, 20).Draw(t, "items")
		k := NewKept(1 << 20)
		for _, it := range items {
			k.Add(it)
		}
		for range 2 {
			n := 0
			for it, err := range k.Items() {
				if err != nil {
					t.Fatal(err)
				}
				if d := same(items[n], it); d != "" {
					t.Fatalf("item %d came back different (-added +kept):\n%s", n, d)
				}
				n++
			}
			if n != len(items) || !k.Whole() {
				t.Fatalf("%d of %d items came back, whole: %v", n, len(items), k.Whole())
			}
		}
	})
}

func Test_a_plan_that_outgrows_its_memory_is_let_go(t *testing.T) {
	k := NewKept(3 * keptChunk)
	it := &Item{Action: Add, Key: []byte("key"), Values: []row.Value{row.TextValue(string(make([]byte, 1000)))}}
	added := 0
	for ; k.Whole() && added < 10_000; added++ {
		k.Add(it)
	}
	if added < 700 || added > 800 || k.chunks != nil {
		t.Fatalf("let go after %d items of 1 kB with %d chunks", added, len(k.chunks))
	}
	k.Add(it)
	for range k.Items() {
		t.Fatal("a plan that was let go yields an item")
	}
}

// A plan of 20,000 changed records, packed and walked three times, as delivery does.
func BenchmarkKept(b *testing.B) {
	it := &Item{
		Action: Change, Op: connector.OpUpsert, Hash: 7, Key: []byte("key-000000"), Match: []row.Value{row.IntValue(4711)}, Fingerprint: 9,
		Values: []row.Value{row.TextValue("Ada Lovelace"), row.TextValue("ada@example.com"), row.IntValue(12), row.NullValue()},
	}
	it.New = &ledger.Record{Key: it.Key, Hash: it.Hash, Fingerprint: it.Fingerprint, Match: it.Match, Values: it.Values, MatchID: []byte("match-4711"), Ordinal: 3}
	it.Old = &ledger.Entry{
		State: ledger.Present, Key: it.Key, Match: it.Match, MatchID: []byte("match-4711"), RemoteID: "0015g00000ABCDE", Run: "run-1",
		At: time.Unix(1_700_000_000, 0).UTC(), Fields: []string{"name", "email", "score", "note"}, Values: it.Values,
	}
	b.ReportAllocs()
	for b.Loop() {
		k := NewKept(1 << 30)
		for range 20_000 {
			k.Add(it)
		}
		for range 3 {
			for _, err := range k.Items() {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
