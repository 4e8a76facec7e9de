package snowflaketest

import (
	"context"
	"net/http"

	"github.com/upwelldata/upwell/internal/standin"
)

// Fault is something that goes wrong with requests of one kind.
type Fault struct {
	On    string `json:"on"`    // login | renew | query | result | chunk | abort | logout | oauth; "" = any
	Skip  int    `json:"skip"`  // so many pass first
	Times int    `json:"times"` // how often; 0 = once, -1 = for ever

	Code    string `json:"code"`        // query: the statement ends with this code of the server's
	State   string `json:"state"`       // and this SQLSTATE
	Message string `json:"message"`     // and these words
	Status  int    `json:"status"`      // an HTTP status, without doing anything
	Wait    string `json:"retry_after"` // and when to come again
	Expire  bool   `json:"expire"`      // the session's token has expired just now
	Queue   int    `json:"queue"`       // query: the warehouse resumes meanwhile: so many answers are "not ready"
	JSON    bool   `json:"json"`        // query: the answer is in JSON
	Rows    int    `json:"rows"`        // chunk: the last so many rows are missing from a stream that ends well
	Cut     int    `json:"cut"`         // the connection is cut after so many bytes of the answer's body
	Reset   bool   `json:"reset"`       // the connection is cut at once

	// Hold, when set, is received from before the statement runs (query) or the request is answered; Arrived is closed before
	// that, when the statement can be ended already.
	Hold    <-chan struct{} `json:"-"`
	Arrived chan<- struct{} `json:"-"`
}

// Inject adds a fault; the first with something left happens.
func (s *Server) Inject(f Fault) { s.faults.Add(f, f.On, f.Skip, f.Times) }

// ClearFaults ends all faults.
func (s *Server) ClearFaults() { s.faults.Clear() }

// draw counts a request and gives its fault.
func (s *Server) draw(kind string, r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests[kind]++
	f, first := s.faults.Draw(kind)
	if f == nil {
		return &Fault{}
	}
	if one := s.sessions[bearer(r)]; f.Expire && one != nil {
		one.expired = true
	}
	if !first {
		f.Arrived = nil
	}
	return f
}

func (f *Fault) arrive() {
	if f.Arrived != nil {
		close(f.Arrived)
	}
}

type faultKey struct{}

// faultOf gives the fault that was drawn for a request.
func faultOf(r *http.Request) *Fault {
	if f, ok := r.Context().Value(faultKey{}).(*Fault); ok {
		return f
	}
	return &Fault{}
}

// counted counts requests of a kind and lets their faults happen.
func (s *Server) counted(kind string, handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f := s.draw(kind, r)
		weather := standin.Weather{Reset: f.Reset, Status: f.Status, RetryAfter: f.Wait, Cut: f.Cut}
		if kind != "query" { // a statement is held when it runs
			weather.Hold, weather.Arrived = f.Hold, f.Arrived
		}
		if w = weather.Befall(w, r, func() { http.Error(w, http.StatusText(f.Status), f.Status) }); w == nil {
			return
		}
		handle(w, r.WithContext(context.WithValue(r.Context(), faultKey{}, f)))
	}
}

// Stats is what happened since the start.
type Stats struct {
	Requests   map[string]int `json:"requests"` // by kind, as in Fault.On
	Logins     []Login        `json:"logins"`
	Statements []Statement    `json:"statements"`
}

// Login is one session's beginning.
type Login struct {
	Authenticator string         `json:"authenticator"`
	Parameters    map[string]any `json:"parameters"`
	Environment   map[string]any `json:"environment"`
}

// Statement is one that was sent.
type Statement struct {
	SQL          string `json:"sql"`
	DescribeOnly bool   `json:"describe_only"`
	Repeated     bool   `json:"repeated"` // a request that came again
	Session      int64  `json:"session"`
}

// Stats tells what happened.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Stats{Requests: map[string]int{}, Logins: append([]Login(nil), s.stats.Logins...), Statements: append([]Statement(nil), s.stats.Statements...)}
	for k, n := range s.stats.Requests {
		out.Requests[k] = n
	}
	return out
}

// Sessions counts the sessions that are open.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.masters)
}
