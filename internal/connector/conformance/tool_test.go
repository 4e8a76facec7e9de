package conformance

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/upwelldata/upwell/internal/row"
)

// tool is the stand-in of the kit's own good connector: it keeps typed records exactly.
type tool struct {
	*httptest.Server
	mu      sync.Mutex
	records []*stored
	jobs    map[string]*toolJob
	last    int
}

type stored struct {
	id     string
	fields Record
}

type toolJob struct {
	request toolWrite
	started bool
	answer  []toolResult
}

const (
	toolToken = "tool-token-4711"
	toolRows  = 100
)

// toolRow is a row on the wire: values are "kind:text", null, or not there.
type toolRow struct {
	Key    *string            `json:"key"`
	Fields map[string]*string `json:"fields"`
}

type toolWrite struct {
	Op   string    `json:"op"`
	Skip bool      `json:"skip"`
	Rows []toolRow `json:"rows"`
}

type toolResult struct {
	I       int    `json:"i"`
	Status  string `json:"status"`
	ID      string `json:"id,omitempty"`
	Code    string `json:"code,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message,omitempty"`
}

func newTool(t testing.TB) *tool {
	s := &tool{jobs: map[string]*toolJob{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /account", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]string{"id": "acct"}) })
	mux.HandleFunc("POST /write", s.write)
	mux.HandleFunc("POST /read", s.read)
	mux.HandleFunc("GET /empty", s.empty)
	mux.HandleFunc("POST /fill", s.fill)
	mux.HandleFunc("POST /jobs", s.submit)
	mux.HandleFunc("/jobs/{id}", s.job)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if auth := r.Header.Get("Authorization"); auth != "Bearer "+toolToken {
			reply(w, 401, map[string]string{"message": "the header " + auth + " is not known"}) // some tools echo it
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func decodeValue(s *string) row.Value {
	if s == nil {
		return row.NullValue()
	}
	name, text, _ := strings.Cut(*s, ":")
	k, _ := row.ParseKind(name)
	v, err := row.ParseText(k, text)
	if err != nil {
		return row.TextValue("unreadable: " + *s)
	}
	return v
}

func encodeValue(v row.Value) *string {
	if v.IsNull() || v.IsAbsent() {
		return nil
	}
	s := v.Kind().String() + ":" + v.String()
	return &s
}

func (s *tool) find(key row.Value) int {
	return slices.IndexFunc(s.records, func(r *stored) bool { return r.fields["key"].Equal(key) })
}

func (s *tool) write(w http.ResponseWriter, r *http.Request) {
	var in toolWrite
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		reply(w, 400, map[string]string{"message": err.Error()})
		return
	}
	if len(in.Rows) > toolRows {
		reply(w, 413, map[string]string{"message": "at most 100 rows"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reply(w, 200, map[string]any{"results": s.apply(in)})
}

func (s *tool) apply(in toolWrite) []toolResult {
	out := make([]toolResult, len(in.Rows))
	for i, r := range in.Rows {
		out[i] = s.one(in, r)
		out[i].I = i
	}
	return out
}

func (s *tool) one(in toolWrite, r toolRow) toolResult {
	key := decodeValue(r.Key)
	at := s.find(key)
	if tier, ok := r.Fields["tier"]; ok && tier != nil && *tier != "text:good" {
		return toolResult{Status: "refused", Code: "BAD_TIER", Field: "tier", Message: "this is no tier"}
	}
	switch {
	case in.Op == "delete" && at < 0, in.Op == "update" && at < 0, in.Op == "clear" && at < 0:
		return toolResult{Status: "missing"}
	case in.Op == "delete":
		s.records = slices.Delete(s.records, at, at+1)
		return toolResult{Status: "deleted"}
	case in.Op == "purge": // no good connector asks for this
		name := strings.TrimSuffix(key.Str(), "0")
		s.records = slices.DeleteFunc(s.records, func(r *stored) bool { return strings.HasPrefix(r.fields["key"].Str(), name) })
		return toolResult{Status: "deleted"}
	case in.Op == "insert" && at >= 0:
		return toolResult{Status: "exists", ID: s.records[at].id}
	case at < 0 || in.Op == "append" || in.Op == "copy":
		s.last++
		rec := &stored{id: "id" + strconv.Itoa(s.last), fields: Record{"key": key}}
		s.records = append(s.records, rec)
		s.set(rec, r)
		return toolResult{Status: "created", ID: rec.id}
	}
	s.set(s.records[at], r)
	return toolResult{Status: "updated", ID: s.records[at].id}
}

func (s *tool) set(rec *stored, r toolRow) {
	for name, v := range r.Fields {
		rec.fields[name] = decodeValue(v)
	}
}

// empty tells whether there is no record.
func (s *tool) empty(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply(w, 200, map[string]bool{"empty": len(s.records) == 0})
}

// fill takes all rows as new records, or none.
func (s *tool) fill(w http.ResponseWriter, r *http.Request) {
	var in toolWrite
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		reply(w, 400, map[string]string{"message": err.Error()})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := slices.Clone(s.records)
	results := s.apply(in)
	whole := !slices.ContainsFunc(results, func(r toolResult) bool { return r.Status != "created" })
	if !whole {
		s.records = before
	}
	reply(w, 200, map[string]any{"whole": whole, "results": results})
}

type toolRead struct {
	By      string    `json:"by"`
	Matches []*string `json:"matches"`
	Fields  []string  `json:"fields"`
}

type toolFound struct {
	Match  *string            `json:"match"`
	ID     string             `json:"id"`
	Fields map[string]*string `json:"fields"`
}

// read gives every record that matches, in the order it keeps them.
func (s *tool) read(w http.ResponseWriter, r *http.Request) {
	var in toolRead
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		reply(w, 400, map[string]string{"message": err.Error()})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []toolFound{}
	for _, rec := range s.records {
		for _, m := range in.Matches {
			if !rec.fields[in.By].Equal(decodeValue(m)) {
				continue
			}
			f := toolFound{Match: m, ID: rec.id, Fields: map[string]*string{}}
			for _, name := range in.Fields {
				f.Fields[name] = encodeValue(rec.fields[name])
			}
			found = append(found, f)
		}
	}
	reply(w, 200, map[string]any{"found": found})
}

func (s *tool) submit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	id := "job" + strconv.Itoa(s.last)
	j := &toolJob{}
	if err := json.NewDecoder(r.Body).Decode(&j.request); err != nil {
		reply(w, 400, map[string]string{"message": err.Error()})
		return
	}
	s.jobs[id] = j
	reply(w, 200, map[string]string{"id": id})
}

// job starts a job (POST), tells of it (GET) or drops it (DELETE). A started job does its work when it is looked at.
func (s *tool) job(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[r.PathValue("id")]
	switch {
	case !ok:
		reply(w, 404, map[string]string{"message": "no such job"})
	case r.Method == http.MethodDelete:
		delete(s.jobs, r.PathValue("id"))
		reply(w, 200, map[string]string{})
	case r.Method == http.MethodPost:
		j.started = true
		j.answer = s.apply(j.request)
		reply(w, 200, map[string]string{})
	default:
		reply(w, 200, map[string]any{"started": j.started, "results": j.answer})
	}
}

func (s *tool) all() (out []Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		one := Record{}
		for k, v := range r.fields {
			one[k] = v
		}
		out = append(out, one)
	}
	return out
}

func (s *tool) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.jobs)
}
