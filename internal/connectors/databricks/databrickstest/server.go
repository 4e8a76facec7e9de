// Package databrickstest stands in for a Databricks workspace: sign-in, one SQL warehouse behind the Statement Execution API, and
// the cloud storage its results are fetched from. DuckDB computes the answers; SQL is translated from Databricks' dialect.
//
// It is as strict as the vendor's documentation says the service is, and cites the page per rule; what nobody could look up is marked.
// Faults are made by the methods in faults.go.
package databrickstest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/upwelldata/upwell/internal/standin"
	"github.com/upwelldata/upwell/internal/warehousetest"
)

// What the stand-in knows. Its secrets are no secrets.
const (
	Warehouse    = "a1b2c3d4e5f60718"
	Catalog      = "workspace" // the catalog a new workspace begins with
	Schema       = "default"
	ClientID     = "5c4b3a29-1807-4f6e-9d8c-7b6a59483726"
	ClientSecret = "dose-stand-in-0123456789abcdef"
	Token        = "dapi-stand-in-fedcba9876543210"
)

// Server is one workspace. Its exported settings may be changed before the first request.
type Server struct {
	ChunkRows int           // rows of a chunk of a result
	LinkLife  time.Duration // how long a link is good
	TokenLife time.Duration
	Patient   bool // a look at a statement waits for its end, so that the number of requests does not depend on time

	engine *warehousetest.Engine
	http   *http.Server
	addr   string
	ctx    context.Context // ends with the server
	stop   context.CancelFunc
	work   sync.WaitGroup

	mu         sync.Mutex
	tokens     map[string]time.Time // issued, until when
	statements map[string]*statement
	order      []string // ids, old to new
	stopped    bool     // the warehouse
	warming    int      // looks until a starting warehouse runs statements
	faults     faults
	failures   standin.Faults[failure]
	refusals   standin.Faults[string]
	log        []Call
}

// Call is one request that was made.
type Call struct {
	Method, Path string
	Status       int
}

// Start makes a workspace that listens on an address of this machine.
func Start(ctx context.Context, listen string) (*Server, error) {
	engine, err := warehousetest.Open(ctx, setup()...)
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		_ = engine.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	s := &Server{
		ChunkRows: 10_000, LinkLife: 15 * time.Minute, TokenLife: time.Hour, engine: engine, addr: l.Addr().String(),
		tokens: map[string]time.Time{}, statements: map[string]*statement{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	s.work.Go(func() { _ = s.http.Serve(l) }) //nolint:errcheck // it ends with Close
	return s, nil
}

func setup() []string {
	return []string{
		"ATTACH ':memory:' AS " + Catalog, `CREATE SCHEMA ` + Catalog + `."` + Schema + `"`,
	}
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.addr }

// Settings are those of a project that connect to it.
func (s *Server) Settings() map[string]string {
	return map[string]string{
		"host": "http://" + s.addr, "warehouse_id": Warehouse, "client_id": ClientID, "client_secret": ClientSecret,
		"catalog": Catalog, "schema": Schema, "allow_private": "true",
	}
}

// Close ends it.
func (s *Server) Close() error {
	s.stop()
	err := s.http.Close()
	s.work.Wait()
	s.mu.Lock()
	all := s.statements
	s.statements = nil
	s.mu.Unlock()
	for _, st := range all {
		st.free()
	}
	if closed := s.engine.Close(); err == nil {
		err = closed
	}
	return err
}

// Exec runs statements in Databricks' dialect past the protocol.
func (s *Server) Exec(ctx context.Context, sql ...string) error {
	for _, one := range sql {
		session, err := s.session(ctx, "", "")
		if err != nil {
			return err
		}
		text, _, err := translate(one, nil, Catalog)
		if err == nil {
			_, err = session.Exec(ctx, text)
		}
		session.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// Calls lists the requests since the start, in the order of their answers.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.log...)
}

func (s *Server) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("POST /oidc/v1/token", s.token)
	m.HandleFunc("POST /api/2.0/sql/statements", s.signed(s.submit))
	m.HandleFunc("GET /api/2.0/sql/statements/{id}", s.signed(s.look))
	m.HandleFunc("GET /api/2.0/sql/statements/{id}/result/chunks/{n}", s.signed(s.chunk))
	m.HandleFunc("POST /api/2.0/sql/statements/{id}/cancel", s.signed(s.cancel))
	m.HandleFunc("GET /api/2.0/sql/warehouses/{id}", s.signed(s.warehouse))
	m.HandleFunc("GET /storage/{id}/{n}", s.storage)
	s.control(m)
	return s.counted(s.faulty(m))
}

// counted keeps the log of calls.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &counting{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(c, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.log = append(s.log, Call{r.Method, r.URL.Path, c.status})
	})
}

type counting struct {
	http.ResponseWriter
	status int
}

func (c *counting) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func answer(w http.ResponseWriter, status int, v any) { standin.Answer(w, status, v) }

// refuse answers as the API does, https://docs.databricks.com/api/workspace/introduction
func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]string{"error_code": code, "message": message})
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
