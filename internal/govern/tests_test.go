package govern_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/sqlite"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/govern"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// health is a source with a table of three rows.
func health(t *testing.T) connector.Source {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "w.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"CREATE TABLE health (id INTEGER, parent INTEGER, tier TEXT, score REAL)",
		"INSERT INTO health VALUES (1, NULL, 'a', 10), (2, 1, 'b', 101), (3, 1, NULL, -1)",
	} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	src, err := sqlite.Source().Open(t.Context(), connector.NewConfig(map[string]string{"path": "w.db"}, nil, nil), connector.Env{ProjectDir: dir, Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return src
}

var asQuery, asTable = project.Model{Name: "m", SQL: "select * from health;\n"}, project.Model{Name: "m", Table: "health"}

// A test's own query takes the model as it would take a table.
func Test_a_query_may_use_the_model_as_any_table(t *testing.T) {
	src := health(t)
	for _, query := range []string{
		"select * from {{ model }} where tier is null",
		"select * from {{model}} where tier is null;",
		"select h.* from {{ model }} h where h.tier is null",
		"select h.id from {{ model }} as h left join {{ model }} p on p.id = h.parent where p.id is null and h.parent is null",
		"select id from {{ model }} where id not in (select parent from {{ model }} where parent is not null) and tier is null",
		"with orphans as (select * from {{ model }} where tier is null) select * from orphans",
		"-- with a comment in front\n/* and another */ WITH RECURSIVE up(id) as (select parent from {{ model }} where id = 2) select * from up",
		"select 1 as n",
	} {
		for name, m := range map[string]project.Model{"query": asQuery, "table": asTable} {
			m.Tests = []project.Test{{Name: "x", Kind: project.TestSQL, Query: query}}
			got, err := govern.Test(t.Context(), src, &m)
			if err != nil || len(got) != 1 || got[0].Failing != 1 {
				t.Errorf("%s as a %s: %+v, %v; want one row", query, name, got, err)
			}
		}
	}
}

func Test_a_failed_test_says_what_was_expected(t *testing.T) {
	src, one, five := health(t), row.IntValue(1), row.IntValue(5)
	zero, hundred := row.IntValue(0), row.IntValue(100)
	for _, c := range []struct {
		test project.Test
		want string
	}{
		{project.Test{Kind: project.TestNotNull, Columns: []string{"id", "tier"}}, "1 row where id or tier is null"},
		{project.Test{Kind: project.TestUnique, Columns: []string{"parent"}}, "1 value of parent occurs more than once"},
		{project.Test{Kind: project.TestAcceptedRange, Columns: []string{"score"}, Min: &zero, Max: &hundred}, "2 rows where score is below 0 or above 100"},
		{project.Test{Kind: project.TestAcceptedRange, Columns: []string{"score"}, Max: &hundred}, "1 row where score is above 100"},
		{project.Test{Kind: project.TestAcceptedValues, Columns: []string{"tier"}, Values: []row.Value{row.TextValue("a")}}, "1 row where tier has another value than accepted"},
		{project.Test{Kind: project.TestRowCount, Min: &five}, "the model has 3 rows, fewer than 5"},
		{project.Test{Kind: project.TestRowCount, Max: &one}, "the model has 3 rows, more than 1"},
		{project.Test{Kind: project.TestSQL, Query: "select * from {{ model }} where id > 1"}, "2 rows returned"},
	} {
		m := asQuery
		m.Tests = []project.Test{c.test}
		got, err := govern.Test(t.Context(), src, &m)
		if err != nil || len(got) != 1 || got[0].Passed || got[0].Message != c.want {
			t.Errorf("%s: %+v, %v; want %q", c.test.Kind, got, err, c.want)
		}
	}
}

// A test that cannot be run is no pass, and it keeps none of the others from being run.
func Test_a_test_that_cannot_be_run_does_not_hide_the_others(t *testing.T) {
	m := asQuery
	m.Tests = []project.Test{
		{Name: "typo", Kind: project.TestNotNull, Columns: []string{"tiers"}},
		{Name: "broken", Kind: project.TestSQL, Query: "selec * from {{ model }}"},
		{Name: "good", Kind: project.TestNotNull, Columns: []string{"id"}},
	}
	got, err := govern.Test(t.Context(), health(t), &m)
	if len(got) != 3 || !fault.Is(err, fault.SourceColumnMissing) {
		t.Fatalf("%+v, %v", got, err)
	}
	if f := got[0].Error; f == nil || f.GetFix() != "did you mean `tier`?" || got[0].Passed {
		t.Errorf("a column that is not there: %+v", got[0])
	}
	if f := got[1].Error; f == nil || f.Code != fault.SourceQueryFailed || !strings.Contains(f.GetFix(), "{{ model }}") || got[1].Passed {
		t.Errorf("a query that is wrong: %+v", got[1])
	}
	if !got[2].Passed || got[2].Error != nil {
		t.Errorf("a good test: %+v", got[2])
	}
}
