package proof_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
	"github.com/upwelldata/upwell/internal/state"
)

// record is one row of the model held in memory: its identity in the tool, and its value.
type record struct {
	match string
	v     string
	tier  string
}

// model is a source held in memory: id -> record. extra rows are read after the others (duplicate and null keys).
type model struct {
	rows    map[int]record
	extra   [][]row.Value
	textKey bool // the key column is a text
	fail    error
	reads   int
}

func (m *model) Check(context.Context) error { return nil }
func (m *model) Close() error                { return nil }
func (m *model) Dialect() connector.Dialect {
	return connector.Dialect{Name: "memory", Quote: '"', Placeholder: "?"}
}

func (m *model) fields() []arrow.Field {
	key := row.Int
	if m.textKey {
		key = row.Text
	}
	return []arrow.Field{row.FieldOf("id", key), row.FieldOf("mail", row.Text), row.FieldOf("v", row.Text), row.FieldOf("tier", row.Text)}
}

func (m *model) Describe(context.Context, connector.Query) (*arrow.Schema, error) {
	return arrow.NewSchema(m.fields(), nil), nil
}

func (m *model) values() [][]row.Value {
	text := func(s string) row.Value {
		if s == "" {
			return row.NullValue()
		}
		return row.TextValue(s)
	}
	var out [][]row.Value
	for _, id := range slices.Sorted(maps.Keys(m.rows)) {
		r := m.rows[id]
		key := row.IntValue(int64(id))
		if m.textKey {
			key = row.TextValue(strconv.Itoa(id))
		}
		out = append(out, []row.Value{key, text(r.match), text(r.v), text(r.tier)})
	}
	return append(out, m.extra...)
}

func (m *model) Read(_ context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		m.reads++
		var fields []arrow.Field
		var at []int
		for i, f := range m.fields() {
			if q.Columns == nil || slices.Contains(q.Columns, f.Name) {
				fields, at = append(fields, f), append(at, i)
			}
		}
		b := row.NewBuilder(arrow.NewSchema(fields, nil))
		for _, r := range m.values() {
			var vals []row.Value
			for _, i := range at {
				vals = append(vals, r[i])
			}
			if err := b.Append(vals...); err != nil {
				yield(nil, err)
				return
			}
		}
		if b.Len() > 0 {
			rec := b.Batch()
			defer rec.Release()
			if !yield(rec, nil) {
				return
			}
		}
		if m.fail != nil {
			yield(nil, m.fail)
		}
	}
}

// memTool is a tool held in memory: records by the value of the match field.
type memTool struct {
	mu      sync.Mutex
	records map[string]map[string]string
	log     []string // op match field=value…
	keys    map[string]int
	// answer decides about a row before it is applied; nil = accept. lost applies the call and loses its answer.
	answer  func(op connector.Op, match string, values map[string]string) (connector.Status, string)
	before  func(call int) error // an error before anything is applied
	lost    func(call int) error // an error after everything was applied
	calls   int
	canMove bool
	noRead  bool
	unsafe  bool // upserts are not idempotent
	unique  bool // inserts and moves onto an existing identity are refused
	timeout time.Duration
}

func newTool() *memTool {
	return &memTool{records: map[string]map[string]string{}, keys: map[string]int{}, canMove: true, unique: true, timeout: 10 * time.Millisecond}
}

func (m *memTool) Check(context.Context) (connector.Account, error) {
	return connector.Account{ID: "a"}, nil
}
func (m *memTool) Close() error { return nil }

func (m *memTool) Objects(context.Context, []string) ([]connector.Object, error) {
	field := func(name string) connector.Field {
		return connector.Field{Name: name, Kind: row.Absent, Creatable: true, Updatable: true, Nullable: true}
	}
	key := func(name string, fold bool) connector.Field {
		f := field(name)
		f.Match, f.Unique, f.FoldCase = true, true, fold
		return f
	}
	op := connector.Operation{MaxRows: 3, Concurrency: 2, Idempotent: !m.unsafe, Partial: true}
	ins := connector.Operation{MaxRows: 3, Concurrency: 2}
	o := connector.Object{
		Name: "Account", Kind: connector.KindRecord, CanMove: m.canMove, ReadBatch: 10, Keys: [][]string{{"Id"}, {"Mail"}},
		Fields: []connector.Field{key("Id", false), key("Mail", true), field("V"), field("Tier")},
		Ops: map[connector.Op]connector.Operation{
			connector.OpUpsert: op, connector.OpUpdate: op, connector.OpDelete: op, connector.OpClear: op, connector.OpInsert: ins, connector.OpAppend: ins,
		},
	}
	if m.noRead {
		o.ReadBatch = 0
	}
	return []connector.Object{o}, nil
}

func (m *memTool) ReadBack(_ context.Context, _ connector.Object, _ []string, matches [][]row.Value, _ []string) ([]connector.Found, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]connector.Found, len(matches))
	for i, v := range matches {
		if _, ok := m.records[strings.ToLower(v[0].String())]; ok {
			out[i] = connector.Found{Exists: true, RemoteID: "id"}
		}
	}
	return out, nil
}

func (m *memTool) Write(_ context.Context, to connector.Target, rows *row.Batch, out *connector.Outcomes) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.before != nil {
		if err := m.before(m.calls); err != nil {
			return err
		}
	}
	for i := range rows.Len() {
		m.one(to, rows, i, out)
	}
	if m.lost != nil {
		if err := m.lost(m.calls); err != nil {
			out.Clear()
			return err
		}
	}
	return nil
}

func (m *memTool) one(to connector.Target, rows *row.Batch, i int, out *connector.Outcomes) {
	match := strings.ToLower(rows.Match(i)[0].String())
	values := map[string]string{}
	var names []string
	for j, v := range rows.Values(i) {
		if !v.IsAbsent() {
			values[to.Fields[j]] = v.String()
			if v.IsNull() {
				values[to.Fields[j]] = ""
			}
			names = append(names, to.Fields[j])
		}
	}
	sort.Strings(names)
	line := string(to.Op) + " " + match
	for _, n := range names {
		line += " " + n + "=" + values[n]
	}
	m.log = append(m.log, line)
	m.keys[rows.Meta(i).IdempotencyKey]++
	if m.answer != nil {
		switch st, code := m.answer(to.Op, match, values); st {
		case connector.Rejected:
			out.Rejected(i, fault.Code(code), "V", "the tool says no")
			return
		case connector.Retry:
			out.Retry(i, 0, fault.Code(code), "locked")
			return
		case connector.Unknown, connector.Skipped, connector.NotAttempted, connector.Delivered:
		}
	}
	rec, exists := m.records[match]
	switch to.Op {
	case connector.OpDelete:
		delete(m.records, match)
		out.Delivered(i, "", connector.No)
		return
	case connector.OpUpdate, connector.OpClear:
		if !exists {
			out.Skipped(i, fault.NotFound, "no such record")
			return
		}
		next := match
		for _, f := range to.Match {
			if v, ok := values[f]; ok { // a move
				next = strings.ToLower(v)
				delete(values, f)
			}
		}
		if _, taken := m.records[next]; taken && next != match && m.unique {
			out.Rejected(i, "DUPLICATE_VALUE", to.Match[0], "another record has this identity")
			return
		}
		delete(m.records, match)
		m.records[next] = rec
	case connector.OpInsert, connector.OpAppend:
		if exists && m.unique && to.Op == connector.OpInsert {
			if to.SkipExists {
				out.Skipped(i, fault.AlreadyExists, "exists")
				return
			}
			out.Rejected(i, fault.AlreadyExists, "", "exists")
			return
		}
		if exists {
			values["copies"] = strconv.Itoa(len(rec["copies"]) + 1)
		}
	case connector.OpUpsert, connector.OpAdd, connector.OpDrop:
	}
	created := connector.No
	if !exists {
		created, rec = connector.Yes, map[string]string{}
		m.records[match] = rec
	}
	for f, v := range values {
		if v == "" {
			delete(rec, f)
		} else {
			rec[f] = v
		}
	}
	out.Delivered(i, "", created)
}

// took gives and forgets what was written, sorted.
func (m *memTool) took() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := slices.Sorted(slices.Values(m.log))
	m.log, m.calls = nil, 0
	return out
}

// world is a project whose source and tool are in memory.
type world struct {
	t       *testing.T
	dir     string
	model   *model
	tool    *memTool
	more    map[string]connector.DestinationConnector
	sources map[string]connector.SourceConnector
	jobs    connector.Destination // in the place of tool
	onDeath func()                // called at the moment a process dies; may be nil
}

const (
	byID   = "match: {Id: id}\n    fields: {V: v, Tier: {column: tier, null: clear}}\n"
	byMail = "match: {Mail: mail}\n    fields: {V: v, Tier: {column: tier, null: clear}}\n"
)

func newWorld(t *testing.T, sync string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), model: &model{rows: map[int]record{}}, tool: newTool()}
	w.define(t, sync)
	return w
}

// define writes the project with this body of its sync.
func (w *world) define(t *testing.T, sync string) {
	t.Helper()
	write(t, w.dir, "upwell.yml", "version: 1\nname: proof\nsources: {wh: {type: memory}}\ndestinations: {tool: {type: tool}}\nmodels: {m: {source: wh, table: t, key: id}}\nsyncs:\n  s:\n    model: m\n    destination: tool\n    object: Account\n    "+strings.TrimLeft(sync, " \n"))
}

func (w *world) connectors() connectors {
	c := connectors{
		sources: map[string]connector.SourceConnector{"memory": {
			Spec: connector.Spec{Type: "memory", Title: "Memory"},
			Open: func(context.Context, connector.Config, connector.Env) (connector.Source, error) { return w.model, nil },
		}},
		destinations: map[string]connector.DestinationConnector{"tool": {
			Spec: connector.Spec{
				Type: "tool", Title: "Tool", Timeout: w.tool.timeout,
				Modes:   []connector.Mode{connector.ModeUpsert, connector.ModeUpdate, connector.ModeInsert, connector.ModeAppend, connector.ModeMirror},
				Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete, connector.RemovedClear},
			},
			Open: func(context.Context, connector.Config, connector.Env) (connector.Destination, error) {
				if w.jobs != nil {
					return w.jobs, nil
				}
				if w.tool.noRead {
					return struct{ connector.Destination }{w.tool}, nil
				}
				return w.tool, nil
			},
		}},
	}
	maps.Copy(c.destinations, w.more)
	maps.Copy(c.sources, w.sources)
	return c
}

// engine opens the project as a process would and closes it when do returns.
func (w *world) engine(do func(*run.Engine) error) error {
	e, st, err := open(context.Background(), w.dir, w.connectors(), state.Ask)
	if err != nil {
		return err
	}
	return errors.Join(do(e), st.Close())
}

// run runs the sync and checks the accounts of the run, however it ended. Invariant 6.
func (w *world) run(o run.RunOptions) *run.Record {
	w.t.Helper()
	var rec *run.Record
	err := w.engine(func(e *run.Engine) (err error) {
		rec, err = e.Run(context.Background(), e.Project.Syncs["s"], o)
		return err
	})
	if err != nil {
		w.t.Fatalf("running: %v", err)
	}
	if why := unbalanced(rec.Counts); why != "" {
		w.t.Fatalf("run %s (%s, %v): %s: %+v", rec.ID, rec.Status, rec.Error, why, rec.Counts)
	}
	return rec
}

// crash runs the sync in a process that dies after the tool applied its n-th call and before it answered: the folder of state is
// left as it was at that moment. It reports whether the run came to that call.
func (w *world) crash(n int, o run.RunOptions) (died bool, err error) {
	live := filepath.Join(w.dir, ".upwell")
	e, st, err := open(context.Background(), w.dir, w.connectors(), state.Ask)
	if err != nil {
		return false, err
	}
	kept, err := os.MkdirTemp("", "upwell-proof-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(kept)) }()
	var copying error
	w.tool.lost = func(call int) error {
		if call < n {
			return nil
		}
		if !died {
			died, copying = true, os.CopyFS(kept, os.DirFS(live))
			if w.onDeath != nil {
				w.onDeath()
			}
		}
		return fault.New(fault.Internal, "what follows never happened")
	}
	// A request of another worker may be on its way whose intent is not in the state that was kept: a dead process sends none.
	w.tool.before = func(int) error {
		if died {
			return fault.New(fault.Internal, "the process is dead")
		}
		return nil
	}
	defer func() { w.tool.lost, w.tool.before = nil, nil }()
	_, err = e.Run(context.Background(), e.Project.Syncs["s"], o)
	if err = errors.Join(err, st.Close(), copying); err != nil || !died {
		return died, err
	}
	return true, errors.Join(os.RemoveAll(live), os.CopyFS(live, os.DirFS(kept)))
}
