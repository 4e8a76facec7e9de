package run

import (
	"context"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

// meant adds the name of the table that was most likely meant to a fault of a model whose table is not there. That the tables cannot be
// listed changes nothing about the fault.
func (p *prepared) meant(ctx context.Context, err error) error {
	l, ok := p.source.(connector.Lister)
	if !ok || p.model.Table == "" || !fault.Is(err, fault.SourceQueryFailed) || ctx.Err() != nil {
		return err
	}
	names, listing := l.Tables(ctx, p.model.Table)
	if listing != nil {
		return err
	}
	near := project.Suggest(p.model.Table, names)
	if near == "" {
		return err
	}
	f := *fault.As(err)
	if f.Fix == "" {
		return f.WithFix("did you mean `%s`?", near)
	}
	return f.WithFix("did you mean `%s`? Else: %s", near, f.Fix)
}
