package snowflake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/snowflake/snowflaketest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// numbers are 5,000 rows: 1,000 in the answer itself, the rest in parts of 1,000.
const numbers = "SELECT SEQ8() + 1 AS n FROM TABLE(GENERATOR(ROWCOUNT => 5000))"

func connect(t testing.TB, settings map[string]string, over ...string) *source {
	t.Helper()
	settings = maps.Clone(settings)
	for i := 0; i < len(over); i += 2 {
		if settings[over[i]] = over[i+1]; over[i+1] == "" {
			delete(settings, over[i])
		}
	}
	secrets := map[string]bool{}
	for _, s := range Source().Spec.Settings {
		if _, set := settings[s.Name]; !set && s.Default != "" {
			settings[s.Name] = s.Default
		}
		if s.Secret {
			secrets[s.Name] = true
		}
	}
	src, err := Source().Open(t.Context(), connector.NewConfig(settings, nil, secrets), connector.Env{Name: "warehouse", Gate: connector.OpenGate{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src.(*source)
}

// world is a stand-in whose answers come in parts of 1,000 rows, and a source for it.
func world(t testing.TB) (*snowflaketest.Server, *source) {
	t.Helper()
	s, settings := start(t)
	s.Configure(func(o *snowflaketest.Options) { o.ChunkRows = 1000 })
	return s, connect(t, settings)
}

// readAll gives the number of rows and how the read ended.
func readAll(ctx context.Context, src connector.Source, sql string) (rows int64, err error) {
	for b, err := range src.Read(ctx, connector.Query{SQL: sql}) {
		if err != nil {
			return rows, err
		}
		rows += b.NumRows()
	}
	return rows, nil
}

func wantFault(t *testing.T, err error, code fault.Code, words ...string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Code != code {
		t.Fatalf("got %v; want %s", err, code)
	}
	for _, w := range words {
		if text := f.Message + " | " + f.GetFix(); !strings.Contains(text, w) {
			t.Errorf("%q is not in: %s", w, text)
		}
	}
}

func Test_an_answer_in_parts_is_given_in_its_order(t *testing.T) {
	s, src := world(t)
	for _, zipped := range []bool{false, true} {
		s.Configure(func(o *snowflaketest.Options) { o.Gzip = zipped })
		next, told := int64(1), int64(0)
		for b, err := range src.Read(t.Context(), connector.Query{SQL: numbers, Rows: func(n int64) { told = n }}) {
			if err != nil {
				t.Fatal(err)
			}
			for i := range int(b.NumRows()) {
				if n := row.At(b.Column(0), row.Int, i).Int(); n != next {
					t.Fatalf("%d where %d was due", n, next)
				}
				next++
			}
		}
		if next != 5001 || told != 5000 {
			t.Errorf("%d rows, told of %d", next-1, told)
		}
	}
	if n := s.Stats().Requests["chunk"]; n != 8 {
		t.Errorf("%d parts were fetched; want 4 for each read", n)
	}
}

func Test_what_is_missing_from_an_answer_is_noticed(t *testing.T) {
	for name, c := range map[string]struct {
		fault snowflaketest.Fault
		words string
	}{
		"the end of a part":             {snowflaketest.Fault{On: "chunk", Skip: 1, Rows: 1}, "announced with 1000 rows, 999 arrived"},
		"a whole part of a stream":      {snowflaketest.Fault{On: "chunk", Skip: 3, Rows: 1000}, "announced with 1000 rows, 0 arrived"},
		"what follows a cut":            {snowflaketest.Fault{On: "chunk", Skip: 2, Cut: 1000, Times: -1}, "unexpected EOF"},
		"a part whose link has expired": {snowflaketest.Fault{On: "chunk", Skip: 1, Status: 403, Times: -1}, "it has expired"},
		"a part that is gone":           {snowflaketest.Fault{On: "chunk", Status: 404, Times: -1}, "no longer there"},
		"a part nobody can fetch":       {snowflaketest.Fault{On: "chunk", Reset: true, Times: -1}, "EOF"},
		"a store that is down":          {snowflaketest.Fault{On: "chunk", Status: 503, Times: -1}, "after"},
	} {
		t.Run(name, func(t *testing.T) {
			s, src := world(t)
			s.Inject(c.fault)
			rows, err := readAll(t.Context(), src, numbers)
			wantFault(t, err, fault.SourceIncomplete, c.words)
			if rows >= 5000 || strings.Contains(err.Error(), "signature") || strings.Contains(fmt.Sprintf("%v %+v", errors.Unwrap(err), errors.Unwrap(err)), "signature=") {
				t.Errorf("%d rows, %v", rows, err)
			}
			s.ClearFaults()
			if rows, err := readAll(t.Context(), src, numbers); rows != 5000 || err != nil {
				t.Errorf("afterwards: %d rows, %v", rows, err)
			}
		})
	}
}

func Test_weather_that_passes_is_waited_out(t *testing.T) {
	s, settings := start(t)
	src := connect(t, settings, "retry_for", "1m")
	s.Configure(func(o *snowflaketest.Options) { o.ChunkRows = 4000 })
	s.Inject(snowflaketest.Fault{On: "chunk", Status: 503})
	if rows, err := readAll(t.Context(), src, numbers); rows != 5000 || err != nil {
		t.Errorf("%d rows, %v", rows, err)
	}
}

func Test_a_token_that_expires_is_renewed(t *testing.T) {
	s, src := world(t)
	if rows, err := readAll(t.Context(), src, numbers); rows != 5000 || err != nil {
		t.Fatalf("%d rows, %v", rows, err)
	}
	s.ExpireTokens(false)
	if rows, err := readAll(t.Context(), src, numbers); rows != 5000 || err != nil {
		t.Errorf("after the token expired: %d rows, %v", rows, err)
	}
	s.Inject(snowflaketest.Fault{On: "query", Skip: 1, Expire: true})
	if rows, err := readAll(t.Context(), src, numbers); rows != 5000 || err != nil {
		t.Errorf("expired between planning and reading: %d rows, %v", rows, err)
	}
	if st := s.Stats(); st.Requests["renew"] != 2 || len(st.Logins) != 1 {
		t.Errorf("%d renewals, %d logins", st.Requests["renew"], len(st.Logins))
	}
}

func Test_a_session_the_server_forgot_is_replaced(t *testing.T) {
	s, src := world(t)
	if err := src.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.ExpireTokens(true)
	if rows, err := readAll(t.Context(), src, numbers); rows != 5000 || err != nil {
		t.Errorf("%d rows, %v", rows, err)
	}
	if n := len(s.Stats().Logins); n != 2 {
		t.Errorf("%d logins", n)
	}
	fresh, settings := start(t)
	fresh.Inject(snowflaketest.Fault{On: "query", Code: "390111", Message: "Session no longer exists.", Times: -1})
	wantFault(t, connect(t, settings).Check(t.Context()), fault.SourceUnreachable, "Session no longer exists")
}

func Test_a_warehouse_that_resumes_is_waited_for(t *testing.T) {
	s, src := world(t)
	s.Inject(snowflaketest.Fault{On: "query", Skip: 1, Queue: 3})
	if rows, err := readAll(t.Context(), src, numbers); rows != 5000 || err != nil {
		t.Errorf("%d rows, %v", rows, err)
	}
	if n := s.Stats().Requests["result"]; n != 3 {
		t.Errorf("asked %d times whether it is ready", n)
	}
	s.Suspend(snowflaketest.Warehouse, true)
	_, err := readAll(t.Context(), src, "SELECT id FROM rows3")
	wantFault(t, err, fault.SourceUnreachable, "is suspended", "ALTER WAREHOUSE UPWELL_WH SET AUTO_RESUME = TRUE;")
	if _, err := src.Describe(t.Context(), connector.Query{SQL: "SELECT id FROM rows3"}); err != nil {
		t.Errorf("describing needs no warehouse: %v", err)
	}
}

func Test_a_cancelled_read_ends_the_query_in_Snowflake(t *testing.T) {
	s, src := world(t)
	arrived := make(chan struct{})
	s.Inject(snowflaketest.Fault{On: "query", Skip: 1, Hold: make(chan struct{}), Arrived: arrived})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		<-arrived
		stop()
	}()
	_, err := readAll(ctx, src, numbers)
	wantFault(t, err, fault.Cancelled)
	if n := s.Stats().Requests["abort"]; n == 0 {
		t.Error("the query was left running")
	}
}

func Test_a_query_somebody_ended_is_an_incomplete_read(t *testing.T) {
	s, src := world(t)
	arrived := make(chan struct{})
	s.Inject(snowflaketest.Fault{On: "query", Skip: 1, Hold: make(chan struct{}), Arrived: arrived})
	go func() {
		<-arrived
		s.Kill()
	}()
	_, err := readAll(t.Context(), src, numbers)
	wantFault(t, err, fault.SourceIncomplete, "SQL execution canceled", "Nothing was sent")
}

func Test_refusals_say_what_to_do(t *testing.T) {
	s, src := world(t)
	s.Hide("STANDIN.PUBLIC.ROWS3", true)
	for name, c := range map[string]struct {
		sql   string
		fault snowflaketest.Fault
		code  fault.Code
		words []string
	}{
		"an object that may not be seen": {
			sql: "SELECT id FROM rows3", code: fault.SourceQueryFailed,
			words: []string{"Object 'STANDIN.PUBLIC.ROWS3' does not exist or not authorized", "GRANT USAGE ON SCHEMA STANDIN.PUBLIC TO ROLE UPWELL;", "GRANT SELECT ON TABLE STANDIN.PUBLIC.ROWS3 TO ROLE UPWELL;"},
		},
		"a right that is missing": {
			fault: snowflaketest.Fault{Code: "003001", State: "42501", Message: "SQL access control error:\nInsufficient privileges to operate on schema 'SALES'"},
			code:  fault.SourceQueryFailed, words: []string{"GRANT USAGE ON SCHEMA SALES TO ROLE UPWELL;"},
		},
		"no warehouse": {
			fault: snowflaketest.Fault{Code: "000606", State: "57P03", Message: "No active warehouse selected in the current session."},
			code:  fault.SourceAuth, words: []string{"GRANT USAGE ON WAREHOUSE UPWELL_WH TO ROLE UPWELL;"},
		},
		"a timeout": {
			fault: snowflaketest.Fault{Code: "000630", State: "57014", Message: "Statement reached its statement or warehouse timeout of 10 second(s) and was canceled."},
			code:  fault.SourceQueryFailed, words: []string{"statement_timeout"},
		},
		"a quota": {
			fault: snowflaketest.Fault{Code: "090073", State: "22000", Message: "Warehouse 'UPWELL_WH' cannot be resumed because resource monitor 'M' has exceeded its quota."},
			code:  fault.SourceUnreachable, words: []string{"resource monitor"},
		},
		"an answer in JSON": {
			fault: snowflaketest.Fault{JSON: true}, code: fault.SourceQueryFailed, words: []string{`the format "json"`},
		},
		"two statements":          {sql: "SELECT 1 AS a; DROP TABLE rows3", code: fault.SourceQueryFailed, words: nil},
		"two columns of one name": {sql: "SELECT 1 AS a, 2 AS a", code: fault.SourceQueryFailed, words: []string{`two columns are named "a"`}},
		"a column nobody knows":   {sql: "SELECT nope FROM (SELECT 1 AS a)", code: fault.SourceQueryFailed, words: []string{"invalid identifier 'NOPE'"}},
		"a type that cannot be carried": {
			sql: `SELECT [1, 2]::VECTOR(FLOAT, 2) AS "Embedding"`, code: fault.SourceTypeUnsupported, words: []string{`column "Embedding" has type VECTOR`, `"Embedding"::ARRAY AS "Embedding"`},
		},
		"a value that is no JSON": {
			sql: "SELECT TO_VARIANT('NaN'::FLOAT) AS v", code: fault.SourceValue, words: []string{`column "v"`, `TO_JSON("V")`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.fault.Code != "" || c.fault.JSON {
				c.fault.On, c.fault.Skip = "query", 1
				s.Inject(c.fault)
			}
			if c.sql == "" {
				c.sql = "SELECT 1 AS n"
			}
			_, err := readAll(t.Context(), src, c.sql)
			wantFault(t, err, c.code, c.words...)
			s.ClearFaults()
		})
	}
}

func Test_a_model_that_writes_is_refused_before_it_runs(t *testing.T) {
	s, src := world(t)
	_, err := readAll(t.Context(), src, "DELETE FROM rows3")
	wantFault(t, err, fault.SourceQueryFailed, "it is not a SELECT")
	if rows, err := readAll(t.Context(), src, "SELECT id FROM rows3"); rows != 3 || err != nil {
		t.Errorf("%d rows are left, %v", rows, err)
	}
	for _, st := range s.Stats().Statements {
		if strings.Contains(st.SQL, "DELETE") && !st.DescribeOnly {
			t.Errorf("%s was run", st.SQL)
		}
	}
}

func Test_columns_are_known_in_lower_case_and_found_again(t *testing.T) {
	s, src := world(t)
	if err := s.Exec(t.Context(), `CREATE TABLE odd (account_id NUMBER(5, 0), "account_id" VARCHAR, "Mixed Case" VARCHAR); INSERT INTO odd VALUES (1, 'small', 'mixed')`); err != nil {
		t.Fatal(err)
	}
	schema, err := src.Describe(t.Context(), connector.Query{Table: "odd"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range schema.Fields() {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, ", "); got != `account_id, "account_id", Mixed Case` {
		t.Errorf("the columns are %s", got)
	}
	for i, want := range []string{"1", "small", "mixed"} {
		for b, err := range src.Read(t.Context(), connector.Query{Table: "public.odd", Columns: names[i : i+1]}) {
			if err != nil {
				t.Fatal(err)
			}
			if got := b.Column(0).ValueStr(0); got != want || b.Schema().Field(0).Name != names[i] {
				t.Errorf("%s is %s", names[i], got)
			}
		}
	}
	_, err = src.Describe(t.Context(), connector.Query{Table: "odd", Columns: []string{"ACCOUNT_ID", "Account_Id"}})
	wantFault(t, err, fault.SourceQueryFailed, "Account_Id")
}

func Test_every_kind_of_key_finds_its_row(t *testing.T) {
	s, src := world(t)
	err := s.Exec(t.Context(), `CREATE TABLE kinds (i NUMBER(38, 0), d NUMBER(10, 2), f FLOAT, b BOOLEAN, t VARCHAR, bin BINARY, day DATE, tm TIME, ntz TIMESTAMP_NTZ, ltz TIMESTAMP_LTZ);
		INSERT INTO kinds VALUES (7, 1.50, 0.1, TRUE, 'O''Neil', TO_BINARY('00FF', 'HEX'), '2024-02-29', '12:34:56.5', '2024-02-29 01:02:03.5', '2024-02-29 01:02:03+01')`)
	if err != nil {
		t.Fatal(err)
	}
	for column, v := range map[string]row.Value{
		"i": row.IntValue(7), "d": row.DecimalValue("1.5"), "f": row.FloatValue(0.1), "b": row.BoolValue(true), "t": row.TextValue("O'Neil"),
		"bin": row.BytesValue([]byte{0, 255}), "day": row.DateValue(19782), "tm": row.TimeValue(45296_500_000_000),
		"ntz": row.TimestampValue(1709168523, 500_000_000), "ltz": row.InstantValue(1709164923, 0),
	} {
		for _, c := range []struct {
			v    row.Value
			want int64
		}{{v, 1}, {row.NullValue(), 0}} {
			rows := int64(0)
			for b, err := range src.Read(t.Context(), connector.Query{Table: "kinds", Equal: []connector.ColumnIs{{Column: column, Value: c.v}}}) {
				if err != nil {
					t.Fatalf("%s: %v", column, err)
				}
				rows += b.NumRows()
			}
			if rows != c.want {
				t.Errorf("%s = %s finds %d rows", column, c.v, rows)
			}
		}
	}
	_, _, err = render(connector.Query{SQL: "SELECT 1", Equal: []connector.ColumnIs{{Column: "d", Value: row.DecimalValue(strings.Repeat("9", 39))}}})
	wantFault(t, err, fault.SourceQueryFailed, "more than 38 digits")
}

func Test_sessions_are_kept_for_the_next_read_and_ended(t *testing.T) {
	s, settings := start(t)
	src := connect(t, settings)
	for range 3 {
		if _, err := readAll(t.Context(), src, "SELECT 1 AS n"); err != nil {
			t.Fatal(err)
		}
	}
	st := s.Stats()
	if len(st.Logins) != 1 {
		t.Errorf("%d logins for three reads", len(st.Logins))
	}
	for name, want := range map[string]string{"QUERY_TAG": "upwell", "TIMEZONE": "UTC", "ROWS_PER_RESULTSET": "0", "CLIENT_TELEMETRY_ENABLED": "false"} {
		if got := fmt.Sprint(st.Logins[0].Parameters[name]); got != want {
			t.Errorf("%s = %s; want %s", name, got, want)
		}
	}
	if p := st.Logins[0].Environment["APPLICATION"]; p != "upwell" || st.Requests["telemetry"] != 0 {
		t.Errorf("application %v, %d telemetry requests", p, st.Requests["telemetry"])
	}
	if err := src.Close(); err != nil || s.Sessions() != 0 {
		t.Errorf("%d sessions are left, %v", s.Sessions(), err)
	}
	timed := connect(t, settings, "statement_timeout", "1500ms", "query_tag", "nightly")
	if err := timed.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := s.Stats().Logins[1].Parameters; p["STATEMENT_TIMEOUT_IN_SECONDS"] != "2" || p["QUERY_TAG"] != "nightly" {
		t.Errorf("parameters %v", p)
	}
}
