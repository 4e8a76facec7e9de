// Package salesforcetest is a stand-in for a Salesforce org: it keeps records, checks them as Salesforce does and answers as
// its documentation says, each rule citing the page. Tests, the demo and `upwell sandbox salesforce` run against it. It is made
// from documentation and published answers, not from an org: what it cannot prove is said in the connector's README.
package salesforcetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/upwelldata/upwell/internal/standin"
)

// Server is a running stand-in. Its methods may be called at any time.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan struct{}
	url      string
	initial  config

	mu      sync.Mutex
	cfg     config
	tables  map[string]*table // by lower-case name
	objects []string          // in order of definition
	auth    authority
	faults  standin.Faults[Fault]
	rows    standin.Faults[RowFault]
	jobs    map[string]*job
	jobSeq  uint64
	cursors map[string]*cursor
	stats   Stats
	flying  int
	used    int64 // API calls of the day
	batches int64 // Bulk batches of the day
	userID  string
	orgID   string
	now     func() time.Time
}

type config struct {
	objects     []Object
	daily       int64
	dailyBatch  int64
	concurrency int
	rotate      bool
	manual      bool
	polls       int
	batchRows   int
	queryRows   int
	clock       func() time.Time
}

// Option changes how a stand-in behaves.
type Option func(*config)

// WithObject adds an object, or fields to one that is there.
func WithObject(o Object) Option { return func(c *config) { c.objects = append(c.objects, o) } }

// WithDailyLimit sets the API calls of a day; the default is the 15,000 of a Developer Edition times 1,000.
func WithDailyLimit(n int64) Option { return func(c *config) { c.daily = n } }

// WithDailyBatches sets the Bulk batches of a day.
func WithDailyBatches(n int64) Option { return func(c *config) { c.dailyBatch = n } }

// WithConcurrency refuses requests beyond n at once. It is stricter than Salesforce, which counts requests of more than 20 s
// only (https://developer.salesforce.com/docs/platform/salesforce-app-limits-cheatsheet/guide/salesforce-app-limits-platform-api.html).
func WithConcurrency(n int) Option { return func(c *config) { c.concurrency = n } }

// WithRotation makes every refresh give a new refresh token and end the old one
// (https://help.salesforce.com/apex/HTViewHelpDoc?id=remoteaccess_oauth_refresh_token_flow.htm).
func WithRotation() Option { return func(c *config) { c.rotate = true } }

// WithManualJobs leaves bulk jobs where they are until AdvanceJobs is called.
func WithManualJobs() Option { return func(c *config) { c.manual = true } }

// WithPolls sets how many looks a bulk job takes before it is complete; the default is 1.
func WithPolls(n int) Option { return func(c *config) { c.polls = n } }

// WithBatchRows sets the rows of a bulk batch; Salesforce makes one of 10,000 records
// (https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_bulk_v2/datafiles_understanding_bulk2_ingest.htm).
func WithBatchRows(n int) Option { return func(c *config) { c.batchRows = n } }

// WithQueryRows sets the records of one page of a query; the default is 2,000.
func WithQueryRows(n int) Option { return func(c *config) { c.queryRows = n } }

// WithClock replaces the clock.
func WithClock(now func() time.Time) Option { return func(c *config) { c.clock = now } }

// Start listens on an address of this machine ("127.0.0.1:0", "" for any free port) and answers until Close.
func Start(listen string, opts ...Option) (*Server, error) {
	cfg := config{
		objects: standardObjects(), daily: 15_000_000, dailyBatch: 15_000, polls: 1, batchRows: 10_000, queryRows: 2_000, clock: time.Now,
	}
	for _, o := range opts {
		o(&cfg)
	}
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("starting the Salesforce stand-in: %w", err)
	}
	s := &Server{listener: l, url: "http://" + l.Addr().String(), initial: cfg, done: make(chan struct{})}
	s.auth.init()
	if err := s.Reset(); err != nil {
		_ = l.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: maxURI}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic("salesforce stand-in: " + err.Error())
		}
	}()
	return s, nil
}

// Addr is the host and port it listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is its base address, the instance_url of a project.
func (s *Server) URL() string { return s.url }

// Settings are the project settings that connect to it.
func (s *Server) Settings() map[string]string {
	return map[string]string{
		"instance_url": s.url, "client_id": ClientID, "client_secret": ClientSecret, "allow_private": "true",
	}
}

// Close ends every connection and waits for the server to be gone.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}

// Reset puts everything back to how it was after Start; tokens end.
func (s *Server) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg = s.initial
	s.now = s.cfg.clock
	s.tables, s.objects = map[string]*table{}, nil
	s.ClearFaults()
	s.jobs, s.cursors = map[string]*job{}, map[string]*cursor{}
	s.jobSeq, s.used, s.batches = 0, 0, 0
	s.stats = Stats{Requests: map[string]int{}, Rows: map[string]int{}}
	s.orgID = makeID("00D", 1)
	s.userID = makeID("005", 1)
	s.auth.reset()
	for _, o := range s.cfg.objects {
		if err := s.define(o); err != nil {
			return err
		}
	}
	users := s.tables["user"]
	vals := make([]any, len(users.object.Fields))
	for name, v := range map[string]any{"username": Username, "email": Username, "lastname": "Integration", "isactive": true} {
		vals[users.byName[name]] = v
	}
	users.create(vals, s.now(), s.userID)
	return nil
}

// Define adds an object, or fields to one that is there; records are kept.
func (s *Server) Define(o Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.define(o)
}

func (s *Server) define(o Object) error {
	key := strings.ToLower(o.Name)
	old := s.tables[key]
	if old != nil {
		o.Label, o.KeyPrefix = old.object.Label, old.object.KeyPrefix
		replaced := map[string]bool{}
		for _, f := range o.Fields {
			replaced[strings.ToLower(f.Name)] = true
		}
		var kept []Field
		for _, f := range old.object.Fields {
			if !replaced[strings.ToLower(f.Name)] {
				kept = append(kept, f)
			}
		}
		o.Fields = append(kept, o.Fields...)
	}
	o, err := o.normalise(len(s.objects))
	if err != nil {
		return err
	}
	t, err := newTable(o)
	if err != nil {
		return fmt.Errorf("object %s: %w", o.Name, err)
	}
	if old == nil {
		s.objects = append(s.objects, key)
	} else {
		t.adopt(old)
	}
	s.tables[key] = t
	return nil
}

// adopt takes over the records of a table whose fields changed.
func (t *table) adopt(old *table) {
	t.next = old.next
	for _, r := range old.order {
		vals := make([]any, len(t.object.Fields))
		for i := range t.object.Fields {
			if j, ok := old.byName[strings.ToLower(t.object.Fields[i].Name)]; ok {
				vals[i] = r.vals[j]
			}
		}
		n := &record{id: r.id, vals: vals, deleted: r.deleted}
		t.byID[n.id], t.order = n, append(t.order, n)
		for i := range t.indexes {
			if !n.deleted {
				t.indexAdd(n, i)
			}
		}
	}
}

func (s *Server) table(name string) (*table, *apiError) {
	t, ok := s.tables[strings.ToLower(name)]
	if !ok {
		return nil, fail(404, "NOT_FOUND", "The requested resource does not exist")
	}
	return t, nil
}
