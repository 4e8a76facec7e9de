package salesforce_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/salesforce"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// org is a stand-in and a destination connected to it.
type org struct {
	*salesforcetest.Server
	connector.Destination
	t    *testing.T
	gate *gate
	dir  string
}

// gate notes what the connector told of limits.
type gate struct {
	mu      sync.Mutex
	entered int
	flying  int
	most    int
	fed     []connector.Feedback
}

func (g *gate) Enter(ctx context.Context, _ connector.Group) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.entered++
	g.flying++
	g.most = max(g.most, g.flying)
	return ctx.Err()
}

func (g *gate) Leave(_ connector.Group, fb connector.Feedback) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flying--
	g.fed = append(g.fed, fb)
}

func (g *gate) last() connector.Feedback {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.fed) == 0 {
		return connector.Feedback{}
	}
	return g.fed[len(g.fed)-1]
}

func start(t *testing.T, opts ...salesforcetest.Option) *org {
	t.Helper()
	s, err := salesforcetest.Start("", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	o := &org{Server: s, t: t, gate: &gate{}, dir: t.TempDir()}
	o.Destination = o.open(s.Settings())
	return o
}

// open makes another destination for the same stand-in.
func (o *org) open(settings map[string]string) connector.Destination {
	o.t.Helper()
	d, err := o.tryOpen(settings)
	if err != nil {
		o.t.Fatal(err)
	}
	return d
}

func (o *org) tryOpen(settings map[string]string) (connector.Destination, error) {
	o.t.Helper()
	secrets := map[string]bool{"client_secret": true, "refresh_token": true, "jwt.private_key": true}
	d, err := salesforce.Connector().Open(o.t.Context(), connector.NewConfig(settings, nil, secrets), connector.Env{StateDir: o.dir, Gate: o.gate, Name: "crm"})
	if err == nil {
		o.t.Cleanup(func() {
			if err := d.Close(); err != nil {
				o.t.Error(err)
			}
		})
	}
	return d, err
}

// with gives the stand-in's settings with changes; a value of "" takes a setting away.
func (o *org) with(pairs ...string) map[string]string {
	s := o.Settings()
	for i := 0; i < len(pairs); i += 2 {
		if s[pairs[i]] = pairs[i+1]; pairs[i+1] == "" {
			delete(s, pairs[i])
		}
	}
	return s
}

func (o *org) object(name string) connector.Object {
	o.t.Helper()
	list, err := o.Objects(o.t.Context(), []string{name})
	if err != nil || len(list) != 1 {
		o.t.Fatalf("describing %s: %v, %d objects", name, err, len(list))
	}
	return list[0]
}

// load is rows to write: match fields, fields, and one line of values per row, match first.
type load struct {
	object string
	op     connector.Op
	match  []string
	fields []string
	rows   [][]row.Value
	ids    []string
	skip   bool
}

func (o *org) batch(l load) (connector.Target, *row.Batch) {
	o.t.Helper()
	obj := o.object(l.object)
	b := row.NewBatch(l.match, l.fields, len(l.rows))
	for i, r := range l.rows {
		meta := row.Meta{Ordinal: uint64(i)}
		if l.ids != nil {
			meta.RemoteID = l.ids[i]
		}
		b.Add(meta, r[:len(l.match)], r[len(l.match):])
	}
	return connector.Target{Object: obj, Op: l.op, Match: l.match, Fields: l.fields, Sync: "test", RunID: "run", SkipExists: l.skip}, b
}

func (o *org) write(l load) (*connector.Outcomes, error) {
	o.t.Helper()
	to, b := o.batch(l)
	out := connector.NewOutcomes(b.Len())
	err := o.Write(o.t.Context(), to, b, out)
	return out, err
}

// mustWrite fails the test unless every row is delivered.
func (o *org) mustWrite(l load) *connector.Outcomes {
	o.t.Helper()
	out, err := o.write(l)
	if err != nil {
		o.t.Fatal(err)
	}
	for i := range out.Len() {
		if r := out.Result(i); r.Status != connector.Delivered || r.RemoteID == "" {
			o.t.Fatalf("row %d: %+v", i, r)
		}
	}
	return out
}

// accounts is an upsert of names by account number.
func accounts(numbers ...string) load {
	l := load{object: "Account", op: connector.OpUpsert, match: []string{"Account_Number__c"}, fields: []string{"Name"}}
	for _, n := range numbers {
		l.rows = append(l.rows, []row.Value{text(n), text("Account " + n)})
	}
	return l
}

func text(s string) row.Value { return row.TextValue(s) }
func dec(s string) row.Value  { return row.DecimalValue(s) }
func null() row.Value         { return row.NullValue() }
func absent() row.Value       { return row.Value{} }
func number(s string) any     { return json.Number(s) }
func at(sec int64) row.Value  { return row.InstantValue(sec, 0) }
func statuses(o *connector.Outcomes) string {
	var b strings.Builder
	for i := range o.Len() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(o.Result(i).Status.String())
	}
	return b.String()
}

// wantFault checks code, class and whether the request may have landed.
func wantFault(t *testing.T, err error, code fault.Code, class fault.Class, landed fault.Landed) *fault.Error {
	t.Helper()
	f := fault.As(err)
	if f == nil {
		t.Fatalf("no error, want %s", code)
	}
	if f.Code != code || f.GetClass() != class || f.Landed != landed {
		t.Fatalf("got %s (%s, landed %d): %v; want %s (%s, landed %d)", f.Code, f.GetClass(), f.Landed, f, code, class, landed)
	}
	return f
}
