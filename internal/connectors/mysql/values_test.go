package mysql

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func at(text string) (int64, uint32) {
	t, err := time.Parse("2006-01-02 15:04:05.999999999", text)
	if err != nil {
		panic(err)
	}
	return t.Unix(), uint32(t.Nanosecond())
}

func stamp(s string) row.Value   { return row.TimestampValue(at(s)) }
func instant(s string) row.Value { return row.InstantValue(at(s)) }
func date(s string) row.Value {
	sec, _ := at(s + " 00:00:00")
	return row.DateValue(sec / 86400)
}

// Every type comes back from the source and from ReadBack as it was written.
func Test_every_type_goes_there_and_back_exactly(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	for _, c := range []struct {
		column string
		kind   string // as the source tells it; "" = as the value
		values []row.Value
	}{
		{"TINYINT", "", []row.Value{num(-128), num(127)}},
		{"TINYINT UNSIGNED", "", []row.Value{num(255)}},
		{"SMALLINT", "", []row.Value{num(-32768)}},
		{"MEDIUMINT", "", []row.Value{num(-8388608)}},
		{"INT UNSIGNED", "", []row.Value{num(4294967295)}},
		{"BIGINT", "", []row.Value{num(math.MinInt64), num(9007199254740993)}},
		{"BIGINT UNSIGNED", "uint", []row.Value{row.UintValue(math.MaxUint64), num(0)}},
		{"DECIMAL(38,18)", "", []row.Value{row.DecimalValue("-12345678901234567890.123456789012345678"), row.DecimalValue("0.000000000000000001")}},
		{"DECIMAL(65,0)", "", []row.Value{row.DecimalValue(strings.Repeat("9", 65))}},
		{"FLOAT", "", []row.Value{row.FloatValue(0.5), row.FloatValue(0.1), row.FloatValue(-16777216)}},
		{"DOUBLE", "", []row.Value{row.FloatValue(0.1), row.FloatValue(math.MaxFloat64), row.FloatValue(5e-324), row.FloatValue(1 << 53)}},
		{"BIT(64)", "uint", []row.Value{row.UintValue(math.MaxUint64), num(5)}},
		{"YEAR", "", []row.Value{num(1901), num(2155), num(0)}},
		{"CHAR(5)", "", []row.Value{text("O'Bé"), text("🦆🦆🦆🦆🦆")}},
		{"VARCHAR(300)", "", []row.Value{text("it's \"quoted\" \\ 100% _ \n\r\t\x00\x1a;--"), text(""), text("blank at the end "), text("naïve 🦆 \u202ertl")}},
		{"MEDIUMTEXT", "", []row.Value{text(long)}},
		{"VARBINARY(20)", "", []row.Value{row.BytesValue([]byte{0, 255, '\'', '\\'}), row.BytesValue(nil)}},
		{"BINARY(2)", "", []row.Value{row.BytesValue([]byte{1, 0})}},
		{"LONGBLOB", "", []row.Value{row.BytesValue([]byte(long))}},
		{"DATE", "", []row.Value{date("9999-12-31"), date("1000-01-01"), date("2024-02-29"), date("0001-01-01")}},
		{"TIME(6)", "", []row.Value{row.TimeValue(0), row.TimeValue(86_399_999_999_000), row.TimeValue(3_600_000_001_000)}},
		{"TIME", "", []row.Value{row.TimeValue(12 * 3600e9)}},
		{"DATETIME(6)", "", []row.Value{stamp("9999-12-31 23:59:59.999999"), stamp("2024-03-31 02:30:00"), stamp("1000-01-01 00:00:00.000001")}},
		{"DATETIME", "", []row.Value{stamp("2024-10-27 02:30:00")}},
		{"TIMESTAMP(6) NULL", "", []row.Value{instant("2024-03-31 01:30:00.123456"), instant("2038-01-19 03:14:07"), instant("1970-01-01 00:00:01")}},
		{"ENUM('low','hi''gh','1')", "", []row.Value{text("hi'gh"), text("1")}},
		{"SET('a','b','c')", "", []row.Value{text("a,c"), text("")}},
	} {
		t.Run(c.column, func(t *testing.T) {
			s := start(t, "CREATE TABLE t (id INT PRIMARY KEY, v "+c.column+")")
			o := s.object("t")
			records := []record{{"id": num(0), "v": null}}
			for i, v := range c.values {
				records = append(records, record{"id": num(int64(i + 1)), "v": v})
			}
			for i, l := range s.mustWrite(target(o, connector.OpUpsert, []string{"id"}, []string{"v"}), records...) {
				if l != "delivered created" {
					t.Fatalf("%v: %s", records[i]["v"], l)
				}
			}
			kinds, rows, err := readAll(t.Context(), s.src, connector.Query{SQL: "SELECT id, v FROM t ORDER BY id"})
			if err != nil {
				t.Fatal(err)
			}
			kind := c.kind
			if kind == "" {
				kind = c.values[0].Kind().String()
			}
			if kinds["v"] != kind || len(rows) != len(records) {
				t.Fatalf("%d rows of kind %s, want %s", len(rows), kinds["v"], kind)
			}
			schema, err := s.src.Describe(t.Context(), connector.Query{SQL: "SELECT id, v FROM t ORDER BY id"})
			if err != nil {
				t.Fatal(err)
			}
			if k, err := row.KindOf(schema.Field(1)); err != nil || k.String() != kind {
				t.Errorf("Describe says %s", k)
			}
			for i, r := range records {
				if !rows[i][1].Equal(r["v"]) {
					t.Errorf("read %s, wrote %s", rows[i][1], r["v"])
				}
				found, err := s.dst.ReadBack(t.Context(), o, []string{"id"}, [][]row.Value{{r["id"]}}, []string{"v"})
				if err != nil || !found[0].Exists || !found[0].Values[0].Equal(r["v"]) {
					t.Errorf("read back %+v %v, wrote %s", found, err, r["v"])
				}
				if r["v"].IsNull() || c.column == "FLOAT" {
					continue // a FLOAT is never equal to a literal
				}
				_, hit, err := readAll(t.Context(), s.src, connector.Query{Table: "t", Equal: []connector.ColumnIs{{Column: "v", Value: r["v"]}}})
				if err != nil || len(hit) == 0 || !hit[0][1].Equal(r["v"]) {
					t.Errorf("looking for %s: %v %v", r["v"], hit, err)
				}
			}
		})
	}
}

// What the server would round, cut or take for something else is refused before it is sent.
func Test_a_value_the_column_cannot_hold_exactly_is_refused(t *testing.T) {
	for _, c := range []struct {
		column string
		value  row.Value
		code   string
	}{
		{"DECIMAL(5,2)", row.DecimalValue("1.005"), "VALUE_TYPE"},
		{"DECIMAL(5,2)", row.DecimalValue("1000"), "VALUE_TYPE"},
		{"DECIMAL(5,2)", row.FloatValue(0.125), "VALUE_TYPE"},
		{"INT", row.DecimalValue("1.5"), "VALUE_TYPE"},
		{"INT", text("1.5"), "VALUE_TYPE"},
		{"INT", text("12abc"), "VALUE_TYPE"},
		{"INT", num(1 << 33), "1264/22003"},
		{"INT UNSIGNED", num(-1), "1264/22003"},
		{"YEAR", num(24), "VALUE_TYPE"},
		{"FLOAT", row.FloatValue(0.123456789), "VALUE_TYPE"},
		{"FLOAT(7,2)", row.FloatValue(1.125), "VALUE_TYPE"},
		{"DOUBLE", row.FloatValue(math.NaN()), "VALUE_NOT_A_NUMBER"},
		{"DOUBLE", row.FloatValue(math.Inf(1)), "VALUE_NOT_A_NUMBER"},
		{"DOUBLE", num(9007199254740993), "VALUE_TYPE"},
		{"BIT(3)", num(8), "1406/22001"},
		{"VARCHAR(3)", text("abc "), "VALUE_TOO_LONG"},
		{"VARCHAR(3)", text("abcd"), "VALUE_TOO_LONG"},
		{"TINYTEXT", text(strings.Repeat("é", 128)), "VALUE_TOO_LONG"},
		{"VARCHAR(9) CHARACTER SET latin1", text("🦆"), "1366/22007"},
		{"VARCHAR(9)", row.BytesValue([]byte("x")), "VALUE_TYPE"},
		{"VARBINARY(2)", row.BytesValue([]byte("abc")), "VALUE_TOO_LONG"},
		{"BINARY(3)", row.BytesValue([]byte("ab")), "VALUE_TYPE"},
		{"DATE", stamp("2024-01-01 00:00:01"), "VALUE_TYPE"},
		{"DATE", row.DateValue(4_000_000), "VALUE_TYPE"},
		{"DATETIME(3)", stamp("2024-01-01 00:00:00.0001"), "VALUE_TYPE"},
		{"DATETIME(6)", stamp("2024-01-01 00:00:00.000000001"), "VALUE_TYPE"},
		{"TIMESTAMP NULL", instant("1969-12-31 23:59:59"), "1292/22007"},
		{"TIMESTAMP NULL", instant("2024-01-01 00:00:00.5"), "VALUE_TYPE"},
		{"TIME", row.TimeValue(1_500_000_000), "VALUE_TYPE"},
		{"TIME", row.StringKind(row.Interval, "P1M"), "VALUE_TYPE"},
		{"ENUM('low','high')", text("1"), "VALUE_NOT_IN_PICKLIST"},
		{"ENUM('low','high')", text(""), "VALUE_NOT_IN_PICKLIST"},
		{"SET('a','b')", text("a,x"), "VALUE_NOT_IN_PICKLIST"},
		{"JSON", text("{"), "4025/23000"},
	} {
		t.Run(c.column+" "+c.value.Kind().String(), func(t *testing.T) {
			s := start(t, "CREATE TABLE t (id INT PRIMARY KEY, v "+c.column+")")
			to := target(s.object("t"), connector.OpUpsert, []string{"id"}, []string{"v"})
			lines := s.mustWrite(to, record{"id": num(1), "v": c.value}, record{"id": num(2), "v": null})
			if !strings.HasPrefix(lines[0], "rejected "+c.code) || lines[1] != "delivered created" {
				t.Errorf("%s into %s: %v", c.value, c.column, lines)
			}
			if got := s.table("SELECT id FROM t"); len(got) != 1 {
				t.Errorf("the table has %v", got)
			}
		})
	}
}

func Test_values_of_other_kinds_go_in_where_nothing_is_lost(t *testing.T) {
	for _, c := range []struct {
		column string
		value  row.Value
		want   string
	}{
		{"TINYINT(1)", row.BoolValue(true), "1"},
		{"BIT(1)", row.BoolValue(true), "\x01"},
		{"INT", row.FloatValue(3), "3"},
		{"INT", text("0042"), "42"},
		{"INT", row.DecimalValue("42.000"), "42"},
		{"DECIMAL(5,2)", row.FloatValue(0.1), "0.10"},
		{"VARCHAR(30)", num(7), "7"},
		{"VARCHAR(30)", row.BoolValue(false), "false"},
		{"VARCHAR(30)", stamp("2024-01-01 00:00:00.5"), "2024-01-01T00:00:00.5"},
		{"DATETIME", date("2024-01-01"), "2024-01-01 00:00:00"},
		{"DATETIME", instant("2024-01-01 10:00:00"), "2024-01-01 10:00:00"},
		{"TIME", row.StringKind(row.Interval, "-P1DT2H3M"), ""},
		{"TIME", row.StringKind(row.Interval, "P1DT2H3M4S"), "26:03:04"},
		{"JSON", row.StringKind(row.Array, `[1,"a"]`), `[1,"a"]`},
		{"JSON", num(5), "5"},
		{"JSON", text(`{"a":1}`), `{"a":1}`},
		{"DATETIME", text("2024-01-01T10:00:00"), "2024-01-01 10:00:00"},
		{"VARBINARY(9)", text("é"), "é"},
		{"UUID", row.StringKind(row.UUID, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"},
	} {
		s := start(t, "CREATE TABLE t (id INT PRIMARY KEY, v "+c.column+")")
		lines := s.mustWrite(target(s.object("t"), connector.OpUpsert, []string{"id"}, []string{"v"}), record{"id": num(1), "v": c.value})
		if c.want == "" {
			if !strings.HasPrefix(lines[0], "rejected VALUE_TYPE") {
				t.Errorf("%s into %s: %v", c.value, c.column, lines)
			}
			continue
		}
		if got := s.table("SELECT v FROM t"); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s into %s: %v %q, want %q", c.value, c.column, lines, got, c.want)
		}
	}
}

func Test_a_source_value_without_counterpart_ends_the_read(t *testing.T) {
	s := start(t, "SET sql_mode=''", "CREATE TABLE t (d DATE, dt DATETIME, tm TIME, g POINT)")
	s.db.SetMaxOpenConns(1)
	s.run("SET SESSION sql_mode='ALLOW_INVALID_DATES'", "INSERT INTO t VALUES ('0000-00-00', '2024-00-10 00:00:00', '-01:00:00', NULL), ('2024-02-31', NULL, '25:00:00', NULL)")
	for sql, code := range map[string]fault.Code{
		"SELECT d FROM t": fault.SourceValue, "SELECT dt FROM t": fault.SourceValue, "SELECT tm FROM t WHERE tm < 0": fault.SourceValue, "SELECT tm FROM t WHERE tm > 0": fault.SourceValue,
		"SELECT d FROM t WHERE d > 0": fault.SourceValue, "SELECT g FROM t": fault.SourceTypeUnsupported,
	} {
		_, _, err := readAll(t.Context(), s.src, connector.Query{SQL: sql})
		if !fault.Is(err, code) || !strings.Contains(err.Error(), "column") || !strings.Contains(fault.As(err).GetFix(), "model") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	_, rows, err := readAll(t.Context(), s.src, connector.Query{SQL: "SELECT NULLIF(d, 0) AS d, CAST(tm AS CHAR) AS tm FROM t WHERE d = 0"})
	if err != nil || !rows[0][0].IsNull() || rows[0][1].Str() != "-01:00:00" {
		t.Errorf("the remedies: %v %v", rows, err)
	}
}
