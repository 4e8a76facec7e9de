package proof_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
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

// sickness is one way a destination can be ill, and what is expected of the run.
type sickness struct {
	name     string
	script   func(*receiver) func(call int, w http.ResponseWriter, rows []hookRow) bool
	rows     int
	status   run.Status
	code     fault.Code // of the run's error
	rejected int64
	unknown  int64
	pending  int64
	calls    int // at most, 0 = any number
	sent     int // rows sent at most, 0 = any number
	atLeast  time.Duration
}

// first makes the first request go wrong.
func first(do func(r *receiver, w http.ResponseWriter, rows []hookRow)) func(*receiver) func(int, http.ResponseWriter, []hookRow) bool {
	return func(r *receiver) func(int, http.ResponseWriter, []hookRow) bool {
		return func(call int, w http.ResponseWriter, rows []hookRow) bool {
			if call > 1 {
				return false
			}
			do(r, w, rows)
			return true
		}
	}
}

func always(do func(r *receiver, w http.ResponseWriter, rows []hookRow)) func(*receiver) func(int, http.ResponseWriter, []hookRow) bool {
	return func(r *receiver) func(int, http.ResponseWriter, []hookRow) bool {
		return func(_ int, w http.ResponseWriter, rows []hookRow) bool {
			do(r, w, rows)
			return true
		}
	}
}

func status(code int, header ...string) func(*receiver, http.ResponseWriter, []hookRow) {
	return func(_ *receiver, w http.ResponseWriter, _ []hookRow) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// raw answers with bytes of the test's making on the connection itself.
func raw(do func(c net.Conn)) func(*receiver, http.ResponseWriter, []hookRow) {
	return func(_ *receiver, w http.ResponseWriter, _ []hookRow) {
		conn, _, err := w.(http.Hijacker).Hijack() //nolint:forcetypeassert // HTTP/1.1
		if err != nil {
			return
		}
		defer conn.Close()
		do(conn)
	}
}

// drip writes one byte at a time until the other side has had enough.
func drip(c net.Conn, text string) {
	for i := range len(text) {
		if _, err := c.Write([]byte{text[i]}); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond) // the sickness itself
	}
}

func poison(code int) func(*receiver) func(int, http.ResponseWriter, []hookRow) bool {
	return func(*receiver) func(int, http.ResponseWriter, []hookRow) bool {
		return func(_ int, w http.ResponseWriter, rows []hookRow) bool {
			for _, h := range rows {
				if h.id() == "13" {
					w.WriteHeader(code)
					return true
				}
			}
			return false
		}
	}
}

var sicknesses = []sickness{
	{name: "headers come a byte at a time", script: first(raw(func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\n"+strings.Repeat("X-Slow: loris\r\n", 100)) }))},
	{name: "the body comes a byte at a time", script: first(raw(func(c net.Conn) {
		drip(c, "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
	}))},
	{name: "accepts and never answers", script: first(raw(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))},
	{name: "reset after applying", script: first(func(r *receiver, w http.ResponseWriter, rows []hookRow) { r.apply(rows); hijack(w) })},
	{name: "closed after applying", script: first(func(r *receiver, w http.ResponseWriter, rows []hookRow) {
		r.apply(rows)
		raw(func(net.Conn) {})(r, w, rows)
	})},
	{name: "the answer is cut", script: first(func(r *receiver, w http.ResponseWriter, rows []hookRow) {
		r.apply(rows)
		raw(func(c net.Conn) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"results\":[{\"status\":\"deliv")
		})(r, w, rows)
	})},
	{name: "the answer is JSON cut short", script: first(func(_ *receiver, w http.ResponseWriter, _ []hookRow) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"results":[{"status":"delivered"},`)
	})},
	{name: "the answer is no HTTP", script: first(raw(func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-OpenSSH_9.2\r\n") }))},
	{name: "a page of a proxy with status 200", script: first(func(_ *receiver, w http.ResponseWriter, _ []hookRow) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>Sign in</title>")
	})},
	{name: "a page that calls itself JSON", script: first(func(_ *receiver, w http.ResponseWriter, _ []hookRow) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "<html><body>gateway</body></html>")
	})},
	{name: "a JSON answer that calls itself text", script: first(func(r *receiver, w http.ResponseWriter, rows []hookRow) {
		r.apply(rows)
		r.say(w, rows, nil)
		w.Header().Set("Content-Type", "text/plain")
	})},
	{name: "an empty 200 says all rows", script: always(func(r *receiver, w http.ResponseWriter, rows []hookRow) {
		r.apply(rows)
		r.mu.Lock()
		for _, h := range rows {
			r.said[h.id()] = true
		}
		r.mu.Unlock()
		w.WriteHeader(http.StatusOK)
	})},
	{name: "results are missing", script: first(func(r *receiver, w http.ResponseWriter, rows []hookRow) {
		r.apply(rows[:len(rows)/2])
		r.say(w, rows[:len(rows)/2], nil)
	})},
	{name: "results for more rows than were sent", script: first(func(_ *receiver, w http.ResponseWriter, rows []hookRow) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"results":[%s]}`, strings.TrimSuffix(strings.Repeat(`{"status":"delivered"},`, len(rows)+3), ","))
	})},
	{name: "results in another order, named by their keys", script: always(func(r *receiver, w http.ResponseWriter, rows []hookRow) {
		var out []string
		for i := len(rows) - 1; i >= 0; i-- {
			st := "delivered"
			if rows[i].id() == "13" {
				st = "rejected"
			}
			out = append(out, fmt.Sprintf(`{"status":%q,"code":"BAD","idempotency_key":%q}`, st, rows[i].Idem))
		}
		good := slices.DeleteFunc(slices.Clone(rows), func(h hookRow) bool { return h.id() == "13" })
		r.apply(good)
		r.mu.Lock()
		for _, h := range good {
			r.said[h.id()] = true
		}
		r.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"results":[%s]}`, strings.Join(out, ","))
	}), status: run.Partial, rejected: 1},
	{name: "a bad row sinks its batch with 400", script: poison(400), status: run.Partial, rejected: 1, calls: 3 + 2*5 + 1},
	{name: "a bad row sinks its batch with 413", script: poison(413), status: run.Partial, rejected: 1, calls: 3 + 2*5 + 1},
	{name: "a bad row sinks its batch with 422", script: poison(422), status: run.Partial, rejected: 1, calls: 3 + 2*5 + 1},
	{name: "a row that always makes the tool fail", script: poison(500), status: run.Partial, unknown: 1},
	{name: "the login is refused", script: always(status(401)), status: run.Failed, code: fault.DestAuth, pending: 60, calls: 8},
	{name: "permission is lost for everything", script: always(status(403)), rows: 1000, status: run.Failed, code: fault.DestForbidden, pending: 1000, calls: 20},
	{name: "the address is gone", script: always(status(404)), status: run.Failed, code: fault.DestConfig, pending: 60, calls: 8},
	{name: "every row is refused for one reason", rows: 1000, script: func(r *receiver) func(int, http.ResponseWriter, []hookRow) bool {
		return func(_ int, w http.ResponseWriter, rows []hookRow) bool {
			r.say(w, rows, func(hookRow) string { return "NO_RIGHT" })
			return true
		}
	}, status: run.Failed, code: fault.DestSystemic, sent: 200 + 12*25},
	{name: "429 with seconds", script: first(status(429, "Retry-After", "1")), atLeast: time.Second},
	{name: "429 with a date", script: first(func(_ *receiver, w http.ResponseWriter, _ []hookRow) {
		w.Header().Set("Retry-After", time.Now().Add(2*time.Second).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusTooManyRequests)
	}), atLeast: 900 * time.Millisecond},
	{name: "429 with a time in seconds since 1970", script: first(func(_ *receiver, w http.ResponseWriter, _ []hookRow) {
		w.Header().Set("X-RateLimit-Reset", fmt.Sprint(time.Now().Add(2*time.Second).Unix()))
		w.WriteHeader(http.StatusTooManyRequests)
	}), atLeast: 900 * time.Millisecond},
	{name: "429 without a word", script: first(status(429)), atLeast: 400 * time.Millisecond},
	{name: "503 with seconds", script: first(status(503, "Retry-After", "1")), atLeast: time.Second},
	{name: "500 once", script: first(status(500))},
	{name: "a bomb", script: first(func(_ *receiver, w http.ResponseWriter, _ []hookRow) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		z := gzip.NewWriter(w)
		zeros := make([]byte, 1<<20)
		for range 256 {
			if _, err := z.Write(zeros); err != nil {
				return
			}
		}
		_ = z.Close()
	})},
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
			w := hooked(t, r.server.URL, s.rows)
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
func hooked(t *testing.T, url string, rows int) *world {
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
    mode: upsert
    match: {Id: id}
    fields: {V: v}
`, url))
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
		w := hooked(t, r.server.URL, 60)
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
	w := hooked(t, server.URL, 60)
	rec := w.run(run.RunOptions{Wait: time.Second})
	if rec.Status != run.Failed || rec.Error.Code != fault.DestTLS || got > 0 {
		t.Errorf("%s %v, %d requests arrived", rec.Status, rec.Error, got)
	}
	t.Logf("self-signed certificate: %s, 0 requests arrived", rec.Error.Code)
}

// Row 26: a tool that is down for longer than the run waits leaves everything pending, and nothing is lost.
func Test_an_outage_longer_than_the_run_waits_loses_nothing(t *testing.T) {
	r := newReceiver(t)
	w := hooked(t, r.server.URL, 60)
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
