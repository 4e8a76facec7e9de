// Package redshift is the source for Amazon Redshift, clusters and serverless workgroups.
//
// It speaks PostgreSQL's protocol as Redshift does, which is PostgreSQL 8.0.2 with much taken away: results come as text, through a
// cursor or as one stream; parameters are bound, or written as literals that mean the same whatever a backslash means; types are
// Redshift's own. https://docs.aws.amazon.com/redshift/latest/dg/c_redshift-and-postgres-sql.html
package redshift

import (
	"context"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
)

const typeName = "redshift"

// Ways to speak.
const (
	protocolSimple   = "simple"
	protocolExtended = "extended"
)

// Source is Redshift as a source.
func Source() connector.SourceConnector {
	return connector.SourceConnector{
		Spec: connector.Spec{
			Type: typeName, Title: "Amazon Redshift", Summary: "Reads models from a Redshift cluster or serverless workgroup.",
			Ledger: true, Sandbox: true,
			Grants: connector.Grants{
				Read: `GRANT USAGE ON SCHEMA {schema} TO {user};
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {user};
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {user};`,
				Ledger: `CREATE SCHEMA IF NOT EXISTS {state_schema};
GRANT USAGE, CREATE ON SCHEMA {state_schema} TO {user};`,
			},
			Settings: settings(),
		},
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Source, error) {
			d, err := newDialer(cfg, env.ProjectDir)
			if err != nil {
				return nil, err
			}
			return &source{dialer: d}, nil
		},
		Sandbox: func(ctx context.Context, listen string) (connector.Sandbox, error) {
			return redshifttest.StartSandbox(ctx, redshifttest.PostgresVariable, listen)
		},
	}
}

func settings() []connector.Setting {
	return []connector.Setting{
		{
			Name: "dsn", Type: connector.TypeString, Secret: true, Example: "${env:REDSHIFT_URL}",
			Doc: "Connection string: a redshift:// or postgres:// URL, or key=value pairs. Either this or host.",
		},
		{Name: "host", Type: connector.TypeString, Example: "acme.abc123.eu-west-1.redshift.amazonaws.com", Doc: "Host name of the cluster or workgroup, without the port. Either this or dsn."},
		{Name: "port", Type: connector.TypeInt, Default: "5439", Doc: "Port."},
		{Name: "user", Type: connector.TypeString, Example: "upwell", Doc: "Database user to log in as. With iam it may be left out: then the user is the IAM identity's."},
		{Name: "password", Type: connector.TypeString, Secret: true, Example: "${env:REDSHIFT_PASSWORD}", Doc: "Password of the user. Not with iam."},
		{Name: "database", Type: connector.TypeString, Example: "analytics", Doc: "Database to connect to."},
		{
			Name: "sslmode", Type: connector.TypeString, Example: "verify-full",
			Enum: []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
			Doc:  "How far the connection is encrypted and the server's certificate checked: prefer unless set, verify-full with iam. With dsn, set it there.",
		},
		{Name: "sslrootcert", Type: connector.TypeString, Example: "certs/ca.pem", Doc: "File with the certificate authorities to trust, instead of the system's."},
		{Name: "application_name", Type: connector.TypeString, Default: "upwell", Doc: "Name shown in stl_connection_log and sys_connection_log."},
		{Name: "schema", Type: connector.TypeString, Example: "analytics", Doc: "Schema where unqualified names are looked up first, before public."},
		{
			Name: "statement_timeout", Type: connector.TypeDuration, Example: "30m",
			Doc: "Longest a statement may run; the server ends it after that. Without it the server's own setting holds.",
		},
		{
			Name: "protocol", Type: connector.TypeString, Default: protocolSimple, Enum: []string{protocolSimple, protocolExtended},
			Doc: "simple: statements travel whole and large results come through a cursor. extended: parameters are bound by the server and a result is one stream.",
		},
		{
			Name: "fetch_rows", Type: connector.TypeInt, Default: "10000",
			Doc: "Rows taken from the cursor at a time with protocol: simple; 0 reads the result as one stream, which results larger than the cluster's limit for cursors need.",
		},
		{
			Name: "iam", Type: connector.TypeGroup, Doc: "Log in with temporary credentials that AWS gives for an IAM identity, instead of a password.",
			Fields: []connector.Setting{
				{Name: "cluster", Type: connector.TypeString, Example: "acme", Doc: "Identifier of the cluster. Either this or workgroup."},
				{Name: "workgroup", Type: connector.TypeString, Example: "acme", Doc: "Name of the serverless workgroup. Either this or cluster."},
				{Name: "region", Type: connector.TypeString, Example: "eu-west-1", Doc: "AWS region. Without it: that of the host name, or of the AWS configuration."},
				{Name: "duration", Type: connector.TypeDuration, Default: "15m", Doc: "How long a temporary password is good for, 15m to 1h. A session that is open outlives it."},
				{Name: "profile", Type: connector.TypeString, Example: "acme", Doc: "Profile of the AWS configuration files."},
				{Name: "access_key_id", Type: connector.TypeString, Example: "${env:AWS_ACCESS_KEY_ID}", Doc: "AWS access key. Without it: what the AWS configuration finds (environment, files, role of the machine)."},
				{Name: "secret_access_key", Type: connector.TypeString, Secret: true, Example: "${env:AWS_SECRET_ACCESS_KEY}", Doc: "Secret of the access key."},
				{Name: "session_token", Type: connector.TypeString, Secret: true, Example: "${env:AWS_SESSION_TOKEN}", Doc: "Token that belongs to a temporary access key."},
				{Name: "endpoint", Type: connector.TypeString, Example: "https://vpce-1.redshift.eu-west-1.vpce.amazonaws.com", Doc: "Address of the AWS API, where it is not the region's own."},
			},
		},
	}
}
