package dbt_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/fault"
)

var manifestAt = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

// results writes run results of a command with these statuses by unique id.
func results(t *testing.T, command string, at time.Time, statuses map[string]string) dbt.File {
	t.Helper()
	var list []string
	for id, s := range statuses {
		status, message, _ := strings.Cut(s, "|")
		list = append(list, fmt.Sprintf(`{"unique_id":%q,"status":%q,"message":%q}`, id, status, message))
	}
	return dbt.File{Path: written(t, "run_results.json", fmt.Sprintf(
		`{"metadata":{"dbt_schema_version":"https://schemas.getdbt.com/dbt/run-results/v6.json","generated_at":%q,"invocation_id":"i-%d"},"results":[%s],"args":{"which":%q}}`,
		at.Format(time.RFC3339Nano), at.UnixNano(), strings.Join(list, ","), command)), Name: "target/run_results.json"}
}

func Test_a_model_goes_out_only_when_dbt_built_and_tested_it_well(t *testing.T) {
	const c, key, unique, warn, own, unit = "model.shop.customers", "test.shop.not_null_customers_customer_id.0a1b2c", "test.shop.unique_customers_customer_id.0a1b2c",
		"test.shop.unique_customers_email.0a1b2c", "test.shop.orders_have_customers.0a1b2c", "unit_test.shop.customers.test_tiers"
	m := model(t, manifest(t, "testdata/manifest_v12.json"), "customers")
	for name, tc := range map[string]struct {
		command  string
		results  map[string]string
		stale    bool
		held     string // "" = goes out
		required string // "" = as held
		warns    string
	}{
		"built and tested":              {"build", map[string]string{c: "success|OK", key: "pass", unique: "pass"}, false, "", "", ""},
		"built":                         {"run", map[string]string{c: "success"}, false, "", "", ""},
		"only tested":                   {"test", map[string]string{key: "pass"}, false, "", "", ""},
		"retried":                       {"retry", map[string]string{c: "error|no"}, false, "dbt failed to build customers: no", "", ""},
		"failed":                        {"build", map[string]string{c: "error|Database Error\n  in model customers"}, false, "dbt failed to build customers: Database Error in model customers", "", ""},
		"skipped":                       {"build", map[string]string{c: "skipped|Skipping due to fail on stg"}, false, "dbt skipped customers: Skipping due to fail on stg", "", ""},
		"built in part":                 {"run", map[string]string{c: "partial success"}, false, "in part only", "", ""},
		"a status of another time":      {"run", map[string]string{c: "exploded"}, false, "`exploded`", "", ""},
		"no work needed":                {"run", map[string]string{c: "no-op"}, false, "", "", ""},
		"upper case":                    {"build", map[string]string{c: "Success", key: "Fail"}, false, "not_null_customers_customer_id failed", "", ""},
		"a test failed":                 {"build", map[string]string{c: "success", key: "fail|Got 3 results"}, false, "dbt test not_null_customers_customer_id failed: Got 3 results", "", ""},
		"a test failed, dbt test":       {"test", map[string]string{unique: "fail"}, false, "unique_customers_customer_id failed", "", ""},
		"a query of its own failed":     {"build", map[string]string{c: "success", own: "fail"}, false, "orders_have_customers failed", "", ""},
		"a unit test failed":            {"build", map[string]string{c: "skipped", unit: "fail|actual differs"}, false, "test_tiers failed: actual differs", "", ""},
		"a test could not run":          {"build", map[string]string{c: "success", key: "error|timeout"}, false, "could not be run: timeout", "", ""},
		"a test was skipped":            {"build", map[string]string{c: "success", key: "skipped"}, false, "was skipped", "", ""},
		"a warning":                     {"build", map[string]string{c: "success", warn: "warn|Got 2 results"}, false, "", "", "unique_customers_email warns: Got 2 results"},
		"a test of warn could not run":  {"build", map[string]string{c: "success", warn: "error|timeout"}, false, "", "", "could not be run"},
		"a test of warn was skipped":    {"build", map[string]string{c: "success", warn: "skipped"}, false, "", "", "was skipped"},
		"another model failed":          {"build", map[string]string{c: "success", "model.shop.accounts": "error"}, false, "", "", ""},
		"only another model built":      {"build", map[string]string{"model.shop.accounts": "success"}, false, "", "neither built nor tested customers", ""},
		"docs generated":                {"generate", map[string]string{c: "success"}, false, "", "dbt generate, which builds", "dbt generate, which builds and tests nothing"},
		"docs generated over a failure": {"generate", map[string]string{c: "error"}, false, "", "dbt generate", "dbt generate"},
		"no command":                    {"", map[string]string{c: "success"}, false, "", "no command", "no command"},
		"good and stale":                {"build", map[string]string{c: "success"}, true, "", "older than its manifest", "older than its manifest"},
		"bad and stale":                 {"build", map[string]string{c: "error|no"}, true, "failed to build customers: no", "", ""},
	} {
		at := manifestAt.Add(5 * time.Minute)
		if tc.stale {
			at = manifestAt.Add(-time.Minute)
		}
		g := dbt.Gate{Mode: dbt.GateResults, Results: results(t, tc.command, at, tc.results), Manifest: manifestAt}
		judge := func(g dbt.Gate, want string) *dbt.Verdict {
			v, err := g.Judge(m)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			f := v.Fault("health")
			if (want == "") != (f == nil) || f != nil && (f.Code != fault.DBTHeld || f.Exit() != fault.ExitHeld || !strings.Contains(f.Message, want)) {
				t.Errorf("%s (%s): %v, want %q", name, g.Mode, f, want)
			}
			return v
		}
		v := judge(g, tc.held)
		if got := strings.Join(v.Warnings, "; "); !strings.Contains(got, tc.warns) || tc.warns == "" && got != "" {
			t.Errorf("%s warns %q, want %q", name, got, tc.warns)
		}
		if tc.required == "" {
			tc.required = tc.held
		}
		g.Mode = dbt.GateRequired
		judge(g, tc.required)
		g.Mode = dbt.GateOff
		judge(g, "")
	}
}

func Test_results_that_are_not_there_hold_only_where_they_are_required(t *testing.T) {
	m := model(t, manifest(t, "testdata/manifest_v12.json"), "customers")
	none := dbt.File{Path: filepath.Join(t.TempDir(), "run_results.json"), Name: "target/run_results.json"}
	for mode, held := range map[dbt.Mode]int{dbt.GateResults: 0, dbt.GateRequired: 1, dbt.GateOff: 0} {
		v, err := dbt.Gate{Mode: mode, Results: none, Sources: none}.Judge(m)
		if err != nil || len(v.Held) != held || len(v.Warnings) != 0 {
			t.Errorf("%s: %+v, %v", mode, v, err)
		}
	}
	broken := dbt.File{Path: written(t, "run_results.json", `{"metadata": {`), Name: "target/run_results.json"}
	for _, g := range []dbt.Gate{{Mode: dbt.GateResults, Results: broken, Sources: none}, {Mode: dbt.GateResults, Results: none, Sources: broken}} {
		if v, err := g.Judge(m); !fault.Is(err, fault.DBTArtifact) {
			t.Errorf("a broken file lets the model out: %+v, %v", v, err)
		}
	}
}

func Test_sources_that_are_too_old_hold_what_is_made_of_them(t *testing.T) {
	m := manifest(t, "testdata/manifest_v12.json")
	none := dbt.File{Path: filepath.Join(t.TempDir(), "none"), Name: "none"}
	judge := func(name string, path string) *dbt.Verdict {
		v, err := dbt.Gate{Mode: dbt.GateResults, Results: none, Sources: dbt.File{Path: path, Name: "target/sources.json"}}.Judge(model(t, m, name))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := judge("customers", "testdata/sources_v3.json"); len(v.Held) != 0 || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "shop.app.orders rather old: last loaded 2026-02-28 05:00:00Z") {
		t.Errorf("%+v", v)
	}
	set := func(status string) string {
		return changed(t, "sources_v3.json", func(doc map[string]any) {
			one := doc["results"].([]any)[1].(map[string]any)
			one["status"], one["error"] = status, "table not found"
		})
	}
	if v := judge("customers", set("error")); len(v.Held) != 1 || !strings.Contains(v.Held[0], "too old") {
		t.Errorf("%+v", v)
	}
	if v := judge("customers", set("runtime error")); len(v.Held) != 1 || !strings.Contains(v.Held[0], "table not found") {
		t.Errorf("%+v", v)
	}
	if v := judge("accounts", set("error")); len(v.Held)+len(v.Warnings) != 0 {
		t.Errorf("a model of no source: %+v", v)
	}
}

func Test_real_run_results_are_judged(t *testing.T) {
	m := manifest(t, shared(t, "manifest_v11_dbt1.7_bigquery.json"))
	g := dbt.Gate{Mode: dbt.GateRequired, Results: dbt.File{Path: shared(t, "run_results_v5.json"), Name: "run_results.json"}, Sources: dbt.File{Path: "none", Name: "none"}, Manifest: m.GeneratedAt}
	v, err := g.Judge(model(t, m, "customers"))
	if err != nil || len(v.Held)+len(v.Warnings) > 0 || v.Command != "build" || len(v.Tests) != 2 || v.Tests[0].Word() != "passed" {
		t.Errorf("%+v, %v", v, err)
	}
	m = manifest(t, shared(t, "manifest_v12_dbt1.12_duckdb.json"))
	g.Mode, g.Results.Path, g.Manifest = dbt.GateResults, shared(t, "run_results_v6_dbt1.12.json"), m.GeneratedAt
	if v, err = g.Judge(model(t, m, "customers")); err != nil || len(v.Held) > 0 || len(v.Warnings) != 1 || len(v.Tests) != 0 {
		t.Errorf("results of dbt docs generate: %+v, %v", v, err)
	}
}
