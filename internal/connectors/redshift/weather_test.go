package redshift_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

const (
	thousands = "SELECT g::bigint AS n FROM generate_series(1, 25000) g"
	accounts  = "CREATE TABLE accounts (id INTEGER, name VARCHAR(100))"
)

// ways are the settings of each way to read.
var ways = map[string][]string{
	"cursor": nil, "one stream": {"fetch_rows", "0"}, "bound": {"protocol", "extended"},
}

func Test_what_ends_a_read_early_is_told_from_its_end(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	for way, settings := range ways {
		s := c.open(settings...)
		for what, want := range map[redshifttest.Trouble]fault.Code{
			redshifttest.Cut: fault.SourceIncomplete, redshifttest.Kill: fault.SourceQueryFailed, redshifttest.Expire: fault.SourceIncomplete,
		} {
			c.At(9000, what)
			rows, err := read(t.Context(), s, connector.Query{SQL: thousands})
			if !fault.Is(err, want) || len(rows) > 9000 {
				t.Errorf("%s, trouble %d: %d rows, %v; want %s", way, what, len(rows), err, want)
			}
		}
		if rows, err := read(t.Context(), s, connector.Query{SQL: thousands}); err != nil || len(rows) != 25_000 {
			t.Errorf("%s, in fair weather: %d rows, %v", way, len(rows), err)
		}
	}
	c.At(9000, redshifttest.Swallow)
	if rows, err := read(t.Context(), c.open(), connector.Query{SQL: thousands}); !fault.Is(err, fault.SourceIncomplete) {
		t.Errorf("a row that was lost on the way: %d rows, %v", len(rows), err)
	}
}

func Test_a_paused_cluster_is_named_as_such_and_read_when_it_is_back(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	s := c.open()
	c.Pause(true)
	err := s.Check(t.Context())
	if f := fault.As(err); f == nil || f.Code != fault.SourceUnreachable || !strings.Contains(f.GetFix(), "paused") {
		t.Errorf("paused: %v", err)
	}
	c.Pause(false)
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("resumed: %v", err)
	}
}

func Test_a_cluster_of_one_node_gives_a_thousand_rows_at_a_time(t *testing.T) {
	c := newCluster(t, redshifttest.Options{Single: true})
	s := c.open()
	for range 2 {
		c.Heard()
		if rows, err := read(t.Context(), s, connector.Query{SQL: thousands}); err != nil || len(rows) != 25_000 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
	}
	if heard := c.Heard(); slices.ContainsFunc(heard, func(sql string) bool { return strings.Contains(sql, "10000") }) {
		t.Errorf("a cluster that was found to have one node was asked again: %q", heard)
	}
}

func Test_a_result_too_large_for_cursors_says_how_to_read_it(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	c.CursorsFull(true)
	_, err := read(t.Context(), c.open(), connector.Query{SQL: thousands})
	if f := fault.As(err); f == nil || f.Code != fault.SourceQueryFailed || !strings.Contains(f.GetFix(), "fetch_rows: 0") {
		t.Errorf("through a cursor: %v", err)
	}
	if rows, err := read(t.Context(), c.open("fetch_rows", "0"), connector.Query{SQL: thousands}); err != nil || len(rows) != 25_000 {
		t.Errorf("as one stream: %d rows, %v", len(rows), err)
	}
}

// asleep counts the queries that wait in pg_sleep.
func (c *cluster) asleep() (n int) {
	c.Helper()
	if err := c.conn.QueryRow(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'").Scan(&n); err != nil {
		c.Fatal(err)
	}
	return n
}

func Test_a_reader_that_leaves_stops_the_query_in_the_cluster(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	// After enough rows for a batch it works on without a word, so that a closed connection would not be noticed.
	const sql = "SELECT g AS n, CASE WHEN g = 25000 THEN pg_sleep(60) IS NULL ELSE false END AS z FROM generate_series(1, 30000) g"
	for _, way := range []string{"one stream", "bound"} {
		for _, err := range c.open(ways[way]...).Read(t.Context(), connector.Query{SQL: sql}) {
			if err != nil {
				t.Fatalf("%s: %v", way, err)
			}
			waitFor(t, way+": the query works", func() bool { return c.asleep() == 1 })
			break
		}
		waitFor(t, way+": the query runs on", func() bool { return c.asleep() == 0 })
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error)
	go func() {
		_, err := read(ctx, c.open(), connector.Query{SQL: "SELECT pg_sleep(60) IS NULL AS z"})
		done <- err
	}()
	waitFor(t, "the query runs", func() bool { return c.asleep() == 1 })
	stop()
	if err := <-done; fault.As(err).GetClass() != fault.ClassCancelled {
		t.Errorf("cancelled: %v", err)
	}
	waitFor(t, "cursor: the query runs on", func() bool { return c.asleep() == 0 })
}

// waitFor asks again until it is so, for a while.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	for !so() {
		if ctx.Err() != nil {
			t.Fatal(what)
		}
	}
}

func Test_a_transaction_that_loses_against_another_is_repeated(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	c.exec(accounts)
	w := c.open().(connector.Warehouse)
	insert := connector.Statement{SQL: "INSERT INTO accounts (id, name) VALUES ($1, $2)", Params: []row.Value{row.IntValue(1), row.TextValue("a")}, Affects: 1}
	c.Conflict(3)
	if err := w.Exec(t.Context(), []connector.Statement{insert}); err != nil {
		t.Fatalf("losing three times: %v", err)
	}
	if rows, err := read(t.Context(), w, connector.Query{Table: "accounts"}); err != nil || !slices.Equal(rows, []string{"1|a"}) {
		t.Errorf("afterwards: %v, %v", rows, err)
	}
	c.Conflict(1000)
	if err := w.Exec(t.Context(), []connector.Statement{insert}); !fault.Is(err, fault.StateLocked) || !strings.Contains(err.Error(), "1023") {
		t.Errorf("losing on and on: %v", err)
	}
	c.Conflict(0)
	c.Resize(true)
	if err := w.Exec(t.Context(), []connector.Statement{insert}); !fault.Is(err, fault.SourceUnreachable) {
		t.Errorf("while the cluster is resized: %v", err)
	}
}

func Test_a_statement_that_affects_another_number_of_rows_undoes_the_transaction(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	c.exec(accounts)
	for _, protocol := range []string{"simple", "extended"} {
		w := c.open("protocol", protocol).(connector.Warehouse)
		err := w.Exec(t.Context(), []connector.Statement{
			{SQL: "INSERT INTO accounts VALUES (1, 'a')"}, {SQL: "UPDATE accounts SET name = $1 WHERE id = $2", Params: []row.Value{row.TextValue("b"), row.IntValue(9)}, Affects: 1},
		})
		if !fault.Is(err, fault.StateLocked) {
			t.Errorf("%s: %v", protocol, err)
		}
		if rows, err := read(t.Context(), w, connector.Query{Table: "accounts"}); err != nil || len(rows) != 0 {
			t.Errorf("%s left %v, %v", protocol, rows, err)
		}
	}
}

// Values travel as literals, and a backslash may or may not escape.
func Test_every_text_arrives_whatever_a_backslash_means(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	var all strings.Builder
	for r := rune(1); r < 0x250; r++ {
		all.WriteRune(r)
	}
	texts := []string{
		"", "plain", "it's", `\`, `\'`, `\\'`, `'; DROP TABLE accounts; --`, `\'; DROP TABLE accounts; --`, `{"a":"b\"c\\"}`, "$1 $2", "line\nbreak\ttab", "😀 é", all.String(),
		strings.Repeat(`\`, 3000), `$$x$$`, "/* x", "-- x", "trailing  ",
	}
	for _, protocol := range []string{"simple", "extended"} {
		s := c.open("protocol", protocol)
		for _, text := range texts {
			rows, err := read(t.Context(), s, connector.Query{SQL: "SELECT CAST($1 AS VARCHAR(65535)) AS v, CAST($2 AS BIGINT) AS n", Params: []row.Value{row.TextValue(text), row.IntValue(-5)}})
			if err != nil || !slices.Equal(rows, []string{text + "|-5"}) {
				t.Errorf("%s, %q: %q, %v", protocol, text, rows, err)
			}
		}
	}
}

func Test_rows_travel_as_one_text_and_are_unnested(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	for _, protocol := range []string{"simple", "extended"} {
		s := c.open("protocol", protocol)
		rows, err := read(t.Context(), s, connector.Query{
			SQL:    "SELECT CAST(CAST(j[0] AS VARCHAR(65535)) AS BIGINT) AS a, CAST(j[1] AS VARCHAR(65535)) AS b FROM (SELECT JSON_PARSE($1) AS s) AS t, t.s AS j",
			Params: []row.Value{row.TextValue(`[["1","it's \\ \"x\""],["2",null]]`)},
		})
		if err != nil || !slices.Equal(rows, []string{`1|it's \ "x"`, "2|null"}) {
			t.Errorf("%s: %q, %v", protocol, rows, err)
		}
	}
}

func Test_the_stand_in_refuses_what_redshift_lacks(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	c.exec(accounts)
	w := c.open().(connector.Warehouse)
	for _, sql := range []string{
		"CREATE UNLOGGED TABLE x AS SELECT 1 AS n", "INSERT INTO accounts VALUES (1, 'a') ON CONFLICT DO NOTHING", "DELETE FROM accounts AS t WHERE t.id = 1",
		"DELETE FROM accounts t WHERE t.id = 1", "INSERT INTO accounts VALUES (1, 'a') RETURNING id", "CREATE INDEX i ON accounts (id)", "SET LOCAL intervalstyle = 'iso_8601'",
		"SET LOCAL extra_float_digits = 3", "CREATE TABLE x AS SELECT id FROM accounts WHERE name IS DISTINCT FROM 'a'", "CREATE TABLE x AS SELECT ARRAY[1, 2] AS a",
		"CREATE TABLE x AS SELECT * FROM (VALUES (1)) AS v(a)", "CREATE TABLE x AS WITH c AS MATERIALIZED (SELECT 1 AS n) SELECT n FROM c", "SAVEPOINT a", "COPY accounts TO STDOUT",
		"CREATE TABLE x (a UUID)", "CREATE TABLE x (a VARCHAR(70000))", "CREATE TABLE x AS SELECT jsonb_build_array(1) AS a", "CREATE TABLE x AS SELECT E'\\n' AS a",
	} {
		if err := w.Exec(t.Context(), []connector.Statement{{SQL: sql}}); err == nil {
			t.Errorf("taken: %s", sql)
		}
	}
	for _, sql := range []string{
		"CREATE TABLE y (id BIGINT, doc SUPER, b VARBYTE(100)) DISTSTYLE KEY DISTKEY (id) SORTKEY (id)", "INSERT INTO y VALUES (1, JSON_PARSE('[1]'), FROM_HEX('00'))",
		"DELETE FROM accounts USING y WHERE accounts.id = y.id", "DROP TABLE y",
	} {
		if err := w.Exec(t.Context(), []connector.Statement{{SQL: sql}}); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if rows, err := read(t.Context(), w, connector.Query{SQL: "SELECT COUNT(*) AS n FROM (SELECT CAST('a' AS VARCHAR(5)) AS v) AS x WHERE v = CAST('a  ' AS VARCHAR(5))"}); err != nil || rows[0] != "1" {
		t.Errorf("trailing blanks count: %v, %v", rows, err)
	}
	if rows, err := read(t.Context(), w, connector.Query{SQL: "SELECT LEN(CAST('" + strings.Repeat("x", 300) + "' AS VARCHAR)) AS n"}); err != nil || rows[0] != "256" {
		t.Errorf("a VARCHAR without a length: %v, %v", rows, err)
	}
}

func Test_the_password_of_a_sha256_user_is_not_spoken(t *testing.T) {
	c := newCluster(t, redshifttest.Options{Users: map[string]redshifttest.User{"modern": {Password: "x", Digest: true}}})
	err := c.open("user", "modern").Check(t.Context())
	if f := fault.As(err); f == nil || f.Code != fault.SourceAuth || !strings.Contains(f.GetFix(), "iam") {
		t.Errorf("%v", err)
	}
}

func Test_a_missing_right_is_named_as_the_grant_that_gives_it(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	role := strings.Replace(c.Database(), "upwell_test_", "reader_", 1)
	c.exec(accounts + "; CREATE SCHEMA upwell; CREATE ROLE " + role)
	t.Cleanup(func() { c.exec("DROP OWNED BY " + role + "; DROP ROLE " + role) })
	c.SetUser("reader", redshifttest.User{Password: "reading", Role: role})
	s := open(t, c.Settings("reader"))
	_, err := read(t.Context(), s, connector.Query{Table: "accounts"})
	if f := fault.As(err); f == nil || f.Code != fault.SourceQueryFailed || f.GetFix() != `Grant the right: GRANT SELECT ON "accounts" TO "reader";` {
		t.Errorf("reading: %v", err)
	}
	err = s.(connector.Warehouse).Exec(t.Context(), []connector.Statement{{SQL: "CREATE TABLE upwell.x AS SELECT 1 AS n"}})
	if f := fault.As(err); f == nil || f.Code != fault.StateUnusable || !strings.Contains(f.GetFix(), "upwell grants") {
		t.Errorf("writing: %v", err)
	}
}

func Test_a_call_that_is_cancelled_says_so(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	s := c.open()
	if err := s.Check(ctx); fault.As(err).GetClass() != fault.ClassCancelled {
		t.Errorf("%v", err)
	}
	if err := s.(connector.Warehouse).Exec(ctx, nil); fault.As(err).GetClass() != fault.ClassCancelled {
		t.Errorf("%v", err)
	}
}
