package salesforcetest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/upwelldata/upwell/internal/standin"
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
type Duration = standin.Duration

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

// Inject adds a fault; the first that matches a request happens.
func (s *Server) Inject(f Fault) { s.faults.Add(f, f.Match, f.Skip, f.Times) }

// InjectRow adds a fault of records.
func (s *Server) InjectRow(f RowFault) { s.rows.Add(f, "", f.Skip, f.Times) }

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.faults.Clear()
	s.rows.Clear()
}

func (s *Server) nextFault(r *http.Request) *Fault {
	f, _ := s.faults.DrawIn(r.Method + " " + r.URL.RequestURI())
	return f
}

// injected tells the error a record is to get, if any.
func (s *Server) injected(t *table, d *draft, r *record, id string) *itemError {
	f, _ := s.rows.DrawIf(func(f *RowFault) bool {
		return (f.Object == "" || strings.EqualFold(f.Object, t.object.Name)) && f.picks(t, d, r, id)
	})
	if f == nil {
		return nil
	}
	e := &itemError{f.Code, f.Message, f.Fields}
	if e.Fields == nil {
		e.Fields = []string{}
	}
	return e
}

func (f *RowFault) picks(t *table, d *draft, r *record, id string) bool {
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
func (f *Fault) before(r *http.Request) bool {
	standin.Wait(r.Context(), f.Arrived, f.Hold, f.Delay)
	return !f.ResetBefore
}

// replace answers in place of the server, where the fault says so.
func (f *Fault) replace(a *answer) bool {
	for k, v := range f.Headers {
		a.header.Set(k, v)
	}
	if f.RetryAfter != "" {
		a.header.Set("Retry-After", f.RetryAfter)
	}
	switch {
	case f.HTML:
		a.header.Set("Content-Type", "text/html; charset=utf-8")
		a.body.WriteString(standin.Page)
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
func (f *Fault) rewrite(body []byte) []byte {
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
