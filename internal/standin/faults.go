// Package standin is what stand-ins of tools and warehouses share: faults that are drawn as asked for, the weather of a request, and the
// addresses under /_sandbox/. A stand-in says in its own words what can go wrong.
package standin

import (
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
	return q.draw(func(p *pending[F]) bool { return p.on == "" || p.on == kind })
}

// DrawIn is Draw for faults on a part of a text: a path, a statement.
func (q *Faults[F]) DrawIn(text string) (f *F, first bool) {
	return q.draw(func(p *pending[F]) bool { return strings.Contains(text, p.on) })
}

// DrawIf is Draw for faults that say by themselves what they happen to.
func (q *Faults[F]) DrawIf(hit func(f *F) bool) (f *F, first bool) {
	return q.draw(func(p *pending[F]) bool { return hit(&p.fault) })
}

func (q *Faults[F]) draw(hit func(*pending[F]) bool) (*F, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.list {
		switch {
		case p.left == 0, !hit(p):
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
