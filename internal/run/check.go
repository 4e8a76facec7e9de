package run

import (
	"context"
	"errors"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/govern"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// Column is one column of a model.
type Column struct {
	Name string
	Kind row.Kind
}

// CheckSync opens both ends of a sync and compiles its mapping against the live schemas, as a run does before it reads. It sends
// nothing and changes nothing. Warnings are of settings that have no effect.
func (e *Engine) CheckSync(ctx context.Context, s *project.Sync) (warnings fault.List, err error) {
	snap, err := e.Ledger(s.Name).Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	p, err := e.prepare(ctx, s, snap)
	if err != nil {
		return nil, err
	}
	return p.loose(), errors.Join(p.referred(ctx), p.close())
}

// DescribeModel gives the columns of a model without running it over the data.
func (e *Engine) DescribeModel(ctx context.Context, m *project.Model) (columns []Column, err error) {
	src, err := e.sourceOf(ctx, m)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	p := &prepared{e: e, sync: &project.Sync{}, model: m}
	schema, err := src.Describe(ctx, p.query(nil))
	if err != nil {
		return nil, p.undescribed(ctx, err)
	}
	for _, f := range schema.Fields() {
		k, err := row.KindOf(f)
		if err != nil {
			return nil, p.inModel(err)
		}
		columns = append(columns, Column{f.Name, k})
	}
	return columns, nil
}

// TestModel runs a model's tests. The results up to an error come back with it.
func (e *Engine) TestModel(ctx context.Context, m *project.Model) (results []govern.TestResult, err error) {
	src, err := e.sourceOf(ctx, m)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	results, err = govern.Test(ctx, src, m)
	if err != nil {
		p := &prepared{e: e, model: m}
		err = p.inModel(err)
	}
	return results, err
}
