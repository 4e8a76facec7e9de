package snowflake

import (
	"context"
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"

	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Codes of the server, as its answers carry them. Snowflake publishes no list; these are from its documentation's examples and
// its drivers.
const (
	codeNoObject       = 2003   // object does not exist or not authorized
	codeNoObjectUse    = 2043   // the same, for the object of a USE or of an operation
	codePrivileges     = 3001   // insufficient privileges
	codeNoDatabase     = 90105  // this session has no current database
	codeLockQueue      = 625    // too many statements wait for the lock of a table
	codeCancelled      = 604    // SQL execution canceled
	codeNoWarehouse    = 606    // no active warehouse selected in the current session
	codeTimeout        = 630    // statement reached its statement or warehouse timeout
	codeSuspended      = 607    // the warehouse is suspended and does not resume by itself
	codeQuota          = 90073  // a resource monitor's quota is used up
	codeFirstAuth      = 390100 // to codeLastAuth: signing in
	codeLastAuth       = 390499
	codeJWT            = 390144 // the signed token is not valid
	codeSessionGone    = 390111
	codeSessionExpired = 390112
	codeMasterMissing  = 390113
	codeMasterExpired  = 390114
	codeMasterInvalid  = 390115
	codeNoRole         = 390189 // role not granted
	codeNoDefault      = 390201 // database, schema or warehouse does not exist or not authorized
	codeOAuthInvalid   = 390303
	codeOAuthExpired   = 390318
	codeNetworkPolicy  = 390422
	codeMFA            = 394508 // multi-factor authentication is required
)

// sessionGone marks an error of a session that the server no longer knows.
type sessionGone struct{ error }

func (s sessionGone) Unwrap() error { return s.error }

// ofServer reports whether the server gave the error, and not the driver for want of an answer: the driver's own codes are
// 260000 to 299999.
func ofServer(e *sf.SnowflakeError) bool { return e.Number < 260_000 || e.Number >= 300_000 }

// loginFault says why no session could be had.
func (s *source) loginFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "signing in to Snowflake, %s", address(s.config))
	}
	var e *sf.SnowflakeError
	if errors.As(err, &e) && (ofServer(e) || e.Number == sf.ErrCodeFailedToConnect) {
		f := fault.New(fault.SourceAuth, "Snowflake, %s, refused the login: %s", address(s.config), s.scrub(err))
		f.Cause = hidden{err}
		if fix := s.loginFix(e.Number, e.Message); fix != "" {
			f.Fix = fix
		}
		return f
	}
	f := fault.New(fault.SourceUnreachable, "signing in to Snowflake, %s: %s", address(s.config), s.scrub(err))
	if addr := addressFault(err); addr != nil {
		f.Message, f.Fix = "signing in to Snowflake, "+address(s.config)+": "+addr.Message, "Set `allow_private: true` on the source if a private address is meant (private connectivity, a stand-in)."
	}
	if strings.Contains(err.Error(), "oauth2: ") { // the provider answered, and gave no token
		f.Code = fault.SourceAuth
		f.Fix = "Check oauth_client_id, oauth_client_secret, oauth_token_url and oauth_scope."
	}
	f.Cause = hidden{err}
	return f
}

// loginFix says what to do about a refused login.
func (s *source) loginFix(code int, message string) string {
	c := s.config
	switch code {
	case codeNoRole:
		return "Grant the role: GRANT ROLE " + s.role() + " TO USER " + orName(c.User, "<user>") + ";"
	case codeNoDefault:
		var out []string
		for _, g := range [][2]string{{"WAREHOUSE", c.Warehouse}, {"DATABASE", c.Database}, {"SCHEMA", c.Schema}} {
			one := requested.FindStringSubmatch(message) // Snowflake names which of them it is
			if name := g[1]; name != "" && (one == nil || strings.EqualFold(one[1], g[0])) {
				if g[0] == "SCHEMA" && c.Database != "" {
					name = c.Database + "." + name
				}
				out = append(out, "GRANT USAGE ON "+g[0]+" "+name+" TO ROLE "+s.role()+";")
			}
		}
		return "Check the name on the source; if it is right, the role cannot see it: " + strings.Join(out, " ")
	case codeNetworkPolicy:
		return "Allow this machine's address in the network policy of user " + orName(c.User, "<user>") + "."
	case codeMFA:
		return "The user needs a second factor, which nobody can give here: use a user of type SERVICE with a key pair."
	case codeOAuthExpired, codeOAuthInvalid:
		return "Get a fresh oauth_token, or let Upwell get it: set oauth_client_id, oauth_client_secret and oauth_token_url."
	case codeJWT:
		return "Register the public key that belongs to private_key: ALTER USER " + orName(c.User, "<user>") + " SET RSA_PUBLIC_KEY='…'; and check account and user: they are part of what is signed. The clock of this machine counts too."
	}
	for _, k := range credentials {
		if k.typ == c.Authenticator {
			return "Check " + strings.Join(k.needs, ", ") + ", and that neither has expired or been disabled in Snowflake."
		}
	}
	return ""
}

var requested = regexp.MustCompile(`requested (warehouse|database|schema) does not exist`)

// queryFault says why a statement got no answer.
func (s *source) queryFault(ctx context.Context, ss *session, err error, doing string) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "%s on %s", doing, s.name)
	}
	var e *sf.SnowflakeError
	if !errors.As(err, &e) || !ofServer(e) {
		f := fault.New(fault.SourceUnreachable, "%s on %s: %s", doing, s.name, s.scrub(err))
		f.Cause = hidden{err}
		return f
	}
	f := fault.New(fault.SourceQueryFailed, "%s on %s: %s", doing, s.name, s.scrub(err))
	f.Cause = hidden{err}
	switch e.Number {
	case codeSessionGone, codeSessionExpired, codeMasterMissing, codeMasterExpired, codeMasterInvalid:
		f.Code, f.Cause = fault.SourceUnreachable, sessionGone{hidden{err}}
		f.Fix = "Run again: the next run signs in anew."
	case codeNoObject, codeNoObjectUse:
		f.Fix = s.objectFix(e.Message)
	case codePrivileges:
		f.Fix = s.privilegeFix(e.Message)
	case codeNoWarehouse:
		f.Code = fault.SourceAuth
		f.Fix = "Set `warehouse` on the source, and: GRANT USAGE ON WAREHOUSE " + orName(s.config.Warehouse, "<warehouse>") + " TO ROLE " + s.role() + ";"
	case codeSuspended:
		f.Code = fault.SourceUnreachable
		f.Fix = "Resume it, and let it resume by itself: ALTER WAREHOUSE " + orName(s.config.Warehouse, "<warehouse>") + " SET AUTO_RESUME = TRUE;"
	case codeNoDatabase:
		f.Fix = "Set `database` on the source, or name it before the schema."
	case codeLockQueue:
		f.Code = fault.SourceUnreachable
		f.Fix = "Run again: other syncs write the same table just now."
	case codeQuota:
		f.Code = fault.SourceUnreachable
		f.Fix = "Raise the resource monitor's quota, or wait for its next period."
	case codeTimeout:
		f.Fix = "Make the query faster, or raise statement_timeout on the source and STATEMENT_TIMEOUT_IN_SECONDS on the warehouse."
	case codeCancelled:
		f.Code = fault.SourceIncomplete
		f.Fix = "Somebody or something ended the query in Snowflake. Nothing was sent; run again."
	default:
		if e.Number >= codeFirstAuth && e.Number <= codeLastAuth {
			f.Code = fault.SourceAuth
		}
	}
	return f
}

var (
	missingObject = regexp.MustCompile(`(?s)(Object|Table|View|Schema|Database|Function) '([^']*)' does not exist`)
	lackedOn      = regexp.MustCompile(`operate on (\w+) '([^']*)'`)
)

// objectFix names the grants for an object that is not there or not seen: Snowflake does not tell which.
func (s *source) objectFix(message string) string {
	m := missingObject.FindStringSubmatch(message)
	if m == nil {
		return "Check the name, and that role " + s.role() + " may read it."
	}
	kind, name := m[1], m[2]
	parts := strings.Split(name, ".")
	var grants []string
	switch kind {
	case "Database":
		grants = append(grants, "USAGE ON DATABASE "+name)
	case "Schema":
		grants = append(grants, "USAGE ON SCHEMA "+name)
	case "Function":
		grants = append(grants, "USAGE ON FUNCTION "+name+"(…)")
	default:
		if len(parts) > 2 {
			grants = append(grants, "USAGE ON DATABASE "+parts[0])
		}
		if len(parts) > 1 {
			grants = append(grants, "USAGE ON SCHEMA "+strings.Join(parts[:len(parts)-1], "."))
		}
		grants = append(grants, "SELECT ON TABLE "+name)
	}
	out := "Check the name; if it is right, the role cannot see it:"
	for _, g := range grants {
		out += " GRANT " + g + " TO ROLE " + s.role() + ";"
	}
	if strings.Contains(out, "SELECT ON TABLE") {
		out += " (ON VIEW for a view)"
	}
	return out
}

// privilegeFix names the grant for an object that is seen and may not be used.
func (s *source) privilegeFix(message string) string {
	m := lackedOn.FindStringSubmatch(message)
	if m == nil {
		return "Grant role " + s.role() + " the right named."
	}
	kind, right := strings.ToUpper(m[1]), "USAGE"
	if kind == "TABLE" || kind == "VIEW" {
		right = "SELECT"
	}
	return "GRANT " + right + " ON " + kind + " " + m[2] + " TO ROLE " + s.role() + ";"
}

func (s *source) role() string { return orName(s.config.Role, "<role>") }

func orName(name, other string) string {
	if name == "" {
		return other
	}
	return name
}

// hidden keeps a cause for errors.Is and As without its text, which may hold a link that opens without a password.
type hidden struct{ error }

func (hidden) Error() string   { return "[see message]" }
func (h hidden) Unwrap() error { return h.error }

// addressFault finds the guard's refusal of an address.
func addressFault(err error) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) && f.Code == fault.DestAddressBlocked {
		return f
	}
	return nil
}

// scrub gives an error's words without addresses, which carry signatures, and without secrets.
func (s *source) scrub(err error) string {
	text := err.Error()
	var u *url.Error
	if errors.As(err, &u) {
		text = u.Err.Error()
	}
	var op *net.OpError
	if errors.As(err, &op) {
		text = op.Error()
		if op.Timeout() {
			text = "timed out"
		}
	}
	text = link.ReplaceAllString(text, "[address]")
	for _, secret := range s.secrets {
		if len(secret) >= 4 {
			text = strings.ReplaceAll(text, secret, "[secret]")
		}
	}
	return strings.TrimSpace(text)
}

var link = regexp.MustCompile(`https?://[^\s"']+`)

// paramText gives a value as the text its parameter's cast reads; false for kinds without one.
func paramText(v row.Value) (string, bool) {
	switch v.Kind() {
	case row.Bytes:
		const digits = "0123456789ABCDEF"
		out := make([]byte, 0, 2*len(v.Str()))
		for _, b := range []byte(v.Str()) {
			out = append(out, digits[b>>4], digits[b&15])
		}
		return string(out), true
	case row.Timestamp:
		return v.GoTime().Format("2006-01-02T15:04:05.999999999"), true
	case row.Instant:
		return v.GoTime().UTC().Format("2006-01-02T15:04:05.999999999Z07:00"), true
	case row.Bool, row.Int, row.Uint, row.Float, row.Decimal, row.Text, row.Date, row.Time, row.UUID, row.JSON, row.Array:
		return v.String(), true
	case row.Absent, row.Null, row.Interval:
	}
	return "", false
}
