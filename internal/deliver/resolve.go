package deliver

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// resolve fills in what a batch needs to know of the tool before it is sent: remote ids, looked-up references, whether records
// exist. Rows it settles (nothing to do, refused) are taken out; the rest comes back.
func (d *Delivery) resolve(ctx context.Context, w *work) (*work, error) {
	out := connector.NewOutcomes(w.batch.Len())
	steps := []func(context.Context, *work, *connector.Outcomes) error{d.reopened, d.remoteIDs, d.references, d.existence, d.currentValues}
	for _, step := range steps {
		if err := step(ctx, w, out); err != nil {
			return w, err
		}
	}
	var left []int
	for i := range w.batch.Len() {
		if !out.Marked(i) {
			left = append(left, i)
		}
	}
	if len(left) == w.batch.Len() {
		return w, nil
	}
	rest, err := d.settleMarked(ctx, w, out)
	if err != nil {
		return w.part(left), err
	}
	if len(rest.absent) > 0 {
		if err := d.process(ctx, d.atNewPlace(w, rest.absent)); err != nil {
			return w.part(left), err
		}
	}
	return w.part(left), nil
}

// lookUp reads records in batches the tool takes.
func (d *Delivery) lookUp(ctx context.Context, obj connector.Object, by []string, matches [][]row.Value, fields []string) ([]connector.Found, error) {
	out := make([]connector.Found, 0, len(matches))
	size := max(1, obj.ReadBatch)
	for part := range slices.Chunk(matches, size) {
		got, err := d.readOnce(ctx, obj, by, part, fields)
		if err != nil {
			return nil, err
		}
		out = append(out, got...)
	}
	return out, nil
}

// readOnce reads one batch, with the patience of any request: reading has no effect, so it may be repeated.
func (d *Delivery) readOnce(ctx context.Context, obj connector.Object, by []string, part [][]row.Value, fields []string) ([]connector.Found, error) {
	for n := 1; ; n++ {
		got, err := d.reader.ReadBack(ctx, obj, by, part, fields)
		if err == nil {
			if len(got) != len(part) {
				return nil, fault.New(fault.DestAnswer, "reading back: %d answers for %d records", len(got), len(part))
			}
			return got, nil
		}
		f := fault.As(err)
		switch f.GetClass() {
		case fault.ClassTransient, fault.ClassEnvironment:
			if n < maxAttempts {
				if terr := d.circuit.trip(ctx, err); terr != nil {
					return nil, notLanded(terr)
				}
				continue
			}
		case fault.ClassThrottled:
			if !d.starved() && n < 100*maxAttempts {
				continue
			}
		case fault.ClassQuota:
			if d.waitQuota(ctx, f) == nil {
				continue
			}
		case fault.ClassAuth, fault.ClassConfig, fault.ClassRow, fault.ClassBatchRefused, fault.ClassHeld, fault.ClassSource, fault.ClassCancelled, fault.ClassBug:
		}
		return nil, notLanded(err)
	}
}

// remoteIDs finds the tool's own id for operations that address records by it.
func (d *Delivery) remoteIDs(ctx context.Context, w *work, out *connector.Outcomes) error {
	if !slices.Contains(d.Object.NeedsRemoteID, w.kind.op) {
		return nil
	}
	var rows []int
	var matches [][]row.Value
	for i := range w.batch.Len() {
		if w.batch.Meta(i).RemoteID == "" {
			rows = append(rows, i)
			matches = append(matches, w.batch.Match(i))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if d.reader == nil {
		return fault.New(fault.Internal, "%s needs remote ids and cannot be read", d.Object.Name)
	}
	found, err := d.lookUp(ctx, d.Object, w.target.Match, matches, nil)
	if err != nil {
		return err
	}
	for n, i := range rows {
		switch f := found[n]; {
		case f.Ambiguous:
			out.Rejected(i, fault.DestKeyUnusable, w.target.Match[0], "several records in the tool have this identity")
		case f.Exists:
			w.batch.Meta(i).RemoteID = f.RemoteID
			w.rows[i].ack.Entry.RemoteID = f.RemoteID
		case w.kind.op == connector.OpDelete || w.kind.op == connector.OpDrop:
			out.Delivered(i, "", connector.NotTold) // already gone
		default:
			out.Skipped(i, fault.NotFound, "the tool has no such record")
		}
	}
	return nil
}

// reopened settles inserts whose earlier request has an open outcome: the record is there, or it was never made. The old
// request can no longer land by now.
func (d *Delivery) reopened(ctx context.Context, w *work, out *connector.Outcomes) error {
	if w.kind.op != connector.OpInsert && w.kind.op != connector.OpAppend || d.reader == nil || d.Object.ReadBatch == 0 {
		return nil
	}
	var rows []int
	var matches [][]row.Value
	for i := range w.batch.Len() {
		if w.rows[i].reopened {
			rows, matches = append(rows, i), append(matches, w.batch.Match(i))
		}
	}
	if len(rows) == 0 || len(w.target.Match) == 0 {
		return nil
	}
	found, err := d.lookUp(ctx, d.Object, w.target.Match, matches, nil)
	if err != nil {
		return err
	}
	for n, i := range rows {
		if found[n].Exists {
			out.Delivered(i, found[n].RemoteID, connector.NotTold)
		}
	}
	return nil
}

// existence tells new records from existing ones where a field is written only on creation.
func (d *Delivery) existence(ctx context.Context, w *work, _ *connector.Outcomes) error {
	if w.kind.op != connector.OpUpsert || d.reader == nil || d.Object.ReadBatch == 0 || !slices.Contains(d.Shape.CreateOnly, true) {
		return nil
	}
	var rows []int
	for i := range w.batch.Len() {
		if w.rows[i].mayCreate {
			rows = append(rows, i)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	matches := make([][]row.Value, len(rows))
	for n, i := range rows {
		matches[n] = w.batch.Match(i)
	}
	found, err := d.lookUp(ctx, d.Object, w.target.Match, matches, nil)
	if err != nil {
		return err
	}
	for n, i := range rows {
		if !found[n].Exists {
			continue
		}
		values := w.batch.Values(i)
		for j, only := range d.Shape.CreateOnly {
			if only {
				values[j] = row.Value{}
				w.rows[i].ack.Entry.Values[j] = row.Value{}
			}
		}
		for k := range w.rows[i].ack.Before {
			w.rows[i].ack.Before[k] = d.withoutCreateOnly(w.rows[i].ack.Before[k])
		}
		w.rows[i].mayCreate = false
	}
	return nil
}

// withoutCreateOnly is the history of a record that was there: what is written on creation only was not written, and an undo must
// not restore it over what others wrote since.
func (d *Delivery) withoutCreateOnly(h ledger.History) ledger.History {
	fields, old, after := h.Fields, h.Old, h.New
	h.Fields, h.Old, h.New = nil, nil, nil
	for i, f := range fields {
		if j := slices.Index(d.Shape.Fields, f); j < 0 || !d.Shape.CreateOnly[j] {
			h.Fields, h.Old, h.New = append(h.Fields, f), append(h.Old, old[i]), append(h.New, after[i])
		}
	}
	return h
}

// currentValues reads what the tool holds before it is written, for syncs with read_before: undo can then restore it.
func (d *Delivery) currentValues(ctx context.Context, w *work, out *connector.Outcomes) error {
	if !d.Sync.ReadBefore || d.reader == nil || d.Object.ReadBatch == 0 {
		return nil
	}
	matches := make([][]row.Value, w.batch.Len())
	for i := range matches {
		matches[i] = w.batch.Match(i)
	}
	found, err := d.lookUp(ctx, d.Object, w.target.Match, matches, d.Shape.Fields)
	if err != nil {
		return err
	}
	for i, f := range found {
		if out.Marked(i) || !f.Exists || len(f.Values) != len(d.Shape.Fields) {
			continue
		}
		h := &w.rows[i].ack.Before[0]
		h.Known, h.Read = true, true
		if h.PrevRemoteID == "" {
			h.PrevRemoteID = f.RemoteID
		}
		for n, name := range h.Fields {
			if j := slices.Index(d.Shape.Fields, name); j >= 0 && !f.Values[j].IsAbsent() {
				h.Old[n] = f.Values[j]
			}
		}
	}
	return nil
}

// references resolves lookup fields: the identity given in the model becomes the other record's id.
func (d *Delivery) references(ctx context.Context, w *work, out *connector.Outcomes) error {
	for j, l := range d.Shape.Lookups {
		if l == nil {
			continue
		}
		if err := d.reference(ctx, w, out, j, l); err != nil {
			return err
		}
	}
	return nil
}

func (d *Delivery) reference(ctx context.Context, w *work, out *connector.Outcomes, field int, l *project.Lookup) error {
	var rows []int
	var wanted [][]row.Value
	for i := range w.batch.Len() {
		v := &w.batch.Values(i)[field]
		if out.Marked(i) || v.IsAbsent() || v.IsNull() {
			continue
		}
		inputs, err := d.Shape.LookupInputs(field, *v)
		if err != nil {
			return err
		}
		if inputs == nil {
			continue
		}
		if slices.ContainsFunc(inputs, row.Value.IsNull) {
			*v = row.NullValue()
			continue
		}
		if id, ok := d.cache.get(l.Object, inputs); ok {
			if *v, err = d.idFor(field, l, id); err != nil {
				return err
			}
			continue
		}
		rows, wanted = append(rows, i), append(wanted, inputs)
	}
	if len(rows) == 0 {
		return nil
	}
	if d.reader == nil {
		return fault.New(fault.DestConfig, "%s cannot be read, so lookups cannot be resolved", d.Spec.Title)
	}
	by := make([]string, len(l.By))
	for i, b := range l.By {
		by[i] = b.Field
	}
	obj, err := d.foreign(ctx, l.Object)
	if err != nil {
		return err
	}
	found, err := d.lookUp(ctx, obj, by, wanted, nil)
	if err != nil {
		return err
	}
	for n, i := range rows {
		v := &w.batch.Values(i)[field]
		switch f := found[n]; {
		case f.Exists && !f.Ambiguous:
			if *v, err = d.idFor(field, l, f.RemoteID); err != nil {
				return err
			}
			d.cache.put(l.Object, wanted[n], f.RemoteID)
		case l.ToNull:
			*v = row.NullValue()
		default:
			why := "does not exist"
			if f.Ambiguous {
				why = "is not unique"
			}
			out.Rejected(i, fault.LookupMissing, d.Shape.Fields[field], fmt.Sprintf("%s with %s %s", l.Object, describe(by, wanted[n]), why))
		}
	}
	return nil
}

// idFor is the id of the record found, as the field that refers to it holds it.
func (d *Delivery) idFor(field int, l *project.Lookup, id string) (row.Value, error) {
	name := d.Shape.Fields[field]
	if id == "" {
		return row.Value{}, fault.New(fault.DestConfig, "field %s: records of %s have no id of one value that could be looked up", name, l.Object).NotLanded()
	}
	kind := d.Shape.Kinds[field]
	if kind == row.Absent || kind == row.Text {
		return row.TextValue(id), nil
	}
	v, err := row.ParseText(kind, id)
	if err != nil {
		return row.Value{}, fault.New(fault.DestFieldType, "field %s holds %s, and %q, the id of a record of %s, is none", name, kind, id, l.Object).NotLanded()
	}
	return v, nil
}

func describe(by []string, vals []row.Value) string {
	s := ""
	for i, b := range by {
		if i > 0 {
			s += ", "
		}
		s += b + " = " + vals[i].String()
	}
	return s
}

func (d *Delivery) foreign(ctx context.Context, name string) (connector.Object, error) {
	if name == d.Object.Name {
		return d.Object, nil
	}
	d.cache.mu.Lock()
	obj, ok := d.cache.objects[name]
	d.cache.mu.Unlock()
	if ok {
		return obj, nil
	}
	objs, err := d.Dest.Objects(ctx, []string{name})
	if err != nil {
		return obj, err
	}
	if len(objs) != 1 {
		return obj, fault.New(fault.DestObjectMissing, "there is no object %q to look up", name)
	}
	d.cache.mu.Lock()
	defer d.cache.mu.Unlock()
	d.cache.objects[name] = objs[0]
	return objs[0], nil
}

// lookupCache remembers resolved references, up to a bound; when full it starts over.
type lookupCache struct {
	mu      sync.Mutex
	max     int
	ids     map[string]string
	objects map[string]connector.Object
}

func newLookupCache(n int) *lookupCache {
	return &lookupCache{max: n, ids: map[string]string{}, objects: map[string]connector.Object{}}
}

func cacheKey(object string, vals []row.Value) string {
	return string(row.AppendKey(append([]byte(object), 0), vals...))
}

func (c *lookupCache) get(object string, vals []row.Value) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.ids[cacheKey(object, vals)]
	return id, ok
}

func (c *lookupCache) put(object string, vals []row.Value, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ids) >= c.max {
		clear(c.ids)
	}
	c.ids[cacheKey(object, vals)] = id
}
