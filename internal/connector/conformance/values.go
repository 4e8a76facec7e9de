package conformance

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// Value turns what a stand-in stored as JSON (nil, string, json.Number, bool) into a value of a field's kind. A text that is no
// value of the kind stays a text, so that it is not taken for one.
func Value(k row.Kind, raw any) row.Value {
	switch raw := raw.(type) {
	case nil:
		return row.NullValue()
	case bool:
		return row.BoolValue(raw)
	case json.Number:
		if v, err := row.ParseDecimal(raw.String()); err == nil {
			return v
		}
		return row.TextValue(raw.String())
	case string:
		switch k { //nolint:exhaustive // numbers and booleans have forms of their own in JSON
		case row.Bool, row.Int, row.Uint, row.Float, row.Decimal:
			return row.TextValue(raw)
		}
		if v, err := row.ParseText(k, raw); err == nil {
			return v
		}
		return row.TextValue(raw)
	default:
		b, err := json.Marshal(raw)
		if err != nil {
			panic(fmt.Sprintf("conformance: a stand-in holds a %T", raw))
		}
		if k == row.Array {
			return row.StringKind(row.Array, string(b))
		}
		return row.StringKind(row.JSON, string(b))
	}
}

// Text reads the text form of a value of a kind, as a database prints it with row.ParseText's rules; it panics on another form.
func Text(k row.Kind, s string) row.Value {
	v, err := row.ParseText(k, s)
	if err != nil {
		panic(fmt.Sprintf("conformance: %q: %v", s, err))
	}
	return v
}

// Same reports whether got is want, exactly: numbers by value, JSON by content, null and a missing field alike.
func Same(want, got row.Value) bool {
	switch {
	case want.IsNull() || want.IsAbsent():
		return got.IsNull() || got.IsAbsent()
	case want.Kind() == row.JSON || want.Kind() == row.Array:
		// A JSON text inside JSON may have become what it says.
		return sameJSON(want.String(), got.String()) || got.Kind() == row.Text && sameJSON(want.String(), string(row.AppendJSONString(nil, got.Str())))
	case want.Kind() == row.Float && got.Kind().Numeric():
		// The shortest decimal text of a float is that float.
		f, err := strconv.ParseFloat(got.String(), 64)
		return err == nil && (f == want.Float() || math.IsNaN(f) && math.IsNaN(want.Float()))
	case want.Kind() == row.UUID || want.Kind() == row.Interval:
		return want.String() == got.String()
	}
	return want.Equal(got)
}

func sameJSON(a, b string) bool {
	read := func(s string) (v any, ok bool) {
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		return v, d.Decode(&v) == nil
	}
	x, ok1 := read(a)
	y, ok2 := read(b)
	return ok1 && ok2 && reflect.DeepEqual(x, y)
}

func show(v row.Value) string {
	s := v.String()
	if len(s) > 80 {
		s = fmt.Sprintf("%s… (%d bytes)", s[:80], len(s))
	}
	return fmt.Sprintf("%s %q", v.Kind(), s)
}

// samples are values that are easily altered on the way, by kind.
func samples(k row.Kind) []row.Value {
	text := func(list ...string) (out []row.Value) {
		for _, s := range list {
			out = append(out, row.StringKind(k, s))
		}
		return out
	}
	at := func(list ...string) (out []row.Value) {
		for _, s := range list {
			t, err := time.Parse(time.RFC3339Nano, s)
			if err != nil {
				panic(err)
			}
			v := row.InstantValue(t.Unix(), uint32(t.Nanosecond()))
			if k == row.Timestamp {
				v = row.TimestampValue(t.Unix(), uint32(t.Nanosecond()))
			}
			out = append(out, v)
		}
		return out
	}
	switch k {
	case row.Bool:
		return []row.Value{row.BoolValue(true), row.BoolValue(false)}
	case row.Int:
		return []row.Value{
			row.IntValue(0), row.IntValue(-1), row.IntValue(1<<31 - 1), row.IntValue(1 << 31), row.IntValue(1<<53 + 1), row.IntValue(-(1<<53 + 1)),
			row.IntValue(math.MaxInt64), row.IntValue(math.MinInt64), row.DecimalValue("1.5"),
		}
	case row.Uint:
		return []row.Value{row.UintValue(math.MaxUint64), row.UintValue(0)}
	case row.Float:
		return []row.Value{
			row.FloatValue(0.1), row.FloatValue(-2.5), row.FloatValue(1.0 / 3), row.FloatValue(1e300), row.FloatValue(5e-324),
			row.FloatValue(math.NaN()), row.FloatValue(math.Inf(-1)), row.IntValue(1<<53 + 1), row.DecimalValue("0.30000000000000001"),
		}
	case row.Decimal:
		return []row.Value{
			row.DecimalValue("0.1"), row.DecimalValue("-1.50"), row.DecimalValue("12345678901234567890.123456789012345678"), row.DecimalValue("-0.000000000000000001"),
			row.DecimalValue("9007199254740993"), row.DecimalValue("0.12345678901234567890123"), row.IntValue(1<<53 + 1), row.DecimalValue("2.675"),
		}
	case row.Text:
		return text("plain", " padded ", "O'Neil said \"no\"", `back\slash \n % _ ; -- /* */`, "line\nbreak\r\nand\ttab", "Zoë Ångström 日本語 Кириллица",
			"😀 👩‍👩‍👧 e\u0301", "ends with newline\n", "null", "NULL", "#N/A", "=1+1", "${env:HOME} {{x}}", "<b>&amp;</b>", "true", "0123", "1e5", "2026-01-01", "UPPER lower",
			"nul\x00inside", strings.Repeat("long é ", 700))
	case row.Bytes:
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		return []row.Value{row.BytesValue(all), row.BytesValue([]byte("text"))}
	case row.Date:
		return []row.Value{Text(k, "1970-01-01"), Text(k, "2024-02-29"), Text(k, "1900-03-01"), Text(k, "1582-10-10"), Text(k, "9999-12-31"), Text(k, "0001-01-01")}
	case row.Time:
		return []row.Value{Text(k, "00:00:00"), Text(k, "23:59:59"), Text(k, "12:34:56.789"), Text(k, "12:34:56.123456"), Text(k, "12:34:56.123456789"), Text(k, "24:00:00")}
	case row.Timestamp, row.Instant:
		return at("2026-01-31T12:00:00Z", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T02:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-03-08T02:30:00Z",
			"2026-11-01T01:30:00Z", "2026-06-30T23:59:59.123Z", "2026-06-30T23:59:59.123456Z", "2026-06-30T23:59:59.999999999Z", "1969-12-31T23:59:59Z", "1900-01-01T00:00:00Z",
			"2040-06-01T00:00:00Z", "9999-12-31T23:59:59Z")
	case row.Interval:
		return text("P1DT2H3M4S")
	case row.UUID:
		return text("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
	case row.JSON:
		return text(`{"a":[1,"é",null,true],"n":9007199254740993,"s":"O'Neil \"x\"\n"}`, `"text"`, `[]`, `12345678901234567890.5`)
	case row.Array:
		return text(`["a","b,c","d\"e"]`, `[]`)
	case row.Absent, row.Null:
	}
	return nil
}

var kinds = []row.Kind{
	row.Bool, row.Int, row.Uint, row.Float, row.Decimal, row.Text, row.Bytes, row.Date, row.Time, row.Timestamp, row.Instant, row.Interval, row.UUID, row.JSON, row.Array,
}

func valueChecks() (list []check) {
	for _, k := range kinds {
		list = append(list, check{name: "values: " + k.String() + " arrives exactly or is refused", run: func(s *stand) { s.carries(k) }})
	}
	return append(list,
		check{name: "values: keys with odd characters name one record each", run: oddKeys},
	)
}

// carries writes every sample of a kind, each in a record of its own, and compares what the tool holds.
func (s *stand) carries(k row.Kind) {
	s.Helper()
	field, ok := s.h.Fields[k]
	if !ok {
		s.Skipf("no field takes a value of kind %s", k)
	}
	var records []Record
	var want []row.Value
	for _, v := range samples(k) {
		if s.h.Filter == nil || s.h.Filter(v) {
			records, want = append(records, s.record(len(records), Record{field: v})), append(want, v)
		}
	}
	op := s.creating()
	results := s.settle(op, records...)
	stored := map[string]Record{}
	for _, r := range s.world.Records() {
		stored[r[s.h.Match].String()] = r
	}
	arrived := 0
	for i, r := range results {
		got, there := stored[s.key(i).String()]
		switch r.Status {
		case connector.Delivered:
			arrived++
			if !there {
				s.Errorf("%s was reported delivered and is not in the tool", show(want[i]))
			} else if !Same(want[i], got[field]) && len(r.Warnings) == 0 {
				s.Errorf("%s arrived as %s, and nobody was told", show(want[i]), show(got[field]))
			}
		case connector.Rejected:
			if there {
				s.Errorf("%s was refused (%s) and the tool holds %s", show(want[i]), r.Message, show(got[field]))
			}
		default:
			s.Errorf("%s: %+v; want delivered or rejected", show(want[i]), r)
		}
	}
	if arrived == 0 {
		s.Errorf("not one value of kind %s arrived; the first was refused so: %+v", k, results[0])
	}
}

func oddKeys(s *stand) {
	if s.key(0).Kind() != row.Text {
		s.Skip("records are not identified by a text")
	}
	field, a, b := s.some()
	op := s.creating()
	var records []Record
	for _, key := range []string{"a'b", "a''b", `a"b`, `a\b`, "a%b", "a_b", "axb", "a b", "ä/b?c=d&e#f", "日本", "a;b,c", "a+b"} {
		r := s.record(0, Record{field: a})
		r[s.h.Match] = row.TextValue(s.world.Prefix + key)
		records = append(records, r)
	}
	s.write(op, records...)
	s.holds(records...)
	if !s.offers(connector.OpUpsert) {
		return
	}
	for i := range records {
		r := Record{s.h.Match: records[i][s.h.Match], field: b}
		if !s.partial() {
			r = s.record(0, r)
		}
		s.write(connector.OpUpsert, r)
		records[i][field] = b
		if i%5 == 0 {
			s.holds(records...)
		}
	}
	s.holds(records...)
}
