package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/cli"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/demo"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/testdb"
)

// command calls the command line as a process would.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = cli.Main(args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// quiet lets a demo see no PostgreSQL server.
func quiet(t *testing.T) {
	t.Helper()
	t.Setenv(demo.PostgresVariable, "")
	t.Setenv("PGHOST", "")
}

// accounts gives what the CRM holds by account, without times that only say when.
func accounts(t *testing.T, crm *salesforcetest.Server) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range crm.Records("Account") {
		id := fmt.Sprint(r["Account_Number__c"])
		for _, f := range []string{"CreatedDate", "LastModifiedDate", "SystemModstamp"} {
			delete(r, f)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out[id] = string(b)
	}
	return out
}

func Test_the_demo_sends_changes_only_and_explains_what_was_refused(t *testing.T) {
	quiet(t)
	dir := filepath.Join(t.TempDir(), "demo")
	var out bytes.Buffer
	seen := map[demo.Step]map[string]string{}
	r, err := demo.Run(t.Context(), demo.Options{
		Dir: dir, Rows: 300, Seed: 1, Out: &out, Program: "upwell",
		Upwell: func(_ context.Context, w io.Writer, args ...string) int {
			return cli.Main(args, strings.NewReader(""), w, w)
		},
		After: func(step demo.Step, crm *salesforcetest.Server) { seen[step] = accounts(t, crm) },
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if len(seen[demo.Generated]) != 0 || len(seen[demo.First]) != 300 || r.CRM[demo.First].Records != 300 || r.CRM[demo.Changed].Records != 0 {
		t.Errorf("the first run left %d accounts: %+v", len(seen[demo.First]), r.CRM)
	}
	before, after := seen[demo.First], seen[demo.Second]
	different := 0
	for id := range union(before, after) {
		if before[id] != after[id] {
			different++
		}
	}
	switch w := r.CRM[demo.Second]; {
	case different < 4 || different > 20:
		t.Errorf("%d accounts differ after a day", different)
	case w.Records != different || w.Requests > 2:
		t.Errorf("%d accounts differ, and the CRM was written %d records in %d requests", different, w.Records, w.Requests)
	case len(after) != 300:
		t.Errorf("one cancelled and one signed up, and there are %d accounts", len(after))
	}
	if !maps.Equal(seen[demo.Second], seen[demo.Refused]) {
		t.Error("a refused record changed the CRM")
	}
	if a, b := seen[demo.Refused][r.Refused], seen[demo.Mended][r.Refused]; a == b || b == "" || r.CRM[demo.Mended].Records != 1 {
		t.Errorf("the refused record was not delivered after all: %s, %+v", b, r.CRM)
	}
	text := out.String()
	for _, want := range []string{
		"FIELD_CUSTOM_VALIDATION_EXCEPTION", "under legal review", "$ upwell rejects", "$ upwell explain health_to_crm " + r.Refused, "1 rejected",
		"Only the changes went out",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the demo does not show %q", want)
		}
	}
	if regexp.MustCompile(`\x1b|\r|panic|%!`).MatchString(text) {
		t.Errorf("the demo prints for a terminal where there is none:\n%s", text)
	}

	// The stand-ins are gone; what was done can still be looked at.
	for _, args := range [][]string{{"status"}, {"runs"}, {"run-log", "latest"}, {"rejects"}, {"preview", "at_risk_accounts"}} {
		if code, stdout, stderr := command(append([]string{"-C", dir}, args...)...); code != fault.ExitOK || stdout == "" {
			t.Errorf("after the demo, upwell %s ends with %d: %s", strings.Join(args, " "), code, stderr)
		}
	}
	code, stdout, stderr := command("-C", dir, "--json", "explain", "health_to_crm", r.Refused)
	var x struct {
		State, Note string
		Mapped      map[string]any
	}
	if err := json.Unmarshal([]byte(stdout), &x); err != nil || code != fault.ExitOK || x.State != "in_sync" || x.Note == "" || x.Mapped == nil {
		t.Errorf("after the demo, explain says %+v (exit %d, %v): %s", x, code, err, stderr)
	}
}

func union[V any](a, b map[string]V) map[string]bool {
	out := map[string]bool{}
	for id := range a {
		out[id] = true
	}
	for id := range b {
		out[id] = true
	}
	return out
}

func Test_the_demo_answers_in_one_document_and_refuses_a_folder_in_use(t *testing.T) {
	quiet(t)
	dir := t.TempDir() // empty, so it may be used
	code, stdout, stderr := command("demo", "--json", "--once", "--dir", dir, "--rows", "100", "--seed", "7")
	var doc struct {
		SchemaVersion int `json:"schema_version"`
		demo.Result
	}
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil || code != fault.ExitOK {
		t.Fatalf("exit %d, %v: %s\n%s", code, err, stdout, stderr)
	}
	if doc.SchemaVersion != 1 || doc.Dir != dir || doc.Rows != 100 || doc.Seed != 7 || doc.Product != "file" || doc.CRM[demo.First].Records != 100 {
		t.Errorf("%+v", doc)
	}
	if !strings.Contains(stderr, "$ upwell run") {
		t.Errorf("the story is not on standard error: %s", stderr)
	}
	lines, err := os.ReadFile(filepath.Join(dir, "out", "account_flags.jsonl"))
	if n := bytes.Count(lines, []byte("\n")); err != nil || n != 100 {
		t.Errorf("the product database holds %d lines, %v", n, err)
	}
	code, _, stderr = command("demo", "--dir", dir)
	if code != fault.ExitUsage || !strings.Contains(stderr, "is not empty") {
		t.Errorf("a second demo in the same folder ends with %d: %s", code, stderr)
	}
	if code, _, stderr = command("demo", "--rows", "3"); code != fault.ExitUsage || !strings.Contains(stderr, "100 to") {
		t.Errorf("a demo of three accounts ends with %d: %s", code, stderr)
	}
}

func Test_the_demo_writes_to_a_postgres_server_that_is_named_for_it(t *testing.T) {
	dsn := testdb.Postgres(t)
	t.Setenv(demo.PostgresVariable, dsn)
	code, stdout, stderr := command("demo", "--json", "--once", "--dir", t.TempDir(), "--rows", "100")
	if code != fault.ExitOK || !strings.Contains(stdout, `"product": "postgres"`) {
		t.Fatalf("exit %d: %s\n%s", code, stdout, stderr)
	}
	if strings.Contains(stdout+stderr, dsn) {
		t.Error("the demo prints the server's connection string")
	}
	t.Setenv(demo.PostgresVariable, "postgres://upwell@127.0.0.1:1/none?sslmode=disable&connect_timeout=2")
	if code, _, stderr = command("demo", "--once", "--dir", t.TempDir(), "--rows", "100"); code != fault.ExitEnvironment {
		t.Errorf("a server that does not answer ends the demo with %d: %s", code, stderr)
	}
}

func Test_the_demo_says_what_a_warehouse_lacks(t *testing.T) {
	quiet(t)
	code, _, stderr := command("demo", "--once", "--dir", t.TempDir(), "--warehouse", "teradata")
	if code != fault.ExitUsage || !strings.Contains(stderr, `no warehouse "teradata"`) || !strings.Contains(stderr, "duckdb, snowflake, bigquery, databricks, redshift") {
		t.Errorf("a warehouse that is not known ends the demo with %d: %s", code, stderr)
	}
	code, _, stderr = command("demo", "--once", "--dir", t.TempDir(), "--warehouse", "redshift")
	if code != fault.ExitUsage || !strings.Contains(stderr, "computes with a PostgreSQL server") || !strings.Contains(stderr, "set "+demo.PostgresVariable+"=") {
		t.Errorf("Redshift without a PostgreSQL server ends the demo with %d: %s", code, stderr)
	}
	code, _, stderr = command("sandbox", "redshift")
	if code != fault.ExitUsage || !strings.Contains(stderr, "computes with a PostgreSQL server") || !strings.Contains(stderr, "set UPWELL_SANDBOX_POSTGRES=") {
		t.Errorf("a sandbox of Redshift without one ends with %d: %s", code, stderr)
	}
}

// The file of the project that names the warehouse has all that connects to it, also what a stand-in makes up anew.
func Test_the_demo_leaves_a_project_that_says_what_its_warehouse_was(t *testing.T) {
	quiet(t)
	dir, temp := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	code, stdout, stderr := command("demo", "--json", "--once", "--dir", dir, "--rows", "100", "--warehouse", "databricks")
	if code != fault.ExitOK || !strings.Contains(stdout, `"warehouse": "databricks"`) || !strings.Contains(stderr, "a stand-in of Databricks on 127.0.0.1:") {
		t.Fatalf("exit %d: %s\n%s", code, stdout, stderr)
	}
	file, err := os.ReadFile(filepath.Join(dir, "warehouse.yml"))
	if err != nil || !strings.Contains(string(file), "type: databricks") {
		t.Errorf("warehouse.yml is %s, %v", file, err)
	}
	if code, stdout, _ := command("-C", dir, "status"); code != fault.ExitOK || !strings.Contains(stdout, "health_to_crm") {
		t.Errorf("after the demo, status ends with %d: %s", code, stdout)
	}
	if strings.Contains(stderr, "preview at_risk_accounts") {
		t.Error("the demo tells to preview a model whose warehouse is gone")
	}
	left, err := os.ReadDir(temp)
	for _, e := range left {
		if strings.HasPrefix(e.Name(), "upwell-") {
			t.Errorf("the demo left %s behind", e.Name())
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// The same seed makes the same company whenever and wherever, another seed another one.
func Test_the_demo_is_the_same_for_the_same_seed(t *testing.T) {
	quiet(t)
	show := func(seed uint64) []string {
		var rows []string
		_, err := demo.Run(t.Context(), demo.Options{
			Dir: filepath.Join(t.TempDir(), "demo"), Rows: 100, Seed: seed, Out: io.Discard, Program: "upwell",
			Upwell: func(_ context.Context, _ io.Writer, args ...string) int {
				code, stdout, stderr := command(append(args[:2:2], "--json", "preview", "customer_health", "--limit", "200")...)
				if code != fault.ExitOK {
					t.Fatal(stderr)
				}
				var doc struct{ Rows []json.RawMessage }
				if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
					t.Fatal(err)
				}
				for _, r := range doc.Rows {
					rows = append(rows, string(r))
				}
				return -1
			},
		})
		if err == nil || len(rows) != 100 {
			t.Fatalf("%v after %d rows", err, len(rows))
		}
		slices.Sort(rows)
		return rows
	}
	if a, b := show(1), show(1); !slices.Equal(a, b) {
		t.Error("the same seed made two companies")
	} else if slices.Equal(a, show(2)) {
		t.Error("two seeds made the same company")
	}
}

func Test_an_interrupt_ends_the_demo_in_good_order(t *testing.T) {
	quiet(t)
	ctx, cancel := context.WithCancel(t.Context())
	dir := filepath.Join(t.TempDir(), "demo")
	var crm string
	_, err := demo.Run(ctx, demo.Options{
		Dir: dir, Rows: 100, Seed: 1, Out: io.Discard, Program: "upwell",
		Upwell: func(_ context.Context, w io.Writer, args ...string) int {
			crm = os.Getenv("UPWELL_DEMO_CRM_URL")
			if slices.Contains(args, "run") {
				cancel()
			}
			return cli.Main(args, strings.NewReader(""), w, w)
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the demo ended with %v", err)
	}
	if _, stdout, stderr := command("-C", dir, "plan", "health_to_crm"); !strings.Contains(stdout+stderr, "DESTINATION_UNREACHABLE") {
		t.Errorf("the stand-in on %s still answers: %s", crm, stdout+stderr)
	}
}
