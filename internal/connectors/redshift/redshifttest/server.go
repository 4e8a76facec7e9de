// Package redshifttest is a stand-in for Amazon Redshift: a server that speaks its protocol, refuses what it refuses and has what it
// has, computed by a PostgreSQL database. And one for the AWS calls that give temporary credentials. Each rule names the vendor's page.
//
// What it cannot show: how Redshift plans, what a statement costs, and rules of its SQL that no page tells.
package redshifttest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// User is who may log in.
type User struct {
	Password string
	Role     string    // of the PostgreSQL server, whose rights the user has; "" = all rights
	Expires  time.Time // of a temporary password; zero = never
	Digest   bool      // the password is kept as SHA-256, and asked for in a way of Redshift's own
}

// Options make a server.
type Options struct {
	Postgres string          // DSN of an empty database, as a user with all rights
	Users    map[string]User // by name
	TLS      *tls.Config     // nil = encryption is not offered
	Single   bool            // a cluster of one node
	Listen   string          // "" = a free port on loopback
}

// Server is a running stand-in.
type Server struct {
	Faults

	o        Options
	listener net.Listener
	web      *http.Server // see control
	visitors *visitors
	backend  *pgconn.Config
	oids     map[uint32]uint32 // PostgreSQL's number of a type to Redshift's

	mu       sync.Mutex
	users    map[string]User
	sessions map[uint32]*session
	next     uint32
	heard    []string
	closing  bool
	wg       sync.WaitGroup
}

// Start makes the database look like Redshift's inside and serves it.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{o: o, users: map[string]User{}, sessions: map[uint32]*session{}, next: 1_073_741_824}
	for name, u := range o.Users {
		s.users[name] = u
	}
	var err error
	if s.oids, err = furnish(ctx, o.Postgres); err != nil {
		return nil, err
	}
	if s.backend, err = pgconn.ParseConfig(o.Postgres); err != nil {
		return nil, err
	}
	// Backslashes escape in texts, as they did in PostgreSQL 8.0: https://docs.aws.amazon.com/redshift/latest/dg/r_LIKE_condition... and
	// https://github.com/apache/datafusion-sqlparser-rs/pull/1801
	// Equal columns are joined by hash or by merging, never in nested loops: https://docs.aws.amazon.com/redshift/latest/dg/c-the-query-plan.html
	for k, v := range map[string]string{
		"standard_conforming_strings": "off", "escape_string_warning": "off", "backslash_quote": "on", "enable_nestloop": "off",
	} {
		s.backend.RuntimeParams[k] = v
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen); err != nil {
		return nil, err
	}
	s.visitors = &visitors{Listener: s.listener, conns: make(chan net.Conn), done: make(chan struct{})}
	s.web = &http.Server{Handler: s.control(), ReadHeaderTimeout: 10 * time.Second}
	s.wg.Go(func() { _ = s.web.Serve(s.visitors) }) //nolint:errcheck // it ends by Close
	s.wg.Go(s.accept)
	return s, nil
}

// Addr is host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Database is the name of the database served.
func (s *Server) Database() string { return s.backend.Database }

// SetUser makes a user, or gives it another password.
func (s *Server) SetUser(name string, u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[name] = u
}

func (s *Server) user(name string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.users[name]
	return u, ok
}

// Heard gives the statements that came, and forgets them.
func (s *Server) Heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.heard
	s.heard = nil
	return out
}

func (s *Server) hear(sql string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heard) < 10_000 {
		s.heard = append(s.heard, sql)
	}
}

// Open counts the sessions that are open.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Close ends all sessions.
func (s *Server) Close() error {
	close(s.visitors.done)
	err := s.web.Close() // and with it the listener
	s.mu.Lock()
	s.closing = true
	for _, one := range s.sessions {
		one.cut()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.serve(c) })
	}
}

func (s *Server) enter(one *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.next++
	one.pid = s.next
	s.sessions[one.pid] = one
	return true
}

func (s *Server) leave(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, one.pid)
}

// cancel passes a wish to stop a query on to the database.
func (s *Server) cancel(pid, secret uint32) {
	s.mu.Lock()
	one := s.sessions[pid]
	s.mu.Unlock()
	if one == nil || one.secret != secret {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	_ = one.stop(ctx) //nolint:errcheck // a query that has ended needs no stopping
}

// furnish installs what Redshift has and PostgreSQL lacks, and finds the types' numbers.
func furnish(ctx context.Context, dsn string) (_ map[uint32]uint32, err error) {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	if _, err := c.Exec(ctx, shims); err != nil {
		return nil, fmt.Errorf("furnishing the database: %w", err)
	}
	oids := map[uint32]uint32{oidJSONB: oidSuper, oidJSON: oidSuper, oidBytea: oidVarbyte, oidText: oidVarchar}
	for name, redshift := range map[string]uint32{"geometry": oidGeometry, "geography": oidGeography, "hllsketch": oidSketch} {
		var oid uint32
		if err := c.QueryRow(ctx, "SELECT '"+name+"'::regtype::oid").Scan(&oid); err != nil {
			return nil, err
		}
		oids[oid] = redshift
	}
	return oids, nil
}
