package cli

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
)

// object is named values as a JSON object, in order: a key, a row, a record.
type object []run.Named

// MarshalJSON writes the values in full precision.
func (o object) MarshalJSON() ([]byte, error) {
	if o == nil {
		return []byte("null"), nil
	}
	b := []byte{'{'}
	for i, n := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(row.AppendJSONString(b, n.Name), ':')
		b = n.Value.AppendJSON(b)
	}
	return append(b, '}'), nil
}

// String gives the key as `explain` takes it: the value, or col=value,… for several columns.
func (o object) String() string {
	switch len(o) {
	case 0:
		return "(no key)"
	case 1:
		return value(o[0].Value)
	}
	parts := make([]string, len(o))
	for i, n := range o {
		parts[i] = n.Name + "=" + value(n.Value)
	}
	return strings.Join(parts, ",")
}

// keyOf names the values of a key. Where the project no longer says how, they are named key, or key_1, key_2, ….
func keyOf(columns []string, vals []row.Value) object {
	if len(vals) == 0 { // a row whose key is null
		return nil
	}
	out := make(object, len(vals))
	for i, v := range vals {
		name := "key"
		switch {
		case len(columns) == len(vals):
			name = columns[i]
		case len(vals) > 1:
			name = "key_" + number(int64(i+1))
		}
		out[i] = run.Named{Name: name, Value: v}
	}
	return out
}

func (o object) values() []row.Value {
	out := make([]row.Value, len(o))
	for i, n := range o {
		out[i] = n.Value
	}
	return out
}

// compareKeys orders keys for people: whole numbers by value, everything else as text.
func compareKeys(x, y []row.Value) int {
	return slices.CompareFunc(x, y, func(a, b row.Value) int {
		if a.Kind() == row.Int && b.Kind() == row.Int {
			return cmp.Compare(a.Int(), b.Int())
		}
		return strings.Compare(a.String(), b.String())
	})
}

// differences are fields with their old and new values: {f: {old, new}}. null stands for a value that is not known, too.
type differences []difference

type difference struct {
	field    string
	old, new row.Value
}

// MarshalJSON writes {f: {old, new}}.
func (d differences) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range d {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(row.AppendJSONString(b, f.field), `:{"old":`...)
		b = append(f.old.AppendJSON(b), `,"new":`...)
		b = append(f.new.AppendJSON(b), '}')
	}
	return append(b, '}'), nil
}

// list keeps an empty list from becoming null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// instant is a time in a document: RFC 3339 in UTC, null when there is none.
type instant time.Time

// MarshalJSON writes the time to the millisecond.
func (t instant) MarshalJSON() ([]byte, error) {
	if time.Time(t).IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(time.Time(t).UTC().Truncate(time.Millisecond))
}
