package postgres

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// cutter stands between the program and the server and closes both sides after so many bytes of the server's.
type cutter struct {
	listener net.Listener
	server   string
	after    chan int // one budget per connection, -1 = never cut
	passed   chan int // bytes of the server that passed
}

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, server: server, after: make(chan int, 1), passed: make(chan int, 1)}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case after := <-c.after:
				go c.pass(conn, after)
			default: // a request to cancel
				_ = conn.Close()
			}
		}
	}()
	return c
}

func (c *cutter) pass(client net.Conn, after int) {
	server, err := net.DialTimeout("tcp", c.server, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	var from io.Reader = server
	if after >= 0 {
		from = io.LimitReader(server, int64(after))
	}
	n, _ := io.Copy(client, from)
	_ = client.Close()
	_ = server.Close()
	c.passed <- int(n)
}

func Test_an_answer_cut_at_any_byte_is_never_a_complete_read(t *testing.T) {
	d := newDB(t)
	kv := hostSettings(t, d.dsn)
	c := newCutter(t, net.JoinHostPort(kv[1], kv[3]))
	_, port, err := net.SplitHostPort(c.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := openSource(t, replace(kv, "port", port)...)
	q := connector.Query{SQL: "SELECT g, 't' || g AS t, g::numeric / 3 AS n, ARRAY[g] AS a FROM generate_series(1, 3) g"}
	c.after <- -1
	rows, err := readAll(t.Context(), s, q)
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	whole := <-c.passed
	for cut := range whole {
		c.after <- cut
		rows, err := readAll(t.Context(), s, q)
		<-c.passed
		if err == nil {
			t.Fatalf("cut after byte %d of %d: %d rows and no error", cut, whole, len(rows))
		}
		if f := fault.As(err); f.Code != fault.SourceIncomplete && f.Code != fault.SourceUnreachable {
			t.Fatalf("cut after byte %d of %d: %v", cut, whole, err)
		}
	}
	if whole < 200 {
		t.Errorf("the answer has only %d bytes", whole)
	}
}
