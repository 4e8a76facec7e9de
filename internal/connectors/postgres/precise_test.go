package postgres

import (
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// PostgreSQL rounds times to the digits of a column, and drops the fields an interval column does not name, without a word.
func Test_times_finer_than_their_column_are_refused_not_rounded(t *testing.T) {
	span := func(s string) row.Value { return row.StringKind(row.Interval, s) }
	list := func(s string) row.Value { return row.StringKind(row.Array, s) }
	ways(t, func(t *testing.T, d *db, _ *destination, send func(load, ...[]row.Value) []string) {
		d.exec(`CREATE DOMAIN whole AS timestamp(0);
		  CREATE TABLE t (id int PRIMARY KEY, t0 time(0), t3 time(3), t time, s3 timestamp(3), s6 timestamp(6), dom whole, z0 timestamptz(0), z timestamptz,
		    i interval, i0 interval(0), im interval year to month, iy interval year, id2 interval day, ih interval day to hour, imi interval minute, is3 interval second(3),
		    as3 timestamp(3)[], at time[], az timestamptz[], ai interval(0)[], m money, tt timetz, tt0 timetz(0))`)
		for _, c := range []struct {
			field string
			v     row.Value
			want  string
		}{
			{"t0", row.TimeValue(1e9), "00:00:01"},
			{"t0", row.TimeValue(86_399_999_999_000), "VALUE_TYPE t0"},
			{"t3", row.TimeValue(1e6), "00:00:00.001"},
			{"t3", row.TimeValue(1e5), "VALUE_TYPE t3"},
			{"t", row.TimeValue(1e3), "00:00:00.000001"},
			{"s3", row.TimestampValue(-1, 999_000_000), "1969-12-31 23:59:59.999"},
			{"s3", row.TimestampValue(-1, 999_999_000), "VALUE_TYPE s3"},
			{"s6", row.TimestampValue(-1, 999_999_000), "1969-12-31 23:59:59.999999"},
			{"dom", row.TimestampValue(0, 0), "1970-01-01 00:00:00"},
			{"dom", row.TimestampValue(0, 500_000_000), "VALUE_TYPE dom"},
			{"z0", row.InstantValue(1, 0), "1970-01-01 00:00:01+00"},
			{"z0", row.InstantValue(0, 1_000), "VALUE_TYPE z0"},
			{"z", row.InstantValue(0, 1_000), "1970-01-01 00:00:00.000001+00"},
			{"i", span("P1Y2M3DT4H5M6.789012S"), "1 year 2 mons 3 days 04:05:06.789012"},
			{"i0", span("P1DT1S"), "1 day 00:00:01"},
			{"i0", span("PT1.5S"), "VALUE_TYPE i0"},
			{"im", span("P1Y2M"), "1 year 2 mons"},
			{"im", span("P1Y2M1D"), "VALUE_TYPE im"},
			{"iy", span("P24M"), "2 years"},
			{"iy", span("P1Y2M"), "VALUE_TYPE iy"},
			{"id2", span("P1M3D"), "1 mon 3 days"},
			{"id2", span("PT1S"), "VALUE_TYPE id2"},
			{"ih", span("P1DT2H"), "1 day 02:00:00"},
			{"ih", span("P1DT2H1M"), "VALUE_TYPE ih"},
			{"imi", span("PT61M"), "01:01:00"},
			{"imi", span("PT1S"), "VALUE_TYPE imi"},
			{"is3", span("PT1H0.001S"), "01:00:00.001"},
			{"is3", span("PT0.0001S"), "VALUE_TYPE is3"},
			{"as3", list(`["2026-03-29 02:30:00.123",null]`), `{"2026-03-29 02:30:00.123",NULL}`},
			{"as3", list(`["2026-03-29 02:30:00.1234"]`), "VALUE_TYPE as3"},
			{"at", list(`["12:00:00.000001"]`), "{12:00:00.000001}"},
			{"at", list(`["12:00:00.0000001"]`), "VALUE_TYPE at"},
			{"az", list(`["2026-03-29T01:30:00.000001Z"]`), `{"2026-03-29 01:30:00.000001+00"}`},
			{"az", list(`["2026-03-29T01:30:00.0000015Z"]`), "VALUE_TYPE az"},
			{"az", list(`["29.03.2026 01:30:00.0000015Z"]`), "VALUE_TYPE az"},
			{"m", dec("1.50"), "$1.50"},
			{"m", dec("1.005"), "VALUE_TYPE m"},
			{"m", txt("$1,000.10"), "$1,000.10"},
			{"m", txt("1.005"), "VALUE_TYPE m"},
			{"tt", txt("12:00:00.000001+02"), "12:00:00.000001+02"},
			{"tt", txt("12:00:00.0000015+02"), "VALUE_TYPE tt"},
			{"tt0", txt("12:00:00.000+02"), "12:00:00+02"},
			{"tt0", txt("12:00:00.5+02"), "VALUE_TYPE tt0"},
			{"ai", list(`["PT1S"]`), "{00:00:01}"},
			{"ai", list(`["PT1.5S"]`), "VALUE_TYPE ai"},
		} {
			l := load{object: "t", op: connector.OpUpsert, match: []string{"id"}, fields: []string{c.field}}
			got := strings.TrimPrefix(send(l, vals(num(1), c.v))[0], "rejected ")
			if got == "created" {
				got = d.text("SELECT " + c.field + " FROM t")
			}
			if got != c.want {
				t.Errorf("%s into %s: %s, want %s", c.v, c.field, got, c.want)
			}
			d.exec("DELETE FROM t")
		}
	})
}
