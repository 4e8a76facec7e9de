package conformance

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// relay passes TCP connections on to a server, counts them, and cuts them after so many bytes of the server's.
type relay struct {
	listener net.Listener
	server   string
	now      atomic.Int64 // connections open
	passed   atomic.Int64 // bytes of the server that passed
	work     sync.WaitGroup

	mu    sync.Mutex
	limit int // of the next connections together, -1 = no cut
	left  int
	conns map[net.Conn]bool
}

func newRelay(t testing.TB, server string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lives as long as the check
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, server: server, limit: -1, conns: map[net.Conn]bool{}}
	r.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.work.Go(func() { r.pass(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() //nolint:errcheck // the check is over
		r.drop()
		r.work.Wait()
	})
	return r
}

func (r *relay) address() string { return r.listener.Addr().String() }
func (r *relay) open() int       { return int(r.now.Load()) }

// cutAfter lets so many bytes of the server pass from now on, then cuts everything.
func (r *relay) cutAfter(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit, r.left = n, n
}

func (r *relay) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		_ = c.Close() //nolint:errcheck // cut
	}
}

func (r *relay) keep(c net.Conn, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if on {
		r.conns[c] = true
	} else {
		delete(r.conns, c)
	}
}

// allow says how many of n bytes may pass.
func (r *relay) allow(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limit < 0 {
		return n
	}
	n = min(n, r.left)
	r.left -= n
	return n
}

func (r *relay) pass(client net.Conn) {
	r.now.Add(1)
	defer r.now.Add(-1)
	defer client.Close()                     //nolint:errcheck // over
	server, err := net.Dial("tcp", r.server) //nolint:noctx // loopback
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // over
	r.keep(client, true)
	r.keep(server, true)
	defer r.keep(client, false)
	defer r.keep(server, false)
	r.work.Go(func() {
		_, _ = io.Copy(server, client) //nolint:errcheck // either side may end it
		_ = server.Close()             //nolint:errcheck // over
	})
	buf := make([]byte, 16<<10)
	for {
		n, err := server.Read(buf)
		may := r.allow(n)
		r.passed.Add(int64(may))
		if _, werr := client.Write(buf[:may]); werr != nil || may < n || err != nil {
			return
		}
	}
}
