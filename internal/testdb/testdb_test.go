package testdb

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
)

func Test_each_postgres_database_is_empty_and_gone_afterwards(t *testing.T) {
	var dsn string
	t.Run("use", func(t *testing.T) {
		dsn = Postgres(t)
		if other := Postgres(t); other == dsn {
			t.Fatalf("two tests share %s", dsn)
		}
		// The connection stays open on purpose: dropping must not wait for it.
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		var tables int
		if err := conn.QueryRow(t.Context(), `select count(*) from pg_tables where schemaname = 'public'`).Scan(&tables); err != nil || tables != 0 {
			t.Fatalf("got %d tables, error %v; want none", tables, err)
		}
		var zone string
		if err := conn.QueryRow(t.Context(), `show timezone`).Scan(&zone); err != nil || zone != "UTC" {
			t.Fatalf("got time zone %q, error %v; want UTC", zone, err)
		}
	})
	conn, err := pgx.Connect(t.Context(), dsn)
	if err == nil {
		conn.Close(t.Context())
		t.Fatal("the database still exists after the test")
	}
	if !strings.Contains(err.Error(), "does not exist") {
		t.Fatalf("got %v; want: does not exist", err)
	}
}

func Test_each_mysql_database_is_empty_and_gone_afterwards(t *testing.T) {
	var dsn string
	tables := func(ctx context.Context) (n int, err error) {
		db, err := sql.Open("mysql", dsn)
		if err != nil {
			return 0, err
		}
		defer db.Close()
		err = db.QueryRowContext(ctx, `select count(*) from information_schema.tables where table_schema = database()`).Scan(&n)
		return n, err
	}
	t.Run("use", func(t *testing.T) {
		dsn = MySQL(t)
		if other := MySQL(t); other == dsn {
			t.Fatalf("two tests share %s", dsn)
		}
		if n, err := tables(t.Context()); err != nil || n != 0 {
			t.Fatalf("got %d tables, error %v; want none", n, err)
		}
	})
	if _, err := tables(t.Context()); err == nil || !strings.Contains(err.Error(), "Unknown database") {
		t.Fatalf("got %v; want: Unknown database", err)
	}
}

// The test binary calls itself without the variables: a test that needs a server must fail and say what to do.
func Test_without_a_server_a_test_fails_with_the_remedy(t *testing.T) {
	if os.Getenv("TESTDB_CHILD") != "" {
		t.Run("postgres", func(t *testing.T) { Postgres(t) })
		t.Run("mysql", func(t *testing.T) { MySQL(t) })
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = []string{"TESTDB_CHILD=1"}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("the child passed without a server:\n%s", out)
	}
	for _, want := range []string{"--- FAIL: " + t.Name() + "/postgres", "--- FAIL: " + t.Name() + "/mysql", "make test", "scripts/with-servers go test"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("missing %q in:\n%s", want, out)
		}
	}
}
