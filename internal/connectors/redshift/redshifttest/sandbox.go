package redshifttest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
)

// PostgresVariable names the PostgreSQL server `upwell sandbox redshift` computes with.
const PostgresVariable = "UPWELL_SANDBOX_POSTGRES"

// Who may log in to a sandbox. It is no secret.
const (
	SandboxUser     = "upwell"
	sandboxPassword = "stand-in-redshift-password"
)

// Sandbox is a server with a database of its own, made in a PostgreSQL server and dropped in the end.
type Sandbox struct {
	*Server
	postgres string // DSN of the server it was made in
	name     string
}

// StartSandbox makes a database in the PostgreSQL server that the variable names, else in one of the PG variables on this machine, and
// serves it. It needs a superuser: casts and operators between built-in types are made.
func StartSandbox(ctx context.Context, variable, listen string) (_ *Sandbox, err error) {
	postgres, _ := pgwire.Nearby(variable, os.LookupEnv)
	if postgres == "" {
		return nil, lacking(fault.New(fault.UsageUnknown, "the stand-in of Redshift computes with a PostgreSQL server, and none is named"), variable)
	}
	random := make([]byte, 6)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	b := &Sandbox{postgres: postgres, name: "upwell_redshift_" + hex.EncodeToString(random)}
	if err := b.make(ctx, variable); err != nil {
		return nil, err
	}
	b.Server, err = Start(ctx, Options{
		Postgres: pgwire.WithParam(postgres, "dbname", b.name), Listen: listen, Users: map[string]User{SandboxUser: {Password: sandboxPassword}},
	})
	if err != nil {
		return nil, errors.Join(err, b.drop())
	}
	return b, nil
}

// make makes the database, in an encoding that holds every text.
func (b *Sandbox) make(ctx context.Context, variable string) (err error) {
	short, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	c, err := pgx.Connect(short, b.postgres)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// The cause may show what the variable holds.
		return lacking(fault.New(fault.SourceUnreachable, "the PostgreSQL server that the stand-in of Redshift computes with cannot be reached"), variable)
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	var super bool
	if err := c.QueryRow(short, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user").Scan(&super); err != nil {
		return err
	}
	if !super {
		return lacking(fault.New(fault.SourceAuth, "the stand-in of Redshift must be a superuser of its PostgreSQL server, and %q is none", c.Config().User), variable)
	}
	_, err = c.Exec(short, "CREATE DATABASE "+b.name+" TEMPLATE template0 ENCODING 'UTF8'")
	return err
}

// lacking says how to get a server.
func lacking(f *fault.Error, variable string) error {
	return f.WithFix("start one, for instance `docker run -d -p 127.0.0.1:5432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust postgres`, or install "+
		"the package postgresql; then set %s=postgres://postgres@127.0.0.1:5432/postgres", variable)
}

// Settings connect to the sandbox.
func (b *Sandbox) Settings() map[string]string { return b.Server.Settings(SandboxUser) }

// Trouble is an example of what POST /_sandbox/faults takes.
func (b *Sandbox) Trouble() string { return `{"trouble":"cut","at_row":100}` }

// Close ends the server and drops its database.
func (b *Sandbox) Close() error { return errors.Join(b.Server.Close(), b.drop()) }

func (b *Sandbox) drop() (err error) {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	c, err := pgx.Connect(ctx, b.postgres)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	_, err = c.Exec(ctx, "DROP DATABASE IF EXISTS "+b.name+" WITH (FORCE)")
	return err
}
