package bigquery

import (
	"net/http"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func ints(b arrow.RecordBatch) []int64 { return b.Column(0).(*array.Int64).Int64Values() }

func Test_every_job_carries_labels_location_and_the_limit_of_its_bill(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	o := openWith(t, s, map[string]string{"labels.team": "revops", "maximum_bytes_billed": "10MB"})
	if _, err := o.Describe(t.Context(), connector.Query{SQL: "SELECT 1 AS n"}); err != nil {
		t.Fatal(err)
	}
	wantAll(t, o, "SELECT 1 AS n", 1)
	if err := o.Exec(t.Context(), []connector.Statement{{SQL: "CREATE SCHEMA IF NOT EXISTS `upwell`"}}); err != nil {
		t.Fatal(err)
	}
	jobs := s.Stats().Jobs
	if len(jobs) != 3 {
		t.Fatalf("%d jobs", len(jobs))
	}
	for i, j := range jobs {
		if want := map[string]string{"team": "revops", "upwell": "warehouse"}; !cmp.Equal(j.Labels, want) || j.Location != "EU" || j.MaxBytes != 10_000_000 || j.DryRun != (i == 0) {
			t.Errorf("job %d: %+v", i, j)
		}
	}
}

func Test_a_query_dearer_than_allowed_fails_before_it_costs(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	s.Costs(5 << 30)
	o := openWith(t, s, map[string]string{"maximum_bytes_billed": "1GiB"})
	_, _, err := read(t.Context(), o, connector.Query{SQL: "SELECT 1 AS n"})
	wantFault(t, err, fault.SourceQueryFailed, "5368709120", "maximum_bytes_billed")
}

func Test_the_bytes_of_a_query_are_told_without_running_it(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	if err := s.Exec(t.Context(), "CREATE TABLE sales.wide AS SELECT n, n * 2 AS twice FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS n"); err != nil {
		t.Fatal(err)
	}
	o := openWith(t, s, nil)
	for _, q := range []connector.Query{{Table: "wide"}, {Table: "sales.wide", Where: "n > 3"}, {SQL: "SELECT n FROM `acme-test.sales.wide`"}, {Table: "acme-test.sales.wide"}} {
		got, err := o.Estimate(t.Context(), q)
		if err != nil || got.Bytes != 1000*2*8 {
			t.Errorf("%+v: %d bytes, %v", q, got.Bytes, err)
		}
	}
	if n := s.Stats().Requests["results"]; n != 0 {
		t.Errorf("%d answers were read", n)
	}
	_, err := o.Estimate(t.Context(), connector.Query{Table: "nowhere"})
	wantFault(t, err, fault.SourceQueryFailed, "nowhere")
}

func Test_what_cannot_be_carried_names_the_column_and_the_cast(t *testing.T) {
	o := openWith(t, standIn(t, bigquerytest.Options{}), nil)
	for _, sql := range []string{"RANGE<DATE> '[2026-01-01, 2026-02-01)'", "INTERVAL 3 DAY", "STRUCT(INTERVAL 3 DAY AS inner_one)"} {
		_, err := o.Describe(t.Context(), connector.Query{SQL: "SELECT " + sql + " AS span"})
		wantFault(t, err, fault.SourceTypeUnsupported, `"span"`, "CAST(`span` AS STRING)")
	}
}

func Test_values_of_every_kind_are_bound(t *testing.T) {
	o := openWith(t, standIn(t, bigquerytest.Options{}), nil)
	for _, c := range []struct {
		sql   string
		value row.Value
	}{
		{"9007199254740993", row.IntValue(9007199254740993)},
		{"NUMERIC '1.5'", row.DecimalValue("1.50")},
		{"1.25", row.FloatValue(1.25)},
		{"FALSE", row.BoolValue(false)},
		{"''", row.TextValue("")},
		{"b'\\x00\\xff'", row.BytesValue([]byte{0, 255})},
		{"DATE '2026-02-28'", row.DateValue(20512)},
		{"TIME '01:02:03.000004'", row.TimeValue(3_723_000_004_000)},
		{"DATETIME '2026-02-28 01:02:03'", row.TimestampValue(1_772_240_523, 0)},
		{"TIMESTAMP '2026-02-28 01:02:03.5Z'", row.InstantValue(1_772_240_523, 500_000_000)},
	} {
		rows, _, err := read(t.Context(), o, connector.Query{SQL: "SELECT 1 AS n, " + c.sql + " AS v", Equal: []connector.ColumnIs{{Column: "v", Value: c.value}}})
		if err != nil || rows != 1 {
			t.Errorf("%s = %s: %d rows, %v", c.sql, c.value, rows, err)
		}
	}
	_, _, err := read(t.Context(), o, connector.Query{SQL: "SELECT [1] AS v", Equal: []connector.ColumnIs{{Column: "v", Value: row.StringKind(row.Array, "[1]")}}})
	wantFault(t, err, fault.SourceQueryFailed, "TO_JSON_STRING")
}

func Test_refusals_say_what_to_do(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	o := openWith(t, s, nil)
	for _, c := range []struct {
		fault bigquerytest.Fault
		code  fault.Code
		words []string
	}{
		{
			bigquerytest.Fault{Status: http.StatusForbidden, Reason: "accessDenied", Message: "Access Denied: Table acme-test:sales.x: User does not have permission to query table acme-test:sales.x, or perhaps it does not exist."},
			fault.SourceQueryFailed,
			[]string{"acme-test:sales.x", "roles/bigquery.dataViewer"},
		},
		{
			bigquerytest.Fault{Status: http.StatusForbidden, Reason: "accessDenied", Message: "Access Denied: Project acme-test: User does not have bigquery.jobs.create permission in project acme-test."},
			fault.SourceAuth,
			[]string{"roles/bigquery.jobUser", "acme-test"},
		},
		{bigquerytest.Fault{Status: http.StatusForbidden, Reason: "quotaExceeded", Message: "Quota exceeded: your project exceeded quota"}, fault.SourceUnreachable, []string{"Quota exceeded"}},
		{bigquerytest.Fault{Status: http.StatusUnauthorized, Times: -1, Reason: "authError", Message: "Invalid Credentials"}, fault.SourceAuth, []string{"Invalid Credentials"}},
		{bigquerytest.Fault{Status: http.StatusInternalServerError, Times: -1, Message: "backend down"}, fault.SourceUnreachable, []string{"backend down"}},
		{bigquerytest.Fault{Status: http.StatusServiceUnavailable, Times: tries - 1}, "", nil},
		{bigquerytest.Fault{Reset: true, Times: tries - 1}, "", nil},
		{bigquerytest.Fault{Reset: true, Times: -1}, fault.SourceUnreachable, nil},
		{bigquerytest.Fault{Fail: "backendError"}, fault.SourceUnreachable, []string{"Retrying the job"}},
	} {
		c.fault.On = "insert"
		s.Inject(c.fault)
		_, _, err := read(t.Context(), o, connector.Query{SQL: "SELECT 1 AS n"})
		s.ClearFaults()
		if c.code == "" {
			if err != nil {
				t.Errorf("%+v: %v", c.fault, err)
			}
			continue
		}
		wantFault(t, err, c.code, c.words...)
	}
}

func Test_a_wrong_location_or_project_is_named(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	_, _, err := read(t.Context(), openWith(t, s, map[string]string{"location": "us-east1"}), connector.Query{SQL: "SELECT 1 AS n"})
	wantFault(t, err, fault.SourceQueryFailed, "was not found in location us-east1", "(us-east1)")
	wantFault(t, openWith(t, s, map[string]string{"project": "elsewhere"}).Check(t.Context()), fault.SourceAuth, "bigquery.jobs.create", "roles/bigquery.jobUser")
}

func Test_a_query_killed_at_the_server_is_not_the_querys_fault(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	o := openWith(t, s, nil)
	s.Inject(bigquerytest.Fault{On: "results", Status: http.StatusBadRequest, Reason: "stopped", Message: "Job execution was cancelled: User requested cancellation"})
	_, _, err := read(t.Context(), o, connector.Query{SQL: count(3)})
	wantFault(t, err, fault.SourceUnreachable, "User requested cancellation")
}
