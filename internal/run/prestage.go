package run

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/mapping"
	"github.com/upwelldata/upwell/internal/row"
)

// prestaged is a stage being filled while the model is read.
type prestaged struct {
	stage connector.Stage
	op    connector.Op
	fills bool             // rows go into the object itself, and every one is new there
	lost  bool             // what was staged is gone: the plan is staged when it is judged
	m     *mapping.Mapping // its records live until the end of a batch of the source
	rec   ledger.Record
	free  chan *row.Batch
}

// stageChunk is how many rows are handed to the stage at once.
const stageChunk = 1024

// put materialises the candidates of a batch once, for the comparison and for the stage, which writes beside.
func (s *prestaged) put(ctx context.Context, r *reader, rec arrow.RecordBatch, base uint64) error {
	full, written := make(chan *row.Batch, 1), make(chan error, 1)
	go func() {
		var err error
		for b := range full {
			if err == nil {
				err = s.write(ctx, b)
			}
			b.Reset()
			s.free <- b
		}
		written <- err
	}()
	err := s.gather(r, rec, base, full)
	close(full)
	if werr := <-written; err == nil {
		err = werr
	}
	s.m.Release() // texts stood in the source's memory, which lives until its next batch, or in what the mapping held
	return err
}

func (s *prestaged) gather(r *reader, rec arrow.RecordBatch, base uint64, full chan<- *row.Batch) error {
	batch := <-s.free
	defer func() { full <- batch }()
	for i := range r.candidates() {
		s.m.Materialise(rec, i, &s.rec)
		s.rec.Ordinal = base + uint64(i)
		if err := r.candidate(&s.rec); err != nil {
			return err
		}
		if s.rec.Invalid != nil {
			continue
		}
		if batch.Add(row.Meta{Ordinal: s.rec.Ordinal}, s.rec.Match, s.rec.Values); batch.Len() == stageChunk {
			full <- batch
			batch = <-s.free
		}
	}
	return nil
}

func (s *prestaged) write(ctx context.Context, b *row.Batch) error {
	if s.lost || b.Len() == 0 {
		return nil
	}
	err := s.stage.Write(ctx, b)
	if errors.Is(err, connector.ErrStageLost) {
		s.lost = true
		return s.stage.Abort(ctx)
	}
	return err
}

// firstLoad: nothing is known of any row, and nothing is open.
func (p *prepared) firstLoad() bool {
	return p.meta.Rows == 0 && len(p.dirty) == 0 && len(p.refused) == 0 && !p.sync.Baseline && !p.state.AdoptNext
}

// openPrestage opens a stage to fill during the read, where that is faster and safe: a first sync into an empty ledger, to a
// destination that stages, with nothing to look up per row.
func (p *prepared) openPrestage(ctx context.Context, o deliver.Options) (*prestaged, error) {
	st, ok := p.dest.Destination.(connector.Stager)
	if !ok || !p.dest.spec.Stages || !p.firstLoad() || !deliver.Stageable(o) {
		return nil, nil
	}
	op := connector.OpUpsert
	switch p.sync.Mode {
	case connector.ModeInsert:
		op = connector.OpInsert
	case connector.ModeUpdate:
		op = connector.OpUpdate
	case connector.ModeAppend: // events carry ids that are known only with their keys
		return nil, nil
	case connector.ModeUpsert, connector.ModeMirror:
	}
	t := deliver.Target(o, op)
	out := &prestaged{op: op, m: p.mapping.Clone(), free: make(chan *row.Batch, 2)}
	for range cap(out.free) {
		out.free <- row.NewBatch(t.Match, t.Fields, stageChunk)
	}
	var err error
	if f, ok := st.(connector.Filler); ok && p.mapping.Whole() { // every record has all fields
		out.stage, err = f.Fill(ctx, t)
		out.fills = out.stage != nil
	}
	if out.stage == nil && err == nil {
		out.stage, err = st.Stage(ctx, t)
	}
	if err != nil {
		return nil, at(err, p.e.Project.Destinations[p.sync.Destination].Where)
	}
	out.m.Hold() // rows are gathered before they are handed over
	return out, nil
}

// draft starts to write what the ledger records of a load that fills the object, beside the plan. A ledger without a key is
// given it before.
func (x *execution) draft(ctx context.Context, s *prestaged, delta ledger.Delta) (*deliver.Draft, error) {
	if _, can := x.session.(ledger.Drafter); !can || s == nil || !s.fills || s.lost || x.renewed {
		return nil, nil
	}
	if err := x.startGeneration(ctx); err != nil {
		return nil, err
	}
	return deliver.StartDraft(ctx, x.delivery(nil), delta, s.op), nil
}

// intents begins to gather the intent of a load that is staged; nil when there is none.
func (x *execution) intents(s *prestaged) (*deliver.Intents, error) {
	if s == nil || s.lost {
		return nil, nil
	}
	return deliver.NewIntents(x.delivery(nil), s.op)
}
