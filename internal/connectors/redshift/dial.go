package redshift

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
)

// dialer opens connections and knows how a session is pinned.
type dialer struct {
	*pgwire.Config
	schema           string
	statementTimeout time.Duration
	extended         bool
	fetch            atomic.Int64 // rows of a FETCH; 0 = one stream
	iam              *identity    // nil = the password of the settings
}

func newDialer(cfg connector.Config, projectDir string) (*dialer, error) {
	identified := cfg.Has("iam.cluster") || cfg.Has("iam.workgroup")
	if identified && cfg.Has("password") {
		return nil, fault.New(fault.ProjectValue, "redshift: `password` and `iam` are two ways to log in").WithFix("Keep one of them.")
	}
	defaults := pgwire.Defaults{Port: "5439"}
	if identified { // a temporary password is a password all the same
		defaults.SSLMode = "verify-full"
	}
	c, err := pgwire.Parse(typeName, cfg, projectDir, defaults)
	if err != nil {
		return nil, err
	}
	d := &dialer{
		Config: c, schema: cfg.String("schema"), statementTimeout: cfg.Duration("statement_timeout"), extended: cfg.String("protocol") == protocolExtended,
	}
	n := 10_000
	if cfg.Has("fetch_rows") {
		if n = cfg.Int("fetch_rows"); n < 0 {
			return nil, fault.New(fault.ProjectValue, "redshift: fetch_rows must not be negative")
		}
	}
	d.fetch.Store(int64(n))
	if identified {
		if d.iam, err = newIdentity(cfg, c); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// connect opens a connection. The error is the library's, or a fault of the temporary credentials; see connectFault.
func (d *dialer) connect(ctx context.Context) (*pgconn.PgConn, error) {
	if d.iam == nil {
		return pgconn.ConnectConfig(ctx, d.Config.Copy())
	}
	c, generation, err := d.signIn(ctx)
	if pe, ok := pgwire.AsServer(err); !ok || !strings.HasPrefix(pe.Code, "28") {
		return c, err
	}
	// A temporary password that was good may have ended early, by another clock or with the rights it was made of. One more is tried.
	if err := d.iam.tokens.Refresh(ctx, generation); err != nil {
		return nil, err
	}
	c, _, err = d.signIn(ctx)
	return c, err
}

func (d *dialer) signIn(ctx context.Context) (*pgconn.PgConn, uint64, error) {
	user, password, generation, err := d.iam.credentials(ctx)
	if err != nil {
		return nil, 0, err
	}
	config := d.Config.Copy()
	config.User, config.Password = user, password
	c, err := pgconn.ConnectConfig(ctx, config)
	return c, generation, err
}

// begin is the statement that opens a transaction with everything pinned that changes how values look or how SUPER is read. SET LOCAL
// keeps it to the transaction, so that it also holds behind a pooler in transaction mode.
// https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_ConfigurationRef.html, .../r_SET.html, .../super-configurations.html
func (d *dialer) begin(readOnly bool) string {
	var b strings.Builder
	b.WriteString("BEGIN TRANSACTION READ ")
	if readOnly {
		b.WriteString("ONLY")
	} else {
		b.WriteString("WRITE; SET LOCAL cast_super_null_on_error = on; SET LOCAL navigate_super_null_on_error = on; SET LOCAL parse_super_null_on_error = off")
	}
	b.WriteString("; SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL extra_float_digits = 2; SET LOCAL describe_field_name_in_uppercase = off")
	if d.statementTimeout > 0 {
		fmt.Fprintf(&b, "; SET LOCAL statement_timeout = %d", d.statementTimeout.Milliseconds())
	}
	if d.schema != "" {
		b.WriteString("; SET LOCAL search_path = " + pgwire.Ident(d.schema) + ", public")
	}
	return b.String()
}

// hide removes secrets from a text, temporary passwords too.
func (d *dialer) hide(s string) string {
	s = d.Scrub(s)
	if d.iam != nil {
		s = d.iam.client.Hide(s)
	}
	return s
}

// login is who logs in, for people.
func (d *dialer) login() string {
	switch {
	case d.iam != nil && d.iam.user == "":
		return "the IAM identity"
	case d.iam != nil:
		return "IAM:" + d.iam.user
	}
	return d.User
}
