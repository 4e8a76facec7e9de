package proof_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/webhook"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

// hookRow is a row as the webhook receives it.
type hookRow struct {
	Key    map[string]json.Number `json:"key"`
	Fields map[string]*string     `json:"fields"`
	Idem   string                 `json:"idempotency_key"`
}

// receiver is an endpoint whose answers are scripted, request by request.
type receiver struct {
	mu      sync.Mutex
	server  *httptest.Server
	records map[string]string
	said    map[string]bool // rows it answered for with delivered
	calls   int
	rows    int
	script  func(call int, w http.ResponseWriter, rows []hookRow) bool // true = it has answered
	headers []http.Header
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{records: map[string]string{}, said: map[string]bool{}}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodHead {
		return
	}
	body, err := io.ReadAll(req.Body)
	var in struct {
		Operation string
		Rows      []hookRow
	}
	if err != nil || json.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.calls++
	call := r.calls
	r.rows += len(in.Rows)
	r.headers = append(r.headers, req.Header)
	script := r.script
	r.mu.Unlock()
	if script != nil && script(call, w, in.Rows) {
		return
	}
	r.apply(in.Rows)
	r.say(w, in.Rows, nil)
}

func (h hookRow) id() string { return h.Key["Id"].String() }

func (r *receiver) apply(rows []hookRow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range rows {
		if v := h.Fields["V"]; v != nil {
			r.records[h.id()] = *v
		}
	}
}

// say answers a result for every row: delivered, unless refuse names a code for it.
func (r *receiver) say(w http.ResponseWriter, rows []hookRow, refuse func(hookRow) string) {
	r.mu.Lock()
	var out []string
	for _, h := range rows {
		if refuse != nil && refuse(h) != "" {
			out = append(out, fmt.Sprintf(`{"status":"rejected","code":%q,"message":"no"}`, refuse(h)))
			continue
		}
		r.said[h.id()] = true
		out = append(out, `{"status":"delivered"}`)
	}
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"results":[%s]}`, strings.Join(out, ","))
}

// Rows 26 to 50 of the fault table, over a real connection: whatever the tool does, only what it accepted counts, every row is
// accounted for, and when it is well again it holds the model.
func Test_sick_destinations(t *testing.T) {
	for _, s := range sicknesses {
		t.Run(s.name, func(t *testing.T) {
			r := newReceiver(t)
			if s.rows == 0 {
				s.rows = 60
			}
			if s.status == "" {
				s.status = run.Succeeded
			}
			w := hooked(t, r.server.URL, s.rows, cmp.Or(s.mode, "upsert"))
			r.script = s.script(r)
			began := time.Now()
			rec := w.run(run.RunOptions{Wait: 30 * time.Second})
			took := time.Since(began)
			c := rec.Counts
			if rec.Status != s.status || s.code != "" && (rec.Error == nil || rec.Error.Code != s.code) {
				t.Fatalf("the run is %s: %v %+v", rec.Status, rec.Error, c)
			}
			if s.code == "" && (c.Rejected != s.rejected || c.Unknown != s.unknown || c.Pending != s.pending) || s.pending > 0 && c.Pending != s.pending {
				t.Errorf("counts %+v", c)
			}
			if c.Delivered > int64(len(r.said)) {
				t.Errorf("%d rows count as delivered, the tool accepted %d", c.Delivered, len(r.said))
			}
			if s.calls > 0 && r.calls > s.calls || s.sent > 0 && r.rows > s.sent {
				t.Errorf("%d calls with %d rows, at most %d calls or %d rows are fine", r.calls, r.rows, s.calls, s.sent)
			}
			if took < s.atLeast {
				t.Errorf("the run took %s, the tool asked to wait for %s", took, s.atLeast)
			}
			if took > 15*time.Second {
				t.Errorf("the run took %s", took)
			}
			r.script = nil
			if s.mode == "insert" { // what may have been created is for a person to look at; `upwell retry` is that person's word
				sent := r.rows
				if again := w.run(run.RunOptions{Wait: time.Second}); again.Counts.Unknown+again.Counts.Waiting != s.unknown || r.rows != sent {
					t.Errorf("%d rows of unknown creation were sent again: %+v", r.rows-sent, again.Counts)
				}
				return
			}
			w.retry()
			w.ok()
			for id, m := range w.model.rows {
				if got := r.records[fmt.Sprint(id)]; got != m.v {
					t.Errorf("when the tool is well it holds %d = %q, the model says %q", id, got, m.v)
				}
			}
			calls := r.calls
			w.ok()
			if r.calls != calls {
				t.Errorf("a further run made %d calls", r.calls-calls)
			}
			t.Logf("%s: %s, delivered %d rejected %d unknown %d pending %d; healed: the tool holds the model", s.name, rec.Status, c.Delivered, c.Rejected, c.Unknown, c.Pending)
		})
	}
}

// hooked is a world whose rows go to a real webhook.
func hooked(t *testing.T, url string, rows int, mode string) *world {
	t.Helper()
	w := newWorld(t, "mode: upsert\n    "+byID)
	write(t, w.dir, "upwell.yml", fmt.Sprintf(`version: 1
name: proof
sources: {wh: {type: memory}}
destinations: {hook: {type: webhook, url: %q, allow_private: true, timeout: 300ms, batch: {max_rows: 25}, concurrency: 4, auth: {type: bearer, token: "${env:PROOF_TOKEN}"}}}
models: {m: {source: wh, table: t, key: id}}
syncs:
  s:
    model: m
    destination: hook
    object: Account
    mode: %s
    match: {Id: id}
    fields: {V: v}
`, url, mode))
	t.Setenv("PROOF_TOKEN", "canary-token-of-the-proof")
	w.more = map[string]connector.DestinationConnector{"webhook": webhook.Connector()}
	for i := range rows {
		w.model.rows[i] = record{match: "m", v: fmt.Sprintf("v%d", i)}
	}
	return w
}

func (w *world) retry() {
	w.t.Helper()
	if err := w.engine(func(e *run.Engine) error {
		_, err := e.Store.MakeDue(w.t.Context(), "s")
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
}

// Row 44: a redirect is not followed, and the credential is seen nowhere else.
func Test_credentials_do_not_follow_a_redirect(t *testing.T) {
	stolen := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen++ }))
	defer other.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		r := newReceiver(t)
		w := hooked(t, r.server.URL, 60, "upsert")
		r.script = always(status(code, "Location", other.URL))(r)
		rec := w.run(run.RunOptions{Wait: time.Second})
		if rec.Status != run.Failed || rec.Error.Code != fault.DestRedirect || rec.Counts.Pending != 60 {
			t.Errorf("%d: %s %v %+v", code, rec.Status, rec.Error, rec.Counts)
		}
	}
	if stolen > 0 {
		t.Errorf("%d requests followed a redirect", stolen)
	}
	t.Logf("5 kinds of redirect to another host: 0 requests followed")
}

// Row 45: an endpoint that cannot prove who it is gets no byte of a request.
func Test_an_untrusted_endpoint_gets_nothing(t *testing.T) {
	got := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got++ }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	w := hooked(t, server.URL, 60, "upsert")
	rec := w.run(run.RunOptions{Wait: time.Second})
	if rec.Status != run.Failed || rec.Error.Code != fault.DestTLS || got > 0 {
		t.Errorf("%s %v, %d requests arrived", rec.Status, rec.Error, got)
	}
	t.Logf("self-signed certificate: %s, 0 requests arrived", rec.Error.Code)
}

// Row 26: a tool that is down for longer than the run waits leaves everything pending, and nothing is lost.
func Test_an_outage_longer_than_the_run_waits_loses_nothing(t *testing.T) {
	r := newReceiver(t)
	w := hooked(t, r.server.URL, 60, "upsert")
	r.script = always(status(502))(r)
	rec := w.run(run.RunOptions{Wait: 1500 * time.Millisecond})
	c := rec.Counts
	if rec.Status != run.Failed || c.Pending+c.Unknown != 60 {
		t.Fatalf("%s %v %+v", rec.Status, rec.Error, c)
	}
	for id, m := range w.model.rows {
		m.v = "newer"
		w.model.rows[id] = m
	}
	r.script = nil
	w.retry()
	w.ok()
	for id := range w.model.rows {
		if r.records[fmt.Sprint(id)] != "newer" {
			t.Fatalf("%d is %q", id, r.records[fmt.Sprint(id)])
		}
	}
	t.Logf("down for longer than the budget: pending %d, unknown %d, then all 60 delivered with the newest value", c.Pending, c.Unknown)
}
