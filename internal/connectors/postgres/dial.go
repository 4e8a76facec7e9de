package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
)

// dialer opens connections and knows how a session is pinned.
type dialer struct {
	*pgwire.Config
	schema           string
	statementTimeout time.Duration
	lockTimeout      time.Duration
}

func newDialer(cfg connector.Config, projectDir string) (*dialer, error) {
	c, err := pgwire.Parse(typeName, cfg, projectDir, pgwire.Defaults{})
	if err != nil {
		return nil, err
	}
	return &dialer{Config: c, schema: cfg.String("schema"), statementTimeout: cfg.Duration("statement_timeout"), lockTimeout: cfg.Duration("lock_timeout")}, nil
}

// connect opens a connection. The error is the library's; see sourceFault and destFault.
func (d *dialer) connect(ctx context.Context) (*pgconn.PgConn, error) {
	return pgconn.ConnectConfig(ctx, d.Config.Copy())
}

// begin is the statement that opens a transaction with everything pinned that changes how values look. SET LOCAL keeps it to
// the transaction, so that it also holds behind a pooler in transaction mode.
// https://www.postgresql.org/docs/current/runtime-config-client.html
func (d *dialer) begin(readOnly bool) string {
	var b strings.Builder
	if readOnly {
		b.WriteString("BEGIN TRANSACTION READ ONLY; SET LOCAL default_transaction_read_only = on")
	} else {
		b.WriteString("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE; SET CONSTRAINTS ALL IMMEDIATE")
	}
	b.WriteString("; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'iso_8601'" +
		"; SET LOCAL extra_float_digits = 3; SET LOCAL client_encoding = 'UTF8'; SET LOCAL bytea_output = 'hex'")
	if d.statementTimeout > 0 {
		b.WriteString("; " + d.timeout())
	}
	if d.lockTimeout > 0 && !readOnly {
		fmt.Fprintf(&b, "; SET LOCAL lock_timeout = %d", d.lockTimeout.Milliseconds())
	}
	if d.schema != "" {
		b.WriteString("; SET LOCAL search_path = " + ident(d.schema) + ", public")
	}
	return b.String()
}

// timeout gives statements their limit again, after one without.
func (d *dialer) timeout() string {
	if d.statementTimeout > 0 {
		return fmt.Sprintf("SET LOCAL statement_timeout = %d", d.statementTimeout.Milliseconds())
	}
	return "SET LOCAL statement_timeout TO DEFAULT" // that of the session: its role or its DSN may have set one
}

// Names of pgwire that stand on every page of this package.
var (
	run       = pgwire.Run
	closeConn = pgwire.Close
	ident     = pgwire.Ident
	pgError   = pgwire.AsServer
)

// query executes one statement and keeps the whole answer; for catalogue look-ups.
func query(ctx context.Context, c *pgconn.PgConn, sql string, params ...[]byte) ([][][]byte, error) {
	res := c.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	return res.Rows, res.Err
}
