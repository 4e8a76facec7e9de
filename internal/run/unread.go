package run

import (
	"context"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// explainUnread tells what ledger, refusals and history know of a record whose model cannot be read. It does so for a source that is
// out of reach only: a model that is wrong is to be mended.
func (p *prepared) explainUnread(ctx context.Context, key string, why error) (*Explanation, error) {
	f := fault.As(why)
	if f.Code != fault.SourceUnreachable && f.Code != fault.SourceAuth && f.Code != fault.SourceIncomplete || ctx.Err() != nil {
		return nil, why
	}
	p.schema = nil
	vals, err := p.parseKey(key)
	if err != nil {
		return nil, err
	}
	if err := p.memories(ctx); err != nil {
		return nil, err
	}
	out := &Explanation{
		Key: p.named(vals), State: "unread", Unread: f,
		Note: "the source " + p.model.Source + " could not be asked, so what the model says and what the next run does is not known: " + f.Message,
	}
	k := row.AppendKey(nil, vals...)
	if err := p.remember(ctx, k, out); err != nil {
		return nil, err
	}
	if _, open := p.dirty[string(k)]; open {
		out.State = "unknown"
	}
	if out.Refusal != nil {
		out.State = out.Refusal.Kind
	}
	return out, nil
}

// remember looks a key up in ledger, history and refusals.
func (p *prepared) remember(ctx context.Context, key []byte, out *Explanation) (err error) {
	if out.Ledger, err = p.snap.Get(ctx, key); err != nil {
		return err
	}
	for h, err := range p.snap.KeyHistory(ctx, key) {
		if err != nil {
			return err
		}
		out.History = append(out.History, h)
	}
	if p.e.Store != nil {
		out.Refusal, err = p.e.Store.RefusalOf(ctx, p.sync.Name, key)
	}
	return err
}
