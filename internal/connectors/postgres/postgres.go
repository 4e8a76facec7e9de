// Package postgres is the source and destination for PostgreSQL.
//
// The source reads binary results straight from the wire into Arrow columns. The destination writes sets: arrays unnested by one
// statement for a batch, binary COPY into a temporary table for a staged load. Protocol and formats:
// https://www.postgresql.org/docs/current/protocol.html
package postgres

import (
	"context"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
)

const typeName = "postgres"

// Source is PostgreSQL as a source.
func Source() connector.SourceConnector {
	return connector.SourceConnector{
		Spec: connector.Spec{
			Type: typeName, Title: "PostgreSQL", Summary: "Reads models from a PostgreSQL database (12 or newer).",
			Ledger: true,
			Grants: connector.Grants{
				Read: `GRANT CONNECT ON DATABASE {database} TO {user};
GRANT USAGE ON SCHEMA {schema} TO {user};
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {user};
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {user};`,
				Ledger: `CREATE SCHEMA IF NOT EXISTS {state_schema};
GRANT USAGE, CREATE ON SCHEMA {state_schema} TO {user};`,
			},
			Settings: append(connectionSettings(), connector.Setting{
				Name: "statement_timeout", Type: connector.TypeDuration, Example: "30m",
				Doc: "Longest a query may run; the server ends it after that. Without it the server's own setting holds.",
			}),
		},
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Source, error) {
			d, err := newDialer(cfg, env.ProjectDir)
			if err != nil {
				return nil, err
			}
			return &source{dialer: d}, nil
		},
	}
}

// Destination is PostgreSQL as a destination: objects are tables.
func Destination() connector.DestinationConnector {
	return connector.DestinationConnector{
		Spec: connector.Spec{
			Type: typeName, Title: "PostgreSQL", Summary: "Writes to tables of a PostgreSQL database (12 or newer).",
			Settings: append(connectionSettings(), connector.Setting{
				Name: "statement_timeout", Type: connector.TypeDuration, Example: "2m",
				Doc: "Longest one statement may run; the server ends it after that and the batch is tried again.",
			}, connector.Setting{
				Name: "lock_timeout", Type: connector.TypeDuration, Default: "30s",
				Doc: "Longest to wait for a row or table lock the application holds; the batch is tried again after that.",
			}),
			Modes: []connector.Mode{
				connector.ModeUpsert, connector.ModeUpdate, connector.ModeInsert, connector.ModeAppend, connector.ModeMirror,
			},
			Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete, connector.RemovedClear},
			Timeout: 2 * time.Minute,
			Stages:  true,
		},
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Destination, error) {
			d, err := newDialer(cfg, env.ProjectDir)
			if err != nil {
				return nil, err
			}
			if env.Gate == nil {
				env.Gate = connector.OpenGate{}
			}
			return &destination{pool: pool{dialer: d}, gate: env.Gate}, nil
		},
	}
}

func connectionSettings() []connector.Setting {
	return []connector.Setting{
		{
			Name: "dsn", Type: connector.TypeString, Secret: true, Example: "${env:DATABASE_URL}",
			Doc: "Connection string: a postgres:// URL or key=value pairs. Either this or host.",
		},
		{Name: "host", Type: connector.TypeString, Example: "db.acme.example", Doc: "Host name, address, or directory of a Unix socket. Either this or dsn."},
		{Name: "port", Type: connector.TypeInt, Default: "5432", Doc: "Port."},
		{Name: "user", Type: connector.TypeString, Example: "upwell", Doc: "User to log in as."},
		{Name: "password", Type: connector.TypeString, Secret: true, Example: "${env:PGPASSWORD}", Doc: "Password of the user."},
		{Name: "database", Type: connector.TypeString, Example: "app", Doc: "Database to connect to."},
		{
			Name: "sslmode", Type: connector.TypeString, Default: "prefer",
			Enum: []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
			Doc:  "How far the connection is encrypted and the server's certificate checked; use verify-full over a network. With dsn, set it there.",
		},
		{Name: "sslrootcert", Type: connector.TypeString, Example: "certs/ca.pem", Doc: "File with the certificate authorities to trust."},
		{Name: "application_name", Type: connector.TypeString, Default: "upwell", Doc: "Name shown in pg_stat_activity."},
		{Name: "schema", Type: connector.TypeString, Example: "analytics", Doc: "Schema where unqualified names are looked up first, before public."},
	}
}
