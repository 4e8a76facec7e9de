package mapping

import (
	"math"
	"strconv"

	"github.com/upwelldata/upwell/internal/row"
)

// fits reports whether some value of kind from goes into a field of kind to without a word from the user. The row decides where
// only some do (a whole float into an int field).
func fits(from, to row.Kind) bool {
	if from == to || from == row.Null || to == row.Absent {
		return true
	}
	switch to {
	case row.Int, row.Uint:
		return from.Numeric() || from == row.Bool
	case row.Float, row.Decimal:
		return from.Numeric()
	case row.Bool:
		return from == row.Int || from == row.Uint // 0 and 1: databases without a boolean type
	case row.Text:
		return from != row.Bytes
	case row.UUID:
		return from == row.Text
	case row.JSON:
		return from == row.Array
	case row.Array:
		return from == row.JSON
	case row.Absent, row.Null, row.Bytes, row.Date, row.Time, row.Timestamp, row.Instant, row.Interval:
	}
	return false
}

// casts reports whether some value of kind from can be read as kind to when the user asks for it (a declared column type), or
// when the ledger knows the key in that kind: fits, texts in the form of the kind, and dates for midnights.
func casts(from, to row.Kind) bool {
	return fits(from, to) || from == row.Text && to != row.Null || from == row.Date && to == row.Timestamp || from == row.Timestamp && to == row.Date
}

// cast gives v as kind to, or says that this is not exactly possible. A number is exact when it is the same number; a float
// stands for its shortest decimal text.
// The text of the result may live in s.
func cast(v row.Value, to row.Kind, s *row.Scratch) (row.Value, bool) {
	from := v.Kind()
	if from == to || to == row.Absent || from == row.Null {
		return v, true
	}
	switch to {
	case row.Int, row.Uint:
		w, ok := toInteger(v)
		return w, ok && fitsInteger(w, to)
	case row.Float:
		return toFloat(v)
	case row.Decimal:
		return toDecimal(v, s)
	case row.Text:
		if f := v.Float(); from == row.Bytes || from == row.Float && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return v, false
		}
		if from.TextBacked() {
			return row.StringKind(row.Text, v.Str()), true
		}
		return s.Text(row.Text, v.AppendText), true
	case row.Bool:
		if from == row.Int && (v.Int() == 0 || v.Int() == 1) {
			return row.BoolValue(v.Int() == 1), true
		}
	case row.Date:
		if sec, nanos := v.Unix(); from == row.Timestamp && nanos == 0 && sec%86400 == 0 {
			return row.DateValue(sec / 86400), true
		}
	case row.Timestamp:
		if from == row.Date {
			return row.TimestampValue(v.Int()*86400, 0), true
		}
	case row.JSON:
		if from == row.Array {
			return row.StringKind(row.JSON, v.Str()), true
		}
	case row.Bytes:
		if from == row.Text {
			return row.StringKind(row.Bytes, v.Str()), true
		}
	case row.Array:
		if from == row.JSON {
			w, err := row.ParseText(row.Array, v.Str())
			return w, err == nil
		}
	case row.Absent, row.Null, row.Time, row.Instant, row.Interval, row.UUID:
	}
	if from != row.Text {
		return v, false
	}
	w, err := row.ParseText(to, v.Str())
	return w, err == nil
}

func fitsInteger(v row.Value, to row.Kind) bool {
	if to == row.Uint {
		return v.Kind() == row.Uint || v.Int() >= 0
	}
	return v.Kind() == row.Int
}

func toInteger(v row.Value) (row.Value, bool) {
	switch v.Kind() { //nolint:exhaustive // the rest has no integer form
	case row.Int, row.Uint:
		return v, true
	case row.Bool:
		if v.Bool() {
			return row.IntValue(1), true
		}
		return row.IntValue(0), true
	case row.Float:
		switch f := v.Float(); {
		case f != math.Trunc(f):
		case f >= -(1<<63) && f < 1<<63:
			return row.IntValue(int64(f)), true
		case f >= 1<<63 && f < 1<<64:
			return row.UintValue(uint64(f)), true
		}
	case row.Decimal:
		return parseInteger(row.NormalDecimal(v.Str()))
	case row.Text:
		if w, err := row.ParseDecimal(v.Str()); err == nil {
			return parseInteger(row.NormalDecimal(w.Str()))
		}
	}
	return v, false
}

func parseInteger(s string) (row.Value, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return row.IntValue(n), true
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return row.UintValue(n), true
	}
	return row.Value{}, false
}

func toFloat(v row.Value) (row.Value, bool) {
	switch v.Kind() { //nolint:exhaustive // the rest has no float form
	case row.Int:
		if n := v.Int(); n >= -(1<<53) && n <= 1<<53 {
			return row.FloatValue(float64(n)), true
		}
		f := row.FloatValue(float64(v.Int()))
		return f, f.Equal(v)
	case row.Uint:
		f := row.FloatValue(float64(v.Uint()))
		return f, f.Equal(v)
	case row.Decimal:
		f, err := strconv.ParseFloat(v.Str(), 64)
		var buf [64]byte
		w := row.FloatValue(f)
		return w, err == nil && (row.NormalDecimal(string(strconv.AppendFloat(buf[:0], f, 'f', -1, 64))) == row.NormalDecimal(v.Str()) || w.Equal(v))
	case row.Text:
		w, err := row.ParseDecimal(v.Str())
		if err != nil {
			return v, false
		}
		return toFloat(w)
	}
	return v, false
}

func toDecimal(v row.Value, s *row.Scratch) (row.Value, bool) {
	switch v.Kind() { //nolint:exhaustive // the rest has no decimal form
	case row.Int, row.Uint:
		return s.Text(row.Decimal, v.AppendText), true
	case row.Float:
		f := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return v, false
		}
		return s.Text(row.Decimal, func(b []byte) []byte { return strconv.AppendFloat(b, f, 'f', -1, 64) }), true
	case row.Text:
		w, err := row.ParseDecimal(v.Str())
		return w, err == nil
	}
	return v, false
}

// castKey is cast for keys: texts that differ must stay different, so a text is read only when it is written as the result is.
func castKey(v row.Value, to row.Kind, s *row.Scratch) (row.Value, bool) {
	w, ok := cast(v, to, s)
	if ok && v.Kind() == row.Text && to != row.Text && w.String() != v.Str() {
		return v, false
	}
	return w, ok
}
