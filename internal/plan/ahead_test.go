package plan

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"
	"unsafe"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// firstRead is the delta of rows that are compared with nothing.
type firstRead struct {
	rows   []ledger.Record
	counts ledger.ReadCounts
}

func (d *firstRead) Counts() ledger.ReadCounts { return d.counts }
func (d *firstRead) Close() error              { return nil }

func (d *firstRead) Each(context.Context) iter.Seq2[ledger.Change, error] {
	sorted := slices.Clone(d.rows)
	slices.SortStableFunc(sorted, func(a, b ledger.Record) int {
		if a.Hash != b.Hash {
			return map[bool]int{true: -1, false: 1}[a.Hash < b.Hash]
		}
		return strings.Compare(string(a.Key), string(b.Key))
	})
	return func(yield func(ledger.Change, error) bool) {
		for i := range sorted {
			if !yield(ledger.Change{Hash: sorted[i].Hash, Key: sorted[i].Key, New: &sorted[i]}, nil) {
				return
			}
		}
	}
}

func anyFirstRead(t *rapid.T) *firstRead {
	d := &firstRead{}
	n := rapid.IntRange(0, 60).Draw(t, "rows")
	for i := range n {
		values := []row.Value{row.TextValue(rapid.String().Draw(t, "name")), row.NullValue()}
		d.rows = append(d.rows, ledger.Record{
			Key: row.AppendKey(nil, row.IntValue(int64(i))), Hash: rapid.Uint64Range(0, 9).Draw(t, "hash"), Fingerprint: rapid.Uint64().Draw(t, "print"),
			Match: []row.Value{row.IntValue(int64(i))}, Values: values,
		})
	}
	d.counts.Read = int64(n)
	return d
}

func firstPlanner(mode connector.Mode, baseline bool) *Planner {
	return New(Definition{
		Sync:   &project.Sync{Name: "s", Mode: mode, Baseline: baseline, Removed: connector.RemovedDelete},
		Object: connector.Object{Name: "things"}, Fields: []string{"name", "score"}, MatchFields: []string{"id"}, CreateOnly: []bool{false, true},
		MatchIsKey: true, Mapping: "m", Hash: "d",
	})
}

var sameSummary = gocmp.Options{
	gocmp.AllowUnexported(Summary{}, row.Value{}), gocmp.Comparer(func(x, y row.Value) bool { return x.Kind() == y.Kind() && x.Equal(y) }),
}

func Test_a_first_load_planned_while_it_is_read_has_the_plan_a_walk_finds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyFirstRead(t)
		mode := rapid.SampledFrom([]connector.Mode{connector.ModeUpsert, connector.ModeInsert, connector.ModeUpdate, connector.ModeMirror, connector.ModeAppend}).Draw(t, "mode")
		baseline := rapid.Bool().Draw(t, "baseline")
		walked, err := firstPlanner(mode, baseline).Summarise(context.Background(), d, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		a := firstPlanner(mode, baseline).Ahead(func(*Item) error { seen++; return nil })
		for i := range d.rows {
			if err := a.See(&d.rows[i]); err != nil {
				t.Fatal(err)
			}
		}
		if !a.Knows(d.counts, -1) || seen != len(d.rows) {
			t.Fatalf("%d of %d rows were planned", seen, len(d.rows))
		}
		ahead, err := a.Summary(d.counts, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(walked, ahead, sameSummary); diff != "" {
			t.Fatalf("planned ahead it is another plan (-walked +ahead):\n%s", diff)
		}
	})
}

func Test_samples_do_not_stand_in_memory_of_the_source(t *testing.T) {
	memory := []byte("Ann")
	name := row.TextValue(unsafe.String(&memory[0], len(memory)))
	a := firstPlanner(connector.ModeUpsert, false).Ahead(nil)
	rec := ledger.Record{Key: row.AppendKey(nil, row.IntValue(1)), Match: []row.Value{row.IntValue(1)}, Values: []row.Value{name, row.NullValue()}}
	if err := a.See(&rec); err != nil {
		t.Fatal(err)
	}
	copy(memory, "Bob")
	s, err := a.Summary(ledger.ReadCounts{Read: 1}, nil)
	if err != nil || s.Samples[0].New[0].Str() != "Ann" {
		t.Errorf("the sample says %v (%v)", s.Samples[0].New, err)
	}
}

func Test_what_only_a_walk_can_tell_is_not_known_ahead(t *testing.T) {
	good := ledger.Record{Key: row.AppendKey(nil, row.IntValue(1)), Match: []row.Value{row.IntValue(1)}, Values: []row.Value{row.TextValue("Ann"), row.NullValue()}}
	bad := good
	bad.Invalid = &ledger.Invalid{Code: fault.ValueType, Message: "no number"}
	cases := []struct {
		name  string
		rows  []ledger.Record
		read  ledger.ReadCounts
		limit int
		known bool
	}{
		{"everything is new", []ledger.Record{good}, ledger.ReadCounts{Read: 1}, 0, true},
		{"the plan is small enough to be kept", []ledger.Record{good}, ledger.ReadCounts{Read: 1}, 1000, false},
		{"a row is invalid", []ledger.Record{bad, good}, ledger.ReadCounts{Read: 2, Invalid: map[fault.Code]int64{fault.ValueType: 1}}, 0, false},
		{"a key comes twice", []ledger.Record{good, good}, ledger.ReadCounts{Read: 2, Invalid: map[fault.Code]int64{fault.KeyDuplicate: 2}}, 0, false},
		{"a row has no key", []ledger.Record{good}, ledger.ReadCounts{Read: 2, NullKeys: 1}, 0, false},
		{"a row was found unchanged", []ledger.Record{good}, ledger.ReadCounts{Read: 2, Unchanged: 1}, 0, false},
		{"a row was not seen", []ledger.Record{good}, ledger.ReadCounts{Read: 2}, 0, false},
	}
	for _, c := range cases {
		a := firstPlanner(connector.ModeUpsert, false).Ahead(nil)
		for i := range c.rows {
			if err := a.See(&c.rows[i]); err != nil {
				t.Fatal(err)
			}
		}
		if a.Knows(c.read, c.limit) != c.known {
			t.Errorf("%s: known is %v", c.name, !c.known)
		}
	}
	if (*Ahead)(nil).Knows(ledger.ReadCounts{}, 0) {
		t.Error("a plan that was not made ahead is known")
	}
}
