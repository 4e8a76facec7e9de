// Package mapping turns rows of a model into records of a destination: key, match, values, and the fingerprint that tells
// whether a record changed.
//
// A mapping is compiled once against the model's columns and the object's live fields; what cannot fit is refused there, with
// the place in the project file. Then Hash runs over Arrow columns for every row, and Materialise boxes the rows that changed.
//
// Values are converted to the field's kind where that is exact and unmistakable (whole numbers, text of a number or date for a
// text field); anything else is refused: when compiling if no value could fit, else for the row. Nothing is rounded or cut.
//
// CEL expressions see a row as the variable row with one entry per column: int and bool as they are; float and decimal as
// double (a decimal of more than 15 digits is rounded in expressions, and only there); bytes as bytes; a point in time as
// timestamp; date, time, timestamp without zone, interval, uuid, JSON and arrays as text in the form upwell shows them; null as
// null. The result is fitted to the field like a column's value; text is also read as a date or time for such a field.
package mapping

import (
	"slices"

	"cel.dev/cel-go/cel"
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// Spec is what a mapping is compiled from.
type Spec struct {
	Key      []string
	KeyKinds []row.Kind // kinds of the ledger's generation, nil = new
	Sync     *project.Sync
	Columns  map[string]project.Column
	Schema   *arrow.Schema // of the model; may hold more columns than are mapped
	Object   connector.Object
	Dest     connector.Spec
	Seed     uint64 // of the ledger
}

// Mapping is a compiled mapping. Hash may be called by one goroutine while another calls Materialise; Clone gives more.
type Mapping struct {
	*plan
	hashing *reading
	making  *reading
	hasher  *row.Hasher
	key     []byte // of the row being hashed
}

// plan is the part of a mapping that never changes.
type plan struct {
	columns   []column
	names     []string
	keys      []part
	match     []part
	fields    []field
	matchKey  bool // match identifies exactly what the key does
	folds     bool // a match field ignores case or blanks
	seed      uint64
	drift     string
	fieldName []string
	kinds     []row.Kind
	matchName []string
	matchKind []row.Kind
}

// column is one model column that is read.
type column struct {
	name     string
	kind     row.Kind // as the source says
	declared row.Kind // as the project says, Absent = as the source says
}

// effective is the kind the column's values have after the declared cast.
func (c column) effective() row.Kind {
	if c.declared != row.Absent {
		return c.declared
	}
	return c.kind
}

// part is one column of the key or one field of the match.
type part struct {
	col   int
	as    row.Kind // key: kind of the ledger it is converted to, Absent = as it is
	to    target   // match
	fold  bool
	trim  bool
	exact bool // key: values that have no counterpart in kind as stay as they are (numbers of one family)
}

type origin uint8

const (
	fromColumn origin = iota
	fromValue
	fromCEL
	fromLookup
)

// field is one mapped destination field.
type field struct {
	from       origin
	col        int
	value      row.Value
	expr       *expression
	by         []int
	lookup     *project.Lookup
	null       project.NullPolicy
	createOnly bool
	to         target
	kind       row.Kind
}

// Columns gives the model columns that must be read, the key's first.
func (m *Mapping) Columns() []string { return slices.Clone(m.names) }

// MatchFields gives the destination fields that identify the record, in file order.
func (m *Mapping) MatchFields() []string { return slices.Clone(m.matchName) }

// MatchKinds gives the kinds of the match values.
func (m *Mapping) MatchKinds() []row.Kind { return slices.Clone(m.matchKind) }

// Fields gives the mapped destination fields in file order, without the match fields.
func (m *Mapping) Fields() []string { return slices.Clone(m.fieldName) }

// Kinds gives the kind of each field's values; Absent where it depends on the row, Text for a lookup (a remote id) into a field
// of no declared kind.
func (m *Mapping) Kinds() []row.Kind { return slices.Clone(m.kinds) }

// KeyKinds gives the kinds in which the key's values are expressed: those of the ledger where it has any.
func (m *Mapping) KeyKinds() []row.Kind {
	out := make([]row.Kind, len(m.keys))
	for i, k := range m.keys {
		out[i] = m.columns[k.col].effective()
		if k.as != row.Absent {
			out[i] = k.as
		}
	}
	return out
}

// KeyDrift says how the key columns' types differ from the ledger's, for a warning; "" = they do not.
func (m *Mapping) KeyDrift() string { return m.drift }

// Whole reports that no field is ever left out of a valid record: none has null: skip.
func (m *Mapping) Whole() bool {
	return !slices.ContainsFunc(m.fields, func(f field) bool { return f.null == project.NullSkip })
}

// CreateOnly reports whether field i is sent only when the record is created.
func (m *Mapping) CreateOnly(i int) bool { return m.fields[i].createOnly }

// NullPolicy gives what a null does to field i.
func (m *Mapping) NullPolicy(i int) project.NullPolicy { return m.fields[i].null }

// Lookup gives field i's lookup, nil when it has none.
func (m *Mapping) Lookup(i int) *project.Lookup { return m.fields[i].lookup }

// MatchIsKey reports that the match holds exactly the key's columns and tells apart what the key tells apart.
func (m *Mapping) MatchIsKey() bool { return m.matchKey }

// Clone gives a mapping with memory of its own, for another goroutine. It costs no compilation.
func (m *Mapping) Clone() *Mapping { return newMapping(m.plan) }

// Hold makes what Materialise gives valid until Release, for callers that gather rows. Without it every row takes the memory of
// the one before; texts that alias a batch live as long as the batch either way.
func (m *Mapping) Hold() { m.making.held = true }

// Release ends the values given since Hold or the last Release.
func (m *Mapping) Release() { m.making.scratch.Reset() }

func newMapping(p *plan) *Mapping {
	return &Mapping{plan: p, hashing: newReading(p), making: newReading(p), hasher: p.newHasher()}
}

// expression is a compiled CEL expression and the columns it reads.
type expression struct {
	program cel.Program
	cols    []int
}
