package conformance

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

func weatherChecks() []check {
	var list []check
	add := func(name string, run func(*stand)) {
		list = append(list, check{name: "weather: " + name, run: func(s *stand) {
			switch {
			case s.h.HTTP == nil:
				s.Skip("the tool is not spoken to by HTTP")
			case s.way == nil:
				s.Skip(onlyWithStandIn)
			}
			run(s)
		}})
	}
	add("429 with Retry-After waits as long as told", func(s *stand) {
		f := s.storm(weather{status: 429, header: map[string]string{"Retry-After": "7"}}, fault.LandedNo, fault.ClassThrottled)
		if f.RetryAfter != 7*time.Second {
			s.Errorf("the tool said 7 s, the fault says %s", f.RetryAfter)
		}
	})
	add("429 without Retry-After is throttled", func(s *stand) { s.storm(weather{status: 429}, fault.LandedNo, fault.ClassThrottled) })
	add("a temporary error is transient and may have landed", func(s *stand) {
		for _, status := range []int{500, 502, 504} {
			s.storm(weather{status: status}, fault.LandedMaybe, fault.ClassTransient)
		}
		s.storm(weather{status: 503}, fault.LandedMaybe, fault.ClassTransient, fault.ClassThrottled)
	})
	add("401 in the middle of a run refreshes once or is an auth fault", expires)
	add("a lost answer may have landed and can be repeated", losesAnswer)
	add("an answer that does not come is left, and may have landed", silence)
	add("an answer cut short is no success", func(s *stand) { s.storm(weather{half: true}, fault.LandedMaybe, fault.ClassTransient) })
	add("a page of a proxy is no success", func(s *stand) {
		page := weather{status: 200, header: map[string]string{"Content-Type": "text/html; charset=utf-8"}, body: []byte("<!DOCTYPE html><html><body>Please sign in</body></html>")}
		s.storm(page, fault.LandedMaybe, fault.ClassTransient)
	})
	add("JSON that ends too early is no success", func(s *stand) {
		s.storm(weather{rewrite: func(b []byte) []byte {
			if len(b) < 2 {
				return []byte(`{"results":[{"status":"deli`)
			}
			return b[:len(b)-2]
		}}, fault.LandedMaybe, fault.ClassTransient)
	})
	add("an empty answer is no success", func(s *stand) {
		if s.h.HTTP.Silent {
			s.Skip("the tool's success has no words")
		}
		s.storm(weather{rewrite: func([]byte) []byte { return nil }}, fault.LandedMaybe, fault.ClassTransient)
	})
	add("an answer that speaks of fewer rows leaves the others unknown", fewer)
	add("an answer that speaks of more rows is noticed", more)
	add("an answer that swells when unpacked is refused", swells)
	add("a redirect is not followed and no credential leaves", redirected)
	return list
}

// storm writes two rows into the weather and holds the fault to the classes allowed. Nothing may be reported delivered, and
// nothing is repeated: that is the engine's.
func (s *stand) storm(bad weather, landed fault.Landed, classes ...fault.Class) *fault.Error {
	s.Helper()
	field, a, _ := s.some()
	n := len(s.world.Records())
	to, b := s.batch(s.creating(), []Record{s.record(n, Record{field: a}), s.record(n+1, Record{field: a})})
	before := s.writes()
	w := s.way.brew(bad)
	out := connector.NewOutcomes(2)
	err := s.dest.Write(s.Context(), to, b, out)
	s.way.clear()
	s.hear(err)
	s.hearOutcomes(out)
	if w.met == 0 {
		s.Fatal("the write made no request that writes")
	}
	if made := s.writes() - before; made != 1 {
		s.Errorf("%d requests were made; the engine repeats, not the connector", made)
	}
	for i := range 2 {
		if r := out.Result(i); r.Status == connector.Delivered || r.Status == connector.Skipped || r.Status == connector.Rejected {
			s.Errorf("row %d is reported %+v", i, r)
		}
	}
	f := fault.As(err)
	if f == nil {
		s.Fatal("the write reports no error")
	}
	ok := false
	for _, c := range classes {
		ok = ok || f.GetClass() == c
	}
	if !ok || f.Landed != landed {
		s.Errorf("got %v of class %s (landed %d); want class %v (landed %d)", err, f.GetClass(), f.Landed, classes, landed)
	}
	return f
}

func expires(s *stand) {
	field, a, _ := s.some()
	s.write(s.creating(), s.record(0, Record{field: a}))
	for _, times := range []int{1, -1} {
		before := s.writes()
		s.way.brew(weather{status: http.StatusUnauthorized, times: times, body: []byte(`[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`), header: map[string]string{"Content-Type": "application/json"}})
		n := len(s.world.Records())
		out, err := s.try(s.creating(), s.record(n, Record{field: a}))
		s.way.clear()
		made := s.writes() - before
		switch f := fault.As(err); {
		case err == nil && times == 1:
			if made != 2 || out.Result(0).Status != connector.Delivered {
				s.Errorf("after one 401: %d requests, %+v", made, out.Result(0))
			}
		case err == nil || f.GetClass() != fault.ClassAuth || f.Landed != fault.LandedNo || out.Result(0).Status == connector.Delivered:
			s.Errorf("got %v, %+v; want class auth, not landed", err, out.Result(0))
		case made > 2:
			s.Errorf("a refused login was tried %d times", made)
		}
	}
}

func losesAnswer(s *stand) {
	s.storm(weather{lost: true}, fault.LandedMaybe, fault.ClassTransient)
	op := s.creating()
	if !s.object.Ops[op].Idempotent && s.object.Ops[op].Dedupes == 0 {
		return
	}
	field, a, _ := s.some()
	records := []Record{s.record(0, Record{field: a}), s.record(1, Record{field: a})}
	for i, r := range s.settle(op, records...) {
		if r.Status != connector.Delivered && r.Status != connector.Skipped {
			s.Errorf("row %d, sent again: %+v", i, r)
		}
	}
	s.holds(records...)
}

// silence is a tool that is slow beyond all patience: the call is broken off while it is under way, as by Ctrl-C or at the end of a
// run's time.
func silence(s *stand) {
	field, a, _ := s.some()
	to, b := s.batch(s.creating(), []Record{s.record(0, Record{field: a}), s.record(1, Record{field: a})})
	ctx, stop := context.WithCancel(s.Context())
	defer stop()
	w := s.way.brew(weather{silent: make(chan struct{})})
	out := connector.NewOutcomes(2)
	done := make(chan error, 1)
	go func() { done <- s.dest.Write(ctx, to, b, out) }()
	patience := time.NewTimer(promptly)
	defer patience.Stop()
	select {
	case <-w.silent:
	case <-patience.C:
		s.Fatal("the write made no request that writes")
	}
	stop()
	select {
	case err := <-done:
		s.way.clear()
		s.hear(err)
		if f := fault.As(err); f == nil || f.GetClass() != fault.ClassCancelled || f.Landed != fault.LandedMaybe {
			s.Errorf("got %v; want class cancelled, may have landed", err)
		}
		for i := range 2 {
			if r := out.Result(i); r.Status != connector.Unknown {
				s.Errorf("row %d of a call that was broken off is %+v", i, r)
			}
		}
	case <-patience.C:
		s.Fatalf("the call was broken off, and goes on after %s", promptly)
	}
}

func fewer(s *stand) {
	if s.h.HTTP.Shorter == nil {
		s.Skip("the tool's answers name no rows")
	}
	out, err := s.rewritten(s.h.HTTP.Shorter)
	if out.Result(2).Status == connector.Delivered || err == nil && out.Marked(2) {
		s.Errorf("the answer was silent about the last row, and it is %+v, %v", out.Result(2), err)
	}
}

func more(s *stand) {
	if s.h.HTTP.Longer == nil {
		s.Skip("the tool's answers name no rows")
	}
	out, err := s.rewritten(s.h.HTTP.Longer)
	if err == nil && out.Extra() == 0 {
		s.Errorf("the answer spoke of a row too many, and nothing tells: %+v", out)
	}
}

func (s *stand) rewritten(change func([]byte) []byte) (*connector.Outcomes, error) {
	s.Helper()
	to, b := s.batch(s.creating(), s.three())
	w := s.way.brew(weather{rewrite: change})
	out := connector.NewOutcomes(b.Len())
	err := s.dest.Write(s.Context(), to, b, out)
	s.way.clear()
	s.hear(err)
	if w.met != 1 {
		s.Fatalf("%d answers were changed", w.met)
	}
	return out, err
}

// swellsTo is what the body unpacks to, and swellsIn how much may be allocated on the way.
const (
	swellsTo = 128 << 20
	swellsIn = 64 << 20
)

func swells(s *stand) {
	body := bomb()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.storm(weather{status: 200, header: map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"}, body: body}, fault.LandedMaybe, fault.ClassTransient)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > swellsIn {
		s.Errorf("%d MiB were allocated for an answer of %d KiB", used>>20, len(body)>>10)
	}
}

func redirected(s *stand) {
	var mu sync.Mutex
	var seen []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method+" Authorization: "+r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusOK)
	}))
	defer other.Close()
	for _, status := range []int{301, 302, 307, 308} {
		f := s.storm(weather{status: status, header: map[string]string{"Location": other.URL + "/elsewhere"}}, fault.LandedNo, fault.ClassConfig)
		if f.Code != fault.DestRedirect {
			s.Errorf("status %d: %v; want DESTINATION_REDIRECT", status, f)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) > 0 {
		s.Errorf("the other host was called: %v", seen)
	}
}
