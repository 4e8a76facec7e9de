package ledgertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// random runs histories of runs, crashes and resets, and compares everything a home says with a model that is too simple to be
// wrong.
func random(t *testing.T, fresh func(testing.TB) Harness) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{t: t, rt: rt, h: fresh(t), entries: map[int]ledger.Entry{}, hist: map[int][]ledger.History{}}
		w.matched = rapid.Bool().Draw(rt, "match is not the key")
		for n := range rapid.IntRange(1, 7).Draw(rt, "runs") {
			w.step(fmt.Sprintf("run%02d", n))
		}
	})
}

// world is the model.
type world struct {
	t       *testing.T
	rt      *rapid.T
	h       Harness
	matched bool
	entries map[int]ledger.Entry
	hist    map[int][]ledger.History // oldest first
	// reset: entries were forgotten, and with them values that history leaves for them to tell.
	reset bool
	// maybe are entries acknowledged without durability by a run that crashed: either form is right after it.
	maybe map[int]bool
}

const universe = 24

func (w *world) lines() []line {
	one := rapid.Custom(func(rt *rapid.T) line {
		l := line{key: rapid.IntRange(1, universe).Draw(rt, "key"), val: rapid.IntRange(1, 3).Draw(rt, "val"), note: rapid.Bool().Draw(rt, "note")}
		switch rapid.IntRange(0, 19).Draw(rt, "fate") {
		case 0:
			l.null = true
		case 1:
			l.invalid = fault.ValueType
		}
		if w.matched {
			l.match = l.key
			if rapid.IntRange(0, 9).Draw(rt, "other match") == 0 {
				l.match = rapid.IntRange(1, universe).Draw(rt, "match")
			}
		}
		return l
	})
	unique := rapid.SliceOfNDistinct(one, 0, universe, func(l line) int { return l.key }).Draw(w.rt, "rows")
	if rapid.IntRange(0, 2).Draw(w.rt, "with repeats") == 0 {
		unique = append(unique, rapid.SliceOfN(one, 0, 4).Draw(w.rt, "repeats")...)
	}
	// Rows the ledger has already are common in real reads.
	for k, e := range w.entries {
		if len(unique) > 0 && e.State == ledger.Present && k%3 == 0 && !slices.ContainsFunc(unique, func(l line) bool { return l.key == k }) {
			if l, ok := lineOf(k, e); ok {
				unique = append(unique, l)
			}
		}
	}
	slices.SortStableFunc(unique, func(a, b line) int { return a.key*7%universe - b.key*7%universe })
	return unique
}

// lineOf is the row an entry was made from.
func lineOf(k int, e ledger.Entry) (line, bool) {
	l := line{key: k, val: int(e.Values[0].Int()), note: !e.Values[1].IsAbsent()}
	if len(e.Match) > 0 {
		for m := range universe + 1 {
			if v, _ := matchOf(m); m > 0 && sameValues(v, e.Match) {
				l.match = m
			}
		}
	}
	return l, l.print() == e.Fingerprint
}

func (w *world) step(run string) {
	ctx := context.Background()
	s := must[ledger.Session](w.t)(w.h.Open().Begin(ctx, run))
	w.settle(s.Snapshot())
	if rapid.IntRange(0, 19).Draw(w.rt, "reset") == 0 {
		check(w.t, s.Close())
		check(w.t, w.h.Open().Reset(ctx))
		w.entries, w.reset = map[int]ledger.Entry{}, true
		s = must[ledger.Session](w.t)(w.h.Open().Begin(ctx, run))
	}
	w.checkState(s.Snapshot())
	lines := w.lines()
	opts := ledger.CompareOptions{MatchIsKey: !w.matched, All: rapid.IntRange(0, 5).Draw(w.rt, "all") == 0, Dirty: map[uint64][]byte{}, DirtyMatch: map[string][]byte{}}
	isDirty := map[int]int{} // to the match its open request was for, 0 = not known
	for _, k := range rapid.SliceOfN(rapid.IntRange(1, universe+3), 0, 3).Draw(w.rt, "dirty") {
		h := w.h.hash(s.Snapshot().Meta().Seed, keyOf(k))
		if opts.Dirty[h] == nil { // dirty keys are told apart by their hash
			opts.Dirty[h], isDirty[k] = keyOf(k), 0
			if w.matched && rapid.Bool().Draw(w.rt, "open request") {
				isDirty[k] = rapid.IntRange(1, universe).Draw(w.rt, "requested match")
				_, opts.DirtyMatch[string(keyOf(k))] = matchOf(isDirty[k])
			}
		}
	}
	got := compare(w.t, w.h, s.Snapshot(), opts, lines)
	changes := w.checkDelta(got, lines, isDirty)
	w.act(s, run, changes)
}

// change is a valid change the model expects.
type expected struct {
	line *line
	key  int
}

func (w *world) checkDelta(got compared, lines []line, isDirty map[int]int) []expected {
	rows, claims := map[int][]line{}, map[int]map[int]bool{}
	var want []string
	invalid := map[fault.Code]int64{}
	nulls := 0
	for _, l := range lines {
		if l.null {
			nulls++
			continue
		}
		rows[l.key] = append(rows[l.key], l)
		if l.match > 0 {
			if claims[l.match] == nil {
				claims[l.match] = map[int]bool{}
			}
			claims[l.match][l.key] = true
		}
	}
	var valid []expected
	unchanged := int64(0)
	for key, ls := range rows {
		old, known := w.entries[key]
		for _, l := range ls {
			code := l.invalid
			switch {
			case len(ls) > 1:
				code = fault.KeyDuplicate
			case code == "" && len(claims[l.match]) > 1:
				code = fault.MatchDuplicate
			}
			if code != "" {
				invalid[code]++
				want = append(want, fmt.Sprintf("%d invalid %s old %v", key, code, known))
				continue
			}
			valid = append(valid, expected{&l, key})
			if known && old.Fingerprint == l.print() {
				unchanged++ // told or not, see below
				continue
			}
			want = append(want, fmt.Sprintf("%d new %d old %v%s", key, l.print(), known, w.moves(l, claims, isDirty)))
		}
	}
	for key, e := range w.entries {
		if rows[key] != nil {
			continue
		}
		claimed := false
		for m := range claims {
			v, _ := matchOf(m)
			claimed = claimed || sameValues(v, e.Match)
		}
		m := isDirty[key]
		want = append(want, fmt.Sprintf("%d left %d claimed %v%s", key, e.State, claimed, moved(false, m != 0 && len(claims[m]) > 0, false)))
		valid = append(valid, expected{nil, key})
	}
	for key, match := range isDirty {
		if _, known := w.entries[key]; !known && rows[key] == nil {
			want = append(want, fmt.Sprintf("%d dirty claimed %v", key, len(claims[match]) > 0))
		}
	}
	var have []string
	same := int64(0)
	for _, c := range got.changes {
		switch {
		case c.NoKey:
		case c.New && c.Invalid != "":
			have = append(have, fmt.Sprintf("%d invalid %s old %v", c.Key, c.Invalid, c.Old))
		case c.Same: // a candidate that the planner finds unchanged
			same++
		case c.New:
			have = append(have, fmt.Sprintf("%d new %d old %v%s", c.Key, c.Print, c.Old, c.Moved))
		case c.Old:
			have = append(have, fmt.Sprintf("%d left %d claimed %v%s", c.Key, c.State, c.Claimed, c.Moved))
		default:
			have = append(have, fmt.Sprintf("%d dirty claimed %v", c.Key, c.Claimed))
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(want, have) {
		w.rt.Fatalf("changes differ\nwant %v\ngot  %v\nrows %+v\nledger %+v", want, have, lines, w.entries)
	}
	if nulls > 0 {
		invalid[fault.KeyNull] = int64(nulls)
	}
	maps.DeleteFunc(got.counts.Invalid, func(_ fault.Code, n int64) bool { return n == 0 })
	if got.counts.Unchanged+same != unchanged || !maps.Equal(got.counts.Invalid, invalid) || got.counts.Read != int64(len(lines)) || got.counts.NullKeys != int64(nulls) {
		w.rt.Fatalf("counts differ: %+v and %d told the same, want %d unchanged, %v, %d read", got.counts, same, unchanged, invalid, len(lines))
	}
	slices.SortFunc(valid, func(a, b expected) int { return a.key - b.key })
	return valid
}

// moves says how a valid row's record changes places with those of other keys.
func (w *world) moves(l line, claims map[int]map[int]bool, isDirty map[int]int) string {
	oldClaimed, openClaimed, taken := false, false, false
	for k, e := range w.entries {
		m := 0
		for i := range universe {
			if v, _ := matchOf(i + 1); sameValues(v, e.Match) {
				m = i + 1
			}
		}
		switch {
		case m == 0:
		case k != l.key:
			taken = taken || m == l.match
		case m != l.match:
			oldClaimed = len(claims[m]) > 0
		}
	}
	for k, m := range isDirty {
		taken = taken || k != l.key && m != 0 && m == l.match
		openClaimed = openClaimed || k == l.key && m != l.match && len(claims[m]) > 0
	}
	return moved(oldClaimed, openClaimed, taken)
}

// act delivers some of the changes and ends the run in one of the ways a run ends.
func (w *world) act(s ledger.Session, run string, changes []expected) {
	ctx := context.Background()
	after := maps.Clone(w.entries)
	crash := rapid.IntRange(0, 3).Draw(w.rt, "crash") == 0
	w.maybe = map[int]bool{}
	for batch := range slices.Chunk(changes, 5) {
		durable := rapid.Bool().Draw(w.rt, "durable")
		var acks []ledger.Ack
		for _, c := range batch {
			if a, ok := w.ack(c, run); ok {
				acks = append(acks, a)
				if a.Delete {
					delete(after, c.key)
				} else {
					after[c.key] = a.Entry
				}
				if !durable {
					w.maybe[c.key] = true
				}
				if len(a.Before) > 0 {
					h := a.Before[0]
					h.Run, h.Key = run, keyOf(c.key)
					if h.New == nil && !a.Delete {
						h.New = newOf(a)
					}
					w.hist[c.key] = append(w.hist[c.key], h)
				}
			}
		}
		check(w.t, s.Ack(ctx, acks, durable))
	}
	if !crash {
		w.maybe = nil
		check(w.t, s.Publish(ctx, ledger.Publication{KeyColumns: []string{"id"}, KeyKinds: []row.Kind{row.Int}, Mapping: run, Complete: true}))
	}
	check(w.t, s.Close())
	w.entries = after
	if !crash {
		snap := must[ledger.Snapshot](w.t)(w.h.Open().Snapshot(ctx))
		w.checkState(snap)
		check(w.t, snap.Close())
	}
}

func newOf(a ledger.Ack) []row.Value {
	var out []row.Value
	for _, f := range a.Before[0].Fields {
		out = append(out, a.Entry.Values[slices.Index(fields, f)])
	}
	return out
}

func (w *world) ack(c expected, run string) (ledger.Ack, bool) {
	old, known := w.entries[c.key]
	h := ledger.History{At: clock, Outcome: connector.Delivered, Known: known}
	if known {
		h.PrevState, h.PrevMatch, h.PrevRemoteID, h.PrevFingerprint = old.State, old.Match, old.RemoteID, old.Fingerprint
	}
	fate := rapid.IntRange(0, 5).Draw(w.rt, "fate")
	switch {
	case c.line != nil && fate < 4:
		if known && old.State == ledger.Present && old.Fingerprint == c.line.print() && fate > 0 {
			return ledger.Ack{}, false
		}
		e := c.line.entry(run)
		if known && e.Values[1].IsAbsent() {
			e.Values[1] = old.Values[1] // what was delivered and is not sent now stays on record
		}
		h.Op, h.Created = connector.OpUpsert, connector.Yes
		for i, f := range fields {
			before := row.Value{}
			if known {
				before = old.Values[i]
			}
			if !sameValues([]row.Value{before}, []row.Value{e.Values[i]}) {
				h.Fields, h.Old = append(h.Fields, f), append(h.Old, before)
			}
		}
		a := ledger.Ack{Op: h.Op, Outcome: h.Outcome, Entry: e, Before: []ledger.History{h}}
		if fate == 1 {
			a.Before[0].New = newOf(a)
		}
		return a, true
	case c.line == nil && fate < 2:
		h.Op, h.Fields, h.Old, h.New = connector.OpDelete, fields, old.Values, make([]row.Value, len(fields))
		return ledger.Ack{Op: h.Op, Outcome: h.Outcome, Delete: true, Entry: ledger.Entry{Key: keyOf(c.key)}, Before: []ledger.History{h}}, true
	case c.line == nil && fate == 2:
		old.State = ledger.Left
		return ledger.Ack{Entry: old}, true
	}
	return ledger.Ack{}, false
}

// settle takes over what became of acknowledgements that a crashed run had not made durable.
func (w *world) settle(s ledger.Snapshot) {
	if w.maybe == nil {
		return
	}
	now := entries(w.t, s)
	for k := range w.maybe {
		e, there := now[k]
		if want, ok := w.entries[k]; ok == there && (!ok || sameEntry(e, want)) {
			continue
		}
		// Not recovered, so neither is its history; which of them is told by the home.
		if there {
			w.entries[k] = e
		} else {
			delete(w.entries, k)
		}
		if n := len(w.hist[k]); n > 0 && len(w.told(s, k)) < n {
			w.hist[k] = w.hist[k][:n-1]
		}
	}
	w.maybe = nil
}

func (w *world) told(s ledger.Snapshot, key int) []ledger.History {
	var out []ledger.History
	for h, err := range s.KeyHistory(context.Background(), keyOf(key)) {
		check(w.t, err)
		out = append(out, h)
	}
	slices.Reverse(out)
	return out
}

// checkState compares entries and history with the model.
func (w *world) checkState(s ledger.Snapshot) {
	got := entries(w.t, s)
	if !maps.EqualFunc(got, w.entries, sameEntry) {
		w.rt.Fatalf("entries differ\nwant %+v\ngot  %+v", w.entries, got)
	}
	runs := map[string]int{}
	for key := range universe + 1 {
		want, have := w.hist[key], w.told(s, key)
		if len(want) != len(have) {
			w.rt.Fatalf("history of key %d\nwant %+v\ngot  %+v", key, want, have)
		}
		for i := range want {
			runs[want[i].Run]++
			if a, b := want[i], have[i]; a.Run != b.Run || a.Op != b.Op || a.Outcome != b.Outcome || a.Created != b.Created || a.Known != b.Known ||
				!slices.Equal(a.Fields, b.Fields) || !sameValues(a.Old, b.Old) || !w.known(a.New, b.New) || a.PrevState != b.PrevState ||
				!sameValues(a.PrevMatch, b.PrevMatch) || a.PrevRemoteID != b.PrevRemoteID || a.PrevFingerprint != b.PrevFingerprint {
				w.rt.Fatalf("history of key %d\nwant %+v\ngot  %+v", key, a, b)
			}
		}
	}
	for run, n := range runs {
		for h, err := range s.RunHistory(context.Background(), run) {
			check(w.t, err)
			if n--; h.Run != run {
				w.rt.Fatalf("history of %s holds %+v", run, h)
			}
		}
		if n != 0 {
			w.rt.Fatalf("history of run %s lacks %d changes", run, n)
		}
	}
}

// known reports that New says what it should, or that a value is not known after a reset has forgotten the entry.
func (w *world) known(want, got []row.Value) bool {
	if !w.reset {
		return sameValues(want, got)
	}
	return slices.EqualFunc(want, got, func(a, b row.Value) bool { return b.IsAbsent() || a.Kind() == b.Kind() && a.Equal(b) })
}
