// Package webhooktest is a stand-in for a webhook receiver: it keeps the records it is sent, answers an outcome per row, and
// misbehaves when told to. Tests, the demo and `upwell sandbox webhook` run against it.
package webhooktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/upwelldata/upwell/internal/standin"
)

// Token is the bearer token a stand-in accepts, and SigningSecret the secret it verifies signatures with.
const (
	Token         = "stand-in-webhook-token"
	SigningSecret = "whsec_c3RhbmQtaW4tc2lnbmluZy1zZWNyZXQtMDEyMzQ1"
)

// Style is how a stand-in answers.
type Style string

// The styles.
const (
	StyleResults Style = "results" // one outcome per row
	StyleOK      Style = "ok"      // {"ok":true}
	StyleText    Style = "text"    // ok, as text
	StyleEmpty   Style = "empty"   // 204
)

// Server is a running stand-in. Its methods may be called at any time.
type Server struct {
	http *http.Server
	addr string
	done chan struct{}

	mu     sync.Mutex
	style  Style
	open   bool // no token needed
	tables map[string]*table
	seen   map[string]bool // idempotency keys of inserts and events
	faults standin.Faults[Fault]
	rows   standin.Faults[RowFault]
	stats  Stats
	flying int
	nextID int
}

// Stats is what happened since Start or Reset.
type Stats struct {
	Requests    int            `json:"requests"`
	Rows        map[string]int `json:"rows"` // rows received, by operation
	Bytes       int64          `json:"bytes"`
	MaxRows     int            `json:"max_rows"`
	MaxBytes    int64          `json:"max_bytes"`
	MaxInFlight int            `json:"max_in_flight"`
	Applied     int            `json:"applied"` // requests whose rows were applied
	Keys        []string       `json:"keys"`    // Idempotency-Key headers, in order of arrival
}

// Start listens on an address of this machine ("" = any free port) and answers until Close.
func Start(listen string) (*Server, error) {
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("starting the webhook stand-in: %w", err)
	}
	s := &Server{addr: l.Addr().String(), done: make(chan struct{})}
	s.Reset()
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 30 * time.Second}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic("webhook stand-in: " + err.Error()) // a listener of our own does not fail
		}
	}()
	return s, nil
}

// Addr is host:port.
func (s *Server) Addr() string { return s.addr }

// URL is the endpoint.
func (s *Server) URL() string { return "http://" + s.addr + "/hook" }

// Settings are the project settings that connect to the stand-in.
func (s *Server) Settings() map[string]string {
	return map[string]string{
		"url": s.URL(), "allow_private": "true", "auth.type": "bearer", "auth.token": Token, "signing_secret": SigningSecret,
	}
}

// Close ends every connection and waits for the server to be gone.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}

// Reset forgets records, faults and counts.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.style, s.open = StyleResults, false
	s.tables, s.seen = map[string]*table{}, map[string]bool{}
	s.ClearFaults()
	s.stats = Stats{Rows: map[string]int{}}
	s.nextID = 0
}

// SetStyle changes how requests are answered.
func (s *Server) SetStyle(style Style) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.style = style
}

// SetOpen lets requests in without a token.
func (s *Server) SetOpen(open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = open
}

// Stats tells what happened.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Rows = map[string]int{}
	for k, v := range s.stats.Rows {
		out.Rows[k] = v
	}
	out.Keys = slices.Clone(s.stats.Keys)
	return out
}

// Record is what is stored of one record or event. Key and Fields hold JSON values with numbers as json.Number.
type Record struct {
	ID     string         `json:"id"`
	Key    map[string]any `json:"key"`
	Fields map[string]any `json:"fields"`
	Writes int            `json:"writes"` // how often it was written
}

type table struct {
	byKey map[string]*Record
	order []*Record
}

// Records gives the records of an object, oldest first; events are among them, each on its own.
func (s *Server) Records(object string) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Record{}
	if t := s.tables[object]; t != nil {
		for _, r := range t.order {
			c := *r
			c.Fields = map[string]any{}
			for k, v := range r.Fields {
				c.Fields[k] = v
			}
			out = append(out, c)
		}
	}
	return out
}

// Objects names the objects that were written, sorted.
func (s *Server) Objects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for name := range s.tables {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
