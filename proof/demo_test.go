package proof_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/cli"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/demo"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/testdb"
)

// performance is what a demo did to its CRM.
type performance struct {
	*demo.Result
	held    map[demo.Step]map[string]string // records of the CRM by account, without ids and times
	planned []string                        // what the plan of the second day said: "change ACC-000001"
	models  map[string]string               // the files of the project's models
}

// The company of the demo is generated in DuckDB and loaded into a stand-in of each warehouse; the vendor's driver, or the connector's
// own client, reads the models from there. What reaches the CRM is what reaches it from DuckDB: all at first, nothing when nothing
// changed, and after a day the changes only, each as planned.
func Test_the_health_score_is_the_same_from_every_warehouse(t *testing.T) {
	want := perform(t, demo.DuckDB)
	first, second := want.held[demo.First], want.held[demo.Second]
	if len(first) != 400 || want.CRM[demo.First].Records != 400 || len(want.planned) < 4 {
		t.Fatalf("from DuckDB the first run left %d accounts: %+v, and the second plans %v", len(first), want.CRM, want.planned)
	}
	scores := map[string]bool{}
	for _, r := range first {
		scores[r] = true
	}
	if len(scores) != len(first) {
		t.Fatalf("%d accounts of %d differ", len(scores), len(first))
	}
	for _, name := range demo.Warehouses() {
		t.Run(name, func(t *testing.T) {
			got := want
			if name != demo.DuckDB {
				got = perform(t, name)
			}
			if got.Warehouse != name || !maps.Equal(got.models, want.models) || len(got.models) != 3 {
				t.Errorf("the models in %s are not those in DuckDB, to the letter", got.Warehouse)
			}
			for _, step := range []demo.Step{demo.First, demo.Second, demo.Refused, demo.Mended} {
				if d := different(got.held[step], want.held[step]); len(d) > 0 {
					one := d[0]
					t.Errorf("%s: %d accounts are not as from DuckDB, for instance %s:\n%s\n%s", step, len(d), one, got.held[step][one], want.held[step][one])
				}
			}
			if !maps.Equal(got.CRM, want.CRM) || got.Refused != want.Refused {
				t.Errorf("the CRM was written %+v, from DuckDB %+v", got.CRM, want.CRM)
			}
			if !slices.Equal(got.planned, want.planned) {
				t.Errorf("the plan says %v, from DuckDB %v", got.planned, want.planned)
			}
			if sent := changes(got.held[demo.First], got.held[demo.Second]); !slices.Equal(sent, got.planned) || got.CRM[demo.Second].Records != len(sent) {
				t.Errorf("planned was %v, and the run did %v with %d records", got.planned, sent, got.CRM[demo.Second].Records)
			}
			if t.Failed() {
				return
			}
			t.Logf("%s: %d accounts, then nothing, then %d changes, each as planned and as from DuckDB", name, len(first), len(changes(first, second)))
		})
	}
}

// perform runs the demo of 400 accounts with a warehouse. After the first run it runs once more, which must send nothing; after the
// day has passed it asks for the plan.
func perform(t *testing.T, warehouse string) *performance {
	t.Helper()
	t.Setenv("PGHOST", "")
	t.Setenv(demo.PostgresVariable, "")
	if warehouse == "redshift" {
		t.Setenv(demo.PostgresVariable, testdb.Postgres(t))
	}
	dir := filepath.Join(t.TempDir(), "demo")
	p := &performance{held: map[demo.Step]map[string]string{}, models: map[string]string{}}
	ask := func(exit int, into any, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := cli.Main(append([]string{"-C", dir, "--json"}, args...), strings.NewReader(""), &out, &errs); code != exit {
			t.Fatalf("%s: upwell %s ended with %d: %s%s", warehouse, args[0], code, out.String(), errs.String())
		}
		if err := json.Unmarshal(out.Bytes(), into); err != nil {
			t.Fatal(err)
		}
	}
	var story bytes.Buffer
	var err error
	p.Result, err = demo.Run(t.Context(), demo.Options{
		Dir: dir, Rows: 400, Seed: 1, Out: &story, Program: "upwell", Warehouse: warehouse,
		Upwell: func(_ context.Context, w io.Writer, args ...string) int {
			return cli.Main(args, strings.NewReader(""), w, w)
		},
		After: func(step demo.Step, crm *salesforcetest.Server) {
			p.held[step] = held(t, crm)
			switch step {
			case demo.First:
				before := crm.Stats().Rows["Account"]
				var doc struct {
					Runs []struct {
						Counts struct{ Read, Unchanged int }
					}
				}
				ask(fault.ExitOK, &doc, "run", "health_to_crm")
				if n := crm.Stats().Rows["Account"] - before; n != 0 || len(doc.Runs) != 1 || doc.Runs[0].Counts.Unchanged != 400 || doc.Runs[0].Counts.Read != 400 {
					t.Errorf("%s: a second run wrote %d records: %+v", warehouse, n, doc)
				}
			case demo.Changed:
				var doc struct {
					Plans []struct {
						Samples []struct {
							Op  string
							Key struct {
								Account string `json:"account_id"`
							}
						}
					}
				}
				ask(fault.ExitOK, &doc, "plan", "health_to_crm")
				for _, s := range doc.Plans[0].Samples {
					p.planned = append(p.planned, s.Op+" "+s.Key.Account)
				}
				slices.Sort(p.planned)
			case demo.Generated, demo.Second, demo.Refused, demo.Mended:
			}
		},
	})
	if err != nil {
		t.Fatalf("%s: %v\n%s", warehouse, err, story.String())
	}
	files, err := filepath.Glob(filepath.Join(dir, "models", "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		p.models[filepath.Base(f)] = string(b)
	}
	return p
}

// held gives what the CRM holds by account. Numbers are compared as such: a warehouse says 12, another 12.00.
func held(t *testing.T, crm *salesforcetest.Server) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range crm.Records("Account") {
		id := fmt.Sprint(r["Account_Number__c"])
		var fields []string
		for _, name := range slices.Sorted(maps.Keys(r)) {
			if r[name] == nil {
				continue
			}
			value := fmt.Sprint(r[name])
			switch name {
			case "Id", "CreatedDate", "LastModifiedDate", "SystemModstamp":
				continue
			case "MRR__c", "NPS__c", "Health_Score__c":
				if n, ok := new(big.Rat).SetString(value); ok {
					value = n.RatString()
				}
			}
			fields = append(fields, name+"="+value)
		}
		out[id] = strings.Join(fields, " ")
	}
	return out
}

// different gives the accounts that two states of the CRM do not agree about.
func different(a, b map[string]string) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	var out []string
	for id := range all {
		if a[id] != b[id] {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// changes gives what led from one state of the CRM to another, as a plan says it.
func changes(before, after map[string]string) []string {
	var out []string
	for _, id := range different(before, after) {
		op := "change"
		if before[id] == "" {
			op = "add"
		} else if after[id] == "" {
			op = "remove"
		}
		out = append(out, op+" "+id)
	}
	slices.Sort(out)
	return out
}
