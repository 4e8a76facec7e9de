package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// dialer opens connections whose session is pinned: nothing a server is configured with changes how a value looks or whether it
// is accepted.
type dialer struct {
	config    *mysql.Config
	connector driver.Connector
	secrets   []string
}

// sourceSession: no time zone, no server-side cut of results (sql_select_limit, group_concat_max_len), and patience with a
// consumer that is busy (net_write_timeout).
// https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html
func sourceSession() map[string]string {
	return map[string]string{
		"time_zone":            "'+00:00'",
		"sql_mode":             "'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
		"sql_select_limit":     "18446744073709551615",
		"group_concat_max_len": "16777216",
		"net_write_timeout":    "3600",
	}
}

// destinationSession: strict for every engine, so that a value is refused instead of changed; 0 is a value for an
// auto-increment column, not a request for a new number.
// https://dev.mysql.com/doc/refman/8.4/en/sql-mode.html
func destinationSession(lockTimeout time.Duration) map[string]string {
	s := map[string]string{
		"time_zone":            "'+00:00'",
		"sql_mode":             "'STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'",
		"sql_select_limit":     "18446744073709551615",
		"group_concat_max_len": "16777216",
		"foreign_key_checks":   "1",
		"unique_checks":        "1",
		"autocommit":           "1",
	}
	if lockTimeout > 0 {
		s["innodb_lock_wait_timeout"] = strconv.Itoa(max(1, int(lockTimeout/time.Second)))
	}
	return s
}

func newDialer(cfg connector.Config, projectDir string, session map[string]string) (*dialer, error) {
	if cfg.Has("dsn") == cfg.Has("host") {
		return nil, fault.New(fault.ProjectMissing, "mysql: exactly one of `dsn` and `host` must be set")
	}
	d := &dialer{secrets: append(cfg.Secrets(), cfg.String("password"))}
	var mc *mysql.Config
	var err error
	if cfg.Has("dsn") {
		mc, err = parseDSN(cfg.String("dsn"))
		if err != nil {
			return nil, fault.New(fault.ProjectValue, "mysql: the dsn cannot be read: %s", d.scrub(err.Error())).
				WithFix("Write it as user:password@tcp(host:3306)/database.")
		}
	} else {
		mc = fromSettings(cfg)
	}
	if err := secure(mc, cfg, projectDir); err != nil {
		return nil, err
	}
	if mc.Timeout == 0 {
		mc.Timeout = 15 * time.Second
	}
	if mc.Params == nil {
		mc.Params = map[string]string{}
	}
	for k, v := range session {
		mc.Params[k] = v
	}
	mc.Loc, mc.ParseTime, mc.MultiStatements, mc.InterpolateParams, mc.ColumnsWithAlias, mc.ClientFoundRows = time.UTC, false, false, false, false, false
	mc.AllowAllFiles = false
	mc.Collation = ""
	mc.MaxAllowedPacket = 0 // asked from the server
	mc.Logger = &mysql.NopLogger{}
	if err := mc.Apply(mysql.Charset("utf8mb4", "")); err != nil {
		return nil, fault.Wrap(fault.ProjectValue, err, "mysql: setting the character set")
	}
	conn, err := mysql.NewConnector(mc)
	if err != nil {
		return nil, fault.New(fault.ProjectValue, "mysql: the connection settings cannot be used: %s", d.scrub(err.Error())).
			WithFix("Write a dsn as user@tcp(host:3306)/database, or use host, user, password and database.")
	}
	d.config, d.connector = mc, conn
	d.secrets = append(d.secrets, mc.Passwd)
	return d, nil
}

// parseDSN reads the driver's form, or a URL as other tools write it.
func parseDSN(dsn string) (*mysql.Config, error) {
	if !strings.HasPrefix(dsn, "mysql://") && !strings.HasPrefix(dsn, "mariadb://") {
		return mysql.ParseDSN(dsn)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("it is not a URL") // the library's words quote it
	}
	mc, err := mysql.ParseDSN("/?" + u.RawQuery)
	if err != nil {
		return nil, err
	}
	mc.Net, mc.Addr, mc.User, mc.DBName = "tcp", address(u.Hostname(), u.Port()), u.User.Username(), strings.TrimPrefix(u.Path, "/")
	mc.Passwd, _ = u.User.Password()
	return mc, nil
}

func fromSettings(cfg connector.Config) *mysql.Config {
	mc := mysql.NewConfig()
	mc.User, mc.Passwd, mc.DBName = cfg.String("user"), cfg.String("password"), cfg.String("database")
	if host := cfg.String("host"); strings.HasPrefix(host, "/") {
		mc.Net, mc.Addr = "unix", host
	} else {
		mc.Net, mc.Addr = "tcp", address(host, cfg.String("port"))
	}
	return mc
}

func address(host, port string) string {
	if port == "" {
		port = "3306"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// secure sets up TLS as libpq's sslmode has it; a dsn with tls= keeps its own.
func secure(mc *mysql.Config, cfg connector.Config, projectDir string) error {
	mode := cfg.String("sslmode")
	if cfg.Has("dsn") && (mode == "" || mode == "prefer") && mc.TLSConfig != "" {
		return nil
	}
	var roots *x509.CertPool
	if path := cfg.String("sslrootcert"); path != "" {
		if !filepath.IsAbs(path) {
			path = filepath.Join(projectDir, path)
		}
		pem, err := os.ReadFile(path)
		if err != nil {
			return fault.Wrap(fault.ProjectValue, err, "mysql: reading sslrootcert")
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(pem) {
			return fault.New(fault.ProjectValue, "mysql: sslrootcert %s holds no certificate", path)
		}
	}
	host, _, err := net.SplitHostPort(mc.Addr)
	if err != nil {
		host = mc.Addr
	}
	if mode == "require" && roots != nil { // as libpq does: whoever names an authority wants it asked
		mode = "verify-ca"
	}
	if mode != "" && mode != "prefer" { // whatever the dsn says of going without
		mc.AllowFallbackToPlaintext = false
	}
	switch mode {
	case "disable":
		mc.TLSConfig, mc.TLS = "false", nil
	case "require":
		mc.TLS = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // what the mode means
	case "verify-ca":
		mc.TLS = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, VerifyConnection: verifyChain(roots)} //nolint:gosec // the chain is verified
	case "verify-full":
		mc.TLS = &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12}
	default:
		mc.TLSConfig = "preferred"
	}
	return nil
}

// verifyChain checks the certificate's chain and not its name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the server gave no certificate")
		}
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(o)
		return err
	}
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

func (d *dialer) address() string { return d.config.Addr }

func (d *dialer) connect(ctx context.Context) (driver.Conn, error) { return d.connector.Connect(ctx) }

// kill asks the server to end a statement whose connection was given up: it would go on computing otherwise. A failure is of no
// consequence to the reader.
func (d *dialer) kill(id uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := d.connect(ctx)
	if err != nil {
		return
	}
	defer c.Close()                                               //nolint:errcheck // given up
	_ = execute(ctx, c, "KILL QUERY "+strconv.FormatUint(id, 10)) //nolint:errcheck // the statement may have ended by itself
}

func execute(ctx context.Context, c driver.Conn, sql string) error {
	x, ok := c.(driver.ExecerContext)
	if !ok {
		return fmt.Errorf("the driver cannot execute")
	}
	_, err := x.ExecContext(ctx, sql, nil)
	return err
}

// serverError finds what the server said.
func serverError(err error) (*mysql.MySQLError, bool) {
	var me *mysql.MySQLError
	ok := errors.As(err, &me)
	return me, ok
}

// words gives the server's message with its number.
func words(me *mysql.MySQLError) string {
	return fmt.Sprintf("%s (error %s)", me.Message, number(me))
}

// number is error number and SQLSTATE: 1062/23000.
func number(me *mysql.MySQLError) string {
	return fmt.Sprintf("%d/%s", me.Number, string(me.SQLState[:]))
}

// ident quotes an identifier; NUL cannot be part of one.
func ident(name string) string {
	return "`" + strings.ReplaceAll(strings.ReplaceAll(name, "\x00", ""), "`", "``") + "`"
}
