package bigquerytest

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func start(t *testing.T) *Server {
	t.Helper()
	s, err := Start(t.Context(), "127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask sends a request and gives status and body.
func ask(t *testing.T, s *Server, method, path, token, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func Test_the_stand_in_refuses_what_bigquery_refuses(t *testing.T) {
	s := start(t)
	token, _ := s.grant("test")
	const jobs = "/bigquery/v2/projects/" + Project + "/jobs"
	query := func(sql string) string {
		return `{"configuration":{"dryRun":true,"query":{"useLegacySql":false,"query":` + quote(sql) + `}},"jobReference":{"location":"EU"}}`
	}
	for _, c := range []struct {
		token, path, body string
		status            int
		words             string
	}{
		{"", jobs, query("SELECT 1 AS n"), 401, "authentication credentials"},
		{"made-up", jobs, query("SELECT 1 AS n"), 401, "authError"},
		{token, "/bigquery/v2/projects/other/jobs", query("SELECT 1 AS n"), 403, "bigquery.jobs.create"},
		{token, jobs, query("SELECT 1 AS n"), 200, "INTEGER"},
		{token, jobs, strings.Replace(query("SELECT 1 AS n"), "EU", "US", 1), 404, "not found in location"},
		{token, jobs, query("SELECT 1 AS n UNION SELECT 2"), 400, "Expected keyword ALL or keyword DISTINCT"},
		{token, jobs, query("SELECT 1 AS n UNION ALL SELECT 2"), 200, "INTEGER"},
		{token, jobs, query("SELECT * EXCEPT (a) FROM (SELECT 1 AS a, 2 AS n)"), 200, `"n"`},
		{token, jobs, query("UPDATE sales.t SET a = 1"), 400, "must have a WHERE clause"},
		{token, jobs, query("DELETE FROM sales.t"), 400, "must have a WHERE clause"},
		{token, jobs, query("SELECT 1 AS n, 2 AS N"), 400, "Duplicate column names"},
		{token, jobs, query("SELECT 1 AS `a\\`b`"), 400, "Invalid field name"},
		{token, jobs, query("SELECT ? AS n"), 400, "not bound"},
		{token, jobs, query("SELECT x FROM nowhere.t"), 404, "Not found"},
		{token, jobs, query("SELECT 'open"), 400, "Syntax error"},
		{token, jobs, query("BEGIN TRANSACTION"), 400, "scripts or sessions"},
		{token, jobs, `{"configuration":{"query":{"query":"SELECT 1"}}}`, 400, "GoogleSQL"},
		{token, jobs, "{", 400, ""},
	} {
		status, body := ask(t, s, http.MethodPost, c.path, c.token, c.body)
		if status != c.status || !strings.Contains(body, c.words) {
			t.Errorf("%s: %d %s", c.body, status, body)
		}
	}
	if status, _ := ask(t, s, http.MethodGet, jobs+"/nothing", token, ""); status != 404 {
		t.Errorf("a job that is not there: %d", status)
	}
	if status, _ := ask(t, s, http.MethodPost, "/token", "", "grant_type=jwt"); status != 400 {
		t.Errorf("a token for nothing: %d", status)
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func Test_the_stand_in_is_looked_into_and_made_to_fail(t *testing.T) {
	s := start(t)
	if status, body := ask(t, s, http.MethodPost, "/_sandbox/sql", "", "CREATE TABLE sales.t AS SELECT 1 AS id, NUMERIC '2.5' AS amount"); status != 204 {
		t.Fatalf("%d %s", status, body)
	}
	if _, body := ask(t, s, http.MethodGet, "/_sandbox/records/t", "", ""); !strings.Contains(body, `"id":1`) {
		t.Error(body)
	}
	if status, body := ask(t, s, http.MethodGet, "/_sandbox/records/nowhere.t", "", ""); status != 404 || !strings.Contains(body, "Not found") {
		t.Errorf("%d %s", status, body)
	}
	for body, want := range map[string]int{`{"on":"token","status":503,"times":1}`: 204, `{"of":"token"}`: 400} {
		if status, text := ask(t, s, http.MethodPost, "/_sandbox/faults", "", body); status != want {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	var got []int
	for range 2 {
		status, _ := ask(t, s, http.MethodPost, "/token", "", "")
		got = append(got, status)
	}
	if want := []int{503, 400}; !cmp.Equal(got, want) {
		t.Errorf("one fault: %v", got)
	}
	if _, body := ask(t, s, http.MethodGet, "/_sandbox/stats", "", ""); !strings.Contains(body, `"token":2`) {
		t.Error(body)
	}
}

func Test_statements_are_translated(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT `a-b`, x.`y` FROM `acme-test.sales.t` AS x":                                           `SELECT "a-b", x."y" FROM "sales"."t" AS x`,
		"SELECT * FROM `acme-test`.`sales`.`t`":                                                       `SELECT * FROM "sales"."t"`,
		"CREATE TABLE `s`.`t` CLUSTER BY k OPTIONS (a = 1) AS SELECT 1 AS k":                          `CREATE TABLE "s"."t" AS SELECT 1 AS k`,
		"CREATE TABLE t OPTIONS (x = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 7 DAY)) AS SELECT 1": `CREATE TABLE t  AS SELECT 1`,
		"SELECT CAST(JSON_VALUE(j, '$[0]') AS INT64) FROM UNNEST(JSON_QUERY_ARRAY('[]')) AS j":        `SELECT CAST(bq_json_value(j, '$[0]') AS BIGINT) FROM unnest(bq_json_rows('[]')) AS "rows of j"("j")`,
		"SELECT n FROM UNNEST(GENERATE_ARRAY(1, 3)) AS n":                                             `SELECT n FROM generate_series(1, 3) AS "rows of n"("n")`,
		"SELECT 'it\\'s', \"x\", 1.5, b'\\xff' # end":                                                 "SELECT 'it''s', 'x', CAST(1.5 AS DOUBLE), from_base64('/w==') \n",
		"SELECT STRUCT(1 AS a, [2, 3] AS b)":                                                          `SELECT struct_pack("a" := 1 , "b" := [2, 3] )`,
	} {
		got, err := translate(sql, nil)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if norm(got.sql) != norm(want) {
			t.Errorf("%s:\n got %s\nwant %s", sql, got.sql, want)
		}
	}
}

func norm(s string) string { return strings.Join(strings.Fields(s), " ") }
