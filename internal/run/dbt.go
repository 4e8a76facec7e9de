package run

import (
	"context"
	"errors"
	"slices"

	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

// DBTSays reads what dbt reports of a model at this moment, and whether it may go out by that. A model that is not of dbt has an
// empty verdict.
func (e *Engine) DBTSays(m *project.Model) (*dbt.Verdict, error) {
	if m.Node == nil {
		return &dbt.Verdict{}, nil
	}
	v, err := m.Gate.Judge(m.Node)
	if err != nil {
		return nil, at(err, m.SQLWhere)
	}
	return v, nil
}

// dbtHolds gives the fault that holds a model by dbt's word, nil when it may go out.
func (e *Engine) dbtHolds(m *project.Model) (warnings []string, err error) {
	v, err := e.DBTSays(m)
	if err != nil {
		return nil, err
	}
	if f := v.Fault(m.Name); f != nil {
		return v.Warnings, f.At(m.SQLWhere)
	}
	return v.Warnings, nil
}

// excused gives dbt's word in place of an error about a relation or column that is missing because dbt failed to build it. Other
// errors stay what they are.
func (p *prepared) excused(err error) error {
	missing := func(f *fault.Error) bool {
		return f.Code == fault.SourceQueryFailed || f.Code == fault.SourceColumnMissing
	}
	var list fault.List
	if !errors.As(err, &list) {
		list = fault.List{fault.As(err)}
	}
	if p.model.Node == nil || !slices.ContainsFunc(list, missing) {
		return err
	}
	if _, held := p.e.dbtHolds(p.model); fault.Is(held, fault.DBTHeld) {
		return held
	}
	return err
}

// undescribed is why a model's columns could not be fetched. Where dbt says nothing the relation may be one of
// another target of dbt.
func (p *prepared) undescribed(ctx context.Context, err error) error {
	err = p.excused(p.inCondition(ctx, err))
	if p.model.Node == nil {
		return p.meant(ctx, err)
	}
	if !fault.Is(err, fault.SourceQueryFailed) {
		return err
	}
	f := *fault.As(err)
	return f.WithFix("let dbt build %s where source %s looks (dbt build --select %s), or give the manifest of that target", p.model.Node.Relation, p.model.Source, p.model.Node.Name)
}
