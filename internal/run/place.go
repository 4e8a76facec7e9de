package run

import (
	"context"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// inModel puts a place into a fault of a model's query: the one in its SQL that the source points at, where it does.
func (p *prepared) inModel(err error) error {
	f := fault.As(err)
	w := p.model.SQLAt(f.Line, f.Column)
	if w.File == "" {
		w = p.model.Where
	}
	if f.Code == fault.SourceUnreachable || f.Code == fault.SourceAuth {
		w = p.e.Project.Sources[p.model.Source].Where
	}
	return at(err, w)
}

// inCondition is inModel for a query with the sync's condition: when the model is sound without it, the condition is at fault.
func (p *prepared) inCondition(ctx context.Context, err error) error {
	if p.sync.Filter == "" || !fault.Is(err, fault.SourceQueryFailed) {
		return p.inModel(err)
	}
	if _, without := p.source.Describe(ctx, connector.Query{SQL: p.model.SQL, Table: p.model.Table}); without != nil {
		return p.inModel(err)
	}
	f := *fault.As(err)
	f.Message = "the condition `where` of sync " + p.sync.Name + ": " + f.Message
	return f.At(p.sync.FilterWhere).WithFix("mend the condition; it sees the columns of the model")
}
