package postgres

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/row"
)

// Values the types can hold and the program cannot carry exactly. The column and a cast are added by the caller.
var (
	errInfinity  = errors.New("infinity")
	errNumberNaN = errors.New("NaN or infinity in a numeric")
	errRange     = errors.New("a time outside the range that can be carried")
	errMidnight  = errors.New("24:00:00")
	errShape     = errors.New("a value whose binary form is not the one expected")
)

const (
	daysTo2000    = 10957 // days from 1970-01-01 to PostgreSQL's epoch
	microsTo2000  = daysTo2000 * 86400 * 1_000_000
	microsPerDay  = 86400 * 1_000_000
	numericNaN    = 0xC000
	numericPosInf = 0xD000
	numericNegInf = 0xF000
)

// appendNumeric writes a numeric's digits out, with its scale.
// https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/adt/numeric.c (numeric_send)
func appendNumeric(dst, b []byte) ([]byte, error) {
	if len(b) < 8 {
		return dst, errShape
	}
	n := int(binary.BigEndian.Uint16(b))
	weight := int(int16(binary.BigEndian.Uint16(b[2:])))
	sign := binary.BigEndian.Uint16(b[4:])
	scale := int(binary.BigEndian.Uint16(b[6:]))
	switch sign {
	case 0:
	case 0x4000:
		dst = append(dst, '-')
	case numericNaN, numericPosInf, numericNegInf:
		return dst, errNumberNaN
	default:
		return dst, errShape
	}
	if len(b) != 8+2*n {
		return dst, errShape
	}
	digit := func(i int) uint16 {
		if i < 0 || i >= n {
			return 0
		}
		return binary.BigEndian.Uint16(b[8+2*i:])
	}
	if weight < 0 {
		dst = append(dst, '0')
	} else {
		dst = strconv.AppendUint(dst, uint64(digit(0)), 10)
		for i := 1; i <= weight; i++ {
			dst = appendDigits4(dst, digit(i))
		}
	}
	if scale == 0 {
		return dst, nil
	}
	dst = append(dst, '.')
	end := len(dst) + scale
	for i := weight + 1; len(dst) < end; i++ {
		dst = appendDigits4(dst, digit(i))
	}
	return dst[:end], nil
}

func appendDigits4(dst []byte, d uint16) []byte {
	return append(dst, byte('0'+d/1000), byte('0'+d/100%10), byte('0'+d/10%10), byte('0'+d%10))
}

// appendInterval writes months, days and microseconds as an ISO 8601 duration, kept apart and each with its own sign.
func appendInterval(dst, b []byte) ([]byte, error) {
	if len(b) != 16 {
		return dst, errShape
	}
	micros := int64(binary.BigEndian.Uint64(b))
	days := int64(int32(binary.BigEndian.Uint32(b[8:])))
	months := int64(int32(binary.BigEndian.Uint32(b[12:])))
	if (months == math.MaxInt32 && days == math.MaxInt32 && micros == math.MaxInt64) ||
		(months == math.MinInt32 && days == math.MinInt32 && micros == math.MinInt64) { // infinity, since PostgreSQL 17
		return dst, errInfinity
	}
	part := func(n int64, unit byte) {
		if n != 0 {
			dst = append(strconv.AppendInt(dst, n, 10), unit)
		}
	}
	dst = append(dst, 'P')
	part(months/12, 'Y')
	part(months%12, 'M')
	part(days, 'D')
	if micros == 0 {
		if months == 0 && days == 0 {
			dst = append(dst, "T0S"...)
		}
		return dst, nil
	}
	dst = append(dst, 'T')
	part(micros/3_600_000_000, 'H')
	part(micros/60_000_000%60, 'M')
	if s := micros % 60_000_000; s != 0 {
		dst = pgwire.AppendSeconds(dst, s)
	}
	return dst, nil
}

func appendUUID(dst, b []byte) ([]byte, error) {
	if len(b) != 16 {
		return dst, errShape
	}
	const digits = "0123456789abcdef"
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst, nil
}

func jsonbText(b []byte) ([]byte, error) {
	if len(b) < 1 || b[0] != 1 {
		return nil, errShape
	}
	return b[1:], nil
}

func dateDays(b []byte) (int32, error) {
	if len(b) != 4 {
		return 0, errShape
	}
	d := int32(binary.BigEndian.Uint32(b))
	if d == math.MaxInt32 || d == math.MinInt32 {
		return 0, errInfinity
	}
	return d + daysTo2000, nil // the largest date, 5874897-12-31, leaves room
}

func timeMicros(b []byte) (int64, error) {
	if len(b) != 8 {
		return 0, errShape
	}
	t := int64(binary.BigEndian.Uint64(b))
	if t == microsPerDay {
		return 0, errMidnight
	}
	return t, nil
}

// timestampMicros gives microseconds since 1970.
func timestampMicros(b []byte) (int64, error) {
	if len(b) != 8 {
		return 0, errShape
	}
	t := int64(binary.BigEndian.Uint64(b))
	switch {
	case t == math.MaxInt64 || t == math.MinInt64:
		return 0, errInfinity
	case t > math.MaxInt64-microsTo2000:
		return 0, errRange
	}
	return t + microsTo2000, nil
}

// value decodes one non-null value on its own, for records that are read back and for array elements.
func (t *typ) value(b []byte) (row.Value, error) {
	fixed := map[form]int{formBool: 1, formInt2: 2, formInt4: 4, formOID: 4, formInt8: 8, formFloat4: 4, formFloat8: 8}
	if n, ok := fixed[t.form]; ok && len(b) != n {
		return row.Value{}, errShape
	}
	switch t.form {
	case formBool:
		return row.BoolValue(b[0] != 0), nil
	case formInt2:
		return row.IntValue(int64(int16(binary.BigEndian.Uint16(b)))), nil
	case formInt4:
		return row.IntValue(int64(int32(binary.BigEndian.Uint32(b)))), nil
	case formOID:
		return row.IntValue(int64(binary.BigEndian.Uint32(b))), nil
	case formInt8:
		return row.IntValue(int64(binary.BigEndian.Uint64(b))), nil
	case formFloat4:
		return row.FloatValue(float64(math.Float32frombits(binary.BigEndian.Uint32(b)))), nil
	case formFloat8:
		return row.FloatValue(math.Float64frombits(binary.BigEndian.Uint64(b))), nil
	case formDate:
		d, err := dateDays(b)
		return row.DateValue(int64(d)), err
	case formTime:
		us, err := timeMicros(b)
		return row.TimeValue(us * 1000), err
	case formTimestamp:
		sec, ns, err := unixTime(b)
		return row.TimestampValue(sec, ns), err
	case formTimestamptz:
		sec, ns, err := unixTime(b)
		return row.InstantValue(sec, ns), err
	case formText, formString, formJSON, formBytea, formNumeric, formInterval, formUUID, formJSONB, formArray, formArrayLiteral:
		text, err := t.appendText(nil, b)
		return row.StringKind(t.kind, string(text)), err
	}
	return row.Value{}, errShape
}

func unixTime(b []byte) (int64, uint32, error) {
	us, err := timestampMicros(b)
	sec, rest := us/1_000_000, us%1_000_000
	if rest < 0 {
		sec, rest = sec-1, rest+1_000_000
	}
	return sec, uint32(rest) * 1000, err
}

// appendText appends the text of a value whose kind is text-backed.
func (t *typ) appendText(dst, b []byte) ([]byte, error) {
	switch t.form {
	case formText, formString, formJSON, formBytea:
		return append(dst, b...), nil
	case formNumeric:
		return appendNumeric(dst, b)
	case formInterval:
		return appendInterval(dst, b)
	case formUUID:
		return appendUUID(dst, b)
	case formJSONB:
		j, err := jsonbText(b)
		return append(dst, j...), err
	case formArray:
		return t.appendArray(dst, b)
	case formArrayLiteral:
		return t.appendLiteral(dst, b)
	case formBool, formInt2, formInt4, formInt8, formOID, formFloat4, formFloat8, formDate, formTime, formTimestamp, formTimestamptz:
	}
	return dst, errShape
}

// appendJSON appends a value as an element of a JSON array.
func (t *typ) appendJSON(dst, b []byte) ([]byte, error) {
	switch t.form {
	case formText, formString:
		return appendJSONString(dst, b), nil
	case formNumeric, formJSON, formJSONB:
		return t.appendText(dst, b)
	case formUUID, formInterval:
		dst, err := t.appendText(append(dst, '"'), b)
		return append(dst, '"'), err
	case formBytea:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"'), nil
	case formFloat4: // the shortest text that reads back as this float4
		if len(b) != 4 {
			return dst, errShape
		}
		f := math.Float32frombits(binary.BigEndian.Uint32(b))
		if d, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64); err == nil {
			return row.FloatValue(d).AppendJSON(dst), nil
		}
		return row.FloatValue(float64(f)).AppendJSON(dst), nil
	case formBool, formInt2, formInt4, formInt8, formOID, formFloat8, formDate, formTime, formTimestamp, formTimestamptz:
		v, err := t.value(b)
		return v.AppendJSON(dst), err
	case formArray, formArrayLiteral:
	}
	return dst, errShape
}
