package run

import (
	"context"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/mapping"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// reference is how an undo resolves one field that refers to other records: as the sync's mapping does, with inputs of the kinds
// the other object's fields have. What the ledger holds of such a field is what was looked up, never the id that was found.
type reference struct {
	*project.Lookup
	kinds []row.Kind
}

// references finds the lookups of the fields that are restored.
func (u *undoing) references(ctx context.Context) error {
	u.refers = map[string]reference{}
	for _, f := range u.sync.Fields {
		if _, used := u.byName[f.Field]; !used || f.Lookup == nil {
			continue
		}
		obj := u.dest.object
		if f.Lookup.Object != obj.Name {
			objs, err := u.dest.Objects(ctx, []string{f.Lookup.Object})
			if err != nil {
				return err
			}
			if len(objs) != 1 {
				return fault.New(fault.DestObjectMissing, "there is no object %q to look up", f.Lookup.Object).At(f.Where)
			}
			obj = objs[0]
		}
		r := reference{f.Lookup, make([]row.Kind, len(f.Lookup.By))}
		for i, by := range f.Lookup.By {
			r.kinds[i] = kindIn(obj, by.Field)
		}
		u.refers[f.Field] = r
	}
	return nil
}

// kindIn gives the kind an object declares for a field, Absent where it declares none.
func kindIn(obj connector.Object, field string) row.Kind {
	for _, f := range obj.Fields {
		if f.Name == field {
			return f.Kind
		}
	}
	return row.Absent
}

// inputs gives what a value's record is looked up by; nil for a value that is sent as it is, as the tool's own id is that was
// read before it was replaced.
func (u *undoing) inputs(field int, v row.Value) ([]row.Value, error) {
	if !mapping.IsLookup(v) {
		return nil, nil
	}
	r := u.refers[u.fields[field]]
	return mapping.LookupInputs(r.Lookup, v, r.kinds)
}

// unresolvable says why values cannot be restored: one refers to a record in a way the mapping no longer does.
func (u *undoing) unresolvable(values []row.Value) string {
	for i, v := range values {
		if _, err := u.inputs(i, v); err != nil {
			return "the field " + u.fields[i] + " is no longer looked up as it was"
		}
	}
	return ""
}
