package bigquerytest

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/grpc/codes"
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

// draw counts a request and gives its fault.
func (s *Server) draw(kind string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests[kind]++
	for _, f := range s.faults {
		switch {
		case f.left == 0, f.On != "" && f.On != kind:
		case f.Skip > 0:
			f.Skip--
		default:
			if f.left > 0 {
				f.left--
			}
			if f.Expire {
				clear(s.tokens)
			}
			one := f.Fault
			f.Arrived = nil
			return &one
		}
	}
	return &Fault{}
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
		switch {
		case f.Reset:
			panic(http.ErrAbortHandler)
		case f.Status != 0:
			if f.Wait != "" {
				w.Header().Set("Retry-After", f.Wait)
			}
			refuse(w, &problem{f.Status, f.Reason, f.Message})
			return
		case f.Hold != nil && kind != "insert":
			f.arrive()
			select {
			case <-f.Hold:
			case <-r.Context().Done():
				return
			}
		}
		if f.Cut > 0 {
			w = &cutting{ResponseWriter: w, left: f.Cut}
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

func withFault(r *http.Request, f *Fault) context.Context {
	return context.WithValue(r.Context(), faultKey{}, f)
}
