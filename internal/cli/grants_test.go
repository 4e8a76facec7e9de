package cli_test

import (
	"strings"
	"testing"
)

const grantSources = `
version: 1
sources:
  warehouse: {type: postgres, host: db.acme.example, user: upwell_reader, database: analytics, schema: marts, diff: warehouse, state_schema: upwell_acme}
  other: {type: postgres, dsn: "${env:UPWELL_TEST_NO_SUCH_DSN}"}
destinations: {out: {type: file, path: out}}
`

func Test_grants_are_filled_in_from_the_project(t *testing.T) {
	w := newWorld(t)
	w.write("upwell.yml", grantSources)
	doc := w.must(0, "grants", "warehouse", "--json").decoded(t)
	for _, want := range []string{"GRANT CONNECT ON DATABASE analytics TO upwell_reader;", "GRANT SELECT ON ALL TABLES IN SCHEMA marts TO upwell_reader;"} {
		if read, _ := doc["read"].(string); !strings.Contains(read, want) {
			t.Errorf("%q is missing in %s", want, read)
		}
	}
	if held, _ := doc["ledger"].(string); !strings.Contains(held, "CREATE SCHEMA IF NOT EXISTS upwell_acme;") || doc["fill_in"] != nil {
		t.Error(doc)
	}
	got := w.must(0, "grants", "other")
	for _, want := range []string{"TO {user}", "-- fill in: {database}, {schema}, {user}", "GRANT USAGE, CREATE ON SCHEMA upwell TO"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is missing in\n%s", want, got.out)
		}
	}
}

func Test_grants_are_asked_for_by_the_name_of_a_source(t *testing.T) {
	w := newWorld(t)
	w.write("upwell.yml", grantSources)
	for name, want := range map[string]string{"warehose": "did you mean `warehouse`?", "out": "out is a destination"} {
		if got := w.must(2, "grants", name); !strings.Contains(got.err, want) {
			t.Errorf("%s: %s", name, got.err)
		}
	}
}
