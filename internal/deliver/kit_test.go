package deliver_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/ledger"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// tool is a scripted destination: it holds records by match and answers as the script says.
type tool struct {
	mu       sync.Mutex
	records  map[string]string
	calls    int
	sent     []int          // rows per call
	perKey   map[string]int // how often a key arrived
	inFlight int
	peak     int
	times    []time.Time
	script   func(call int, rows *row.Batch, out *connector.Outcomes) error
	check    func() error
	checks   int
	latency  time.Duration
	busy     map[string]int // value in flight -> call
	clashes  int            // values that were in two calls in flight
}

func newTool() *tool {
	return &tool{records: map[string]string{}, perKey: map[string]int{}, busy: map[string]int{}}
}

// meet notes the values of a call, and those that are in flight already; the result ends it.
func (t *tool) meet(call int, rows *row.Batch) (part func()) {
	var mine []string
	for i := range rows.Len() {
		v := rows.Values(i)[0].String()
		if other, ok := t.busy[v]; ok && other != call {
			t.clashes++
			continue
		}
		t.busy[v] = call
		mine = append(mine, v)
	}
	return func() {
		for _, v := range mine {
			delete(t.busy, v)
		}
	}
}

func (t *tool) Check(context.Context) (connector.Account, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checks++
	if t.check != nil {
		return connector.Account{}, t.check()
	}
	return connector.Account{ID: "a"}, nil
}

func (t *tool) Objects(context.Context, []string) ([]connector.Object, error) { return nil, nil }
func (t *tool) Close() error                                                  { return nil }

func (t *tool) Write(_ context.Context, to connector.Target, rows *row.Batch, out *connector.Outcomes) error {
	t.mu.Lock()
	t.calls++
	call := t.calls
	t.sent = append(t.sent, rows.Len())
	t.times = append(t.times, time.Now())
	t.inFlight++
	t.peak = max(t.peak, t.inFlight)
	for i := range rows.Len() {
		t.perKey[rows.Match(i)[0].String()]++
	}
	script, part := t.script, t.meet(call, rows)
	t.mu.Unlock()
	if t.latency > 0 {
		time.Sleep(t.latency) //nolint:forbidigo // fake time: the test runs in a synctest bubble
	}
	defer func() {
		t.mu.Lock()
		t.inFlight--
		part()
		t.mu.Unlock()
	}()
	if script != nil {
		if err := script(call, rows, out); err != nil {
			return err
		}
		t.apply(to, rows, out)
		return nil
	}
	out.DeliveredAll()
	t.apply(to, rows, out)
	return nil
}

func (t *tool) apply(to connector.Target, rows *row.Batch, out *connector.Outcomes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range rows.Len() {
		if out.Result(i).Status != connector.Delivered {
			continue
		}
		k := rows.Match(i)[0].String()
		if to.Op == connector.OpDelete {
			delete(t.records, k)
			continue
		}
		t.records[k] = rows.Values(i)[0].String()
	}
}

// readable adds reading back.
type readable struct{ *tool }

func (t readable) ReadBack(_ context.Context, _ connector.Object, _ []string, matches [][]row.Value, _ []string) ([]connector.Found, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]connector.Found, len(matches))
	for i, m := range matches {
		if _, ok := t.records[m[0].String()]; ok {
			out[i] = connector.Found{Exists: true, RemoteID: "id-" + m[0].String()}
		}
	}
	return out, nil
}

// session is a ledger that remembers.
type session struct {
	ledger.Session
	mu   sync.Mutex
	acks map[string]ledger.Ack
	fail error
}

func (s *session) Ack(_ context.Context, acks []ledger.Ack, _ bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	for _, a := range acks {
		s.acks[string(a.Entry.Key)] = a
	}
	return nil
}

// journal remembers intents and refusals.
type journal struct {
	mu       sync.Mutex
	next     int64
	open     map[int64]int
	deadline map[int64]time.Time
	refused  map[string]deliver.Refusal
	resolved int
	fail     error
}

func (j *journal) Intend(_ context.Context, in deliver.Intent) (int64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fail != nil {
		return 0, j.fail
	}
	j.next++
	j.open[j.next], j.deadline[j.next] = len(in.Rows), in.Deadline
	return j.next, nil
}

func (j *journal) IntendMany() (deliver.IntentRows, error) { return &intentRows{j: j}, nil }

type intentRows struct {
	j    *journal
	rows []deliver.IntentRow
}

func (i *intentRows) Add(r deliver.IntentRow) error {
	i.rows = append(i.rows, r)
	return nil
}

func (i *intentRows) Intend(ctx context.Context, in deliver.Intent) (int64, error) {
	in.Rows = i.rows
	return i.j.Intend(ctx, in)
}

func (i *intentRows) Discard() error { return nil }

func (j *journal) Extend(_ context.Context, id int64, deadline time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.deadline[id] = deadline
	return j.fail
}

func (j *journal) Settle(_ context.Context, id int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.open, id)
	return nil
}

func (j *journal) Refuse(_ context.Context, rows []deliver.Refusal) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range rows {
		j.refused[string(r.Key)] = r
	}
	return nil
}

func (j *journal) Resolve(_ context.Context, keys [][]byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.resolved += len(keys)
	return nil
}

func (j *journal) SaveJob(context.Context, int64, connector.Op, connector.Job, []byte) (int64, error) {
	return 1, nil
}
func (j *journal) CloseJob(context.Context, int64) error { return nil }

// bench is one delivery set up for a test.
type bench struct {
	tool    *tool
	dest    connector.Destination
	op      connector.Operation
	opName  connector.Op
	sync    *project.Sync
	limits  deliver.LimitOptions
	n       int
	items   []*plan.Item
	wait    time.Duration
	spec    connector.Spec
	session *session
	journal *journal
	tally   *deliver.Tally
	stop    chan struct{}
	held    string
	before  time.Time
}

func newBench(n int) *bench {
	t := newTool()
	b := &bench{
		tool: t, dest: t, opName: connector.OpUpsert, n: n, wait: 15 * time.Minute,
		op:      connector.Operation{MaxRows: 10, Concurrency: 4, Idempotent: true},
		sync:    &project.Sync{Name: "s", Mode: connector.ModeUpsert},
		session: &session{acks: map[string]ledger.Ack{}},
		journal: &journal{open: map[int64]int{}, deadline: map[int64]time.Time{}, refused: map[string]deliver.Refusal{}},
		tally:   &deliver.Tally{}, stop: make(chan struct{}), spec: connector.Spec{Type: "fake", Timeout: 30 * time.Second},
		limits: deliver.LimitOptions{Concurrency: 4},
	}
	for i := range n {
		b.items = append(b.items, item(i, fmt.Sprintf("v%d", i)))
	}
	return b
}

func item(i int, value string) *plan.Item {
	match := []row.Value{row.IntValue(int64(i))}
	values := []row.Value{row.TextValue(value)}
	key := row.AppendKey(nil, match...)
	return &plan.Item{
		Action: plan.Add, Op: connector.OpUpsert, Key: key, Match: match, Values: values, Fingerprint: uint64(i + 1), MayCreate: true,
		New: &ledger.Record{Key: key, Match: match, Values: values, Fingerprint: uint64(i + 1)},
	}
}

// run delivers and checks that every row is accounted for.
func (b *bench) run(t *testing.T) error {
	t.Helper()
	err := b.try(t)
	if got := b.tally.Settled(); got != int64(len(b.items)) {
		t.Errorf("%d of %d rows are accounted for (delivered %d skipped %d rejected %d unknown %d withheld %d pending %d)", got, len(b.items),
			b.tally.Delivered.Load(), b.tally.Skipped.Load(), b.tally.Rejected.Load(), b.tally.Unknown.Load(), b.tally.Withheld.Load(), b.tally.Pending.Load())
	}
	if n := b.tally.Delivered.Load() + b.tally.Skipped.Load(); err == nil && n != int64(len(b.session.acks)) {
		t.Errorf("delivered %d rows, the ledger has %d", n, len(b.session.acks))
	}
	return err
}

// try delivers.
func (b *bench) try(t *testing.T) error {
	t.Helper()
	return deliver.New(b.options()).Run(t.Context())
}

func (b *bench) options() deliver.Options {
	b.sync.Destination = "fake"
	for _, it := range b.items {
		if it.Action != plan.Remove {
			it.Op = b.opName
		}
	}
	return deliver.Options{
		Dest: b.dest, Spec: b.spec, Sync: b.sync, RunID: "r1", Generation: 1, Gate: deliver.NewLimiter(b.limits), Ledger: b.session, Journal: b.journal,
		Object: connector.Object{Name: "o", Ops: map[connector.Op]connector.Operation{b.opName: b.op, connector.OpDelete: b.op}, ReadBatch: 5},
		Shape: deliver.Shape{
			Fields: []string{"f"}, MatchFields: []string{"id"}, Kinds: []row.Kind{row.Text}, MatchKinds: []row.Kind{row.Int}, CreateOnly: []bool{false},
			Lookups: []*project.Lookup{nil},
		},
		Items: func(context.Context) iter.Seq2[*plan.Item, error] {
			return func(yield func(*plan.Item, error) bool) {
				for _, it := range b.items {
					if !yield(it, nil) {
						return
					}
				}
			}
		},
		Planned:  map[connector.Op]int64{b.opName: int64(b.n)},
		Withheld: func(*plan.Item) string { return b.held },
		Wait:     b.wait, Stop: b.stop, Tally: b.tally, NotBefore: b.before,
	}
}

// want checks the tally.
func (b *bench) want(t *testing.T, delivered, rejected, unknown, pending int64) {
	t.Helper()
	got := [4]int64{b.tally.Delivered.Load(), b.tally.Rejected.Load(), b.tally.Unknown.Load(), b.tally.Pending.Load()}
	if want := [4]int64{delivered, rejected, unknown, pending}; got != want {
		t.Errorf("delivered, rejected, unknown, pending = %v, want %v", got, want)
	}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("error is %v, want %s", err, code)
	}
}
