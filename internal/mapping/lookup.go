package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// A lookup field's value is the row.Array of its inputs' JSON forms, in the order of Lookup.By: ["A-17"], [42,"DE"]. A null
// among the inputs makes the field null.

// LookupInputs gives the inputs a lookup field's value was made from, in the order of Lookup.By; nil for null and absent.
func (m *Mapping) LookupInputs(i int, v row.Value) ([]row.Value, error) {
	if v.IsNull() || v.IsAbsent() {
		return nil, nil
	}
	f := &m.fields[i]
	var parts []json.RawMessage
	if f.from != fromLookup || v.Kind() != row.Array || json.Unmarshal([]byte(v.Str()), &parts) != nil || len(parts) != len(f.by) {
		return nil, fmt.Errorf("reading the inputs of lookup field %s: a value of kind %s does not hold them", f.to.name, v.Kind())
	}
	out := make([]row.Value, len(parts))
	for n, p := range parts {
		kind, text := m.columns[f.by[n]].effective(), string(p)
		if kind != row.JSON && kind != row.Array && bytes.HasPrefix(p, []byte(`"`)) {
			if err := json.Unmarshal(p, &text); err != nil {
				return nil, fmt.Errorf("reading the inputs of lookup field %s: %w", f.to.name, err)
			}
		}
		var err error
		out[n], err = row.ParseText(kind, text)
		if err != nil && kind.Numeric() {
			out[n], err = row.ParseDecimal(text) // the source's number type may have changed since
		}
		if err != nil {
			return nil, fmt.Errorf("reading input %d of lookup field %s: %w", n+1, f.to.name, err)
		}
	}
	return out, nil
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
		for n, v := range r.by {
			b = append(b, "[,"[min(n, 1)])
			b = v.AppendJSON(b)
		}
		return append(b, ']')
	}))
	return acc, true
}
