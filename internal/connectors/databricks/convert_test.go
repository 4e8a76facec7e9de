package databricks

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// fromJSON makes an Arrow column of a type.
func fromJSON(t *testing.T, typ arrow.DataType, text string) arrow.Array {
	t.Helper()
	a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Nested values may come as Arrow's own nesting instead of as text.
func Test_nested_arrow_columns_become_json(t *testing.T) {
	inner := arrow.StructOf(arrow.Field{Name: "d", Type: &arrow.Decimal128Type{Precision: 10, Scale: 2}, Nullable: true}, arrow.Field{Name: "é\"", Type: arrow.BinaryTypes.String, Nullable: true})
	for _, c := range []struct {
		sql  string
		typ  arrow.DataType
		json string
		want []string
	}{
		{"ARRAY<INT>", arrow.ListOf(arrow.PrimitiveTypes.Int32), `[[1, null], [], null, [3]]`, []string{"[1,null]", "[]", "null", "[3]"}},
		{"STRUCT<d:DECIMAL(10,2)>", inner, `[{"d": "1.50", "é\"": "x"}, {"d": null, "é\"": null}]`, []string{`{"d":1.50,"é\"":"x"}`, `{"d":null,"é\"":null}`}},
		{"ARRAY<STRUCT<d:DECIMAL(10,2)>>", arrow.ListOf(inner), `[[{"d": "0.01", "é\"": "y"}]]`, []string{`[{"d":0.01,"é\"":"y"}]`}},
		{"MAP<INT,BOOLEAN>", arrow.MapOf(arrow.PrimitiveTypes.Int32, arrow.FixedWidthTypes.Boolean), `[[{"key": 1, "value": true}, {"key": 2, "value": null}], []]`, []string{`{"1":true,"2":null}`, "{}"}},
	} {
		col, err := columnOf("c", c.sql)
		if err != nil {
			t.Fatal(err)
		}
		from, err := col.converter(c.typ)
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		got, err := from(fromJSON(t, c.typ, c.json))
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		for i, want := range c.want {
			if v := row.At(got, col.kind, i); v.String() != want {
				t.Errorf("%s: %s; want %s", c.sql, v, want)
			}
		}
	}
}

func Test_what_does_not_fit_a_column_is_refused_and_names_it(t *testing.T) {
	for _, c := range []struct {
		sql  string
		typ  arrow.DataType
		json string
		code fault.Code
	}{
		{"INT", arrow.PrimitiveTypes.Int64, `[1]`, fault.SourceTypeUnsupported},
		{"TIMESTAMP", &arrow.TimestampType{Unit: arrow.Microsecond}, `["2026-01-01"]`, fault.SourceTypeUnsupported},
		{"TIMESTAMP_NTZ", arrow.FixedWidthTypes.Timestamp_us, `["2026-01-01"]`, fault.SourceTypeUnsupported},
		{"DECIMAL(10,2)", &arrow.Decimal128Type{Precision: 10, Scale: 3}, `["1.234"]`, fault.SourceTypeUnsupported},
		{"STRUCT<a:INT>", arrow.BinaryTypes.String, `["{a: 1}"]`, fault.SourceValue},
		{"INTERVAL DAY TO SECOND", arrow.BinaryTypes.String, `["soon"]`, fault.SourceValue},
	} {
		col, err := columnOf("the column", c.sql)
		if err != nil {
			t.Fatal(err)
		}
		from, err := col.converter(c.typ)
		if err == nil {
			_, err = from(fromJSON(t, c.typ, c.json))
		}
		if !fault.Is(err, c.code) || !strings.Contains(err.Error(), `"the column"`) || !strings.Contains(fault.As(err).GetFix(), "`the column`") {
			t.Errorf("%s from %s: %v (%s)", c.sql, c.typ, err, fault.As(err).GetFix())
		}
	}
	if _, err := columnOf("x", "SHAPE"); !fault.Is(err, fault.SourceTypeUnsupported) {
		t.Errorf("an unknown type: %v", err)
	}
}

func Test_texts_of_intervals_become_durations(t *testing.T) {
	for _, c := range [][3]string{
		{"INTERVAL '1-2' YEAR TO MONTH", "INTERVAL YEAR TO MONTH", "P1Y2M"},
		{"-1-2", "INTERVAL YEAR TO MONTH", "P-1Y-2M"},
		{"INTERVAL '7' YEAR", "INTERVAL YEAR", "P7Y"},
		{"-3 04:05:06.000001", "INTERVAL DAY TO SECOND", "PT-76H-5M-6.000001S"},
		{"0 00:00:00.000000000", "INTERVAL DAY TO SECOND", "PT0S"},
		{"INTERVAL '10' MINUTE", "INTERVAL MINUTE", "PT10M"},
		{"0 00:00:00.000000001", "INTERVAL DAY TO SECOND", ""},
		{"1-2", "INTERVAL DAY TO SECOND", ""},
		{"", "INTERVAL DAY", ""},
	} {
		if got, ok := interval(c[0], c[1]); got != c[2] || ok != (c[2] != "") {
			t.Errorf("%s as %s: %q, %v; want %q", c[0], c[1], got, ok, c[2])
		}
	}
}

func Test_parameters_have_the_types_of_their_values(t *testing.T) {
	got, err := parameters([]row.Value{
		row.TextValue("x"), row.NullValue(), row.IntValue(-1), row.DecimalValue("-12.50"), row.DecimalValue("0.001"), row.BoolValue(true),
		row.DateValue(0), row.InstantValue(0, 5000), row.TimestampValue(0, 0), row.FloatValue(0.5), row.UintValue(1 << 63),
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range got {
		value := "NULL"
		if p.Value != nil {
			value = *p.Value
		}
		out = append(out, p.Name+" "+p.Type+" "+value)
	}
	want := "p1 STRING x, p2 STRING NULL, p3 BIGINT -1, p4 DECIMAL(4,2) -12.50, p5 DECIMAL(4,3) 0.001, p6 BOOLEAN true, " +
		"p7 DATE 1970-01-01, p8 TIMESTAMP 1970-01-01T00:00:00.000005Z, p9 TIMESTAMP_NTZ 1970-01-01T00:00:00, p10 DOUBLE 0.5, p11 DECIMAL(20,0) 9223372036854775808"
	if s := strings.Join(out, ", "); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
	if _, err := parameters([]row.Value{row.BytesValue([]byte{1})}); !fault.Is(err, fault.SourceValue) {
		t.Errorf("bytes: %v", err)
	}
}

func Test_a_link_does_not_lead_out_of_encryption_or_into_a_private_network(t *testing.T) {
	base, err := parseHost("acme.cloud.databricks.com", false)
	if err != nil {
		t.Fatal(err)
	}
	s := &source{config: config{base: base}, pace: pace}
	if err := s.usable(link{Address: "http://bucket.example/x?sig=abcdefgh"}); !fault.Is(err, fault.SourceIncomplete) || strings.Contains(err.Error(), "sig") {
		t.Errorf("without encryption: %v", err)
	}
	if err := s.usable(link{Address: "https://bucket.example/x"}); err != nil {
		t.Error(err)
	}
	if s.plain, err = httpkit.New(httpkit.Options{BaseURL: base.String()}); err != nil {
		t.Fatal(err)
	}
	r := &reading{source: s, m: manifest{ChunkCount: 1}, first: part{Links: []link{{Address: "https://127.0.0.1:1/x?sig=abcdefgh"}}}}
	_, err = r.chunk(t.Context(), 0)
	if f := fault.As(err); f == nil || f.Code != fault.SourceIncomplete || !strings.Contains(f.GetFix(), "allow_private") || strings.Contains(f.Error(), "sig") {
		t.Errorf("a private address: %v", err)
	}
}

func Test_codes_and_numbers_are_read_in_both_of_their_forms(t *testing.T) {
	var a answer
	err := httpkit.DecodeJSON([]byte(`{"status":{"error":{"error_code":403,"message":"no"}},"manifest":{"total_row_count":"7","total_chunk_count":1}}`), &a)
	if err != nil || a.Status.Error.Code != "403" || a.Manifest.RowCount != 7 || a.Manifest.ChunkCount != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}
