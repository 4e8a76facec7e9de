package httpkit

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary is the secret of every client in these tests; it must never be in an error.
const canary = "canary-7f3a9c-secret"

func client(t *testing.T, o Options) *Client {
	t.Helper()
	o.AllowPrivate = true
	o.Secrets = append(o.Secrets, canary)
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.WithBearer(canary)
}

// raw is a TCP server: handle is called per connection and sees raw bytes. It counts the requests read by readRequest.
type raw struct {
	addr     string
	requests atomic.Int64
	conns    atomic.Int64
	over     chan struct{} // closed when the test ends
}

func rawServer(t *testing.T, handle func(s *raw, c net.Conn, r *bufio.Reader)) *raw {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &raw{addr: l.Addr().String(), over: make(chan struct{})}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			s.conns.Add(1)
			wg.Go(func() {
				defer c.Close()
				handle(s, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		close(s.over)
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return s
}

// readRequest reads one whole request; nil when the connection ended.
func (s *raw) readRequest(r *bufio.Reader) *http.Request {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil
	}
	s.requests.Add(1)
	return req
}

func (s *raw) url() string { return "http://" + s.addr }

// reset makes closing send a TCP reset.
func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// answering is a raw server that answers every request with the same bytes and then closes.
func answering(t *testing.T, answer string) *raw {
	return rawServer(t, func(s *raw, c net.Conn, r *bufio.Reader) {
		if s.readRequest(r) != nil {
			io.WriteString(c, answer)
		}
	})
}

// wantFault checks code and landed, and that no secret is in anything the fault can print.
func wantFault(t *testing.T, err error, code fault.Code, landed fault.Landed) *fault.Error {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("want a %s fault, got %v", code, err)
	}
	if f.Code != code || f.Landed != landed {
		t.Errorf("want %s landed=%d, got %s landed=%d: %s", code, landed, f.Code, f.Landed, f.Message)
	}
	noCanary(t, err)
	return f
}

func noCanary(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), canary) {
			t.Errorf("the secret is in an error: %v", e)
		}
	}
}

// countGate counts passes and keeps what was reported.
type countGate struct {
	mu             sync.Mutex
	entered, left  int
	inside, inMost int
	feedback       []connector.Feedback
	refuse         error
}

func (g *countGate) Enter(ctx context.Context, _ connector.Group) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuse != nil {
		return g.refuse
	}
	g.entered++
	g.inside++
	g.inMost = max(g.inMost, g.inside)
	return ctx.Err()
}

func (g *countGate) Leave(_ connector.Group, fb connector.Feedback) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left++
	g.inside--
	g.feedback = append(g.feedback, fb)
}
