package salesforcetest

import (
	"encoding/json"
	"sort"
	"strings"
)

// draft is what a request wants of one record: values by field, parents named by an external id.
type draft struct {
	fields  []int
	values  []any
	parents []parent
	id      string
	bad     *itemError // found while reading: the record is refused, the request is not
}

// parent is a reference given by the parent's external id: "Parent__r":{"Ext__c":"x"} or the CSV column Parent__r.Ext__c
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/datafiles-csv-sample-file.html).
type parent struct {
	field, object, ext string
	at                 int
	value              any
}

func (d *draft) set(i int, v any) { d.fields, d.values = append(d.fields, i), append(d.values, v) }

func (d *draft) value(i int) (any, bool) {
	for n, j := range d.fields {
		if i == j {
			return d.values[n], true
		}
	}
	return nil, false
}

// outcome is one entry of the answer to a collection.
type outcome struct {
	ID      string       `json:"id,omitempty"`
	Success bool         `json:"success"`
	Created *bool        `json:"created,omitempty"` // upsert only
	Errors  []*itemError `json:"errors"`
	undo    func()
}

func refused(e *itemError) outcome { return outcome{Errors: []*itemError{e}} }

func done(id string, undo func()) outcome {
	return outcome{ID: id, Success: true, Errors: []*itemError{}, undo: undo}
}

// readRecord reads one JSON record. Unknown fields and values of a wrong JSON type make the request malformed.
func (s *Server) readRecord(t *table, raw map[string]json.RawMessage) (*draft, *apiError) {
	d := &draft{fields: make([]int, 0, len(raw)), values: make([]any, 0, len(raw))}
	for name, v := range raw {
		if name == "attributes" || len(v) == 0 {
			continue
		}
		if strings.EqualFold(name, "id") {
			if err := json.Unmarshal(v, &d.id); err != nil {
				return nil, fail(400, "MALFORMED_ID", "malformed id %s", v)
			}
			continue
		}
		if i, f, ok := t.field(name); ok {
			val, bad := fromJSON(f, v)
			if bad != nil {
				return nil, bad
			}
			d.set(i, val)
			continue
		}
		if i, ok := t.byRel[strings.ToLower(name)]; ok && v[0] == '{' {
			if bad := s.readParent(t, d, i, v); bad != nil {
				return nil, bad
			}
			continue
		}
		return nil, noSuchColumn(t, name)
	}
	sort.Sort(byField{d}) // errors do not depend on the order of a map
	return d, nil
}

type byField struct{ *draft }

func (d byField) Len() int           { return len(d.fields) }
func (d byField) Less(a, b int) bool { return d.fields[a] < d.fields[b] }
func (d byField) Swap(a, b int) {
	d.fields[a], d.fields[b] = d.fields[b], d.fields[a]
	d.values[a], d.values[b] = d.values[b], d.values[a]
}

func noSuchColumn(t *table, name string) *apiError {
	e := fail(400, "INVALID_FIELD", "No such column '%s' on sobject of type %s", name, t.object.Name)
	e.Fields = []string{name}
	return e
}

func (s *Server) readParent(t *table, d *draft, at int, raw json.RawMessage) *apiError {
	var by map[string]json.RawMessage
	if err := json.Unmarshal(raw, &by); err != nil {
		return fail(400, "JSON_PARSER_ERROR", "%v", err)
	}
	f := &t.object.Fields[at]
	for name, v := range by {
		if name == "attributes" || name == "type" {
			continue
		}
		p, bad := s.parentBy(f, at, name)
		if bad != nil {
			return bad
		}
		_, pf, _ := s.tables[strings.ToLower(p.object)].field(p.ext)
		if p.value, bad = fromJSON(pf, v); bad != nil {
			return bad
		}
		d.parents = append(d.parents, p)
	}
	return nil
}

// parentBy finds the key field of the objects a reference may point at.
func (s *Server) parentBy(f *Field, at int, ext string) (parent, *apiError) {
	for _, object := range f.ReferenceTo {
		if pt, ok := s.tables[strings.ToLower(object)]; ok {
			if _, pf, ok := pt.field(ext); ok && pf.usableAsKey() {
				return parent{field: f.Name, object: object, ext: pf.Name, at: at}, nil
			}
		}
	}
	return parent{}, fail(400, "INVALID_FIELD", "No such column '%s' on a parent of %s", ext, f.Name)
}

// validate applies every rule to a draft; r is the record to be updated, nil on create.
func (s *Server) validate(t *table, d *draft, r *record) *itemError {
	if d.bad != nil {
		return d.bad
	}
	for _, p := range d.parents {
		pt := s.tables[strings.ToLower(p.object)]
		i, _, _ := pt.field(p.ext)
		found := pt.find(i, p.value)
		if len(found) != 1 {
			return refuse("INVALID_FIELD", nil, "Foreign key external ID: %v not found for field %s in entity %s", p.value, p.ext, p.object)
		}
		d.set(p.at, found[0].id)
	}
	for n, i := range d.fields {
		f := &t.object.Fields[i]
		if r == nil && !f.Createable || r != nil && !f.Updateable {
			return refuse("INVALID_FIELD_FOR_INSERT_UPDATE", f, "Unable to create/update fields: %s. Please check the security settings of this field and verify that it is read/write for your profile or permission set.", f.Name)
		}
		if e := check(f, d.values[n]); e != nil {
			return e
		}
		if e := s.checkReference(t, d, n, f); e != nil {
			return e
		}
		if f.Unique && d.values[n] != nil {
			for _, other := range t.find(i, d.values[n]) {
				if other != r {
					return refuse("DUPLICATE_VALUE", nil, "duplicate value found: %s duplicates value on record with id: %s", f.Name, other.id)
				}
			}
		}
	}
	if r != nil {
		return nil
	}
	var missing []string
	for i := range t.object.Fields {
		if f := &t.object.Fields[i]; f.required() {
			if v, ok := d.value(i); !ok || v == nil {
				missing = append(missing, f.Name)
			}
		}
	}
	if missing != nil {
		return &itemError{"REQUIRED_FIELD_MISSING", "Required fields are missing: [" + strings.Join(missing, ", ") + "]", missing}
	}
	return nil
}

func (s *Server) checkReference(t *table, d *draft, n int, f *Field) *itemError {
	id, ok := d.values[n].(string)
	if f.Type != "reference" || !ok {
		return nil
	}
	id, _ = fullID(id)
	d.values[n] = id
	for _, object := range f.ReferenceTo {
		pt, ok := s.tables[strings.ToLower(object)]
		if !ok || pt.object.KeyPrefix != id[:3] {
			continue
		}
		p := pt.byID[id]
		switch {
		case p == nil:
			return refuse("INVALID_CROSS_REFERENCE_KEY", f, "invalid cross reference id")
		case p.deleted:
			return refuse("ENTITY_IS_DELETED", f, "entity is deleted")
		}
		return nil
	}
	return refuse("FIELD_INTEGRITY_EXCEPTION", f, "%s: id value of incorrect type: %s", f.Label, id)
}

func (s *Server) insert(t *table, d *draft) outcome {
	if e := s.injected(t, d, nil, d.id); e != nil {
		return refused(e)
	}
	if e := s.validate(t, d, nil); e != nil {
		return refused(e)
	}
	vals := make([]any, len(t.object.Fields))
	for n, i := range d.fields {
		vals[i] = d.values[n]
	}
	r := t.create(vals, s.now(), s.userID)
	return done(r.id, func() { t.forget(r) })
}

func (s *Server) update(t *table, d *draft) outcome {
	r, e := t.lookup(d.id)
	if e == nil {
		e = s.injected(t, d, r, d.id)
	}
	if e == nil {
		e = s.validate(t, d, r)
	}
	if e != nil {
		return refused(e)
	}
	old := t.change(r, d, s.now())
	return done(r.id, func() { t.restore(r, old) })
}

// lookup finds the living record with an id, in the words Salesforce has for the other cases.
func (t *table) lookup(id string) (*record, *itemError) {
	full, ok := fullID(id)
	if !ok {
		return nil, refuse("MALFORMED_ID", nil, "malformed id %s", id)
	}
	r := t.byID[full]
	switch {
	case r == nil:
		return nil, refuse("INVALID_CROSS_REFERENCE_KEY", nil, "invalid cross reference id")
	case r.deleted:
		return nil, refuse("ENTITY_IS_DELETED", nil, "entity is deleted")
	}
	return r, nil
}

// upsert creates or updates by a key field; key is its position.
func (s *Server) upsert(t *table, d *draft, key int) outcome {
	f := &t.object.Fields[key]
	if d.bad != nil {
		return refused(d.bad)
	}
	v, ok := d.value(key)
	if f.Type == "id" {
		if ok = d.id != ""; !ok {
			return s.insert(t, d)
		}
		v = d.id
	}
	if !ok || v == nil {
		return refused(refuse("MISSING_ARGUMENT", nil, "%s not specified", f.Name))
	}
	found := t.find(key, v)
	if len(found) > 1 {
		return refused(refuse("DUPLICATE_EXTERNAL_ID", nil, "%s: more than one record found for external id field: [%s, %s]", f.Name, found[0].id, found[1].id))
	}
	var out outcome
	created := len(found) == 0
	if created {
		out = s.insert(t, d)
	} else {
		d.id = found[0].id
		out = s.update(t, d)
	}
	out.Created = &created
	if !out.Success {
		created = false
	}
	return out
}

func (s *Server) erase(t *table, id string) outcome {
	r, e := t.lookup(id)
	if e == nil {
		e = s.injected(t, &draft{}, r, id)
	}
	if e != nil {
		return refused(e)
	}
	full := append([]any(nil), r.vals...)
	t.remove(r)
	return done(r.id, func() { t.restore(r, full) })
}
