package mapping

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// Materialise boxes row i of a batch into out: key, key hash, fingerprint (the one Hash gives), match, and the values in the
// order of Fields, fitted to the fields' kinds. A row that cannot be sent has Invalid set, fingerprint 0, and its key where it
// has one; its match and values then mean nothing.
//
// Everything out points at is valid until the next call (see Hold): texts may alias the batch's memory. Its slices are reused.
func (m *Mapping) Materialise(rec arrow.RecordBatch, i int, out *ledger.Record) {
	r := m.making
	out.Key, out.Hash, out.Fingerprint, out.Invalid = out.Key[:0], 0, 0, nil
	out.Match, out.MatchID, out.Values = out.Match[:0], out.MatchID[:0], out.Values[:0]
	if err := r.bind(rec); err != nil {
		out.Key, out.Invalid = nil, r.refuse(err.Code, "", err.Message)
		return
	}
	r.next()
	acc, ok := m.makeKey(r, i, out)
	if ok {
		acc, ok = m.makeMatch(r, i, acc, out)
	}
	for f := range m.fields {
		if !ok {
			return
		}
		acc, ok = m.makeField(r, &m.fields[f], i, acc, out)
	}
	if ok {
		out.Fingerprint = nonzero(acc)
	}
}

// refuse fills the refusal of the row at hand.
func (r *reading) refuse(code fault.Code, field, message string) *ledger.Invalid {
	r.invalid = ledger.Invalid{Code: code, Field: field, Message: message}
	return &r.invalid
}

func (r *reading) refusef(code fault.Code, field, format string, args ...any) *ledger.Invalid {
	return r.refuse(code, field, fmt.Sprintf(format, args...))
}

func (m *Mapping) makeKey(r *reading, i int, out *ledger.Record) (uint64, bool) {
	h := r.hasher
	acc := h.Start()
	var bad *ledger.Invalid
	for _, k := range m.keys {
		name := m.columns[k.col].name
		v, ok := m.keyValue(r, k, i)
		switch {
		case v.IsNull():
			out.Key, out.Invalid = nil, r.refusef(fault.KeyNull, name, "key column %q is null", name)
			return 0, false
		case bad != nil:
		case !ok:
			bad = r.keyType(k, v, name)
		case textual(v) && !utf8.ValidString(v.Str()):
			bad = r.refusef(fault.TextInvalid, name, "key column %q holds a text of %d bytes that is not valid UTF-8", name, len(v.Str()))
		}
		out.Key = v.AppendCanonical(out.Key)
		acc = h.Mix(acc, v)
	}
	out.Hash = row.KeyHash(m.seed, out.Key)
	out.Invalid = bad
	return acc, bad == nil
}

func (r *reading) keyType(k part, v row.Value, name string) *ledger.Invalid {
	if to := r.p.columns[k.col].declared; r.uncast[k.col] {
		return r.refusef(fault.KeyType, name, "key column %q: the %s value has no exact form as the declared type %s", name, v.Kind(), to)
	}
	return r.refusef(fault.KeyType, name, "key column %q was %s, and this %s value has no exact form as %s", name, k.as, v.Kind(), k.as)
}

func textual(v row.Value) bool { return v.Kind().TextBacked() && v.Kind() != row.Bytes }

func finite(v row.Value) bool {
	return v.Kind() != row.Float || !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0)
}

func (m *Mapping) makeMatch(r *reading, i int, acc uint64, out *ledger.Record) (uint64, bool) {
	for p := range m.match {
		part := &m.match[p]
		v, ok := r.value(part.col, i)
		if !ok {
			out.Invalid = r.undeclared(part.col, part.to.name)
			return 0, false
		}
		if v.IsNull() {
			out.Invalid = r.refusef(fault.MatchNull, part.to.name, "column %q is null and %s identifies the record", m.columns[part.col].name, part.to.name)
			return 0, false
		}
		if !m.matchKey {
			acc = r.hasher.Mix(acc, v)
		}
		v, bad := part.to.fit(v, &r.scratch)
		if bad != nil {
			out.Invalid = bad
			return 0, false
		}
		out.Match = append(out.Match, v)
		if !m.matchKey {
			out.MatchID = appendIdentity(out.MatchID, v, part.fold, part.trim)
		}
	}
	if m.matchKey {
		out.MatchID = nil
	}
	return acc, true
}

// MatchID gives the identity of a match as Materialise does: normalised as the object declares; nil when the match is the key.
func (m *Mapping) MatchID(match []row.Value) []byte {
	if m.matchKey || len(match) != len(m.match) {
		return nil
	}
	var id []byte
	for i, v := range match {
		id = appendIdentity(id, v, m.match[i].fold, m.match[i].trim)
	}
	return id
}

// Identity gives what MatchID gives where the match is not the key, without a mapping.
func Identity(o connector.Object, names []string, match []row.Value) []byte {
	var id []byte
	for i, v := range match {
		var f connector.Field
		if i < len(names) {
			if at := slices.IndexFunc(o.Fields, func(f connector.Field) bool { return f.Name == names[i] }); at >= 0 {
				f = o.Fields[at]
			}
		}
		id = appendIdentity(id, v, f.FoldCase, f.TrimSpace)
	}
	return id
}

// appendIdentity appends the canonical form of a match value, without what the tool ignores.
func appendIdentity(b []byte, v row.Value, fold, trim bool) []byte {
	if v.Kind() == row.Text {
		s := v.Str()
		if trim {
			s = strings.TrimSpace(s)
		}
		if fold {
			s = strings.ToLower(s)
		}
		v = row.TextValue(s)
	}
	return v.AppendCanonical(b)
}

func (r *reading) undeclared(c int, field string) *ledger.Invalid {
	return r.refusef(fault.ValueType, field, "column %q: the %s value has no exact form as the declared type %s", r.p.columns[c].name, r.raw[c].Kind(), r.p.columns[c].declared)
}

func (m *Mapping) makeField(r *reading, f *field, i int, acc uint64, out *ledger.Record) (uint64, bool) {
	v := f.value
	may := fits
	switch f.from {
	case fromValue:
		out.Values = append(out.Values, v)
		if !f.createOnly {
			acc = r.hasher.Mix(acc, v)
		}
		return acc, true
	case fromColumn:
		var ok bool
		if v, ok = r.value(f.col, i); !ok {
			out.Invalid = r.undeclared(f.col, f.to.name)
			return 0, false
		}
	case fromCEL:
		var err error
		if v, err = r.compute(f.expr, i); err != nil {
			out.Invalid = r.refuse(fault.Expression, f.to.name, err.Error())
			return 0, false
		}
		may = casts
	case fromLookup:
		return m.makeLookup(r, f, i, acc, out)
	}
	if v.IsNull() {
		return m.makeNull(r, f, acc, f.createOnly, out)
	}
	if !f.createOnly {
		acc = r.hasher.Mix(acc, v)
	}
	w, bad := f.to.fitAs(v, &r.scratch, may)
	if bad != nil {
		out.Invalid = bad
		return 0, false
	}
	out.Values = append(out.Values, w)
	return acc, true
}

// makeNull applies the null policy; mixed says that the fingerprint already has the field.
func (m *Mapping) makeNull(r *reading, f *field, acc uint64, mixed bool, out *ledger.Record) (uint64, bool) {
	v := row.NullValue()
	switch {
	case f.null == project.NullReject:
		out.Invalid = r.refuse(fault.ValueNull, f.to.name, "the value is null and the mapping says null: reject")
		return 0, false
	case f.null == project.NullSkip:
		v = row.Value{}
	case f.to.needed:
		out.Invalid = r.refuse(fault.RequiredAbsent, f.to.name, "the value is null and the field must have one")
		return 0, false
	}
	if !mixed {
		acc = r.hasher.Mix(acc, v)
	}
	out.Values = append(out.Values, v)
	return acc, true
}
