package proof_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/postgres"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
	"github.com/upwelldata/upwell/internal/testdb"
)

// cutProxy stands between the program and a server and ends the connection after so many bytes of the server's.
type cutProxy struct {
	listener net.Listener
	server   string
	after    int // -1 = never
	passed   int
	done     chan struct{}
}

func newCutProxy(t *testing.T, server string) *cutProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cutProxy{listener: l, server: server, after: -1, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.pass(conn)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-p.done
	})
	return p
}

// pass carries one connection; connections come one after the other.
func (p *cutProxy) pass(client net.Conn) {
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		_ = client.Close()
		return
	}
	back := make(chan struct{})
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
		close(back)
	}()
	var from io.Reader = server
	if p.after >= 0 {
		from = io.LimitReader(server, int64(max(0, p.after-p.passed)))
	}
	n, _ := io.Copy(client, from)
	p.passed += int(n)
	_ = client.Close()
	_ = server.Close()
	<-back
}

// Invariant 3. P5: an answer of the warehouse that is cut at any byte is never taken for a smaller model.
func Test_an_answer_cut_anywhere_removes_nothing(t *testing.T) {
	dsn := testdb.Postgres(t)
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), "CREATE TABLE m AS SELECT g AS id, 'value ' || g AS v FROM generate_series(1, 300) g"); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	proxy := newCutProxy(t, u.Host)
	u.Host = proxy.listener.Addr().String()
	w := newWorld(t, "mode: mirror\n    "+byID)
	w.sources = map[string]connector.SourceConnector{"postgres": postgres.Source()}
	t.Setenv("PROOF_DSN", u.String())
	write(t, w.dir, "upwell.yml", `version: 1
name: proof
sources: {wh: {type: postgres, dsn: "${env:PROOF_DSN}"}}
destinations: {tool: {type: tool}}
models: {m: {source: wh, table: m, key: id}}
syncs:
  s:
    model: m
    destination: tool
    object: Account
    mode: mirror
    guards: {max_removed: 100%, allow_empty: true}
    match: {Id: id}
    fields: {V: v}
`)
	w.ok()
	w.tool.took()
	proxy.passed = 0
	w.ok()
	whole := proxy.passed
	offsets := 60
	if long {
		offsets = whole
	}
	r := rand.New(rand.NewPCG(5, 2))
	failed := 0
	for n := range offsets {
		at := n
		if !long {
			at = r.IntN(whole)
		}
		proxy.after, proxy.passed = at, 0
		rec := w.run(run.RunOptions{})
		if sent := w.tool.took(); len(sent) > 0 {
			t.Fatalf("cut after byte %d of %d: %d rows are sent: %q", at, whole, len(sent), sent[:min(3, len(sent))])
		}
		if rec.Status == run.Failed {
			failed++
		}
	}
	proxy.after = -1
	w.silent()
	if len(w.tool.records) != 300 {
		t.Errorf("the tool holds %d of 300 records", len(w.tool.records))
	}
	t.Logf("answer of %d bytes cut at %d offsets: %d runs failed, 0 removals, 0 rows sent", whole, offsets, failed)
}

// Invariant 3, Invariant 4. P5: what a shrunken, empty, doubled or keyless read means.
func Test_a_bad_read_removes_nothing(t *testing.T) {
	fill := func(t *testing.T) *world {
		w := newWorld(t, "mode: mirror\n    "+byID)
		for i := range 200 {
			w.model.rows[i] = record{match: fmt.Sprint(i), v: "a", tier: "t"}
		}
		w.ok()
		w.tool.took()
		return w
	}
	nulls := func(n int) (out [][]row.Value) {
		for range n {
			out = append(out, []row.Value{row.NullValue(), row.TextValue("x"), row.TextValue("y"), row.NullValue()})
		}
		return out
	}
	for name, c := range map[string]struct {
		spoil  func(*world)
		status run.Status
	}{
		"it fails at its end":         {func(w *world) { w.model.fail = fault.Wrap(fault.SourceIncomplete, errors.New("cut"), "reading") }, run.Failed},
		"it is empty":                 {func(w *world) { clear(w.model.rows) }, run.Held},
		"it shrank by a half":         {func(w *world) { shrink(w, 100) }, run.Held},
		"keys of 15 rows turned null": {func(w *world) { shrink(w, 185); w.model.extra = nulls(15) }, run.Held},
		"15 keys are there twice": {func(w *world) {
			for i := range 15 {
				w.model.extra = append(w.model.extra, []row.Value{row.IntValue(int64(i)), row.TextValue("z"), row.TextValue("other"), row.NullValue()})
			}
		}, run.Partial},
	} {
		t.Run(name, func(t *testing.T) {
			w := fill(t)
			c.spoil(w)
			rec := w.run(run.RunOptions{})
			if rec.Status != c.status {
				t.Errorf("the run is %s: %v %+v", rec.Status, rec.Error, rec.Counts)
			}
			if sent := w.tool.took(); len(sent) > 0 {
				t.Errorf("%q is sent", sent)
			}
			if len(w.tool.records) != 200 {
				t.Errorf("the tool holds %d of 200 records", len(w.tool.records))
			}
			t.Logf("%s: %s, %d withheld, %d invalid, 0 removals", name, rec.Status, rec.Counts.Withheld, rec.Counts.Invalid)
		})
	}
}

func shrink(w *world, to int) {
	for i := to; i < 200; i++ {
		delete(w.model.rows, i)
	}
}

// Row 57: a key whose type changes keeps its identity; nothing is deleted and added again, and people are told.
func Test_a_key_that_changes_its_type_is_the_same_key(t *testing.T) {
	w := newWorld(t, "mode: mirror\n    "+byMail)
	for i := range 50 {
		w.model.rows[i] = record{match: fmt.Sprintf("m%d", i), v: "a", tier: "t"}
	}
	w.ok()
	w.tool.took()
	w.model.textKey = true
	rec := w.run(run.RunOptions{})
	if sent := w.tool.took(); len(sent) > 0 {
		t.Errorf("%d rows are sent: %q", len(sent), sent[:min(3, len(sent))])
	}
	if rec.Counts.Planned.Remove+rec.Counts.Planned.Add > 0 {
		t.Errorf("%+v", rec.Counts)
	}
	if !slices.ContainsFunc(rec.Warnings, func(s string) bool { return strings.Contains(s, "key") }) {
		t.Errorf("nobody is told: %q", rec.Warnings)
	}
	t.Logf("key type int -> text: %s, 0 removals, 0 adds, told: %q", rec.Status, rec.Warnings)
}

// A model's tests decide before anything is sent; a test that cannot run has not passed.
func Test_a_model_that_fails_its_tests_is_not_sent(t *testing.T) {
	for name, c := range map[string]struct {
		rows   string
		status run.Status
	}{
		"a test fails":       {"(1, 'a'), (2, NULL)", run.Held},
		"a test cannot run":  {"", run.Failed},
		"every test passes":  {"(1, 'a'), (2, 'b')", run.Succeeded},
		"another fails late": {"(1, 'a'), (1, 'b')", run.Held},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := testdb.Postgres(t)
			db, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close(t.Context())
			test := "{name: whole, query: \"select * from {{ model }} where v is null\"}"
			rows := c.rows
			if rows == "" {
				rows, test = "(1, 'a')", "{name: broken, query: \"select * from no_such_table\"}"
			}
			if _, err := db.Exec(t.Context(), "CREATE TABLE m (id int, v text); INSERT INTO m VALUES "+rows); err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, "mode: mirror\n    "+byID)
			w.sources = map[string]connector.SourceConnector{"postgres": postgres.Source()}
			t.Setenv("PROOF_DSN", dsn)
			write(t, w.dir, "upwell.yml", `version: 1
name: proof
sources: {wh: {type: postgres, dsn: "${env:PROOF_DSN}"}}
destinations: {tool: {type: tool}}
models: {m: {source: wh, table: m, key: id, tests: [{unique: [id]}, {sql: `+test+`}]}}
syncs: {s: {model: m, destination: tool, object: Account, mode: mirror, match: {Id: id}, fields: {V: v}}}
`)
			rec := w.run(run.RunOptions{})
			sent := w.tool.took()
			if rec.Status != c.status || (len(sent) > 0) != (c.status == run.Succeeded) {
				t.Errorf("%s %v, sent %q", rec.Status, rec.Error, sent)
			}
			t.Logf("%s: %s, %d rows sent", name, rec.Status, len(sent))
		})
	}
}
