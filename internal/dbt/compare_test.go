package dbt_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/upwelldata/upwell/internal/dbt"
)

// near stands for the suggestion of the project: the candidate that begins alike.
func near(word string, candidates []string) string {
	for _, c := range candidates {
		if strings.HasPrefix(c, word[:2]) {
			return c
		}
	}
	return ""
}

func Test_what_a_manifest_changes_is_told_by_kind_and_weight(t *testing.T) {
	base := manifest(t, "testdata/manifest_v12.json")
	node := func(doc map[string]any, id string) map[string]any { return at(doc, "nodes", id) }
	const orders, customers = "model.shop.orders.v2", "model.shop.customers"
	for name, c := range map[string]struct {
		ref    string
		uses   []string
		change func(doc map[string]any)
		want   string
		noKey  bool
		alone  bool // nothing to compare with
	}{
		"nothing":                          {ref: "orders", uses: []string{"order_id", "amount"}, want: ""},
		"a type of the contract":           {ref: "orders", uses: []string{"amount"}, change: func(d map[string]any) { at(node(d, orders), "columns", "amount")["data_type"] = "float" }, want: "type_changed warning amount"},
		"a type without a contract":        {ref: "customers", uses: []string{"score"}, change: func(d map[string]any) { at(node(d, customers), "columns", "score")["data_type"] = "float" }, want: ""},
		"dropped from a contract":          {ref: "orders", uses: []string{"amount"}, change: func(d map[string]any) { delete(at(node(d, orders), "columns"), "amount") }, want: "column_dropped breaks amount", alone: true},
		"renamed, by its description":      {ref: "customers", uses: []string{"tier"}, change: func(d map[string]any) { rename(at(node(d, customers), "columns"), "tier", "medal") }, want: "column_renamed breaks tier medal"},
		"renamed, by its name":             {ref: "customers", uses: []string{"score"}, change: func(d map[string]any) { rename(at(node(d, customers), "columns"), "score", "scoring") }, want: "column_renamed breaks score scoring"},
		"an old column is no new name":     {ref: "customers", uses: []string{"city"}, change: func(d map[string]any) { delete(at(node(d, customers), "columns"), "city") }, want: "column_dropped breaks city"},
		"never listed":                     {ref: "customers", uses: []string{"signed_up"}, want: "column_unknown unknown signed_up"},
		"never listed, nothing to compare": {ref: "customers", uses: []string{"signed_up"}, want: "column_unknown unknown signed_up", alone: true},
		"disabled":                         {ref: "customers", uses: []string{"tier"}, change: func(d map[string]any) { disable(d, customers) }, want: "model_disabled breaks"},
		"gone":                             {ref: "orders", uses: []string{"amount"}, change: func(d map[string]any) { delete(at(d, "nodes"), orders); delete(at(d, "nodes"), "model.shop.orders.v1") }, want: "model_missing breaks order_lines"},
		"another of the name":              {ref: "accounts", change: func(d map[string]any) { twice(d, "model.shop.accounts") }, want: "model_ambiguous breaks"},
		"ephemeral": {ref: "customers", change: func(d map[string]any) {
			at(node(d, customers), "config")["materialized"] = "ephemeral"
			node(d, customers)["relation_name"] = nil
		}, want: "model_ephemeral breaks"},
		"a key not told any more": {ref: "customers", change: func(d map[string]any) {
			node(d, customers)["primary_key"] = []any{}
			delete(at(d, "nodes"), "test.shop.unique_customers_customer_id.0a1b2c")
		}, want: "key_lost breaks", noKey: true},
		"another key":                    {ref: "customers", change: func(d map[string]any) { node(d, customers)["primary_key"] = []any{"email"} }, want: "key_changed breaks", noKey: true},
		"a key the project names itself": {ref: "customers", change: func(d map[string]any) { node(d, customers)["primary_key"] = []any{"email"} }, want: ""},
	} {
		next := base
		if c.change != nil {
			next = manifest(t, changed(t, "manifest_v12.json", c.change))
		}
		q := dbt.Comparison{Ref: dbt.Ref{Name: c.ref}, New: next, Columns: c.uses, NoKey: c.noKey, Near: near}
		if !c.alone {
			q.Base = model(t, base, c.ref)
		}
		var got []string
		for _, f := range q.Compare() {
			line := fmt.Sprintf("%s %s %s %s", f.Change, f.Weight, f.Column, f.Suggestion)
			got = append(got, strings.Join(strings.Fields(line), " "))
			if f.Message == "" {
				t.Errorf("%s: no message", name)
			}
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

func rename(columns map[string]any, from, to string) {
	c := columns[from].(map[string]any)
	c["name"] = to
	delete(columns, from)
	columns[to] = c
}

func disable(doc map[string]any, id string) {
	at(doc, "disabled")[id] = []any{at(doc, "nodes", id)}
	delete(at(doc, "nodes"), id)
	delete(at(doc, "nodes"), "model.crm_pkg.customers")
}

// twice makes two packages have a model of this name, and the root project none.
func twice(doc map[string]any, id string) {
	for _, pkg := range []string{"a_pkg", "b_pkg"} {
		n := map[string]any{}
		for k, v := range at(doc, "nodes", id) {
			n[k] = v
		}
		n["package_name"] = pkg
		at(doc, "nodes")["model."+pkg+".accounts"] = n
	}
	delete(at(doc, "nodes"), id)
}

func Test_words_of_a_condition_are_looked_up(t *testing.T) {
	base := manifest(t, "testdata/manifest_v12.json")
	next := manifest(t, changed(t, "manifest_v12.json", func(d map[string]any) { rename(at(d, "nodes", "model.shop.customers", "columns"), "tier", "tiers") }))
	q := dbt.Comparison{Ref: dbt.Ref{Name: "customers"}, Base: model(t, base, "customers"), New: next, Filter: "TIER <> 'x' and city is not null", Near: near}
	got := q.Compare()
	if len(got) != 1 || got[0].Change != dbt.FilterColumn || got[0].Column != "TIER" || got[0].Suggestion != "tiers" {
		t.Errorf("%+v", got)
	}
	q.Base = nil
	if got = q.Compare(); len(got) != 1 || got[0].Weight != dbt.Unknown {
		t.Errorf("%+v", got)
	}
}

func Test_exposures_are_read_back_as_they_were_meant(t *testing.T) {
	m := manifest(t, "testdata/manifest_v12.json")
	for ref, want := range map[string]string{"customers": "ref('customers')", "crm_pkg.customers": "ref('crm_pkg', 'customers')", "orders.v1": "ref('orders', v=1)", "orders": "ref('orders')"} {
		if got := model(t, m, ref).Reference(false); got != want {
			t.Errorf("%s is %s, want %s", ref, got, want)
		}
	}
	if got := model(t, m, "orders").Reference(true); got != "ref('orders', v=2)" {
		t.Error(got)
	}
	texts := []string{"plain", "yes", "1.0", "null", "a: b # c", "\"quoted\" 'and' \\ back", "line\nbreak\ttab", "ümläut 漢字 \u2028", "- list", "{% macro %}", ""}
	var list []dbt.Exposure
	for i, s := range texts {
		list = append(list, dbt.Exposure{Name: fmt.Sprintf("e%02d", i), Label: s, Description: s, Owner: "o" + s, DependsOn: []string{"ref('x')"}})
	}
	slices.Reverse(list)
	var doc struct {
		Exposures []struct {
			Label, Description string
			Owner              map[string]string
		}
	}
	if err := yaml.Unmarshal(dbt.WriteExposures(list), &doc); err != nil {
		t.Fatal(err)
	}
	for i, s := range texts {
		s = strings.Replace(s, "{%", "{ %", 1)
		if e := doc.Exposures[i]; e.Label != s || e.Description != s || e.Owner["name"] != "o"+s {
			t.Errorf("%q is read as %+v", s, e)
		}
	}
	if got := string(dbt.WriteExposures(nil)); !strings.HasSuffix(got, "exposures: []\n") {
		t.Error(got)
	}
	if got := dbt.ExposureName("a-b c.é"); got != "a_b_c__" {
		t.Error(got)
	}
}
