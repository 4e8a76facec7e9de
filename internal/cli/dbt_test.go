package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const healthID = "model.shop.health"

// dbtWorld is a world whose model is dbt's health, built and tested well.
func dbtWorld(t *testing.T, more ...string) *world {
	t.Helper()
	w := newWorld(t, append([]string{"\nmodels:\n  health: {source: app, dbt: health}\n", toHook}, more...)...)
	w.manifest("manifest.json", "account_id", "score", "tier")
	w.dbtRan("build", "2026-03-01T06:05:00Z", healthID+" success", "test.shop.not_null_health pass", "test.shop.unique_health pass")
	return w
}

// manifest writes a manifest whose model health has these columns.
func (w *world) manifest(name string, columns ...string) {
	w.t.Helper()
	cols := map[string]any{}
	for _, c := range columns {
		c, tag, _ := strings.Cut(c, " ")
		cols[c] = map[string]any{"name": c, "tags": strings.Fields(tag), "meta": map[string]any{}}
	}
	test := func(kind, severity string) map[string]any {
		return map[string]any{
			"resource_type": "test", "name": kind + "_health", "attached_node": healthID, "column_name": "account_id", "test_metadata": map[string]any{"name": kind},
			"config": map[string]any{"severity": severity}, "depends_on": map[string]any{"nodes": []string{healthID}},
		}
	}
	w.artifact(name, "manifest/v12", "2026-03-01T06:00:00Z", map[string]any{
		"nodes": map[string]any{
			healthID: map[string]any{
				"resource_type": "model", "package_name": "shop", "name": "health", "relation_name": `"main"."health"`, "description": "Health by account.",
				"columns": cols, "config": map[string]any{"materialized": "table"}, "compiled_code": "select 'compiled-canary'",
			},
			"test.shop.not_null_health": test("not_null", "ERROR"), "test.shop.unique_health": test("unique", "ERROR"),
			"test.shop.relationships_health": test("relationships", "WARN"),
		},
	})
}

// dbtRan writes the results of a command of dbt: "unique id, status, message".
func (w *world) dbtRan(command, at string, results ...string) {
	w.t.Helper()
	list := []any{}
	for _, r := range results {
		part := append(strings.SplitN(r, " ", 3), "")
		list = append(list, map[string]any{"unique_id": part[0], "status": part[1], "message": part[2], "compiled_code": "select 'compiled-canary'"})
	}
	w.artifact("run_results.json", "run-results/v6", at, map[string]any{"results": list, "args": map[string]any{"which": command}})
}

func (w *world) artifact(name, schema, at string, doc map[string]any) {
	w.t.Helper()
	doc["metadata"] = map[string]any{
		"dbt_schema_version": "https://schemas.getdbt.com/dbt/" + schema + ".json", "generated_at": at, "invocation_id": at, "project_name": "shop", "adapter_type": "sqlite",
		"dbt_version": "1.9.4", "user_id": "user-canary", "env": map[string]any{"DBT_ENV_CUSTOM_ENV_X": "env-canary"},
	}
	b, err := json.Marshal(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(w.dir, "target"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	w.write(filepath.Join("target", name), string(b))
}

func (w *world) target(name string) string { return filepath.Join(w.dir, "target", name) }

func Test_a_model_of_dbt_is_read_like_any_other(t *testing.T) {
	w := dbtWorld(t)
	if a := w.must(0, "check", "--connect"); !strings.Contains(a.out, "1 model, 1 sync; 1 warning") {
		t.Error(a.out) // an unused destination, nothing about dbt
	}
	if a := w.must(0, "preview", "health"); !strings.Contains(a.out, "at_risk") {
		t.Error(a.out)
	}
	plan := w.must(0, "plan", "--json").decoded(t)
	if got := fmt.Sprint(at(t, plan, "plans", 0, "counts", "add"), at(t, plan, "plans", 0, "samples", 0, "key")); got != "4map[account_id:A1]" {
		t.Error(got)
	}
	w.must(0, "run")
	if w.hook.count() != 4 {
		t.Errorf("%d records", w.hook.count())
	}
	if got := w.must(0, "explain", "health_to_hook", "A1", "--json").decoded(t)["state"]; got != "in_sync" {
		t.Error(got)
	}
	w.manifest("manifest.json", "account_id", "score", "tier") // made anew
	if p := w.must(0, "plan", "--json").decoded(t); fmt.Sprint(at(t, p, "plans", 0, "counts", "unchanged")) != "4" {
		t.Errorf("%v", p)
	}
}

func Test_what_dbt_failed_to_build_is_held_with_dbts_message(t *testing.T) {
	w := dbtWorld(t)
	for _, c := range []struct{ result, says string }{
		{healthID + " error Database Error in model health: no such column: scroe", "dbt failed to build health: Database Error in model health: no such column: scroe"},
		{healthID + " skipped Skipping due to fail on stg_health", "dbt skipped health"},
		{"test.shop.unique_health fail Got 3 results, configured to fail if != 0", "dbt test unique_health failed: Got 3 results"},
	} {
		w.dbtRan("build", "2026-03-01T06:05:00Z", c.result)
		for _, args := range [][]string{{"run"}, {"plan"}} {
			a := w.must(4, append(args, "--json")...)
			if !strings.Contains(a.out, `"DBT_HELD"`) || !strings.Contains(a.out, c.says) || strings.Contains(a.out, "canary") {
				t.Errorf("%v: %s", args, a.out)
			}
		}
		if w.hook.count() != 0 {
			t.Fatal("something was sent")
		}
	}
	if a := w.must(0, "status", "--json"); !strings.Contains(a.out, "DBT_HELD") {
		t.Errorf("status does not tell: %s", a.out)
	}
	w.dbtRan("build", "2026-03-01T07:05:00Z", healthID+" success", "test.shop.relationships_health warn Got 1 result")
	if a := w.must(0, "run"); !strings.Contains(a.out+a.err, "relationships_health warns: Got 1 result") {
		t.Errorf("the warning is not shown: %s%s", a.out, a.err)
	}
}

// The relation or column is not there because dbt failed to build it: that is the reason.
func Test_dbts_word_explains_a_missing_relation(t *testing.T) {
	w := dbtWorld(t)
	w.exec("drop table health")
	a := w.must(1, "run", "--json")
	if !strings.Contains(a.out, "SOURCE_QUERY_FAILED") || !strings.Contains(a.out, "dbt build --select health") {
		t.Error(a.out)
	}
	w.dbtRan("build", "2026-03-01T06:05:00Z", healthID+" error Syntax Error")
	if a := w.must(4, "run", "--json"); !strings.Contains(a.out, "dbt failed to build health: Syntax Error") {
		t.Error(a.out)
	}
	w.exec("create table health (account_id text, tier text)") // as it was before the change that failed
	if a := w.must(4, "run", "--json"); !strings.Contains(a.out, "dbt failed to build health: Syntax Error") {
		t.Error(a.out)
	}
	w.dbtRan("build", "2026-03-01T06:05:00Z", healthID+" success")
	if a := w.must(2, "run", "--json"); !strings.Contains(a.out, "SOURCE_COLUMN_MISSING") {
		t.Error(a.out)
	}
}

func Test_the_gate_asks_as_much_of_dbt_as_the_project_says(t *testing.T) {
	for gate, codes := range map[string][3]int{"results": {4, 0, 0}, "required": {4, 4, 4}, "off": {0, 0, 0}} {
		w := dbtWorld(t, "\ndbt: {gate: "+gate+"}\n")
		w.dbtRan("build", "2026-03-01T06:05:00Z", healthID+" error no")
		w.must(codes[0], "run")
		w.dbtRan("generate", "2026-03-01T06:06:00Z", healthID+" success")
		w.must(codes[1], "run")
		if err := os.Remove(w.target("run_results.json")); err != nil {
			t.Fatal(err)
		}
		w.must(codes[2], "run")
	}
}

func Test_results_of_dbt_half_written_send_nothing(t *testing.T) {
	w := dbtWorld(t)
	w.write("target/run_results.json", `{"metadata": {"dbt_sch`)
	a := w.must(2, "run", "--json")
	if !strings.Contains(a.out, "DBT_ARTIFACT") || w.hook.count() != 0 {
		t.Error(a.out)
	}
}

func Test_a_manifest_that_cannot_be_used_sends_nothing(t *testing.T) {
	w := dbtWorld(t)
	b, err := os.ReadFile(w.target("manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	for text, says := range map[string]string{
		strings.Replace(string(b), "/manifest/v12", "/manifest/v77", 1):    "manifest v77",
		strings.Replace(string(b), `"name":"health"`, `"name":"heath"`, 1): "did you mean `heath`?",
		string(b[:len(b)-10]): "no complete JSON",
	} {
		w.write("target/manifest.json", text)
		for _, args := range []string{"check", "plan", "run", "preview health", "test", "status"} {
			if a := w.must(2, strings.Fields(args)...); !strings.Contains(a.out+a.err, says) || !strings.Contains(a.out+a.err, "upwell.yml:") {
				t.Errorf("%s: %s%s", args, a.out, a.err)
			}
		}
	}
	if w.hook.count() != 0 {
		t.Error("something was sent")
	}
}

func Test_a_tag_of_dbt_is_enough_for_a_policy(t *testing.T) {
	w := dbtWorld(t, "\npolicies:\n  - {name: no-pii, deny: {column_tags: [pii]}}\n")
	w.must(0, "plan")
	w.manifest("manifest.json", "account_id", "score PII", "tier")
	a := w.must(4, "run", "--json")
	if !strings.Contains(a.out, "POLICY_DENIED") || !strings.Contains(a.out, "column score") || w.hook.count() != 0 {
		t.Error(a.out)
	}
}

func Test_tests_of_dbt_stand_beside_our_own(t *testing.T) {
	w := dbtWorld(t)
	w.write("upwell.yml", sources+"models:\n  health: {source: app, dbt: health, tests: [{not_null: score}]}\n"+toHook)
	w.dbtRan("build", "2026-03-01T06:05:00Z", healthID+" success", "test.shop.not_null_health pass", "test.shop.unique_health fail Got 2 results", "test.shop.relationships_health error timeout")
	a := w.must(4, "test", "--json")
	a.decoded(t)
	w.golden("test_dbt.json", a.out)
	w.golden("test_dbt.txt", w.must(4, "test").out)
}

func Test_a_pull_request_that_breaks_a_sync_is_told_of(t *testing.T) {
	w := dbtWorld(t)
	w.write("upwell.yml", sources+"models:\n  health: {source: app, dbt: health, tests: [{accepted_range: {column: score, min: 0}}]}\n"+
		strings.Replace(toHook, "schedule:", "where: tier <> 'internal' and region = 'EU'\n    schedule:", 1))
	t.Setenv("UPWELL_TEST_HOOK", "") // no secret is needed
	if err := os.Unsetenv("UPWELL_TEST_HOOK"); err != nil {
		t.Fatal(err)
	}
	w.manifest("manifest.json", "account_id", "score", "tier", "region")
	check := func(code int, args ...string) map[string]any {
		t.Helper()
		return w.must(code, append([]string{"dbt", "check", "--manifest", w.target("pr.json"), "--json"}, args...)...).decoded(t)
	}
	status := func(doc map[string]any) string {
		out := fmt.Sprint(at(t, doc, "syncs", 0, "status"))
		for _, f := range at(t, doc, "syncs", 0, "findings").([]any) {
			m := f.(map[string]any)
			out += fmt.Sprintf(" %v:%v:%v%v", m["change"], m["column"], m["suggestion"], m["used_as"])
		}
		return strings.ReplaceAll(out, "<nil>", "")
	}
	for _, c := range []struct {
		name    string
		columns []string
		code    int
		want    string
	}{
		{"nothing changes", []string{"account_id", "score", "tier", "region"}, 0, "ok"},
		{"a column more", []string{"account_id", "score", "tier", "region", "city"}, 0, "ok"},
		{"another case", []string{"ACCOUNT_ID", "SCORE", "TIER", "REGION"}, 0, "ok"},
		{"renamed", []string{"account_id", "scores", "tier", "region"}, 1, "breaks column_renamed:score:scores[field score test accepted_range(score)]"},
		{"dropped", []string{"account_id", "score", "region"}, 1, "breaks column_dropped:tier:[field tier]"},
		{"the key dropped", []string{"score", "tier", "region"}, 1, "breaks column_dropped:account_id:[match id the key]"},
		{"dropped from the condition", []string{"account_id", "score", "tier"}, 1, "breaks filter_column:region:[]"},
	} {
		w.manifest("pr.json", c.columns...)
		doc := check(c.code)
		if got := status(doc); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if doc["ok"] != (c.code == 0) {
			t.Errorf("%s: ok is %v", c.name, doc["ok"])
		}
	}
	rewrite := func(from, to string) {
		t.Helper()
		b, err := os.ReadFile(w.target("manifest.json"))
		if err != nil || !strings.Contains(string(b), from) {
			t.Fatalf("%v %s", err, b)
		}
		w.write("target/pr.json", strings.Replace(string(b), from, to, 1))
	}
	rewrite(`"name":"health"`, `"name":"account_health"`)
	if got := status(check(1)); !strings.HasPrefix(got, "breaks model_missing:") {
		t.Error(got)
	}
	rewrite(`"materialized":"table"`, `"materialized":"ephemeral"`)
	w.write("target/pr.json", strings.Replace(readFile(t, w.target("pr.json")), `"relation_name":"\"main\".\"health\""`, `"relation_name":null`, 1))
	if got := status(check(1)); got != "breaks model_ephemeral::[]" {
		t.Error(got)
	}
	rewrite(`"column_name":"account_id"`, `"column_name":"score"`)
	w.write("target/pr.json", strings.ReplaceAll(readFile(t, w.target("pr.json")), `"column_name":"account_id"`, `"column_name":"score"`))
	if got := status(check(1)); got != "breaks key_changed::[]" {
		t.Error(got)
	}
	w.manifest("pr.json", "account_id", "scores", "tier", "region")
	w.golden("dbt_check.txt", strings.ReplaceAll(w.must(1, "dbt", "check", "--manifest", w.target("pr.json")).out, w.target("pr.json"), "PR"))
}

func Test_what_a_manifest_does_not_list_cannot_be_told_without_a_catalog(t *testing.T) {
	w := dbtWorld(t)
	w.manifest("manifest.json", "account_id") // as most people document
	w.manifest("pr.json", "account_id")
	args := []string{"dbt", "check", "--manifest", w.target("pr.json")}
	doc := w.must(0, append(args, "--json")...).decoded(t)
	if got := fmt.Sprint(at(t, doc, "syncs", 0, "status"), at(t, doc, "syncs", 0, "findings", 0, "change")); got != "unknowncolumn_unknown" {
		t.Error(got)
	}
	w.must(1, append(args, "--strict")...)
	catalog := func(columns ...string) {
		cols := map[string]any{}
		for _, c := range columns {
			cols[c] = map[string]any{"name": c, "type": "TEXT"}
		}
		w.artifact("catalog.json", "catalog/v1", "2026-03-01T06:00:00Z", map[string]any{"nodes": map[string]any{healthID: map[string]any{"columns": cols}}})
	}
	args = append(args, "--catalog", w.target("catalog.json"))
	catalog("account_id", "score", "tier")
	w.must(0, append(args, "--strict")...)
	catalog("account_id", "tier", "health_score")
	doc = w.must(1, append(args, "--json")...).decoded(t)
	if got := fmt.Sprint(at(t, doc, "syncs", 0, "findings", 0, "change"), at(t, doc, "syncs", 0, "findings", 0, "column")); got != "column_droppedscore" {
		t.Error(got)
	}
	// The manifest that is checked is the project's own: there is nothing to compare with.
	w.manifest("manifest.json", "account_id", "scores", "tier")
	doc = w.must(1, "dbt", "check", "--manifest", w.target("manifest.json"), "--json").decoded(t)
	if doc["compared_with"] != nil || at(t, doc, "syncs", 0, "findings", 0, "suggestion") != "scores" {
		t.Errorf("%v", doc)
	}
}

func Test_dbt_check_says_when_it_is_called_wrongly(t *testing.T) {
	w := dbtWorld(t)
	w.write("target/broken.json", "{")
	for args, says := range map[string]string{
		"dbt check": "--manifest is missing",
		"dbt check --manifest " + w.target("none.json"):                                                 "no such file",
		"dbt check --manifest " + w.target("broken.json"):                                               "no complete JSON",
		"dbt check --manifest " + w.target("run_results.json"):                                          "run-results artifact",
		"dbt check --manifest " + w.target("manifest.json") + " --base " + w.target("none.json"):        "no such file",
		"dbt check --manifest " + w.target("manifest.json") + " --catalog " + w.target("manifest.json"): "manifest artifact",
		"dbt check --manifest " + w.target("manifest.json") + " health_to_hok":                          "health_to_hook",
		"dbt chekc":       "did you mean `upwell dbt check`?",
		"dbt exposures x": "",
	} {
		if a := w.must(2, strings.Fields(args)...); !strings.Contains(a.err, says) {
			t.Errorf("%s: %s", args, a.err)
		}
	}
	w.write("upwell.yml", sources+models+toHook)
	if a := w.must(0, "dbt", "check", "--manifest", w.target("manifest.json")); !strings.Contains(a.out, "no sync reads a model of this dbt project") {
		t.Error(a.out)
	}
	w.must(0, "dbt")
}

func Test_exposures_are_valid_complete_and_always_the_same(t *testing.T) {
	w := dbtWorld(t)
	w.write("upwell.yml", sources+"models:\n  health: {source: app, dbt: health, owner: data@acme.com}\n  other: {source: app, table: health, key: account_id}\n"+toHook+`
  health-to_hook:
    description: "Feeds {{ the }} \"hook\"; 50% of it: yes"
    model: health
    destination: hook
    object: accounts
    match: {id: account_id}
    fields: {tier: tier}
    owner: Revenue Operations
  other_to_hook: {model: other, destination: hook, object: accounts, match: {id: account_id}}
`)
	file := filepath.Join(t.TempDir(), "exposures.yml")
	w.must(0, "dbt", "exposures", "--out", file)
	text := readFile(t, file)
	if again := w.must(0, "dbt", "exposures").out; again != text {
		t.Errorf("not the same:\n%s\n%s", text, again)
	}
	w.golden("exposures.yml", text)
	w.golden("exposures.json", w.must(0, "dbt", "exposures", "--json").out)
	var doc struct {
		Version   int
		Exposures []struct {
			Name, Label, Type, Description string
			Owner                          map[string]string
			DependsOn                      []string `yaml:"depends_on"`
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(text), &doc, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if doc.Version != 2 || len(doc.Exposures) != 2 {
		t.Fatalf("%+v", doc)
	}
	var names []string
	for _, e := range doc.Exposures {
		names = append(names, e.Name)
		if strings.Trim(e.Name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || e.Type != "application" || !slices.Equal(e.DependsOn, []string{"ref('health')"}) ||
			strings.Contains(e.Description, "{{") || e.Label == "" || len(e.Owner) != 1 {
			t.Errorf("%+v", e)
		}
	}
	if fmt.Sprint(names) != "[upwell_health_to_hook upwell_health_to_hook_2]" {
		t.Error(names)
	}
	if strings.Contains(text, w.hook.url) || strings.Contains(text, "127.0.0.1") {
		t.Errorf("a setting of the destination is shown:\n%s", text)
	}
	w.must(2, "dbt", "exposures", "--out", filepath.Join(t.TempDir(), "none", "x.yml"))
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
