package salesforcetest

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"sort"
	"strings"

	"github.com/upwelldata/upwell/internal/standin"
)

// Stats is what happened since Start or Reset.
type Stats struct {
	Total       int            `json:"total"`
	Requests    map[string]int `json:"requests"` // by route
	Rows        map[string]int `json:"rows"`     // records written, by object
	MaxRows     int            `json:"max_rows"` // most records in one collection
	MaxInFlight int            `json:"max_in_flight"`
	Log         []Call         `json:"log"` // the last requests
}

// Call is one request seen.
type Call struct {
	Method        string   `json:"method"`
	Path          string   `json:"path"`
	Query         string   `json:"query,omitempty"`
	Kind          string   `json:"content_type,omitempty"`
	AutoAssign    string   `json:"auto_assign,omitempty"`
	DuplicateRule string   `json:"duplicate_rule,omitempty"`
	Form          []string `json:"form,omitempty"` // names in the form of a login, sorted
}

const maxLog = 1_000

// Stats tells what happened.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Requests, out.Rows = maps.Clone(out.Requests), maps.Clone(out.Rows)
	out.Log = append([]Call(nil), out.Log[max(0, len(out.Log)-maxLog):]...)
	return out
}

// Requests counts the requests of a route, named by a part of its pattern: "composite/sobjects/{object}/{ext}".
func (s *Server) Requests(route string) int {
	n := 0
	for pattern, count := range s.Stats().Requests {
		if strings.Contains(pattern, route) {
			n += count
		}
	}
	return n
}

// Record is a record as stored: nil, string, json.Number or bool by field name.
type Record map[string]any

// Records gives the living records of an object, oldest first; nil for an object that is not there.
func (s *Server) Records(object string) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tables[strings.ToLower(object)]
	if !ok {
		return nil
	}
	out := []Record{}
	for _, r := range t.order {
		if r.deleted {
			continue
		}
		rec := make(Record, len(r.vals))
		for i := range t.object.Fields {
			rec[t.object.Fields[i].Name] = r.vals[i]
		}
		out = append(out, rec)
	}
	return out
}

// Record gives the living record whose field has the text, or nil.
func (s *Server) Record(object, field, value string) Record {
	for _, r := range s.Records(object) {
		if text(r[field]) == value {
			return r
		}
	}
	return nil
}

// Put creates a record past all rules and gives its id: what was there before the tests began. Values are nil, string,
// json.Number or bool.
func (s *Server) Put(object string, rec Record) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tables[strings.ToLower(object)]
	if !ok {
		panic("salesforce stand-in: no object " + object)
	}
	vals := make([]any, len(t.object.Fields))
	for name, v := range rec {
		i, _, ok := t.field(name)
		if !ok {
			panic("salesforce stand-in: no field " + name + " on " + object)
		}
		vals[i] = v
	}
	return t.create(vals, s.now(), s.userID).id
}

// Remove puts a record into the recycle bin, as a user would; an unknown id does nothing.
func (s *Server) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tableOf(id); t != nil {
		if r := t.byID[id]; r != nil && !r.deleted {
			t.remove(r)
		}
	}
}

// UseUp counts API calls of somebody else against the day's allocation.
func (s *Server) UseUp(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used += n
}

// control adds the addresses under /_sandbox/, which no Salesforce has: they look into the stand-in and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	standin.Sandbox{
		Records: func(_ context.Context, object string) (any, error) {
			if list := s.Records(object); list != nil {
				return list, nil
			}
			return nil, errors.New("no such object")
		},
		Show: map[string]func() any{
			"objects": s.described, "stats": func() any { return s.Stats() }, "jobs": func() any { return s.Jobs() },
		},
		Do: map[string]func(context.Context, []byte) error{
			"objects": standin.Try(s.Define), "faults": standin.Take(s.Inject), "row_faults": standin.Take(s.InjectRow),
			"clear_faults": standin.Event(s.ClearFaults), "reset": func(context.Context, []byte) error { return s.Reset() },
			"expire_tokens": standin.Event(s.ExpireTokens), "advance_jobs": standin.Event(s.AdvanceJobs), "forget_jobs": standin.Event(s.ForgetJobs),
		},
		Words: error.Error,
	}.Serve(mux)
}

func (s *Server) described() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Object
	for _, key := range s.objects {
		list = append(list, s.tables[key].object)
	}
	return list
}

// ObjectNames lists the objects, sorted.
func (s *Server) ObjectNames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, t := range s.tables {
		out = append(out, t.object.Name)
	}
	sort.Strings(out)
	return out
}
