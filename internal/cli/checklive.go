package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/state"
)

// liveCheck looks at every connection, model and sync; whatever stands on something that failed is skipped.
type liveCheck struct {
	*opened
	r    *checkResult
	code int
	bad  map[string]bool // "kind name"
}

// checkLive reaches everything the project names. What it finds is in r; an error means it could not look.
func (a *app) checkLive(ctx context.Context, p *project.Project, r *checkResult) (code int, err error) {
	s, err := state.Read(ctx, p)
	if err != nil {
		return 0, err
	}
	c := &liveCheck{opened: a.engine(p, s), r: r, bad: map[string]bool{}}
	defer c.closing(&err)
	for _, name := range keys(p.Sources) {
		c.look(ctx, "source", name, nil, func() (string, error) { return c.source(ctx, p.Sources[name]) })
	}
	for _, name := range keys(p.Models) {
		m := p.Models[name]
		c.look(ctx, "model", name, []string{"source " + m.Source}, func() (string, error) {
			columns, err := c.DescribeModel(ctx, m)
			return plural(int64(len(columns)), "column"), err
		})
	}
	for _, name := range keys(p.Destinations) {
		c.look(ctx, "destination", name, nil, func() (string, error) { return c.destination(ctx, p.Destinations[name]) })
	}
	for _, name := range keys(p.Syncs) {
		sync := p.Syncs[name]
		c.look(ctx, "sync", name, []string{"model " + sync.Model, "destination " + sync.Destination}, func() (string, error) {
			warnings, err := c.CheckSync(ctx, sync)
			c.warn(warnings)
			return fmt.Sprintf("%s -> %s.%s", sync.Model, sync.Destination, sync.Object), err
		})
	}
	return c.code, ctx.Err()
}

func (c *liveCheck) look(ctx context.Context, kind, name string, needs []string, check func() (string, error)) {
	one := checked{Kind: kind, Name: name, Status: "ok"}
	for _, n := range needs {
		if c.bad[n] {
			one.Status, one.Detail = "skipped", n+" failed"
		}
	}
	if one.Status == "ok" && ctx.Err() == nil {
		var err error
		if one.Detail, err = check(); err != nil {
			one.Status, one.Detail = "failed", ""
			c.code = worst(c.code, c.r.add(err))
			one.Error = faults(err)[0]
		}
	}
	if one.Status != "ok" {
		c.bad[kind+" "+name] = true
	}
	c.r.Checks = append(c.r.Checks, one)
}

// warn notes warnings, each once: several syncs may stand on one connection.
func (c *liveCheck) warn(warnings fault.List) {
	for _, w := range warnings {
		if !slices.ContainsFunc(c.r.Warnings, func(o *fault.Error) bool { return o.Message == w.Message }) {
			c.r.Warnings = append(c.r.Warnings, w)
		}
	}
}

func (c *liveCheck) source(ctx context.Context, conn *project.Connection) (detail string, err error) {
	src, err := c.OpenSource(ctx, conn)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	return conn.Type, placed(src.Check(ctx), conn)
}

func (c *liveCheck) destination(ctx context.Context, conn *project.Connection) (detail string, err error) {
	d, _, err := c.OpenDestination(ctx, conn, connector.OpenGate{})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	account, err := d.Check(ctx)
	detail = conn.Type
	if account.Name != "" {
		detail += ", " + account.Name
	}
	if account.Version != "" {
		detail += ", " + account.Version
	}
	return detail, placed(err, conn)
}

// placed puts the connection's place into a fault that has none.
func placed(err error, conn *project.Connection) error {
	if err == nil {
		return nil
	}
	f := *fault.As(err)
	if f.Where == nil {
		f.Where = &conn.Where
	}
	return &f
}
