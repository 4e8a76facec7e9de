// Package acmetest is a stand-in for Acme: it keeps records, refuses what the tool refuses, and fails on demand.
package acmetest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Token is the one token the stand-in takes; it protects nothing.
const Token = "acme-sandbox-token"

// maxRecords is the largest batch the tool takes (https://developers.acme.example/limits).
const maxRecords = 100

// Fault is something that goes wrong with the next requests that write.
type Fault struct {
	Status      int               `json:"status"`       // answer so and do nothing
	Headers     map[string]string `json:"headers"`      // with these headers
	Body        string            `json:"body"`         // and this body
	DropResults int               `json:"drop_results"` // do all, leave out the last results
	Times       int               `json:"times"`        // how often; 0 = once
}

// Record is one record of the stand-in.
type Record struct {
	ID     string         `json:"id"`
	Fields map[string]any `json:"fields"`
}

// Server is a running stand-in.
type Server struct {
	listener net.Listener
	http     *http.Server

	mu      sync.Mutex
	records map[string]map[string]*Record // by object and e-mail
	faults  []Fault
	locked  map[string]bool // e-mails of records somebody edits
	last    int
	writes  int
}

// Start starts a stand-in on an address ("127.0.0.1:0" for any free port). It runs until Close.
func Start(ctx context.Context, listen string) (*Server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("starting the acme sandbox: %w", err)
	}
	s := &Server{listener: l, records: map[string]map[string]*Record{"contacts": {}}, locked: map[string]bool{}}
	mux := http.NewServeMux()
	mux.Handle("GET /v1/account", authorized(s.account))
	mux.Handle("GET /v1/objects", authorized(s.objects))
	mux.Handle("POST /v1/objects/{object}/{verb}", authorized(s.write))
	mux.HandleFunc("GET /_sandbox/records/{object}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, s.Records(r.PathValue("object")))
	})
	mux.HandleFunc("POST /_sandbox/faults", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		if err := json.NewDecoder(r.Body).Decode(&f); err != nil {
			answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		s.Inject(f)
		w.WriteHeader(http.StatusNoContent)
	})
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go s.http.Serve(l) //nolint:errcheck // it always ends with ErrServerClosed, by Close
	return s, nil
}

// Addr gives host and port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Settings gives the project settings that connect to the stand-in.
func (s *Server) Settings() map[string]string {
	return map[string]string{"url": "http://" + s.Addr(), "token": Token, "allow_private": "true"}
}

// Close stops the stand-in.
func (s *Server) Close() error { return s.http.Close() }

// Records gives what an object holds, by e-mail.
func (s *Server) Records(object string) map[string]Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]Record{}
	for key, r := range s.records[object] {
		out[key] = Record{ID: r.ID, Fields: maps.Clone(r.Fields)}
	}
	return out
}

// Writes is how many requests that write were answered.
func (s *Server) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Inject adds a fault.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range max(f.Times, 1) {
		s.faults = append(s.faults, f)
	}
}

// Lock has somebody edit a record, which nobody else can write meanwhile (https://developers.acme.example/batches).
func (s *Server) Lock(email string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locked[email] = true
}

func authorized(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+Token {
			answer(w, http.StatusUnauthorized, map[string]string{"code": "UNAUTHORIZED", "message": "the token is not valid"})
			return
		}
		h(w, r)
	})
}

func (s *Server) account(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"id": "acct_1", "name": "Acme sandbox"})
}

func (s *Server) objects(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"objects": []any{map[string]any{
		"name": "contacts", "label": "Contacts", "fields": []any{
			map[string]any{"name": "email", "label": "E-mail", "type": "text", "unique": true, "maxlength": 254},
			map[string]any{"name": "name", "label": "Name", "type": "text", "maxlength": maxName},
			map[string]any{"name": "note", "label": "Note", "type": "text"},
			map[string]any{"name": "score", "label": "Score", "type": "number"},
			map[string]any{"name": "visits", "label": "Visits", "type": "integer"},
			map[string]any{"name": "active", "label": "Active", "type": "boolean"},
			map[string]any{"name": "since", "label": "Since", "type": "date"},
			map[string]any{"name": "seen", "label": "Seen", "type": "datetime"},
		},
	}}})
}

// maxName is how long a name may be (https://developers.acme.example/fields).
const maxName = 100

type result struct {
	Index   int    `json:"index"`
	Status  string `json:"status"`
	ID      string `json:"id,omitempty"`
	Code    string `json:"code,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message,omitempty"`
}

type sent struct {
	Match  map[string]any `json:"match"`
	Fields map[string]any `json:"fields"`
}

func (s *Server) write(w http.ResponseWriter, r *http.Request) {
	var body struct{ Records []sent }
	d := json.NewDecoder(r.Body)
	d.UseNumber()
	err := d.Decode(&body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	var f Fault
	if len(s.faults) > 0 {
		f, s.faults = s.faults[0], s.faults[1:]
	}
	object, known := s.records[r.PathValue("object")]
	switch {
	case f.Status != 0:
		for k, v := range f.Headers {
			w.Header().Set(k, v)
		}
		w.WriteHeader(f.Status)
		fmt.Fprint(w, f.Body)
	case err != nil:
		answer(w, http.StatusBadRequest, map[string]string{"code": "MALFORMED", "message": err.Error()})
	case !known:
		answer(w, http.StatusNotFound, map[string]string{"code": "NO_SUCH_OBJECT", "message": "there is no such object"})
	case len(body.Records) > maxRecords:
		answer(w, http.StatusRequestEntityTooLarge, map[string]string{"code": "TOO_MANY_RECORDS", "message": "at most 100 records"})
	default:
		results := make([]result, len(body.Records))
		for i, record := range body.Records {
			results[i] = s.apply(object, r.PathValue("verb"), record)
			results[i].Index = i
		}
		answer(w, http.StatusOK, map[string]any{"results": results[:max(0, len(results)-f.DropResults)]})
	}
}

// apply writes one record. A null clears, an absent field is left alone (https://developers.acme.example/batches).
func (s *Server) apply(object map[string]*Record, verb string, in sent) result {
	email, ok := in.Match["email"].(string)
	if !ok || email == "" {
		return result{Status: "refused", Code: "MATCH_MISSING", Field: "email", Message: "records are matched by email"}
	}
	if s.locked[email] {
		return result{Status: "locked", Code: "LOCKED", Message: "somebody edits the record"}
	}
	record, exists := object[email]
	if verb == "delete" {
		delete(object, email)
		if !exists {
			return result{Status: "missing"}
		}
		return result{Status: "deleted", ID: record.ID}
	}
	if name, ok := in.Fields["name"].(string); ok && len([]rune(name)) > maxName {
		return result{Status: "refused", Code: "TOO_LONG", Field: "name", Message: "name takes at most 100 characters"}
	}
	status := "updated"
	if !exists {
		s.last++
		status, record = "created", &Record{ID: "con_" + strconv.Itoa(s.last), Fields: map[string]any{"email": email}}
		object[email] = record
	}
	for name, v := range in.Fields {
		if v == nil {
			delete(record.Fields, name)
			continue
		}
		record.Fields[name] = v
	}
	return result{Status: status, ID: record.ID}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // a caller that went away sees a cut answer
}
