package mapping

import (
	"cel.dev/cel-go/cel"
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/row"
)

// reading is one goroutine's view of the batch at hand, and its memory.
type reading struct {
	p       *plan
	rec     arrow.RecordBatch
	schema  *arrow.Schema
	index   []int // of each column in the batch
	kinds   []row.Kind
	arrs    []arrow.Array
	err     *fault.Error // why the batch cannot be read
	scratch row.Scratch
	held    bool        // rows share the scratch until Release
	raw     []row.Value // of the row at hand, after declared casts
	uncast  []bool      // the declared cast failed
	ready   []bool      // raw is set for the row at hand
	row     map[string]any
	vars    cel.Activation
	by      []row.Value
	invalid ledger.Invalid
	hasher  *row.Hasher
}

func newReading(p *plan) *reading {
	n := len(p.columns)
	r := &reading{
		p: p, index: make([]int, n), kinds: make([]row.Kind, n), arrs: make([]arrow.Array, n),
		raw: make([]row.Value, n), uncast: make([]bool, n), ready: make([]bool, n), row: map[string]any{}, hasher: p.newHasher(),
	}
	r.vars = rowActivation(r.row)
	return r
}

// bind finds the mapping's columns in a batch. A batch whose types differ from those the mapping was compiled for is refused.
func (r *reading) bind(rec arrow.RecordBatch) *fault.Error {
	if rec == r.rec {
		return r.err
	}
	if rec.Schema() != r.schema || r.err != nil {
		r.err = r.bindSchema(rec.Schema())
	}
	r.rec = rec
	if r.err == nil {
		for i, at := range r.index {
			r.arrs[i] = rec.Column(at)
		}
	}
	return r.err
}

func (r *reading) bindSchema(s *arrow.Schema) *fault.Error {
	r.schema = s
	for i, c := range r.p.columns {
		at := s.FieldIndices(c.name)
		if len(at) != 1 {
			return fault.New(fault.SourceColumnMissing, "reading the model: the answer has %d columns named %q", len(at), c.name)
		}
		kind, err := row.KindOf(s.Field(at[0]))
		if err != nil {
			return fault.As(err)
		}
		if kind != c.kind && kind != row.Null && c.kind != row.Null && !(kind.Numeric() && c.kind.Numeric()) {
			return fault.New(fault.SourceTypeUnsupported, "reading the model: column %q is %s, and was %s when it was described", c.name, kind, c.kind).
				WithFix("run again; if it repeats, cast the column in the model's SQL")
		}
		r.index[i], r.kinds[i] = at[0], kind
	}
	return nil
}

// next forgets the row at hand.
func (r *reading) next() {
	if !r.held {
		r.scratch.Reset()
	}
	clear(r.ready)
}

// value gives column c of row i after its declared cast; ok is false when the cast is not exact.
func (r *reading) value(c, i int) (v row.Value, ok bool) {
	if r.ready[c] {
		return r.raw[c], !r.uncast[c]
	}
	v, ok = r.scratch.At(r.arrs[c], r.kinds[c], i), true
	if to := r.p.columns[c].declared; to != row.Absent && !v.IsNull() {
		var w row.Value
		if w, ok = cast(v, to, &r.scratch); ok {
			v = w
		}
	}
	r.raw[c], r.uncast[c], r.ready[c] = v, !ok, true
	return v, ok
}
