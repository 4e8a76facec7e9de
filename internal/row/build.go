package row

import (
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/decimal256"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Builder makes Arrow record batches from Values, for sources whose driver yields rows.
type Builder struct {
	schema *arrow.Schema
	rec    *array.RecordBuilder
	rows   int
}

// NewBuilder makes a builder for a schema; see FieldOf.
func NewBuilder(schema *arrow.Schema) *Builder {
	return &Builder{schema: schema, rec: array.NewRecordBuilder(memory.DefaultAllocator, schema)}
}

// Append adds a row. A value its column cannot hold exactly is an error naming the column; the builder must then be thrown away.
func (b *Builder) Append(vals ...Value) error {
	if len(vals) != b.schema.NumFields() {
		return fmt.Errorf("appending a row: %d values for %d columns", len(vals), b.schema.NumFields())
	}
	for i, v := range vals {
		if err := AppendTo(b.rec.Field(i), v); err != nil {
			return fmt.Errorf("column %q: %w", b.schema.Field(i).Name, err)
		}
	}
	b.rows++
	return nil
}

// Len is the number of rows appended since the last Batch.
func (b *Builder) Len() int { return b.rows }

// Batch gives the rows appended as a record batch and starts a new one. The caller releases it.
func (b *Builder) Batch() arrow.RecordBatch {
	b.rows = 0
	return b.rec.NewRecordBatch()
}

// AppendTo appends a value to an Arrow column, exactly, or says why it cannot. Null and Absent become null.
func AppendTo(b array.Builder, v Value) error {
	if v.kind == Null || v.kind == Absent {
		b.AppendNull()
		return nil
	}
	ok := false
	switch b := b.(type) {
	case *array.BooleanBuilder:
		if ok = v.kind == Bool; ok {
			b.Append(v.Bool())
		}
	case *array.Int8Builder:
		ok = appendInt(v, math.MinInt8, math.MaxInt8, func(n int64) { b.Append(int8(n)) })
	case *array.Int16Builder:
		ok = appendInt(v, math.MinInt16, math.MaxInt16, func(n int64) { b.Append(int16(n)) })
	case *array.Int32Builder:
		ok = appendInt(v, math.MinInt32, math.MaxInt32, func(n int64) { b.Append(int32(n)) })
	case *array.Int64Builder:
		ok = appendInt(v, math.MinInt64, math.MaxInt64, b.Append)
	case *array.Uint8Builder:
		ok = appendInt(v, 0, math.MaxUint8, func(n int64) { b.Append(uint8(n)) })
	case *array.Uint16Builder:
		ok = appendInt(v, 0, math.MaxUint16, func(n int64) { b.Append(uint16(n)) })
	case *array.Uint32Builder:
		ok = appendInt(v, 0, math.MaxUint32, func(n int64) { b.Append(uint32(n)) })
	case *array.Uint64Builder:
		if ok = v.kind == Uint; ok {
			b.Append(v.num)
		} else {
			ok = appendInt(v, 0, math.MaxInt64, func(n int64) { b.Append(uint64(n)) })
		}
	case *array.Float32Builder:
		if f := v.Float(); v.kind == Float {
			if ok = widen(float32(f)) == f || f != f; ok {
				b.Append(float32(f))
			}
		}
	case *array.Float64Builder:
		switch {
		case v.kind == Float:
			b.Append(v.Float())
			ok = true
		case v.kind == Int && int64(float64(v.Int())) == v.Int() && v.Int() != math.MaxInt64:
			b.Append(float64(v.Int()))
			ok = true
		}
	case *array.Decimal128Builder:
		ok = appendDec128(b, v)
	case *array.Decimal256Builder:
		ok = appendDec256(b, v)
	case *array.StringBuilder:
		switch {
		case v.kind.TextBacked() && v.kind != Bytes:
			b.Append(v.str)
			ok = true
		case v.kind == Int:
			b.Append(strconv.FormatInt(v.Int(), 10))
			ok = true
		}
	case *array.LargeStringBuilder:
		if ok = v.kind.TextBacked() && v.kind != Bytes; ok {
			b.Append(v.str)
		}
	case *array.BinaryBuilder:
		if ok = v.kind == Bytes; ok {
			b.Append([]byte(v.str))
		}
	case *array.Date32Builder:
		if ok = v.kind == Date && v.Int() == int64(int32(v.Int())); ok {
			b.Append(arrow.Date32(v.Int()))
		}
	case *array.Time64Builder:
		per := int64(b.Type().(*arrow.Time64Type).Unit.Multiplier())
		if ok = v.kind == Time && v.Int()%per == 0; ok {
			b.Append(arrow.Time64(v.Int() / per))
		}
	case *array.Time32Builder:
		per := int64(b.Type().(*arrow.Time32Type).Unit.Multiplier())
		if ok = v.kind == Time && v.Int()%per == 0; ok {
			b.Append(arrow.Time32(v.Int() / per))
		}
	case *array.TimestampBuilder:
		t := b.Type().(*arrow.TimestampType)
		if v.kind == Timestamp && t.TimeZone == "" || v.kind == Instant && t.TimeZone != "" {
			var n int64
			if n, ok = joinTime(v, t.Unit); ok {
				b.Append(arrow.Timestamp(n))
			}
		}
	}
	if !ok {
		return fmt.Errorf("a value of kind %s does not fit Arrow type %s exactly", v.kind, b.Type())
	}
	return nil
}

func appendInt(v Value, lo, hi int64, add func(int64)) bool {
	if v.kind != Int || v.Int() < lo || v.Int() > hi {
		return false
	}
	add(v.Int())
	return true
}

func joinTime(v Value, unit arrow.TimeUnit) (int64, bool) {
	sec, nanos := v.Unix()
	per, mult := int64(1e9)/int64(unit.Multiplier()), int64(unit.Multiplier())
	n := sec*per + int64(nanos)/mult
	backSec, backNanos := splitTime(n, unit)
	return n, backSec == sec && backNanos == nanos
}

// unscaled gives the text of v times 10^scale, and whether that is whole and within precision digits.
func unscaled(v Value, precision, scale int32) (string, bool) {
	if v.kind != Int && v.kind != Uint && v.kind != Decimal {
		return "", false
	}
	s := NormalDecimal(v.String())
	if !plainDecimal(s) {
		return "", false
	}
	digits, frac := s, int32(0)
	for i := range len(s) {
		if s[i] == '.' {
			digits, frac = s[:i]+s[i+1:], int32(len(s)-1-i)
		}
	}
	for ; frac < scale; frac++ {
		digits += "0"
	}
	for ; frac > scale && len(digits) > 1 && digits[len(digits)-1] == '0'; frac-- {
		digits = digits[:len(digits)-1]
	}
	digits = NormalDecimal(digits)
	n := len(digits)
	if digits[0] == '-' {
		n--
	}
	return digits, (frac == scale || digits == "0") && n <= int(precision)
}

func appendDec128(b *array.Decimal128Builder, v Value) bool {
	t := b.Type().(*arrow.Decimal128Type)
	s, ok := unscaled(v, t.Precision, t.Scale)
	if !ok {
		return false
	}
	n, ok := new(big.Int).SetString(s, 10)
	if ok {
		b.Append(decimal128.FromBigInt(n))
	}
	return ok
}

func appendDec256(b *array.Decimal256Builder, v Value) bool {
	t := b.Type().(*arrow.Decimal256Type)
	s, ok := unscaled(v, t.Precision, t.Scale)
	if !ok {
		return false
	}
	n, ok := new(big.Int).SetString(s, 10)
	if ok {
		b.Append(decimal256.FromBigInt(n))
	}
	return ok
}
