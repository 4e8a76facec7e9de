package databricks

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/row"
)

// Texts of intervals: the literal, INTERVAL '1-2' YEAR TO MONTH, or what stands between its quotes, with all fields of its kind
// (https://docs.databricks.com/aws/en/sql/language-manual/data-types/interval-type).
var (
	intervalLiteral = regexp.MustCompile(`(?i)^INTERVAL '([^']*)' ([A-Z ]+)$`)
	yearMonth       = regexp.MustCompile(`^([+-]?)(\d{1,9})-(\d{1,2})$`)
	dayTime         = regexp.MustCompile(`^([+-]?)(\d{1,9}) (\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,9}))?$`)
)

// interval turns the text of an interval of a SQL type, as the API writes it, into an ISO 8601 duration.
func interval(s, sql string) (string, bool) {
	if m := intervalLiteral.FindStringSubmatch(s); m != nil {
		s, sql = m[1], "INTERVAL "+m[2]
	}
	sql = strings.ToUpper(sql)
	months := strings.Contains(sql, "YEAR") || strings.Contains(sql, "MONTH")
	if m := yearMonth.FindStringSubmatch(s); m != nil && months {
		n := number10(m[2])*12 + number10(m[3])
		return duration(arrow.FixedWidthTypes.MonthInterval, signed(m[1], n)), true
	}
	if m := dayTime.FindStringSubmatch(s); m != nil && !months {
		n := number10(m[2])*int64(24*time.Hour/time.Microsecond) + number10(m[3])*int64(time.Hour/time.Microsecond) +
			number10(m[4])*int64(time.Minute/time.Microsecond) + number10(m[5])*int64(time.Second/time.Microsecond)
		fraction := (m[6] + "000000000")[:9]
		if fraction[6:] != "000" { // intervals have microseconds
			return "", false
		}
		return duration(arrow.FixedWidthTypes.Duration_us, signed(m[1], n+number10(fraction[:6]))), true
	}
	// A single field: INTERVAL '-7' DAY.
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return "", false
	}
	switch strings.TrimSpace(strings.TrimPrefix(sql, "INTERVAL")) {
	case "YEAR":
		return duration(arrow.FixedWidthTypes.MonthInterval, n*12), true
	case "MONTH":
		return duration(arrow.FixedWidthTypes.MonthInterval, n), true
	case "DAY":
		return duration(arrow.FixedWidthTypes.Duration_us, n*int64(24*time.Hour/time.Microsecond)), true
	case "HOUR":
		return duration(arrow.FixedWidthTypes.Duration_us, n*int64(time.Hour/time.Microsecond)), true
	case "MINUTE":
		return duration(arrow.FixedWidthTypes.Duration_us, n*int64(time.Minute/time.Microsecond)), true
	case "SECOND":
		return duration(arrow.FixedWidthTypes.Duration_us, n*int64(time.Second/time.Microsecond)), true
	}
	return "", false
}

func number10(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) //nolint:errcheck // few digits, by the expressions above
	return n
}

func signed(sign string, n int64) int64 {
	if sign == "-" {
		return -n
	}
	return n
}

// duration writes a number of months or microseconds as such a value in an Arrow column is written.
func duration(t arrow.DataType, n int64) string {
	b := array.NewBuilder(memory.DefaultAllocator, t)
	defer b.Release()
	switch b := b.(type) {
	case *array.MonthIntervalBuilder:
		b.Append(arrow.MonthInterval(n))
	case *array.DurationBuilder:
		b.Append(arrow.Duration(n))
	}
	a := b.NewArray()
	defer a.Release()
	return row.At(a, row.Interval, 0).Str()
}
