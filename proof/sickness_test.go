package proof_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

// sickness is one way a destination can be ill, and what is expected of the run.
type sickness struct {
	name     string
	mode     string // upsert, unless said otherwise
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
	{name: "results about rows that were not sent", script: first(func(_ *receiver, w http.ResponseWriter, rows []hookRow) {
		w.Header().Set("Content-Type", "application/json")
		var out []string
		for i := range rows {
			out = append(out, fmt.Sprintf(`{"status":"delivered","idempotency_key":"somebody-elses-%d"}`, i))
		}
		fmt.Fprintf(w, `{"results":[%s]}`, strings.Join(out, ","))
	})},
	{name: "all results are about one row", script: first(func(_ *receiver, w http.ResponseWriter, rows []hookRow) {
		w.Header().Set("Content-Type", "application/json")
		one := fmt.Sprintf(`{"status":"delivered","idempotency_key":%q},`, rows[0].Idem)
		fmt.Fprintf(w, `{"results":[%s]}`, strings.TrimSuffix(strings.Repeat(one, len(rows)), ","))
	})},
	{name: "statuses nobody knows", script: first(func(_ *receiver, w http.ResponseWriter, rows []hookRow) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"results":[%s]}`, strings.TrimSuffix(strings.Repeat(`{"status":"done"},`, len(rows)), ","))
	})},
	{name: "results that are no list", script: first(func(_ *receiver, w http.ResponseWriter, _ []hookRow) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"results":"ok"}`)
	})},
	{name: "bytes of no alphabet", script: first(func(_ *receiver, w http.ResponseWriter, _ []hookRow) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte{0xff, 0xfe, 0x00, '{', 0x80, '}'})
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
	{name: "the answer to a creation is lost", mode: "insert", rows: 25, script: first(func(r *receiver, w http.ResponseWriter, rows []hookRow) {
		r.apply(rows)
		hijack(w)
	}), status: run.Partial, unknown: 25, sent: 25},
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
	{name: "a storm of 429 without a word", script: func(*receiver) func(int, http.ResponseWriter, []hookRow) bool {
		return func(call int, w http.ResponseWriter, _ []hookRow) bool {
			if call > 3 {
				return false
			}
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
	}},
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
