package mapping

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// target is what a destination field takes.
type target struct {
	name       string
	kind       row.Kind // Absent = anything
	maxLength  int
	whole      int // digits before the point, -1 = not limited
	scale      int // digits after the point, -1 = not limited
	choices    []string
	restricted bool
	noNaN      bool
	needed     bool // takes no null
	limits
}

func targetOf(o *connector.Object, name string, f *connector.Field) target {
	t := target{name: name, whole: -1, scale: -1}
	if f == nil {
		t.noNaN = o.NoNaN
		return t
	}
	t.limits = limitsOf(f)
	t.kind, t.maxLength, t.noNaN = f.Kind, f.MaxLength, f.NoNaN
	t.restricted, t.needed = f.Restricted && len(f.Choices) > 0, !f.Nullable
	if t.restricted {
		t.choices = slices.Clone(f.Choices)
		slices.Sort(t.choices)
	}
	if f.Kind == row.Decimal && f.Precision > 0 {
		t.whole, t.scale = f.Precision-f.Scale, f.Scale
	}
	return t
}

// fit gives the value the field is sent, or why it cannot be sent. Messages say what kind and size a value has, never what it
// is. v is neither null nor absent.
func (t *target) fit(v row.Value, s *row.Scratch) (row.Value, *ledger.Invalid) {
	return t.fitAs(v, s, fits)
}

// fitAs is fit with another rule for which kinds may be converted.
func (t *target) fitAs(v row.Value, s *row.Scratch, may func(from, to row.Kind) bool) (row.Value, *ledger.Invalid) {
	if v.Kind() == row.Float && (t.noNaN || t.kind != row.Absent && t.kind != row.Float) {
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return v, t.refuse(fault.ValueNotNumber, "the value is not a finite number")
		}
	}
	if v.Kind().TextBacked() && v.Kind() != row.Bytes && !utf8.ValidString(v.Str()) {
		return v, t.refuse(fault.TextInvalid, "a text of %d bytes is not valid UTF-8", len(v.Str()))
	}
	if t.kind != row.Absent && v.Kind() != t.kind {
		if !may(v.Kind(), t.kind) {
			return v, t.refuse(fault.ValueType, "a value of kind %s does not fit a field of kind %s", v.Kind(), t.kind)
		}
		w, ok := cast(v, t.kind, s)
		if !ok {
			return v, t.refuse(fault.ValueType, "the %s value has no exact form as %s", v.Kind(), t.kind)
		}
		v = w
	}
	switch v.Kind() { //nolint:exhaustive // the other kinds have no limits
	case row.Text:
		if t.maxLength > 0 && len(v.Str()) > t.maxLength {
			if n := utf8.RuneCountInString(v.Str()); n > t.maxLength {
				return v, t.refuse(fault.ValueTooLong, "the text has %d characters and the field takes %d", n, t.maxLength)
			}
		}
		if t.restricted && !t.offers(v.Str()) {
			return v, t.refuse(fault.ValuePicklist, "a text of %d characters is not one of the field's %d choices", utf8.RuneCountInString(v.Str()), len(t.choices))
		}
	case row.Decimal:
		if t.whole >= 0 {
			return v, t.digits(v)
		}
	case row.Array:
		if t.restricted {
			return v, t.items(v)
		}
	}
	return v, t.limited(v)
}

func (t *target) refuse(code fault.Code, format string, args ...any) *ledger.Invalid {
	return &ledger.Invalid{Code: code, Field: t.name, Message: fmt.Sprintf(format, args...)}
}

func (t *target) offers(s string) bool {
	_, ok := slices.BinarySearch(t.choices, s)
	return ok
}

// digits checks precision and scale; zeros that change nothing do not count.
func (t *target) digits(v row.Value) *ledger.Invalid {
	whole, frac, _ := strings.Cut(strings.TrimPrefix(row.NormalDecimal(v.Str()), "-"), ".")
	if whole == "0" {
		whole = ""
	}
	switch {
	case len(frac) > t.scale:
		return t.refuse(fault.ValueType, "the number has %d digits after the point and the field takes %d", len(frac), t.scale)
	case len(whole) > t.whole:
		return t.refuse(fault.ValueType, "the number has %d digits before the point and the field takes %d", len(whole), t.whole)
	}
	return nil
}

// items checks every item of an array against the choices.
func (t *target) items(v row.Value) *ledger.Invalid {
	var items []any
	if err := json.Unmarshal([]byte(v.Str()), &items); err != nil {
		return t.refuse(fault.ValueType, "the value is not a JSON array")
	}
	for i, item := range items {
		if s, ok := item.(string); !ok || !t.offers(s) {
			return t.refuse(fault.ValuePicklist, "item %d of %d is not one of the field's %d choices", i+1, len(items), len(t.choices))
		}
	}
	return nil
}
