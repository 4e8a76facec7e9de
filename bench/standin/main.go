// Command standin runs the stand-in of a warehouse with the workload in it, in a process of its own: what it computes and encodes must
// not count as the reader's. It prints the settings that connect to it, as JSON, and ends with its standard input.
//
//	standin [-gzip] TYPE CSV [DSN]     DSN of an empty PostgreSQL database, for redshift
//
// With -gzip the parts of an answer of Snowflake's are compressed, as the service does.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/connectors/databricks/databrickstest"
	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/connectors/snowflake/snowflaketest"
)

const listen = "127.0.0.1:0"

// tables are the workload's table in each warehouse's types; the rows are the same.
var tables = map[string]string{
	"snowflake": `CREATE TABLE accounts (id BIGINT, email VARCHAR, name VARCHAR, seats INT, health_score FLOAT, mrr NUMBER(12, 2), is_active BOOLEAN,
		last_seen TIMESTAMP_LTZ, plan VARCHAR, country VARCHAR, tickets_30d INT)`,
	"bigquery": `CREATE TABLE accounts (id INT64, email STRING, name STRING, seats INT64, health_score FLOAT64, mrr NUMERIC(12, 2), is_active BOOL,
		last_seen TIMESTAMP, plan STRING, country STRING, tickets_30d INT64)`,
	"databricks": `CREATE TABLE accounts (id BIGINT, email STRING, name STRING, seats INT, health_score DOUBLE, mrr DECIMAL(12, 2), is_active BOOLEAN,
		last_seen TIMESTAMP, plan STRING, country STRING, tickets_30d INT)`,
	"redshift": `CREATE TABLE accounts (id bigint, email varchar(256), name varchar(256), seats int, health_score double precision, mrr decimal(12, 2),
		is_active boolean, last_seen timestamptz, plan varchar(64), country char(2), tickets_30d int)`,
}

func main() {
	zip := flag.Bool("gzip", false, "compress the parts of Snowflake's answers")
	flag.Parse()
	if err := run(context.Background(), *zip, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, zip bool, args []string) error {
	if len(args) < 2 || tables[args[0]] == "" || args[0] == "redshift" && len(args) < 3 {
		return fmt.Errorf("usage: standin [-gzip] snowflake|bigquery|databricks|redshift CSV [DSN]")
	}
	settings, stop, err := start(ctx, zip, args)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(settings); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return stop()
}

// start gives the settings, and what ends the stand-in.
func start(ctx context.Context, zip bool, args []string) (map[string]string, func() error, error) {
	create, csv := tables[args[0]], args[1]
	load := "INSERT INTO accounts SELECT * FROM read_csv('" + strings.ReplaceAll(csv, "'", "''") + "', header = true, all_varchar = true)"
	switch args[0] {
	case "snowflake":
		s, err := snowflaketest.Start(ctx, listen)
		if err != nil {
			return nil, nil, err
		}
		s.Configure(func(o *snowflaketest.Options) { o.Gzip = zip })
		return s.Settings(), s.Close, s.Exec(ctx, create+";"+load)
	case "bigquery":
		s, err := bigquerytest.Start(ctx, listen, bigquerytest.Options{})
		if err != nil {
			return nil, nil, err
		}
		return s.Settings(), s.Close, s.Exec(ctx, create, load)
	case "databricks":
		s, err := databrickstest.Start(ctx, listen)
		if err != nil {
			return nil, nil, err
		}
		return s.Settings(), s.Close, s.Exec(ctx, create, load)
	}
	return cluster(ctx, args[2], create, csv)
}

const user = "upwell"

// cluster stands in for Redshift on a PostgreSQL database.
func cluster(ctx context.Context, dsn, create, csv string) (map[string]string, func() error, error) {
	s, err := redshifttest.Start(ctx, redshifttest.Options{
		Postgres: dsn, Listen: listen, Users: map[string]redshifttest.User{user: {Password: "of-the-benchmark"}},
	})
	if err != nil {
		return nil, nil, err
	}
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close(ctx) //nolint:errcheck // done with it
	if _, err := c.Exec(ctx, create); err != nil {
		return nil, nil, err
	}
	f, err := os.Open(csv)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	if _, err := c.PgConn().CopyFrom(ctx, f, "COPY accounts FROM STDIN (FORMAT csv, HEADER)"); err != nil {
		return nil, nil, err
	}
	return s.Settings(user), s.Close, nil
}
