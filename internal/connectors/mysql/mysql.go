// Package mysql is the source and destination for MySQL (8.0 or newer) and MariaDB (10.5 or newer).
//
// The source streams rows of the binary protocol into Arrow columns. The destination puts rows into a temporary table shaped like
// the target, so that every value is checked by the server before the target is touched, and then applies them as sets in one
// transaction. Statements and their rules: https://dev.mysql.com/doc/refman/8.4/en/sql-statements.html and
// https://mariadb.com/kb/en/sql-statements/.
package mysql

import (
	"context"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

const typeName = "mysql"

var dialect = connector.Dialect{
	Name: typeName, Quote: '`', Placeholder: "?",
	// A text parameter beside a number would be compared as a float. Read takes the scale from the value.
	ParamCast: map[row.Kind]string{row.Decimal: "CAST(%s AS DECIMAL(65,30))"},
}

// Source is MySQL and MariaDB as a source.
func Source() connector.SourceConnector {
	return connector.SourceConnector{
		Spec: connector.Spec{
			Type: typeName, Title: "MySQL", Summary: "Reads models from a MySQL or MariaDB database.",
			Settings: connectionSettings(),
		},
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Source, error) {
			d, err := newDialer(cfg, env.ProjectDir, sourceSession())
			if err != nil {
				return nil, err
			}
			return &source{dialer: d}, nil
		},
	}
}

// Destination is MySQL and MariaDB as a destination: objects are tables.
func Destination() connector.DestinationConnector {
	return connector.DestinationConnector{
		Spec: connector.Spec{
			Type: typeName, Title: "MySQL", Summary: "Writes to tables of a MySQL or MariaDB database.",
			Settings: append(connectionSettings(), connector.Setting{
				Name: "lock_timeout", Type: connector.TypeDuration, Default: "30s",
				Doc: "Longest to wait for a row lock the application holds; the batch is tried again after that.",
			}),
			Modes: []connector.Mode{
				connector.ModeUpsert, connector.ModeUpdate, connector.ModeInsert, connector.ModeAppend, connector.ModeMirror,
			},
			Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete, connector.RemovedClear},
			Timeout: 2 * time.Minute,
			Stages:  true,
		},
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Destination, error) {
			d, err := newDialer(cfg, env.ProjectDir, destinationSession(cfg.Duration("lock_timeout")))
			if err != nil {
				return nil, err
			}
			if env.Gate == nil {
				env.Gate = connector.OpenGate{}
			}
			return newDestination(d, env.Gate), nil
		},
	}
}

func connectionSettings() []connector.Setting {
	return []connector.Setting{
		{
			Name: "dsn", Type: connector.TypeString, Secret: true, Example: "${env:MYSQL_DSN}",
			Doc: "Connection string user:password@tcp(host:3306)/database?tls=true, or a mysql:// URL. Either this or host.",
		},
		{Name: "host", Type: connector.TypeString, Example: "db.acme.example", Doc: "Host name, address, or path of a Unix socket. Either this or dsn."},
		{Name: "port", Type: connector.TypeInt, Default: "3306", Doc: "Port."},
		{Name: "user", Type: connector.TypeString, Example: "upwell", Doc: "User to log in as."},
		{Name: "password", Type: connector.TypeString, Secret: true, Example: "${env:MYSQL_PASSWORD}", Doc: "Password of the user."},
		{Name: "database", Type: connector.TypeString, Example: "app", Doc: "Database to use for unqualified names."},
		{
			Name: "sslmode", Type: connector.TypeString, Default: "prefer", Enum: []string{"disable", "prefer", "require", "verify-ca", "verify-full"},
			Doc: "How far the connection is encrypted and the server's certificate checked; use verify-full over a network. With dsn, set tls there.",
		},
		{Name: "sslrootcert", Type: connector.TypeString, Example: "certs/ca.pem", Doc: "File with the certificate authorities to trust."},
	}
}
