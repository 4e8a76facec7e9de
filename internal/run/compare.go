package run

import (
	"context"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
)

// query is what is read of the model. columns nil = all.
func (p *prepared) query(columns []string) connector.Query {
	return connector.Query{SQL: p.model.SQL, Table: p.model.Table, Where: p.sync.Filter, Columns: columns}
}

// comparison starts comparing: in the warehouse where the ledger is there and it can, else here.
func (p *prepared) comparison(ctx context.Context, opts ledger.CompareOptions) (ledger.Comparison, error) {
	d, ok := p.snap.(ledger.Differ)
	if !ok {
		p.estimate(ctx, p.query(p.mapping.Columns()))
		return p.snap.Compare(opts)
	}
	m := ledger.Model{Query: p.query(nil), Key: p.model.Key, Mapping: p.e.Project.MappingHash(p.sync.Name), Settled: settled(p.sync)}
	for _, name := range p.mapping.Columns() {
		f, ok := p.schema.FieldsByName(name)
		if !ok {
			return nil, fault.New(fault.Internal, "the mapping reads column %q, which the model does not have", name)
		}
		m.Fields = append(m.Fields, f[0])
	}
	if !opts.MatchIsKey {
		m.Match = matchColumns(p.sync, p.model)
	}
	diff, err := d.Diff(ctx, m, opts)
	if err != nil {
		return nil, p.inModel(err)
	}
	if diff == nil {
		p.estimate(ctx, p.query(p.mapping.Columns()))
		return p.snap.Compare(opts)
	}
	p.estimate(ctx, diff.Query())
	return diff, nil
}

// estimate asks the warehouse what a reading costs, where it can tell and somebody wants to know. Not to be told stops nothing.
func (p *prepared) estimate(ctx context.Context, q connector.Query) {
	e, ok := p.source.(connector.Estimator)
	if !ok || !p.estimates {
		return
	}
	scan, err := e.Estimate(ctx, q)
	if err != nil {
		p.doubts = append(p.doubts, "the warehouse does not say what reading the model costs: "+fault.As(err).Message)
		return
	}
	p.scanned = scan.Bytes
}

// matchColumns are the columns of the model that identify a record.
func matchColumns(s *project.Sync, m *project.Model) []string {
	if len(s.Match) == 0 {
		return m.Key
	}
	out := make([]string, len(s.Match))
	for i, f := range s.Match {
		out[i] = f.Column
	}
	return out
}

// settled are the states of entries whose missing row calls for nothing.
func settled(s *project.Sync) []ledger.State {
	switch {
	case s.Mode == connector.ModeInsert || s.Mode == connector.ModeAppend:
		return []ledger.State{ledger.Present, ledger.Left, ledger.Baseline, ledger.Missed, ledger.Cleared}
	case s.Removed == connector.RemovedKeep:
		return []ledger.State{ledger.Left, ledger.Baseline}
	case s.Removed == connector.RemovedClear:
		return []ledger.State{ledger.Cleared, ledger.Baseline}
	}
	return []ledger.State{ledger.Baseline}
}
