package mapping

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

var anyKind = []row.Kind{row.Bool, row.Int, row.Uint, row.Float, row.Decimal, row.Text, row.Bytes, row.Date, row.Time, row.Timestamp, row.Instant, row.UUID, row.JSON}

func draw(t *rapid.T, k row.Kind) row.Value {
	if rapid.IntRange(0, 7).Draw(t, "null") == 0 {
		return row.NullValue()
	}
	n := rapid.OneOf(rapid.Int64Range(-3, 3), rapid.Int64()).Draw(t, "n")
	switch k { //nolint:exhaustive // the kinds drawn
	case row.Bool:
		return row.BoolValue(n%2 == 0)
	case row.Int:
		return row.IntValue(n)
	case row.Uint:
		return row.UintValue(uint64(n))
	case row.Float:
		return row.FloatValue(rapid.OneOf(rapid.Float64(), rapid.Just(float64(n))).Draw(t, "f"))
	case row.Decimal:
		return row.DecimalValue(rapid.StringMatching(`-?[0-9]{1,25}(\.[0-9]{1,10})?`).Draw(t, "d"))
	case row.Text:
		return row.TextValue(rapid.OneOf(rapid.StringN(0, 12, -1), rapid.Just(fmt.Sprint(n)), rapid.Just("bad\xff")).Draw(t, "s"))
	case row.Bytes:
		return row.BytesValue([]byte(fmt.Sprint(n)))
	case row.Date:
		return row.DateValue(n % 100_000)
	case row.Time:
		return row.TimeValue((n%86_400 + 86_400) % 86_400 * 1e9)
	case row.Timestamp:
		return row.TimestampValue(n%1e11, 1000)
	case row.Instant:
		return row.InstantValue(n%1e11, 1000)
	case row.UUID:
		return row.StringKind(row.UUID, fmt.Sprintf("6ba7b810-9dad-11d1-80b4-%012d", uint64(n)%1e12))
	case row.JSON:
		return row.StringKind(row.JSON, fmt.Sprintf(`{"n":%d}`, n))
	}
	panic(k)
}

func drawModel(t *rapid.T, extra ...any) model {
	var pairs []any
	for i := range 5 {
		pairs = append(pairs, fmt.Sprintf("c%d", i), rapid.SampledFrom(anyKind).Draw(t, "kind"))
	}
	md := model{fields: columns(append(pairs, extra...)...)}
	for range rapid.IntRange(1, 6).Draw(t, "rows") {
		var r []row.Value
		for _, f := range md.fields {
			k, err := row.KindOf(f)
			if err != nil {
				t.Fatal(err)
			}
			r = append(r, draw(t, k))
		}
		md.rows = append(md.rows, r)
	}
	return md
}

// drawSpec maps c0 (and c1) as key, and every other column in some way to a field of any kind that compiles.
func drawSpec(t *rapid.T, md model) Spec {
	kinds := append([]row.Kind{row.Absent}, anyKind...)
	policies := []project.NullPolicy{project.NullClear, project.NullSkip, project.NullReject}
	var fields []project.Field
	var dest []connector.Field
	for i := 1; i < 5; i++ {
		f := project.Field{Field: fmt.Sprintf("F%d", i), Null: rapid.SampledFrom(policies).Draw(t, "policy"), CreateOnly: rapid.IntRange(0, 5).Draw(t, "create") == 0}
		col := fmt.Sprintf("c%d", i)
		d := writable(f.Field, rapid.SampledFrom(kinds).Draw(t, "field kind"))
		switch rapid.IntRange(0, 4).Draw(t, "origin") {
		case 0:
			f.CEL = "row." + col + " == row.c2 ? row.c3 : row." + col
		case 1:
			f.Lookup = &project.Lookup{Object: "O", By: []project.MatchField{{Field: "a", Column: col}, {Field: "b", Column: "c4"}}}
		default:
			f.Column = col
			if k, _ := row.KindOf(md.fields[i]); !fits(k, d.Kind) {
				d.Kind = row.Absent
			}
		}
		fields, dest = append(fields, f), append(dest, d)
	}
	s := spec(md, fields, append(dest, matchField("M", row.Absent))...)
	s.Key = []string{"c0"}
	s.Sync.Match = []project.MatchField{{Field: "M", Column: rapid.SampledFrom([]string{"c0", "c1"}).Draw(t, "match")}}
	if rapid.Bool().Draw(t, "composite") {
		s.Key = append(s.Key, "c1")
	}
	if rapid.Bool().Draw(t, "drift") {
		for range s.Key {
			s.KeyKinds = append(s.KeyKinds, rapid.SampledFrom(anyKind).Draw(t, "was"))
		}
	}
	if rapid.Bool().Draw(t, "declared") {
		col := rapid.SampledFrom([]string{"c0", "c1"}).Draw(t, "declared column")
		s.Columns = map[string]project.Column{col: {Kind: row.Text}}
		if k, _ := row.KindOf(md.fields[int(col[1]-'0')]); k == row.Bytes {
			s.Columns = nil
		}
	}
	return s
}

func Test_hashing_and_materialising_agree_for_every_mapping(t *testing.T) {
	valid := 0
	rapid.Check(t, func(rt *rapid.T) {
		md := drawModel(rt)
		m, faults := Compile(drawSpec(rt, md))
		if len(faults) > 0 {
			return // a declared type that no longer fits its field
		}
		for _, rec := range run(fatal{t, rt}, m, md.batch(t)) {
			if rec.Invalid == nil {
				valid++
			}
		}
	})
	if valid < 20 {
		t.Fatalf("only %d valid rows: the test proves little", valid)
	}
}

// fatal lets checks written for testing.TB fail a rapid run.
type fatal struct {
	testing.TB
	rt *rapid.T
}

func (f fatal) Helper()                      {}
func (f fatal) Fatalf(s string, args ...any) { f.rt.Fatalf(s, args...) }
func (f fatal) Fatal(args ...any)            { f.rt.Fatal(args...) }

func Test_a_column_that_is_not_mapped_changes_nothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		md := drawModel(rt, "other", row.Int)
		s := drawSpec(rt, md)
		m, faults := Compile(s)
		if len(faults) > 0 {
			return
		}
		before := run(fatal{t, rt}, m, md.batch(t))
		for i := range md.rows {
			md.rows[i][5] = row.IntValue(int64(i) + 77)
		}
		after := run(fatal{t, rt}, m, md.batch(t))
		for i := range before {
			if before[i].Fingerprint != after[i].Fingerprint || before[i].Hash != after[i].Hash {
				rt.Fatalf("row %d changed with a column nobody maps", i)
			}
		}
	})
}

func Test_a_mapped_value_that_changes_changes_the_fingerprint(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		k := rapid.SampledFrom(anyKind).Draw(rt, "kind")
		a, b := draw(rt, k), draw(rt, k)
		md := model{columns("id", row.Int, "v", k), [][]row.Value{{row.IntValue(1), a}, {row.IntValue(1), b}}}
		recs := run(fatal{t, rt}, compile(t, spec(md, []project.Field{{Field: "F", Column: "v"}}, writable("F", row.Absent))), md.batch(t))
		if recs[0].Invalid == nil && recs[1].Invalid == nil && (recs[0].Fingerprint == recs[1].Fingerprint) != a.Equal(b) {
			rt.Fatalf("%q and %q: equal %v, fingerprints %x %x", a, b, a.Equal(b), recs[0].Fingerprint, recs[1].Fingerprint)
		}
	})
}

func Test_the_physical_type_does_not_show_in_the_record(t *testing.T) {
	types := []arrow.DataType{arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Float64, &arrow.Decimal128Type{Precision: 12, Scale: 2}, &arrow.Decimal256Type{Precision: 40, Scale: 5}}
	var first ledger.Record
	for i, dt := range types {
		md := model{columns("id", dt, "v", dt), [][]row.Value{{row.IntValue(7), row.IntValue(12)}}}
		if dt == arrow.PrimitiveTypes.Float64 {
			md.rows = [][]row.Value{{row.FloatValue(7), row.FloatValue(12)}}
		}
		m := compile(t, spec(md, []project.Field{{Field: "F", Column: "v"}, {Field: "E", CEL: "row.v > 10.0"}}, writable("F", row.Float), writable("E", row.Bool)))
		rec := run(t, m, md.batch(t))[0]
		if i == 0 {
			first = rec
		}
		if rec.Hash != first.Hash || rec.Fingerprint != first.Fingerprint || !rec.Values[0].Equal(first.Values[0]) {
			t.Errorf("%s: hash %x print %x value %s; want %x %x %s", dt, rec.Hash, rec.Fingerprint, rec.Values[0], first.Hash, first.Fingerprint, first.Values[0])
		}
	}
}

func Test_fields_written_only_on_creation_are_not_part_of_the_fingerprint(t *testing.T) {
	md := model{columns("id", row.Int, "v", row.Int), [][]row.Value{{row.IntValue(1), row.IntValue(1)}, {row.IntValue(1), row.IntValue(2)}}}
	recs := run(t, compile(t, spec(md, []project.Field{{Field: "F", Column: "v", CreateOnly: true}}, writable("F", row.Int))), md.batch(t))
	if recs[0].Fingerprint != recs[1].Fingerprint || recs[0].Values[0].Equal(recs[1].Values[0]) {
		t.Fatal("a create-only field counts, or is not sent")
	}
}

func Test_two_goroutines_may_hash_and_materialise_at_once(t *testing.T) {
	md := model{columns("id", row.Int, "v", row.Decimal), nil}
	for i := range int64(200) {
		md.rows = append(md.rows, []row.Value{row.IntValue(i), row.DecimalValue(fmt.Sprintf("%d.5", i))})
	}
	m := compile(t, spec(md, []project.Field{{Field: "F", CEL: "row.v * 2.0"}, {Field: "T", Column: "v"}}, writable("F", row.Float), writable("T", row.Text)))
	batch := md.batch(t)
	want := run(t, m, batch)
	done := make(chan bool)
	go func() {
		var p Prints
		ok := true
		for range 20 {
			ok = ok && m.Hash(batch, &p) == nil && p.Print[7] == want[7].Fingerprint
		}
		done <- ok
	}()
	var rec ledger.Record
	for range 20 {
		for i := range want {
			if m.Materialise(batch, i, &rec); rec.Fingerprint != want[i].Fingerprint {
				t.Error("materialising was disturbed")
			}
		}
	}
	if !<-done {
		t.Error("hashing was disturbed")
	}
	if other := run(t, m.Clone(), batch); other[3].Fingerprint != want[3].Fingerprint {
		t.Error("a clone maps differently")
	}
}

func Test_sources_and_rows_name_kinds_by_the_same_metadata(t *testing.T) {
	if row.KindKey != connector.KindKey {
		t.Fatalf("%q and %q", row.KindKey, connector.KindKey)
	}
}
