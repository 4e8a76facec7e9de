package run

import (
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// parseKey reads a key as people write it: the value, or col=value,col=value for a key of several columns.
func (p *prepared) parseKey(text string) ([]row.Value, error) {
	parts := map[string]string{}
	if len(p.model.Key) == 1 {
		parts[p.model.Key[0]] = strings.TrimPrefix(text, p.model.Key[0]+"=")
	} else if parts = splitKey(text, p.model.Key); parts == nil {
		return nil, fault.New(fault.UsageUnknown, "reading the key %q: the key of %s has %d columns", text, p.model.Name, len(p.model.Key)).
			WithFix("write it as %s=…", strings.Join(p.model.Key, "=…,"))
	}
	var out []row.Value
	for i, col := range p.model.Key {
		text, ok := parts[col]
		if !ok {
			return nil, fault.New(fault.UsageUnknown, "reading the key: column %s has no value", col).
				WithFix("write it as %s=…", strings.Join(p.model.Key, "=…,"))
		}
		kind, err := p.keyKind(i, col)
		if err != nil {
			return nil, err
		}
		v, err := row.ParseText(kind, text)
		if err != nil {
			return nil, fault.New(fault.UsageUnknown, "reading the key: %q is no %s, which column %s is", text, kind, col).WithFix("write it as %s", written(kind))
		}
		out = append(out, v)
	}
	return out, nil
}

// keyKind is the kind of a key column: as the model has it, or where that cannot be asked as the ledger or the project says.
func (p *prepared) keyKind(i int, col string) (row.Kind, error) {
	if p.schema == nil {
		if slices.Equal(p.meta.KeyColumns, p.model.Key) && i < len(p.meta.KeyKinds) {
			return p.meta.KeyKinds[i], nil
		}
		if k := p.model.Columns[col].Kind; k != row.Absent {
			return k, nil
		}
		return row.Text, nil
	}
	fields, ok := p.schema.FieldsByName(col)
	if !ok {
		return 0, fault.New(fault.SourceColumnMissing, "model %s yields no column %q", p.model.Name, col).At(p.model.Where)
	}
	return row.KindOf(fields[0])
}

// splitKey finds the values of the columns named in a text; nil when it does not begin with one. A comma parts two columns only where
// a column's name follows, so that values may hold commas.
func splitKey(text string, columns []string) map[string]string {
	type start struct{ name, value int }
	at := map[string]start{}
	for i := 0; i < len(text); i++ {
		if i > 0 && text[i-1] != ',' {
			continue
		}
		rest := strings.TrimLeft(text[i:], " ")
		for _, c := range columns {
			if _, have := at[c]; !have && strings.HasPrefix(rest, c+"=") {
				at[c] = start{i, len(text) - len(rest) + len(c) + 1}
				break
			}
		}
	}
	out := map[string]string{}
	begins := false
	for c, s := range at {
		begins = begins || s.name == 0
		end := len(text)
		for _, next := range at {
			if next.name > s.name {
				end = min(end, next.name-1) // the comma
			}
		}
		out[c] = text[s.value:max(s.value, end)]
	}
	if !begins {
		return nil
	}
	return out
}

// written is how a value of a kind is written.
func written(k row.Kind) string {
	examples := map[row.Kind]string{
		row.Bool: "true or false", row.Int: "42", row.Uint: "42", row.Float: "1.5", row.Decimal: "12.50", row.Date: "2026-02-03", row.Time: "10:00:00",
		row.Timestamp: "2026-02-03T10:00:00", row.Instant: "2026-02-03T10:00:00Z", row.UUID: "6ba7b810-9dad-11d1-80b4-00c04fd430c8", row.Bytes: "base64, as in aGk=",
	}
	if e, ok := examples[k]; ok {
		return e
	}
	return "`upwell preview` shows it"
}
