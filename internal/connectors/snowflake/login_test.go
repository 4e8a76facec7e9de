package snowflake

import (
	"maps"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/snowflake/snowflaketest"
	"github.com/upwelldata/upwell/internal/fault"
)

func Test_every_way_to_sign_in_works(t *testing.T) {
	s, settings := start(t)
	delete(settings, "private_key")
	for name, c := range map[string]struct {
		over []string
		want string // AUTHENTICATOR on the wire
	}{
		"key pair":           {[]string{"private_key", snowflaketest.PrivateKey()}, "SNOWFLAKE_JWT"},
		"token":              {[]string{"token", snowflaketest.Token}, "PROGRAMMATIC_ACCESS_TOKEN"},
		"OAuth token":        {[]string{"oauth_token", snowflaketest.OAuthToken, "user", ""}, "OAUTH"},
		"OAuth client":       {[]string{"oauth_client_id", snowflaketest.ClientID, "oauth_client_secret", snowflaketest.ClientSecret, "oauth_token_url", "http://" + s.Addr() + "/oauth/token-request", "user", ""}, ""},
		"password, insisted": {[]string{"password", snowflaketest.Password, "authenticator", "password"}, ""},
		"one of two":         {[]string{"password", "x", "token", snowflaketest.Token, "authenticator", "token"}, "PROGRAMMATIC_ACCESS_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := connect(t, settings, c.over...).Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			logins := s.Stats().Logins
			if got := logins[len(logins)-1].Authenticator; got != c.want {
				t.Errorf("signed in as %q", got)
			}
		})
	}
}

func Test_a_refused_login_says_why_and_what_to_do(t *testing.T) {
	s, settings := start(t)
	for name, c := range map[string]struct {
		over  []string
		words []string
	}{
		"another user's key":    {[]string{"user", "SOMEBODY"}, []string{"JWT token is invalid", "ALTER USER SOMEBODY SET RSA_PUBLIC_KEY="}},
		"a wrong token":         {[]string{"private_key", "", "token", "nonsense-token"}, []string{"Programmatic access token is invalid"}},
		"a wrong password":      {[]string{"private_key", "", "password", "wrong-password", "authenticator", "password"}, []string{"Incorrect username or password"}},
		"a stale OAuth token":   {[]string{"private_key", "", "oauth_token", "stale-oauth-token"}, []string{"OAuth access token expired", "oauth_client_id"}},
		"a client nobody knows": {[]string{"private_key", "", "oauth_client_id", "x", "oauth_client_secret", "wrong-secret", "oauth_token_url", "http://" + s.Addr() + "/oauth/token-request"}, []string{"invalid_client", "oauth_client_secret"}},
		"a role not granted":    {[]string{"role", "ADMIN"}, []string{"Role 'ADMIN'", "GRANT ROLE ADMIN TO USER UPWELL;"}},
		"no such warehouse":     {[]string{"warehouse", "OTHER_WH"}, []string{"warehouse does not exist", "GRANT USAGE ON WAREHOUSE OTHER_WH TO ROLE UPWELL;"}},
		"no such database":      {[]string{"database", "OTHER"}, []string{"database does not exist", "GRANT USAGE ON DATABASE OTHER TO ROLE UPWELL;"}},
		"no such schema":        {[]string{"schema", "OTHER"}, []string{"schema does not exist", "GRANT USAGE ON SCHEMA STANDIN.OTHER TO ROLE UPWELL;"}},
		"no warehouse at all":   {[]string{"warehouse", ""}, []string{"no warehouse is in use", "Set `warehouse`"}},
		"another account":       {[]string{"account", "other"}, []string{"account other"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := connect(t, settings, c.over...).Check(t.Context())
			wantFault(t, err, fault.SourceAuth, c.words...)
			for _, secret := range []string{"nonsense-token", "wrong-password", "wrong-secret"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("a secret is shown: %v", err)
				}
			}
		})
	}
}

func Test_a_private_address_is_not_reached_unasked(t *testing.T) {
	_, settings := start(t)
	err := connect(t, settings, "allow_private", "", "protocol", "https").Check(t.Context())
	wantFault(t, err, fault.SourceUnreachable, "loopback", "allow_private: true")
}

func Test_settings_that_contradict_themselves_are_refused(t *testing.T) {
	base := map[string]string{"account": "acme", "user": "UPWELL", "port": "443", "protocol": "https"}
	for name, c := range map[string]struct {
		over  map[string]string
		code  fault.Code
		words []string
	}{
		"no account":         {map[string]string{"account": "", "token": "t"}, fault.ProjectMissing, []string{"`account`"}},
		"no credential":      {nil, fault.ProjectMissing, []string{"no credential", "private_key"}},
		"two credentials":    {map[string]string{"token": "t", "private_key": "k"}, fault.ProjectValue, []string{"key_pair, token"}},
		"a bare password":    {map[string]string{"password": "p"}, fault.ProjectValue, []string{"Snowflake ends signing in", "authenticator: password"}},
		"half a client":      {map[string]string{"oauth_client_id": "c", "oauth_token_url": "https://idp.example/t"}, fault.ProjectMissing, []string{"`oauth_client_secret`"}},
		"a client in clear":  {map[string]string{"oauth_client_id": "c", "oauth_client_secret": "s", "oauth_token_url": "http://idp.example/t", "role": "R"}, fault.ProjectValue, []string{"https"}},
		"a client, no scope": {map[string]string{"oauth_client_id": "c", "oauth_client_secret": "s", "oauth_token_url": "https://idp.example/t"}, fault.ProjectMissing, []string{"`oauth_scope` or `role`"}},
		"a token, no user":   {map[string]string{"token": "t", "user": ""}, fault.ProjectMissing, []string{"`user`"}},
		"http":               {map[string]string{"token": "t", "protocol": "http"}, fault.ProjectValue, []string{"in clear"}},
		"a key that is none": {map[string]string{"private_key": "secret nonsense"}, fault.ProjectValue, []string{"`private_key`", "not a PEM text", "openssl"}},
	} {
		t.Run(name, func(t *testing.T) {
			settings := maps.Clone(base)
			maps.Copy(settings, c.over)
			_, err := Source().Open(t.Context(), connector.NewConfig(settings, nil, nil), connector.Env{Name: "warehouse"})
			wantFault(t, err, c.code, c.words...)
			if strings.Contains(err.Error(), "secret nonsense") {
				t.Errorf("the key is shown: %v", err)
			}
		})
	}
}
