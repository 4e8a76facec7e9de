package postgres

import (
	"encoding/binary"
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

const (
	bpcharOID = 1042
	nameOID   = 19
	textOID   = 25
	moneyOID  = 790
	timetzOID = 1266
	byteaOID  = 17
)

// slot is one column of a target: what it is and how values are written into it.
type slot struct {
	*typ
	name                 string
	mod                  int32 // type modifier, -1 = none
	notNull, hasDefault  bool
	creatable, updatable bool
	readOnly             bool // generated, or identity ALWAYS
	loose                bool // nondeterministic collation: equal is not the same
	foldCase             bool
	choices              []string

	carrier    string // SQL type the value travels in
	carrierOID uint32
	read       string // format of the expression that makes the column's type of the carried value
	chosen     map[string]bool
}

// prepare settles how the column's values travel: in binary where the client can make sure that the server takes every value it
// is given, else as text that the server casts when the row is written; one bad value must not end a COPY. Where the server's
// encoding lacks characters, texts travel as bytes for the same reason.
func (s *slot) prepare(encoding string) {
	s.carrier, s.carrierOID, s.read = "text", textOID, "%s"
	if encoding != "UTF8" && encoding != "SQL_ASCII" {
		s.carrier, s.carrierOID, s.read = "bytea", byteaOID, "convert_from(%s, 'UTF8')"
	}
	switch s.form {
	case formBool, formInt2, formInt4, formInt8, formOID, formFloat4, formFloat8, formNumeric, formBytea, formDate, formTime,
		formTimestamp, formTimestamptz, formInterval, formUUID:
		s.carrier, s.carrierOID, s.read = s.typ.name, s.oid, "%s"
	case formString, formText, formArray, formArrayLiteral, formJSON, formJSONB:
		if s.oid != textOID {
			s.read += "::" + strings.ReplaceAll(s.typ.name, "%", "%%")
		}
	}
	if len(s.choices) > 0 {
		s.chosen = map[string]bool{}
		for _, c := range s.choices {
			s.chosen[c] = true
		}
	}
}

// maxLength is the characters a text column takes, 0 = no limit.
func (s *slot) maxLength() int {
	switch {
	case s.oid == nameOID:
		return 63
	case s.form == formString && s.mod > 4 && !s.enum:
		return int(s.mod) - 4
	}
	return 0
}

// width is the bits of whole numbers (https://www.postgresql.org/docs/current/datatype-numeric.html).
func (s *slot) width() int {
	switch s.form { //nolint:exhaustive // whole numbers only
	case formInt2:
		return 16
	case formInt4:
		return 32
	}
	return 0
}

// step is the finest part of a second the column keeps (https://www.postgresql.org/docs/current/datatype-datetime.html).
func (s *slot) step() time.Duration {
	switch s.form { //nolint:exhaustive // times only
	case formTime, formTimestamp, formTimestamptz:
		if s.mod < 0 || s.mod > 6 {
			return time.Microsecond
		}
		return time.Duration(powersOfTen[6-s.mod]) * time.Microsecond
	}
	return 0
}

// precision decodes a numeric's modifier; the scale may be negative since PostgreSQL 15.
func (s *slot) precision() (precision, scale int) {
	m := int(s.mod) - 4
	return m >> 16 & 0xFFFF, (m&0x7FF ^ 1024) - 1024
}

// distinct is the condition under which the column really changes. Types whose equality is looser than sameness are compared as
// text: 1 month equals 30 days, and citext ignores case.
func (s *slot) distinct(old, now string) string {
	if s.loose && s.form == formString {
		return fmt.Sprintf(`%s COLLATE "C" IS DISTINCT FROM %s COLLATE "C"`, old, now)
	}
	switch s.form {
	case formText, formArray, formArrayLiteral, formInterval, formJSON, formJSONB:
		return old + "::text IS DISTINCT FROM " + now + "::text"
	case formBool, formInt2, formInt4, formInt8, formOID, formFloat4, formFloat8, formNumeric, formBytea, formDate, formTime, formTimestamp,
		formTimestamptz, formUUID, formString:
	}
	return old + " IS DISTINCT FROM " + now
}

// refusal says why a value cannot be written exactly.
type refusal struct {
	code    fault.Code
	message string
}

func (s *slot) mismatch(v row.Value) *refusal {
	return &refusal{fault.ValueType, fmt.Sprintf("%s %s does not fit the column's type %s", v.Kind(), excerpt(v.String()), s.typ.name)}
}

func excerpt(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return strconv.Quote(s)
}

// append writes a value in the form that binary COPY fields and array elements share: length and bytes, -1 for null.
func (s *slot) append(b []byte, v row.Value) ([]byte, *refusal) {
	switch v.Kind() { //nolint:exhaustive // every other kind goes by the column's type
	case row.Null, row.Absent:
		return append(b, 0xFF, 0xFF, 0xFF, 0xFF), nil
	}
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b, no := s.appendBinary(b, v)
	if no != nil {
		return b[:at], no
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b, nil
}

func (s *slot) appendBinary(b []byte, v row.Value) ([]byte, *refusal) {
	be := binary.BigEndian
	k := v.Kind()
	switch s.form {
	case formBool:
		if k == row.Bool {
			if v.Bool() {
				return append(b, 1), nil
			}
			return append(b, 0), nil
		}
	case formInt8:
		if i, ok := integer(v); ok {
			return be.AppendUint64(b, uint64(i)), nil
		}
	case formInt4:
		if i, ok := integer(v); ok && i >= math.MinInt32 && i <= math.MaxInt32 {
			return be.AppendUint32(b, uint32(int32(i))), nil
		}
	case formInt2:
		if i, ok := integer(v); ok && i >= math.MinInt16 && i <= math.MaxInt16 {
			return be.AppendUint16(b, uint16(int16(i))), nil
		}
	case formOID:
		if i, ok := integer(v); ok && i >= 0 && i <= math.MaxUint32 {
			return be.AppendUint32(b, uint32(i)), nil
		}
	case formFloat8:
		if f, ok := float(v, 64); ok {
			return be.AppendUint64(b, math.Float64bits(f)), nil
		}
	case formFloat4:
		if f, ok := float(v, 32); ok {
			return be.AppendUint32(b, math.Float32bits(float32(f))), nil
		}
	case formNumeric:
		return s.appendNumeric(b, v)
	case formBytea:
		if k == row.Bytes {
			return append(b, v.Str()...), nil
		}
	case formDate:
		if d := v.Int() - daysTo2000; k == row.Date && d >= -2_451_545 && d < 2_145_031_949 { // 4714-11-24 BC to 5874897-12-31
			return be.AppendUint32(b, uint32(int32(d))), nil
		}
	case formTime:
		if k == row.Time && v.Int()%1000 == 0 {
			if !s.keepsFraction(v.Int() / 1000) {
				return b, s.rounded(v)
			}
			return be.AppendUint64(b, uint64(v.Int()/1000)), nil
		}
	case formTimestamp:
		if k == row.Date && v.Int() >= daysTo2000-2_451_545 && v.Int() < 106_000_000 { // a date is that day's midnight
			return be.AppendUint64(b, uint64((v.Int()-daysTo2000)*microsPerDay)), nil
		}
		if us, ok := micros(v); ok && k == row.Timestamp {
			if !s.keepsFraction(us) {
				return b, s.rounded(v)
			}
			return be.AppendUint64(b, uint64(us)), nil
		}
		if k == row.Instant {
			return b, &refusal{fault.ValueType, "a point in time has no place in a timestamp without time zone; in the model, write (column AT TIME ZONE '…')"}
		}
	case formTimestamptz:
		if us, ok := micros(v); ok && k == row.Instant {
			if !s.keepsFraction(us) {
				return b, s.rounded(v)
			}
			return be.AppendUint64(b, uint64(us)), nil
		}
		if k == row.Timestamp || k == row.Date {
			return b, &refusal{fault.ValueType, "a " + k.String() + " without time zone names no point in time; in the model, write (column AT TIME ZONE '…')"}
		}
	case formInterval:
		if k == row.Interval {
			if iv, ok := parseInterval(v.Str()); ok {
				if !s.keepsInterval(iv) {
					return b, s.rounded(v)
				}
				b = be.AppendUint64(b, uint64(iv.micros))
				b = be.AppendUint32(b, uint32(iv.days))
				return be.AppendUint32(b, uint32(iv.months)), nil
			}
		}
	case formUUID:
		if k == row.UUID || k == row.Text {
			if u, ok := appendUUIDBytes(b, v.Str()); ok {
				return u, nil
			}
		}
	case formJSON, formJSONB:
		return s.appendJSONValue(b, v)
	case formArray, formArrayLiteral:
		if k == row.Array || k == row.JSON {
			return s.appendArrayText(b, v.Str())
		}
	case formString, formText:
		return s.appendTextValue(b, v)
	}
	return b, s.mismatch(v)
}

// appendTextValue writes texts, and other kinds in their plain text.
func (s *slot) appendTextValue(b []byte, v row.Value) ([]byte, *refusal) {
	if v.Kind() == row.Bytes {
		return b, s.mismatch(v)
	}
	at := len(b)
	b = v.AppendText(b)
	if no := checkText(b[at:]); no != nil {
		return b, no
	}
	if !s.keepsText(string(b[at:])) {
		return b, s.rounded(v)
	}
	if s.chosen != nil && !s.chosen[string(b[at:])] {
		return b, &refusal{fault.ValuePicklist, fmt.Sprintf("%s is not one of the values of type %s", excerpt(string(b[at:])), s.typ.name)}
	}
	if limit := s.maxLength(); limit > 0 {
		n := len(b) - at
		if s.oid != nameOID && n > limit {
			n = utf8.RuneCount(b[at:])
		}
		if n > limit {
			return b, &refusal{fault.ValueTooLong, fmt.Sprintf("the text has %d characters, the column takes %d", n, limit)}
		}
	}
	return b, nil
}

func checkText(b []byte) *refusal {
	if !utf8.Valid(b) {
		return &refusal{fault.TextInvalid, "the text is not valid UTF-8"}
	}
	for _, c := range b {
		if c == 0 {
			return &refusal{fault.ValueType, "the text holds a NUL character, which PostgreSQL cannot store"}
		}
	}
	return nil
}

func (s *slot) appendJSONValue(b []byte, v row.Value) ([]byte, *refusal) {
	at := len(b)
	switch v.Kind() {
	case row.JSON, row.Array:
		b = append(b, v.Str()...)
	case row.Text: // sources without a JSON type give documents as text
		text := strings.TrimSpace(v.Str())
		if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
			return b, s.mismatch(v)
		}
		b = append(b, v.Str()...)
	case row.Bool, row.Int, row.Uint, row.Decimal:
		b = v.AppendJSON(b)
	default:
		return b, s.mismatch(v)
	}
	if !json.Valid(b[at:]) || !utf8.Valid(b[at:]) {
		return b, &refusal{fault.ValueType, "the value is not valid JSON"}
	}
	return b, nil
}

func jsonStrings(b []byte) []string {
	var out []string
	if json.Unmarshal(b, &out) != nil {
		return nil
	}
	return out
}
