package bigquery

import (
	"strings"
	"testing"

	"cloud.google.com/go/bigquery"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_a_kind_of_several_types_names_the_type(t *testing.T) {
	o := openWith(t, standIn(t, bigquerytest.Options{}), nil)
	for sql, want := range map[string]string{
		"NUMERIC '1'":                     "NUMERIC",
		"BIGNUMERIC '1'":                  "BIGNUMERIC",
		"[1]":                             "ARRAY<INT64>",
		"['x']":                           "ARRAY<STRING>",
		"STRUCT(1.5 AS a, [TRUE] AS `b`)": "STRUCT<`a` FLOAT64, `b` ARRAY<BOOL>>",
		"JSON '1'":                        "JSON",
		"1":                               "",
		"'x'":                             "",
	} {
		schema, err := o.Describe(t.Context(), connector.Query{SQL: "SELECT " + sql + " AS v"})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := schema.Field(0).Metadata.GetValue(row.TypeKey); got != want {
			t.Errorf("%s: %q; want %q", sql, got, want)
		}
	}
}

// batch makes an Arrow column of JSON.
func batch(t *testing.T, typ arrow.DataType, text string) arrow.RecordBatch {
	t.Helper()
	a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(text), array.WithUseNumber())
	if err != nil {
		t.Fatal(err)
	}
	return array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "v", Type: typ, Nullable: true}}, nil), []arrow.Array{a}, int64(a.Len()))
}

func Test_what_a_session_sends_otherwise_than_declared_is_refused(t *testing.T) {
	p, err := planned(bigquery.Schema{{Name: "v", Type: bigquery.IntegerFieldType}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*arrow.Schema{
		arrow.NewSchema(nil, nil),
		arrow.NewSchema([]arrow.Field{{Name: "w", Type: arrow.PrimitiveTypes.Int64}}, nil),
		arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.BinaryTypes.String}}, nil),
	} {
		wantFault(t, p.fits(s), fault.SourceIncomplete)
	}
	p, err = planned(bigquery.Schema{{Name: "v", Type: bigquery.TimestampFieldType}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.convert(batch(t, &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}, `["2026-01-01 00:00:00"]`))
	wantFault(t, err, fault.SourceIncomplete, "timestamp[ns")
	if _, err := planned(bigquery.Schema{{Name: "v", Type: bigquery.TimestampFieldType, TimestampPrecision: 12}}); !fault.Is(err, fault.SourceTypeUnsupported) {
		t.Errorf("picoseconds: %v", err)
	}
	if _, err := planned(nil); !fault.Is(err, fault.SourceQueryFailed) {
		t.Errorf("no columns: %v", err)
	}
}

func Test_a_null_list_is_an_empty_one_and_infinity_in_a_list_is_refused(t *testing.T) {
	p, err := planned(bigquery.Schema{{Name: "v", Type: bigquery.FloatFieldType, Repeated: true}})
	if err != nil {
		t.Fatal(err)
	}
	list := arrow.ListOf(arrow.PrimitiveTypes.Float64)
	got, err := p.convert(batch(t, list, `[[1.5, null], null, []]`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"[1.5,null]", "[]", "[]"} {
		if v := row.At(got.Column(0), row.Array, i); v.String() != want {
			t.Errorf("row %d: %s; want %s", i, v, want)
		}
	}
	_, err = p.convert(batch(t, list, `[["+Inf"]]`))
	wantFault(t, err, fault.SourceValue, `"v"`, "TO_JSON_STRING(`v`)")
	_, err = p.columns[0].appendValue(nil, p.columns[0].from, []bigquery.Value{1.5, infinity()})
	wantFault(t, err, fault.SourceValue)
	if b, err := p.columns[0].appendValue(nil, p.columns[0].from, nil); err != nil || string(b) != "[]" {
		t.Errorf("%s, %v", b, err)
	}
}

func infinity() float64 {
	zero := 0.0
	return 1 / zero
}

func Test_zeros_at_a_decimals_end_go_and_no_others(t *testing.T) {
	for from, to := range map[string]string{"1.500000000": "1.5", "0.000000000": "0", "-100.000000000": "-100", "100": "100", "0.000000001": "0.000000001"} {
		if got := trimmed(from); got != to {
			t.Errorf("%s: %s", from, got)
		}
	}
}
