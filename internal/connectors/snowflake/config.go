package snowflake

import (
	"context"
	"crypto/rsa"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/connectors/snowflake/quiet"
	"github.com/upwelldata/upwell/internal/fault"
)

// The ways to sign in, as `authenticator` names them.
const (
	byKey      = "key_pair"
	byToken    = "token"
	byOAuth    = "oauth"
	byClient   = "oauth_client"
	byPassword = "password"
)

// credentials are the settings each way needs.
var credentials = []struct {
	way   string
	needs []string
	typ   sf.AuthType
}{
	{byKey, []string{"user", "private_key"}, sf.AuthTypeJwt},
	{byToken, []string{"user", "token"}, sf.AuthTypePat},
	{byOAuth, []string{"oauth_token"}, sf.AuthTypeOAuth},
	{byClient, []string{"oauth_client_id", "oauth_client_secret", "oauth_token_url"}, sf.AuthTypeOAuthClientCredentials},
	{byPassword, []string{"user", "password"}, sf.AuthTypeSnowflake},
}

func open(_ context.Context, cfg connector.Config, env connector.Env) (connector.Source, error) {
	c, err := driverConfig(cfg)
	if err != nil {
		return nil, err
	}
	base, err := httpkit.Transport(httpkit.Options{AllowPrivate: cfg.Bool("allow_private"), Timeout: 30 * time.Second})
	if err != nil {
		return nil, err
	}
	if !quiet.Silenced {
		return nil, fault.New(fault.Internal, "the environment of this process cannot be changed, which Snowflake's driver needs")
	}
	return newSource(c, base, env.Name, cfg.Secrets()), nil
}

// driverConfig turns checked settings into the driver's.
func driverConfig(cfg connector.Config) (*sf.Config, error) {
	if cfg.String("account") == "" {
		return nil, fault.New(fault.ProjectMissing, "snowflake: `account` must be set").WithFix("Write the account identifier, as in `account: acme-prod`.")
	}
	retries := max(cfg.Duration("retry_for"), time.Millisecond)
	c := &sf.Config{
		Account: cfg.String("account"), User: cfg.String("user"), Role: cfg.String("role"), Warehouse: cfg.String("warehouse"),
		Database: cfg.String("database"), Schema: cfg.String("schema"),
		Host: cfg.String("host"), Port: cfg.Int("port"), Protocol: cfg.String("protocol"),
		Application: "upwell", MaxRetryCount: math.MaxInt32,
		Params: sessionParameters(cfg), DisableQueryContextCache: true, ClientStoreTemporaryCredential: sf.ConfigBoolFalse,
	}
	// The only way to bound what the driver tries again by time; there is no successor to these settings in this version.
	c.LoginTimeout, c.RequestTimeout = retries, retries //nolint:staticcheck // deprecated without a replacement
	if c.Protocol == "http" && !cfg.Bool("allow_private") {
		return nil, fault.New(fault.ProjectValue, "snowflake: `protocol: http` sends credentials in clear").WithFix("Use https; http is for a stand-in on this machine, with `allow_private: true`.")
	}
	if err := authenticate(cfg, c); err != nil {
		return nil, err
	}
	return c, nil
}

// authenticate chooses the way to sign in and checks that all it needs is there.
func authenticate(cfg connector.Config, c *sf.Config) error {
	way := cfg.String("authenticator")
	if way == "" {
		var found []string
		for _, k := range credentials {
			if cfg.Has(k.needs[len(k.needs)-1]) || cfg.Has(k.needs[max(0, len(k.needs)-2)]) && k.way == byClient {
				found = append(found, k.way)
			}
		}
		switch {
		case len(found) == 0:
			return fault.New(fault.ProjectMissing, "snowflake: no credential is set").
				WithFix("Set `private_key: ${file:…}` and `user`; or token, oauth_token, or oauth_client_id with oauth_client_secret and oauth_token_url.")
		case len(found) > 1:
			return fault.New(fault.ProjectValue, "snowflake: credentials of several kinds are set: %s", strings.Join(found, ", ")).
				WithFix("Keep one, or choose with `authenticator`.")
		case found[0] == byPassword:
			return fault.New(fault.ProjectValue, "snowflake: `password` alone is refused: Snowflake ends signing in with nothing but a password, first for people and then for service users").
				WithFix("Use a key pair: set `private_key`. To sign in with the password as long as the account allows it, add `authenticator: password`.")
		}
		way = found[0]
	}
	for _, k := range credentials {
		if k.way != way {
			continue
		}
		c.Authenticator = k.typ
		for _, need := range k.needs {
			if cfg.String(need) == "" {
				return fault.New(fault.ProjectMissing, "snowflake: `%s` must be set to sign in by %s", need, way)
			}
		}
	}
	var err error
	switch way {
	case byKey:
		c.PrivateKey, err = privateKey(cfg)
	case byToken:
		c.Token = cfg.Secret("token").Reveal()
	case byOAuth:
		c.Token = cfg.Secret("oauth_token").Reveal()
	case byClient:
		c.OauthClientID, c.OauthClientSecret = cfg.String("oauth_client_id"), cfg.Secret("oauth_client_secret").Reveal()
		c.OauthTokenRequestURL, c.OauthScope = cfg.String("oauth_token_url"), cfg.String("oauth_scope")
		err = secureURL(c.OauthTokenRequestURL, cfg.Bool("allow_private"))
		if c.OauthScope == "" && c.Role == "" {
			err = fault.New(fault.ProjectMissing, "snowflake: `oauth_scope` or `role` must be set to sign in by %s", byClient)
		}
	case byPassword:
		c.Password = cfg.Secret("password").Reveal()
	}
	return err
}

func privateKey(cfg connector.Config) (*rsa.PrivateKey, error) {
	key, err := parseKey([]byte(cfg.Secret("private_key").Reveal()), []byte(cfg.Secret("private_key_passphrase").Reveal()))
	if err != nil {
		return nil, fault.New(fault.ProjectValue, "snowflake: reading `private_key`: %s", err).
			WithFix("Give the PEM text, as in `private_key: ${file:keys/upwell.p8}`; make one with: openssl genrsa 2048 | openssl pkcs8 -topk8 -inform PEM -out upwell.p8 -nocrypt")
	}
	return key, nil
}

func secureURL(s string, private bool) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(private && u.Scheme == "http") {
		return fault.New(fault.ProjectValue, "snowflake: `oauth_token_url` is not an https address without credentials")
	}
	return nil
}

// sessionParameters pins what changes the values of an answer, or how much of it comes
// (https://docs.snowflake.com/en/sql-reference/parameters). An account or user may have set any of them otherwise.
func sessionParameters(cfg connector.Config) map[string]*string {
	p := map[string]*string{}
	for name, value := range map[string]string{
		"TIMEZONE":                       "UTC",
		"TIMESTAMP_TYPE_MAPPING":         "TIMESTAMP_NTZ",
		"DATE_OUTPUT_FORMAT":             "YYYY-MM-DD",
		"TIME_OUTPUT_FORMAT":             "HH24:MI:SS.FF9",
		"TIMESTAMP_OUTPUT_FORMAT":        `YYYY-MM-DD"T"HH24:MI:SS.FF9TZH:TZM`,
		"TIMESTAMP_NTZ_OUTPUT_FORMAT":    `YYYY-MM-DD"T"HH24:MI:SS.FF9`,
		"TIMESTAMP_LTZ_OUTPUT_FORMAT":    `YYYY-MM-DD"T"HH24:MI:SS.FF9TZH:TZM`,
		"TIMESTAMP_TZ_OUTPUT_FORMAT":     `YYYY-MM-DD"T"HH24:MI:SS.FF9TZH:TZM`,
		"BINARY_OUTPUT_FORMAT":           "HEX",
		"BINARY_INPUT_FORMAT":            "HEX",
		"GEOGRAPHY_OUTPUT_FORMAT":        "GeoJSON",
		"GEOMETRY_OUTPUT_FORMAT":         "GeoJSON",
		"JSON_INDENT":                    "0",
		"QUOTED_IDENTIFIERS_IGNORE_CASE": "false",
		"ROWS_PER_RESULTSET":             "0",
		"AUTOCOMMIT":                     "true",
		"ABORT_DETACHED_QUERY":           "true",
		"MULTI_STATEMENT_COUNT":          "1",
		"GO_QUERY_RESULT_FORMAT":         "ARROW",
		"CLIENT_TELEMETRY_ENABLED":       "false",
		"CLIENT_SESSION_KEEP_ALIVE":      "false",
		"QUERY_TAG":                      cfg.String("query_tag"),
	} {
		p[name] = &value
	}
	if d := cfg.Duration("statement_timeout"); d > 0 {
		seconds := strconv.Itoa(int(max(1, math.Ceil(d.Seconds()))))
		p["STATEMENT_TIMEOUT_IN_SECONDS"] = &seconds
	}
	return p
}

// address is where the source is, for messages.
func address(c *sf.Config) string {
	if c.Host == "" {
		return "account " + c.Account
	}
	return "account " + c.Account + " at " + net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
}
