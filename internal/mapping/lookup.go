package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// A lookup field's value says which record it refers to: {"Account":{"No":"A-17"}}, the object looked up in and the inputs in
// their JSON forms by the fields compared. Its kind is Array, whose other values begin with a bracket, so that it is taken for no
// value of a column. A null among the inputs makes the field null.

// LookupInputs gives the inputs a lookup field's value was made from, in the order of Lookup.By; nil for null and absent.
func (m *Mapping) LookupInputs(i int, v row.Value) ([]row.Value, error) {
	f := &m.fields[i]
	kinds := make([]row.Kind, len(f.by))
	for n, c := range f.by {
		kinds[n] = m.columns[c].effective()
	}
	if v.IsNull() || v.IsAbsent() {
		return nil, nil
	}
	if !IsLookup(v) {
		return nil, fmt.Errorf("reading the inputs of lookup field %s: a value of kind %s does not hold them", f.to.name, v.Kind())
	}
	in, err := LookupInputs(f.lookup, v, kinds)
	if err != nil {
		return nil, fmt.Errorf("reading the inputs of lookup field %s: %w", f.to.name, err)
	}
	return in, nil
}

// IsLookup reports a value that says which record it refers to.
func IsLookup(v row.Value) bool { return v.Kind() == row.Array && strings.HasPrefix(v.Str(), "{") }

// LookupInputs gives the inputs of a lookup field's value, in the order of By, if the value was made by this lookup. kinds are
// those of the inputs, Absent = as the JSON form has it.
func LookupInputs(l *project.Lookup, v row.Value, kinds []row.Kind) ([]row.Value, error) {
	var doc map[string]map[string]json.RawMessage
	if l == nil || !IsLookup(v) || json.Unmarshal([]byte(v.Str()), &doc) != nil || len(doc) != 1 || len(doc[l.Object]) != len(l.By) {
		return nil, fmt.Errorf("%s was not made by this lookup", v)
	}
	out := make([]row.Value, len(l.By))
	for n, by := range l.By {
		form, ok := doc[l.Object][by.Field]
		if !ok {
			return nil, fmt.Errorf("%s was not made by this lookup", v)
		}
		var err error
		if out[n], err = lookupInput(form, kinds[n]); err != nil {
			return nil, fmt.Errorf("input %s: %w", by.Field, err)
		}
	}
	return out, nil
}

func lookupInput(form json.RawMessage, kind row.Kind) (row.Value, error) {
	text, quoted := string(form), bytes.HasPrefix(form, []byte(`"`))
	if quoted && kind != row.JSON && kind != row.Array {
		if err := json.Unmarshal(form, &text); err != nil {
			return row.Value{}, err
		}
	}
	switch {
	case kind != row.Absent:
	case quoted:
		return row.TextValue(text), nil
	case text == "true" || text == "false":
		return row.BoolValue(text == "true"), nil
	default:
		kind = row.Decimal
	}
	v, err := row.ParseText(kind, text)
	for _, k := range []row.Kind{row.Decimal, row.Float} { // the source's number type may have changed since
		if err != nil && kind.Numeric() {
			v, err = row.ParseText(k, text)
		}
	}
	return v, err
}

func (m *Mapping) makeLookup(r *reading, f *field, i int, acc uint64, out *ledger.Record) (uint64, bool) {
	r.by = r.by[:0]
	null := false
	for _, c := range f.by {
		v, ok := r.value(c, i)
		switch {
		case !ok:
			out.Invalid = r.undeclared(c, f.to.name)
			return 0, false
		case !finite(v):
			out.Invalid = r.refuse(fault.ValueNotNumber, f.to.name, "an input of the lookup is not a finite number")
			return 0, false
		case textual(v) && !utf8.ValidString(v.Str()):
			out.Invalid = r.refusef(fault.TextInvalid, f.to.name, "an input of %d bytes is not valid UTF-8", len(v.Str()))
			return 0, false
		}
		null = null || v.IsNull()
		r.by = append(r.by, v)
		if !f.createOnly {
			acc = r.hasher.Mix(acc, v)
		}
	}
	if null {
		return m.makeNull(r, f, acc, true, out)
	}
	out.Values = append(out.Values, r.scratch.Text(row.Array, func(b []byte) []byte {
		b = append(row.AppendJSONString(append(b, '{'), f.lookup.Object), ":{"...)
		for n, v := range r.by {
			if n > 0 {
				b = append(b, ',')
			}
			b = append(row.AppendJSONString(b, f.lookup.By[n].Field), ':')
			b = v.AppendJSON(b)
		}
		return append(b, "}}"...)
	}))
	return acc, true
}
