package mysql

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// refusal is why a row cannot be sent.
type refusal struct {
	code    fault.Code
	field   string
	message string
}

func (s *slot) refuse(code fault.Code, format string, args ...any) *refusal {
	return &refusal{code, s.name, fmt.Sprintf(format, args...)}
}

// encode appends a value as an SQL literal for this column, or says why the column cannot hold it exactly. What the server would
// round or cut with a mere note (digits of decimals and seconds, blanks at the end of a text) is refused here; what it refuses in
// strict mode (ranges, characters of another set) is left to it.
// https://dev.mysql.com/doc/refman/8.4/en/sql-mode.html#sql-mode-strict
func (s *slot) encode(b []byte, v row.Value) ([]byte, *refusal) {
	switch v.Kind() {
	case row.Null, row.Absent:
		return append(b, "NULL"...), nil
	case row.Text, row.JSON, row.Array, row.Interval, row.UUID:
		if !utf8.ValidString(v.Str()) {
			return b, s.refuse(fault.TextInvalid, "a text of %d bytes is not valid UTF-8", len(v.Str()))
		}
	case row.Float:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return b, s.refuse(fault.ValueNotNumber, "%v is not a finite number", f)
		}
	case row.Bool, row.Int, row.Uint, row.Decimal, row.Bytes, row.Date, row.Time, row.Timestamp, row.Instant:
	}
	switch s.data {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year", "bit", "float", "double":
		return s.encodeNumber(b, v)
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return s.encodeBytes(b, v)
	case "date", "datetime", "timestamp":
		return s.encodeMoment(b, v)
	case "time":
		return s.encodeTime(b, v)
	case "json":
		text := v.Str()
		if v.Kind() != row.Text {
			text = string(v.AppendJSON(nil))
		} else if !json.Valid([]byte(text)) {
			return b, s.refuse(fault.ValueType, "a text of %d characters is not JSON", utf8.RuneCountInString(text))
		}
		if n := inexact(text); n != "" {
			return b, s.refuse(fault.ValueType, "the number %s in the JSON has more digits than a column of type json keeps; send it as a text", n)
		}
		return appendText(b, text), nil
	}
	return s.encodeText(b, v)
}

// inexact finds a number that MySQL's JSON type would change: it keeps whole numbers of 64 bits and doubles, and nothing between. MariaDB
// has no such type: its JSON is a text (https://dev.mysql.com/doc/refman/8.4/en/json.html#json-values).
func inexact(text string) string {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return "" // the end: it is JSON
		}
		n, ok := token.(json.Number)
		if !ok {
			continue
		}
		if _, err := strconv.ParseInt(string(n), 10, 64); err == nil {
			continue
		}
		if _, err := strconv.ParseUint(string(n), 10, 64); err == nil {
			continue
		}
		exact, err := row.ParseDecimal(string(n))
		f, overflow := strconv.ParseFloat(string(n), 64)
		if err != nil || overflow != nil || row.NormalDecimal(strconv.FormatFloat(f, 'f', -1, 64)) != row.NormalDecimal(exact.Str()) {
			return string(n)
		}
	}
}

// encodeNumber takes any exact number; a text counts as the number it is written as.
func (s *slot) encodeNumber(b []byte, v row.Value) ([]byte, *refusal) {
	text := ""
	switch v.Kind() {
	case row.Bool:
		text = "0"
		if v.Bool() {
			text = "1"
		}
	case row.Int, row.Uint, row.Decimal:
		text = v.String()
	case row.Float:
		if s.data == "double" && s.scale < 0 {
			return strconv.AppendFloat(b, v.Float(), 'e', -1, 64), nil
		}
		text = strconv.FormatFloat(v.Float(), 'f', -1, 64)
	case row.Text:
		d, err := row.ParseDecimal(v.Str())
		if err != nil || len(v.Str()) > 400 {
			return b, s.refuse(fault.ValueType, "a text of %d characters is not a number", utf8.RuneCountInString(v.Str()))
		}
		text = d.Str()
	case row.Absent, row.Null, row.Bytes, row.Date, row.Time, row.Timestamp, row.Instant, row.Interval, row.UUID, row.JSON, row.Array:
		return b, s.refuse(fault.ValueType, "a value of kind %s does not fit a column of type %s", v.Kind(), s.column)
	}
	text = row.NormalDecimal(text)
	whole, frac, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	switch s.data {
	case "float", "double":
		return s.encodeFloat(b, text, frac)
	case "decimal":
		if len(frac) > int(s.scale) {
			return b, s.refuse(fault.ValueType, "the number has %d digits after the point and the column takes %d", len(frac), s.scale)
		}
		if whole != "0" && len(whole) > int(s.precision-s.scale) {
			return b, s.refuse(fault.ValueType, "the number has %d digits before the point and the column takes %d", len(whole), s.precision-s.scale)
		}
	case "year": // one and two digits mean another year
		if n, err := strconv.Atoi(text); err != nil || n != 0 && (n < 1901 || n > 2155) {
			return b, s.refuse(fault.ValueType, "%s is not a year from 1901 to 2155", text)
		}
	default:
		if frac != "" {
			return b, s.refuse(fault.ValueType, "the number has %d digits after the point and the column takes none", len(frac))
		}
	}
	return append(b, text...), nil
}

// encodeFloat refuses a number whose shortest text changes on the way into the column.
func (s *slot) encodeFloat(b []byte, text, frac string) ([]byte, *refusal) {
	bits := 64
	if s.data == "float" {
		bits = 32
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil || row.NormalDecimal(strconv.FormatFloat(f, 'f', -1, bits)) != text && !row.FloatValue(f).Equal(row.DecimalValue(text)) {
		return b, s.refuse(fault.ValueType, "the number has more digits than a column of type %s holds", s.column)
	}
	if s.scale >= 0 && len(frac) > int(s.scale) {
		return b, s.refuse(fault.ValueType, "the number has %d digits after the point and the column takes %d", len(frac), s.scale)
	}
	return strconv.AppendFloat(b, f, 'e', -1, bits), nil
}

func (s *slot) encodeBytes(b []byte, v row.Value) ([]byte, *refusal) {
	if v.Kind() != row.Bytes && v.Kind() != row.Text {
		return b, s.refuse(fault.ValueType, "a value of kind %s does not fit a column of type %s", v.Kind(), s.column)
	}
	if s.maxOctets > 0 && int64(len(v.Str())) > s.maxOctets {
		return b, s.refuse(fault.ValueTooLong, "the value has %d bytes and the column takes %d", len(v.Str()), s.maxOctets)
	}
	if s.data == "binary" && int64(len(v.Str())) < s.maxOctets {
		return b, s.refuse(fault.ValueType, "the value has %d bytes and the column of type %s would add zero bytes", len(v.Str()), s.column)
	}
	return append(hex.AppendEncode(append(b, "X'"...), []byte(v.Str())), '\''), nil
}

func (s *slot) encodeText(b []byte, v row.Value) ([]byte, *refusal) {
	if v.Kind() == row.Bytes {
		return b, s.refuse(fault.ValueType, "bytes do not fit a column of type %s", s.column)
	}
	text := v.String()
	switch s.data {
	case "enum", "set":
		if !s.offers(text) {
			return b, s.refuse(fault.ValuePicklist, "a text of %d characters is not one of the column's %d choices", utf8.RuneCountInString(text), len(s.choices))
		}
	case "char", "varchar":
		if n := utf8.RuneCountInString(text); s.maxChars > 0 && int64(n) > s.maxChars {
			return b, s.refuse(fault.ValueTooLong, "the text has %d characters and the column takes %d", n, s.maxChars)
		}
	case "tinytext", "text", "mediumtext", "longtext":
		if s.maxOctets > 0 && int64(len(text)) > s.maxOctets {
			return b, s.refuse(fault.ValueTooLong, "the text has %d bytes and the column takes %d", len(text), s.maxOctets)
		}
	}
	return appendText(b, text), nil
}

// encodeMoment writes DATE, DATETIME and TIMESTAMP; the session is in UTC.
func (s *slot) encodeMoment(b []byte, v row.Value) ([]byte, *refusal) {
	if v.Kind() == row.Text {
		w, err := row.ParseText(s.kind, v.Str())
		if err != nil {
			return b, s.refuse(fault.ValueType, "a text of %d characters is not a %s", utf8.RuneCountInString(v.Str()), s.kind)
		}
		v = w
	}
	if v.Kind() != row.Date && v.Kind() != row.Timestamp && v.Kind() != row.Instant {
		return b, s.refuse(fault.ValueType, "a value of kind %s does not fit a column of type %s", v.Kind(), s.column)
	}
	t := v.GoTime()
	if y := t.Year(); y < 0 || y > 9999 {
		return b, s.refuse(fault.ValueType, "the year %d is outside 0 to 9999", y)
	}
	if s.data == "date" {
		if t.Hour() != 0 || t.Minute() != 0 || t.Second() != 0 || t.Nanosecond() != 0 {
			return b, s.refuse(fault.ValueType, "a date column cannot hold the time of day")
		}
		return append(t.AppendFormat(append(b, '\''), time.DateOnly), '\''), nil
	}
	if r := s.fine(t.Nanosecond()); r != nil {
		return b, r
	}
	return append(t.AppendFormat(append(b, '\''), "2006-01-02 15:04:05.999999"), '\''), nil
}

// fine refuses digits of the second the column would round away.
func (s *slot) fine(nanos int) *refusal {
	if step := int(s.step()); step > 0 && nanos%step != 0 {
		return s.refuse(fault.ValueType, "the second has more digits than a column of type %s holds", s.column)
	}
	return nil
}

func (s *slot) encodeTime(b []byte, v row.Value) ([]byte, *refusal) {
	nanos, sign := v.Int(), ""
	switch v.Kind() {
	case row.Time:
	case row.Interval:
		n, ok := clockOf(v.Str())
		if !ok {
			return b, s.refuse(fault.ValueType, "the interval is not a number of hours, minutes and seconds")
		}
		nanos = n
	case row.Text:
		w, err := row.ParseText(row.Time, v.Str())
		if err != nil {
			return b, s.refuse(fault.ValueType, "a text of %d characters is not a time of day", utf8.RuneCountInString(v.Str()))
		}
		nanos = w.Int()
	default:
		return b, s.refuse(fault.ValueType, "a value of kind %s does not fit a column of type %s", v.Kind(), s.column)
	}
	if r := s.fine(int(nanos % 1_000_000_000)); r != nil {
		return b, r
	}
	if nanos < 0 {
		sign, nanos = "-", -nanos
	}
	sec := nanos / 1_000_000_000
	return fmt.Appendf(b, "'%s%02d:%02d:%02d.%06d'", sign, sec/3600, sec/60%60, sec%60, nanos%1_000_000_000/1000), nil
}

// clockOf reads an ISO 8601 duration of days, hours, minutes and seconds as nanoseconds.
func clockOf(s string) (int64, bool) {
	rest, ok := strings.CutPrefix(s, "P")
	units := map[byte]float64{'D': 86400e9}
	total := 0.0
	for ok && rest != "" {
		if rest[0] == 'T' {
			units, rest = map[byte]float64{'H': 3600e9, 'M': 60e9, 'S': 1e9}, rest[1:]
			continue
		}
		i := strings.IndexFunc(rest, func(r rune) bool { return r >= 'A' && r <= 'Z' })
		if i < 1 {
			return 0, false
		}
		n, err := strconv.ParseFloat(rest[:i], 64)
		unit, known := units[rest[i]]
		if err != nil || !known {
			return 0, false
		}
		total += math.Round(n * unit)
		rest = rest[i+1:]
	}
	return int64(total), ok && math.Abs(total) < 1<<53
}

// appendText writes a text as a literal. The session's sql_mode leaves backslash escapes on, and utf8mb4 has no character with a
// quote or backslash byte in it (https://dev.mysql.com/doc/refman/8.4/en/string-literals.html).
func appendText(b []byte, s string) []byte {
	b = append(b, '\'')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case 0:
			b = append(b, '\\', '0')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case 0x1a:
			b = append(b, '\\', 'Z')
		case '\'', '\\', '"':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '\'')
}
