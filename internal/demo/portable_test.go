package demo

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A function of a model is one that somebody looked up in the reference of every warehouse: the guide has the pages.
func Test_the_models_call_only_functions_that_were_looked_up(t *testing.T) {
	page, err := os.ReadFile("../../docs/guide/demo.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| function | Snowflake | BigQuery | Databricks | Redshift |")
	if !found {
		t.Fatal("docs/guide/demo.md has no table of functions")
	}
	known := map[string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 {
			continue
		}
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[1], -1) {
			known[name[1]] = strings.Count(line, "](https://") >= 4
		}
	}
	keywords := map[string]bool{"as": true, "over": true, "and": true}
	comment := regexp.MustCompile(`--[^\n]*`)
	call := regexp.MustCompile(`(\w+)\s*\(`)
	called := 0
	for _, name := range []string{"customer_health", "personalisation", "at_risk_accounts"} {
		b, err := files.ReadFile("project/models/" + name + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		text := comment.ReplaceAllString(string(b), "")
		for _, m := range call.FindAllStringSubmatch(text, -1) {
			if called++; !known[m[1]] && !keywords[m[1]] {
				t.Errorf("%s.sql calls %s, which docs/guide/demo.md does not show for every warehouse", name, m[1])
			}
		}
		if bad := regexp.MustCompile(`::|//|\bfilter\b|\bqualify\b|\busing\b|\binterval\b|\[|"|` + "`").FindString(text); bad != "" {
			t.Errorf("%s.sql says %q, which is not the same everywhere", name, bad)
		}
	}
	if called < 30 {
		t.Errorf("only %d calls were found", called)
	}
}

// `/` of whole numbers is a float in DuckDB, and a whole number in Redshift: the scores do not depend on it.
func Test_the_scores_do_not_depend_on_what_a_division_gives(t *testing.T) {
	s := &show{Options: Options{Rows: 500, Seed: 7}, company: filepath.Join(t.TempDir(), "company.duckdb")}
	if _, err := s.warehouse(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	err := s.inCompany(ctx, func(c *sql.Conn) error {
		for _, q := range []string{
			"create table of_floats as select * from health",
			"set integer_division = true",
			"create table of_integers as select * from health",
		} {
			if _, err := c.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		var half, accounts, scores, differ int
		if err := c.QueryRowContext(ctx, "select 1 / 2").Scan(&half); err != nil || half != 0 {
			t.Errorf("1 / 2 is %d: divisions were not changed (%v)", half, err)
		}
		err := c.QueryRowContext(ctx, `select count(*), count(distinct a.health_score), count(*) filter (a is distinct from b)
			from of_floats a join of_integers b using (account_id)`).Scan(&accounts, &scores, &differ)
		if accounts != 500 || scores < 30 || differ != 0 {
			t.Errorf("of %d accounts with %d scores, %d differ", accounts, scores, differ)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
