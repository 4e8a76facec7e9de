// Package testdb gives tests a database of their own on a real server, and certificates.
//
// The servers are started by scripts/with-servers, which leaves their addresses in UPWELL_TEST_POSTGRES and UPWELL_TEST_MYSQL, and
// the certificate they offer in UPWELL_TEST_CA.
// A test that needs a server and finds no address fails with the remedy; it is never skipped.
package testdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
)

// The variables that hold the servers' addresses.
const (
	PostgresVariable = "UPWELL_TEST_POSTGRES" // a URL of a superuser
	MySQLVariable    = "UPWELL_TEST_MYSQL"    // a go-sql-driver DSN of a superuser
	CAVariable       = "UPWELL_TEST_CA"       // a file: the certificate of both servers, for the name localhost
)

// patience bounds creating and dropping a database: a test that leaves a transaction open fails instead of hanging.
const patience = 30 * time.Second

// Postgres creates an empty database and gives its DSN, a URL for pgx. The database is dropped when the test ends, also when
// connections to it are still open.
func Postgres(t testing.TB) string {
	t.Helper()
	server := address(t, PostgresVariable)
	name := unique(t)
	postgres(t, server, `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING 'UTF8'`)
	t.Cleanup(func() { postgres(t, server, `DROP DATABASE `+name+` WITH (FORCE)`) })
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		t.Fatalf("reading %s: want a URL like postgres://upwell@127.0.0.1:5432/postgres", PostgresVariable)
	}
	u.Path = "/" + name
	return u.String()
}

// MySQL creates an empty database (utf8mb4) and gives its DSN for go-sql-driver. The database is dropped when the test ends.
func MySQL(t testing.TB) string {
	t.Helper()
	server := address(t, MySQLVariable)
	name := unique(t)
	cfg, err := mysql.ParseDSN(server)
	if err != nil {
		t.Fatalf("reading %s: %v", MySQLVariable, err)
	}
	mySQL(t, cfg, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	drop := cfg.Clone()
	t.Cleanup(func() { mySQL(t, drop, "DROP DATABASE "+name) })
	cfg.DBName, cfg.TLSConfig = name, "false" // as for PostgreSQL: tests that cut connections count the protocol's own bytes
	return cfg.FormatDSN()
}

// CA gives the file with the certificate both servers offer, which is its own authority. It is for the name localhost, and for
// no address.
func CA(t testing.TB) string {
	t.Helper()
	return address(t, CAVariable)
}

func address(t testing.TB, variable string) string {
	t.Helper()
	a := strings.TrimSpace(os.Getenv(variable))
	if a == "" {
		t.Fatalf("this test needs a database server: run `make test`, or `scripts/with-servers go test ...` (%s is not set)", variable)
	}
	return a
}

// unique makes a database name that no other test, process or run uses.
func unique(t testing.TB) string {
	t.Helper()
	b := make([]byte, 8)
	if _, err := rand.Read(b); err != nil {
		t.Fatalf("making a database name: %v", err)
	}
	return "upwell_test_" + hex.EncodeToString(b)
}

// postgres runs one statement on a connection of its own. It may be called after the test's context has ended.
func postgres(t testing.TB, dsn, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Errorf("connecting to the server of %s: %v", PostgresVariable, err)
		t.FailNow()
	}
	_, err = conn.Exec(ctx, statement)
	if closing := conn.Close(ctx); err == nil {
		err = closing
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// mySQL runs one statement on a connection of its own. It may be called after the test's context has ended.
func mySQL(t testing.TB, cfg *mysql.Config, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatalf("reading %s: %v", MySQLVariable, err)
	}
	db := sql.OpenDB(connector)
	_, err = db.ExecContext(ctx, statement)
	if closing := db.Close(); err == nil {
		err = closing
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
