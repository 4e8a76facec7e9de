package conformance

import (
	"context"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// Fill gives a stage whose rows go in together, into an object without records.
func (d *good) Fill(ctx context.Context, to connector.Target) (connector.Stage, error) {
	if to.Op != connector.OpUpsert && to.Op != connector.OpInsert {
		return nil, nil
	}
	var answer struct{ Empty bool }
	if err := d.call(ctx, "GET", "/empty", nil, &answer); err != nil {
		return nil, err
	}
	if !answer.Empty && d.bug != "fills what is not empty" {
		return nil, nil
	}
	return &goodFill{goodStage{d: d, to: to, fills: true}}, nil
}

// goodFill keeps rows until all of them are filled in at once.
type goodFill struct{ goodStage }

func (g *goodFill) Commit(ctx context.Context, exclude map[uint64]bool, settle func(uint64, connector.Result)) error {
	bug := g.d.bug
	lost := fault.Wrap(fault.DestTransient, connector.ErrStageLost, "filling").NotLanded()
	switch {
	case g.done && bug != "commits what was aborted":
		return fault.New(fault.Internal, "the load is closed").NotLanded()
	case len(exclude) > 0 && bug == "fills in all but what is left out":
		return g.goodStage.Commit(ctx, exclude, settle)
	case len(exclude) > 0 && bug != "commits what is excluded":
		return lost
	}
	g.done = true
	if bug == "keeps what it filled in before a bad row" {
		if err := g.goodStage.commit(ctx, nil, func(uint64, connector.Result) {}); err != nil {
			return err
		}
	}
	var answer struct {
		Whole   bool
		Results []toolResult
	}
	if err := g.d.call(ctx, "POST", "/fill", g.d.request(g.to, g.rows), &answer); err != nil {
		return err
	}
	if !answer.Whole && bug == "takes a lost load for a refusal" {
		return fault.New(fault.DestConfig, "a row was refused").NotLanded()
	}
	if answer.Whole || bug == "settles rows of a lost load" {
		out := connector.NewOutcomes(g.rows.Len())
		g.d.judge(g.to, g.rows, answer.Results, out)
		for i := range g.rows.Len() {
			settle(g.rows.Meta(i).Ordinal, out.Result(i))
		}
	}
	if !answer.Whole {
		return lost
	}
	return nil
}
