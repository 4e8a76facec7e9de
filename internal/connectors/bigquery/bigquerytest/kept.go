package bigquerytest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// keep is how many answers are kept; BigQuery keeps them for a day.
// https://docs.cloud.google.com/bigquery/docs/cached-results
const keep = 12

var errGone = errors.New("the answer is not kept any more")

// rows are the answer of a job, or of several that asked the same.
type rows struct {
	*warehousetest.Result
	session *warehousetest.Session
	mu      sync.RWMutex // held for reading while rows are taken
	gone    bool
	sent    sync.Map // messages by their first row, with Options.Remember
}

// slice takes n rows from a row on.
func (r *rows) slice(ctx context.Context, from, n int64) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		r.mu.RLock()
		defer r.mu.RUnlock()
		if r.gone {
			yield(nil, errGone)
			return
		}
		for b, err := range r.Slice(ctx, from, n) {
			if !yield(b, err) {
				return
			}
		}
	}
}

func (r *rows) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	r.session.Close()
}

// reuse takes the answer of the same query over, where it names no table.
// https://docs.cloud.google.com/bigquery/docs/cached-results
func (j *job) reuse(t *translated) bool {
	s := j.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, old := range s.kept {
		if len(t.names) == 0 && old.asked.sql == t.sql {
			s.kept = append(slices.Delete(s.kept, i, i+1), old)
			j.rows = old.rows
			return true
		}
	}
	return false
}

// retain keeps an answer and forgets the oldest.
func (s *Server) retain(j *job) {
	s.mu.Lock()
	s.kept = append(s.kept, j)
	var old *job
	if len(s.kept) > keep {
		old, s.kept = s.kept[0], s.kept[1:]
	}
	s.mu.Unlock()
	if old != nil {
		old.rows.forget()
	}
}
