package proof_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// sentRow is one row of a request as the oracle reads it. V is 0 for a delete.
type sentRow struct {
	ID   int
	V    int
	Idem string
}

// heard is a row as it came, with its operation.
type heard struct {
	op string
	sentRow
}

// sick is what happens to a request instead of a plain answer.
type sick string

const (
	well      sick = ""
	throttled sick = "429"
	down      sick = "503"
	someRetry sick = "retry" // some rows are put off, the others are applied
	resets    sick = "reset" // applied, then the connection is reset
	truncated sick = "truncated"
	html      sick = "html" // 200 with a page of a proxy; not applied
	slow      sick = "slow" // applied late, also when nobody waits for the answer any more
)

// oracle is a tool that keeps, for every key, what it was sent and what it acknowledged. Its invariants are checked as requests
// arrive and by the proof at the end.
type oracle struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	has      map[int]int       // records: id -> version
	got      map[[2]int32]bool // id and version received
	last     map[int]int       // id -> version received last, 0 = a removal
	lastIn   map[int]int       // id -> epoch it was received last
	durable  map[int]int       // what the ledger held durably after the last kill
	doubtful map[int]bool      // ids a dead process was to remove, until they are heard of again
	fault    func(rows []sentRow) sick
	slowFor  time.Duration
	onSent   func(n int) // called when the n-th write request has been applied, before it is answered
	applied  int
	history  []heard // with keep
	keep     bool
	rows     int // received
	again    int // received with a version received before
	faulted  int // rows of requests that were answered badly
	requests int
	zombies  int // applied after another process had begun
	broken   []string
	epoch    int            // grows with every kill
	runs     map[string]int // epoch in which a run was first heard of
	arrived  chan struct{}  // signalled at every write request
	inFlight sync.WaitGroup
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	o := &oracle{
		t: t, has: map[int]int{}, got: map[[2]int32]bool{}, last: map[int]int{}, lastIn: map[int]int{}, durable: map[int]int{}, doubtful: map[int]bool{}, runs: map[string]int{},
		fault: func([]sentRow) sick { return well }, arrived: make(chan struct{}, 1),
	}
	o.server = httptest.NewServer(o)
	t.Cleanup(o.server.Close)
	return o
}

func (o *oracle) url() string { return o.server.URL }

// seeded makes 5 % of the requests go wrong, each in one of seven ways, by a seed.
func seeded(seed uint64) func([]sentRow) sick {
	r := rand.New(rand.NewPCG(seed, 1))
	kinds := []sick{throttled, down, someRetry, resets, truncated, html, slow}
	return func([]sentRow) sick {
		if r.IntN(20) > 0 {
			return well
		}
		return kinds[r.IntN(len(kinds))]
	}
}

func (o *oracle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/check" {
		w.WriteHeader(http.StatusOK)
		return
	}
	body, err := io.ReadAll(r.Body)
	var req struct {
		RunID     string `json:"run_id"`
		Operation string
		Rows      []sentRow
	}
	if err != nil || json.Unmarshal(body, &req) != nil {
		return // a process died while it was sending
	}
	o.inFlight.Add(1)
	defer o.inFlight.Done()
	what, epoch, wait := o.receive(req.RunID, req.Operation, req.Rows)
	select {
	case o.arrived <- struct{}{}:
	default:
	}
	if wait > 0 {
		time.Sleep(wait) // the tool is slow; nothing is awaited here
	}
	statuses := make([]string, len(req.Rows))
	for i := range statuses {
		statuses[i] = `{"status":"delivered"}`
		if what == someRetry && i%7 == 3 {
			statuses[i] = `{"status":"retry","message":"locked"}`
		}
	}
	if what != throttled && what != down && what != html {
		o.apply(req.Operation, req.Rows, epoch, statuses)
	}
	if o.onSent != nil {
		o.mu.Lock()
		o.applied++
		n := o.applied
		o.mu.Unlock()
		o.onSent(n)
	}
	answer := `{"results":[` + strings.Join(statuses, ",") + `]}`
	w.Header().Set("Content-Type", "application/json")
	switch what {
	case throttled:
		w.Header().Set("Retry-After", "0.05")
		w.Header().Set("Retry-After-Ms", "50")
		w.WriteHeader(http.StatusTooManyRequests)
	case down:
		w.Header().Set("Retry-After-Ms", "50")
		w.WriteHeader(http.StatusServiceUnavailable)
	case html:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><body>Please log in</body></html>")
	case truncated:
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		fmt.Fprint(w, answer[:len(answer)/2])
		panic(http.ErrAbortHandler)
	case resets:
		hijack(w)
	default:
		fmt.Fprint(w, answer)
	}
}

// hijack ends the connection with a reset.
func hijack(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack() //nolint:forcetypeassert // HTTP/1.1
	if err != nil {
		return
	}
	_ = conn.(*net.TCPConn).SetLinger(0) //nolint:forcetypeassert // the connection is being thrown away
	_ = conn.Close()
}

// receive records what was sent and decides what happens to it.
func (o *oracle) receive(run, op string, rows []sentRow) (what sick, epoch int, wait time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	began, known := o.runs[run]
	if !known {
		began, o.runs[run] = o.epoch, o.epoch
	}
	late := began < o.epoch // its process is dead; the request left before that, and before anything was found durable
	o.requests++
	what = o.fault(rows)
	if what != well {
		o.faulted += len(rows)
	}
	if what == slow {
		wait = o.slowFor
	}
	for _, r := range rows {
		o.rows++
		if o.keep {
			o.history = append(o.history, heard{op, r})
		}
		if op == "delete" {
			if v, ok := o.durable[r.ID]; ok && v == 0 && !late {
				o.breaks("the removal of %d was durable and is sent again", r.ID)
			}
			r.V = 0
		} else if o.durable[r.ID] == r.V && !late {
			o.breaks("%d = %d was acknowledged durably and is sent again", r.ID, r.V)
		}
		if !late {
			delete(o.durable, r.ID)
			delete(o.doubtful, r.ID)
		}
		sent := [2]int32{int32(r.ID), int32(r.V)}
		if o.got[sent] {
			o.again++
		}
		o.got[sent] = true
		o.last[r.ID], o.lastIn[r.ID] = r.V, o.epoch
	}
	return what, o.epoch, wait
}

func (o *oracle) breaks(format string, args ...any) {
	if len(o.broken) < 10 {
		o.broken = append(o.broken, fmt.Sprintf(format, args...))
	}
}

func (o *oracle) apply(op string, rows []sentRow, epoch int, statuses []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if epoch != o.epoch {
		o.zombies += len(rows)
	}
	for i, r := range rows {
		if strings.Contains(statuses[i], "retry") {
			continue
		}
		if op == "delete" {
			delete(o.has, r.ID)
			continue
		}
		if r.V == 0 {
			if _, ok := o.has[r.ID]; !ok {
				o.breaks("a record %d is made without a value", r.ID)
			}
			continue
		}
		o.has[r.ID] = r.V
	}
}

// wrong compares what the tool holds with a model of n rows at a version.
func (o *oracle) wrong(n, version int) (lost, stale, surplus int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id := range n {
		want := valueAt(id, version)
		have, ok := o.has[id]
		switch {
		case want == 0 && ok:
			surplus++
		case want != 0 && !ok:
			lost++
		case want != 0 && have != want:
			stale++
		}
	}
	return lost, stale, surplus
}
