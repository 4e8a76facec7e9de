package databrickstest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/upwelldata/upwell/internal/standin"
)

// faults is what goes wrong next. Under the server's lock.
type faults struct {
	expire    int          // downloads whose link is over
	lost      map[int]bool // chunks the storage does not have
	unlinked  map[int]bool // chunks the API gives no link to
	between   int          // downloads that end between two messages
	within    int          // downloads whose connection breaks in the middle
	kill      int          // reads that somebody cancels
	truncated bool
	late      bool  // information_schema does not know what was made
	miscount  int64 // added to every result's number of rows
}

// failure is an answer to requests whose path holds a part.
type failure struct {
	status       int
	header, body string // of Retry-After
}

func (s *Server) fault(set func(*faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(&s.faults)
}

// ExpireTokens ends all tokens that were issued, as after an hour.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.tokens {
		s.tokens[t] = time.Time{}
	}
}

// ExpireLinks ends the links of the next downloads, as after 15 minutes.
func (s *Server) ExpireLinks(downloads int) { s.fault(func(f *faults) { f.expire = downloads }) }

// LoseChunk takes a chunk out of the storage: its link is good and leads nowhere.
func (s *Server) LoseChunk(n int) { s.fault(func(f *faults) { f.lost = map[int]bool{n: true} }) }

// Unlink makes the API answer without a link to a chunk.
func (s *Server) Unlink(n int) { s.fault(func(f *faults) { f.unlinked = map[int]bool{n: true} }) }

// CutBetween ends the next downloads before their last Arrow message: for HTTP they are whole.
func (s *Server) CutBetween(downloads int) { s.fault(func(f *faults) { f.between = downloads }) }

// CutWithin breaks the connection in the middle of the next downloads.
func (s *Server) CutWithin(downloads int) { s.fault(func(f *faults) { f.within = downloads }) }

// Kill cancels the next reads at the server, as an administrator would.
func (s *Server) Kill(reads int) { s.fault(func(f *faults) { f.kill = reads }) }

// Truncate makes every result from now on look cut off at its largest size.
func (s *Server) Truncate() { s.fault(func(f *faults) { f.truncated = true }) }

// Miscount makes every manifest from now on count so many rows too much.
func (s *Server) Miscount(rows int64) { s.fault(func(f *faults) { f.miscount = rows }) }

// Lag makes information_schema come late: tables that are there are not in it. It was seen to be behind:
// https://github.com/databricks/dbt-databricks/pull/799.
func (s *Server) Lag() { s.fault(func(f *faults) { f.late = true }) }

// Suspend stops the warehouse. The next statement starts it, and is looked at so often before it runs.
func (s *Server) Suspend(looks int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped, s.warming = true, looks
}

// Fail answers the next requests whose path holds a part with a status, and Retry-After if it is not "".
func (s *Server) Fail(part string, status, times int, retryAfter, body string) {
	s.failures.Add(failure{status, retryAfter, body}, part, 0, times)
}

// Refuse makes the next statements that hold a text fail with a message of the server's.
func (s *Server) Refuse(part, message string, times int) {
	s.refusals.Add(message, part, 0, times)
}

// Conflict makes the next statements that hold a text lose against another writer of the same table
// (https://docs.databricks.com/aws/en/error-messages/delta-concurrent-append-error-class).
func (s *Server) Conflict(part string, times int) {
	s.Refuse(part, "[DELTA_CONCURRENT_APPEND.ROW_LEVEL_CHANGES] Transaction conflict detected. A concurrent UPDATE added data to table. SQLSTATE: 2D521", times)
}

func (s *Server) refused(sql string) error {
	if message, _ := s.refusals.DrawIn(sql); message != nil {
		return said(*message)
	}
	return nil
}

// said is an error in the vendor's words.
type said string

func (s said) Error() string { return string(s) }

// faulty answers requests that Fail chose.
func (s *Server) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, _ := s.failures.DrawIn(r.URL.Path)
		if f == nil {
			next.ServeHTTP(w, r)
			return
		}
		standin.Weather{Status: f.status, RetryAfter: f.header}.Befall(w, r, func() {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(f.status)
			fmt.Fprint(w, f.body) //nolint:gosec // G705: what a test said, which no browser shows
		})
	})
}

func (s *Server) cutBetween() (cut bool) {
	s.fault(func(f *faults) {
		if cut = f.between > 0; cut {
			f.between--
		}
	})
	return cut
}

// send answers with a file, or with half of it.
func (s *Server) send(w http.ResponseWriter, b []byte) {
	cut := false
	s.fault(func(f *faults) {
		if cut = f.within > 0; cut {
			f.within--
		}
	})
	w.Header().Set("Content-Type", "binary/octet-stream")
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	w.WriteHeader(http.StatusOK)
	if !cut {
		_, _ = w.Write(b) //nolint:errcheck // the client has gone away
		return
	}
	_, _ = w.Write(b[:len(b)/2]) //nolint:errcheck // the client has gone away
	control := http.NewResponseController(w)
	_ = control.Flush() //nolint:errcheck // it is about to be cut anyway
	if c, _, err := control.Hijack(); err == nil {
		_ = c.Close() //nolint:errcheck // cut
	}
}
