package databrickstest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func workspace(t *testing.T) *Server {
	t.Helper()
	s, err := Start(t.Context(), "127.0.0.1:0")
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

// ask sends a request with a personal token, or with another Authorization.
func ask(t *testing.T, s *Server, method, path, body, auth string) (int, map[string]any) {
	t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = "http://" + s.Addr() + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if auth == "" {
		auth = "Bearer " + Token
	}
	if auth != "-" {
		req.Header.Set("Authorization", auth)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if json.Unmarshal(b, &out) != nil {
		out["body"] = string(bytes.ToValidUTF8(b, []byte("?")))
	}
	return res.StatusCode, out
}

const statements = "/api/2.0/sql/statements"

func submit(more string) string {
	return `{"warehouse_id":"` + Warehouse + `","wait_timeout":"50s",` + more + `}`
}

func Test_it_refuses_what_the_service_refuses(t *testing.T) {
	s := workspace(t)
	for body, want := range map[string]string{
		submit(`"statement":"SELECT 1","disposition":"INLINE","format":"ARROW_STREAM"`):                           "must be JSON_ARRAY",
		submit(`"statement":"SELECT 1","disposition":"INLINE","format":"JSON_ARRAY","colour":1`):                  "colour",
		submit(`"statement":"","disposition":"INLINE","format":"JSON_ARRAY"`):                                     "statement is required",
		`{"warehouse_id":"x","statement":"SELECT 1"}`:                                                             "not a valid endpoint id",
		`{"warehouse_id":"` + Warehouse + `","statement":"SELECT 1","wait_timeout":"3s"}`:                         "wait_timeout",
		submit(`"statement":"` + strings.Repeat("-", 16<<20) + `1","disposition":"INLINE","format":"JSON_ARRAY"`): "16 MiB",
		submit(`"statement":"SELECT 1","disposition":"EXTERNAL_LINKS","format":"ARROW_STREAM","row_limit":1`):     "row_limit",
	} {
		status, out := ask(t, s, "POST", statements, body, "")
		if message, _ := out["message"].(string); status != 400 || !strings.Contains(message, want) {
			t.Errorf("%.120s: %d %v; want %q", body, status, out, want)
		}
	}
	if status, _ := ask(t, s, "POST", statements, submit(`"statement":"SELECT 1"`), "-"); status != 401 {
		t.Errorf("without credentials: %d", status)
	}
	if status, _ := ask(t, s, "GET", statements+"/nobody-knows", "", ""); status != 404 {
		t.Errorf("an unknown statement: %d", status)
	}
}

func Test_statements_fail_in_the_vendors_words(t *testing.T) {
	s := workspace(t)
	for sql, want := range map[string]string{
		"SELECT * FROM nowhere":              "[TABLE_OR_VIEW_NOT_FOUND]",
		"SELECT nothing FROM RANGE(3)":       "[UNRESOLVED_COLUMN.WITHOUT_SUGGESTION]",
		"SELEC 1":                            "[PARSE_SYNTAX_ERROR]",
		"SELECT 1; SELECT 2":                 "[PARSE_SYNTAX_ERROR]",
		"SELECT :p1":                         "[UNBOUND_SQL_PARAMETER]",
		"SELECT EXPLODE(1, 2)":               "[WRONG_NUM_ARGS.WITHOUT_SUGGESTION]",
		"DESCRIBE SCHEMA nowhere":            "[TABLE_OR_VIEW_NOT_FOUND]",
		"SELECT 'it does not end":            "[PARSE_SYNTAX_ERROR]",
		"INSERT INTO nowhere SELECT 1 AS id": "[TABLE_OR_VIEW_NOT_FOUND]",
	} {
		status, out := ask(t, s, "POST", statements, submit(`"statement":"`+sql+`","disposition":"INLINE","format":"JSON_ARRAY"`), "")
		b, err := json.Marshal(out["status"])
		if status != 200 || err != nil || !strings.Contains(string(b), want) || !strings.Contains(string(b), "FAILED") {
			t.Errorf("%s: %d %s; want %s", sql, status, b, want)
		}
	}
}

func Test_a_link_takes_no_credentials_and_needs_its_headers(t *testing.T) {
	s := workspace(t)
	_, out := ask(t, s, "POST", statements, submit(`"statement":"SELECT 1 AS n","disposition":"EXTERNAL_LINKS","format":"ARROW_STREAM"`), "")
	link := out["result"].(map[string]any)["external_links"].([]any)[0].(map[string]any)["external_link"].(string)
	if status, out := ask(t, s, "GET", link, "", ""); status != 400 || !strings.Contains(out["body"].(string), "Only one auth mechanism") {
		t.Errorf("with credentials: %d %v", status, out)
	}
	if status, out := ask(t, s, "GET", link, "", "-"); status != 400 || !strings.Contains(out["body"].(string), "Server Side Encryption") {
		t.Errorf("without its headers: %d %v", status, out)
	}
	if status, _ := ask(t, s, "GET", link+"x", "", "-"); status != 403 {
		t.Errorf("with another signature: %d", status)
	}
	if status, _ := ask(t, s, "POST", "/_sandbox/faults", `{"expire_links": 1}`, "-"); status != 204 {
		t.Errorf("a fault: %d", status)
	}
	if status, out := ask(t, s, "GET", link, "", "-"); status != 403 || !strings.Contains(out["body"].(string), "expired") {
		t.Errorf("after its end: %d %v", status, out)
	}
}

func Test_the_sandbox_shows_what_it_holds_and_misbehaves_as_asked(t *testing.T) {
	s := workspace(t)
	if status, out := ask(t, s, "POST", "/_sandbox/sql", "CREATE TABLE `My Table` AS SELECT 1 AS id, 'x' AS name", "-"); status != 204 {
		t.Fatalf("%d %v", status, out)
	}
	if status, out := ask(t, s, "GET", "/_sandbox/records/%60My%20Table%60", "", "-"); status != 200 || out["body"] != "[{\"id\":1,\"name\":\"x\"}]\n" {
		t.Errorf("%d %v", status, out)
	}
	if status, _ := ask(t, s, "GET", "/_sandbox/records/nowhere", "", "-"); status != 404 {
		t.Errorf("a table that is not there: %d", status)
	}
	if status, _ := ask(t, s, "POST", "/_sandbox/faults", `{"status":503,"times":1,"retry_after":"2"}`, "-"); status != 204 {
		t.Errorf("a fault: %d", status)
	}
	if status, _ := ask(t, s, "GET", statements+"/x", "", ""); status != 503 {
		t.Errorf("after asking for 503: %d", status)
	}
	if status, _ := ask(t, s, "GET", statements+"/x", "", ""); status != 404 {
		t.Errorf("once: %d", status)
	}
	if status, _ := ask(t, s, "POST", "/_sandbox/faults", `{"colour":1}`, "-"); status != 400 {
		t.Errorf("an unknown fault: %d", status)
	}
}

func Test_databricks_sql_is_put_into_duckdbs_words(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT `a``b`, \"x\\n\" FROM t":                           `SELECT "a` + "`" + `b", '` + "x\n" + `' FROM t`,
		"SELECT j[0] FROM x":                                       "SELECT j[1 + (0)] FROM x",
		"SELECT CAST(a AS BINARY)":                                 "SELECT encode(CAST(a AS VARCHAR))",
		"SELECT CAST(:p1 AS TIMESTAMP)":                            "SELECT CAST(CAST('it''s' AS VARCHAR) AS TIMESTAMPTZ)",
		"CREATE TABLE a (t TIMESTAMP, b STRING) USING DELTA":       "CREATE TABLE a (t TIMESTAMPTZ, b VARCHAR) ",
		"CREATE TABLE a TBLPROPERTIES ('x' = 'y') AS SELECT 1L":    "CREATE TABLE a  AS SELECT CAST(1 AS BIGINT)",
		"SELECT COUNT(*) FROM information_schema.tables":           "SELECT COUNT(*) FROM (SELECT * FROM system.information_schema.tables WHERE table_catalog = 'workspace')",
		"SELECT 1 FROM `Main`.information_schema.schemata":         "SELECT 1 FROM (SELECT * FROM system.information_schema.schemata WHERE catalog_name = 'main')",
		"SELECT TO_JSON(STRUCT_COL, MAP('ignoreNullFields', 'x'))": "SELECT CAST(to_json(STRUCT_COL) AS VARCHAR)",
		"MERGE INTO a AS t USING (SELECT 1 AS id) AS s ON true":    "MERGE INTO a AS t USING (SELECT 1 AS id) AS s ON true",
	} {
		v := "it's"
		got, _, err := translate(sql, map[string]string{"p1": literal("STRING", &v)}, Catalog)
		if err != nil || got != want {
			t.Errorf("%s\n%s, %v\nwant %s", sql, got, err, want)
		}
	}
}
