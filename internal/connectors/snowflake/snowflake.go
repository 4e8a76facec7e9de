// Package snowflake reads models from Snowflake with its Go driver: results arrive as Arrow streams, in parts that are downloaded
// side by side and given on in order.
//
// The driver is asked for the streams as they are on the wire, not for its converted batches: those turn decimals into floats
// and lose times outside of 1678 to 2262. A read is complete when every part has the rows announced for it and all parts
// together have the rows announced for the answer: an Arrow stream that was cut between two messages looks like one that ended.
package snowflake

import (
	"context"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/snowflake/snowflaketest"
)

const typeName = "snowflake"

// Source is the registration of the snowflake source.
func Source() connector.SourceConnector {
	return connector.SourceConnector{
		Spec: connector.Spec{
			Type: typeName, Title: "Snowflake", Summary: "Reads models from Snowflake, signed in with a key pair, an access token or OAuth.",
			Grants: connector.Grants{Read: `GRANT USAGE ON WAREHOUSE {warehouse} TO ROLE {role};
GRANT USAGE ON DATABASE {database} TO ROLE {role};
GRANT USAGE ON SCHEMA {database}.{schema} TO ROLE {role};
GRANT SELECT ON ALL TABLES IN SCHEMA {database}.{schema} TO ROLE {role};
GRANT SELECT ON ALL VIEWS IN SCHEMA {database}.{schema} TO ROLE {role};
GRANT ROLE {role} TO USER {user};`, Ledger: `USE DATABASE {database};
CREATE SCHEMA IF NOT EXISTS {state_schema};
GRANT USAGE, CREATE TABLE ON SCHEMA {state_schema} TO ROLE {role};`},
			Ledger:   true,
			Settings: settings(),
			HTTP:     true,
			Sandbox:  true,
		},
		Open: open,
		Sandbox: func(ctx context.Context, listen string) (connector.Sandbox, error) {
			return snowflaketest.Start(ctx, listen)
		},
	}
}

func settings() []connector.Setting {
	return []connector.Setting{
		{Name: "account", Type: connector.TypeString, Required: true, Example: "acme-prod", Doc: "Account identifier: organisation and account name with a hyphen, or the locator with its region (xy12345.eu-central-1)."},
		{Name: "user", Type: connector.TypeString, Example: "UPWELL", Doc: "User to sign in as; make one of type SERVICE. Not needed with an OAuth client."},
		{
			Name: "authenticator", Type: connector.TypeString, Enum: []string{byKey, byToken, byOAuth, byClient, byPassword},
			Doc: "How to sign in. Without it, the kind whose credential is set; a password is only used where this says `password`.",
		},
		{Name: "private_key", Type: connector.TypeString, Secret: true, Example: "${file:keys/upwell.p8}", Doc: "Private key of the user as PEM (PKCS#8 or PKCS#1, RSA of 2048 bits or more), for key_pair."},
		{Name: "private_key_passphrase", Type: connector.TypeString, Secret: true, Example: "${env:SNOWFLAKE_KEY_PASSPHRASE}", Doc: "Passphrase of an encrypted private key."},
		{Name: "token", Type: connector.TypeString, Secret: true, Example: "${env:SNOWFLAKE_TOKEN}", Doc: "Programmatic access token, for token. The user needs a network policy."},
		{Name: "oauth_token", Type: connector.TypeString, Secret: true, Example: "${env:SNOWFLAKE_OAUTH_TOKEN}", Doc: "Access token that something else keeps fresh, for oauth."},
		{Name: "oauth_client_id", Type: connector.TypeString, Example: "upwell", Doc: "Client of an OAuth provider, for oauth_client."},
		{Name: "oauth_client_secret", Type: connector.TypeString, Secret: true, Example: "${env:SNOWFLAKE_CLIENT_SECRET}", Doc: "Secret of the client."},
		{Name: "oauth_token_url", Type: connector.TypeString, Example: "https://idp.acme.example/oauth2/token", Doc: "Where the provider gives tokens to the client."},
		{Name: "oauth_scope", Type: connector.TypeString, Example: "session:role:UPWELL", Doc: "Scopes to ask for, with blanks between; without it the role's."},
		{Name: "password", Type: connector.TypeString, Secret: true, Example: "${env:SNOWFLAKE_PASSWORD}", Doc: "Password, for password: Snowflake ends signing in with a password alone, so it is refused without `authenticator: password`."},
		{Name: "role", Type: connector.TypeString, Example: "UPWELL", Doc: "Role to work in; without it the user's default role."},
		{Name: "warehouse", Type: connector.TypeString, Example: "UPWELL_WH", Doc: "Warehouse that computes; without it the user's default warehouse."},
		{Name: "database", Type: connector.TypeString, Example: "ANALYTICS", Doc: "Database where unqualified names are looked up."},
		{Name: "schema", Type: connector.TypeString, Example: "PUBLIC", Doc: "Schema where unqualified names are looked up."},
		{Name: "query_tag", Type: connector.TypeString, Default: "upwell", Doc: "QUERY_TAG of every statement, shown in the query history."},
		{Name: "statement_timeout", Type: connector.TypeDuration, Example: "30m", Doc: "Longest a statement may run; Snowflake ends it after that. Without it the account's own setting holds."},
		{Name: "retry_for", Type: connector.TypeDuration, Default: "1m", Doc: "How long to try again when Snowflake does not answer or answers with a temporary error."},
		{Name: "host", Type: connector.TypeString, Example: "acme-prod.privatelink.snowflakecomputing.com", Doc: "Host to connect to, for private connectivity; without it the account's."},
		{Name: "port", Type: connector.TypeInt, Default: "443", Doc: "Port of the host."},
		{Name: "protocol", Type: connector.TypeString, Default: "https", Enum: []string{"https", "http"}, Doc: "http is for a stand-in on this machine and needs allow_private."},
	}
}
