package run

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/govern"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/mapping"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// prepared is everything a plan or run of one sync stands on.
type prepared struct {
	e       *Engine
	sync    *project.Sync
	model   *project.Model
	source  connector.Source
	dest    *destination
	schema  *arrow.Schema
	mapping *mapping.Mapping
	spec    mapping.Spec
	snap    ledger.Snapshot
	meta    ledger.Meta
	dirty   map[string]plan.Dirty
	until   time.Time // requests of dead processes can no longer land after it
	refused map[string]plan.Refusal
	state   SyncState
	// estimates: the warehouse is asked what the reading costs. What it said, and why it did not.
	estimates bool
	scanned   int64
	doubts    []string
	renewed   bool // this run starts a generation: it is compared with an empty ledger
	moved     bool // because the sync goes to another object or tool
}

// prepare opens both ends of a sync and compiles its mapping against the live schemas.
func (e *Engine) prepare(ctx context.Context, s *project.Sync, snap ledger.Snapshot) (p *prepared, err error) {
	p = &prepared{e: e, sync: s, model: e.Project.Models[s.Model], snap: snap, meta: snap.Meta()}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.source, err = e.sourceOf(ctx, p.model); err != nil {
		return p, err
	}
	if p.schema, err = p.source.Describe(ctx, p.query(nil)); err != nil {
		return p, p.undescribed(ctx, err)
	}
	if p.dest, err = e.connect(ctx, s); err != nil {
		return p, err
	}
	p.spec = mapping.Spec{
		Key: p.model.Key, Sync: s, Columns: p.model.Columns, Schema: p.schema, Object: p.dest.object, Dest: p.dest.spec, Seed: p.meta.Seed,
	}
	if !p.newGeneration() {
		p.spec.KeyKinds = p.meta.KeyKinds
	}
	m, faults := mapping.Compile(p.spec)
	if len(faults) > 0 {
		return p, p.excused(faults)
	}
	if err := p.readable(); err != nil {
		return p, err
	}
	p.mapping = m
	if faults := govern.Deny(e.Project, s); len(faults) > 0 {
		return p, faults
	}
	return p, p.memories(ctx)
}

// newGeneration: the model's key, the match, or where the sync goes changed, so entries of the old one say nothing about the new rows. A ledger that
// holds only what a killed run acknowledged does not name its key yet; it is of this generation.
func (p *prepared) newGeneration() bool {
	if p.renewed || p.goesElsewhere() {
		return true
	}
	return len(p.meta.KeyColumns) > 0 && (!slices.Equal(p.meta.KeyColumns, p.model.Key) ||
		len(p.meta.MatchFields) > 0 && len(p.sync.Match) > 0 && !slices.Equal(p.meta.MatchFields, matchNames(p.sync)))
}

func matchNames(s *project.Sync) []string {
	var out []string
	for _, m := range s.Match {
		out = append(out, m.Field)
	}
	return out
}

func (p *prepared) close() error {
	var err error
	if p.source != nil {
		err = p.source.Close()
	}
	if p.dest != nil {
		err = errors.Join(err, p.dest.Close())
	}
	return err
}

// definition fixes what decides about changes.
func (p *prepared) definition(full bool) plan.Definition {
	meta, sync := p.meta, p.sync
	if p.state.AdoptNext {
		adopting := *p.sync
		adopting.Baseline = true
		sync = &adopting
	}
	d := plan.Definition{
		Sync: sync, Object: p.dest.object, Fields: p.mapping.Fields(), MatchFields: p.mapping.MatchFields(),
		MatchIsKey: p.mapping.MatchIsKey(), Mapping: p.e.Project.MappingHash(p.sync.Name), Hash: p.e.Project.DefinitionHash(p.sync.Name),
		Meta: meta, Full: full, Now: p.e.now(), Dirty: p.dirty, Refused: p.refused,
	}
	for i := range d.Fields {
		d.CreateOnly = append(d.CreateOnly, p.mapping.CreateOnly(i))
	}
	switch {
	case p.moved:
		d.NoRemovals = "the sync goes elsewhere now, so nothing known of where it went is removed"
	case p.renewed:
		d.NoRemovals = "the match or the key changed, so nothing known under the old one is removed"
	case p.state.RemovalsHeld:
		d.NoRemovals = "the state was rebuilt or adopted, and no full run has completed since"
	}
	return d
}

func (p *prepared) shape() deliver.Shape {
	s := deliver.Shape{
		Fields: p.mapping.Fields(), MatchFields: p.mapping.MatchFields(), Kinds: p.mapping.Kinds(), MatchKinds: p.mapping.MatchKinds(),
		LookupInputs: p.mapping.LookupInputs,
	}
	for i := range s.Fields {
		s.CreateOnly = append(s.CreateOnly, p.mapping.CreateOnly(i))
		s.Lookups = append(s.Lookups, p.mapping.Lookup(i))
	}
	return s
}

// reader compares one read of the model with the ledger.
type reader struct {
	p     *prepared
	cmp   ledger.Comparison
	diff  ledger.Difference // where the rows come from, when the warehouse compares; else nil
	stage *prestaged
	ahead *plan.Ahead // nil: the plan is made when the read is complete
	tally *deliver.Tally

	prints  mapping.Prints
	hash    []uint64
	print   []uint64
	index   []int
	marks   []bool // by row of the batch: a candidate
	rec     ledger.Record
	ordinal uint64
}

// read runs the model's query to its proven end and compares it with the ledger. Invariant 3: removals come only from a
// complete read.
func (p *prepared) read(ctx context.Context, full bool, stage *prestaged, ahead *plan.Ahead, tally *deliver.Tally) (ledger.Delta, ledger.Comparison, error) {
	temp, err := os.MkdirTemp("", "upwell-spool-")
	if err != nil {
		return nil, nil, fault.Wrap(fault.StateUnusable, err, "making a folder for the spool")
	}
	hashes := make(map[uint64][]byte, len(p.dirty))
	for k := range p.dirty {
		hashes[row.KeyHash(p.meta.Seed, []byte(k))] = []byte(k)
	}
	for k := range p.refused { // refused rows are looked at even where the ledger has their old value
		hashes[row.KeyHash(p.meta.Seed, []byte(k))] = []byte(k)
	}
	requested := make(map[string][]byte, len(p.dirty))
	for k, d := range p.dirty {
		at := d.Match
		if d.Move != nil {
			at = d.Move
		}
		if id := p.mapping.MatchID(at); id != nil {
			requested[k], d.MatchID = id, id
			p.dirty[k] = d
		}
	}
	cmp, err := p.comparison(ctx, ledger.CompareOptions{
		All: full, Dirty: hashes, DirtyMatch: requested, MatchIsKey: p.mapping.MatchIsKey(), TempDir: temp,
	})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(temp))
	}
	r := &reader{p: p, cmp: &tempComparison{cmp, temp}, stage: stage, ahead: ahead, tally: tally}
	r.diff, _ = cmp.(ledger.Difference)
	delta, err := r.run(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, r.cmp.Close())
	}
	return delta, r.cmp, nil
}

// tempComparison removes its folder when it is closed.
type tempComparison struct {
	ledger.Comparison
	dir string
}

func (t *tempComparison) Close() error { return errors.Join(t.Comparison.Close(), os.RemoveAll(t.dir)) }

func (r *reader) run(ctx context.Context) (ledger.Delta, error) {
	rows := r.p.source.Read(ctx, r.p.query(r.p.mapping.Columns()))
	if r.diff != nil {
		rows = r.diff.Rows(ctx)
	}
	for rec, err := range rows {
		if err != nil {
			return nil, r.p.inModel(err)
		}
		if err := r.batch(ctx, rec); err != nil {
			return nil, err
		}
		r.tally.Read.Add(rec.NumRows())
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.diff != nil {
		r.tally.Read.Store(r.diff.Total())
	}
	return r.cmp.Finish(ctx)
}

// batch hashes and probes one record batch, and puts its candidates aside.
func (r *reader) batch(ctx context.Context, rec arrow.RecordBatch) error {
	if err := r.p.mapping.Hash(rec, &r.prints); err != nil {
		return err
	}
	n := int(rec.NumRows())
	r.hash, r.print, r.index = r.prints.Hash, r.prints.Print, nil
	if slices.Contains(r.prints.NullKey, true) {
		if err := r.dropNullKeys(rec, n); err != nil {
			return err
		}
	}
	if cap(r.marks) < len(r.hash) {
		r.marks = make([]bool, len(r.hash))
	}
	r.marks = r.marks[:len(r.hash)]
	clear(r.marks)
	r.cmp.Probe(r.hash, r.print, r.marks)
	base := r.ordinal
	r.ordinal += uint64(n)
	if r.stage != nil {
		return r.stage.put(ctx, r, rec, base)
	}
	return r.put(rec, base)
}

// dropNullKeys counts rows without a key and leaves the others to be probed.
func (r *reader) dropNullKeys(rec arrow.RecordBatch, n int) error {
	r.hash, r.print, r.index = make([]uint64, 0, n), make([]uint64, 0, n), make([]int, 0, n)
	for i := range n {
		if r.prints.NullKey[i] {
			r.rec = ledger.Record{}
			r.p.mapping.Materialise(rec, i, &r.rec)
			inv := ledger.Invalid{Code: fault.KeyNull, Message: "a key column is null"}
			if r.rec.Invalid != nil {
				inv = *r.rec.Invalid
			}
			r.cmp.PutNullKey(inv)
			continue
		}
		r.hash, r.print, r.index = append(r.hash, r.prints.Hash[i]), append(r.print, r.prints.Print[i]), append(r.index, i)
	}
	return nil
}

// candidates gives the rows of the batch that are to be put aside, and counts them.
func (r *reader) candidates() iter.Seq[int] {
	return func(yield func(int) bool) {
		found := int64(0)
		for j, c := range r.marks {
			if !c {
				continue
			}
			i := j
			if r.index != nil {
				i = r.index[j]
			}
			if !yield(i) {
				break
			}
			found++
		}
		r.tally.Candidates.Add(found)
	}
}

func (r *reader) put(rec arrow.RecordBatch, base uint64) error {
	for i := range r.candidates() {
		r.p.mapping.Materialise(rec, i, &r.rec)
		r.rec.Ordinal = base + uint64(i)
		if err := r.candidate(&r.rec); err != nil {
			return err
		}
	}
	return nil
}

// candidate puts a row aside, and plans it if that can be done now.
func (r *reader) candidate(rec *ledger.Record) error {
	if err := r.cmp.Put(rec); err != nil {
		return err
	}
	return r.ahead.See(rec)
}

// tests asks dbt for its word where the model is dbt's, and runs the model's tests; a failed one of severity error holds the sync
// before anything is sent.
func (p *prepared) tests(ctx context.Context) (warnings []string, err error) {
	if warnings, err = p.e.dbtHolds(p.model); err != nil {
		return warnings, err
	}
	results, err := govern.Test(ctx, p.source, p.model)
	if err != nil {
		return warnings, p.inModel(err)
	}
	failed := ""
	for _, r := range results {
		if r.Passed {
			continue
		}
		if r.Warn {
			warnings = append(warnings, "test "+r.Name+" failed: "+r.Message)
			continue
		}
		if failed != "" {
			failed += "; "
		}
		failed += r.Name + ": " + r.Message
	}
	if failed != "" {
		return warnings, fault.New(fault.TestFailed, "model %s: %s", p.model.Name, failed).At(p.model.Where)
	}
	return warnings, nil
}

func (p *prepared) String() string { return fmt.Sprintf("sync %s", p.sync.Name) }
