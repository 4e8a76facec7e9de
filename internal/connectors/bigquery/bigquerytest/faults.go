package bigquerytest

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/grpc/codes"

	"github.com/upwelldata/upwell/internal/standin"
)

// Fault is something that goes wrong with requests of one kind.
type Fault struct {
	On    string `json:"on"`    // token | act | insert | job | cancel | results | table | tables | session | rows; "" = any
	Skip  int    `json:"skip"`  // so many pass first
	Times int    `json:"times"` // how often; 0 = once, -1 = for ever

	Status  int    `json:"status"`      // REST: an HTTP status
	Reason  string `json:"reason"`      // and the reason in it
	Message string `json:"message"`     // and its words, also those of Code
	Wait    string `json:"retry_after"` // and when to come again
	Cut     int    `json:"cut"`         // REST: the connection is cut after so many bytes of the answer's body
	Reset   bool   `json:"reset"`       // REST: the connection is cut at once
	Expire  bool   `json:"expire"`      // all tokens have expired just now

	Code  codes.Code `json:"code"`  // session, rows: the call ends with this code
	After int        `json:"after"` // rows: so many messages pass before Code
	Lose  int        `json:"lose"`  // rows: the last so many messages are missing from a stream that ends well
	Short bool       `json:"short"` // rows: a message counts more rows than it holds

	Fail string `json:"fail"` // insert: the job fails on the server's side for this reason

	// Hold, when set, is received from before the request is answered (insert: before the query runs); Arrived is closed before that.
	Hold    <-chan struct{} `json:"-"`
	Arrived chan<- struct{} `json:"-"`
}

// Inject adds a fault; the first with something left happens.
func (s *Server) Inject(f Fault) { s.faults.Add(f, f.On, f.Skip, f.Times) }

// ClearFaults ends all faults.
func (s *Server) ClearFaults() { s.faults.Clear() }

// draw counts a request and gives its fault.
func (s *Server) draw(kind string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests[kind]++
	f, first := s.faults.Draw(kind)
	if f == nil {
		return &Fault{}
	}
	if f.Expire {
		clear(s.tokens)
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

func faultOf(r *http.Request) *Fault {
	if f, ok := r.Context().Value(faultKey{}).(*Fault); ok {
		return f
	}
	return &Fault{}
}

// counted lets faults happen and writes refusals.
func (s *Server) counted(kind string, h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		defer s.asked.Done()
		f := s.draw(kind)
		weather := standin.Weather{Reset: f.Reset, Status: f.Status, RetryAfter: f.Wait, Cut: f.Cut}
		if kind != "insert" { // a query is held when it runs
			weather.Hold, weather.Arrived = f.Hold, f.Arrived
		}
		if w = weather.Befall(w, r, func() { refuse(w, &problem{f.Status, f.Reason, f.Message}) }); w == nil {
			return
		}
		err := h(w, r.WithContext(withFault(r, f)))
		var p *problem
		switch {
		case errors.As(err, &p):
			refuse(w, p)
		case err != nil:
			refuse(w, &problem{http.StatusBadRequest, "invalid", err.Error()})
		}
	})
}

func withFault(r *http.Request, f *Fault) context.Context {
	return context.WithValue(r.Context(), faultKey{}, f)
}
