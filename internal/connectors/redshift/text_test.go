package redshift

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_decimals_are_read_exactly_or_refused(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		scale := rapid.IntRange(0, 38).Draw(rt, "scale")
		digits := strings.TrimLeft(rapid.StringMatching(`[0-9]{1,38}`).Draw(rt, "digits"), "0")
		if len(digits) <= scale {
			digits = strings.Repeat("0", scale+1-len(digits)) + digits
		}
		text := digits[:len(digits)-scale]
		if scale > 0 {
			text += "." + digits[len(digits)-scale:]
		}
		want, _ := new(big.Int).SetString(digits, 10)
		if rapid.Bool().Draw(rt, "negative") {
			text = "-" + text
			want.Neg(want)
		}
		lo, hi, err := parseDecimal([]byte(text), scale)
		if got := decimal128.New(int64(hi), lo).BigInt(); err != nil || got.Cmp(want) != 0 {
			rt.Fatalf("%s with scale %d: %s, %v", text, scale, got, err)
		}
	})
	for text, scale := range map[string]int{"": 2, "-": 2, "1.234": 2, "1.2.3": 4, "1e5": 2, "NaN": 2, "123456789012345678901234567890123456789": 0, " 1": 0} {
		if lo, hi, err := parseDecimal([]byte(text), scale); err == nil && text != "-" {
			t.Errorf("%q: %d %d", text, hi, lo)
		}
	}
}

func Test_times_are_read_as_the_calendar_has_them(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(-62135596800000000, 253402300799999999).Draw(rt, "microseconds")).UTC()
		if got, err := parseTimestamp([]byte(at.Format("2006-01-02 15:04:05.999999"))); err != nil || got != at.UnixMicro() {
			rt.Fatalf("%s: %d, %v", at, got, err)
		}
		if got, err := parseTimestamp([]byte(at.Format("2006-01-02 15:04:05.999999+00"))); err != nil || got != at.UnixMicro() {
			rt.Fatalf("%s: %d, %v", at, got, err)
		}
	})
	for _, text := range []string{"", "2024-01-01", "2024-01-01 10:00", "2024-01-01T10:00:00", "01.02.2024 10:00:00", "2024-01-01 10:00:00+01", "2024-01-01 10:00:00.1234567", "2024-13-01 10:00:00"} {
		if got, err := parseTimestamp([]byte(text)); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func Test_intervals_keep_months_days_and_time_apart(t *testing.T) {
	for text, want := range map[string]string{
		"1 year 2 mons": "P1Y2M", "-1 years -2 mons": "P-1Y-2M", "3 days": "P3D", "3 days -04:05:06.5": "P3DT-4H-5M-6.5S", "00:00:00": "PT0S",
		"100:00:00": "PT100H", "1 year 2 mons 3 days 00:00:00.000001": "P1Y2M3DT0.000001S", "1 mon -1 days": "P1M-1D", "": "PT0S",
	} {
		if got, err := appendInterval(nil, []byte(text)); err != nil || string(got) != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"P1Y", "1 fortnight", "one day", "1 day 2", "1:2:3", "04:05:06 1 day"} {
		if got, err := appendInterval(nil, []byte(text)); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func Test_values_take_the_place_of_parameters_and_of_nothing_else(t *testing.T) {
	values := []row.Value{row.TextValue("it's"), row.IntValue(7), row.NullValue()}
	for sql, want := range map[string]string{
		"a = $1 AND b = $2":                   "a = 'it''s' AND b = '7'",
		"$3":                                  "NULL",
		"'$1' || $2":                          "'$1' || '7'",
		`'a\'$1' || $2`:                       `'a\'$1' || '7'`,
		`'a''$1' || $2`:                       `'a''$1' || '7'`,
		`"col$1" = $2`:                        `"col$1" = '7'`,
		"-- $1\n$2":                           "-- $1\n'7'",
		"/* $1 /* $1 */ $1 */ $2":             "/* $1 /* $1 */ $1 */ '7'",
		"a - $2 / $2":                         "a - '7' / '7'",
		"$9 and $":                            "$9 and $",
		"a=$1-$2":                             "a='it''s'-'7'",
		"'unended $1":                         "'unended $1",
		"SELECT 1 WHERE x = $1 -- the end $1": "SELECT 1 WHERE x = 'it''s' -- the end $1",
	} {
		if got, err := splice(sql, values); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", sql, got, err, want)
		}
	}
}

func Test_a_text_longer_than_a_varchar_is_refused(t *testing.T) {
	if _, err := literal(row.TextValue(strings.Repeat("é", maxText/2))); err != nil {
		t.Errorf("65,534 bytes: %v", err)
	}
	for _, text := range []string{strings.Repeat("x", maxText+1), "a\x00b"} {
		if _, err := literal(row.TextValue(text)); !fault.Is(err, fault.SourceValue) {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}
