package pgwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Reader reads server messages from a connection taken over from pgconn. It hands out slices of one large buffer: no copy and few
// system calls, which is what makes it faster than a row-by-row driver.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
type Reader struct {
	conn io.Reader
	buf  []byte
	r, w int // unread bytes are buf[r:w]
}

const (
	wireBuffer  = 256 << 10
	wireMessage = 1<<30 + 1<<20 // a field is at most 1 GiB, and so is a row
)

// ErrMessage says that what came is not the protocol.
var ErrMessage = errors.New("the server's message is malformed")

// NewReader reads what the server sends from now on.
func NewReader(conn io.Reader) *Reader { return &Reader{conn: conn, buf: make([]byte, wireBuffer)} }

// Next gives the next message's type and body. The body is valid until the following call.
func (w *Reader) Next() (byte, []byte, error) {
	if w.w-w.r < 5 {
		if err := w.fill(5); err != nil {
			return 0, nil, err
		}
	}
	n := int(binary.BigEndian.Uint32(w.buf[w.r+1:]))
	if n < 4 || n > wireMessage {
		return 0, nil, fmt.Errorf("%w: length %d", ErrMessage, n)
	}
	if w.w-w.r < n+1 {
		if err := w.fill(n + 1); err != nil {
			return 0, nil, err
		}
	}
	typ, body := w.buf[w.r], w.buf[w.r+5:w.r+n+1]
	w.r += n + 1
	return typ, body, nil
}

// fill makes at least n unread bytes available.
func (w *Reader) fill(n int) error {
	switch {
	case n > len(w.buf):
		big := make([]byte, max(wireBuffer, n+n/4))
		w.w = copy(big, w.buf[w.r:w.w])
		w.buf, w.r = big, 0
	case w.r > 0:
		if len(w.buf) > 4*wireBuffer && n <= wireBuffer && w.w-w.r <= wireBuffer { // one giant row should not hold its memory for the rest
			small := make([]byte, wireBuffer)
			w.w = copy(small, w.buf[w.r:w.w])
			w.buf, w.r = small, 0
			break
		}
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	}
	m, err := io.ReadAtLeast(w.conn, w.buf[w.w:], n-(w.w-w.r))
	w.w += m
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
