package mapping

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_keys_keep_the_type_the_ledger_knows(t *testing.T) {
	for _, c := range []struct {
		name  string
		was   row.Kind
		is    row.Kind
		v     row.Value
		want  row.Value // the key; Absent = refused
		drift bool
	}{
		{"int stays int", row.Int, row.Int, row.IntValue(1), row.IntValue(1), false},
		{"a whole decimal is the same key", row.Int, row.Decimal, dec("1.00"), row.IntValue(1), false},
		{"a whole float is the same key", row.Int, row.Float, row.FloatValue(1), row.IntValue(1), false},
		{"text that is a number", row.Int, row.Text, text("1"), row.IntValue(1), true},
		{"text with a leading zero is another key", row.Int, row.Text, text("01"), row.Value{}, true},
		{"text with a blank is another key", row.Int, row.Text, text(" 1"), row.Value{}, true},
		{"text that is no number", row.Int, row.Text, text("x"), row.Value{}, true},
		{"a number that was text", row.Text, row.Int, row.IntValue(1), text("1"), true},
		{"a uuid that was text", row.Text, row.UUID, row.StringKind(row.UUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"), text("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), true},
		{"text that was a uuid", row.UUID, row.Text, text("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), row.StringKind(row.UUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"), true},
		{"a date that was text", row.Text, row.Date, row.DateValue(0), text("1970-01-01"), true},
		{"text that was a date", row.Date, row.Text, text("1970-01-01"), row.DateValue(0), true},
		{"a midnight that was a date", row.Date, row.Timestamp, row.TimestampValue(86400, 0), row.DateValue(1), true},
		{"noon that was a date", row.Date, row.Timestamp, row.TimestampValue(43200, 0), row.Value{}, true},
		{"a zone was added", row.Timestamp, row.Instant, row.InstantValue(0, 0), row.Value{}, true},
		{"a fraction as float, was decimal", row.Decimal, row.Float, row.FloatValue(0.5), dec("0.5"), true},
		{"a fraction as decimal, was float", row.Float, row.Decimal, dec("0.50"), row.FloatValue(0.5), true},
		{"a decimal no float can hold", row.Float, row.Decimal, dec("0.10000000000000000001"), dec("0.10000000000000000001"), true},
		{"not a number, was decimal", row.Decimal, row.Float, row.FloatValue(math.NaN()), row.Value{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			md := model{columns("id", c.is), [][]row.Value{{c.v}}}
			s := spec(md, nil)
			s.KeyKinds = []row.Kind{c.was}
			m := compile(t, s)
			rec := run(t, m, md.batch(t))[0]
			if (m.KeyDrift() != "") != c.drift {
				t.Errorf("drift %q", m.KeyDrift())
			}
			if want := []row.Kind{c.was}; c.drift && !slices.Equal(m.KeyKinds(), want) {
				t.Errorf("key kinds %v, want %v", m.KeyKinds(), want)
			}
			if c.want.IsAbsent() {
				if rec.Invalid == nil || rec.Invalid.Code != fault.KeyType || rec.Invalid.Field != "id" || len(rec.Key) == 0 {
					t.Fatalf("got key %x, %v; want it refused and named", rec.Key, rec.Invalid)
				}
				return
			}
			if want := row.AppendKey(nil, c.want); rec.Invalid != nil || !bytes.Equal(rec.Key, want) {
				t.Fatalf("got key %x, %v; want %x", rec.Key, rec.Invalid, want)
			}
		})
	}
}

func Test_a_drifted_key_has_the_hash_and_fingerprint_it_had(t *testing.T) {
	was := model{columns("id", row.Int, "v", row.Text), [][]row.Value{{row.IntValue(42), text("x")}}}
	is := model{columns("id", row.Text, "v", row.Text), [][]row.Value{{text("42"), text("x")}}}
	fields := []project.Field{{Field: "F", Column: "v"}}
	a := run(t, compile(t, spec(was, fields, writable("F", row.Text))), was.batch(t))[0]
	s := spec(is, fields, writable("F", row.Text))
	s.KeyKinds = []row.Kind{row.Int}
	b := run(t, compile(t, s), is.batch(t))[0]
	if a.Hash != b.Hash || a.Fingerprint != b.Fingerprint {
		t.Fatalf("hash %x and %x, fingerprint %x and %x", a.Hash, b.Hash, a.Fingerprint, b.Fingerprint)
	}
}

func Test_a_key_of_other_columns_has_no_drift(t *testing.T) {
	md := model{columns("id", row.Text, "n", row.Int), nil}
	s := spec(md, nil)
	s.Key, s.KeyKinds = []string{"id", "n"}, []row.Kind{row.Int}
	if m := compile(t, s); m.KeyDrift() != "" || !slices.Equal(m.KeyKinds(), []row.Kind{row.Text, row.Int}) {
		t.Fatalf("drift %q, kinds %v", m.KeyDrift(), m.KeyKinds())
	}
}

func Test_declared_types_are_read_exactly(t *testing.T) {
	for _, c := range []struct {
		from, declared row.Kind
		v, want        row.Value // want Absent = refused
	}{
		{row.Text, row.Int, text("007"), row.IntValue(7)},
		{row.Text, row.Int, text("7.5"), row.Value{}},
		{row.Text, row.Decimal, text("1.50"), dec("1.50")},
		{row.Text, row.Float, text("1.50"), row.FloatValue(1.5)},
		{row.Text, row.Float, text("0.10000000000000000001"), row.Value{}},
		{row.Text, row.Bool, text("true"), row.BoolValue(true)},
		{row.Text, row.Bool, text("yes"), row.Value{}},
		{row.Text, row.Date, text("2026-02-28"), row.DateValue(20512)},
		{row.Text, row.Date, text("2026-02-30"), row.Value{}},
		{row.Text, row.Timestamp, text("1970-01-01 00:00:01.5"), row.TimestampValue(1, 5e8)},
		{row.Text, row.Timestamp, text("1970-01-01T00:00:01Z"), row.Value{}},
		{row.Text, row.Instant, text("1970-01-01T01:00:00+01:00"), row.InstantValue(0, 0)},
		{row.Text, row.Instant, text("1970-01-01T01:00:00"), row.Value{}},
		{row.Text, row.JSON, text(`{"a":1}`), row.StringKind(row.JSON, `{"a":1}`)},
		{row.Text, row.JSON, text(`{`), row.Value{}},
		{row.Text, row.Array, text(`[1]`), row.StringKind(row.Array, `[1]`)},
		{row.Int, row.Bool, row.IntValue(0), row.BoolValue(false)},
		{row.Int, row.Bool, row.IntValue(3), row.Value{}},
		{row.Int, row.Text, row.IntValue(3), text("3")},
		{row.Float, row.Decimal, row.FloatValue(0.1), dec("0.1")},
		{row.Timestamp, row.Date, row.TimestampValue(86400, 0), row.DateValue(1)},
		{row.Timestamp, row.Date, row.TimestampValue(86401, 0), row.Value{}},
		{row.Text, row.Int, row.NullValue(), row.NullValue()},
	} {
		md := model{columns("id", row.Int, "v", c.from), [][]row.Value{{row.IntValue(1), c.v}}}
		s := spec(md, []project.Field{{Field: "F", Column: "v"}}, writable("F", row.Absent))
		s.Columns = map[string]project.Column{"v": {Kind: c.declared}}
		m := compile(t, s)
		rec := run(t, m, md.batch(t))[0]
		switch {
		case c.want.IsAbsent() && (rec.Invalid == nil || rec.Invalid.Code != fault.ValueType || rec.Invalid.Field != "F"):
			t.Errorf("%s %q as %s: got %+v, want it refused", c.from, c.v, c.declared, rec.Invalid)
		case !c.want.IsAbsent() && (rec.Invalid != nil || rec.Values[0].Kind() != c.want.Kind() || rec.Values[0].String() != c.want.String()):
			t.Errorf("%s %q as %s: got %v, %+v", c.from, c.v, c.declared, rec.Values, rec.Invalid)
		}
		if m.Kinds()[0] != c.declared {
			t.Errorf("kind %s, want %s", m.Kinds()[0], c.declared)
		}
	}
}

func Test_a_declared_key_that_cannot_be_read_is_refused_and_named(t *testing.T) {
	md := model{columns("id", row.Text), [][]row.Value{{text("7")}, {text("seven")}}}
	s := spec(md, nil)
	s.Columns = map[string]project.Column{"id": {Kind: row.Int}}
	recs := run(t, compile(t, s), md.batch(t))
	wantCodes(t, recs, "", fault.KeyType)
	if !bytes.Equal(recs[0].Key, row.AppendKey(nil, row.IntValue(7))) || len(recs[1].Key) == 0 {
		t.Fatalf("keys %x, %x", recs[0].Key, recs[1].Key)
	}
	if strings.Contains(recs[1].Invalid.Message, "seven") {
		t.Fatalf("the message shows the key: %s", recs[1].Invalid.Message)
	}
}

func Test_a_batch_of_other_types_than_described_is_refused(t *testing.T) {
	md := model{columns("id", row.Int, "v", row.Text), nil}
	m := compile(t, spec(md, []project.Field{{Field: "F", Column: "v"}}, writable("F", row.Text)))
	var prints Prints
	for name, fields := range map[string][]arrow.Field{
		"another type": columns("id", row.Int, "v", row.Date), "a missing column": columns("id", row.Int), "a column twice": columns("id", row.Int, "v", row.Text, "v", row.Text),
	} {
		if err := m.Hash(model{fields, nil}.batch(t), &prints); err == nil {
			t.Errorf("%s passed", name)
		}
	}
	if err := m.Hash(model{columns("v", row.Text, "extra", row.Int, "id", arrow.PrimitiveTypes.Int32), nil}.batch(t), &prints); err != nil {
		t.Errorf("another order and width: %v", err)
	}
}
