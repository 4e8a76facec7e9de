package row

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"
)

// column builds an Arrow column of type dt from those of vals that fit it, and gives them too.
func column(k Kind, dt arrow.DataType, vals []Value) (arrow.Array, []Value) {
	b := array.NewBuilder(memory.DefaultAllocator, dt)
	defer b.Release()
	var kept []Value
	for _, v := range vals {
		if AppendTo(b, v) == nil {
			kept = append(kept, v)
		}
	}
	return b.NewArray(), kept
}

func Test_a_column_hashes_like_its_values_in_every_physical_type(t *testing.T) {
	for _, k := range valueKinds {
		for _, dt := range physical[k] {
			t.Run(fmt.Sprintf("%s as %s", k, dt), func(t *testing.T) {
				carried := 0
				rapid.Check(t, func(t *rapid.T) {
					vals := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Value {
						if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
							return NullValue()
						}
						return genValue(t, k)
					}), 0, 12).Draw(t, "values")
					arr, kept := column(k, dt, vals)
					carried += len(kept)
					kind, err := KindOf(fieldFor("c", k, dt))
					if err != nil {
						t.Fatal(err)
					}
					from := 0
					if len(kept) > 2 {
						from = rapid.IntRange(0, 2).Draw(t, "slice")
					}
					arr, kept = array.NewSlice(arr, int64(from), int64(len(kept))), kept[from:]
					seed := rapid.Uint64().Draw(t, "seed")
					h := NewHasher(seed)
					acc, skip := make([]uint64, len(kept)), make([]uint64, len(kept))
					keys, null := make([]uint64, len(kept)), make([]bool, len(kept))
					h.Begin(acc)
					h.Same(IntValue(7), acc)
					h.Column(arr, kind, Null, acc)
					h.Begin(skip)
					h.Column(arr, kind, Absent, skip)
					h.Keys([]arrow.Array{arr}, []Kind{kind}, keys, null)
					for i, v := range kept {
						if got := At(arr, kind, i); !got.Equal(v) {
							t.Fatalf("At(%d) = %s %q, put in %s %q", i, got.Kind(), got, v.Kind(), v)
						}
						if want := HashValues(seed, []Value{IntValue(7), v}); acc[i] != want {
							t.Fatalf("row %d (%s %q): column hash %x, value hash %x", i, v.Kind(), v, acc[i], want)
						}
						w := v
						if w.IsNull() {
							w = Value{}
						}
						if want := HashValues(seed, []Value{w}); skip[i] != want {
							t.Fatalf("row %d with null as absent: column hash %x, value hash %x", i, skip[i], want)
						}
						if null[i] != v.IsNull() {
							t.Fatalf("row %d: null key %v for %q", i, null[i], v)
						}
						if want := KeyHash(seed, AppendKey(nil, v)); !null[i] && keys[i] != want {
							t.Fatalf("row %d: key hash %x, want %x", i, keys[i], want)
						}
					}
				})
				if carried < 50 {
					t.Fatalf("only %d values fitted: the test proves nothing", carried)
				}
			})
		}
	}
}

func Test_a_composite_key_hashes_like_its_canonical_bytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "rows")
		b := NewBuilder(arrow.NewSchema([]arrow.Field{FieldOf("a", Int), FieldOf("b", Text), FieldOf("c", Decimal)}, nil))
		var rows [][]Value
		for range n {
			r := []Value{genValue(t, Int), genValue(t, Text), genValue(t, Decimal)}
			rows = append(rows, r)
			if err := b.Append(r...); err != nil {
				t.Fatal(err)
			}
		}
		rec := b.Batch()
		out, null := make([]uint64, n), make([]bool, n)
		NewHasher(9).Keys(rec.Columns(), []Kind{Int, Text, Decimal}, out, null)
		for i, r := range rows {
			if want := KeyHash(9, AppendKey(nil, r...)); out[i] != want || null[i] {
				t.Fatalf("row %d: %x, want %x", i, out[i], want)
			}
		}
	})
}

func Test_equal_values_and_only_they_have_equal_hashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genAny(t), genAny(t)
		if rapid.Bool().Draw(t, "same number") {
			n := rapid.Int64Range(-1e15, 1e15).Draw(t, "n")
			forms := []Value{IntValue(n), FloatValue(float64(n)), DecimalValue(fmt.Sprintf("%d.00", n)), DecimalValue(fmt.Sprintf("%d", n))}
			a, b = rapid.SampledFrom(forms).Draw(t, "a"), rapid.SampledFrom(forms).Draw(t, "b")
			if !a.Equal(b) {
				t.Fatalf("%s %q and %s %q are the same number", a.Kind(), a, b.Kind(), b)
			}
		}
		if a.Equal(b) != b.Equal(a) || !a.Equal(a) {
			t.Fatal("Equal is not symmetric and reflexive")
		}
		same := HashValues(1, []Value{a}) == HashValues(1, []Value{b})
		if same != a.Equal(b) {
			t.Fatalf("%s %q and %s %q: equal %v, equal hashes %v", a.Kind(), a, b.Kind(), b, a.Equal(b), same)
		}
		if keys := string(AppendKey(nil, a)) == string(AppendKey(nil, b)); keys != a.Equal(b) {
			t.Fatalf("%s %q and %s %q: equal %v, equal keys %v", a.Kind(), a, b.Kind(), b, a.Equal(b), keys)
		}
	})
}

func Test_whole_numbers_beyond_64_bits_are_the_same_in_every_kind(t *testing.T) {
	for _, c := range [][2]Value{
		{FloatValue(1e20), DecimalValue("100000000000000000000.0")},
		{FloatValue(1 << 63), UintValue(1 << 63)},
		{FloatValue(-1e25), DecimalValue("-10000000000000000905969664")},
		{DecimalValue("18446744073709551615.000"), UintValue(1<<64 - 1)},
		{DecimalValue("0.1234567890123456780"), DecimalValue(".123456789012345678")},
		{DecimalValue("-0.00"), IntValue(0)},
	} {
		if !c[0].Equal(c[1]) || HashValues(3, c[:1]) != HashValues(3, c[1:]) {
			t.Errorf("%s and %s differ", c[0], c[1])
		}
	}
}

func Test_text_that_is_no_decimal_is_only_itself(t *testing.T) {
	texts := []string{"", "-", "+", ".", "-.", "1.2.3", "00+", "+-5", "NaN", "1e5", "0", "5", "1 "}
	for i, a := range texts {
		for j, b := range texts {
			v, w := DecimalValue(a), DecimalValue(b)
			hashes := HashValues(1, []Value{v}) == HashValues(1, []Value{w})
			if keys := string(AppendKey(nil, v)) == string(AppendKey(nil, w)); keys != (i == j) || hashes != keys {
				t.Errorf("%q and %q: equal keys %v, equal hashes %v", a, b, keys, hashes)
			}
		}
	}
}

func Test_order_absence_and_seed_matter(t *testing.T) {
	a, b := IntValue(1), TextValue("x")
	seen := map[uint64]string{}
	for name, h := range map[string]uint64{
		"a b": HashValues(1, []Value{a, b}), "b a": HashValues(1, []Value{b, a}), "a": HashValues(1, []Value{a}),
		"a null": HashValues(1, []Value{a, NullValue()}), "a absent": HashValues(1, []Value{a, {}}), "seed": HashValues(2, []Value{a, b}),
		"a empty": HashValues(1, []Value{a, TextValue("")}), "error": NewHasher(1).MixError(NewHasher(1).Mix(NewHasher(1).Start(), a)),
		"0 b": HashValues(1, []Value{IntValue(0), b}), "date": HashValues(1, []Value{DateValue(1), b}), "time": HashValues(1, []Value{TimeValue(1), b}),
	} {
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q have the same hash", name, other)
		}
		seen[h] = name
	}
}

// benchBatch is workload W: bigint key, 2 texts, int, double, decimal(12,2), boolean, timestamptz, 2 texts, int.
func benchBatch(n int, dec arrow.Field) arrow.RecordBatch {
	fields := []arrow.Field{FieldOf("id", Int), FieldOf("name", Text), FieldOf("email", Text), {Name: "seats", Type: arrow.PrimitiveTypes.Int32}, FieldOf("score", Float), dec, FieldOf("active", Bool), FieldOf("seen", Instant), FieldOf("plan", Text), FieldOf("country", Text), {Name: "n", Type: arrow.PrimitiveTypes.Int32}}
	b := NewBuilder(arrow.NewSchema(fields, nil))
	for i := range n {
		err := b.Append(IntValue(int64(i)), TextValue(fmt.Sprintf("Company %d", i)), TextValue(fmt.Sprintf("owner%d@example.com", i)), IntValue(int64(i%500)), FloatValue(float64(i%1000)/7),
			DecimalValue(fmt.Sprintf("%d.%02d", i%100000, i%100)), BoolValue(i%3 == 0), InstantValue(1.7e9+int64(i), uint32(i%1000)*1000), TextValue([]string{"free", "pro", "enterprise"}[i%3]), TextValue("DE"), IntValue(int64(i%90)))
		if err != nil {
			panic(err)
		}
	}
	return b.Batch()
}

func BenchmarkFingerprint(b *testing.B) {
	for name, dec := range map[string]arrow.Field{"decimal128": {Name: "mrr", Type: &arrow.Decimal128Type{Precision: 12, Scale: 2}}, "decimal as text": FieldOf("mrr", Decimal)} {
		b.Run(name, func(b *testing.B) {
			const n = 4096
			rec := benchBatch(n, dec)
			kinds := make([]Kind, rec.NumCols())
			for i, f := range rec.Schema().Fields() {
				kinds[i], _ = KindOf(f)
			}
			h := NewHasher(1)
			acc, keys, null := make([]uint64, n), make([]uint64, n), make([]bool, n)
			b.ReportAllocs()
			for b.Loop() {
				h.Keys(rec.Columns()[:1], kinds, keys, null)
				h.Begin(acc)
				for c, arr := range rec.Columns() {
					h.Column(arr, kinds[c], Null, acc)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
}
