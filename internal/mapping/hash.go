package mapping

import (
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// Prints are the hashes of a batch's rows. Hash fills them anew and keeps their memory.
type Prints struct {
	Hash    []uint64 // of the key: row.KeyHash; means nothing where NullKey
	Print   []uint64 // fingerprint of the mapped record; 0 = known to be invalid, never 0 otherwise
	NullKey []bool   // a key column is null: the row is not probed
	Bad     []bool   // known to be invalid: Materialise says why
}

// subject says what a fingerprint's values are values of: the same value in another field, or of another record looked up, is
// another mapped record.
func (p *plan) subject() string {
	var b []byte
	for _, name := range p.matchName {
		b = strconv.AppendQuote(b, name)
	}
	for i, f := range p.fields {
		if f.createOnly {
			continue
		}
		b = strconv.AppendQuote(append(b, '\n'), p.fieldName[i])
		if l := f.lookup; l != nil {
			b = strconv.AppendQuote(b, l.Object)
			for _, by := range l.By {
				b = strconv.AppendQuote(b, by.Field)
			}
		}
	}
	return string(b)
}

func (p *plan) newHasher() *row.Hasher {
	h := row.NewHasher(p.seed)
	h.About(p.subject())
	return h
}

func (p *Prints) size(n int) {
	p.Hash, p.Print = slices.Grow(p.Hash[:0], n)[:n], slices.Grow(p.Print[:0], n)[:n]
	p.NullKey, p.Bad = slices.Grow(p.NullKey[:0], n)[:n], slices.Grow(p.Bad[:0], n)[:n]
	clear(p.Bad)
}

// Hash computes the key hash and the fingerprint of every row of a batch. The fingerprint covers the key, the match, the names of
// the fields, and every field's input in file order: columns and constants as they are before they are fitted to the field, results of expressions,
// the inputs of lookups; without fields written only on creation. A null that is skipped counts as absent. Rows that cannot be
// sent for a reason seen here have fingerprint 0; other reasons are found by Materialise.
func (m *Mapping) Hash(rec arrow.RecordBatch, out *Prints) error {
	r := m.hashing
	if err := r.bind(rec); err != nil {
		return err
	}
	out.size(int(rec.NumRows()))
	m.hasher.Begin(out.Print)
	m.hashKeys(r, out)
	if !m.matchKey {
		for _, p := range m.match {
			m.hashColumn(r, p.col, row.Null, true, out)
		}
	}
	for i := range m.fields {
		if f := &m.fields[i]; !f.createOnly {
			m.hashField(r, f, out)
		}
	}
	for i, bad := range out.Bad {
		if out.Print[i] = nonzero(out.Print[i]); bad {
			out.Print[i] = 0
		}
	}
	return nil
}

func nonzero(print uint64) uint64 {
	if print == 0 {
		return 1
	}
	return print
}

func (m *Mapping) hashKeys(r *reading, out *Prints) {
	plain := true
	for _, k := range m.keys {
		plain = plain && k.as == row.Absent && m.columns[k.col].declared == row.Absent
	}
	if plain {
		var cols [8]arrow.Array
		var kinds [8]row.Kind
		arrs, ks := cols[:0], kinds[:0]
		for _, k := range m.keys {
			arrs, ks = append(arrs, r.arrs[k.col]), append(ks, r.kinds[k.col])
			m.hasher.Column(r.arrs[k.col], r.kinds[k.col], row.Null, out.Print)
		}
		m.hasher.Keys(arrs, ks, out.Hash, out.NullKey)
		return
	}
	for i := range out.Hash {
		r.next()
		m.key, out.NullKey[i] = m.key[:0], false
		for _, k := range m.keys {
			v, ok := m.keyValue(r, k, i)
			out.NullKey[i] = out.NullKey[i] || v.IsNull()
			out.Bad[i] = out.Bad[i] || !ok
			m.key = v.AppendCanonical(m.key)
			out.Print[i] = m.hasher.Mix(out.Print[i], v)
		}
		out.Hash[i] = row.KeyHash(m.seed, m.key)
	}
}

// keyValue gives one column of row i's key in the ledger's kind; ok is false where there is no exact form: then it is the
// value as it came, so that the row is still named.
func (p *plan) keyValue(r *reading, k part, i int) (v row.Value, ok bool) {
	v, ok = r.value(k.col, i)
	if ok && k.as != row.Absent && !v.IsNull() {
		w, exact := castKey(v, k.as, &r.scratch)
		if exact {
			return w, true
		}
		ok = k.exact && finite(v)
	}
	return v, ok
}

// hashColumn mixes a column into the fingerprints; needed marks rows without a value as bad.
func (m *Mapping) hashColumn(r *reading, c int, null row.Kind, needed bool, out *Prints) {
	if m.columns[c].declared == row.Absent {
		m.hasher.Column(r.arrs[c], r.kinds[c], null, out.Print)
		if needed && r.kinds[c] == row.Null {
			for i := range out.Bad {
				out.Bad[i] = true
			}
		} else if needed && r.arrs[c].NullN() > 0 {
			for i := range out.Bad {
				out.Bad[i] = out.Bad[i] || r.arrs[c].IsNull(i)
			}
		}
		return
	}
	absent := row.Value{}
	for i := range out.Print {
		r.next()
		v, ok := r.value(c, i)
		out.Bad[i] = out.Bad[i] || !ok || needed && v.IsNull()
		if v.IsNull() && null == row.Absent {
			v = absent
		}
		out.Print[i] = m.hasher.Mix(out.Print[i], v)
	}
}

func (m *Mapping) hashField(r *reading, f *field, out *Prints) {
	null := row.Null
	if f.null == project.NullSkip {
		null = row.Absent
	}
	needed := f.null == project.NullReject
	switch f.from {
	case fromColumn:
		m.hashColumn(r, f.col, null, needed, out)
	case fromValue:
		m.hasher.Same(f.value, out.Print)
	case fromLookup:
		for _, c := range f.by {
			m.hashColumn(r, c, row.Null, needed, out)
		}
	case fromCEL:
		for i := range out.Print {
			r.next()
			v, err := r.compute(f.expr, i)
			if v.IsNull() && null == row.Absent {
				v = row.Value{}
			}
			out.Bad[i] = out.Bad[i] || err != nil || needed && v.IsNull()
			out.Print[i] = m.hasher.Mix(out.Print[i], v)
		}
	}
}
