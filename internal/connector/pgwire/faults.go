package pgwire

import (
	"errors"
	"net"
	"os"

	"github.com/jackc/pgx/v5/pgconn"
)

// AsServer gives the server's own error, if it is one.
func AsServer(err error) (*pgconn.PgError, bool) {
	var pe *pgconn.PgError
	ok := errors.As(err, &pe)
	return pe, ok
}

// Bare is the innermost text of a network error: the library's outer text repeats the whole connection string.
func Bare(err error) string {
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) {
		err = ce.Unwrap()
	}
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return "timed out"
	case errors.As(err, &op):
		return op.Error()
	}
	return err.Error()
}

// Redacted keeps a cause for errors.Is and As without its text.
type Redacted struct{ error }

// Redact hides the text of an error that may repeat the connection string.
func Redact(err error) Redacted { return Redacted{err} }

// Error hides the text.
func (Redacted) Error() string { return "[see message]" }

// Unwrap gives the cause.
func (r Redacted) Unwrap() error { return r.error }
