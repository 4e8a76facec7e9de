// Package snowflaketest is a stand-in for Snowflake: it speaks the protocol of Snowflake's drivers well enough that the Go driver
// cannot tell, and computes answers on DuckDB. It is used by tests, by `upwell sandbox snowflake` and by load tests.
//
// What it does follows Snowflake's documentation (https://docs.snowflake.com/en/), cited where a rule is kept, and, for the
// protocol, which is not documented, the source of gosnowflake v2.1.0. It knows databases, schemas, tables and views with
// Snowflake's rules for names, roles that may not see an object, sessions whose tokens expire and are renewed, results in parts
// behind links, slow and killed queries. It is no SQL engine of Snowflake's: functions are translated to DuckDB's one by one, and
// division gives a float.
package snowflaketest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/upwelldata/upwell/internal/standin"
	"github.com/upwelldata/upwell/internal/warehousetest"
)

// What signs in to a fresh server. None of it is secret.
const (
	Account      = "standin"
	User         = "UPWELL"
	Password     = "Standin-password-1"
	Token        = "standin-programmatic-access-token"
	OAuthToken   = "standin-oauth-access-token"
	StaleToken   = "stale-oauth-token" // an OAuth access token that has expired
	ClientID     = "standin-client"
	ClientSecret = "standin-client-secret"
	Role         = "UPWELL"
	Warehouse    = "UPWELL_WH"
	Database     = "STANDIN"
	Schema       = "PUBLIC"
)

var userKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// PrivateKey gives the user's private key as PEM. It is made anew in every process.
func PrivateKey() string {
	der, err := x509.MarshalPKCS8PrivateKey(userKey())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func fingerprint(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(der)
	return "SHA256:" + base64.StdEncoding.EncodeToString(sum[:])
}

// Server is a running stand-in.
type Server struct {
	engine   *warehousetest.Engine
	http     *http.Server
	listener net.Listener
	done     chan struct{}

	mu         sync.Mutex
	sessions   map[string]*session // by token, also by expired ones
	masters    map[string]*session
	warehouses map[string]bool // names that exist; true = suspended for good
	hidden     map[string]bool // objects the role may not see, upper case
	faults     standin.Faults[Fault]
	stats      Stats
	next       int
	chunks     map[string]*chunk
	options    Options
}

// Options change how a server answers.
type Options struct {
	InlineRows int           // rows in the answer itself; the rest is behind links
	ChunkRows  int           // rows behind one link
	BatchRows  int           // rows of one Arrow message
	Gzip       bool          // links give compressed streams
	Patience   time.Duration // how long a statement may run before the answer is "not ready"
}

// Start makes an empty server that listens on an address of this machine; port 0 picks a free one.
func Start(ctx context.Context, listen string) (*Server, error) {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%s is not an address of this machine alone", listen)
	}
	engine, err := warehousetest.Open(ctx, setup...)
	if err != nil {
		return nil, err
	}
	s := &Server{
		engine: engine, done: make(chan struct{}), sessions: map[string]*session{}, masters: map[string]*session{},
		warehouses: map[string]bool{Warehouse: false}, hidden: map[string]bool{}, chunks: map[string]*chunk{},
		stats:   Stats{Requests: map[string]int{}},
		options: Options{InlineRows: 1000, ChunkRows: 10_000, BatchRows: 2048, Patience: 5 * time.Second},
	}
	var lc net.ListenConfig
	if s.listener, err = lc.Listen(ctx, "tcp", listen); err != nil {
		_ = engine.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(s.listener) //nolint:errcheck // it ends by Close
	}()
	return s, nil
}

// Addr is host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Settings are the settings of a project file that connect to the server.
func (s *Server) Settings() map[string]string {
	host, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		panic(err)
	}
	return map[string]string{
		"account": Account, "user": User, "token": Token, "role": Role, "warehouse": Warehouse, "database": Database, "schema": Schema,
		"host": host, "port": port, "protocol": "http", "allow_private": "true",
	}
}

// Configure changes how the server answers from now on.
func (s *Server) Configure(change func(*Options)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.options)
}

// Close ends the server and forgets everything.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	s.mu.Lock()
	open := make([]*session, 0, len(s.masters))
	for _, one := range s.masters {
		open = append(open, one)
	}
	s.sessions, s.masters = map[string]*session{}, map[string]*session{}
	s.mu.Unlock()
	for _, one := range open {
		one.end()
	}
	if e := s.engine.Close(); err == nil {
		err = e
	}
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /session/v1/login-request", s.counted("login", s.login))
	mux.HandleFunc("POST /session/token-request", s.counted("renew", s.renew))
	mux.HandleFunc("POST /session", s.counted("logout", s.logout))
	mux.HandleFunc("POST /session/heartbeat", s.counted("heartbeat", func(w http.ResponseWriter, _ *http.Request) { s.succeed(w, nil) }))
	mux.HandleFunc("POST /telemetry/send", s.counted("telemetry", func(w http.ResponseWriter, _ *http.Request) { s.succeed(w, nil) }))
	mux.HandleFunc("POST /oauth/token-request", s.counted("oauth", s.oauth))
	mux.HandleFunc("POST /queries/v1/query-request", s.counted("query", s.query))
	mux.HandleFunc("POST /queries/v1/abort-request", s.counted("abort", s.abort))
	mux.HandleFunc("GET /queries/{id}/result", s.counted("result", s.result))
	mux.HandleFunc("GET /chunks/{id}", s.counted("chunk", s.chunk))
	s.control(mux)
	return mux
}

// id makes a name nobody guesses.
func id() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Exec runs statements in Snowflake's SQL, also several separated by semicolons, as an administrator in the default schema.
func (s *Server) Exec(ctx context.Context, sql ...string) error {
	e, err := s.engine.Session(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	if _, err := e.Exec(ctx, place(Database, Schema)); err != nil {
		return err
	}
	tokens, err := lex.Split(strings.Join(sql, ";\n"))
	if err != nil {
		return err
	}
	for _, stmt := range statements(tokens) {
		duck, err := translate(stmt, nil, &session{database: Database, schema: Schema, warehouse: Warehouse, role: Role})
		if err != nil {
			return err
		}
		if _, err := e.Exec(ctx, duck); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(warehousetest.Join(stmt)), err)
		}
	}
	return nil
}

// Suspend makes a warehouse one that is suspended and does not resume by itself, or ends that.
func (s *Server) Suspend(warehouse string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warehouses[strings.ToUpper(warehouse)] = on
}

// Hide takes the role's right to see an object, named as in statements, or gives it back.
func (s *Server) Hide(object string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden[strings.ToUpper(object)] = on
}

// ExpireTokens makes every session's token too old. Sessions renew it; with masters, they cannot and must sign in again.
func (s *Server) ExpireTokens(masters bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.masters {
		one.expired = true
		one.dead = one.dead || masters
	}
}
