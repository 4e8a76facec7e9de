package cli

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/run"
	"github.com/upwelldata/upwell/internal/state"
)

// Source finds a source type.
func (a *app) Source(typ string) (connector.SourceConnector, bool) {
	for _, c := range a.sources {
		if c.Spec.Type == typ {
			return c, true
		}
	}
	return connector.SourceConnector{}, false
}

// Destination finds a destination type.
func (a *app) Destination(typ string) (connector.DestinationConnector, bool) {
	for _, c := range a.destinations {
		if c.Spec.Type == typ {
			return c, true
		}
	}
	return connector.DestinationConnector{}, false
}

func (a *app) registry() project.Registry {
	var sources, destinations []connector.Spec
	for _, c := range a.sources {
		sources = append(sources, c.Spec)
	}
	for _, c := range a.destinations {
		destinations = append(destinations, c.Spec)
	}
	return project.NewRegistry(sources, destinations)
}

// load reads the project; its faults come back as a fault.List.
func (a *app) load(opts ...project.Option) (*project.Project, error) {
	p, list := project.Load(a.dir, a.registry(), opts...)
	if len(list) > 0 {
		return nil, list
	}
	return p, nil
}

// opened is a project with an engine over its state.
type opened struct {
	*run.Engine
	state *state.State // nil: the command needs none
}

// looking opens the project for commands that read what is on record and reach no connection: they work where the variables of
// the connections are not set.
func (a *app) looking(ctx context.Context) (*opened, error) {
	return a.reading(ctx, project.WithoutSecrets())
}

// reading opens the project for looking; nothing on disk changes.
func (a *app) reading(ctx context.Context, opts ...project.Option) (*opened, error) {
	p, err := a.load(opts...)
	if err != nil {
		return nil, err
	}
	s, err := state.Read(ctx, p)
	if err != nil {
		return nil, err
	}
	return a.engine(p, s), nil
}

// writing opens the project for a command that changes state, which one process may do at a time.
func (a *app) writing(ctx context.Context, opts ...project.Option) (*opened, error) {
	p, err := a.load(opts...)
	if err != nil {
		return nil, err
	}
	s, err := state.Open(ctx, p, state.Ask)
	if err != nil {
		return nil, err
	}
	return a.engine(p, s), nil
}

func (a *app) engine(p *project.Project, s *state.State) *opened {
	e := &run.Engine{Project: p, Connectors: a, Now: a.now}
	if s != nil {
		e.Ledger = e.Homes(s)
		if s.Store != nil {
			e.Store = s.Store
		}
	}
	return &opened{Engine: e, state: s}
}

// closing closes the state behind a command and keeps the first error.
func (o *opened) closing(err *error) {
	if o.state != nil {
		*err = errors.Join(*err, o.state.Close())
	}
}

// sync finds a sync by name.
func (o *opened) sync(name string) (*project.Sync, error) {
	list, err := o.Project.Order([]string{name})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// keyColumns gives the names of a sync's key columns, nil when the project does not know the sync any more.
func (o *opened) keyColumns(sync string) []string {
	if s, ok := o.Project.Syncs[sync]; ok {
		return o.Project.Models[s.Model].Key
	}
	return nil
}

// model finds a model by name.
func model(p *project.Project, name string) (*project.Model, error) {
	if m, ok := p.Models[name]; ok {
		return m, nil
	}
	return nil, project.NoSuch("model", name, modelNames(p))
}

// path gives a file named on the command line: as given, whatever -C says.
func path(name string) string { return filepath.Clean(name) }
