package pgwire

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// goodbye bounds what is said to a server that is given up either way.
const goodbye = 2 * time.Second

// Run executes statements without parameters and reads their answers to the end.
func Run(ctx context.Context, c *pgconn.PgConn, sql string) error {
	_, err := c.Exec(ctx, sql).ReadAll()
	return err
}

// Close says goodbye and never waits long for it.
func Close(c *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	_ = c.Close(ctx) //nolint:errcheck // the connection is given up either way
}

// Part ends a connection that was taken over. Where a query still runs, the server is told to stop it, for a reader that left.
func Part(hc *pgconn.HijackedConn, running bool) {
	if running {
		cancelQuery(hc)
	} else {
		_, _ = hc.Conn.Write([]byte{'X', 0, 0, 0, 4}) //nolint:errcheck // saying goodbye is a courtesy
	}
	_ = hc.Conn.Close() //nolint:errcheck // nothing is left to be lost
}

// Wake makes reads of a connection that was taken over fail at once when the context ends, until stop is called.
func Wake(ctx context.Context, hc *pgconn.HijackedConn) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		_ = hc.Conn.SetDeadline(time.Unix(1, 0)) //nolint:errcheck // a connection that is gone needs no waking
	})
}

func cancelQuery(hc *pgconn.HijackedConn) {
	c, err := pgconn.Construct(hc)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	_ = c.CancelRequest(ctx) //nolint:errcheck // closing the connection, which follows, ends the query too
}

// Ident quotes an identifier; NUL cannot be part of one.
func Ident(name string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(name, "\x00", ""), `"`, `""`) + `"`
}
