package mapping

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// limits are what a field's kind leaves open. What a tool is known to refuse is told by the plan, not found out by the run.
type limits struct {
	maxBytes int
	noNUL    bool
	bits     int // of whole numbers between least and most; 0 = not limited
	least    int64
	most     uint64
	single   bool
	step     time.Duration
}

func limitsOf(f *connector.Field) limits {
	l := limits{maxBytes: f.MaxBytes, noNUL: f.NoNUL, single: f.Single, step: f.Step}
	if f.Bits > 0 || f.Unsigned {
		bits := f.Bits
		if bits == 0 {
			bits = 64
		}
		l.bits, l.least, l.most = bits, -1<<(bits-1), 1<<(bits-1)-1
		if f.Unsigned {
			l.least, l.most = 0, math.MaxUint64>>(64-bits)
		}
	}
	return l
}

// limited says why a value of the field's kind does not fit.
func (t *target) limited(v row.Value) *ledger.Invalid {
	switch v.Kind() {
	case row.Text, row.Bytes:
		switch {
		case t.maxBytes > 0 && len(v.Str()) > t.maxBytes:
			return t.refuse(fault.ValueTooLong, "the value has %d bytes and the field takes %d", len(v.Str()), t.maxBytes)
		case t.noNUL && strings.IndexByte(v.Str(), 0) >= 0:
			return t.refuse(fault.ValueType, "the text holds a NUL character, which the field cannot store")
		}
	case row.Int:
		if t.bits > 0 && (v.Int() < t.least || v.Int() > 0 && uint64(v.Int()) > t.most) {
			return t.wide()
		}
	case row.Uint:
		if t.bits > 0 && v.Uint() > t.most {
			return t.wide()
		}
	case row.Float:
		if t.single && !isSingle(v.Float()) {
			return t.refuse(fault.ValueType, "the number has more digits than a float of 32 bits holds")
		}
	case row.Time:
		return t.fine(v.Int())
	case row.Timestamp, row.Instant:
		return t.fine(int64(v.GoTime().Nanosecond()))
	case row.Absent, row.Null, row.Bool, row.Decimal, row.Date, row.Interval, row.UUID, row.JSON, row.Array:
	}
	return nil
}

func (t *target) wide() *ledger.Invalid {
	sign := ""
	if t.least == 0 {
		sign = " without sign"
	}
	return t.refuse(fault.ValueType, "the number is outside what %d bits%s hold", t.bits, sign)
}

func (t *target) fine(nanos int64) *ledger.Invalid {
	if t.step > 0 && nanos%int64(t.step) != 0 {
		return t.refuse(fault.ValueType, "the second has more digits than the field keeps, which are whole steps of %s", t.step)
	}
	return nil
}

// isSingle reports whether a float of 32 bits is the same number, or is written with the same digits.
func isSingle(f float64) bool {
	if float64(float32(f)) == f || math.IsNaN(f) {
		return true
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	g, err := strconv.ParseFloat(text, 32)
	return err == nil && strconv.FormatFloat(g, 'g', -1, 32) == text
}
