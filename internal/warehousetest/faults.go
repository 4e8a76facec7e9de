package warehousetest

import (
	"net/http"
	"strings"
	"sync"
)

// Faults are what goes wrong with the requests to a stand-in. F is one fault in the stand-in's own words. The zero value is fair
// weather; methods may be called from several goroutines.
type Faults[F any] struct {
	mu   sync.Mutex
	list []*pending[F]
}

type pending[F any] struct {
	fault      F
	on         string
	skip, left int
	drawn      bool
}

// Add adds a fault of requests on something, "" being any. So many pass first; then it happens times times, 0 being once and -1 for
// ever.
func (q *Faults[F]) Add(f F, on string, skip, times int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if times == 0 {
		times = 1
	}
	q.list = append(q.list, &pending[F]{fault: f, on: on, skip: skip, left: times})
}

// Clear ends all faults.
func (q *Faults[F]) Clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = nil
}

// Draw gives a copy of the fault that happens to a request of a kind, the first with something left, and whether it happens for the
// first time. nil is none.
func (q *Faults[F]) Draw(kind string) (f *F, first bool) {
	return q.draw(func(on string) bool { return on == kind })
}

// DrawIn is Draw for faults on a part of a text: a path, a statement.
func (q *Faults[F]) DrawIn(text string) (f *F, first bool) {
	return q.draw(func(on string) bool { return strings.Contains(text, on) })
}

func (q *Faults[F]) draw(hit func(on string) bool) (*F, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.list {
		switch {
		case p.left == 0, p.on != "" && !hit(p.on):
		case p.skip > 0:
			p.skip--
		default:
			if p.left > 0 {
				p.left--
			}
			f, first := p.fault, !p.drawn
			p.drawn = true
			return &f, first
		}
	}
	return nil, false
}

// Weather is what may befall a request over HTTP, whoever's it is.
type Weather struct {
	Reset      bool   // the connection is cut at once
	Status     int    // the answer, without doing anything
	RetryAfter string // and when to come again
	Cut        int    // the connection is cut after so many bytes of the answer's body
	Hold       <-chan struct{}
	Arrived    chan<- struct{} // closed before Hold is received from
}

// Befall lets the weather happen. It gives where to answer the request, or nil when it is over; refuse answers with Status.
func (x Weather) Befall(w http.ResponseWriter, r *http.Request, refuse func()) http.ResponseWriter {
	if x.Arrived != nil {
		close(x.Arrived)
	}
	switch {
	case x.Reset:
		panic(http.ErrAbortHandler)
	case x.Status != 0:
		if x.RetryAfter != "" {
			w.Header().Set("Retry-After", x.RetryAfter)
		}
		refuse()
		return nil
	case x.Hold != nil:
		select {
		case <-x.Hold:
		case <-r.Context().Done():
			return nil
		}
	}
	if x.Cut > 0 {
		return &cutting{ResponseWriter: w, left: x.Cut}
	}
	return w
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
