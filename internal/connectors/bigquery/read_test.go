package bigquery

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/fault"
)

const thousand = 1000

func count(n int) string { return fmt.Sprintf(numbers, n) }

// wantAll reads the numbers to n and wants each once.
func wantAll(t *testing.T, s *source, sql string, n int) {
	t.Helper()
	rows, sum, err := read(t.Context(), s, connector.Query{SQL: sql})
	if err != nil || rows != n || sum != int64(n)*int64(n+1)/2 {
		t.Errorf("%d rows with the sum %d and %v; want %d", rows, sum, err, n)
	}
}

func wantFault(t *testing.T, err error, code fault.Code, words ...string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Code != code {
		t.Fatalf("%v; want %s", err, code)
	}
	for _, w := range words {
		if !strings.Contains(f.Error()+" "+f.GetFix(), w) {
			t.Errorf("%q is not in: %v (%s)", w, f, f.GetFix())
		}
	}
}

func Test_a_stream_that_breaks_is_gone_on_with_where_it_was(t *testing.T) {
	s := standIn(t, bigquerytest.Options{BatchRows: 100})
	o := openWith(t, s, map[string]string{"read_api": readStorage})
	for _, c := range []codes.Code{codes.Unavailable, codes.Internal, codes.Aborted, codes.DeadlineExceeded} {
		s.Inject(bigquerytest.Fault{On: "rows", Code: c, Message: "the stream broke", After: 3, Times: 2})
		wantAll(t, o, count(5*thousand), 5*thousand)
	}
	// As often as it comes forward in between.
	s.Inject(bigquerytest.Fault{On: "rows", Code: codes.Unavailable, After: 1, Times: 40})
	wantAll(t, o, count(5*thousand)+" ORDER BY n", 5*thousand)
	s.ClearFaults()
	if n := s.Stats().Requests["rows"]; n < 45 {
		t.Errorf("only %d streams were opened", n)
	}
}

func Test_a_stream_that_stays_broken_is_no_end(t *testing.T) {
	s := standIn(t, bigquerytest.Options{BatchRows: 100})
	o := openWith(t, s, map[string]string{"read_api": readStorage})
	for _, f := range []bigquerytest.Fault{
		{Code: codes.Unavailable, Message: "the service is away", Times: -1},
		{Code: codes.NotFound, Message: "the answer is gone", Skip: 1},
		{Code: codes.NotFound, Message: "the answer is gone", After: 2},
		{Lose: 1},
		{Lose: 2, Times: -1},
		{Short: true},
	} {
		f.On = "rows"
		s.Inject(f)
		rows, _, err := read(t.Context(), o, connector.Query{SQL: count(5 * thousand)})
		wantFault(t, err, fault.SourceIncomplete, f.Message)
		if rows >= 5*thousand {
			t.Errorf("%+v: %d rows", f, rows)
		}
		s.ClearFaults()
	}
}

func Test_rows_in_an_order_come_in_it(t *testing.T) {
	s := standIn(t, bigquerytest.Options{BatchRows: 64})
	o := openWith(t, s, map[string]string{"read_api": readStorage})
	next := int64(5 * thousand)
	for b, err := range o.Read(t.Context(), connector.Query{SQL: count(5*thousand) + " order\nby n desc"}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range ints(b) {
			if n != next {
				t.Fatalf("%d where %d was due", n, next)
			}
			next--
		}
	}
	if next != 0 {
		t.Errorf("the rows end before %d", next)
	}
}

func Test_a_token_that_expires_while_reading_is_renewed(t *testing.T) {
	s := standIn(t, bigquerytest.Options{BatchRows: 100, PageRows: 500})
	for api, faults := range map[string][]bigquerytest.Fault{
		readStorage: {{On: "rows", Code: codes.Unavailable, After: 2}, {On: "rows", Expire: true}, {On: "session", Expire: true}},
		readREST:    {{On: "results", Skip: 2, Expire: true}, {On: "insert", Expire: true}},
	} {
		o := openWith(t, s, map[string]string{"read_api": api})
		before := s.Stats().Granted["key"]
		for _, f := range faults {
			s.Inject(f)
		}
		wantAll(t, o, count(2*thousand)+" ORDER BY n", 2*thousand)
		if got := s.Stats().Granted["key"] - before; got != 3 {
			t.Errorf("%s: signed in %d times", api, got)
		}
		s.ClearFaults()
	}
}

func Test_a_token_near_its_end_is_not_used(t *testing.T) {
	s := standIn(t, bigquerytest.Options{TokenLife: 30 * time.Second})
	o := openWith(t, s, nil)
	wantAll(t, o, count(3), 3)
	if n := s.Stats().Granted["key"]; n < 3 {
		t.Errorf("signed in %d times for three requests", n)
	}
}

func Test_without_the_right_to_read_sessions_pages_are_read(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	denied := bigquerytest.Fault{On: "session", Code: codes.PermissionDenied, Times: -1, Message: "request failed: the user does not have 'bigquery.readsessions.create' permission for 'projects/acme-test'"}
	s.Inject(denied)
	o := openWith(t, s, nil)
	for range 3 {
		wantAll(t, o, count(3*thousand), 3*thousand)
	}
	if n := s.Stats().Requests["session"]; n != 1 {
		t.Errorf("asked for a session %d times; the first refusal says it all", n)
	}
	_, _, err := read(t.Context(), openWith(t, s, map[string]string{"read_api": readStorage}), connector.Query{SQL: count(3)})
	wantFault(t, err, fault.SourceAuth, "bigquery.readsessions.create", "roles/bigquery.readSessionUser", "read_api: rest")

	// An outage is not remembered.
	s.ClearFaults()
	s.Inject(bigquerytest.Fault{On: "session", Code: codes.Unavailable, Times: tries})
	o = openWith(t, s, nil)
	wantAll(t, o, count(3*thousand), 3*thousand)
	wantAll(t, o, count(3*thousand), 3*thousand)
	if n := s.Stats().Requests["rows"]; n == 0 {
		t.Error("after an outage the streams are not used any more")
	}
}

func Test_few_rows_are_read_without_a_session(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	o := openWith(t, s, nil)
	wantAll(t, o, count(few), few)
	if n := s.Stats().Requests["session"]; n != 0 {
		t.Errorf("%d sessions", n)
	}
	wantAll(t, o, count(few+1), few+1)
	if n := s.Stats().Requests["session"]; n != 1 {
		t.Errorf("%d sessions", n)
	}
}

func Test_pages_follow_each_other_to_the_last_row(t *testing.T) {
	s := standIn(t, bigquerytest.Options{PageRows: 1500})
	o := openWith(t, s, map[string]string{"read_api": readREST})
	wantAll(t, o, count(20*thousand+1), 20*thousand+1)
	if n := s.Stats().Requests["results"]; n != 15 { // one waits
		t.Errorf("%d requests", n)
	}
}

func Test_a_page_that_is_cut_is_asked_for_again(t *testing.T) {
	s := standIn(t, bigquerytest.Options{PageRows: 1000})
	o := openWith(t, s, map[string]string{"read_api": readREST})
	for _, f := range []bigquerytest.Fault{
		{Cut: 700, Times: 2},
		{Reset: true, Times: 3},
		{Status: http.StatusServiceUnavailable, Times: 3},
		{Status: http.StatusBadGateway},
		{Status: http.StatusForbidden, Reason: "rateLimitExceeded", Times: 2},
		{Status: http.StatusTooManyRequests},
	} {
		f.On, f.Skip = "results", 2
		s.Inject(f)
		wantAll(t, o, count(5*thousand), 5*thousand)
		s.ClearFaults()
		f.Times = -1
		s.Inject(f)
		_, _, err := read(t.Context(), o, connector.Query{SQL: count(5 * thousand)})
		wantFault(t, err, fault.SourceIncomplete)
		s.ClearFaults()
	}
}

func Test_a_job_whose_request_was_answered_into_the_void_is_found_again(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	o := openWith(t, s, nil)
	s.Inject(bigquerytest.Fault{On: "insert", Cut: 10})
	wantAll(t, o, count(3), 3)
	jobs := s.Stats().Jobs
	if len(jobs) != 2 || jobs[0].ID != jobs[1].ID || !strings.HasPrefix(jobs[0].ID, "upwell_") {
		t.Errorf("jobs: %+v", jobs)
	}
}

func Test_cancelling_ends_the_query_at_the_server(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	o := openWith(t, s, nil)
	hold, arrived := make(chan struct{}), make(chan struct{})
	defer close(hold)
	s.Inject(bigquerytest.Fault{On: "insert", Hold: hold, Arrived: arrived})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-arrived
		stop()
	}()
	_, _, err := read(ctx, o, connector.Query{SQL: count(3)})
	wantFault(t, err, fault.Cancelled)
	if jobs := s.Stats().Jobs; len(jobs) != 1 || !jobs[0].Cancelled {
		t.Errorf("jobs: %+v", jobs)
	}
}

func Test_an_end_by_the_context_is_no_end_of_the_rows(t *testing.T) {
	s := standIn(t, bigquerytest.Options{BatchRows: 10})
	for _, api := range []string{readStorage, readREST} {
		o := openWith(t, s, map[string]string{"read_api": api})
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		var last error
		for _, last = range o.Read(ctx, connector.Query{SQL: count(10 * thousand)}) {
			stop(fmt.Errorf("the user left"))
		}
		wantFault(t, last, fault.Cancelled, "the user left")
	}
}
