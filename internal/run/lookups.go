package run

import (
	"context"
	"slices"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

// readable refuses lookups in a tool that cannot be read: no delivery could resolve them.
func (p *prepared) readable() error {
	if _, ok := p.dest.Destination.(connector.Reader); ok {
		return nil
	}
	var list fault.List
	for _, f := range p.sync.Fields {
		if f.Lookup != nil {
			list = append(list, fault.New(fault.ProjectValue, "field %s: a lookup needs a destination that can be read, and %s cannot", f.Field, p.sync.Destination).
				At(f.Where).WithFix("join the id into the model"))
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// referred compares lookups with the objects they look in, as they are in the tool.
func (p *prepared) referred(ctx context.Context) error {
	var list fault.List
	for _, f := range p.sync.Fields {
		if f.Lookup == nil {
			continue
		}
		obj, err := p.foreign(ctx, f)
		if err != nil {
			if !fault.Is(err, fault.DestObjectMissing) {
				return err
			}
			list = append(list, fault.As(err))
			continue
		}
		for _, by := range f.Lookup.By {
			if e := missing(obj, by, f); e != nil {
				list = append(list, e)
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

func (p *prepared) foreign(ctx context.Context, f project.Field) (connector.Object, error) {
	if f.Lookup.Object == p.dest.object.Name {
		return p.dest.object, nil
	}
	objs, err := p.dest.Objects(ctx, []string{f.Lookup.Object})
	if err != nil {
		return connector.Object{}, at(err, f.Where)
	}
	if len(objs) != 1 {
		return connector.Object{}, fault.New(fault.DestObjectMissing, "field %s: there is no object %q to look up", f.Field, f.Lookup.Object).At(f.Where)
	}
	return objs[0], nil
}

// missing tells that an object has no such field to look records up by.
func missing(obj connector.Object, by project.MatchField, f project.Field) *fault.Error {
	var names []string
	for _, o := range obj.Fields {
		names = append(names, o.Name)
	}
	if obj.FreeField || slices.Contains(names, by.Field) {
		return nil
	}
	where := by.Where
	if where == (fault.Where{}) {
		where = f.Where
	}
	e := fault.New(fault.DestFieldMissing, "field %s: %s has no field %q to look records up by", f.Field, f.Lookup.Object, by.Field).At(where)
	if near := project.Suggest(by.Field, names); near != "" {
		e = e.WithFix("did you mean `%s`?", near)
	}
	return e
}
