package conformance

import (
	"context"
	"slices"
	"sort"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// The other ways to deliver: reading back, jobs, staging.

func (d *good) ReadBack(ctx context.Context, _ connector.Object, by []string, matches [][]row.Value, fields []string) ([]connector.Found, error) {
	out := make([]connector.Found, len(matches))
	if len(matches) == 0 {
		return out, nil
	}
	in := toolRead{By: by[0], Fields: fields}
	for _, m := range matches {
		in.Matches = append(in.Matches, encodeValue(m[0]))
	}
	var answer struct{ Found []toolFound }
	if err := d.call(ctx, "POST", "/read", in, &answer); err != nil {
		return nil, err
	}
	for n, f := range answer.Found {
		i := slices.IndexFunc(matches, func(m []row.Value) bool { return m[0].Equal(decodeValue(f.Match)) })
		if d.bug == "answers in the tool's order" {
			i = n
		}
		if out[i].Exists && d.bug != "picks one of several records" {
			out[i] = connector.Found{Exists: true, Ambiguous: true}
			continue
		}
		out[i] = connector.Found{Exists: true, RemoteID: f.ID}
		for _, name := range fields {
			out[i].Values = append(out[i].Values, decodeValue(f.Fields[name]))
		}
	}
	return out, nil
}

func (d *good) Submit(ctx context.Context, to connector.Target, rows *row.Batch, save func(connector.Job) error) error {
	var answer struct{ ID string }
	if err := d.call(ctx, "POST", "/jobs", d.request(to, rows), &answer); err != nil {
		return err
	}
	d.mu.Lock()
	d.jobs[answer.ID] = true
	d.mu.Unlock()
	start := func() error { return d.call(ctx, "POST", "/jobs/"+answer.ID, nil, &struct{}{}) }
	if d.bug == "starts the job before it is saved" {
		if err := start(); err != nil {
			return err
		}
		return save(connector.Job{ID: answer.ID})
	}
	if err := save(connector.Job{ID: answer.ID}); err != nil {
		if d.bug == "forgets that the job was not saved" {
			return nil
		}
		_ = d.Abandon(ctx, connector.Job{ID: answer.ID})
		return err
	}
	return start()
}

func (d *good) Poll(ctx context.Context, job connector.Job, to connector.Target, rows *row.Batch, out *connector.Outcomes) (bool, error) {
	d.mu.Lock()
	known := d.jobs[job.ID]
	d.mu.Unlock()
	if d.bug == "keeps its jobs in memory" && !known {
		return true, fault.New(fault.DestJobLost, "no such job")
	}
	var answer struct {
		Started bool
		Results []toolResult
	}
	err := d.call(ctx, "GET", "/jobs/"+job.ID, nil, &answer)
	if err != nil && fault.As(err).Code == fault.DestConfig { // 404
		if d.bug == "takes a lost job for done" {
			out.DeliveredAll()
			return true, nil
		}
		return true, fault.New(fault.DestJobLost, "the tool no longer knows %s", job.ID)
	}
	if err != nil || !answer.Started {
		return false, err
	}
	d.judge(to, rows, answer.Results, out)
	return true, nil
}

func (d *good) Abandon(ctx context.Context, job connector.Job) error {
	err := d.call(ctx, "DELETE", "/jobs/"+job.ID, nil, &struct{}{})
	if err != nil && fault.As(err).Code == fault.DestConfig && d.bug != "cannot abandon twice" {
		return nil
	}
	return err
}

func (d *good) Stage(_ context.Context, to connector.Target) (connector.Stage, error) {
	return &goodStage{d: d, to: to}, nil
}

// goodStage keeps rows until they are committed.
type goodStage struct {
	d     *good
	to    connector.Target
	rows  *row.Batch
	done  bool
	fills bool
}

func (g *goodStage) Write(ctx context.Context, rows *row.Batch) error {
	if g.d.bug == "shows staged rows at once" || g.fills && g.d.bug == "shows filled rows at once" {
		return g.d.Write(ctx, g.to, rows, connector.NewOutcomes(rows.Len()))
	}
	if g.rows == nil {
		g.rows = row.NewBatch(rows.MatchFields(), rows.Fields(), rows.Len())
	}
	for i := range rows.Len() {
		g.rows.Add(*rows.Meta(i), rows.Match(i), rows.Values(i))
	}
	return nil
}

func (g *goodStage) Commit(ctx context.Context, exclude map[uint64]bool, settle func(uint64, connector.Result)) error {
	if g.done && g.d.bug != "commits again" {
		return fault.New(fault.Internal, "the stage is closed").NotLanded()
	}
	g.done = true
	return g.commit(ctx, exclude, settle)
}

func (g *goodStage) commit(ctx context.Context, exclude map[uint64]bool, settle func(uint64, connector.Result)) error {
	if g.rows == nil {
		if g.d.bug == "cannot commit nothing" {
			return fault.New(fault.DestConfig, "there is nothing").NotLanded()
		}
		return nil
	}
	var picked []int
	for i := range g.rows.Len() {
		if !exclude[g.rows.Meta(i).Ordinal] || g.d.bug == "commits what is excluded" {
			picked = append(picked, i)
		}
	}
	sort.Ints(picked)
	for part := range slices.Chunk(picked, toolRows) {
		b := g.rows.Pick(part)
		out := connector.NewOutcomes(b.Len())
		if err := g.d.Write(ctx, g.to, b, out); err != nil {
			return err
		}
		for i := range b.Len() {
			settle(b.Meta(i).Ordinal, out.Result(i))
		}
	}
	return nil
}

func (g *goodStage) Abort(context.Context) error {
	if g.d.bug != "commits what was aborted" {
		g.done = true
	}
	return nil
}
