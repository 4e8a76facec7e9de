package mistakes_test

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2" // makes a warehouse
	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/connectors/databricks/databrickstest"
	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/connectors/snowflake/snowflaketest"
	"github.com/upwelldata/upwell/internal/testdb"
)

// warehouse is a stand-in, or a server, with the table accounts in it.
type warehouse struct {
	typ      string
	settings map[string]string
	scrub    []string // what differs from run to run: addresses, keys
	// hide takes the right to read accounts away, as an administrator would who forgot a grant.
	hide func()
	// bar takes the right to make tables in the ledger's schema.
	bar func()
	// wrong lays wrong credentials over the settings, where they must look like right ones.
	wrong func()
}

// start starts a fresh one.
func start(t *testing.T, typ string) *warehouse {
	t.Helper()
	w := map[string]func(*testing.T) *warehouse{"snowflake": snowflake, "bigquery": bigquery, "databricks": databricks, "redshift": redshift, "postgres": postgres, "duckdb": duckdb}[typ](t)
	w.typ = typ
	for _, name := range []string{"host", "port", "endpoint", "dsn", "database", "credentials"} {
		if v := w.settings[name]; len(v) > 3 && v != "STANDIN" {
			w.scrub = append(w.scrub, v, strings.TrimPrefix(v, "http://"))
		}
	}
	return w
}

func ended(t *testing.T, end func() error) {
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func snowflake(t *testing.T) *warehouse {
	s, err := snowflaketest.Start(t.Context(), "127.0.0.1:0")
	must(t, err)
	ended(t, s.Close)
	must(t, s.Exec(t.Context(), "CREATE TABLE accounts (id INT, name VARCHAR); CREATE TABLE odd (id INT, name VARCHAR, vec VECTOR(FLOAT, 3)); INSERT INTO accounts (id, name) VALUES (1, 'Ada')"))
	return &warehouse{
		settings: s.Settings(), hide: func() { s.Hide("ACCOUNTS", true) },
		bar: func() {
			s.Inject(snowflaketest.Fault{On: "query", Skip: 2, Times: -1, Code: "003001", State: "42501", Message: "SQL access control error:\nInsufficient privileges to operate on database 'STANDIN'"})
		},
	}
}

func bigquery(t *testing.T) *warehouse {
	s, err := bigquerytest.Start(t.Context(), "127.0.0.1:0", bigquerytest.Options{})
	must(t, err)
	ended(t, s.Close)
	must(t, s.Exec(t.Context(), "CREATE TABLE accounts (id INT64, name STRING)", "INSERT INTO accounts VALUES (1, 'Ada')"))
	w := &warehouse{settings: s.Settings()}
	w.wrong = func() {
		key, err := s.WrongKey()
		must(t, err)
		w.settings["credentials"] = key
		w.scrub = append(w.scrub, key)
	}
	w.hide = func() {
		s.Inject(bigquerytest.Fault{
			On: "insert", Times: -1, Status: 403, Reason: "accessDenied",
			Message: "Access Denied: Table acme-test:sales.accounts: User does not have bigquery.tables.getData permission for table acme-test:sales.accounts.",
		})
	}
	w.bar = func() {
		s.Inject(bigquerytest.Fault{
			On: "insert", Skip: 1, Times: -1, Status: 403, Reason: "accessDenied",
			Message: "Access Denied: Dataset acme-test:upwell: Permission bigquery.tables.create denied on dataset acme-test:upwell (or it may not exist).",
		})
	}
	return w
}

func databricks(t *testing.T) *warehouse {
	s, err := databrickstest.Start(t.Context(), "127.0.0.1:0")
	must(t, err)
	ended(t, s.Close)
	must(t, s.Exec(t.Context(), "CREATE TABLE accounts (id BIGINT, name STRING)", "INSERT INTO accounts VALUES (1, 'Ada')"))
	return &warehouse{
		settings: s.Settings(),
		hide: func() {
			s.Refuse("accounts", "[INSUFFICIENT_PERMISSIONS] Insufficient privileges:\nUser does not have SELECT on Table 'workspace.default.accounts'. SQLSTATE: 42501", 100)
		},
		bar: func() {
			s.Refuse("CREATE", "PERMISSION_DENIED: User does not have CREATE SCHEMA on Catalog 'workspace'.", 100)
		},
	}
}

// guest makes a role of a PostgreSQL server that may read the table and nothing else, and gives what takes its rights.
func guest(t *testing.T, dsn, user string) func(sql string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	do := func(sql string) {
		t.Helper()
		_, err := c.Exec(context.Background(), sql)
		must(t, err)
	}
	do("CREATE ROLE " + user + " LOGIN")
	t.Cleanup(func() {
		do("DROP OWNED BY " + user + " CASCADE")
		do("DROP ROLE " + user)
		must(t, c.Close(context.Background()))
	})
	return do
}

const password = "right-password-1"

func redshift(t *testing.T) *warehouse {
	dsn := testdb.Postgres(t)
	do := guest(t, dsn, "mistakes_redshift")
	s, err := redshifttest.Start(t.Context(), redshifttest.Options{Postgres: dsn, Users: map[string]redshifttest.User{"upwell": {Password: password, Role: "mistakes_redshift"}}})
	must(t, err)
	ended(t, s.Close)
	do("CREATE TABLE accounts (id bigint, name varchar(100)); CREATE TABLE odd (id bigint, name varchar(100), spot geometry); INSERT INTO accounts (id, name) VALUES (1, 'Ada'); GRANT SELECT ON accounts, odd TO mistakes_redshift")
	return &warehouse{settings: s.Settings("upwell"), hide: func() { do("REVOKE SELECT ON accounts FROM mistakes_redshift") }, bar: func() {}}
}

func postgres(t *testing.T) *warehouse {
	dsn := testdb.Postgres(t)
	do := guest(t, dsn, "mistakes_postgres")
	do("CREATE TABLE accounts (id bigint, name text); INSERT INTO accounts (id, name) VALUES (1, 'Ada'); GRANT SELECT ON accounts TO mistakes_postgres")
	u, err := url.Parse(dsn)
	must(t, err)
	settings := map[string]string{"host": u.Hostname(), "port": u.Port(), "user": "mistakes_postgres", "database": strings.TrimPrefix(u.Path, "/"), "sslmode": "disable"}
	return &warehouse{settings: settings, hide: func() { do("REVOKE SELECT ON accounts FROM mistakes_postgres") }, bar: func() {}}
}

// duckdb is a file with a schema of the system's own in place of the ledger's.
func duckdb(t *testing.T) *warehouse {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	db, err := sql.Open("duckdb", path)
	must(t, err)
	_, err = db.Exec("CREATE TABLE accounts AS SELECT 1 AS id, 'Ada' AS name")
	must(t, err)
	must(t, db.Close())
	w := &warehouse{settings: map[string]string{"path": path}, scrub: []string{path}}
	w.bar = func() { w.settings["state_schema"] = "pg_catalog" }
	return w
}
