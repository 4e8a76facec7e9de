package demo

import (
	"context"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
)

// PostgresVariable names a PostgreSQL server for the demo's product database. Without it the usual PG variables count, if they name a
// server on this machine.
const PostgresVariable = "UPWELL_DEMO_POSTGRES"

// product is the database of the app in the demo.
type product struct {
	kind  string // postgres | file
	title string
	file  string // the project file that describes it
	look  string // how to see what it holds, "" = nothing to say
}

const table = `
create schema if not exists upwell_demo;
drop table if exists upwell_demo.account_flags;
create table upwell_demo.account_flags (
	account_id        text primary key,
	health_tier       text not null,
	show_tour         boolean not null,
	suggested_feature text not null,
	banner            text not null
)`

// chooseProduct takes a PostgreSQL server when one is named and answers, else a file. A server named for the demo must answer.
func chooseProduct(ctx context.Context) (product, error) {
	inFile := product{
		kind: "file", title: "out/account_flags.jsonl, a file; with a PostgreSQL server in " + PostgresVariable + " it is a table",
		file: "product-file.yml", look: "head -3 DIR/out/account_flags.jsonl",
	}
	dsn, named := pgwire.Nearby(PostgresVariable, os.LookupEnv)
	if dsn == "" {
		return inFile, nil
	}
	short, stop := context.WithTimeout(ctx, 3*time.Second)
	defer stop()
	err := prepare(short, dsn)
	switch {
	case ctx.Err() != nil:
		return product{}, ctx.Err()
	case err != nil && named:
		return product{}, fault.New(fault.DestUnreachable, "preparing the server that %s names: it did not answer, or refused to make the table upwell_demo.account_flags", PostgresVariable).
			WithFix("correct %s, or unset it to use a file", PostgresVariable)
	case err != nil:
		inFile.title = "out/account_flags.jsonl, a file: the PostgreSQL server of your PG variables cannot be used"
		return inFile, nil
	}
	if err := os.Setenv(PostgresVariable, dsn); err != nil {
		return product{}, fault.Wrap(fault.Internal, err, "setting %s", PostgresVariable)
	}
	return product{kind: "postgres", title: "the table upwell_demo.account_flags in your PostgreSQL server", file: "product-postgres.yml"}, nil
}

// prepare makes the table, in a schema of the demo's own.
func prepare(ctx context.Context, dsn string) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what was asked is done, or reported
	_, err = c.Exec(ctx, table)
	return err
}
