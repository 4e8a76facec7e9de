package run_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
	"github.com/upwelldata/upwell/internal/state"
)

// warehouse is a source held in memory: rows of (id, email, score, tier).
type warehouse struct {
	mu     sync.Mutex
	fields []arrow.Field
	rows   [][]row.Value
	fail   error // at the end of the read
	after  int   // rows before fail; -1 = all
	// undescribed is why the columns cannot be told.
	undescribed error
	bytes       int64 // what a read is said to cost; -1 = it is not told
}

func newWarehouse() *warehouse {
	return &warehouse{after: -1, fields: []arrow.Field{
		row.FieldOf("id", row.Int), row.FieldOf("email", row.Text), row.FieldOf("score", row.Float), row.FieldOf("tier", row.Text),
	}}
}

func (w *warehouse) set(id int64, email, tier string, score float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := []row.Value{row.IntValue(id), row.TextValue(email), row.FloatValue(score), row.TextValue(tier)}
	if tier == "" {
		r[3] = row.NullValue()
	}
	for i := range w.rows {
		if w.rows[i][0].Equal(r[0]) {
			w.rows[i] = r
			return
		}
	}
	w.rows = append(w.rows, r)
}

func (w *warehouse) drop(id int64) {
	w.rows = slices.DeleteFunc(w.rows, func(r []row.Value) bool { return r[0].Equal(row.IntValue(id)) })
}

func (w *warehouse) fill(n int) {
	for i := range n {
		w.set(int64(i), fmt.Sprintf("u%d@example.com", i), "watch", float64(i%100))
	}
}

func (w *warehouse) Check(context.Context) error { return nil }
func (w *warehouse) Close() error                { return nil }
func (w *warehouse) Dialect() connector.Dialect {
	return connector.Dialect{Name: "memory", Quote: '"', Placeholder: "?"}
}

func (w *warehouse) Estimate(context.Context, connector.Query) (connector.Scan, error) {
	if w.bytes < 0 {
		return connector.Scan{}, fault.New(fault.SourceUnreachable, "no answer")
	}
	return connector.Scan{Bytes: w.bytes}, nil
}

func (w *warehouse) Describe(context.Context, connector.Query) (*arrow.Schema, error) {
	return arrow.NewSchema(w.fields, nil), w.undescribed
}

func (w *warehouse) Read(_ context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		w.mu.Lock()
		rows := slices.Clone(w.rows)
		w.mu.Unlock()
		names := q.Columns
		if names == nil {
			for _, f := range w.fields {
				names = append(names, f.Name)
			}
		}
		sent := 0
		for part := range slices.Chunk(rows, 100) {
			if w.fail != nil && w.after >= 0 && sent >= w.after {
				break
			}
			if !yield(w.batch(names, part, q.Equal), nil) {
				return
			}
			sent += len(part)
		}
		if w.fail != nil {
			yield(nil, w.fail)
		}
	}
}

func (w *warehouse) batch(names []string, rows [][]row.Value, equal []connector.ColumnIs) arrow.RecordBatch {
	var fields []arrow.Field
	var at []int
	for _, n := range names {
		i := slices.IndexFunc(w.fields, func(f arrow.Field) bool { return f.Name == n })
		fields, at = append(fields, w.fields[i]), append(at, i)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	for _, r := range rows {
		if len(equal) > 0 && !r[0].Equal(equal[0].Value) {
			continue
		}
		for c, i := range at {
			if err := row.AppendTo(b.Field(c), r[i]); err != nil {
				panic(err)
			}
		}
	}
	return b.NewRecordBatch()
}

// crm is a destination that keeps records by id and can misbehave.
type crm struct {
	mu      sync.Mutex
	records map[string]map[string]string
	writes  []string // op key field=value ...
	calls   int
	reject  map[string]string // key -> code
	down    error
	lose    bool // apply, then lose the answer
	windows []connector.Window
	object  connector.Object
	account string
	named   func(key string) (id string) // the id a record is found by; nil = id-key
}

func newCRM() *crm {
	op := connector.Operation{MaxRows: 50, Concurrency: 2, Idempotent: true, Partial: true}
	ins := connector.Operation{MaxRows: 50, Concurrency: 2}
	field := func(name string, k row.Kind) connector.Field {
		return connector.Field{Name: name, Kind: k, Creatable: true, Updatable: true, Nullable: true}
	}
	id := field("Id", row.Int)
	id.Match, id.Unique = true, true
	mail := field("Email", row.Text)
	mail.Match, mail.Unique, mail.FoldCase = true, true, true
	return &crm{records: map[string]map[string]string{}, reject: map[string]string{}, account: "acct", object: connector.Object{
		Name: "Account", Kind: connector.KindRecord, Keys: [][]string{{"Id"}, {"Email"}}, ReadBatch: 50,
		Fields: []connector.Field{id, mail, field("Score", row.Float), field("Tier", row.Text), field("First", row.Text)},
		Ops: map[connector.Op]connector.Operation{
			connector.OpUpsert: op, connector.OpUpdate: op, connector.OpDelete: op, connector.OpClear: op, connector.OpInsert: ins, connector.OpAppend: ins,
		},
	}}
}

func (c *crm) Check(context.Context) (connector.Account, error) {
	return connector.Account{ID: c.account, Windows: c.windows}, c.down
}
func (c *crm) Close() error { return nil }
func (c *crm) Objects(context.Context, []string) ([]connector.Object, error) {
	return []connector.Object{c.object}, nil
}

func (c *crm) Write(_ context.Context, to connector.Target, rows *row.Batch, out *connector.Outcomes) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.down != nil {
		return c.down
	}
	for i := range rows.Len() {
		c.one(to, rows, i, out)
	}
	if c.lose {
		out.Clear()
		return fault.New(fault.DestTimeout, "no answer")
	}
	return nil
}

func (c *crm) one(to connector.Target, rows *row.Batch, i int, out *connector.Outcomes) {
	key := strings.ToLower(rows.Match(i)[0].String())
	line := string(to.Op) + " " + key
	for j, v := range rows.Values(i) {
		if !v.IsAbsent() {
			line += " " + to.Fields[j] + "=" + v.String()
		}
	}
	c.writes = append(c.writes, line)
	if code := c.reject[key]; code != "" {
		out.Rejected(i, fault.Code(code), "Score", "the tool says no")
		return
	}
	rec, exists := c.records[key]
	switch to.Op {
	case connector.OpDelete:
		delete(c.records, key)
		out.Delivered(i, "id-"+key, connector.No)
		return
	case connector.OpUpdate, connector.OpClear:
		if !exists {
			out.Skipped(i, fault.NotFound, "no such record")
			return
		}
	case connector.OpUpsert, connector.OpAdd, connector.OpDrop:
	case connector.OpInsert, connector.OpAppend:
		if exists && to.SkipExists {
			out.Skipped(i, fault.AlreadyExists, "exists")
			return
		}
		if exists && to.Op == connector.OpInsert {
			out.Rejected(i, fault.AlreadyExists, "", "exists")
			return
		}
	}
	created := connector.No
	if !exists {
		created, rec = connector.Yes, map[string]string{}
	}
	for j, v := range rows.Values(i) {
		if v.IsNull() {
			delete(rec, to.Fields[j])
		} else if !v.IsAbsent() {
			rec[to.Fields[j]] = v.String()
		}
	}
	c.records[key] = rec
	out.Delivered(i, "id-"+key, created)
}

func (c *crm) ReadBack(_ context.Context, _ connector.Object, _ []string, matches [][]row.Value, fields []string) ([]connector.Found, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]connector.Found, len(matches))
	for i, m := range matches {
		rec, ok := c.records[strings.ToLower(m[0].String())]
		if !ok {
			continue
		}
		out[i] = connector.Found{Exists: true, RemoteID: "id-" + strings.ToLower(m[0].String()), Values: make([]row.Value, len(fields))}
		if c.named != nil {
			out[i].RemoteID = c.named(m[0].String())
		}
		for j, f := range fields {
			out[i].Values[j] = c.value(rec, f)
		}
	}
	return out, nil
}

func (c *crm) value(rec map[string]string, field string) row.Value {
	i := slices.IndexFunc(c.object.Fields, func(f connector.Field) bool { return f.Name == field })
	v, err := row.ParseText(c.object.Fields[i].Kind, rec[field])
	if err != nil || rec[field] == "" {
		return row.NullValue()
	}
	return v
}

// took gives and forgets the writes since the last call, sorted.
func (c *crm) took() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := slices.Sorted(slices.Values(c.writes))
	c.writes, c.calls = nil, 0
	return out
}

// world is a project with an in-memory warehouse and crm.
type world struct {
	t   *testing.T
	dir string
	wh  *warehouse
	crm *crm
	yml string
	// hides: the tool cannot be read
	hides bool
}

var specs = struct{ source, destination connector.Spec }{
	connector.Spec{Type: "memory", Title: "Memory"},
	connector.Spec{
		Type: "crm", Title: "CRM", Timeout: 20 * time.Millisecond,
		Modes:   []connector.Mode{connector.ModeUpsert, connector.ModeUpdate, connector.ModeInsert, connector.ModeAppend, connector.ModeMirror},
		Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete, connector.RemovedClear},
	},
}

func (w *world) Source(typ string) (connector.SourceConnector, bool) {
	return connector.SourceConnector{Spec: specs.source, Open: func(context.Context, connector.Config, connector.Env) (connector.Source, error) { return w.wh, nil }}, typ == "memory"
}

func (w *world) Destination(typ string) (connector.DestinationConnector, bool) {
	return connector.DestinationConnector{Spec: specs.destination, Open: func(context.Context, connector.Config, connector.Env) (connector.Destination, error) {
		if w.hides {
			return unread{w.crm}, nil
		}
		return w.crm, nil
	}}, typ == "crm"
}

const standard = `
    mode: upsert
    match: {Id: id}
    fields: {Score: score, Tier: {column: tier, null: skip}}
`

func newWorld(t *testing.T, sync string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), wh: newWarehouse(), crm: newCRM()}
	w.define(sync)
	return w
}

// define writes the project with this body of its one sync.
func (w *world) define(sync string) {
	w.t.Helper()
	w.yml = "version: 1\nname: test\nsources: {wh: {type: memory}}\ndestinations: {crm: {type: crm}}\nmodels: {m: {source: wh, table: t, key: id}}\nsyncs:\n  s:\n    model: m\n    destination: crm\n    object: Account\n" + strings.TrimLeft(sync, "\n")
	w.write()
}

func (w *world) write() {
	if err := os.WriteFile(filepath.Join(w.dir, "upwell.yml"), []byte(w.yml), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// engine opens project and state as a process would, and closes them when do returns.
func (w *world) engine(do func(*run.Engine, *project.Sync)) {
	w.t.Helper()
	p, faults := project.Load(w.dir, project.NewRegistry([]connector.Spec{specs.source}, []connector.Spec{specs.destination}))
	if len(faults) > 0 {
		w.t.Fatal(faults)
	}
	st, err := state.Open(w.t.Context(), p, state.Ask)
	if err != nil {
		w.t.Fatal(err)
	}
	do(&run.Engine{Project: p, Connectors: w, Store: st.Store, Ledger: st.Ledger}, p.Syncs["s"])
	if err := st.Close(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) run(o run.RunOptions) *run.Record {
	w.t.Helper()
	var rec *run.Record
	w.engine(func(e *run.Engine, s *project.Sync) {
		var err error
		if rec, err = e.Run(w.t.Context(), s, o); err != nil {
			w.t.Fatal(err)
		}
	})
	return rec
}

func (w *world) plan() *run.PlanResult {
	w.t.Helper()
	var res *run.PlanResult
	w.engine(func(e *run.Engine, s *project.Sync) {
		var err error
		if res, err = e.Plan(w.t.Context(), s, false, true, nil, &deliver.Tally{}); err != nil {
			w.t.Fatal(err)
		}
	})
	return res
}

// ok runs and wants success.
func (w *world) ok() *run.Record {
	w.t.Helper()
	rec := w.run(run.RunOptions{})
	if rec.Status != run.Succeeded {
		w.t.Fatalf("run is %s: %v", rec.Status, rec.Error)
	}
	return rec
}

func (w *world) wantWrites(want ...string) {
	w.t.Helper()
	if got := w.crm.took(); !slices.Equal(got, want) {
		w.t.Errorf("writes\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (w *world) wantRecords(want map[string]string) {
	w.t.Helper()
	got := map[string]string{}
	for k, r := range w.crm.records {
		s := ""
		for _, f := range slices.Sorted(maps.Keys(r)) {
			s += f + "=" + r[f] + " "
		}
		got[k] = strings.TrimSpace(s)
	}
	if !maps.Equal(got, want) {
		w.t.Errorf("records %v, want %v", got, want)
	}
}

var allowRemoved = plan.Allow{"removed": true}

var errCut = errors.New("cut")

type projectSync = project.Sync

var nullValue = row.NullValue()
