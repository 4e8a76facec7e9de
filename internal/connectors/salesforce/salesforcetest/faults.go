package salesforcetest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Fault is something that goes wrong with requests.
type Fault struct {
	// Match picks requests: a part of "METHOD /path?query". Empty picks every request, token calls too.
	Match string `json:"match"`
	Skip  int    `json:"skip"`  // so many matching requests pass first
	Times int    `json:"times"` // how often; 0 = once, -1 = for ever

	Status     int               `json:"status"` // answer without doing anything
	Body       string            `json:"body"`
	Headers    map[string]string `json:"headers"`
	HTML       bool              `json:"html"`        // the answer is a page of a proxy, status as given or 200
	Delay      Duration          `json:"delay"`       // wait before anything else
	RetryAfter string            `json:"retry_after"` // a Retry-After header on the answer

	ResetBefore     bool `json:"reset_before"`      // cut the connection, do nothing
	ResetAfterApply bool `json:"reset_after_apply"` // do what is asked, then cut the connection
	Truncate        int  `json:"truncate"`          // send only so many bytes of the answer
	DropResults     int  `json:"drop_results"`      // leave out the last entries of a list
	ExtraResults    int  `json:"extra_results"`     // repeat the last entry of a list

	// Arrived, when set, is sent to when a request met the fault.
	Arrived chan<- struct{} `json:"-"`
	// Hold, when set, is received from before anything else happens: a test decides when the request goes on.
	Hold <-chan struct{} `json:"-"`
}

// RowFault is something that goes wrong with single records, in collections and in bulk jobs alike.
type RowFault struct {
	Object string `json:"object"` // empty = any
	Field  string `json:"field"`  // picks records whose field has the value Equals, as written or as stored; empty = any
	Equals string `json:"equals"`
	Skip   int    `json:"skip"`
	Times  int    `json:"times"` // 0 = once, -1 = for ever

	Code    string   `json:"code"` // "UNABLE_TO_LOCK_ROW"
	Message string   `json:"message"`
	Fields  []string `json:"fields"`
}

// Duration is a time.Duration written as "150ms" in JSON.
type Duration time.Duration

// UnmarshalText reads "150ms".
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// LockRow is the refusal of a record somebody else holds for more than ten seconds; wrapped as a trigger passes it on.
func LockRow(object, field, equals string, times int, wrapped bool) RowFault {
	f := RowFault{
		Object: object, Field: field, Equals: equals, Times: times,
		Code: "UNABLE_TO_LOCK_ROW", Message: "unable to obtain exclusive access to this record or 1 records: 0015g0000000001AAA",
	}
	if wrapped {
		f.Code = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
		f.Message = "HealthTrigger: execution of AfterUpdate caused by: System.DmlException: Update failed. First exception on row 0; first error: UNABLE_TO_LOCK_ROW, " + f.Message + ": []"
	}
	return f
}

type fault struct {
	Fault
	left int
}

type rowFault struct {
	RowFault
	left int
}

// Inject adds a fault; the first that matches a request happens.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &fault{f, times(f.Times)})
}

// InjectRow adds a fault of records.
func (s *Server) InjectRow(f RowFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, &rowFault{f, times(f.Times)})
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.rows = nil, nil
}

func times(n int) int {
	if n == 0 {
		return 1
	}
	return n
}

func (s *Server) nextFault(r *http.Request) *fault {
	line := r.Method + " " + r.URL.RequestURI()
	for _, f := range s.faults {
		if f.left == 0 || !strings.Contains(line, f.Match) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.left > 0 {
			f.left--
		}
		return f
	}
	return nil
}

// injected tells the error a record is to get, if any.
func (s *Server) injected(t *table, d *draft, r *record, id string) *itemError {
	for _, f := range s.rows {
		if f.left == 0 || f.Object != "" && !strings.EqualFold(f.Object, t.object.Name) || !f.picks(t, d, r, id) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.left > 0 {
			f.left--
		}
		e := &itemError{f.Code, f.Message, f.Fields}
		if e.Fields == nil {
			e.Fields = []string{}
		}
		return e
	}
	return nil
}

func (f *rowFault) picks(t *table, d *draft, r *record, id string) bool {
	if f.Field == "" {
		return true
	}
	if strings.EqualFold(f.Field, "Id") {
		return id == f.Equals
	}
	i, _, ok := t.field(f.Field)
	if !ok {
		return false
	}
	v, ok := d.value(i)
	if !ok && r != nil {
		v = r.vals[i]
	}
	return text(v) == f.Equals
}

// before waits as told; false means the connection is to be cut now.
func (f *fault) before(r *http.Request) bool {
	if f.Arrived != nil {
		select {
		case f.Arrived <- struct{}{}:
		case <-r.Context().Done():
		}
	}
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-r.Context().Done():
		}
	}
	if f.Delay > 0 {
		timer := time.NewTimer(time.Duration(f.Delay))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	return !f.ResetBefore
}

const page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Company proxy</h1></body></html>"

// replace answers in place of the server, where the fault says so.
func (f *fault) replace(a *answer) bool {
	for k, v := range f.Headers {
		a.header.Set(k, v)
	}
	if f.RetryAfter != "" {
		a.header.Set("Retry-After", f.RetryAfter)
	}
	switch {
	case f.HTML:
		a.header.Set("Content-Type", "text/html; charset=utf-8")
		a.body.WriteString(page)
		if a.status = f.Status; f.Status == 0 {
			a.status = http.StatusOK
		}
	case f.Status != 0:
		if a.header.Get("Content-Type") == "" {
			a.header.Set("Content-Type", "application/json;charset=UTF-8")
		}
		a.status = f.Status
		a.body.WriteString(f.Body)
	default:
		return false
	}
	return true
}

// rewrite shortens or lengthens a list of results.
func (f *fault) rewrite(body []byte) []byte {
	if f.DropResults == 0 && f.ExtraResults == 0 {
		return body
	}
	var list []json.RawMessage
	if json.Unmarshal(bytes.TrimSpace(body), &list) != nil || len(list) == 0 {
		return body
	}
	list = list[:max(0, len(list)-f.DropResults)]
	for range f.ExtraResults {
		list = append(list, list[len(list)-1])
	}
	out, err := json.Marshal(list)
	if err != nil {
		return body
	}
	return out
}
