package duckdb

import (
	"context"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// Every type arrives exactly, as the Arrow type and kind promised, also beside a null and behind other chunks.
func Test_every_type_arrives_exactly(t *testing.T) {
	for _, c := range []struct{ expr, typ, kind, want string }{
		{"true", "bool", "", "true"},
		{"(-128)::TINYINT", "int8", "", "-128"},
		{"(-32768)::SMALLINT", "int16", "", "-32768"},
		{"(-2147483648)::INTEGER", "int32", "", "-2147483648"},
		{"9007199254740993::BIGINT", "int64", "", "9007199254740993"},
		{"255::UTINYINT", "uint8", "", "255"},
		{"65535::USMALLINT", "uint16", "", "65535"},
		{"4294967295::UINTEGER", "uint32", "", "4294967295"},
		{"18446744073709551615::UBIGINT", "uint64", "", "18446744073709551615"},
		{"'-170141183460469231731687303715884105728'::HUGEINT", "utf8", "decimal", "-170141183460469231731687303715884105728"},
		{"-5::HUGEINT", "utf8", "decimal", "-5"},
		{"9223372036854775808::HUGEINT", "utf8", "decimal", "9223372036854775808"},
		{"340282366920938463463374607431768211455::UHUGEINT", "utf8", "decimal", "340282366920938463463374607431768211455"},
		{"'123456789012345678901234567890123456789012345'::BIGNUM", "utf8", "decimal", "123456789012345678901234567890123456789012345"},
		{"0.5::FLOAT", "float32", "", "0.5"},
		{"0.1::DOUBLE", "float64", "", "0.1"},
		{"'NaN'::DOUBLE", "float64", "", "NaN"},
		{"'-inf'::DOUBLE", "float64", "", "-Inf"},
		{"-12.34::DECIMAL(4,2)", "decimal(4, 2)", "", "-12.34"},
		{"-1234567.89::DECIMAL(9,2)", "decimal(9, 2)", "", "-1234567.89"},
		{"-1234567890123456.78::DECIMAL(18,2)", "decimal(18, 2)", "", "-1234567890123456.78"},
		{"'-12345678901234567890.123456789012345678'::DECIMAL(38,18)", "decimal(38, 18)", "", "-12345678901234567890.123456789012345678"},
		{"'O''Brien'", "utf8", "", "O'Brien"},
		{"'twelve bytes'", "utf8", "", "twelve bytes"},
		{"'thirteen byte'", "utf8", "", "thirteen byte"},
		{"''", "utf8", "", ""},
		{"'naïve 🦆 ' || repeat('x', 30)", "utf8", "", "naïve 🦆 " + strings.Repeat("x", 30)},
		{`'\x00\xFF'::BLOB`, "binary", "", "AP8="},
		{"DATE '9999-12-31'", "date32", "", "9999-12-31"},
		{"DATE '0044-03-15 (BC)'", "date32", "", "-0043-03-15"},
		{"TIME '23:59:59.999999'", "time64[us]", "", "23:59:59.999999"},
		{"'12:34:56.123456789'::TIME_NS", "time64[ns]", "", "12:34:56.123456789"},
		{"'12:34:56.5+05:30'::TIMETZ", "utf8", "", "12:34:56.5+05:30"},
		{"'12:34:56-08'::TIMETZ", "utf8", "", "12:34:56-08:00"},
		{"'2024-03-31 02:30:00'::TIMESTAMP_S", "timestamp[s]", "", "2024-03-31T02:30:00Z"},
		{"'2024-03-31 02:30:00.123'::TIMESTAMP_MS", "timestamp[ms]", "", "2024-03-31T02:30:00.123Z"},
		{"'9999-12-31 23:59:59.999999'::TIMESTAMP", "timestamp[us]", "", "9999-12-31T23:59:59.999999Z"},
		{"'2024-03-31 02:30:00.123456789'::TIMESTAMP_NS", "timestamp[ns]", "", "2024-03-31T02:30:00.123456789Z"},
		{"'2024-03-31 02:30:00+02'::TIMESTAMPTZ", "timestamp[us, tz=UTC]", "", "2024-03-31T00:30:00Z"},
		{"'2024-07-01 12:00:00'::TIMESTAMPTZ", "timestamp[us, tz=UTC]", "", "2024-07-01T12:00:00Z"},
		{"INTERVAL '14 months -3 days 04:05:06.5'", "utf8", "interval", "P1Y2M-3DT4H5M6.5S"},
		{"INTERVAL '-0.000001 seconds'", "utf8", "interval", "PT-0.000001S"},
		{"INTERVAL 0 DAY", "utf8", "interval", "PT0S"},
		{"'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::UUID", "utf8", "uuid", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"},
		{`'{"a": 1.50}'::JSON`, "utf8", "json", `{"a": 1.50}`},
		{"'high'::ENUM ('low', 'high')", "utf8", "", "high"},
		{"[1, NULL, 9007199254740993]", "utf8", "array", "[1,null,9007199254740993]"},
		{"[1.5, 2]::DOUBLE[2]", "utf8", "array", "[1.5,2.0]"},
		{"{'a': 1, 'b': NULL, 'c': 'it''s'}", "utf8", "json", `{"a":1,"b":null,"c":"it's"}`},
		{"MAP {'k': TIMESTAMPTZ '2024-01-01 00:00:00+00'}", "utf8", "json", `{"k":"2024-01-01 00:00:00+00"}`},
		{"union_value(num := 2)", "utf8", "json", `{"num":2}`},
		{"'10101'::BIT", "utf8", "", "10101"},
	} {
		t.Run(c.expr, func(t *testing.T) {
			src := open1(t, map[string]string{})
			q := connector.Query{SQL: "SELECT v, i FROM range(5000) t(i) LEFT JOIN (SELECT " + c.expr + " AS v) ON i % 3000 = 7 ORDER BY i"}
			schema, rows, err := readAll(src, q)
			if err != nil {
				t.Fatal(err)
			}
			f := schema.Field(0)
			kind, _ := f.Metadata.GetValue(connector.KindKey)
			if f.Type.String() != c.typ || kind != c.kind {
				t.Errorf("carried as %s %q, want %s %q", f.Type, kind, c.typ, c.kind)
			}
			if len(rows) != 5000 {
				t.Fatalf("%d rows", len(rows))
			}
			for i, r := range rows {
				want := "(null)"
				if i%3000 == 7 {
					want = c.want
				}
				if r[0] != want {
					t.Fatalf("row %d: got %q, want %q", i, r[0], want)
				}
			}
			described, err := src.Describe(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			if !described.Equal(schema) {
				t.Errorf("Describe says %s, Read gave %s", described, schema)
			}
		})
	}
}

func Test_a_value_without_counterpart_ends_the_read(t *testing.T) {
	for expr, word := range map[string]string{
		"'infinity'::DATE":                   "infinite date",
		"'-infinity'::TIMESTAMP":             "infinite timestamp",
		"'infinity'::TIMESTAMPTZ":            "infinite timestamp",
		"'24:00:00'::TIME":                   "24:00:00",
		"[1.0::DOUBLE, 'NaN'::DOUBLE]":       "NaN",
		"{'a': [{'b': 'infinity'::FLOAT}]}":  "NaN",
		"MAP {'k': 'nan'::DOUBLE}":           "NaN",
		"union_value(num := '-inf'::DOUBLE)": "NaN",
		"['inf'::DOUBLE]::DOUBLE[1]":         "NaN",
	} {
		_, _, err := readAll(open1(t, map[string]string{}), connector.Query{SQL: "SELECT " + expr + ` AS "odd ""name"`})
		if !fault.Is(err, fault.SourceValue) || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), `odd \"name`) || !strings.Contains(fault.As(err).GetFix(), `"odd ""name"`) {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

func Test_a_null_infinity_is_just_null(t *testing.T) {
	_, rows, err := readAll(open1(t, map[string]string{}), connector.Query{SQL: "SELECT CASE WHEN isfinite(d) THEN d END AS d FROM (SELECT 'infinity'::DATE AS d)"})
	if err != nil || rows[0][0] != "(null)" {
		t.Fatalf("%v %v", rows, err)
	}
}

func Test_nulls_stay_with_their_rows_across_chunks(t *testing.T) {
	// A filter makes chunks of odd sizes, so validity bits are copied at odd positions.
	_, rows, err := readAll(open1(t, map[string]string{}), connector.Query{
		SQL: "SELECT i, CASE WHEN i % 7 <> 0 THEN i END AS n, CASE WHEN i > 30000 AND i % 5 <> 0 THEN 't' || i END AS s, CASE WHEN i % 11 <> 0 THEN i % 2 = 0 END AS b FROM range(100000) t(i) WHERE hash(i) % 3 <> 0",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 60000 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows {
		i := atoi(t, r[0])
		want := []string{r[0], "(null)", "(null)", "(null)"}
		if i%7 != 0 {
			want[1] = r[0]
		}
		if i > 30000 && i%5 != 0 {
			want[2] = "t" + r[0]
		}
		if i%11 != 0 {
			want[3] = map[bool]string{true: "true", false: "false"}[i%2 == 0]
		}
		if strings.Join(r, "|") != strings.Join(want, "|") {
			t.Fatalf("got %v, want %v", r, want)
		}
	}
}

func Test_the_first_null_of_a_batch_leaves_earlier_rows_alone(t *testing.T) {
	_, rows, err := readAll(open1(t, map[string]string{}), connector.Query{SQL: "SELECT CASE WHEN i <> 9000 THEN i END AS n, CASE WHEN i <> 20000 THEN 'x' END AS s FROM range(30000) t(i)"})
	if err != nil || len(rows) != 30000 {
		t.Fatal(len(rows), err)
	}
	for i, r := range rows {
		if (r[0] == "(null)") != (i == 9000) || (r[1] == "(null)") != (i == 20000) {
			t.Fatalf("row %d: %v", i, r)
		}
	}
}

func Test_a_column_without_a_type_is_null(t *testing.T) {
	_, rows, err := readAll(open1(t, map[string]string{}), connector.Query{SQL: "SELECT NULL AS nothing, 1 AS one FROM range(3)"})
	if err != nil || len(rows) != 3 || rows[2][0] != "(null)" || rows[2][1] != "1" {
		t.Fatalf("%v %v", rows, err)
	}
}

func Test_dictionary_and_constant_vectors_are_read_flat(t *testing.T) {
	src := open1(t, map[string]string{})
	_, rows, err := readAll(src, connector.Query{SQL: "SELECT 'constant text of some length' AS c, g FROM (SELECT 'group number ' || (i % 3) AS g FROM range(6000) t(i)) ORDER BY g"})
	if err != nil || len(rows) != 6000 {
		t.Fatal(len(rows), err)
	}
	for i, r := range rows {
		if r[0] != "constant text of some length" || r[1] != "group number "+string(rune('0'+i/2000)) {
			t.Fatalf("row %d: %v", i, r)
		}
	}
}
