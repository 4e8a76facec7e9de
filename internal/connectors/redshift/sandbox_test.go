package redshift_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/redshift"
	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/testdb"
)

func newSandbox(t *testing.T) (b *redshifttest.Sandbox, dsn string) {
	t.Helper()
	dsn = testdb.Postgres(t)
	t.Setenv(redshifttest.PostgresVariable, dsn)
	s, err := redshift.Source().Sandbox(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b = s.(*redshifttest.Sandbox)
	return b, dsn
}

// databases gives those that sandboxes have made in a server.
func databases(t *testing.T, dsn, like string) []string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	rows, err := c.Query(t.Context(), "SELECT datname FROM pg_database WHERE datname = $1", like)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func Test_a_sandbox_is_a_database_that_goes_with_it(t *testing.T) {
	b, dsn := newSandbox(t)
	name := b.Settings()["database"]
	if got := databases(t, dsn, name); len(got) != 1 {
		t.Errorf("the server has no database %s", name)
	}
	if err := b.Exec(t.Context(), "CREATE TABLE t (id INTEGER, name VARCHAR, on_day DATE, amount DECIMAL(12, 2)) DISTSTYLE ALL"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "t.csv")
	if err := os.WriteFile(file, []byte("name,id,amount,on_day\n\"a, \"\"b\"\"\",1,1.50,2026-02-28\n,2,,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Load(t.Context(), "T", file); err != nil {
		t.Fatal(err)
	}
	s, err := redshift.Source().Open(t.Context(), config(b.Settings()), connector.Env{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(t.Context(), s, connector.Query{SQL: "SELECT id, name, on_day, amount FROM t ORDER BY id"})
	if want := []string{`1|a, "b"|2026-02-28|1.50`, "2|null|null|null"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("read %q, %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if got := databases(t, dsn, name); len(got) != 0 {
		t.Errorf("closed, and the server still has %v", got)
	}
}

// The port that speaks PostgreSQL's protocol also answers who looks into the stand-in.
func Test_a_sandbox_can_be_looked_into_and_made_to_misbehave(t *testing.T) {
	b, _ := newSandbox(t)
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	call := func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.Addr()+"/_sandbox/"+path, bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, strings.TrimSpace(string(text))
	}
	check := func() error {
		s := open(t, b.Settings())
		return s.Check(t.Context())
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "records/t", "", 404, "does not exist"},
		{"POST", "sql", "CREATE TABLE t (id INTEGER, v VARCHAR); INSERT INTO t VALUES (7, NULL)", 204, ""},
		{"POST", "sql", "CREATE INDEX i ON t (id)", 400, "CREATE INDEX is not supported"},
		{"GET", "records/t", "", 200, `[{"id":7,"v":null}]`},
		{"GET", "records/public.T", "", 200, `[{"id":7,"v":null}]`},
		{"POST", "faults", `{"status": 503}`, 400, "unknown field"},
		{"POST", "faults", `{"trouble": "rain"}`, 400, "cut, kill, expire or swallow"},
		{"POST", "faults", b.Trouble(), 204, ""},
		{"POST", "clear_faults", "", 204, ""},
		{"POST", "faults", `{"resize": true, "conflicts": 1}`, 204, ""},
		{"POST", "sql", "INSERT INTO t VALUES (8, 'faults do not reach this')", 204, ""},
	} {
		if status, text := call(c.method, c.path, c.body); status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s %s %s: got %d %s", c.method, c.path, c.body, status, text)
		}
	}
	if err := check(); err != nil {
		t.Error(err)
	}
	if status, _ := call("POST", "faults", `{"pause": true}`); status != 204 || check() == nil {
		t.Errorf("a paused cluster takes connections (%d)", status)
	}
	if status, _ := call("POST", "clear_faults", ""); status != 204 || check() != nil {
		t.Errorf("the cluster stays paused (%d)", status)
	}
}

func Test_a_sandbox_without_its_server_says_how_to_get_one(t *testing.T) {
	dsn := testdb.Postgres(t)
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	role := "plain_" + c.Config().Database
	if _, err := c.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := c.Exec(context.Background(), "DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	}()
	t.Setenv("PGHOST", "")
	for named, want := range map[string]struct {
		code fault.Code
		says string
	}{
		"": {fault.UsageUnknown, "none is named"},
		"postgres://x:password-canary-77@127.0.0.1:1/x": {fault.SourceUnreachable, "cannot be reached"},
		strings.Replace(dsn, "upwell@", role+"@", 1):    {fault.SourceAuth, "must be a superuser"},
	} {
		t.Setenv(redshifttest.PostgresVariable, named)
		_, err := redshift.Source().Sandbox(t.Context(), "127.0.0.1:0")
		f := fault.As(err)
		if err == nil || f.Code != want.code || !strings.Contains(f.Message, want.says) || !strings.Contains(f.Fix, "set "+redshifttest.PostgresVariable+"=") {
			t.Errorf("with %q: %v, fix: %s", named, err, f.Fix)
		}
		if strings.Contains(err.Error()+f.Fix, "canary") {
			t.Errorf("a password is shown: %v", err)
		}
	}
}
