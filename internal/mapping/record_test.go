package mapping

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

func codes(recs []ledger.Record) []fault.Code {
	out := make([]fault.Code, len(recs))
	for i, r := range recs {
		if r.Invalid != nil {
			out[i] = r.Invalid.Code
		}
	}
	return out
}

func wantCodes(t *testing.T, recs []ledger.Record, want ...fault.Code) {
	t.Helper()
	if got := codes(recs); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func Test_null_policies(t *testing.T) {
	md := model{columns("id", row.Int, "v", row.Int), [][]row.Value{
		{row.IntValue(1), row.NullValue()}, {row.IntValue(2), row.IntValue(5)},
	}}
	field := func(p project.NullPolicy) []project.Field {
		return []project.Field{{Field: "F", Column: "v", Null: p}}
	}
	dest := writable("F", row.Int)

	recs := run(t, compile(t, spec(md, field(project.NullClear), dest)), md.batch(t))
	wantCodes(t, recs, "", "")
	if !recs[0].Values[0].IsNull() {
		t.Fatalf("clear: got %s", recs[0].Values[0].Kind())
	}
	cleared := recs[0].Fingerprint

	recs = run(t, compile(t, spec(md, field(project.NullSkip), dest)), md.batch(t))
	wantCodes(t, recs, "", "")
	if !recs[0].Values[0].IsAbsent() || recs[0].Fingerprint == cleared {
		t.Fatal("skip: a skipped null is absent, and not the same record as a cleared field")
	}

	recs = run(t, compile(t, spec(md, field(project.NullReject), dest)), md.batch(t))
	wantCodes(t, recs, fault.ValueNull, "")

	m := compile(t, spec(md, field(""), dest))
	if m.NullPolicy(0) != project.NullClear {
		t.Fatal("null: clear is the default")
	}
}

// A decimal has no text in Arrow, and a computed or cast value none at all: theirs is the mapping's own, and the next row's after it.
func Test_rows_gathered_from_a_batch_keep_their_own_values(t *testing.T) {
	decimals := &arrow.Decimal128Type{Precision: 10, Scale: 2}
	md := model{columns("id", row.Int, "price", decimals, "n", row.Int), nil}
	for i := range 500 {
		md.rows = append(md.rows, []row.Value{row.IntValue(int64(i)), row.DecimalValue(fmt.Sprintf("%d.50", i)), row.IntValue(int64(i))})
	}
	fields := []project.Field{{Field: "Price", Column: "price"}, {Field: "N", Column: "n"}}
	m := compile(t, spec(md, fields, writable("Price", row.Decimal), writable("N", row.Decimal)))
	m.Hold()
	for range 2 { // the memory is used again
		rec, gathered := md.batch(t), [][]row.Value{}
		var out ledger.Record
		for i := range md.rows {
			m.Materialise(rec, i, &out)
			if out.Invalid != nil {
				t.Fatal(out.Invalid)
			}
			gathered = append(gathered, slices.Clone(out.Values))
		}
		for i, values := range gathered {
			if values[0].String() != fmt.Sprintf("%d.50", i) || values[1].String() != fmt.Sprint(i) {
				t.Fatalf("row %d has %s and %s", i, values[0], values[1])
			}
		}
		m.Release()
	}
}

func Test_rows_without_key_or_match_are_invalid(t *testing.T) {
	md := model{columns("id", row.Int, "mail", row.Text), [][]row.Value{
		{row.NullValue(), text("a@x")}, {row.IntValue(2), row.NullValue()}, {row.IntValue(3), text("c@x")}, {row.IntValue(4), text("\xff")},
	}}
	s := spec(md, nil, matchField("Email", row.Text))
	s.Sync.Match = []project.MatchField{{Field: "Email", Column: "mail"}}
	recs := run(t, compile(t, s), md.batch(t))
	wantCodes(t, recs, fault.KeyNull, fault.MatchNull, "", fault.TextInvalid)
	if recs[0].Key != nil || recs[0].Invalid.Field != "id" {
		t.Fatalf("a row without key: %+v", recs[0])
	}
	if len(recs[1].Key) == 0 || recs[1].Invalid.Field != "Email" {
		t.Fatalf("a row without match keeps its key: %+v", recs[1])
	}

	md = model{columns("id", row.Text), [][]row.Value{{text("a\xff")}, {text("b")}}}
	recs = run(t, compile(t, spec(md, nil)), md.batch(t))
	wantCodes(t, recs, fault.TextInvalid, "")
}

func Test_the_match_identity_ignores_what_the_tool_ignores(t *testing.T) {
	md := model{columns("id", row.Int, "mail", row.Text), [][]row.Value{
		{row.IntValue(1), text(" Änna@X.com ")}, {row.IntValue(2), text("änna@x.com")}, {row.IntValue(3), text("b@x.com")},
	}}
	mail := matchField("Email", row.Text)
	mail.FoldCase, mail.TrimSpace = true, true
	s := spec(md, nil, mail)
	s.Sync.Match = []project.MatchField{{Field: "Email", Column: "mail"}}
	m := compile(t, s)
	recs := run(t, m, md.batch(t))
	if m.MatchIsKey() || string(recs[0].MatchID) != string(recs[1].MatchID) || string(recs[0].MatchID) == string(recs[2].MatchID) {
		t.Fatalf("identities %q %q %q", recs[0].MatchID, recs[1].MatchID, recs[2].MatchID)
	}
	if recs[0].Match[0].Str() != " Änna@X.com " {
		t.Fatal("the match is sent as it is")
	}
}

func Test_the_match_is_the_key_only_when_it_tells_the_same_rows_apart(t *testing.T) {
	md := model{columns("a", row.Int, "b", row.Text, "c", row.Text), [][]row.Value{{row.IntValue(1), text("x"), text("y")}}}
	mf := func(cols ...string) (out []project.MatchField) {
		for _, c := range cols {
			out = append(out, project.MatchField{Field: strings.ToUpper(c), Column: c})
		}
		return out
	}
	for _, c := range []struct {
		key   []string
		match []project.MatchField
		fold  bool
		want  bool
	}{
		{[]string{"a"}, mf("a"), false, true},
		{[]string{"a", "b"}, mf("b", "a"), false, true},
		{[]string{"a", "b"}, mf("a"), false, false},
		{[]string{"a"}, mf("a", "b"), false, false},
		{[]string{"a"}, mf("c"), false, false},
		{[]string{"b"}, mf("b"), true, false},
		{[]string{"a", "b"}, []project.MatchField{{Field: "A", Column: "a"}, {Field: "B", Column: "a"}}, false, false},
	} {
		s := spec(md, nil, matchField("A", row.Absent), matchField("B", row.Text), matchField("C", row.Text))
		s.Object.Fields[2].FoldCase = c.fold
		s.Key, s.Sync.Match = c.key, c.match
		m := compile(t, s)
		recs := run(t, m, md.batch(t))
		if m.MatchIsKey() != c.want || (len(recs[0].MatchID) == 0) != c.want {
			t.Errorf("key %v, match %v, fold %v: match is key %v, identity %x", c.key, c.match, c.fold, m.MatchIsKey(), recs[0].MatchID)
		}
	}
}

func Test_without_match_the_key_identifies_where_the_tool_allows_it(t *testing.T) {
	md := model{columns("id", row.Int), nil}
	s := spec(md, nil)
	s.Sync.Match, s.Object, s.Dest = nil, connector.Object{Name: "hook", FreeField: true}, connector.Spec{FreeObject: true, NoMatch: true}
	m := compile(t, s)
	if !slices.Equal(m.MatchFields(), []string{"id"}) || !m.MatchIsKey() {
		t.Fatalf("match %v", m.MatchFields())
	}
	s.Dest = connector.Spec{FreeObject: true}
	if _, faults := Compile(s); len(faults) != 1 || faults[0].Code != fault.ProjectMissing {
		t.Fatalf("got %v", faults)
	}
}

func Test_expressions_see_every_kind(t *testing.T) {
	fields := columns("id", row.Int, "dec", row.Decimal, "num", row.Int, "f", row.Float, "f32", arrow.PrimitiveTypes.Float32, "d128", &arrow.Decimal128Type{Precision: 12, Scale: 2},
		"u", row.Uint, "t", row.Text, "b", row.Bool, "at", row.Instant, "day", row.Date, "ts", row.Timestamp, "raw", row.Bytes, "js", row.JSON, "none", row.Text)
	md := model{fields, [][]row.Value{{
		row.IntValue(1), dec("80.00"), row.IntValue(80), row.FloatValue(80), row.FloatValue(0.1), dec("80.50"),
		row.UintValue(1 << 63), text("ann"), row.BoolValue(true), row.InstantValue(1_700_000_000, 0), row.DateValue(20_000), row.TimestampValue(0, 0), row.BytesValue([]byte("x")), row.StringKind(row.JSON, `{"a":1}`), row.NullValue(),
	}}}
	for _, c := range []struct {
		cel  string
		want row.Value
	}{
		{`row.dec >= 80.0 ? "healthy" : "at risk"`, text("healthy")},
		{`row.num >= 80.0 ? "healthy" : "at risk"`, text("healthy")},
		{`row.f >= 80 ? "healthy" : "at risk"`, text("healthy")},
		{`row.d128`, row.FloatValue(80.5)},
		{`row.f32 == 0.1`, row.BoolValue(true)},
		{`row.num * 2`, row.IntValue(160)},
		{`row.u`, row.UintValue(1 << 63)},
		{`row.u > 5`, row.BoolValue(true)},
		{`row.t.upperAscii() + "!"`, text("ANN!")},
		{`row["t"]`, text("ann")},
		{`row.b && true`, row.BoolValue(true)},
		{`row.at`, row.InstantValue(1_700_000_000, 0)},
		{`row.at > timestamp("2020-01-01T00:00:00Z")`, row.BoolValue(true)},
		{`row.at - timestamp("2023-11-14T00:00:00Z")`, row.StringKind(row.Interval, "PT22H13M20S")},
		{`row.day`, text("2024-10-04")},
		{`row.day < "2025"`, row.BoolValue(true)},
		{`row.ts`, text("1970-01-01T00:00:00")},
		{`row.raw`, row.BytesValue([]byte("x"))},
		{`row.js`, text(`{"a":1}`)},
		{`row.none == null ? "-" : row.none`, text("-")},
		{`row.none`, row.NullValue()},
		{`null`, row.NullValue()},
		{`has(row.t) ? 1 : 2`, row.IntValue(1)},
		{`[row.num, 1.5, "a", null]`, row.StringKind(row.Array, `[80,1.5,"a",null]`)},
		{`{"z": row.num, "a": [true]}`, row.StringKind(row.JSON, `{"a":[true],"z":80}`)},
		{`row.?t.orValue("x")`, text("ann")},
		{`row.?t`, text("ann")},
		{`9223372036854775807`, row.IntValue(math.MaxInt64)},
	} {
		t.Run(c.cel, func(t *testing.T) {
			rec := run(t, compile(t, spec(md, []project.Field{{Field: "F", CEL: c.cel}}, writable("F", row.Absent))), md.batch(t))[0]
			if rec.Invalid != nil {
				t.Fatal(rec.Invalid)
			}
			if got := rec.Values[0]; got.Kind() != c.want.Kind() || got.String() != c.want.String() {
				t.Fatalf("got %s %q, want %s %q", got.Kind(), got, c.want.Kind(), c.want)
			}
		})
	}
}

func Test_an_expression_reads_only_the_columns_it_names(t *testing.T) {
	md := model{columns("id", row.Int, "unused", row.Text, "score", row.Float, "tier", row.Text), nil}
	m := compile(t, spec(md, []project.Field{{Field: "F", CEL: `row.score > 1.0 ? row["tier"] : "x"`}}, writable("F", row.Text)))
	if want := []string{"id", "score", "tier"}; !slices.Equal(m.Columns(), want) {
		t.Fatalf("reads %v, want %v", m.Columns(), want)
	}
}

func Test_a_failed_expression_makes_its_row_invalid_and_no_other(t *testing.T) {
	md := model{columns("id", row.Int, "score", row.Float, "note", row.Text), [][]row.Value{
		{row.IntValue(1), row.FloatValue(90), text("1")}, {row.IntValue(2), row.NullValue(), text("1")}, {row.IntValue(3), row.FloatValue(10), text("secret")},
	}}
	m := compile(t, spec(md, []project.Field{{Field: "F", CEL: `row.score >= 80.0 ? "healthy" : "at risk"`}, {Field: "N", CEL: `int(row.note)`}}, writable("F", row.Text), writable("N", row.Int)))
	recs := run(t, m, md.batch(t))
	wantCodes(t, recs, "", fault.Expression, fault.Expression)
	if recs[1].Invalid.Field != "F" || recs[2].Invalid.Field != "N" {
		t.Fatalf("fields %q, %q", recs[1].Invalid.Field, recs[2].Invalid.Field)
	}
	if strings.Contains(recs[2].Invalid.Message, "secret") {
		t.Fatalf("the message shows the value: %s", recs[2].Invalid.Message)
	}
}

func Test_reasons_of_failed_expressions_name_nulls_and_hold_no_values(t *testing.T) {
	md := model{columns("id", row.Int, "note", row.Text, "n", row.Float), [][]row.Value{{row.IntValue(1), text("secret'x"), row.NullValue()}}}
	for _, expr := range []string{
		"int(row.note)", "double(row.note)", "timestamp(row.note)", "duration(row.note)", `row.note.matches(row.note + "(")`, "row.note + 1",
		`{"a": 1}[row.note]`, "base64.decode(row.note)", "bool(row.note)", `"%d".format([row.note])`, "[1][row.note]", "row.note.substring(50)",
	} {
		rec := run(t, compile(t, spec(md, []project.Field{{Field: "F", CEL: expr}}, writable("F", row.Absent))), md.batch(t))[0]
		if rec.Invalid == nil || rec.Invalid.Code != fault.Expression || rec.Invalid.Message == "" || strings.Contains(rec.Invalid.Message, "secret") {
			t.Errorf("%s: %+v", expr, rec.Invalid)
		}
	}
	rec := run(t, compile(t, spec(md, []project.Field{{Field: "F", CEL: "row.n > 5.0"}}, writable("F", row.Absent))), md.batch(t))[0]
	if rec.Invalid == nil || !strings.Contains(rec.Invalid.Message, `column "n" is null`) {
		t.Errorf("got %+v", rec.Invalid)
	}
	rec = run(t, compile(t, spec(md, []project.Field{{Field: "F", CEL: "row.id + 0.5"}}, writable("F", row.Absent))), md.batch(t))[0]
	if rec.Invalid == nil || !strings.Contains(rec.Invalid.Message, `column "id" is int; double()`) {
		t.Errorf("kinds that do not go together: %+v", rec.Invalid)
	}
}

func Test_results_of_expressions_are_fitted_to_the_field(t *testing.T) {
	md := model{columns("id", row.Int, "d", row.Text), [][]row.Value{{row.IntValue(1), text("2026-02-03")}, {row.IntValue(2), text("soon")}}}
	m := compile(t, spec(md, []project.Field{{Field: "D", CEL: "row.d", Null: project.NullReject}}, writable("D", row.Date)))
	recs := run(t, m, md.batch(t))
	wantCodes(t, recs, "", fault.ValueType)
	if got := recs[0].Values[0]; got.Kind() != row.Date || got.String() != "2026-02-03" {
		t.Fatalf("got %s %s", got.Kind(), got)
	}
}

func Test_lookup_inputs_come_back_as_they_went_in(t *testing.T) {
	for _, v := range []row.Value{
		text(`A-"17"`), row.IntValue(math.MinInt64), row.UintValue(math.MaxUint64), row.FloatValue(1e300), dec("1.50"), row.BoolValue(true),
		row.DateValue(-1), row.TimeValue(1), row.TimestampValue(5, 1000), row.InstantValue(5, 1000), row.StringKind(row.UUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
		row.BytesValue([]byte{0, 255}), row.StringKind(row.Interval, "P1D"), row.StringKind(row.JSON, `{"a":"b"}`), row.StringKind(row.JSON, `"a"`),
	} {
		md := model{columns("id", row.Int, "parent", v.Kind(), "region", row.Text), [][]row.Value{
			{row.IntValue(1), v, text("DE")}, {row.IntValue(2), row.NullValue(), text("DE")},
		}}
		look := &project.Lookup{Object: "Account", By: []project.MatchField{{Field: "No", Column: "parent"}, {Field: "Region", Column: "region"}}}
		m := compile(t, spec(md, []project.Field{{Field: "ParentId", Lookup: look}}, writable("ParentId", row.Text)))
		recs := run(t, m, md.batch(t))
		wantCodes(t, recs, "", "")
		got, err := m.LookupInputs(0, recs[0].Values[0])
		if err != nil || len(got) != 2 || got[0].Kind() != v.Kind() || !got[0].Equal(v) || got[1].Str() != "DE" {
			t.Errorf("%s %q came back as %v, %v (from %s)", v.Kind(), v, got, err, recs[0].Values[0])
		}
		if !recs[1].Values[0].IsNull() || m.Lookup(0) != look {
			t.Errorf("a null input must make the field null, got %q", recs[1].Values[0])
		}
		if got, err := m.LookupInputs(0, recs[1].Values[0]); got != nil || err != nil {
			t.Errorf("inputs of a null: %v, %v", got, err)
		}
	}
}

func Test_lookup_inputs_of_a_foreign_value_are_an_error(t *testing.T) {
	md := model{columns("id", row.Int, "parent", row.Int), nil}
	m := compile(t, spec(md, []project.Field{{Field: "P", Lookup: &project.Lookup{By: []project.MatchField{{Field: "No", Column: "parent"}}}}}, writable("P", row.Text)))
	for _, v := range []row.Value{text("x"), row.StringKind(row.Array, "[1]"), row.StringKind(row.Array, `{"":{"No":"x"}}`), row.StringKind(row.Array, `{"":{"Other":1}}`), row.StringKind(row.Array, `{"A":{"No":1}}`), row.StringKind(row.Array, `{`)} {
		if got, err := m.LookupInputs(0, v); err == nil {
			t.Errorf("%q gave %v", v, got)
		}
	}
}

func Test_null_policies_hold_for_lookups(t *testing.T) {
	md := model{columns("id", row.Int, "parent", row.Int), [][]row.Value{{row.IntValue(1), row.NullValue()}}}
	look := func(p project.NullPolicy) []project.Field {
		return []project.Field{{Field: "P", Null: p, Lookup: &project.Lookup{By: []project.MatchField{{Field: "No", Column: "parent"}}}}}
	}
	wantCodes(t, run(t, compile(t, spec(md, look(project.NullReject), writable("P", row.Text))), md.batch(t)), fault.ValueNull)
	if v := run(t, compile(t, spec(md, look(project.NullSkip), writable("P", row.Text))), md.batch(t))[0].Values[0]; !v.IsAbsent() {
		t.Fatalf("skip gave %s", v.Kind())
	}
}

func Test_equal_values_of_other_fields_are_another_record(t *testing.T) {
	md := model{columns("id", row.Int, "a", row.Text, "b", row.Text), [][]row.Value{{row.IntValue(1), text("x"), text("x")}}}
	look := func(object, by string) project.Field {
		return project.Field{Field: "L", Lookup: &project.Lookup{Object: object, By: []project.MatchField{{Field: by, Column: "a"}}}}
	}
	seen := map[uint64]int{}
	for i, fields := range [][]project.Field{
		{{Field: "A", Column: "a"}},
		{{Field: "B", Column: "a"}},
		{{Field: "A", Column: "a"}, {Field: "B", Column: "b"}},
		{{Field: "B", Column: "a"}, {Field: "A", Column: "b"}},
		{look("User", "No")},
		{look("User", "Mail")},
		{look("Account", "No")},
	} {
		m := compile(t, spec(md, fields, writable("A", row.Text), writable("B", row.Text), writable("L", row.Text)))
		print := run(t, m, md.batch(t))[0].Fingerprint
		if j, ok := seen[print]; ok {
			t.Errorf("mappings %d and %d give one fingerprint", j, i)
		}
		seen[print] = i
	}
	with := compile(t, spec(md, []project.Field{{Field: "A", Column: "a"}, {Field: "C", Column: "b", CreateOnly: true}}, writable("A", row.Text), writable("C", row.Text)))
	if _, ok := seen[run(t, with, md.batch(t))[0].Fingerprint]; !ok {
		t.Error("a field written only on creation is part of the fingerprint")
	}
}

func Test_constants_are_fitted_once_and_part_of_the_fingerprint(t *testing.T) {
	md := model{columns("id", row.Int), [][]row.Value{{row.IntValue(1)}}}
	with := func(v row.Value) []project.Field { return []project.Field{{Field: "F", Value: &v}} }
	a := run(t, compile(t, spec(md, with(row.IntValue(7)), writable("F", row.Text))), md.batch(t))[0]
	b := run(t, compile(t, spec(md, with(row.IntValue(8)), writable("F", row.Text))), md.batch(t))[0]
	if a.Values[0].Kind() != row.Text || a.Values[0].Str() != "7" || a.Fingerprint == b.Fingerprint {
		t.Fatalf("got %s %q, fingerprints %x %x", a.Values[0].Kind(), a.Values[0], a.Fingerprint, b.Fingerprint)
	}
	day := run(t, compile(t, spec(md, with(text("2026-01-31")), writable("F", row.Date))), md.batch(t))[0]
	if day.Values[0].Kind() != row.Date {
		t.Fatal("a constant date is written as text")
	}
	if _, faults := Compile(spec(md, with(text("x")), writable("F", row.Int))); len(faults) != 1 || faults[0].Code != fault.DestFieldType {
		t.Fatalf("got %v", faults)
	}
}
