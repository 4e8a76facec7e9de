package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// dialer opens connections and knows how a session is pinned.
type dialer struct {
	config           *pgconn.Config
	secrets          []string
	schema           string
	statementTimeout time.Duration
	lockTimeout      time.Duration
}

func newDialer(cfg connector.Config, projectDir string) (*dialer, error) {
	if cfg.Has("dsn") == cfg.Has("host") {
		return nil, fault.New(fault.ProjectMissing, "postgres: exactly one of `dsn` and `host` must be set")
	}
	secrets := append(cfg.Secrets(), cfg.String("password"))
	dsn := cfg.String("dsn")
	if !cfg.Has("dsn") {
		dsn = keywords(cfg)
	}
	if cert := cfg.String("sslrootcert"); cert != "" {
		if !filepath.IsAbs(cert) {
			cert = filepath.Join(projectDir, cert)
		}
		dsn = withParam(dsn, "sslrootcert", cert)
	}
	pc, err := pgconn.ParseConfig(dsn)
	if err != nil {
		d := &dialer{secrets: append(secrets, passwordOf(dsn))}
		return nil, fault.New(fault.ProjectValue, "postgres: the connection settings cannot be used: %s", d.scrub(err.Error())).
			WithFix("Write a dsn as postgres://user@host/database or as host=… dbname=…, or use host, user, password and database.")
	}
	if pc.RuntimeParams == nil {
		pc.RuntimeParams = map[string]string{}
	}
	if name := cfg.String("application_name"); name != "" && name != "upwell" || pc.RuntimeParams["application_name"] == "" {
		pc.RuntimeParams["application_name"] = cmp.Or(name, "upwell") // a name in the dsn stands against the default
	}
	pc.RuntimeParams["client_encoding"] = "UTF8"
	if pc.ConnectTimeout == 0 {
		pc.ConnectTimeout = 15 * time.Second
	}
	return &dialer{
		config: pc, secrets: append(secrets, pc.Password, url.QueryEscape(pc.Password), url.PathEscape(pc.Password)), schema: cfg.String("schema"),
		statementTimeout: cfg.Duration("statement_timeout"), lockTimeout: cfg.Duration("lock_timeout"),
	}, nil
}

// keywords writes the settings as libpq's key=value form, every value quoted.
func keywords(cfg connector.Config) string {
	var b strings.Builder
	for _, k := range []string{"host", "port", "user", "password", "database", "sslmode"} {
		v := cfg.String(k)
		if v == "" {
			continue
		}
		if k == "database" {
			k = "dbname"
		}
		b.WriteString(k + "='" + keywordEscaper.Replace(v) + "' ")
	}
	return b.String()
}

var keywordEscaper = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

func withParam(dsn, key, value string) string {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		sep := "?"
		if strings.Contains(dsn, "?") {
			sep = "&"
		}
		return dsn + sep + key + "=" + url.QueryEscape(value)
	}
	return dsn + " " + key + "='" + keywordEscaper.Replace(value) + "'"
}

// passwordOf finds the password in a URL that does not parse as a configuration.
func passwordOf(dsn string) string {
	if _, rest, ok := strings.Cut(dsn, "://"); ok {
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			if _, pw, ok := strings.Cut(rest[:at], ":"); ok {
				return pw
			}
		}
	}
	return ""
}

// scrub removes secrets from a text.
func (d *dialer) scrub(s string) string {
	for _, secret := range d.secrets {
		if len(secret) >= 2 {
			s = strings.ReplaceAll(s, secret, "[secret]")
		}
	}
	return s
}

// connect opens a connection. The error is the library's; see sourceFault and destFault.
func (d *dialer) connect(ctx context.Context) (*pgconn.PgConn, error) {
	return pgconn.ConnectConfig(ctx, d.config.Copy())
}

// address is where the connection goes, for people.
func (d *dialer) address() string {
	if strings.HasPrefix(d.config.Host, "/") {
		return d.config.Host
	}
	return net.JoinHostPort(d.config.Host, strconv.Itoa(int(d.config.Port)))
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
		fmt.Fprintf(&b, "; SET LOCAL statement_timeout = %d", d.statementTimeout.Milliseconds())
	}
	if d.lockTimeout > 0 && !readOnly {
		fmt.Fprintf(&b, "; SET LOCAL lock_timeout = %d", d.lockTimeout.Milliseconds())
	}
	if d.schema != "" {
		b.WriteString("; SET LOCAL search_path = " + ident(d.schema) + ", public")
	}
	return b.String()
}

// run executes statements without parameters and reads their answers to the end.
func run(ctx context.Context, c *pgconn.PgConn, sql string) error {
	_, err := c.Exec(ctx, sql).ReadAll()
	return err
}

// query executes one statement and keeps the whole answer; for catalogue look-ups.
func query(ctx context.Context, c *pgconn.PgConn, sql string, params ...[]byte) ([][][]byte, error) {
	res := c.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	return res.Rows, res.Err
}

// closeConn says goodbye and never waits long for it.
func closeConn(c *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = c.Close(ctx) //nolint:errcheck // the connection is given up either way
}

// ident quotes an identifier; NUL cannot be part of one.
func ident(name string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(name, "\x00", ""), `"`, `""`) + `"`
}

func pgError(err error) (*pgconn.PgError, bool) {
	var pe *pgconn.PgError
	ok := errors.As(err, &pe)
	return pe, ok
}
