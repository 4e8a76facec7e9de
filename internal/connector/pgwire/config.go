// Package pgwire is what connectors share that speak PostgreSQL's protocol, as PostgreSQL and Redshift do: settings to a connection,
// whom to trust, reading messages without a copy, Arrow columns filled from rows, and the words of an error. What differs between the
// two (types, statements, what a refusal means) is each connector's own.
package pgwire

import (
	"cmp"
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

// Config is how to connect, and what must not be shown of it.
type Config struct {
	*pgconn.Config
	secrets []string
}

// Defaults hold where neither settings nor dsn say otherwise; "" = PostgreSQL's own.
type Defaults struct{ Port, SSLMode string }

// Parse makes a Config of the settings dsn, or host, port, user, password, database and sslmode, and of sslrootcert, which is
// relative to the project, and application_name. name is the connector's, for messages.
func Parse(name string, cfg connector.Config, projectDir string, d Defaults) (*Config, error) {
	if cfg.Has("dsn") == cfg.Has("host") {
		return nil, fault.New(fault.ProjectMissing, "%s: exactly one of `dsn` and `host` must be set", name)
	}
	c := &Config{secrets: append(cfg.Secrets(), cfg.String("password"))}
	dsn := cfg.String("dsn")
	if rest, ok := strings.CutPrefix(dsn, name+"://"); ok {
		dsn = "postgres://" + rest
	}
	if !cfg.Has("dsn") {
		dsn = keywords(cfg)
	}
	dsn = d.complete(dsn)
	if cert := cfg.String("sslrootcert"); cert != "" {
		if !filepath.IsAbs(cert) {
			cert = filepath.Join(projectDir, cert)
		}
		dsn = WithParam(dsn, "sslrootcert", cert)
	}
	var err error
	if c.Config, err = pgconn.ParseConfig(dsn); err != nil {
		c.secrets = append(c.secrets, passwordOf(dsn))
		return nil, fault.New(fault.ProjectValue, "%s: the connection settings cannot be used: %s", name, c.Scrub(err.Error())).
			WithFix("Write a dsn as %s://user@host/database or as host=… dbname=…, or use host, user, password and database.", name)
	}
	if c.RuntimeParams == nil {
		c.RuntimeParams = map[string]string{}
	}
	if name := cfg.String("application_name"); name != "" && name != "upwell" || c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = cmp.Or(name, "upwell") // a name in the dsn stands against the default
	}
	c.RuntimeParams["client_encoding"] = "UTF8"
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 15 * time.Second
	}
	c.secrets = append(c.secrets, c.Password, url.QueryEscape(c.Password), url.PathEscape(c.Password))
	return c, nil
}

// Scrub removes secrets from a text.
func (c *Config) Scrub(s string) string { return scrub(s, c.secrets) }

func scrub(s string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) >= 2 {
			s = strings.ReplaceAll(s, secret, "[secret]")
		}
	}
	return s
}

// Address is where the connection goes, for people.
func (c *Config) Address() string {
	if strings.HasPrefix(c.Host, "/") {
		return c.Host
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
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

// WithParam adds a parameter to a connection string, a URL or one of key=value pairs; it overrides what stands before it.
func WithParam(dsn, key, value string) string {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		sep := "?"
		if strings.Contains(dsn, "?") {
			sep = "&"
		}
		return dsn + sep + key + "=" + url.QueryEscape(value)
	}
	return dsn + " " + key + "='" + keywordEscaper.Replace(value) + "'"
}

// complete adds to a connection string what it does not say.
func (d Defaults) complete(dsn string) string {
	port, mode := d.Port, d.SSLMode
	if u, err := url.Parse(dsn); err == nil && u.Host != "" {
		if u.Port() != "" || u.Query().Has("port") {
			port = ""
		}
		if u.Query().Has("sslmode") {
			mode = ""
		}
	} else {
		if hasKeyword(dsn, "port") {
			port = ""
		}
		if hasKeyword(dsn, "sslmode") {
			mode = ""
		}
	}
	if port != "" {
		dsn = WithParam(dsn, "port", port)
	}
	if mode != "" {
		dsn = WithParam(dsn, "sslmode", mode)
	}
	return dsn
}

// hasKeyword reports whether a key=value connection string has a key. A value that looks like one counts too, so that nothing is
// added where it might stand against what was written.
func hasKeyword(dsn, key string) bool {
	for rest := dsn; ; {
		i := strings.Index(rest, key)
		if i < 0 {
			return false
		}
		after := strings.TrimLeft(rest[i+len(key):], " ")
		if strings.HasPrefix(after, "=") && (i == 0 || rest[i-1] == ' ' || rest[i-1] == '\t') {
			return true
		}
		rest = rest[i+len(key):]
	}
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
