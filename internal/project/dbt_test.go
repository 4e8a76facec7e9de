package project_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

// artifact gives one of the hand-made artifacts of the dbt package.
func artifact(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "dbt", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// dbtProject is a project with one model of dbt; more stands before it.
func dbtProject(more string, model ...string) string {
	return `version: 1
name: base
` + more + `
sources:
  w: {type: duckdb}
destinations:
  hook: {type: webhook, url: https://hook.example, tags: [marketing]}
models:
  m:
    source: w
    ` + strings.Join(model, "\n    ") + `
syncs:
  s: {model: m, destination: hook, object: o, match: {id: customer_id}, fields: {mail: email}}
`
}

func Test_a_model_of_dbt_gets_relation_key_and_columns_from_the_manifest(t *testing.T) {
	dir := write(t, "upwell.yml", dbtProject("", "dbt: customers", "columns: {email: {tags: [mine]}, score: {type: decimal}}"), "target/manifest.json", artifact(t, "manifest_v12.json"))
	p := load(t, dir)
	m := p.Models["m"]
	if m.SQL != `select * from "shop"."main"."customers"` || fmt.Sprint(m.Key) != "[customer_id]" || m.Description != "One row per customer." || m.Node == nil {
		t.Errorf("%+v", m)
	}
	if got := fmt.Sprint(m.Columns["email"].Tags, m.Columns["full_name"].Tags, m.Columns["score"].Kind, m.Columns["tier"].Description); got != "[mine contact pii] [pii] decimalgold, silver or bronze" {
		t.Errorf("columns: %s", got)
	}
	if m.Gate.Mode != dbt.GateResults || m.Gate.Results.Name != "target/run_results.json" || m.Gate.Manifest.IsZero() {
		t.Errorf("gate: %+v", m.Gate)
	}
	if !slices.ContainsFunc(p.Warnings, func(f *fault.Error) bool {
		return f.Code == fault.ProjectUngoverned && strings.Contains(f.Message, "email")
	}) {
		t.Errorf("personal data of dbt leaves without a hint: %v", p.Warnings)
	}
}

func Test_dbt_is_found_where_people_have_it(t *testing.T) {
	manifest, project := artifact(t, "manifest_v12.json"), "name: shop\n"
	for name, c := range map[string]struct {
		settings, model string
		files           []string
		manifest        string
	}{
		"here":                 {"", "", []string{"a/target/manifest.json", manifest}, "target/manifest.json"},
		"in a folder":          {"", "", []string{"a/transform/dbt_project.yml", project, "a/transform/target/manifest.json", manifest}, "transform/target/manifest.json"},
		"above":                {"", "", []string{"dbt_project.yml", project, "target/manifest.json", manifest}, "../target/manifest.json"},
		"beside":               {"", "", []string{"analytics/dbt_project.yml", project, "analytics/target/manifest.json", manifest}, "../analytics/target/manifest.json"},
		"in the nearest":       {"", "", []string{"a/dbt/dbt_project.yml", project, "a/dbt/target/manifest.json", manifest, "b/dbt_project.yml", project}, "dbt/target/manifest.json"},
		"by project":           {"dbt: {project_dir: ../b}", "", []string{"b/target/manifest.json", manifest}, "../b/target/manifest.json"},
		"by target":            {"dbt: {project_dir: ../b, target_path: out/prod}", "", []string{"b/out/prod/manifest.json", manifest}, "../b/out/prod/manifest.json"},
		"by file":              {"dbt: {manifest: artifacts/m.json}", "", []string{"a/artifacts/m.json", manifest}, "artifacts/m.json"},
		"by a model":           {"", "dbt: {name: customers, manifest: other/m.json}", []string{"a/other/m.json", manifest}, "other/m.json"},
		"by package, version":  {"", "dbt: {package: shop, name: orders, version: 1}\n    key: customer_id", []string{"a/target/manifest.json", manifest}, "target/manifest.json"},
		"an older schema":      {"", "", []string{"a/target/manifest.json", artifact(t, "manifest_v10.json")}, "target/manifest.json"},
		"a newer, asked for":   {"dbt: {accept_newer: true}", "", []string{"a/target/manifest.json", strings.Replace(manifest, "/v12.json", "/v13.json", 1)}, "target/manifest.json"},
		"settings that say no": {"dbt:", "", []string{"a/target/manifest.json", manifest}, "target/manifest.json"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.model == "" {
				c.model = "dbt: customers"
			}
			dir := write(t, append([]string{"a/upwell.yml", dbtProject(c.settings, c.model)}, c.files...)...)
			p := load(t, filepath.Join(dir, "a"))
			m := p.Models["m"]
			if m.Manifest.Name != c.manifest || m.Node == nil {
				t.Errorf("%+v", m)
			}
			if want := filepath.Join(filepath.Dir(c.manifest), "run_results.json"); m.Gate.Results.Name != want {
				t.Errorf("results %s, want %s", m.Gate.Results.Name, want)
			}
		})
	}
}

func Test_mistakes_about_dbt_name_place_and_remedy(t *testing.T) {
	manifest := artifact(t, "manifest_v12.json")
	for name, c := range map[string]struct {
		settings, model, manifest string
		code                      fault.Code
		place, says, fix          string
	}{
		"a slip":               {"", "dbt: custmers", manifest, fault.ProjectReference, "upwell.yml:11:10", "no model `custmers` in target/manifest.json", "did you mean `customers`?"},
		"a slip in a package":  {"", "dbt: shop.custmers", manifest, fault.ProjectReference, "upwell.yml:11:10", "`shop.custmers`", "did you mean `shop.customers`?"},
		"another package":      {"", "dbt: {name: calendar, package: crm}", manifest, fault.ProjectReference, "upwell.yml:11:11", "`crm.calendar`", "did you mean `crm_pkg.calendar`?"},
		"a version":            {"", "dbt: orders.v3", manifest, fault.ProjectReference, "upwell.yml:11:10", "`orders.v3`", "did you mean `orders"},
		"several":              {"", "dbt: calendar", manifest, fault.ProjectReference, "upwell.yml:11:10", "2 models", "model.crm_pkg.calendar, model.utils_pkg.calendar"},
		"disabled":             {"", "dbt: retired", manifest, fault.ProjectReference, "upwell.yml:11:10", "is disabled", "enable it"},
		"ephemeral":            {"", "dbt: stg_customers\n    key: id", manifest, fault.ProjectValue, "upwell.yml:11:10", "it is ephemeral", "view or table"},
		"no key":               {"", "dbt: events", manifest, fault.ProjectMissing, "upwell.yml:9:3", "unique and never null", "unique and not_null"},
		"a key in doubt":       {"", "dbt: accounts", manifest, fault.ProjectMissing, "upwell.yml:9:3", "several columns", "account_id, external_id"},
		"an unknown schema":    {"", "dbt: customers", strings.Replace(manifest, "/v12.json", "/v99.json", 1), fault.DBTArtifact, "upwell.yml:11:10", "manifest v99", "accept_newer"},
		"half a manifest":      {"", "dbt: customers", manifest[:1000], fault.DBTArtifact, "upwell.yml:11:10", "no complete JSON", "call again"},
		"no manifest":          {"dbt: {target_path: out}", "dbt: customers", manifest, fault.DBTArtifact, "upwell.yml:11:10", "reading dbt's out/manifest.json: there is no such file", "dbt parse"},
		"a relation of two":    {"", "dbt: customers", strings.Replace(manifest, `"\"shop\".\"main\".\"customers\""`, `"x; drop table y"`, 1), fault.ProjectValue, "upwell.yml:11:10", "second statement", ""},
		"a misspelt setting":   {"dbt: {projet_dir: ..}", "dbt: customers", manifest, fault.ProjectUnknownKey, "upwell.yml:3:7", "projet_dir", "did you mean `project_dir`?"},
		"a misspelt gate":      {"dbt: {gate: require}", "dbt: customers", manifest, fault.ProjectValue, "upwell.yml:3:13", "require", "did you mean `required`?"},
		"settings that are no": {"dbt: target", "dbt: customers", manifest, fault.ProjectType, "upwell.yml:3:6", "a mapping", "mapping"},
		"a misspelt key":       {"", "dbt: {name: customers, verson: 2}", manifest, fault.ProjectUnknownKey, "upwell.yml:11:28", "verson", "did you mean `version`?"},
		"no name":              {"", "dbt: {package: shop}", manifest, fault.ProjectMissing, "upwell.yml:11:11", "`name`", "add `name`"},
		"two origins":          {"", "dbt: customers\n    table: t", manifest, fault.ProjectValue, "upwell.yml:11:10", "table, dbt exclude", "exactly one"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := c.settings
			if settings == "" {
				settings = "x-none: 1"
			}
			_, faults := project.Load(write(t, "upwell.yml", dbtProject(settings, c.model), "target/manifest.json", c.manifest), connectors())
			for _, f := range faults {
				if f.Code == c.code && strings.Contains(f.Message, c.says) && strings.Contains(f.GetFix(), c.fix) {
					place := f.Where.String()
					if settings == "x-none: 1" || strings.HasPrefix(place, c.place) {
						if place != c.place {
							t.Errorf("place %s, want %s", place, c.place)
						}
						return
					}
				}
				if f.Exit() != fault.ExitUsage {
					t.Errorf("exit %d", f.Exit())
				}
			}
			t.Errorf("got:\n%s", render(faults))
		})
	}
	if _, faults := project.Load(write(t, "upwell.yml", base, "more.yml", "syncs: {}\ndbt: {gate: off}\n"), connectors(), env(map[string]string{"SECRET": "x"})); len(faults) != 1 || faults[0].Code != fault.ProjectUnknownKey {
		t.Errorf("settings in a second file: %v", faults)
	}
	dir := write(t, "a/upwell.yml", dbtProject("", "dbt: customers"), "b/dbt_project.yml", "", "c/dbt_project.yml", "")
	if _, faults := project.Load(filepath.Join(dir, "a"), connectors()); len(faults) < 1 || !strings.Contains(render(faults), "several dbt projects nearby: ../b, ../c") {
		t.Errorf("two projects beside: %v", faults)
	}
}

func Test_what_stands_out_about_dbt_is_warned_of(t *testing.T) {
	manifest := artifact(t, "manifest_v12.json")
	for name, c := range map[string]struct{ settings, manifest, says string }{
		"another adapter": {"x-none: 1", strings.Replace(manifest, `"adapter_type": "duckdb"`, `"adapter_type": "snowflake"`, 1), "dbt works on snowflake, and source `w` is duckdb"},
		"a newer schema":  {"dbt: {accept_newer: true}", strings.Replace(manifest, "/v12.json", "/v13.json", 1), "schema v13 is newer"},
	} {
		p := load(t, write(t, "upwell.yml", dbtProject(c.settings, "dbt: customers"), "target/manifest.json", c.manifest))
		if !strings.Contains(render(p.Warnings), c.says) || !strings.Contains(render(p.Warnings), "upwell.yml:11:10") {
			t.Errorf("%s: %s", name, render(p.Warnings))
		}
	}
}

// A policy that misses a column because a warehouse writes its name otherwise protects nothing.
func Test_tags_of_dbt_reach_columns_however_their_names_are_written(t *testing.T) {
	yml := strings.Replace(dbtProject("", "dbt: customers", "key: CUSTOMER_ID"), "match: {id: customer_id}, fields: {mail: email}",
		"match: {id: CUSTOMER_ID}, fields: {mail: EMAIL, name: {cel: row.Full_Name}, quoted: '\"email\"', of: {lookup: {object: x, by: {p: PHONE}}}}", 1)
	p := load(t, write(t, "upwell.yml", yml, "target/manifest.json", artifact(t, "manifest_v12.json")))
	for _, c := range []string{"EMAIL", "Full_Name", "PHONE", `"email"`} {
		if !slices.Contains(p.Models["m"].Columns[c].Tags, dbt.PII) {
			t.Errorf("%s is not pii: %+v", c, p.Models["m"].Columns)
		}
	}
	if len(p.Models["m"].Columns["CUSTOMER_ID"].Tags) != 0 {
		t.Error("the key is pii")
	}
	yml = strings.Replace(dbtProject("", "dbt: patients", "key: patient_id"), "match: {id: customer_id}, fields: {mail: email}", "match: {id: patient_id}, fields: {d: diagnosis, e: {cel: row.undocumented}}", 1)
	p = load(t, write(t, "upwell.yml", yml, "target/manifest.json", artifact(t, "manifest_v12.json")))
	for _, c := range []string{"patient_id", "diagnosis", "undocumented"} {
		if !slices.Contains(p.Models["m"].Columns[c].Tags, dbt.PII) {
			t.Errorf("%s of a model that is pii as a whole is not", c)
		}
	}
}

func Test_a_manifest_made_anew_changes_no_definition_unless_what_counts_changed(t *testing.T) {
	manifest := artifact(t, "manifest_v12.json")
	hash := func(m, yml string) string {
		t.Helper()
		return load(t, write(t, "upwell.yml", yml, "target/manifest.json", m)).DefinitionHash("s")
	}
	yml := dbtProject("x-none: 1", "dbt: customers")
	before := hash(manifest, yml)
	for name, c := range map[string]struct {
		from, to string
		changes  bool
	}{
		"another time":         {"2026-03-01T06:00:00.123456Z", "2026-04-01T06:00:00Z", false},
		"another invocation":   {"11111111-2222", "99999999-2222", false},
		"a description":        {"One row per customer.", "A customer a row.", false},
		"compiled SQL":         {"compiled-canary", "compiled anew", false},
		"a test more or less":  {`"attached_node": "model.shop.customers",`, `"attached_node": "model.shop.accounts",`, false},
		"a tag of the model":   {`"nightly"`, `"hourly"`, false},
		"the relation":         {`\"main\".\"customers\"`, `\"prod\".\"customers\"`, true},
		"a tag of a column":    {`"contact"`, `"contacts"`, true},
		"personal or not":      {`"contains_pii": true`, `"contains_pii": false`, true},
		"the key":              {`"customer_id"`, `"customer_no"`, true},
		"a type of the column": {`"data_type": "integer"`, `"data_type": "bigint"`, false},
	} {
		changed := strings.ReplaceAll(manifest, c.from, c.to)
		if changed == manifest {
			t.Fatalf("%s: nothing changed", name)
		}
		if got := hash(changed, yml) != before; got != c.changes {
			t.Errorf("%s: changed %v, want %v", name, got, c.changes)
		}
	}
	if hash(manifest, dbtProject("dbt: {gate: off}", "dbt: customers")) != before {
		t.Error("the gate counts in the definition")
	}
}

func Test_without_a_manifest_a_project_loads_and_says_what_it_refers_to(t *testing.T) {
	p := load(t, write(t, "upwell.yml", dbtProject("dbt: {project_dir: nowhere}", "dbt: {name: orders, package: shop, version: v2}")), project.WithoutManifest())
	m := p.Models["m"]
	if m.Node != nil || m.SQL != "" || m.DBT != "shop.orders.v2" || m.Manifest.Name != "nowhere/target/manifest.json" {
		t.Errorf("%+v", m)
	}
}

func Test_a_sync_runs_after_dbt_by_path_or_by_the_projects_own(t *testing.T) {
	with := func(after string) string {
		return strings.Replace(dbtProject("dbt: {project_dir: ../b}", "dbt: customers"), "fields: {mail: email}", "schedule: {after: {dbt: "+after+"}}", 1)
	}
	files := []string{"b/target/manifest.json", artifact(t, "manifest_v12.json"), "a/upwell.yml"}
	for after, want := range map[string]string{"true": "../b/target/run_results.json", "out/run_results.json": "out/run_results.json"} {
		p := load(t, filepath.Join(write(t, append(files, with(after))...), "a"))
		if got := p.Syncs["s"].Schedule.AfterDBT; got != want {
			t.Errorf("%s: %s", after, got)
		}
		// Nobody acts on it yet, and that is said.
		if w := p.Warnings; len(w) != 1 || w[0].Code != fault.ProjectUnused || !strings.Contains(w[0].Message, "`upwell serve` only") || w[0].Where.Line == 0 {
			t.Errorf("%s: %v", after, w)
		}
	}
	for after, says := range map[string]string{"false": "says nothing", "customers": "no path of a run_results.json", "[a]": "is not text"} {
		if _, faults := project.Load(filepath.Join(write(t, append(files, with(after))...), "a"), connectors()); len(faults) != 1 || !strings.Contains(faults[0].Message, says) {
			t.Errorf("%s: %v", after, faults)
		}
	}
}

func Test_every_use_of_a_column_is_listed(t *testing.T) {
	yml := strings.Replace(dbtProject("x-none: 1", "dbt: customers", "tests: [{not_null: [score]}, {unique: customer_id}]"), "fields: {mail: email}",
		"fields: {mail: email, t: {cel: 'row.tier + row[\"city\"]'}, v: {value: 1}, l: {lookup: {object: x, by: {p: phone}}}}", 1)
	p := load(t, write(t, "upwell.yml", yml, "target/manifest.json", artifact(t, "manifest_v12.json")))
	var got []string
	for _, u := range p.Uses(p.Syncs["s"]) {
		got = append(got, u.Column+" "+u.As)
		if u.Where.Line == 0 {
			t.Errorf("%s has no place", u.Column)
		}
	}
	want := "customer_id the key,customer_id match id,email field mail,tier field t,city field t,phone field l,score test not_null(score),customer_id test unique(customer_id)"
	if strings.Join(got, ",") != want {
		t.Errorf("got %v", got)
	}
}

func Test_the_schema_knows_what_may_be_said_of_dbt(t *testing.T) {
	s := compileSchema(t)
	for text, sound := range map[string]bool{
		dbtProject("dbt: {project_dir: ../b, target_path: out, gate: required, accept_newer: true}", "dbt: customers"):             true,
		dbtProject("dbt: {manifest: m.json, run_results: r.json, sources: s.json, catalog: c.json}", "dbt: {name: a, version: 2}"): true,
		dbtProject("dbt:", "dbt: {name: a, package: b, manifest: c}", "key: [a, b]"):                                               true,
		strings.Replace(dbtProject("dbt:", "dbt: a"), "fields: {mail: email}", "schedule: {after: {dbt: true}}", 1):                true,
		dbtProject("dbt: {gate: maybe}", "dbt: customers"):                                                                         false,
		dbtProject("dbt: {gates: off}", "dbt: customers"):                                                                          false,
		dbtProject("dbt:", "dbt: {package: b}"):                                                                                    false,
		dbtProject("dbt:", "table: t"):                                                                                             false, // no key
		strings.Replace(dbtProject("dbt:", "dbt: a"), "fields: {mail: email}", "schedule: {after: {dbt: false}}", 1):               false,
		strings.Replace(dbtProject("dbt:", "dbt: a"), "fields: {mail: email}", "schedule: {after: {dbt: customers}}", 1):           false,
	} {
		if err := validate(t, s, text); (err == nil) != sound {
			t.Errorf("sound %v: %v\n%s", sound, err, text)
		}
	}
}

func Test_files_of_a_dbt_project_in_the_folder_are_left_alone_in_silence(t *testing.T) {
	files := []string{
		"transform/dbt_project.yml", "name: shop\n", "transform/models/schema.yml", "version: 2\nmodels:\n  - name: customers\n",
		"transform/packages.yml", "packages:\n  - package: dbt-labs/dbt_utils\n", "transform/models/upwell_exposures.yml", "version: 2\nexposures: []\n",
	}
	vars := env(map[string]string{"SECRET": "x"})
	count := func(more ...string) int {
		n := 0
		for _, w := range load(t, write(t, append(append(files, "upwell.yml", base), more...)...), vars).Warnings {
			if w.Code == fault.ProjectForeign {
				n++
			}
		}
		return n
	}
	if n := count(); n != 0 {
		t.Errorf("%d warnings", n)
	}
	if n := count("transform/x.yml", "polices: []\n", "other/schema.yml", "version: 2\nmodels:\n  - name: customers\n"); n != 2 {
		t.Errorf("%d warnings of a slip and of a file outside the dbt project, want 2", n)
	}
}
