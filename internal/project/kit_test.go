package project_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

var update = flag.Bool("update", false, "write golden files")

// connectors is a registry with every setting type and the capabilities the checks ask for.
func connectors() project.Registry {
	text := connector.TypeString
	return project.NewRegistry(
		[]connector.Spec{
			{Type: "duckdb", Title: "DuckDB", Settings: []connector.Setting{
				{Name: "path", Type: text, Doc: "Database file."},
				{Name: "memory_limit", Type: connector.TypeSize, Default: "128MiB"},
			}},
			{Type: "postgres", Title: "PostgreSQL", Settings: []connector.Setting{
				{Name: "dsn", Type: text, Secret: true, Doc: "Connection string."},
				{Name: "host", Type: text},
				{Name: "port", Type: connector.TypeInt, Default: "5432"},
				{Name: "password", Type: text, Secret: true},
				{Name: "sslmode", Type: text, Enum: []string{"disable", "require", "verify-full"}, Default: "require"},
			}},
			{Type: "mysql", Title: "MySQL", Settings: []connector.Setting{{Name: "dsn", Type: text, Secret: true}}},
		},
		[]connector.Spec{
			{
				Type: "salesforce", Title: "Salesforce", HTTP: true,
				Modes:   []connector.Mode{connector.ModeUpsert, connector.ModeUpdate, connector.ModeInsert},
				Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete},
				Settings: []connector.Setting{
					{Name: "instance_url", Type: text, Required: true, Doc: "Address of the organisation."},
					{Name: "client_id", Type: text, Required: true, Doc: "Consumer key."},
					{Name: "client_secret", Type: text, Required: true, Secret: true, Doc: "Consumer secret."},
					{Name: "timeout", Type: connector.TypeDuration, Default: "30s"},
				},
			},
			{
				Type: "webhook", Title: "Webhook", HTTP: true, FreeObject: true, NoMatch: true,
				Modes: []connector.Mode{
					connector.ModeUpsert, connector.ModeUpdate, connector.ModeInsert, connector.ModeAppend, connector.ModeMirror,
				},
				Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete, connector.RemovedClear},
				Settings: []connector.Setting{
					{Name: "url", Type: text, Required: true},
					{Name: "method", Type: text, Default: "POST", Enum: []string{"POST", "PUT", "PATCH"}},
					{Name: "headers", Type: connector.TypeMap},
					{Name: "hosts", Type: connector.TypeList},
					{Name: "follow", Type: connector.TypeBool},
					{Name: "timeout", Type: connector.TypeDuration, Default: "30s"},
					{Name: "batch", Type: connector.TypeGroup, Fields: []connector.Setting{
						{Name: "max_rows", Type: connector.TypeInt, Default: "100"},
						{Name: "max_bytes", Type: connector.TypeSize, Default: "1MiB"},
					}},
					{Name: "auth", Type: connector.TypeGroup, Fields: []connector.Setting{
						{Name: "user", Type: text, Required: true},
						{Name: "password", Type: text, Required: true, Secret: true},
					}},
					{Name: "success", Type: connector.TypeCEL, Vars: []string{"status", "headers", "body"}},
				},
			},
			{
				Type: "file", Title: "File", FreeObject: true,
				Modes:   []connector.Mode{connector.ModeUpsert, connector.ModeAppend, connector.ModeMirror},
				Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete},
				Settings: []connector.Setting{
					{Name: "path", Type: text, Required: true},
					{Name: "format", Type: text, Enum: []string{"jsonl", "csv"}, Default: "jsonl"},
					{Name: "form", Type: text, Enum: []string{"snapshot", "changes"}, Default: "snapshot"},
				},
			},
		},
	)
}

// write makes a project folder from file name and content pairs.
func write(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, filepath.FromSlash(files[i]))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func env(vars map[string]string) project.Option {
	return project.WithEnv(func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
}

// load loads a project that must be sound.
func load(t testing.TB, dir string, opts ...project.Option) *project.Project {
	t.Helper()
	p, faults := project.Load(dir, connectors(), opts...)
	if len(faults) > 0 {
		t.Fatalf("loading a sound project:\n%s", render(faults))
	}
	return p
}

// render writes faults as golden files have them: place, code, message, fix.
func render(list fault.List) string {
	var b strings.Builder
	for _, f := range list {
		fmt.Fprintf(&b, "%s: %s\n    %s\n    fix: %s\n", f.Where, f.Code, f.Message, f.GetFix())
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); run with -update after looking:\n%s", name, diff)
	}
}

// base is a sound project; bad inputs stand beside it in a file of their own.
const base = `version: 1
name: base
sources:
  w: {type: duckdb}
  my: {type: mysql}
destinations:
  crm: {type: salesforce, tags: [customer_facing], instance_url: https://acme.example, client_id: id, client_secret: "${env:SECRET}"}
  hook: {type: webhook, url: https://hook.example}
models:
  m:
    source: w
    sql: select 1 as id, 2 as score, 'a' as email
    key: id
    columns: {email: {tags: [pii]}}
syncs:
  s:
    model: m
    destination: crm
    object: Account
    match: {Id__c: id}
    fields: {Score__c: score}
`
