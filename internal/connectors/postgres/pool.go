package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

const idleConns = 4

// pool keeps a few idle connections of a destination. It never keeps one that is inside a transaction or broken.
type pool struct {
	*dialer
	mu     sync.Mutex
	idle   []*pgconn.PgConn
	closed bool
}

// begin gives a connection with a pinned transaction open. An idle connection that turns out dead is replaced once: nothing
// has been sent on it.
func (p *pool) begin(ctx context.Context, readOnly bool) (*pgconn.PgConn, error) {
	for {
		c := p.take()
		if c == nil {
			break
		}
		err := run(ctx, c, p.dialer.begin(readOnly))
		if err == nil {
			return c, nil
		}
		closeConn(c)
		if ctx.Err() != nil {
			return nil, destFault(ctx, p.dialer, err, "opening a transaction").NotLanded()
		}
	}
	c, err := p.connect(ctx)
	if err != nil {
		return nil, connectFault(ctx, p.dialer, err)
	}
	if err := run(ctx, c, p.dialer.begin(readOnly)); err != nil {
		closeConn(c)
		return nil, destFault(ctx, p.dialer, err, "opening a transaction").NotLanded()
	}
	return c, nil
}

func (p *pool) take() *pgconn.PgConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c
}

// put takes a connection back; one that is not idle outside a transaction is closed.
func (p *pool) put(c *pgconn.PgConn) {
	p.mu.Lock()
	keep := !p.closed && !c.IsClosed() && c.TxStatus() == 'I' && len(p.idle) < idleConns
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		closeConn(c)
	}
}

// end finishes a transaction that only read, and takes the connection back.
func (p *pool) end(ctx context.Context, c *pgconn.PgConn) {
	if err := run(ctx, c, "ROLLBACK"); err != nil {
		closeConn(c)
		return
	}
	p.put(c)
}

func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		closeConn(c)
	}
}
