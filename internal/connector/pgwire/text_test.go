package pgwire

import (
	"testing"

	"github.com/upwelldata/upwell/internal/row"
)

func Test_a_parameter_is_the_text_a_server_reads_as_the_same_value(t *testing.T) {
	for _, c := range []struct {
		v    row.Value
		want string
	}{
		{row.IntValue(-7), "-7"},
		{row.TextValue(""), ""},
		{row.StringKind(row.Bytes, "\x00\xff"), `\x00ff`},
		{row.DateValue(0), "1970-01-01"},
		{row.DateValue(-719528), "0001-01-01 BC"}, // the year 0 of ISO 8601
		{row.DateValue(-719529), "0002-12-31 BC"}, // the day before
		{row.DateValue(2932897), "10000-01-01"},   // no sign before five digits
		{row.TimestampValue(0, 0), "1970-01-01 00:00:00"},
		{row.TimestampValue(1, 500_000_000), "1970-01-01 00:00:01.5"},
		{row.InstantValue(0, 1_000), "1970-01-01 00:00:00.000001+00"},
		{row.InstantValue(-62167219200, 0), "0001-01-01 00:00:00+00 BC"},
	} {
		if got := Param(c.v, `\x`); got == nil || string(got) != c.want {
			t.Errorf("%s %v: got %q; want %q", c.v.Kind(), c.v, got, c.want)
		}
	}
	for _, v := range []row.Value{row.NullValue(), {}} {
		if got := Param(v, ""); got != nil {
			t.Errorf("%s: got %q; want null", v.Kind(), got)
		}
	}
}

func Test_seconds_of_a_duration_end_in_no_zero(t *testing.T) {
	for micros, want := range map[int64]string{1: "0.000001S", 1_500_000: "1.5S", -2_000_000: "-2S", -10: "-0.00001S"} {
		if got := string(AppendSeconds(nil, micros)); got != want {
			t.Errorf("%d: got %s; want %s", micros, got, want)
		}
	}
}
