package run

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/mapping"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// Named is a value with its name.
type Named struct {
	Name  string
	Value row.Value
}

// Explanation is everything about one record.
type Explanation struct {
	Key      []Named
	ModelRow []Named // nil: the model has no such row
	Mapped   []Named // destination fields, match first; nil when the row cannot be mapped
	Ledger   *ledger.Entry
	State    string // in_sync | will_add | will_change | will_remove | rejected | invalid | unknown | absent | unread
	Invalid  *ledger.Invalid
	Refusal  *Refused
	History  []ledger.History // newest first
	Rows     int              // rows the model has under this key
	Note     string           // what could not be looked at, "" = nothing
	Unread   *fault.Error     // why the model could not be read; then the rest is what memory knows, and State may be unread
}

// Explain tells everything about one record. It reads the model with the key bound as a parameter and looks the key up in the
// ledger; it never scans either.
func (e *Engine) Explain(ctx context.Context, s *project.Sync, key string) (out *Explanation, err error) {
	snap, err := e.Ledger(s.Name).Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	p := &prepared{e: e, sync: s, model: e.Project.Models[s.Model], snap: snap, meta: snap.Meta()}
	defer func() { err = errors.Join(err, p.close()) }()
	if p.source, err = e.sourceOf(ctx, p.model); err != nil {
		return p.explainUnread(ctx, key, p.inModel(err))
	}
	if p.schema, err = p.source.Describe(ctx, p.query(nil)); err != nil {
		return p.explainUnread(ctx, key, p.undescribed(ctx, err))
	}
	vals, err := p.parseKey(key)
	if err != nil {
		return nil, err
	}
	out = &Explanation{Key: p.named(vals)}
	if err := p.compileFor(ctx, out); err != nil {
		return nil, err
	}
	if err := p.memories(ctx); err != nil {
		return nil, err
	}
	if err := p.explain(ctx, vals, out); err != nil {
		return p.explainUnread(ctx, key, err)
	}
	return out, nil
}

func (p *prepared) named(vals []row.Value) (out []Named) {
	for i, v := range vals {
		out = append(out, Named{p.model.Key[i], v})
	}
	return out
}

// compileFor compiles the mapping against the live object, or against whatever the project says when the tool is out of reach.
func (p *prepared) compileFor(ctx context.Context, out *Explanation) error {
	var err error
	p.dest, err = p.e.connect(ctx, p.sync)
	p.spec = mapping.Spec{Key: p.model.Key, KeyKinds: p.meta.KeyKinds, Sync: p.sync, Columns: p.model.Columns, Schema: p.schema, Seed: p.meta.Seed}
	if err != nil {
		out.Note = "the destination could not be asked: " + err.Error()
		p.spec.Object = connector.Object{Name: p.sync.Object, FreeField: true}
		p.spec.Dest = connector.Spec{FreeObject: true, NoMatch: true}
	} else {
		p.spec.Object, p.spec.Dest = p.dest.object, p.dest.spec
	}
	m, faults := mapping.Compile(p.spec)
	if len(faults) > 0 {
		return faults
	}
	p.mapping = m
	return nil
}

func (p *prepared) explain(ctx context.Context, vals []row.Value, out *Explanation) error {
	rec, err := p.oneRow(ctx, vals, out)
	if err != nil {
		return err
	}
	key := p.ledgerKey(vals)
	if rec != nil && rec.Key != nil {
		key = rec.Key
	}
	if err := p.remember(ctx, key, out); err != nil {
		return err
	}
	out.State = p.stateOf(key, rec, out)
	return nil
}

// ledgerKey is the key in the kinds the ledger has it in, which are those of the mapping and not always those of the source.
func (p *prepared) ledgerKey(vals []row.Value) []byte {
	var key []byte
	for i, k := range p.mapping.KeyKinds() {
		v := vals[i]
		if as, err := row.ParseText(k, v.String()); err == nil {
			v = as
		}
		key = row.AppendKey(key, v)
	}
	return key
}

// oneRow reads the key's row and maps it.
func (p *prepared) oneRow(ctx context.Context, vals []row.Value, out *Explanation) (*ledger.Record, error) {
	q := p.query(nil)
	for i, v := range vals {
		q.Equal = append(q.Equal, connector.ColumnIs{Column: p.model.Key[i], Value: v})
	}
	var rec *ledger.Record
	for batch, err := range p.source.Read(ctx, q) {
		if err != nil {
			return nil, p.inModel(err)
		}
		out.Rows += int(batch.NumRows())
		if rec != nil || batch.NumRows() == 0 {
			continue
		}
		var err error
		if out.ModelRow, err = rowOf(batch, 0); err != nil {
			return nil, err
		}
		rec = &ledger.Record{}
		sub, err := pick(batch, p.mapping.Columns())
		if err != nil {
			return nil, err
		}
		var prints mapping.Prints
		if err := p.mapping.Hash(sub, &prints); err != nil {
			return nil, err
		}
		p.mapping.Materialise(sub, 0, rec)
		rec = rec.Clone()
	}
	if out.Rows > 1 {
		rec.Invalid = &ledger.Invalid{Code: fault.KeyDuplicate, Message: "several rows of the model have this key"}
	}
	if rec == nil {
		return nil, nil
	}
	if out.Invalid = rec.Invalid; rec.Invalid == nil {
		for i, f := range p.mapping.MatchFields() {
			out.Mapped = append(out.Mapped, Named{f, rec.Match[i]})
		}
		for i, f := range p.mapping.Fields() {
			if !rec.Values[i].IsAbsent() {
				out.Mapped = append(out.Mapped, Named{f, rec.Values[i]})
			}
		}
	}
	return rec, nil
}

// pick picks columns of a batch by name, in the order the mapping wants.
func pick(rec arrow.RecordBatch, names []string) (arrow.RecordBatch, error) {
	cols := make([]arrow.Array, len(names))
	fields := make([]arrow.Field, len(names))
	for i, n := range names {
		idx := rec.Schema().FieldIndices(n)
		if len(idx) == 0 {
			return nil, fault.New(fault.SourceColumnMissing, "the model yields no column %q", n)
		}
		cols[i], fields[i] = rec.Column(idx[0]), rec.Schema().Field(idx[0])
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, rec.NumRows()), nil
}

func rowOf(rec arrow.RecordBatch, i int) ([]Named, error) {
	var out []Named
	for j, f := range rec.Schema().Fields() {
		k, err := row.KindOf(f)
		if err != nil {
			return nil, err
		}
		out = append(out, Named{f.Name, row.At(rec.Column(j), k, i).Clone()})
	}
	return out, nil
}

// stateOf says in one word how a record stands.
func (p *prepared) stateOf(key []byte, rec *ledger.Record, out *Explanation) string {
	change := ledger.Change{Key: key, Hash: row.KeyHash(p.meta.Seed, key), New: rec, Old: out.Ledger}
	_, dirty := p.dirty[string(key)]
	switch f := out.Refusal; {
	case rec == nil && out.Ledger == nil && !dirty:
		return "absent"
	case rec != nil && rec.Invalid != nil:
		return "invalid"
	case rec != nil && f != nil && f.Kind == "invalid" && f.Code == fault.MatchDuplicate: // one row does not show it
		out.Invalid = &ledger.Invalid{Code: f.Code, Field: f.Field, Message: f.Message}
		return "invalid"
	}
	if p.dest == nil {
		return p.stateAlone(rec, dirty, out)
	}
	if rec != nil && out.Ledger != nil && !dirty && rec.Fingerprint == out.Ledger.Fingerprint && out.Refusal == nil &&
		(out.Ledger.State == ledger.Present || out.Ledger.State == ledger.Baseline) {
		return "in_sync"
	}
	it := plan.New(p.definition(false)).Classify(change)
	waits := it.Action == plan.Waiting || it.Action.Sent() || dirty || rec == nil && p.refused[string(key)].Removal
	if out.Refusal != nil && out.Refusal.Kind != "invalid" && waits {
		return out.Refusal.Kind
	}
	switch it.Action {
	case plan.Add:
		return "will_add"
	case plan.Change:
		return "will_change"
	case plan.Remove:
		return "will_remove"
	case plan.Invalid:
		out.Invalid = it.Invalid
		return "invalid"
	case plan.Waiting:
		return "rejected"
	case plan.Forget:
		return "absent"
	case plan.None, plan.Unchanged, plan.Leave, plan.Adopt, plan.Note:
	}
	return "in_sync" // with a row in the model, or without where the record stays in the tool
}

// stateAlone is stateOf without the tool: the ledger and the model say as much as they know. What the tool would refuse for its
// kinds and limits is not seen.
func (p *prepared) stateAlone(rec *ledger.Record, dirty bool, out *Explanation) string {
	switch {
	case out.Refusal != nil && (out.Refusal.Kind != "invalid" || out.Refusal.Code == fault.MatchChanged):
		return out.Refusal.Kind
	case dirty:
		return "unknown"
	case rec == nil && out.Ledger.State == ledger.Missed:
		return "absent"
	case rec == nil && p.stays(out.Ledger.State):
		return "in_sync"
	case rec == nil:
		return "will_remove"
	case out.Ledger == nil:
		return "will_add"
	case p.sync.Mode == connector.ModeInsert || p.sync.Mode == connector.ModeAppend: // sent once, never again
	case out.Ledger.State == ledger.Cleared, !p.holdsAll(rec, out.Ledger), !canonical(rec.Match, out.Ledger.Match):
		return "will_change"
	}
	return "in_sync"
}

// stays reports whether a record whose row left the model is left alone.
func (p *prepared) stays(s ledger.State) bool {
	once := p.sync.Mode == connector.ModeInsert || p.sync.Mode == connector.ModeAppend
	return once || p.sync.Removed == connector.RemovedKeep || s == ledger.Baseline || s == ledger.Cleared && p.sync.Removed == connector.RemovedClear
}

// holdsAll reports whether the ledger's entry has every value of the record.
func (p *prepared) holdsAll(rec *ledger.Record, e *ledger.Entry) bool {
	if rec.Fingerprint == e.Fingerprint {
		return true
	}
	for i, f := range p.mapping.Fields() {
		if v := rec.Values[i]; !v.IsAbsent() && !p.mapping.CreateOnly(i) {
			j := slices.Index(e.Fields, f)
			if j < 0 || !canonical([]row.Value{v}, []row.Value{e.Values[j]}) {
				return false
			}
		}
	}
	return true
}

// canonical compares values of any kinds, as they are without the object's.
func canonical(a, b []row.Value) bool {
	return bytes.Equal(row.AppendKey(nil, a...), row.AppendKey(nil, b...))
}

// Preview shows rows of a model.
func (e *Engine) Preview(ctx context.Context, m *project.Model, limit int) (names []string, kinds []row.Kind, rows [][]row.Value, err error) {
	src, err := e.sourceOf(ctx, m)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	p := &prepared{e: e, sync: &project.Sync{}, model: m}
	q := p.query(nil)
	q.Limit = limit
	schema, err := src.Describe(ctx, q)
	if err != nil {
		return nil, nil, nil, p.undescribed(ctx, err)
	}
	for _, f := range schema.Fields() {
		k, err := row.KindOf(f)
		if err != nil {
			return nil, nil, nil, p.inModel(err)
		}
		names, kinds = append(names, f.Name), append(kinds, k)
	}
	for rec, err := range src.Read(ctx, q) {
		if err != nil {
			return nil, nil, nil, p.inModel(err)
		}
		for i := range int(rec.NumRows()) {
			vals, err := rowOf(rec, i)
			if err != nil {
				return nil, nil, nil, err
			}
			line := make([]row.Value, len(vals))
			for j, v := range vals {
				line[j] = v.Value
			}
			rows = append(rows, line)
		}
	}
	return names, kinds, rows, nil
}

// NextAttempt is when a refused row is due again, zero when it waits for a change or a person.
func (x *Explanation) NextAttempt() time.Time {
	if x.Refusal == nil {
		return time.Time{}
	}
	return x.Refusal.NextAt
}
