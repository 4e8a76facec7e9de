package postgres

import (
	"context"
	"errors"
	"io"

	"github.com/jackc/pgx/v5/pgconn"
)

const feedBytes = 256 << 10 // smaller pieces make a COPY several times slower

// copyHeader is the start of binary COPY data: https://www.postgresql.org/docs/current/sql-copy.html
var copyHeader = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")

// feed runs a COPY FROM STDIN in a goroutine of its own and hands it buffers.
type feed struct {
	full   chan []byte
	free   chan []byte
	done   chan struct{}
	cancel context.CancelFunc
	rest   []byte // of the buffer being read
	whole  []byte
	tag    pgconn.CommandTag
	err    error
}

var errAborted = errors.New("the load was aborted")

func startCopy(ctx context.Context, c *pgconn.PgConn, sql string) *feed {
	ctx, cancel := context.WithCancel(ctx)
	f := &feed{full: make(chan []byte, 2), free: make(chan []byte, 4), done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(f.done)
		defer cancel() // CopyFrom may return while its own goroutine still reads
		f.tag, f.err = c.CopyFrom(ctx, &feedReader{f, ctx}, sql)
	}()
	return f
}

// feedReader gives the buffers to the COPY; closing full ends it.
type feedReader struct {
	*feed
	ctx context.Context
}

func (f *feedReader) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.whole != nil {
			select {
			case f.free <- f.whole:
			default:
			}
			f.whole = nil
		}
		select {
		case b, ok := <-f.full:
			if !ok {
				return 0, io.EOF
			}
			f.rest, f.whole = b, b
		case <-f.ctx.Done():
			return 0, errAborted
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *feed) buffer() []byte {
	select {
	case b := <-f.free:
		return b[:0]
	default:
		return make([]byte, 0, feedBytes+64<<10)
	}
}

// send hands a buffer over; it belongs to the feed from then on.
func (f *feed) send(ctx context.Context, b []byte) error {
	select {
	case f.full <- b:
		return nil
	case <-f.done:
		return f.failure()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *feed) failure() error {
	if f.err != nil {
		return f.err
	}
	return errAborted
}

// finish ends the COPY and gives the rows the server counts.
func (f *feed) finish(ctx context.Context) (int64, error) {
	close(f.full)
	select {
	case <-f.done:
	case <-ctx.Done():
		f.abort()
		return 0, ctx.Err()
	}
	f.cancel()
	return f.tag.RowsAffected(), f.err
}

// abort ends the COPY, if it still runs, and waits for its goroutine.
func (f *feed) abort() {
	f.cancel()
	<-f.done
}
