package snowflaketest

import (
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	sf "github.com/snowflakedb/gosnowflake/v2"

	_ "github.com/upwelldata/upwell/internal/connectors/snowflake/quiet"
)

// dial starts a server and connects to it with the real driver, as a program that writes would.
func dial(t *testing.T) (*Server, *sql.DB) {
	t.Helper()
	s, err := Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	set := s.Settings()
	port, err := strconv.Atoi(set["port"])
	if err != nil {
		t.Fatal(err)
	}
	if err := sf.GetLogger().SetLogLevel("OFF"); err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(sf.NewConnector(sf.SnowflakeDriver{}, sf.Config{
		Account: Account, User: User, Token: Token, Authenticator: sf.AuthTypePat, Role: Role, Warehouse: Warehouse, Database: Database, Schema: Schema,
		Host: set["host"], Port: port, Protocol: "http",
	}))
	t.Cleanup(func() {
		if err := errors.Join(db.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return s, db
}

func run(t *testing.T, db *sql.DB, statements string) int64 {
	t.Helper()
	var changed int64
	for _, stmt := range strings.Split(statements, ";\n") {
		if strings.TrimSpace(stmt) == "" {
			continue
		}
		r, err := db.ExecContext(t.Context(), stmt)
		if err != nil {
			t.Fatalf("%s\n%v", stmt, err)
		}
		if changed, err = r.RowsAffected(); err != nil {
			changed = 0 // a statement that changes no rows
		}
	}
	return changed
}

func ask(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s\n%v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		cells, at := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range cells {
			at[i] = &cells[i]
		}
		if err := rows.Scan(at...); err != nil {
			t.Fatal(err)
		}
		var line []string
		for _, c := range cells {
			if !c.Valid {
				c.String = "NULL"
			}
			line = append(line, c.String)
		}
		out = append(out, strings.Join(line, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func columns(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err = errors.Join(err, rows.Err()); err != nil {
		t.Fatal(err)
	}
	return names
}

// plan computes what changed in the warehouse itself: the statements of a ledger that lives there.
const plan = `CREATE OR REPLACE TRANSIENT TABLE upwell.invalid_42 AS SELECT TO_VARCHAR(id) AS k, COUNT(*) AS n FROM analytics.customers
GROUP BY 1 HAVING COUNT(*) > 1 OR TO_VARCHAR(id) IS NULL;
CREATE OR REPLACE TRANSIENT TABLE upwell.plan_42 AS
WITH cur AS (
  SELECT TO_VARCHAR(id) AS k,
         SHA2_BINARY(TO_JSON(ARRAY_CONSTRUCT(email, amount, TO_VARCHAR(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.FF9'))), 256) AS fp,
         id, email, amount, updated_at
  FROM analytics.customers
)
SELECT COALESCE(c.k, s.k) AS upwell_key,
       CASE WHEN s.k IS NULL THEN 'add' WHEN c.k IS NULL THEN 'remove' ELSE 'change' END AS upwell_op,
       c.fp AS upwell_fp, c.id, c.email, c.amount, c.updated_at
FROM cur AS c FULL OUTER JOIN upwell.ledger_42 AS s ON c.k = s.k
WHERE (s.k IS NULL OR c.k IS NULL OR c.fp IS DISTINCT FROM s.fp)
  AND COALESCE(c.k, s.k) IS NOT NULL
  AND COALESCE(c.k, s.k) NOT IN (SELECT k FROM upwell.invalid_42 WHERE k IS NOT NULL);
`

const merge = `CREATE OR REPLACE TRANSIENT TABLE upwell.acked_42 (k VARCHAR NOT NULL, op VARCHAR NOT NULL, fp BINARY(32));
INSERT INTO upwell.acked_42 SELECT upwell_key, upwell_op, upwell_fp FROM upwell.plan_42;
MERGE INTO upwell.ledger_42 AS t USING upwell.acked_42 AS x ON t.k = x.k
WHEN MATCHED AND x.op = 'remove' THEN DELETE
WHEN MATCHED THEN UPDATE SET fp = x.fp
WHEN NOT MATCHED AND x.op <> 'remove' THEN INSERT (k, fp) VALUES (x.k, x.fp);
`

func Test_a_ledger_in_the_warehouse_works_through_the_real_driver(t *testing.T) {
	_, db := dial(t)
	run(t, db, `CREATE SCHEMA IF NOT EXISTS upwell;
CREATE SCHEMA analytics;
CREATE TABLE analytics.customers (id NUMBER(38, 0), email VARCHAR, amount NUMBER(10, 2), updated_at TIMESTAMP_NTZ(9)) CLUSTER BY (id) COMMENT = 'who buys';
CREATE TRANSIENT TABLE IF NOT EXISTS upwell.ledger_42 (k VARCHAR NOT NULL, fp BINARY(32) NOT NULL) DATA_RETENTION_TIME_IN_DAYS = 0;
`)
	if n := run(t, db, "INSERT INTO analytics.customers VALUES (1, 'a', 1.50, '2024-01-01 00:00:00'), (2, NULL, 2, '2024-01-02 00:00:00'), (3, 'c', NULL, NULL)"); n != 3 {
		t.Errorf("inserted %d", n)
	}
	run(t, db, plan)
	changes := "SELECT upwell_key, upwell_op FROM upwell.plan_42 ORDER BY 1"
	if got := ask(t, db, changes); got != "1|add 2|add 3|add" {
		t.Errorf("first round: %s", got)
	}
	if n := run(t, db, merge); n != 3 {
		t.Errorf("merged %d", n)
	}
	run(t, db, plan)
	if got := ask(t, db, changes); got != "" {
		t.Errorf("with nothing changed: %s", got)
	}
	run(t, db, `UPDATE analytics.customers SET email = NULL WHERE id = 1;
DELETE FROM analytics.customers WHERE id = 2;
INSERT INTO analytics.customers VALUES (3, 'twice', 1, NULL), (4, 'd', 4, NULL), (NULL, 'e', 5, NULL);
`+plan)
	if got := ask(t, db, changes); got != "1|change 2|remove 4|add" {
		t.Errorf("second round: %s", got)
	}
	run(t, db, merge)
	if got := ask(t, db, "SELECT k, OCTET_LENGTH(fp) FROM upwell.ledger_42 ORDER BY k"); got != "1|32 3|32 4|32" {
		t.Errorf("the ledger holds %s", got)
	}
}

func Test_names_are_folded_as_Snowflake_does(t *testing.T) {
	_, db := dial(t)
	run(t, db, `CREATE TABLE t (a NUMBER(5, 0), "a" VARCHAR, "A b" VARCHAR);
INSERT INTO t (a, "a", "A b") VALUES (1, 'small', 'both')`)
	if got := ask(t, db, `SELECT A, "A", "a", "A b" FROM "T"`); got != "1|1|small|both" {
		t.Error(got)
	}
	if got := strings.Join(columns(t, db, `SELECT a, "a" FROM t`), " "); got != "A a" {
		t.Errorf("the columns are %s", got)
	}
	for query, want := range map[string]string{
		`SELECT "b" FROM t`:             "000904 (42000): SQL compilation error: error line 1 at position 7\ninvalid identifier 'b'",
		`SELECT * FROM "t"`:             "002003 (42S02): SQL compilation error:\nObject 't' does not exist or not authorized.",
		`SELECT nothing_like_it(1)`:     "Unknown function NOTHING_LIKE_IT",
		`SELECT FROM WHERE`:             "001003 (42000): SQL compilation error:\nsyntax error",
		`SELECT 'a'::NUMBER(5, 0)`:      "100038 (22018): Numeric value 'a' is not recognized",
		`SELECT 1; SELECT 2`:            "Actual statement count 2 did not match the desired statement count 1.",
		`SELECT 'open`:                  "001003",
		`SELECT 1 WHERE 1 = ? OR ? = 2`: "Bind variable ? not set",
	} {
		args := []any{}
		if strings.Contains(query, "?") {
			args = append(args, 1)
		}
		var cell any
		err := db.QueryRowContext(t.Context(), query, args...).Scan(&cell)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", query, err, want)
		}
	}
}

func Test_functions_and_places_a_model_uses(t *testing.T) {
	_, db := dial(t)
	run(t, db, "CREATE DATABASE sales;\nCREATE SCHEMA sales.eu;\nCREATE VIEW sales.eu.v AS SELECT 1 AS one")
	for query, want := range map[string]string{
		"SELECT IFF(TRUE, 'a', 'b'), NVL(NULL, 'c'), ZEROIFNULL(NULL)":                                                                "a|c|0",
		"SELECT DATEADD(day, 2, '2024-02-28'::DATE)::DATE::VARCHAR, DATEDIFF('day', '2024-02-28'::DATE, '2024-03-01'::DATE)":          "2024-03-01|2",
		"SELECT TO_VARCHAR('2024-02-29 01:02:03'::TIMESTAMP_NTZ, 'YYYY-MM-DD HH24:MI:SS')":                                            "2024-02-29 01:02:03",
		"SELECT OBJECT_CONSTRUCT('a', 1, 'b', NULL), OBJECT_CONSTRUCT_KEEP_NULL('b', NULL)":                                           `{"a":1}|{"b":null}`,
		"SELECT TO_JSON(ARRAY_CONSTRUCT(1.50, NULL, 'x'))":                                                                            `[1.5,null,"x"]`,
		"SELECT COUNT(*), SUM(n), MAX(n) FROM (SELECT ROW_NUMBER() OVER (ORDER BY SEQ4()) AS n FROM TABLE(GENERATOR(ROWCOUNT => 4)))": "4|10|4",
		"SELECT one FROM sales.eu.v":                                                                                            "1",
		"SELECT $$it's$$, 'it\\'s', 'a' || 'b' -- said\n":                                                                       "it's|it's|ab",
		"SELECT CURRENT_WAREHOUSE(), CURRENT_ROLE(), CURRENT_DATABASE(), CURRENT_SCHEMA()":                                      "UPWELL_WH|UPWELL|STANDIN|PUBLIC",
		"SELECT x FROM (SELECT 1 AS x, 2 AS y UNION ALL SELECT 1, 3) QUALIFY ROW_NUMBER() OVER (PARTITION BY x ORDER BY y) = 1": "1",
	} {
		if got := ask(t, db, query); got != want {
			t.Errorf("%s\ngave %s; want %s", query, got, want)
		}
	}
	if got := ask(t, db, "SELECT ?, ? + 1, ? OR FALSE, ?", "it's", 41, true, nil); got != "it's|42|true|NULL" {
		t.Errorf("bound: %s", got)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var one int
	if _, err := conn.ExecContext(t.Context(), "USE SCHEMA sales.eu"); err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRowContext(t.Context(), "SELECT one FROM v").Scan(&one); err != nil || one != 1 {
		t.Errorf("%d, %v", one, err)
	}
}

func Test_the_control_addresses_look_in_and_make_trouble(t *testing.T) {
	s, db := dial(t)
	post := func(path, body string) int {
		resp, err := http.Post("http://"+s.Addr()+"/_sandbox/"+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if post("sql", `CREATE TABLE t (id NUMBER(5, 0), "Name" VARCHAR); INSERT INTO t VALUES (1, 'x')`) != 204 || post("sql", "NONSENSE") != 400 {
		t.Error("sql was not taken")
	}
	resp, err := http.Get("http://" + s.Addr() + "/_sandbox/records/t")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var records []map[string]any
	if b, err := io.ReadAll(resp.Body); err != nil || json.Unmarshal(b, &records) != nil || len(records) != 1 || records[0]["ID"] != 1.0 || records[0]["Name"] != "x" {
		t.Errorf("records %s, %v", b, err)
	}
	if post("faults", `{"on": "query", "code": "000625", "state": "57014", "message": "out of luck"}`) != 204 || post("faults", `{"nonsense": 1}`) != 400 {
		t.Error("faults were not taken")
	}
	if _, err := db.ExecContext(t.Context(), "SELECT 1"); err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("the fault did not happen: %v", err)
	}
	if _, err := Start(t.Context(), "0.0.0.0:0"); err == nil {
		t.Error("it listens beyond this machine")
	}
}

func Test_a_repeated_request_runs_once(t *testing.T) {
	s, db := dial(t)
	run(t, db, "CREATE TABLE t (id NUMBER(5, 0))")
	s.Inject(Fault{On: "query", Cut: 40}) // the statement runs, its answer is lost, the driver asks again
	if n := run(t, db, "INSERT INTO t VALUES (1)"); n != 1 {
		t.Errorf("inserted %d", n)
	}
	if got := ask(t, db, "SELECT COUNT(*) FROM t"); got != "1" {
		t.Errorf("%s rows", got)
	}
	repeated := 0
	for _, st := range s.Stats().Statements {
		if st.Repeated {
			repeated++
		}
	}
	if repeated != 1 {
		t.Errorf("%d requests came again", repeated)
	}
}
