package webhooktest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/upwelldata/upwell/internal/standin"
)

// Fault is something that goes wrong with requests.
type Fault struct {
	Skip  int `json:"skip"`  // so many requests pass first
	Times int `json:"times"` // how often; 0 = once, -1 = for ever

	Status     int               `json:"status"` // answer without doing anything
	Body       string            `json:"body"`
	Headers    map[string]string `json:"headers"`
	HTML       bool              `json:"html"`        // a proxy's page, with Status or 200
	Redirect   string            `json:"redirect"`    // a Location, with Status or 302
	RetryAfter string            `json:"retry_after"` // on the answer
	Delay      Duration          `json:"delay"`       // before anything else

	ResetBefore     bool  `json:"reset_before"`      // cut the connection, do nothing
	ResetAfterApply bool  `json:"reset_after_apply"` // apply the rows, then cut the connection
	Truncate        int   `json:"truncate"`          // apply, announce the whole answer, send only so many bytes
	DropResults     int   `json:"drop_results"`      // apply, leave out the last results
	ExtraResults    int   `json:"extra_results"`     // apply, repeat the last result
	Reverse         bool  `json:"reverse"`           // apply, answer the results in reverse order
	Bomb            int64 `json:"bomb"`              // apply, answer so many compressed zeros

	// Hold, when set, is received from before anything else happens; Arrived is sent to before that.
	Arrived chan<- struct{} `json:"-"`
	Hold    <-chan struct{} `json:"-"`
}

// RowFault is something that goes wrong with single rows.
type RowFault struct {
	Field  string `json:"field"`  // a field or key field; picks rows where it has the value Equals, as text; empty = any row
	Equals string `json:"equals"` //
	Times  int    `json:"times"`  // 0 = once, -1 = for ever

	Status  string `json:"status"` // rejected | retry; or an HTTP status ("422", "500") for the whole request, which is then not applied
	Code    string `json:"code"`
	Message string `json:"message"`
	At      string `json:"at"` // the field named in the result
}

// Duration is a time.Duration written as "150ms" in JSON.
type Duration = standin.Duration

// Inject adds a fault; the first with something left happens.
func (s *Server) Inject(f Fault) { s.faults.Add(f, "", f.Skip, f.Times) }

// InjectRow adds a fault of rows.
func (s *Server) InjectRow(f RowFault) { s.rows.Add(f, "", 0, f.Times) }

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.faults.Clear()
	s.rows.Clear()
}

func (s *Server) nextFault() *Fault {
	if f, _ := s.faults.Draw(""); f != nil {
		return f
	}
	return &Fault{}
}

// rowFault finds the fault of a row, if any.
func (s *Server) rowFault(r *incomingRow) *RowFault {
	f, _ := s.rows.DrawIf(func(f *RowFault) bool {
		if f.Field == "" {
			return true
		}
		v, ok := r.Fields[f.Field]
		if !ok {
			v, ok = r.Key[f.Field]
		}
		return ok && fmt.Sprint(v) == f.Equals
	})
	return f
}

// before waits as told; false means the connection is to be cut now.
func (f *Fault) before(r *http.Request) bool {
	standin.Wait(r.Context(), f.Arrived, f.Hold, f.Delay)
	return !f.ResetBefore
}

// replace answers in place of the server, where the fault says so.
func (f *Fault) replace(w http.ResponseWriter) bool {
	status := func(or int) int {
		if f.Status != 0 {
			return f.Status
		}
		return or
	}
	switch {
	case f.HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status(http.StatusOK))
		write(w, []byte(standin.Page))
	case f.Redirect != "":
		w.Header().Set("Location", f.Redirect)
		w.WriteHeader(status(http.StatusFound))
	case f.Status != 0:
		if w.Header().Get("Content-Type") == "" && f.Body != "" {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(f.Status)
		write(w, []byte(f.Body))
	default:
		return false
	}
	return true
}

// distort answers the applied request as the fault says; false means as usual.
func (f *Fault) distort(w http.ResponseWriter, body []byte) bool {
	switch {
	case f.ResetAfterApply:
		cut(w)
	case f.Truncate > 0 && len(body) > f.Truncate:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		write(w, body[:f.Truncate])
		_ = http.NewResponseController(w).Flush() //nolint:errcheck // the connection is about to be cut
		panic(http.ErrAbortHandler)
	case f.Bomb > 0:
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		z := gzip.NewWriter(w)
		_, _ = io.CopyN(z, zeros{}, f.Bomb) //nolint:errcheck // the client is expected to leave
		_ = z.Close()                       //nolint:errcheck // the client is expected to leave
	default:
		return false
	}
	return true
}

// reshape changes the list of results.
func (f *Fault) reshape(list []result) []result {
	list = list[:max(0, len(list)-f.DropResults)]
	for range f.ExtraResults {
		list = append(list, list[len(list)-1])
	}
	if f.Reverse {
		for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
			list[i], list[j] = list[j], list[i]
		}
	}
	return list
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// cut ends the connection without an answer, as a reset.
func cut(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) //nolint:errcheck // the connection ends either way
	}
	_ = c.Close() //nolint:errcheck // the connection ends either way
}

func write(w io.Writer, b []byte) {
	_, _ = w.Write(b) //nolint:errcheck // a client that left is its own affair
}

func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	d.DisallowUnknownFields()
	return d.Decode(v)
}
