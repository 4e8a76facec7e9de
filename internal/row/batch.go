package row

// Batch is rows of one operation for one object, as a typed slab: every row has the same match and value columns, in the same
// order. A value that is Absent is not part of that row's record; Null clears the field.
//
// The engine fills it and owns it; a connector reads it and keeps nothing of it after its call returns.
type Batch struct {
	matchFields []string
	fields      []string
	match       []Value
	values      []Value
	meta        []Meta
}

// Meta is what travels with a row beside its values.
type Meta struct {
	Key            []byte // canonical key of the model row; opaque to connectors
	RemoteID       string // the tool's own id, "" when not known
	IdempotencyKey string // deterministic; "" when the operation has none
	Ordinal        uint64 // position in the plan; opaque to connectors
}

// NewBatch makes an empty batch with room for n rows. matchFields and fields are destination field names; a match field does
// not repeat in fields.
func NewBatch(matchFields, fields []string, n int) *Batch {
	return &Batch{
		matchFields: matchFields, fields: fields,
		match: make([]Value, 0, n*len(matchFields)), values: make([]Value, 0, n*len(fields)), meta: make([]Meta, 0, n),
	}
}

// Add appends a row. match and values are copied; their lengths must be those of MatchFields and Fields.
func (b *Batch) Add(meta Meta, match, values []Value) {
	if len(match) != len(b.matchFields) || len(values) != len(b.fields) {
		panic("row: batch row has the wrong number of values")
	}
	b.match = append(b.match, match...)
	b.values = append(b.values, values...)
	b.meta = append(b.meta, meta)
}

// Len is the number of rows.
func (b *Batch) Len() int { return len(b.meta) }

// MatchFields are the destination fields that identify the record.
func (b *Batch) MatchFields() []string { return b.matchFields }

// Fields are the destination fields written, without the match fields.
func (b *Batch) Fields() []string { return b.fields }

// Match gives row i's identity, in MatchFields order. Do not keep it.
func (b *Batch) Match(i int) []Value {
	n := len(b.matchFields)
	return b.match[i*n : (i+1)*n : (i+1)*n]
}

// Values gives row i's values, in Fields order; Absent where the row does not write the field. Do not keep it.
func (b *Batch) Values(i int) []Value {
	n := len(b.fields)
	return b.values[i*n : (i+1)*n : (i+1)*n]
}

// Meta gives what travels with row i.
func (b *Batch) Meta(i int) *Meta { return &b.meta[i] }

// Slice gives rows [from, to) as a batch that shares memory with b.
func (b *Batch) Slice(from, to int) *Batch {
	m, f := len(b.matchFields), len(b.fields)
	return &Batch{
		matchFields: b.matchFields, fields: b.fields,
		match: b.match[from*m : to*m : to*m], values: b.values[from*f : to*f : to*f], meta: b.meta[from:to:to],
	}
}

// Pick gives the rows with these indexes, copied.
func (b *Batch) Pick(rows []int) *Batch {
	out := NewBatch(b.matchFields, b.fields, len(rows))
	for _, i := range rows {
		out.Add(b.meta[i], b.Match(i), b.Values(i))
	}
	return out
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() { b.match, b.values, b.meta = b.match[:0], b.values[:0], b.meta[:0] }
