package salesforcetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// maxURI is how long a request's address and headers may be
// (https://developer.salesforce.com/docs/platform/salesforce-app-limits-cheatsheet/guide/salesforce-app-limits-platform-api.html).
const maxURI = 16_384

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	const data = "/services/data/{version}/"
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) *apiError{
		"GET " + data + "{$}":                                   s.resources,
		"GET " + data + "limits":                                s.limits,
		"GET " + data + "sobjects":                              s.describeGlobal,
		"GET " + data + "sobjects/{object}/describe":            s.describe,
		"GET " + data + "sobjects/{object}/{ext}/{value}":       s.getByExternalID,
		"DELETE " + data + "sobjects/{object}/{ext}/{value}":    s.deleteByExternalID,
		"GET " + data + "query":                                 s.query,
		"GET " + data + "query/{cursor}":                        s.queryMore,
		"POST " + data + "composite/sobjects":                   s.collectionInsert,
		"PATCH " + data + "composite/sobjects":                  s.collectionUpdate,
		"DELETE " + data + "composite/sobjects":                 s.collectionDelete,
		"PATCH " + data + "composite/sobjects/{object}/{ext}":   s.collectionUpsert,
		"POST " + data + "composite/sobjects/{object}":          s.collectionRetrieve,
		"POST " + data + "jobs/ingest":                          s.jobCreate,
		"GET " + data + "jobs/ingest/{job}":                     s.jobInfo,
		"PATCH " + data + "jobs/ingest/{job}":                   s.jobClose,
		"DELETE " + data + "jobs/ingest/{job}":                  s.jobDelete,
		"PUT " + data + "jobs/ingest/{job}/batches":             s.jobUpload,
		"GET " + data + "jobs/ingest/{job}/successfulResults":   s.jobResults,
		"GET " + data + "jobs/ingest/{job}/failedResults":       s.jobResults,
		"GET " + data + "jobs/ingest/{job}/unprocessedrecords":  s.jobResults,
		"GET " + data + "jobs/ingest/{job}/unprocessedrecords/": s.jobResults,
	} {
		mux.HandleFunc(pattern, s.data(h))
	}
	mux.HandleFunc("GET /services/data", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, []map[string]string{
			{"label": "Winter '26", "url": "/services/data/v65.0", "version": "65.0"},
			{"label": "Spring '26", "url": "/services/data/v66.0", "version": "66.0"},
			{"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"},
		})
	})
	mux.HandleFunc("POST /services/oauth2/token", s.oauth)
	s.control(mux)
	mux.HandleFunc("/", s.data(func(http.ResponseWriter, *http.Request) *apiError {
		return fail(404, "NOT_FOUND", "The requested resource does not exist")
	}))
	return s.weather(mux)
}

// answer holds a response back, so that faults can change it.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *answer) WriteHeader(status int)      { a.status = status }

// weather counts requests and lets the injected faults happen around the handlers.
func (s *Server) weather(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_sandbox/") {
			mux.ServeHTTP(w, r)
			return
		}
		_, pattern := mux.Handler(r)
		f := s.begin(pattern, r)
		defer s.end()
		if f != nil && !f.before(r) {
			cut(w)
			return
		}
		a := &answer{header: http.Header{}, status: http.StatusOK}
		if f == nil || !f.replace(a) {
			mux.ServeHTTP(a, r)
		}
		for k, v := range a.header {
			w.Header()[k] = v
		}
		body := a.body.Bytes()
		switch {
		case f != nil && f.ResetAfterApply:
			cut(w)
		case f != nil && f.Truncate > 0 && len(body) > f.Truncate:
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.WriteHeader(a.status)
			_, _ = w.Write(body[:f.Truncate])         //nolint:errcheck // the connection is about to be cut
			_ = http.NewResponseController(w).Flush() //nolint:errcheck // the connection is about to be cut
			panic(http.ErrAbortHandler)
		default:
			if f != nil {
				body = f.rewrite(body)
			}
			w.WriteHeader(a.status)
			_, _ = w.Write(body) //nolint:errcheck // a client that left is its own affair
		}
	})
}

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

func (s *Server) begin(pattern string, r *http.Request) *Fault {
	var form []string
	if r.URL.Path == "/services/oauth2/token" && r.ParseForm() == nil {
		form = slices.Sorted(maps.Keys(r.PostForm))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying++
	s.stats.MaxInFlight = max(s.stats.MaxInFlight, s.flying)
	s.stats.Requests[pattern]++
	s.stats.Total++
	s.stats.Log = append(s.stats.Log, Call{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Kind: r.Header.Get("Content-Type"),
		AutoAssign: r.Header.Get("Sforce-Auto-Assign"), DuplicateRule: r.Header.Get("Sforce-Duplicate-Rule-Header"), Form: form,
	})
	if n := len(s.stats.Log); n > 2*maxLog {
		s.stats.Log = append([]Call(nil), s.stats.Log[n-maxLog:]...)
	}
	return s.nextFault(r)
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying--
}

// The versions an org of Summer '26 knows: 31 to 67. Those from 7 to 30 are retired and answer 410
// (https://help.salesforce.com/s/articleView?id=000354473&type=1).
var (
	versionForm = regexp.MustCompile(`^v(3[1-9]|[45]\d|6[0-7])\.0$`)
	retiredForm = regexp.MustCompile(`^v([789]|[12]\d|30)\.0$`)
)

// data wraps a handler of the REST API: version, session, limits, the usage header of every reply, errors as a list.
func (s *Server) data(h func(http.ResponseWriter, *http.Request) *apiError) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bad := s.admit(w, r)
		if bad == nil {
			bad = h(w, r)
		}
		if bad != nil {
			writeJSON(w, bad.status, []*apiError{bad})
		}
	}
}

func (s *Server) admit(w http.ResponseWriter, r *http.Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.authorised(r) {
		return fail(401, "INVALID_SESSION_ID", "Session expired or invalid")
	}
	if retiredForm.MatchString(r.PathValue("version")) {
		return fail(410, "UNSUPPORTED_API_VERSION", "This API version is retired and no longer available.")
	}
	if v := r.PathValue("version"); v != "" && !versionForm.MatchString(v) {
		return fail(404, "NOT_FOUND", "The requested resource does not exist")
	}
	if len(r.URL.RequestURI()) > maxURI-1_000 {
		return fail(414, "URI_TOO_LONG", "The URI is too long")
	}
	// Both limits answer 403 without Retry-After; the message alone tells them apart
	// (https://help.salesforce.com/s/articleView?id=000389067&type=1 for the concurrent one).
	defer func() { w.Header().Set("Sforce-Limit-Info", fmt.Sprintf("api-usage=%d/%d", s.used, s.cfg.daily)) }()
	if s.used >= s.cfg.daily {
		return fail(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
	}
	if s.cfg.concurrency > 0 && s.flying > s.cfg.concurrency {
		return fail(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
	}
	s.used++
	return nil
}

func (s *Server) resources(w http.ResponseWriter, r *http.Request) *apiError {
	base := "/services/data/" + r.PathValue("version") + "/"
	writeJSON(w, 200, map[string]string{"sobjects": base + "sobjects", "query": base + "query", "limits": base + "limits", "composite": base + "composite", "jobs": base + "jobs"})
	return nil
}

// limits answers GET /limits (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-limits.html).
func (s *Server) limits(w http.ResponseWriter, _ *http.Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := func(limit, used int64) map[string]int64 {
		return map[string]int64{"Max": limit, "Remaining": max(0, limit-used)}
	}
	writeJSON(w, 200, map[string]any{
		"DailyApiRequests": of(s.cfg.daily, s.used), "DailyBulkApiBatches": of(s.cfg.dailyBatch, s.batches),
		"DailyBulkV2QueryJobs": of(10_000, 0), "DailyBulkV2QueryFileStorageMB": of(976_562, 0),
	})
	return nil
}

func (s *Server) describeGlobal(w http.ResponseWriter, _ *http.Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []map[string]any{}
	for _, key := range s.objects {
		o := s.tables[key].object
		list = append(list, map[string]any{
			"name": o.Name, "label": o.Label, "keyPrefix": o.KeyPrefix, "createable": true, "updateable": true, "deletable": true,
			"queryable": true, "deprecatedAndHidden": false,
		})
	}
	// An object nobody can write: it is listed and must not be offered.
	list = append(list, map[string]any{"name": "AccountHistory", "label": "Account History", "queryable": true, "createable": false, "updateable": false, "deletable": false})
	writeJSON(w, 200, map[string]any{"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": list})
	return nil
}

func (s *Server) describe(w http.ResponseWriter, r *http.Request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, bad := s.table(r.PathValue("object"))
	if bad != nil {
		return bad
	}
	writeRaw(w, 200, "application/json;charset=UTF-8", t.body)
	return nil
}

func readJSON(r *http.Request, v any) *apiError {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/json" {
		return fail(415, "UNSUPPORTED_MEDIA_TYPE", "Content type specified is not supported: %s", kind)
	}
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 60<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fail(400, "JSON_PARSER_ERROR", "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}
