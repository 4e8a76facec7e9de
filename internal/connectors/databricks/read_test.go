package databricks_test

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/databricks"
	"github.com/upwelldata/upwell/internal/connectors/databricks/databrickstest"
	"github.com/upwelldata/upwell/internal/fault"
)

// connect opens the source as a project would: defaults filled in, settings laid over the stand-in's. An empty one takes away.
func connect(t testing.TB, s *databrickstest.Server, over map[string]string) connector.Warehouse {
	t.Helper()
	values := map[string]string{}
	secrets := map[string]bool{}
	for _, one := range databricks.Source().Spec.Settings {
		if one.Default != "" {
			values[one.Name] = one.Default
		}
		secrets[one.Name] = one.Secret
	}
	maps.Copy(values, s.Settings())
	for k, v := range over {
		if values[k] = v; v == "" {
			delete(values, k)
		}
	}
	src, err := databricks.Source().Open(t.Context(), connector.NewConfig(values, nil, secrets), connector.Env{Name: "wh"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return src.(connector.Warehouse) //nolint:forcetypeassert // it says so itself
}

// sum reads a query of one bigint column and gives the number of rows and their sum; between is called after every batch.
func sum(ctx context.Context, src connector.Source, sql string, between func()) (rows, total int64, err error) {
	for b, err := range src.Read(ctx, connector.Query{SQL: sql}) {
		if err != nil {
			return rows, total, err
		}
		for _, n := range b.Column(0).(*array.Int64).Int64Values() {
			total += n
		}
		rows += b.NumRows()
		if between != nil {
			between()
		}
	}
	return rows, total, nil
}

const numbers = "SELECT id AS n FROM RANGE(1, 35001)" // four chunks of the stand-in's

func whole(t *testing.T, rows, total int64, err error) {
	t.Helper()
	if err != nil || rows != 35000 || total != 35000*35001/2 {
		t.Errorf("%d rows with the sum %d, %v", rows, total, err)
	}
}

func calls(s *databrickstest.Server, part string) (n int) {
	for _, c := range s.Calls() {
		if strings.Contains(c.Path, part) {
			n++
		}
	}
	return n
}

// want is a fault of a code whose text and fix hold all words and nothing of a link or credential.
func want(t *testing.T, err error, code fault.Code, words ...string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Code != code {
		t.Errorf("%v; want %s", err, code)
		return
	}
	text := f.Error() + " " + f.GetFix()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not hold %q", text, w)
		}
	}
	for _, secret := range []string{"X-Amz", "/storage/", databrickstest.ClientSecret, databrickstest.Token} {
		if strings.Contains(text, secret) {
			t.Errorf("%q holds %q", text, secret)
		}
	}
}

func Test_a_token_that_ends_in_the_middle_of_a_read_is_replaced(t *testing.T) {
	s := start(t)
	src := connect(t, s, map[string]string{"downloads": "1"})
	once := false
	rows, total, err := sum(t.Context(), src, numbers, func() {
		if !once {
			once = true
			s.ExpireTokens()
		}
	})
	whole(t, rows, total, err)
	if n := calls(s, "/oidc/v1/token"); n != 2 {
		t.Errorf("%d tokens were asked for; want 2", n)
	}
}

func Test_a_link_that_has_ended_is_asked_for_again(t *testing.T) {
	s := start(t)
	s.ExpireLinks(3)
	rows, total, err := sum(t.Context(), connect(t, s, nil), numbers, nil)
	whole(t, rows, total, err)
	if n := calls(s, "/result/chunks/"); n != 3+3 {
		t.Errorf("%d links were asked for; want those of chunks 1 to 3, and three again", n)
	}
}

func Test_links_that_are_over_before_they_are_used_are_not_tried(t *testing.T) {
	s := start(t)
	s.LinkLife = -time.Second
	_, _, err := sum(t.Context(), connect(t, s, nil), numbers, nil)
	want(t, err, fault.SourceIncomplete, "the storage answered 403 Forbidden")
	tried := 0
	for _, c := range s.Calls() {
		if strings.HasPrefix(c.Path, "/storage/") && strings.HasSuffix(c.Path, "/0") {
			tried++
		}
	}
	if n := calls(s, "/result/chunks/0"); n != tried || n == 0 {
		t.Errorf("the first chunk was tried %d times with %d links that were asked for: the one that came with the answer was over", tried, n)
	}
}

func Test_a_chunk_that_is_missing_ends_the_read_and_is_named(t *testing.T) {
	s := start(t)
	src := connect(t, s, nil)
	s.LoseChunk(2)
	_, _, err := sum(t.Context(), src, numbers, nil)
	want(t, err, fault.SourceIncomplete, "part 3 of 4", "404 Not Found")
	s.LoseChunk(-1)
	s.Unlink(1)
	_, _, err = sum(t.Context(), src, numbers, nil)
	want(t, err, fault.SourceIncomplete, "part 2 of 4", "no link")
}

func Test_a_chunk_that_is_cut_is_fetched_again_and_never_taken_for_whole(t *testing.T) {
	for name, cut := range map[string]func(*databrickstest.Server, int){
		"between two messages": (*databrickstest.Server).CutBetween,
		"in the middle":        (*databrickstest.Server).CutWithin,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			src := connect(t, s, nil)
			cut(s, 3)
			rows, total, err := sum(t.Context(), src, numbers, nil)
			whole(t, rows, total, err)
			cut(s, 1000)
			_, _, err = sum(t.Context(), src, numbers, nil)
			want(t, err, fault.SourceIncomplete, "part 1 of 4")
		})
	}
}

func Test_rows_are_compared_with_the_manifests_count(t *testing.T) {
	s := start(t)
	s.Miscount(1)
	_, _, err := sum(t.Context(), connect(t, s, nil), numbers, nil)
	want(t, err, fault.SourceIncomplete, "35000 rows came where Databricks counts 35001")
}

func Test_a_result_that_was_cut_off_at_its_largest_size_gives_no_row(t *testing.T) {
	s := start(t)
	s.Truncate()
	rows, _, err := sum(t.Context(), connect(t, s, nil), numbers, nil)
	want(t, err, fault.SourceIncomplete, "100 GiB")
	if rows != 0 {
		t.Errorf("%d rows were given out", rows)
	}
}

func Test_a_result_without_rows_needs_no_storage(t *testing.T) {
	s := start(t)
	if rows, _, err := sum(t.Context(), connect(t, s, nil), numbers+" WHERE id < 0", nil); rows != 0 || err != nil {
		t.Errorf("%d rows, %v", rows, err)
	}
	if n := calls(s, "/storage/") + calls(s, "/result/chunks/"); n != 0 {
		t.Errorf("%d chunks were asked for", n)
	}
}

func Test_a_query_that_somebody_kills_is_no_end(t *testing.T) {
	s := start(t)
	s.Kill(1)
	_, _, err := sum(t.Context(), connect(t, s, nil), numbers, nil)
	want(t, err, fault.SourceIncomplete, "CANCELED", "query history")
}

func Test_a_stopped_warehouse_is_waited_for(t *testing.T) {
	s := start(t)
	s.Suspend(8)
	rows, total, err := sum(t.Context(), connect(t, s, nil), numbers, nil)
	whole(t, rows, total, err)
	s.Suspend(1 << 30)
	_, _, err = sum(t.Context(), connect(t, s, map[string]string{"start_timeout": "30ms"}), numbers, nil)
	want(t, err, fault.SourceUnreachable, databrickstest.Warehouse, "start_timeout")
	if states := s.States(); states[len(states)-1] != "CANCELED" {
		t.Errorf("the query that was given up is %s", states[len(states)-1])
	}
}

const endless = "SELECT COUNT(*) AS n FROM RANGE(1, 1000000000000)"

func Test_a_cancelled_read_is_cancelled_at_the_server(t *testing.T) {
	s := start(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	src := connect(t, s, nil)
	ended := make(chan error, 1)
	go func() {
		_, _, err := sum(ctx, src, endless, nil)
		ended <- err
	}()
	for len(s.States()) == 0 {
		runtime.Gosched()
	}
	stop()
	want(t, <-ended, fault.Cancelled)
	if states := s.States(); !slices.Equal(states, []string{"CANCELED"}) {
		t.Errorf("at the server: %v", states)
	}
}

func Test_a_query_that_runs_too_long_is_cancelled_and_told(t *testing.T) {
	s := start(t)
	_, _, err := sum(t.Context(), connect(t, s, map[string]string{"statement_timeout": "20ms"}), endless, nil)
	want(t, err, fault.SourceQueryFailed, "longer than 20ms", "statement_timeout")
	if states := s.States(); !slices.Equal(states, []string{"CANCELED"}) {
		t.Errorf("at the server: %v", states)
	}
}

func Test_requests_that_fail_for_a_moment_are_sent_again_and_not_for_ever(t *testing.T) {
	s := start(t)
	src := connect(t, s, map[string]string{"downloads": "1"})
	s.Fail("/result/chunks/", 503, 2, "", `{"error_code":"TEMPORARILY_UNAVAILABLE","message":"later"}`)
	s.Fail("/storage/", 500, 2, "", "")
	s.Fail("/sql/statements", 429, 2, "0", `{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"slow down"}`)
	rows, total, err := sum(t.Context(), src, numbers, nil)
	whole(t, rows, total, err)
	before := len(s.Calls())
	s.Fail("/result/chunks/", 503, 1000, "", `{"error_code":"TEMPORARILY_UNAVAILABLE","message":"later"}`)
	_, _, err = sum(t.Context(), src, numbers, nil)
	want(t, err, fault.SourceIncomplete, "part 2 of 4", "later (TEMPORARILY_UNAVAILABLE)")
	if n := len(s.Calls()) - before; n > 20 {
		t.Errorf("%d calls", n)
	}
}

// A statement that may have arrived is not sent twice: it may write.
func Test_a_submission_without_an_answer_is_not_repeated(t *testing.T) {
	s := start(t)
	s.Fail("/sql/statements", 502, 1000, "", "")
	_, _, err := sum(t.Context(), connect(t, s, nil), numbers, nil)
	want(t, err, fault.SourceUnreachable, "502")
	if n := calls(s, "/sql/statements"); n != 1 {
		t.Errorf("sent %d times", n)
	}
}

func Test_two_columns_of_one_name_are_refused(t *testing.T) {
	s := start(t)
	src := connect(t, s, nil)
	_, _, err := sum(t.Context(), src, "SELECT 1L AS n, 2L AS n", nil)
	want(t, err, fault.SourceQueryFailed, `two columns named "n"`)
}
