// Package mistakes_test proves from the outside how mistakes with a warehouse are told: each in the words of its place, its cause and
// its remedy, with the exit code of the contract, and without a byte sent to the tool.
package mistakes_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upwelldata/upwell/internal/cli"
)

var update = flag.Bool("update", false, "rewrite golden files")

var warehouses = []string{"snowflake", "bigquery", "databricks", "redshift"}

// mistake is one thing people get wrong.
type mistake struct {
	name  string
	code  int
	with  map[string]string // settings laid over good ones; "" takes one away
	model string            // lines of the model; "" = table: accounts
	dbt   string            // a manifest
	do    func(*warehouse)
	says  []string // the cause, its place and its remedy
}

func settings(pairs ...string) map[string]string {
	out := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// of gives the mistakes people make with a warehouse.
func of(typ string) []mistake {
	return slices.Concat(logins[typ], places[typ], tables(typ), []mistake{
		{name: "a missing grant", code: 1, do: func(w *warehouse) { w.hide() }, says: []string{grants[typ]}},
		{name: "a type that cannot be carried", code: 2, model: "sql: " + odd[typ][0], says: []string{odd[typ][1], odd[typ][2]}},
		{name: "a manifest of an unknown version", code: 2, model: "dbt: accounts", dbt: manifest("v99"), says: []string{"v99", "accept_newer"}},
		{name: "a model that is not in the manifest", code: 2, model: "dbt: acounts", dbt: manifest("v12"), says: []string{"acounts", "did you mean `accounts`?"}},
		unwritable(typ),
	})
}

// tables are names of tables that are not there.
func tables(typ string) []mistake {
	return []mistake{
		{name: "a missing table", code: 1, model: "table: acounts", says: []string{"did you mean `accounts`?"}},
		{name: "a missing table of a schema", code: 1, model: "table: " + schemas[typ] + ".acounts", says: []string{"did you mean `" + schemas[typ] + ".accounts`?"}},
		{name: "a missing table unlike any other", code: 1, model: "table: zebra", says: []string{"Check the name"}},
	}
}

// unwritable is a schema of Upwell's own in which it may not write.
func unwritable(typ string) mistake {
	return mistake{name: "a schema for the ledger that cannot be written", code: 5, with: settings("diff", "warehouse"), do: func(w *warehouse) { w.bar() }, says: []string{"STATE_UNUSABLE", barred[typ]}}
}

var barred = map[string]string{
	"snowflake": "upwell grants", "bigquery": "upwell grants", "databricks": "GRANT CREATE SCHEMA ON CATALOG `workspace`", "redshift": "upwell grants",
	"postgres": "upwell grants", "duckdb": "must be writable",
}

var schemas = map[string]string{"snowflake": "public", "bigquery": "sales", "databricks": "default", "redshift": "public", "postgres": "public"}

var grants = map[string]string{
	"snowflake":  "GRANT SELECT ON TABLE STANDIN.PUBLIC.ACCOUNTS TO ROLE UPWELL;",
	"bigquery":   "roles/bigquery.dataViewer",
	"databricks": "GRANT SELECT ON TABLE `workspace`.`default`.`accounts` TO",
	"redshift":   `GRANT SELECT ON "accounts" TO "upwell";`,
}

// odd is a query, the column that cannot be carried, and the cast to write.
var odd = map[string][3]string{
	"snowflake":  {"select id, name, vec from odd", `"vec"`, `"VEC"::ARRAY AS "VEC"`},
	"bigquery":   {"select 1 as id, 'a' as name, RANGE<DATE> '[2026-01-01, 2026-02-01)' as span", `"span"`, "CAST(`span` AS STRING)"},
	"databricks": {"select 1 as id, 'a' as name, cast('1' as bit) as spot", `"spot"`, "CAST(`spot` AS STRING)"},
	"redshift":   {"select id, name, spot from odd", `"spot"`, `ST_AsEWKT("spot") AS "spot"`},
}

var logins = map[string][]mistake{
	"snowflake":  {{name: "wrong credentials", code: 5, with: settings("token", "wrong-canary"), says: []string{"SOURCE_AUTH", "Check user, token"}}},
	"bigquery":   {{name: "wrong credentials", code: 5, do: func(w *warehouse) { w.wrong() }, says: []string{"SOURCE_AUTH", "key in the credentials"}}},
	"databricks": {{name: "wrong credentials", code: 5, with: settings("client_secret", "wrong-canary"), says: []string{"SOURCE_AUTH", "client_secret"}}},
	"redshift":   {{name: "wrong credentials", code: 5, with: settings("password", "wrong-canary"), says: []string{"SOURCE_AUTH", "password"}}},
}

var places = map[string][]mistake{
	"snowflake": {
		{name: "a missing warehouse", code: 5, with: settings("warehouse", "OTHER_WH"), says: []string{"GRANT USAGE ON WAREHOUSE OTHER_WH TO ROLE UPWELL;"}},
		{name: "a missing database", code: 5, with: settings("database", "OTHER"), says: []string{"GRANT USAGE ON DATABASE OTHER TO ROLE UPWELL;"}},
		{name: "a missing schema", code: 5, with: settings("schema", "OTHER"), says: []string{"GRANT USAGE ON SCHEMA STANDIN.OTHER TO ROLE UPWELL;"}},
		{name: "a missing schema in the model", code: 1, model: "table: slaes.accounts", says: []string{"USAGE ON SCHEMA"}},
	},
	"bigquery": {
		{name: "a missing project", code: 5, with: settings("project", "acme-tset"), says: []string{"acme-tset"}},
		{name: "a missing dataset", code: 1, with: settings("dataset", "slaes"), says: []string{"slaes", "location"}},
		{name: "a missing dataset in the model", code: 1, model: "table: slaes.accounts", says: []string{"slaes"}},
	},
	"databricks": {
		{name: "a missing warehouse", code: 5, with: settings("warehouse_id", "ffffffffffffffff"), says: []string{"ffffffffffffffff", "warehouse_id"}},
		{name: "a missing catalog", code: 1, with: settings("catalog", "main"), says: []string{"Catalog 'main'", "`catalog`"}},
		{name: "a missing schema", code: 1, with: settings("schema", "slaes"), says: []string{"slaes", "`schema`"}},
		{name: "a missing schema in the model", code: 1, model: "table: slaes.accounts", says: []string{"slaes", "catalog.schema.table"}},
	},
	"redshift": {
		{name: "a missing database", code: 5, with: settings("database", "other"), says: []string{`"other"`, "Check `database`"}},
		{name: "a missing schema", code: 1, with: settings("schema", "slaes"), model: "table: elsewhere", says: []string{"`slaes`"}},
		{name: "a missing schema in the model", code: 1, model: "table: slaes.accounts", says: []string{"slaes", "Check the name"}},
	},
}

func manifest(version string) string {
	return `{"metadata":{"dbt_schema_version":"https://schemas.getdbt.com/dbt/manifest/` + version + `.json","generated_at":"2026-03-01T06:00:00Z","project_name":"shop","dbt_version":"1.9.4"},
"nodes":{"model.shop.accounts":{"resource_type":"model","package_name":"shop","name":"accounts","relation_name":"accounts","columns":{},"config":{"materialized":"table"},
"depends_on":{"nodes":[]}}},"sources":{},"disabled":{}}`
}

// project writes the project of one mistake.
func project(t *testing.T, w *warehouse, m mistake) string {
	t.Helper()
	dir := t.TempDir()
	values := maps.Clone(w.settings)
	maps.Copy(values, m.with)
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: acme\nsources:\n  warehouse:\n    type: %s\n", w.typ)
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if v := values[k]; v == "true" {
			fmt.Fprintf(&b, "    %s: true\n", k)
		} else if _, err := strconv.Atoi(v); err == nil && k == "port" {
			fmt.Fprintf(&b, "    %s: %s\n", k, v)
		} else if v != "" {
			fmt.Fprintf(&b, "    %s: %q\n", k, v)
		}
	}
	model := m.model
	if model == "" {
		model = "table: accounts"
	}
	fmt.Fprintf(&b, `destinations:
  out: {type: file, path: out}
models:
  accounts:
    source: warehouse
    key: id
    %s
syncs:
  accounts:
    model: accounts
    destination: out
    object: accounts
    match: {id: id}
    fields: {name: name}
`, model)
	must(t, os.WriteFile(filepath.Join(dir, "upwell.yml"), []byte(b.String()), 0o600))
	if m.dbt != "" {
		must(t, os.Mkdir(filepath.Join(dir, "target"), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "target", "manifest.json"), []byte(m.dbt), 0o600))
	}
	return dir
}

// tell makes a mistake and gives what the program said.
func tell(t *testing.T, w *warehouse, m mistake) string {
	t.Helper()
	if m.do != nil {
		m.do(w)
	}
	dir := project(t, w, m)
	var out bytes.Buffer
	code := cli.Main([]string{"-C", dir, "--no-color", "run", "--wait", "1ms"}, strings.NewReader(""), &out, &out)
	said := out.String()
	if code != m.code {
		t.Errorf("exit code %d, want %d\n%s", code, m.code, said)
	}
	for _, s := range append(slices.Clone(m.says), "upwell.yml:", "fix:") {
		if !strings.Contains(said, s) {
			t.Errorf("it does not say %q:\n%s", s, said)
		}
	}
	for _, bad := range []string{"canary", password, "goroutine", "INTERNAL", "%!"} {
		if strings.Contains(said, bad) {
			t.Errorf("it shows %q:\n%s", bad, said)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "out")); !os.IsNotExist(err) {
		t.Errorf("something was sent (%v)", err)
	}
	said = strings.ReplaceAll(said, dir, "DIR")
	for _, s := range w.scrub {
		said = strings.ReplaceAll(said, s, "HERE")
	}
	for _, r := range volatile {
		said = r.form.ReplaceAllString(said, r.as)
	}
	return fmt.Sprintf("## %s: %s [%d]\n%s\n", w.typ, m.name, code, said)
}

var volatile = []struct {
	form *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(` in [^\n]*? +run `), " in SPAN run "},
	{regexp.MustCompile(`\b01[0-9A-HJKMNP-TV-Z]{24}\b`), "RUN"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "HERE"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b|\b01[0-9a-f]{6}-[0-9a-f-]{27}\b`), "ID"},
}

func Test_mistakes_with_a_warehouse_are_told_with_place_and_remedy(t *testing.T) {
	var all strings.Builder
	for _, typ := range warehouses {
		for _, m := range of(typ) {
			t.Run(typ+"/"+m.name, func(t *testing.T) { all.WriteString(tell(t, start(t, typ), m)) })
		}
	}
	for _, m := range append(tables("postgres"), unwritable("postgres")) {
		t.Run("postgres/"+m.name, func(t *testing.T) { all.WriteString(tell(t, start(t, "postgres"), m)) })
	}
	t.Run("duckdb", func(t *testing.T) { all.WriteString(tell(t, start(t, "duckdb"), unwritable("duckdb"))) })
	golden(t, all.String())
}

func golden(t *testing.T, got string) {
	t.Helper()
	const path = "testdata/warehouses.txt"
	if *update {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); run with -update after looking:\n%s", path, diff)
	}
}
