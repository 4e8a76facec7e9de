package conformance

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/postgres"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/testdb"
)

// The kit for sources is tried on the PostgreSQL source, which has a network to be cut, and on ways to spoil it.

// spoiled is a good source that breaks one promise.
type spoiled struct {
	connector.Source
	bug  string
	busy *atomic.Bool
}

func spoiledConnector(bug string) connector.SourceConnector {
	c := postgres.Source()
	open := c.Open
	c.Open = func(ctx context.Context, cfg connector.Config, env connector.Env) (connector.Source, error) {
		s, err := open(ctx, cfg, env)
		if err != nil && bug == "does without its settings" {
			return spoiled{nothing{}, bug, nil}, nil
		}
		if err != nil {
			return nil, err
		}
		if bug == "leaks a goroutine" {
			go func() { <-make(chan struct{}) }()
		}
		return spoiled{s, bug, new(atomic.Bool)}, nil
	}
	if bug == "has no title" {
		c.Spec.Title = ""
	}
	return c
}

// nothing is a source that checks whatever it is told.
type nothing struct{ connector.Source }

func (nothing) Check(context.Context) error { return nil }
func (nothing) Close() error                { return nil }

func (s spoiled) Dialect() connector.Dialect {
	d := s.Source.Dialect()
	if s.bug == "forgets its quote" {
		d.Quote = 0
	}
	return d
}

func (s spoiled) Check(ctx context.Context) error { return s.spoil(s.Source.Check(ctx)) }

func (s spoiled) spoil(err error) error {
	if err == nil {
		return nil
	}
	f := *fault.As(err)
	switch {
	case s.bug == "takes a refused login for an outage" && f.Code == fault.SourceAuth:
		f.Code = fault.SourceUnreachable
	case s.bug == "takes an outage for a failed query" && f.Code == fault.SourceUnreachable:
		f.Code = fault.SourceQueryFailed
	case s.bug == "keeps the server's words to itself":
		f.Message = "the query failed"
	}
	return &f
}

func (s spoiled) Describe(ctx context.Context, q connector.Query) (*arrow.Schema, error) {
	if s.bug == "describes by running" {
		for range s.Source.Read(ctx, q) {
			break
		}
	}
	schema, err := s.Source.Describe(ctx, q)
	if err != nil {
		return nil, s.spoil(err)
	}
	if s.bug == "describes everything as text" {
		fields := schema.Fields()
		for i := range fields {
			fields[i] = row.FieldOf(fields[i].Name, row.Text)
		}
		schema = arrow.NewSchema(fields, nil)
	}
	return schema, nil
}

func (s spoiled) Read(ctx context.Context, q connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		ctx, q := s.query(ctx, q)
		switch s.bug {
		case "reads one at a time":
			if !s.busy.CompareAndSwap(false, true) {
				yield(nil, errors.New("the connection is busy"))
				return
			}
			defer s.busy.Store(false)
		case "never lets go of a connection":
			next, _ := iter.Pull2(s.Source.Read(context.WithoutCancel(ctx), q))
			for b, err, ok := next(); ok && yield(b, err); b, err, ok = next() { //nolint:revive // the condition does the work
			}
			return
		case "keeps all rows in memory":
			s.hoard(ctx, q, yield)
			return
		}
		for b, err := range s.Source.Read(ctx, q) {
			if err != nil {
				if err = s.failed(err); err == nil {
					return
				}
				yield(nil, err)
				return
			}
			if s.bug == "carries decimals through floats" {
				b = rebuilt(b, throughFloat)
			}
			if !yield(b, nil) {
				return
			}
			if s.bug == "ends after the first batch" {
				return
			}
		}
	}
}

// query spoils what is asked.
func (s spoiled) query(ctx context.Context, q connector.Query) (context.Context, connector.Query) {
	switch s.bug {
	case "does not hear the interruption":
		ctx = context.WithoutCancel(ctx)
	case "ignores parameters":
		q.Equal = nil
	case "splices parameters":
		for _, e := range q.Equal {
			if q.Where != "" {
				q.Where += " AND "
			}
			q.Where += fmt.Sprintf("%s::text = '%s'", s.Source.Dialect().Ident(e.Column), e.Value)
		}
		q.Equal = nil
	case "ignores the limit":
		q.Limit = 0
	case "ignores the columns asked":
		q.Columns = nil
	case "looks for tables elsewhere":
		if q.Table != "" {
			q.Table = "elsewhere." + q.Table
		}
	case "keeps the semicolon":
		if strings.Contains(q.SQL, ";") {
			q.SQL += "; -- "
		}
	case "fails without rows":
		if strings.Contains(q.SQL, "n > 3") {
			q.SQL = "SELECT 1/0"
		}
	}
	return ctx, q
}

// failed spoils how a read ends; nil ends it cleanly.
func (s spoiled) failed(err error) error {
	f := fault.As(err)
	switch {
	case s.bug == "ends cleanly after a cut" && (f.Code == fault.SourceIncomplete || f.Code == fault.SourceUnreachable):
		return nil
	case s.bug == "ends cleanly after a late failure" && f.Code == fault.SourceQueryFailed:
		return nil
	}
	return s.spoil(err)
}

func (s spoiled) hoard(ctx context.Context, q connector.Query, yield func(arrow.RecordBatch, error) bool) {
	var all []arrow.RecordBatch
	for b, err := range s.Source.Read(ctx, q) {
		if err != nil {
			yield(nil, err)
			return
		}
		all = append(all, rebuilt(b, unchanged))
	}
	for _, b := range all {
		if !yield(b, nil) {
			return
		}
	}
}

// rebuilt copies a batch, each value changed.
func rebuilt(b arrow.RecordBatch, change func(row.Value) row.Value) arrow.RecordBatch {
	out := row.NewBuilder(b.Schema())
	for i := range int(b.NumRows()) {
		var vals []row.Value
		for j, f := range b.Schema().Fields() {
			k, err := row.KindOf(f)
			if err != nil {
				panic(err)
			}
			vals = append(vals, change(row.At(b.Column(j), k, i)))
		}
		if err := out.Append(vals...); err != nil {
			panic(err)
		}
	}
	return out.Batch()
}

func unchanged(v row.Value) row.Value { return v }

func throughFloat(v row.Value) row.Value {
	if v.Kind() != row.Decimal {
		return v
	}
	return row.DecimalValue(fmt.Sprint(mustFloat(v.String())))
}

func mustFloat(s string) float64 {
	var f float64
	if _, err := fmt.Sscan(s, &f); err != nil {
		panic(err)
	}
	return f
}

func sourceHarness(bug string) SourceHarness {
	h := SourceHarness{
		Connector: spoiledConnector(bug),
		New: func(t testing.TB) SourceWorld {
			dsn := testdb.Postgres(t)
			u, err := url.Parse(dsn)
			if err != nil {
				t.Fatal(err)
			}
			c, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(context.Background())
			if _, err := c.Exec(t.Context(), "CREATE TABLE rows3 AS SELECT * FROM (VALUES (1, 'one'), (2, 'two'), (3, 'three')) v(id, name)"); err != nil {
				t.Fatal(err)
			}
			return SourceWorld{Table: "rows3", Address: u.Host, Settings: map[string]string{
				"host": u.Hostname(), "port": u.Port(), "user": u.User.Username(), "database": strings.TrimPrefix(u.Path, "/"), "sslmode": "disable",
			}}
		},
		Numbers: "SELECT g::bigint AS n FROM generate_series(1, %d) g",
		Broken:  "SELECT nonsense FROM nowhere_at_all", Words: `"nowhere_at_all" does not exist`,
		Late:    "SELECT 1 / (100000 - g) AS n FROM generate_series(1, 100000) g",
		Wrong:   map[string]string{"user": "kit_stranger", "password": "wrong-password-0815"},
		Nowhere: map[string]string{"port": "1"},
		Needs:   []string{"host"},
		Via:     func(host, port string) map[string]string { return map[string]string{"host": host, "port": port} },
		Types: []Type{
			{"9007199254740993", row.Int, "9007199254740993"},
			{"0.10", row.Decimal, "0.10"},
			{"9007199254740993.5", row.Decimal, "9007199254740993.5"},
			{"'x'::text", row.Text, "x"},
			{"'infinity'::date", row.Absent, ""},
			{"NULL::int", row.Int, "null"},
		},
	}
	return h
}

var sourceMutants = []struct{ bug, check string }{
	{"has no title", "spec: says what the connector is and what each setting means"},
	{"does without its settings", "spec: a setting that is needed and missing is named"},
	{"forgets its quote", "check: a good connection checks"},
	{"takes a refused login for an outage", "check: a wrong credential is refused as such"},
	{"takes an outage for a failed query", "check: a source out of reach is named as such"},
	{"carries decimals through floats", "types: values keep kind and content"},
	{"describes everything as text", "types: describe gives what read gives"},
	{"describes by running", "describe: does not run the query"},
	{"keeps the server's words to itself", "query: a refusal carries the server's words"},
	{"ends cleanly after a late failure", "query: a failure after rows is no end"},
	{"fails without rows", "query: an empty result ends without error"},
	{"ignores the limit", "query: columns, filter and limit"},
	{"ignores the columns asked", "query: columns, filter and limit"},
	{"ignores the columns asked", "query: names that need quotes"},
	{"ignores parameters", "query: values are bound, never spliced"},
	{"splices parameters", "query: values are bound, never spliced"},
	{"looks for tables elsewhere", "query: a table is read by name"},
	{"keeps the semicolon", "query: a semicolon or a comment at the end does no harm"},
	{"ends after the first batch", "read: many rows arrive exactly in little memory"},
	{"keeps all rows in memory", "read: many rows arrive exactly in little memory"},
	{"never lets go of a connection", "read: leaving early frees the connection"},
	{"does not hear the interruption", "read: a cancelled read is an error"},
	{"ends cleanly after a cut", "read: an answer that is cut is never complete"},
	{"reads one at a time", "hygiene: several goroutines may read"},
	{"leaks a goroutine", "hygiene: nothing runs on after close"},
}

func Test_a_source_that_keeps_every_promise_passes(t *testing.T) { Source(t, sourceHarness("")) }

func Test_each_promise_a_source_breaks_is_caught_by_the_check_of_that_name(t *testing.T) {
	patience := promptly
	promptly = 2 * time.Second
	defer func() { promptly = patience }()
	checks := map[string]sourceCheck{}
	for _, c := range sourceChecks() {
		checks[c.name] = c
	}
	caught := map[string]bool{}
	for _, m := range sourceMutants {
		caught[m.check] = true
		t.Run(m.bug+" - "+m.check, func(t *testing.T) {
			c, ok := checks[m.check]
			if !ok {
				t.Fatalf("there is no check %q", m.check)
			}
			h := sourceHarness(m.bug)
			r := record(t, func(t testing.TB) { c.try(t, &h) })
			if !r.Failed() {
				t.Errorf("the check did not notice (skipped: %v)", r.Skipped())
			}
			t.Log(r.text())
		})
	}
	for name := range checks {
		if !caught[name] {
			t.Errorf("no spoiled source is caught by %q", name)
		}
	}
}
