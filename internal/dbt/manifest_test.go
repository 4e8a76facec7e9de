package dbt_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/fault"
)

func Test_manifests_of_every_known_schema_say_the_same(t *testing.T) {
	for v := 10; v <= 12; v++ {
		m := manifest(t, fmt.Sprintf("testdata/manifest_v%d.json", v))
		if m.Schema != v || m.Adapter != "duckdb" || m.Project != "shop" || m.GeneratedAt.IsZero() || m.Newer {
			t.Errorf("v%d: %+v", v, m.Metadata)
		}
		c := model(t, m, "customers")
		if c.Relation != `"shop"."main"."customers"` || c.Description != "One row per customer." || c.ID != "model.shop.customers" {
			t.Errorf("v%d: %+v", v, c)
		}
		if diff := cmp.Diff([]string{"customer_id"}, c.Key); diff != "" {
			t.Errorf("v%d: key %s", v, diff)
		}
		want := map[string]string{
			"customer_id": "[]", "email": "[contact pii]", "full_name": "[pii]", "phone": "[contact pii]", "city": "[]", "score": "[]", "tier": "[]",
		}
		for _, col := range c.Columns {
			if got := fmt.Sprint(col.Tags); got != want[col.Name] {
				t.Errorf("v%d: tags of %s are %s, want %s", v, col.Name, got, want[col.Name])
			}
			delete(want, col.Name)
		}
		if len(want) > 0 {
			t.Errorf("v%d: no columns %v", v, want)
		}
		if diff := cmp.Diff([]string{"source.shop.app.customers", "source.shop.app.orders"}, c.Sources); diff != "" {
			t.Errorf("v%d: sources over two steps: %s", v, diff)
		}
		var tests []string
		for _, one := range c.Tests {
			word := one.Name
			if one.Warn {
				word += " (warn)"
			}
			tests = append(tests, word)
		}
		list := []string{"accepted_values_customers_tier (warn)", "not_null_customers_customer_id", "orders_have_customers", "unique_customers_customer_id", "unique_customers_email (warn)"}
		if v == 12 {
			list = append(list, "test_tiers")
		}
		if diff := cmp.Diff(list, tests); diff != "" {
			t.Errorf("v%d: tests %s", v, diff)
		}
	}
}

func Test_a_key_is_taken_only_where_it_is_beyond_doubt(t *testing.T) {
	for v := 10; v <= 12; v++ {
		m := manifest(t, fmt.Sprintf("testdata/manifest_v%d.json", v))
		for name, want := range map[string]string{
			"customers":   "[customer_id]",      // unique and not null; e-mail is unique with severity warn only
			"orders":      "[order_id]",         // a constraint of a contract
			"order_lines": "[order_id line_no]", // a constraint over two columns
			"countries":   "[code]",             // tests of a seed
			"accounts":    "[]",                 // two columns, each unique by itself
			"patients":    "[]",                 // unique among some rows only
		} {
			if got := fmt.Sprint(model(t, m, name).Key); got != want {
				t.Errorf("v%d: the key of %s is %s, want %s", v, name, got, want)
			}
		}
	}
	if got := model(t, manifest(t, "testdata/manifest_v12.json"), "accounts").KeyOptions; len(got) != 2 {
		t.Errorf("options %v", got)
	}
}

func Test_a_model_is_found_by_every_way_to_name_it(t *testing.T) {
	m := manifest(t, "testdata/manifest_v12.json")
	for ref, want := range map[dbt.Ref]string{
		{Name: "customers"}:                               "model.shop.customers", // the root project's goes first
		{Name: "shop.customers"}:                          "model.shop.customers",
		{Name: "customers", Package: "crm_pkg"}:           "model.crm_pkg.customers",
		{Name: "crm_pkg.customers"}:                       "model.crm_pkg.customers",
		{Name: "model.shop.customers"}:                    "model.shop.customers",
		{Name: "orders"}:                                  "model.shop.orders.v2", // the latest
		{Name: "orders.v1"}:                               "model.shop.orders.v1",
		{Name: "shop.orders.v1"}:                          "model.shop.orders.v1",
		{Name: "orders", Version: "1"}:                    "model.shop.orders.v1",
		{Name: "orders", Package: "shop", Version: "2"}:   "model.shop.orders.v2",
		{Name: "countries"}:                               "seed.shop.countries",
		{Name: "customers_history"}:                       "snapshot.shop.customers_history",
		{Name: "calendar"}:                                "several model.crm_pkg.calendar model.utils_pkg.calendar",
		{Name: "utils_pkg.calendar"}:                      "model.utils_pkg.calendar",
		{Name: "retired"}:                                 "disabled",
		{Name: "custmers"}:                                "missing",
		{Name: "orders", Version: "3"}:                    "missing",
		{Name: "customers", Package: "nowhere"}:           "missing",
		{Name: "unique_customers_email"}:                  "missing", // a test is no relation
		{Name: "model.shop.customers", Package: "nobody"}: "missing",
	} {
		got := ""
		one, err := m.Find(ref)
		var missing *dbt.Missing
		switch {
		case err == nil:
			got = one.ID
		case !errors.As(err, &missing):
			t.Fatal(err)
		case len(missing.Several) > 0:
			got = "several " + strings.Join(missing.Several, " ")
		case missing.Disabled:
			got = "disabled"
		case slices.Contains(missing.Names, "customers"):
			got = "missing"
		}
		if got != want {
			t.Errorf("%s is %q, want %q", ref, got, want)
		}
	}
	if got := model(t, m, "events").Relation; got != "shop.main.events" {
		t.Errorf("without relation_name: %s", got)
	}
	if got := model(t, m, "stg_customers").Relation; got != "" {
		t.Errorf("ephemeral: %s", got)
	}
}

func Test_artifacts_that_cannot_be_used_say_why_and_what_to_do(t *testing.T) {
	setSchema := func(schema any) func(map[string]any) {
		return func(doc map[string]any) { at(doc, "metadata")["dbt_schema_version"] = schema }
	}
	full, err := os.ReadFile("testdata/manifest_v12.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path      string
		says, fix string
	}{
		"newer":           {changed(t, "manifest_v12.json", setSchema("https://schemas.getdbt.com/dbt/manifest/v13.json")), "manifest v13, and this version knows v10 to v12", "accept_newer: true"},
		"older":           {changed(t, "manifest_v12.json", setSchema("https://schemas.getdbt.com/dbt/manifest/v9.json")), "manifest v9, and this version reads v10 to v12", "dbt 1.6"},
		"run results":     {"testdata/run_results_v6.json", "a run-results artifact, not a manifest", "manifest.json"},
		"no schema":       {changed(t, "manifest_v12.json", setSchema(nil)), "names no schema", "manifest.json"},
		"strange schema":  {changed(t, "manifest_v12.json", setSchema("v`12")), "`v'12`", "manifest.json"},
		"no metadata":     {changed(t, "manifest_v12.json", func(doc map[string]any) { delete(doc, "metadata") }), "no artifact of dbt", "manifest.json"},
		"no nodes":        {changed(t, "manifest_v12.json", func(doc map[string]any) { delete(doc, "nodes") }), "no `nodes`", "dbt parse"},
		"nodes as a list": {changed(t, "manifest_v12.json", func(doc map[string]any) { doc["nodes"] = []any{} }), "complete JSON", "call again"},
		"half":            {written(t, "manifest.json", string(full[:len(full)/2])), "no complete JSON document", "dbt is writing it"},
		"two":             {written(t, "manifest.json", string(full)+"{}"), "something follows", "call again"},
		"empty":           {written(t, "manifest.json", ""), "no complete JSON document", "call again"},
		"text":            {written(t, "manifest.json", `"manifest"`), "where { should", "call again"},
		"a node as text":  {changed(t, "manifest_v12.json", func(doc map[string]any) { at(doc, "nodes")["model.shop.text"] = "text" }), "another value stands where an object should", "anew"},
		"YAML":            {written(t, "manifest.json", "nodes:\n"), "no complete JSON document", "call again"},
		"none":            {t.TempDir() + "/manifest.json", "no such file", "run dbt"},
		"a folder":        {t.TempDir(), "not a regular file", "anew"},
	} {
		_, err := dbt.ReadManifest(c.path, "target/manifest.json", false)
		f := fault.As(err)
		if err == nil || f.Code != fault.DBTArtifact || f.Exit() != fault.ExitUsage || !strings.Contains(f.Message, c.says) || !strings.Contains(f.GetFix(), c.fix) || !strings.Contains(f.Message, "target/manifest.json") {
			t.Errorf("%s: %v; fix: %s", name, err, f.GetFix())
		}
	}
	m, err := dbt.ReadManifest(changed(t, "manifest_v12.json", setSchema("https://schemas.getdbt.com/dbt/manifest/v20.json")), "m", true)
	if err != nil || !m.Newer || len(m.Models) < 10 {
		t.Errorf("a newer schema that is asked for: %v", err)
	}
}

// dbt's schemas allow more types than its documentation shows, and packages write what they like.
func Test_a_strange_value_spoils_nothing_around_it(t *testing.T) {
	path := changed(t, "manifest_v12.json", func(doc map[string]any) {
		at(doc, "nodes")["model.shop.odd"] = map[string]any{
			"resource_type": "model", "package_name": "shop", "name": 7, "relation_name": map[string]any{}, "columns": []any{1}, "config": "none",
			"tags": "pii", "meta": []any{"x"}, "depends_on": nil, "primary_key": "id", "description": nil, "version": 1.5, "latest_version": 1.5,
		}
		at(doc, "nodes")["model.shop.null"] = nil
		doc["disabled"] = map[string]any{"model.shop.retired": "yes"}
		doc["unit_tests"] = map[string]any{}
	})
	m := manifest(t, path)
	odd := m.Models["model.shop.odd"]
	if odd == nil || odd.Name != "7" || !odd.Personal || odd.Version != "1.5" || !odd.Latest || fmt.Sprint(odd.Key) != "[id]" {
		t.Errorf("%+v", odd)
	}
	if c := model(t, m, "customers"); len(c.Columns) != 7 {
		t.Errorf("%+v", c)
	}
}

func Test_nothing_secret_of_an_artifact_is_kept(t *testing.T) {
	m := manifest(t, "testdata/manifest_v12.json")
	r, err := dbt.ReadRunResults("testdata/run_results_v6.json", "run_results.json", false)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%+v %+v", m.Metadata, r)
	for _, one := range m.Models {
		all += fmt.Sprintf("%+v", *one)
	}
	for _, canary := range []string{"env-canary", "user-canary", "compiled-canary", "CANARY"} {
		if strings.Contains(all, canary) {
			t.Errorf("%s is kept", canary)
		}
	}
}

func Test_meta_and_tags_that_speak_of_personal_data(t *testing.T) {
	for _, c := range []struct {
		meta any
		want bool
	}{
		{map[string]any{"contains_pii": true}, true},
		{map[string]any{"Contains_PII": "yes"}, true},
		{map[string]any{"is_pii": 1.0}, true},
		{map[string]any{"pii": map[string]any{"kind": "email"}}, true},
		{map[string]any{"classification": "PII"}, true},
		{map[string]any{"governance": map[string]any{"labels": []any{"internal", "pii"}}}, true},
		{map[string]any{"contains_pii": false}, false},
		{map[string]any{"contains_pii": "No"}, false},
		{map[string]any{"pii": nil}, false},
		{map[string]any{"note": "no pii in here"}, false},
		{map[string]any{}, false},
		{nil, false},
	} {
		path := changed(t, "manifest_v12.json", func(doc map[string]any) {
			at(doc, "nodes", "model.shop.customers", "columns", "city")["meta"] = c.meta
		})
		col, ok := model(t, manifest(t, path), "customers").Column("CITY")
		if !ok || slices.Contains(col.Tags, dbt.PII) != c.want {
			t.Errorf("%v: tags %v", c.meta, col.Tags)
		}
	}
	if !model(t, manifest(t, "testdata/manifest_v12.json"), "patients").Personal {
		t.Error("a model tagged pii is not personal")
	}
}

func Test_real_manifests_are_read(t *testing.T) {
	for name, want := range map[string]struct {
		relation, key string
		models, tests int
	}{
		"manifest_v10_dbt1.6_bigquery.json":  {"`your-project`.`jaffle_shop`.`customers`", "[customer_id]", 6, 2},
		"manifest_v11_dbt1.7_bigquery.json":  {"`your-project`.`jaffle_shop`.`customers`", "[customer_id]", 35, 2},
		"manifest_v12_dbt1.12_duckdb.json":   {`"jaffle_shop"."main"."customers"`, "[customer_id]", 13, 4},
		"../../data/dbt/run_results_v5.json": {},
	} {
		m, err := dbt.ReadManifest(shared(t, name), name, false)
		if want.models == 0 {
			if err == nil {
				t.Error("run results pass for a manifest")
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		models := 0
		for _, one := range m.Models {
			if one.Kind == "model" {
				models++
			}
		}
		c := model(t, m, "customers")
		if models != want.models || c.Relation != want.relation || fmt.Sprint(c.Key) != want.key || len(c.Tests) != want.tests || len(c.Columns) < 7 {
			t.Errorf("%s: %d models, %+v", name, models, c)
		}
	}
}
