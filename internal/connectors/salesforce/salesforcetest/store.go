package salesforcetest

import (
	"encoding/json"
	"strings"
	"time"
)

// table holds the records of one object. The server's lock guards it.
type table struct {
	object  Object
	byName  map[string]int // lower-case field name -> position
	byRel   map[string]int // lower-case relationship name -> position of its reference field
	byID    map[string]*record
	order   []*record
	indexes map[int]map[string][]*record // key fields: folded value -> records
	next    uint64
	body    []byte // describe
}

// record is one record; vals has one of nil, string, json.Number, bool per field. Deleted records stay in the recycle bin.
type record struct {
	id      string
	vals    []any
	deleted bool
}

func newTable(o Object) (*table, error) {
	body, err := o.describe()
	if err != nil {
		return nil, err
	}
	t := &table{
		object: o, body: body, byName: map[string]int{}, byRel: map[string]int{}, byID: map[string]*record{},
		indexes: map[int]map[string][]*record{},
	}
	for i := range o.Fields {
		f := &o.Fields[i]
		t.byName[strings.ToLower(f.Name)] = i
		if f.RelationshipName != "" {
			t.byRel[strings.ToLower(f.RelationshipName)] = i
		}
		if (f.usableAsKey() || f.Unique) && f.Type != "id" {
			t.indexes[i] = map[string][]*record{}
		}
	}
	return t, nil
}

// field finds a field by name; names are not case-sensitive.
func (t *table) field(name string) (int, *Field, bool) {
	i, ok := t.byName[name]
	if !ok {
		i, ok = t.byName[strings.ToLower(name)]
	}
	if !ok {
		return 0, nil, false
	}
	return i, &t.object.Fields[i], true
}

// fold gives the form two values of a key field are compared in: texts without case unless the field is case-sensitive, numbers
// by value.
func fold(f *Field, v any) string {
	switch x := v.(type) {
	case string:
		if f.CaseSensitive {
			return x
		}
		return strings.ToLower(x)
	case json.Number:
		return normalNumber(string(x))
	case bool:
		if x {
			return "true"
		}
		return "false"
	}
	return ""
}

// normalNumber strips what does not change a number's value: leading zeros, trailing zeros of the fraction.
func normalNumber(s string) string {
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimLeft(strings.TrimLeft(s, "+-"), "0")
	if strings.Contains(s, ".") && !strings.ContainsAny(s, "eE") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "" || s[0] == '.' {
		s = "0" + s
	}
	if neg && s != "0" {
		return "-" + s
	}
	return s
}

// find gives the living records whose key field i has the value.
func (t *table) find(i int, v any) []*record {
	if v == nil {
		return nil
	}
	f := &t.object.Fields[i]
	if f.Type == "id" {
		if id, ok := v.(string); ok {
			if full, ok := fullID(id); ok {
				if r := t.byID[full]; r != nil && !r.deleted {
					return []*record{r}
				}
			}
		}
		return nil
	}
	if ix, ok := t.indexes[i]; ok {
		return ix[fold(f, v)]
	}
	var out []*record
	want := fold(f, v)
	for _, r := range t.order {
		if !r.deleted && r.vals[i] != nil && fold(f, r.vals[i]) == want {
			out = append(out, r)
		}
	}
	return out
}

func (t *table) indexAdd(r *record, i int) {
	if ix, ok := t.indexes[i]; ok && r.vals[i] != nil {
		k := fold(&t.object.Fields[i], r.vals[i])
		ix[k] = append(ix[k], r)
	}
}

func (t *table) indexDrop(r *record, i int) {
	ix, ok := t.indexes[i]
	if !ok || r.vals[i] == nil {
		return
	}
	k := fold(&t.object.Fields[i], r.vals[i])
	list := ix[k]
	for n, x := range list {
		if x == r {
			list = append(list[:n:n], list[n+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(ix, k)
	} else {
		ix[k] = list
	}
}

// create stores a new record and stamps the system fields.
func (t *table) create(vals []any, now time.Time, owner string) *record {
	t.next++
	r := &record{id: makeID(t.object.KeyPrefix, t.next), vals: vals}
	stamp := now.UTC().Format("2006-01-02T15:04:05.000+0000")
	for i := range t.object.Fields {
		f := &t.object.Fields[i]
		switch f.Name {
		case "Id":
			vals[i] = r.id
		case "CreatedDate", "LastModifiedDate", "SystemModstamp":
			vals[i] = stamp
		case "IsDeleted":
			vals[i] = false
		case "OwnerId":
			if vals[i] == nil {
				vals[i] = owner
			}
		default:
			if f.Type == "boolean" && vals[i] == nil {
				vals[i] = false // a checkbox is never empty
			}
		}
		t.indexAdd(r, i)
	}
	t.byID[r.id] = r
	t.order = append(t.order, r)
	return r
}

// change writes values and gives what they replaced.
func (t *table) change(r *record, d *draft, now time.Time) []any {
	old := append([]any(nil), r.vals...)
	for n, i := range d.fields {
		t.indexDrop(r, i)
		r.vals[i] = d.values[n]
		t.indexAdd(r, i)
	}
	stamp := now.UTC().Format("2006-01-02T15:04:05.000+0000")
	for _, name := range [...]string{"lastmodifieddate", "systemmodstamp"} {
		if i, ok := t.byName[name]; ok {
			r.vals[i] = stamp
		}
	}
	return old
}

func (t *table) remove(r *record) {
	r.deleted = true
	for i := range t.indexes {
		t.indexDrop(r, i)
	}
	if i, ok := t.byName["isdeleted"]; ok {
		r.vals[i] = true
	}
}

func (t *table) restore(r *record, vals []any) {
	for i := range t.indexes {
		if !r.deleted {
			t.indexDrop(r, i)
		}
	}
	r.deleted, r.vals = false, vals
	if i, ok := t.byName["isdeleted"]; ok {
		r.vals[i] = false
	}
	for i := range t.indexes {
		t.indexAdd(r, i)
	}
}

// forget takes a record out as if it had never been.
func (t *table) forget(r *record) {
	t.remove(r)
	delete(t.byID, r.id)
	for n := len(t.order) - 1; n >= 0; n-- {
		if t.order[n] == r {
			t.order = append(t.order[:n], t.order[n+1:]...)
			return
		}
	}
}
