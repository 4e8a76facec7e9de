// Package jaffle_test proves from the outside that what a real run of dbt left behind drives a sync: dbt's classic example project
// built on DuckDB goes to a CRM and a file, dbt's word holds it, and a pull request that would break it is told of.
package jaffle_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2" // makes the warehouse

	"github.com/upwelldata/upwell/internal/cli"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
)

const project = `version: 1
name: jaffle
sources:
  warehouse: {type: duckdb, path: jaffle_shop.duckdb}
destinations:
  crm:
    type: salesforce
    instance_url: ${env:JAFFLE_SALESFORCE_URL}
    client_id: ${env:JAFFLE_CLIENT_ID}
    client_secret: ${env:JAFFLE_CLIENT_SECRET}
    allow_private: true
  files: {type: file, path: out}
models:
  customers: {source: warehouse, dbt: customers}
syncs:
  customers_to_crm:
    model: customers
    destination: crm
    object: Contact
    match: {Customer_Id__c: customer_id}
    fields: {LastName: customer_name, Monthly_Charges__c: lifetime_spend}
  customers_to_file:
    model: customers
    destination: files
    object: customers
    mode: mirror
    match: {id: customer_id}
    fields: {orders: count_lifetime_orders, spend: lifetime_spend, type: customer_type}
`

// The relation the manifest names, with the columns the catalog found.
const warehouse = `create table "jaffle_shop"."main"."customers" (customer_id varchar, customer_name varchar, count_lifetime_orders bigint,
	first_ordered_at timestamp, last_ordered_at timestamp, lifetime_spend_pretax decimal(38,2), lifetime_tax_paid decimal(38,2),
	lifetime_spend decimal(38,2), customer_type varchar);
insert into "jaffle_shop"."main"."customers" values
	('c1', 'Ada', 2, '2026-01-01', '2026-02-01', 20.00, 1.50, 21.50, 'returning'),
	('c2', 'Grace', 1, '2026-01-05', '2026-01-05', 7.00, 0.49, 7.49, 'new'),
	('c3', 'Edsger', 9, '2026-01-09', '2026-03-01', 90.10, 6.30, 96.40, 'returning')`

// shop is a project over artifacts of a real run.
type shop struct {
	*testing.T
	dir string
	crm *salesforcetest.Server
}

func newShop(t *testing.T) *shop {
	s := &shop{T: t, dir: t.TempDir()}
	s.write("target/manifest.json", shared(t, "manifest_v12_dbt1.12_duckdb.json"))
	s.write("target/run_results.json", shared(t, "run_results_v6_dbt1.12.json"))
	s.write("target/catalog.json", shared(t, "catalog_v1_dbt1.12.json"))
	s.write("upwell.yml", []byte(project))
	s.sql(warehouse)
	var err error
	if s.crm, err = salesforcetest.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.crm.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("JAFFLE_SALESFORCE_URL", s.crm.URL())
	t.Setenv("JAFFLE_CLIENT_ID", salesforcetest.ClientID)
	t.Setenv("JAFFLE_CLIENT_SECRET", salesforcetest.ClientSecret)
	return s
}

// shared gives an artifact that a real run of dbt wrote. It is not part of the repository.
func shared(t *testing.T, name string) []byte {
	t.Helper()
	dir := os.Getenv("UPWELL_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	b, err := os.ReadFile(filepath.Join(dir, "data", "dbt", name))
	if os.IsNotExist(err) {
		t.Skipf("skipped: no data/dbt/%s below %s; UPWELL_SHARED names the folder of shared data. internal/cli proves the same with hand-made artifacts", name, dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *shop) write(name string, b []byte) {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *shop) sql(statements string) {
	s.Helper()
	db, err := sql.Open("duckdb", filepath.Join(s.dir, "jaffle_shop.duckdb"))
	if err != nil {
		s.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(s.Context(), statements); err != nil {
		s.Fatal(err)
	}
}

// upwell calls the command line and wants its exit code and these words.
func (s *shop) upwell(code int, args string, says ...string) string {
	s.Helper()
	var out bytes.Buffer
	if got := cli.Main(append([]string{"-C", s.dir}, strings.Fields(args)...), strings.NewReader(""), &out, &out); got != code {
		s.Fatalf("upwell %s ended with %d, want %d\n%s", args, got, code, out.String())
	}
	for _, word := range says {
		if !strings.Contains(out.String(), word) {
			s.Errorf("upwell %s does not say %q:\n%s", args, word, out.String())
		}
	}
	return out.String()
}

func (s *shop) contact(id, field string) any {
	s.Helper()
	return s.crm.Record("Contact", "Customer_Id__c", id)[field]
}

func (s *shop) file() string {
	s.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "out", "customers.jsonl"))
	if err != nil {
		s.Fatal(err)
	}
	return string(b)
}

// change edits an artifact.
func (s *shop) change(from, to string, edit func(doc map[string]any)) {
	s.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, from))
	if err != nil {
		s.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		s.Fatal(err)
	}
	edit(doc)
	if b, err = json.Marshal(doc); err != nil {
		s.Fatal(err)
	}
	s.write(to, b)
}

func Test_a_real_manifest_drives_a_sync(t *testing.T) {
	s := newShop(t)
	s.upwell(0, "check --connect", "9 columns")
	s.upwell(0, "run", "3 delivered of 3", "dbt generate, which builds and tests nothing")
	if s.contact("c1", "LastName") != "Ada" || len(s.crm.Records("Contact")) != 3 || !strings.Contains(s.file(), `"spend":96.40`) {
		t.Errorf("%v\n%s", s.crm.Records("Contact"), s.file())
	}
	s.upwell(0, "run", "3 unchanged")

	s.sql(`update "jaffle_shop"."main"."customers" set lifetime_spend = 30.00 where customer_id = 'c1'`)
	s.change("target/run_results.json", "target/run_results.json", func(doc map[string]any) {
		doc["args"].(map[string]any)["which"] = "build"
		for _, r := range doc["results"].([]any) {
			if one := r.(map[string]any); one["unique_id"] == "model.jaffle_shop.customers" {
				one["status"], one["message"] = "error", "Runtime Error in model customers (models/marts/customers.sql)\n  Binder Error: no such column"
			}
		}
	})
	s.upwell(4, "run", "DBT_HELD", "Binder Error: no such column")
	s.upwell(4, "test", "HELD")
	if strings.Contains(s.file(), "30.00") {
		t.Error("what dbt failed to build was delivered")
	}
	s.write("target/run_results.json", shared(t, "run_results_v6_dbt1.12.json"))
	s.upwell(0, "run", "1 delivered of 1")
	s.upwell(0, "explain customers_to_file c1", "30.00")
}

func Test_a_pull_request_to_a_real_project_is_checked(t *testing.T) {
	s := newShop(t)
	pr := filepath.Join(s.dir, "pr.json")
	edit := func(edit func(customers map[string]any)) {
		s.change("target/manifest.json", "pr.json", func(doc map[string]any) {
			edit(doc["nodes"].(map[string]any)["model.jaffle_shop.customers"].(map[string]any))
		})
	}
	edit(func(map[string]any) {})
	s.upwell(0, "dbt check --manifest "+pr, "2 syncs: 0 broken, 0 to look at")
	edit(func(c map[string]any) {
		columns := c["columns"].(map[string]any)
		col := columns["lifetime_spend"].(map[string]any)
		col["name"] = "total_spend" // by its description it is the same
		delete(columns, "lifetime_spend")
		columns["total_spend"] = col
	})
	s.upwell(1, "dbt check --manifest "+pr, "2 syncs: 2 broken", "field Monthly_Charges__c", "did you mean `total_spend`?")
	edit(func(c map[string]any) { delete(c["columns"].(map[string]any), "customer_type") })
	s.upwell(1, "dbt check --manifest "+pr, "2 syncs: 1 broken", "customers has no column customer_type any more")
	edit(func(c map[string]any) { c["name"] = "customer" })
	s.upwell(1, "dbt check --manifest "+pr, "did you mean `customer`?")
	s.upwell(0, "dbt check --manifest "+filepath.Join(s.dir, "target", "manifest.json"), "compared with nothing")
	s.upwell(0, "dbt exposures", "ref('customers')", "name: upwell_customers_to_crm")
}
