package snowflaketest

import (
	"context"
	"net/http"
)

// Fault is something that goes wrong with requests of one kind.
type Fault struct {
	On    string `json:"on"`    // login | renew | query | result | chunk | abort | logout | oauth; "" = any
	Skip  int    `json:"skip"`  // so many pass first
	Times int    `json:"times"` // how often; 0 = once, -1 = for ever

	Code    string `json:"code"`    // query: the statement ends with this code of the server's
	State   string `json:"state"`   // and this SQLSTATE
	Message string `json:"message"` // and these words
	Status  int    `json:"status"`  // an HTTP status, without doing anything
	Expire  bool   `json:"expire"`  // the session's token has expired just now
	Queue   int    `json:"queue"`   // query: the warehouse resumes meanwhile: so many answers are "not ready"
	JSON    bool   `json:"json"`    // query: the answer is in JSON
	Rows    int    `json:"rows"`    // chunk: the last so many rows are missing from a stream that ends well
	Cut     int    `json:"cut"`     // the connection is cut after so many bytes of the answer's body
	Reset   bool   `json:"reset"`   // the connection is cut at once

	// Hold, when set, is received from before the statement runs (query) or the request is answered; Arrived is closed before
	// that, when the statement can be ended already.
	Hold    <-chan struct{} `json:"-"`
	Arrived chan<- struct{} `json:"-"`
}

type fault struct {
	Fault
	left int
}

// Inject adds a fault; the first with something left happens.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := f.Times
	if left == 0 {
		left = 1
	}
	s.faults = append(s.faults, &fault{f, left})
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (s *Server) nextFault(on string) *Fault {
	for _, f := range s.faults {
		switch {
		case f.left == 0, f.On != "" && f.On != on:
		case f.Skip > 0:
			f.Skip--
		default:
			if f.left > 0 {
				f.left--
			}
			return &f.Fault
		}
	}
	return &Fault{}
}

func (f *Fault) arrive() {
	if f.Arrived != nil {
		close(f.Arrived)
		f.Arrived = nil
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
		s.mu.Lock()
		s.stats.Requests[kind]++
		f := s.nextFault(kind)
		if f.Expire {
			if one := s.sessions[bearer(r)]; one != nil {
				one.expired = true
			}
		}
		s.mu.Unlock()
		if kind != "query" {
			f.arrive()
		}
		switch {
		case f.Reset:
			panic(http.ErrAbortHandler)
		case f.Status != 0:
			http.Error(w, http.StatusText(f.Status), f.Status)
			return
		case f.Hold != nil && kind != "query":
			select {
			case <-f.Hold:
			case <-r.Context().Done():
				return
			}
		}
		if f.Cut > 0 {
			w = &cutting{ResponseWriter: w, left: f.Cut}
		}
		handle(w, r.WithContext(context.WithValue(r.Context(), faultKey{}, f)))
	}
}

// cutting cuts the connection after so many bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	if len(b) < c.left {
		c.left -= len(b)
		return c.ResponseWriter.Write(b)
	}
	_, _ = c.ResponseWriter.Write(b[:c.left]) //nolint:errcheck // it is cut anyway
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
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
