package pgwire

import (
	"fmt"
	"strconv"

	"github.com/upwelldata/upwell/internal/row"
)

// Param gives a parameter in text format; nil is null. The server reads it in the type of the column it is compared with. Bytes are
// hexadecimal digits behind what the server marks them with.
func Param(v row.Value, hexMark string) []byte {
	switch v.Kind() {
	case row.Null, row.Absent:
		return nil
	case row.Bytes:
		return fmt.Appendf(nil, "%s%x", hexMark, v.Str())
	case row.Date, row.Timestamp, row.Instant:
		return appendTime(nil, v)
	case row.Bool, row.Int, row.Uint, row.Float, row.Decimal, row.Text, row.Time, row.Interval, row.UUID, row.JSON, row.Array:
	}
	return v.AppendText([]byte{})
}

// appendTime writes a date or time as these servers read it: years beyond 9999 bare, years before 1 counted down from 1 BC. UTC is
// written +00, which Redshift prints and PostgreSQL reads as it reads Z.
func appendTime(b []byte, v row.Value) []byte {
	t := v.GoTime()
	y, bc := t.Year(), false
	if y < 1 {
		y, bc = 1-y, true
	}
	b = fmt.Appendf(b, "%04d", y)
	switch v.Kind() {
	case row.Date:
		b = t.AppendFormat(b, "-01-02")
	case row.Instant:
		b = t.AppendFormat(b, "-01-02 15:04:05.999999999+00")
	default:
		b = t.AppendFormat(b, "-01-02 15:04:05.999999999")
	}
	if bc {
		b = append(b, " BC"...)
	}
	return b
}

// AppendSeconds writes microseconds as the seconds of an ISO 8601 duration, without zeros at the end.
func AppendSeconds(dst []byte, micros int64) []byte {
	if micros < 0 {
		dst, micros = append(dst, '-'), -micros
	}
	dst = strconv.AppendInt(dst, micros/1_000_000, 10)
	if f := micros % 1_000_000; f != 0 {
		text := strconv.AppendInt(nil, f+1_000_000, 10)
		for text[len(text)-1] == '0' {
			text = text[:len(text)-1]
		}
		dst = append(append(dst, '.'), text[1:]...)
	}
	return append(dst, 'S')
}
