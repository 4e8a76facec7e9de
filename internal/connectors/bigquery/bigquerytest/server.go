// Package bigquerytest is a stand-in for BigQuery: the REST API and the Storage Read API on one address, over the engine of
// warehousetest. The vendor's client cannot tell it from the service as far as the connector uses it. Every rule cites its page.
package bigquerytest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/grpc"

	"github.com/upwelldata/upwell/internal/standin"
	"github.com/upwelldata/upwell/internal/warehousetest"
)

// The one project, its location and its dataset, the account of Server.Key, and one that it may act as.
const (
	Project  = "acme-test"
	Location = "EU"
	Dataset  = "sales"
	Account  = "upwell@acme-test.iam.gserviceaccount.com"
	Other    = "reader@acme-test.iam.gserviceaccount.com"
)

// Options are what tests make smaller.
type Options struct {
	PageRows  int64         // rows of a page of JSON
	BatchRows int64         // rows of a message of the Storage Read API
	TokenLife time.Duration // of access tokens
	Remember  bool          // messages of the Storage Read API are made once and sent again: for measuring the client
}

// Server is a running stand-in.
type Server struct {
	options  Options
	engine   *warehousetest.Engine
	listener net.Listener
	web      *http.Server
	rpc      *grpc.Server
	key      *rsa.PrivateKey
	done     sync.WaitGroup
	asked    sync.WaitGroup  // requests under way
	ctx      context.Context //nolint:containedctx // ends the jobs when the server closes
	stop     context.CancelFunc

	mu     sync.Mutex
	jobs   map[string]*job
	kept   []*job // with rows, old to new
	tokens map[string]time.Time
	faults standin.Faults[Fault]
	stats  Stats
	bytes  int64 // what the next queries would read, when set
}

// Stats is what happened since the start.
type Stats struct {
	Requests map[string]int // by kind, as in Fault.On
	Jobs     []Job
	Granted  map[string]int // tokens by the kind of sign-in
}

// Job is what a client asked of a job.
type Job struct {
	ID, SQL, Location string
	Labels            map[string]string
	MaxBytes          int64
	DryRun, Cancelled bool
}

// setup makes DuckDB look like BigQuery. Types without a counterpart are texts in a union of one, which keeps their name.
var setup = []string{
	"CREATE TYPE BIGNUMERIC AS UNION(bignumeric VARCHAR)", "CREATE TYPE GEOGRAPHY AS UNION(geography VARCHAR)", "CREATE TYPE RANGE_DATE AS UNION(range_date VARCHAR)",
	"CREATE MACRO bq_json_rows(x) AS CAST(json_extract(CAST(x AS JSON), '$[*]') AS VARCHAR[])",
	"CREATE MACRO bq_json_value(x, p) AS json_extract_string(x, p)",
	"CREATE MACRO bq_json_text(x) AS CAST(to_json(x) AS VARCHAR)",
	"CREATE MACRO bq_collate(x, c) AS x",
	"CREATE SCHEMA " + Dataset,
}

// Start starts a stand-in on an address of this machine ("127.0.0.1:0").
func Start(ctx context.Context, listen string, o Options) (*Server, error) {
	if o.PageRows == 0 {
		o.PageRows = 10_000
	}
	if o.BatchRows == 0 {
		o.BatchRows = 2048
	}
	if o.TokenLife == 0 {
		o.TokenLife = time.Hour
	}
	e, err := warehousetest.Open(ctx, setup...)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, engine: e, jobs: map[string]*job{}, tokens: map[string]time.Time{}}
	s.stats = Stats{Requests: map[string]int{}, Granted: map[string]int{}}
	if s.key, err = signingKey(); err == nil {
		s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.web = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	s.rpc = grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))
	storagepb.RegisterBigQueryReadServer(s.rpc, &reads{s: s})
	plain, second := split(s.listener, &s.done)
	s.done.Go(func() { _ = s.web.Serve(plain) })  //nolint:errcheck // it ends with Close
	s.done.Go(func() { _ = s.rpc.Serve(second) }) //nolint:errcheck // it ends with Close
	return s, nil
}

var signingKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// Close ends the stand-in, its connections and its jobs.
func (s *Server) Close() error {
	s.stop()
	s.ClearFaults()
	err := errors.Join(s.listener.Close(), s.web.Close())
	s.rpc.Stop()
	s.done.Wait()
	s.asked.Wait()
	s.mu.Lock()
	kept := s.kept
	s.kept = nil
	s.mu.Unlock()
	for _, j := range kept {
		j.rows.forget()
	}
	return errors.Join(ignoreClosed(err), s.engine.Close())
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Addr is host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Settings connect to the stand-in with a service account's key.
func (s *Server) Settings() map[string]string {
	return map[string]string{"project": Project, "location": Location, "dataset": Dataset, "credentials": s.Key(), "endpoint": "http://" + s.Addr(), "allow_private": "true"}
}

// Exec runs statements in BigQuery's dialect, to set a scene.
func (s *Server) Exec(ctx context.Context, statements ...string) error {
	one, err := s.engine.Session(ctx)
	if err != nil {
		return err
	}
	defer one.Close()
	if _, err := one.Exec(ctx, "USE "+Dataset); err != nil {
		return err
	}
	for _, sql := range statements {
		t, err := translate(sql, nil)
		if err != nil {
			return err
		}
		if _, err := one.Exec(ctx, t.sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// Stats gives what happened so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Stats{Requests: map[string]int{}, Granted: map[string]int{}, Jobs: append([]Job(nil), s.stats.Jobs...)}
	for k, n := range s.stats.Requests {
		out.Requests[k] = n
	}
	for k, n := range s.stats.Granted {
		out.Granted[k] = n
	}
	return out
}

// Costs says how many bytes every query is to read from now on; 0 = what its tables hold.
func (s *Server) Costs(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = bytes
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	at := func(pattern, kind string, h func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, s.counted(kind, h))
	}
	at("POST /token", "token", s.token)
	at("POST /v1/projects/-/serviceAccounts/{account}", "act", s.actAs)
	const base = "/bigquery/v2/projects/{project}"
	at("POST "+base+"/jobs", "insert", s.authorized(s.insert))
	at("GET "+base+"/jobs/{id}", "job", s.authorized(s.job))
	at("POST "+base+"/jobs/{id}/cancel", "cancel", s.authorized(s.cancel))
	at("GET "+base+"/queries/{id}", "results", s.authorized(s.results))
	at("GET "+base+"/datasets/{dataset}/tables", "tables", s.authorized(s.tables))
	at("GET "+base+"/datasets/{dataset}/tables/{table}", "table", s.authorized(s.table))
	s.control(mux)
	return mux
}

// problem is an answer that says no.
// https://docs.cloud.google.com/bigquery/docs/error-messages
type problem struct {
	status          int
	reason, message string
}

func (p *problem) Error() string { return p.reason + ": " + p.message }

func refuse(w http.ResponseWriter, p *problem) {
	answer(w, p.status, map[string]any{"error": map[string]any{
		"code": p.status, "message": p.message,
		"errors": []map[string]string{{"message": p.message, "domain": "global", "reason": p.reason}},
	}})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	standin.Answer(w, status, v)
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// missing is the refusal of a name that is not there.
func missing(what, name string) *problem {
	return &problem{http.StatusNotFound, "notFound", fmt.Sprintf("Not found: %s %s:%s was not found in location %s", what, Project, strings.ReplaceAll(name, `"`, ""), Location)}
}
