package bigquerytest

import (
	"net"
	"sync"
	"time"
)

// split gives one listener as two: connections that begin as HTTP/2 does, which the Storage Read API speaks, and others.
// https://www.rfc-editor.org/rfc/rfc9113#section-3.4
func split(l net.Listener, work *sync.WaitGroup) (plain, second net.Listener) {
	a := &half{Listener: l, conns: make(chan net.Conn), closed: make(chan struct{})}
	b := &half{Listener: l, conns: make(chan net.Conn), closed: a.closed}
	work.Go(func() {
		defer close(a.closed)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
					return
				}
				p := &peeked{Conn: c, head: make([]byte, 3)}
				for n := 0; n < len(p.head); {
					m, err := c.Read(p.head[n:])
					if n += m; err != nil {
						_ = c.Close() //nolint:errcheck // nobody has spoken
						return
					}
				}
				to := a
				if string(p.head) == "PRI" {
					to = b
				}
				if c.SetReadDeadline(time.Time{}) != nil {
					return
				}
				select {
				case to.conns <- p:
				case <-a.closed:
					_ = c.Close() //nolint:errcheck // the server closes
				}
			})
		}
	})
	return a, b
}

// half is one of the two listeners.
type half struct {
	net.Listener
	conns  chan net.Conn
	closed chan struct{}
}

func (h *half) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// peeked is a connection whose first bytes were read.
type peeked struct {
	net.Conn
	head []byte
}

func (p *peeked) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
