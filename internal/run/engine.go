// Package run is the state machine of a sync: read, compare, judge, deliver, settle, account. It composes project, mapping,
// ledger, plan and deliver, and reports through what it returns; it never prints or logs.
package run

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
)

// Connectors opens connections by their project settings.
type Connectors interface {
	Source(typ string) (connector.SourceConnector, bool)
	Destination(typ string) (connector.DestinationConnector, bool)
}

// Engine runs the syncs of one project.
type Engine struct {
	Project    *project.Project
	Connectors Connectors
	Store      Store // nil: a project that never ran; only reading calls are allowed
	Ledger     func(sync string) ledger.Home
	Now        func() time.Time

	mu    sync.Mutex
	gates map[string]*deliver.Limiter // by account
}

// sourceOf opens the source of a model.
func (e *Engine) sourceOf(ctx context.Context, m *project.Model) (connector.Source, error) {
	c := e.Project.Sources[m.Source]
	return e.OpenSource(ctx, c)
}

// OpenSource opens a source connection.
func (e *Engine) OpenSource(ctx context.Context, c *project.Connection) (connector.Source, error) {
	return e.openSource(ctx, c, c.Diff == "warehouse")
}

func (e *Engine) openSource(ctx context.Context, c *project.Connection, holdsLedger bool) (connector.Source, error) {
	t, ok := e.Connectors.Source(c.Type)
	if !ok {
		return nil, fault.New(fault.ProjectReference, "there is no source type %q", c.Type).At(c.Where)
	}
	if len(c.Unresolved) > 0 { // an empty setting would mean something else: another user, another server
		return nil, c.Unresolved
	}
	src, err := t.Open(ctx, c.Config, connector.Env{ProjectDir: e.Project.Dir, Gate: connector.OpenGate{}, Name: c.Name, Ledger: holdsLedger})
	if err != nil {
		return nil, at(err, c.Where)
	}
	return src, nil
}

// OpenDestination opens a destination whose requests pass gate.
func (e *Engine) OpenDestination(ctx context.Context, c *project.Connection, gate connector.Gate) (connector.Destination, connector.Spec, error) {
	t, ok := e.Connectors.Destination(c.Type)
	if !ok {
		return nil, connector.Spec{}, fault.New(fault.ProjectReference, "there is no destination type %q", c.Type).At(c.Where)
	}
	if len(c.Unresolved) > 0 {
		return nil, t.Spec, c.Unresolved
	}
	d, err := t.Open(ctx, c.Config, connector.Env{
		ProjectDir: e.Project.Dir, StateDir: e.Project.StateDir() + "/connections/" + c.Name, Gate: gate, Name: c.Name,
	})
	if err != nil {
		return nil, t.Spec, at(err, c.Where)
	}
	return d, t.Spec, nil
}

// at puts the place of a connection into a fault that has none.
func at(err error, w fault.Where) error {
	f := fault.As(err)
	if f.Where == nil {
		c := *f
		return c.At(w)
	}
	return f
}

// relay is a gate whose limits are known only after the first call told the account.
type relay struct {
	mu   sync.Mutex
	next connector.Gate
}

func (r *relay) gate() connector.Gate {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

func (r *relay) Enter(ctx context.Context, g connector.Group) error { return r.gate().Enter(ctx, g) }

func (r *relay) Leave(g connector.Group, fb connector.Feedback) { r.gate().Leave(g, fb) }

// destination is an open destination with its account's gate.
type destination struct {
	connector.Destination
	spec    connector.Spec
	account connector.Account
	object  connector.Object
	gate    *deliver.Limiter
}

// connect opens a sync's destination, asks who we are, and fetches its object.
func (e *Engine) connect(ctx context.Context, s *project.Sync) (*destination, error) {
	c := e.Project.Destinations[s.Destination]
	r := &relay{next: connector.OpenGate{}}
	d, spec, err := e.OpenDestination(ctx, c, r)
	if err != nil {
		return nil, err
	}
	out := &destination{Destination: d, spec: spec}
	if out.account, err = d.Check(ctx); err == nil {
		out.object, err = e.object(ctx, d, s)
	}
	if err != nil {
		return nil, closing(d, at(err, c.Where))
	}
	out.gate = e.gateOf(spec.Type, out, c)
	r.mu.Lock()
	r.next = out.gate
	r.mu.Unlock()
	return out, nil
}

// closing closes after a failure and keeps the first error.
func closing(c interface{ Close() error }, err error) error {
	if cerr := c.Close(); cerr != nil {
		f := *fault.As(err)
		f.Message += fmt.Sprintf(" (and closing the connection: %v)", cerr)
		return &f
	}
	return err
}

func (e *Engine) object(ctx context.Context, d connector.Destination, s *project.Sync) (connector.Object, error) {
	objs, err := d.Objects(ctx, []string{s.Object})
	if fault.Is(err, fault.DestObjectMissing) {
		return connector.Object{}, at(err, s.Where)
	}
	if err != nil {
		return connector.Object{}, err
	}
	for _, o := range objs {
		if o.Name == s.Object || len(objs) == 1 {
			return o, nil
		}
	}
	f := fault.New(fault.DestObjectMissing, "%s has no object %q", s.Destination, s.Object).At(s.Where)
	if all, err := d.Objects(ctx, nil); err == nil {
		var names []string
		for _, o := range all {
			names = append(names, o.Name)
		}
		if near := project.Suggest(s.Object, names); near != "" {
			f = f.WithFix("did you mean `%s`?", near)
		}
	}
	return connector.Object{}, f
}

// gateOf gives the limiter of an account, shared by all syncs of this process that write to it.
func (e *Engine) gateOf(typ string, d *destination, c *project.Connection) *deliver.Limiter {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gates == nil {
		e.gates = map[string]*deliver.Limiter{}
	}
	id := typ + "\x00" + d.account.ID + "\x00" + c.Name
	if g, ok := e.gates[id]; ok {
		g.Learn(d.account.Used)
		return g
	}
	concurrency := concurrencyOf(d.object)
	if c.Limits.Concurrency > 0 {
		concurrency = min(concurrency, c.Limits.Concurrency)
	}
	g := deliver.NewLimiter(deliver.LimitOptions{
		Windows: d.account.Windows, Concurrency: concurrency, RequestsPerSecond: c.Limits.RequestsPerSecond, DailyShare: c.Limits.DailyShare,
	})
	g.Learn(d.account.Used)
	e.gates[id] = g
	return g
}

func (e *Engine) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}
