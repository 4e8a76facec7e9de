package proof_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// rows are what a sick destination can do, by their numbers in the table of faults this program was designed against, and the tests
// that hold it to what the table says. A row without a test has the reason.
var rows = []struct {
	number int
	fault  string
	proofs []string // file and test
	open   string
}{
	{26, "down for minutes, hours, days", []string{"sick_test.go Test_an_outage_longer_than_the_run_waits_loses_nothing", "../internal/deliver/outage_test.go Test_an_outage_is_waited_out_without_using_up_attempts"}, ""},
	{27, "rate limits in all dialects", []string{"sick_test.go Test_sick_destinations", "../internal/connector/httpkit/text_test.go Test_every_dialect_of_waiting_is_understood", "../internal/connectors/salesforce/weather_test.go Test_requests_at_once_beyond_the_orgs_limit_are_throttled", "../internal/deliver/limits_test.go Test_throttling_is_obeyed_and_never_counts_as_an_attempt"}, ""},
	{28, "the day's quota is used up", []string{"../internal/deliver/limits_test.go Test_a_used_up_quota_ends_the_run_when_it_resets_too_late", "../internal/connectors/salesforce/weather_test.go Test_the_day_is_paused_when_its_calls_are_used_up"}, ""},
	{29, "a byte at a time", []string{"sick_test.go Test_sick_destinations", "../internal/connector/httpkit/landed_test.go Test_an_attempt_ends_in_time_whatever_the_server_does"}, ""},
	{30, "accepts and never answers", []string{"sick_test.go Test_sick_destinations", "../internal/connector/httpkit/landed_test.go Test_an_attempt_ends_in_time_whatever_the_server_does"}, ""},
	{31, "reset after applying", []string{"sick_test.go Test_sick_destinations", "stale_test.go Test_the_newest_value_wins_over_requests_of_a_dead_process"}, ""},
	{32, "the answer to a creation is lost", []string{"sick_test.go Test_sick_destinations", "place_test.go Test_an_insert_whose_process_died_is_never_doubled", "../internal/deliver/delivery_test.go Test_what_may_not_be_repeated_is_never_repeated_blindly"}, ""},
	{33, "garbage instead of an answer", []string{"sick_test.go Test_sick_destinations", "../internal/connector/httpkit/text_test.go Test_json_is_read_strictly"}, ""},
	{34, "results failed, reordered, missing, extra, of others", []string{"sick_test.go Test_sick_destinations", "../internal/connectors/webhook/template_test.go FuzzAnswers", "../internal/connectors/salesforce/write_test.go Test_an_answer_of_another_length_proves_nothing"}, ""},
	{35, "one bad row fails the batch", []string{"sick_test.go Test_sick_destinations"}, ""},
	{36, "a row that always makes the tool fail", []string{"sick_test.go Test_sick_destinations", "../internal/deliver/outage_test.go Test_a_row_that_always_fails_is_isolated_and_the_rest_flows"}, ""},
	{37, "one key twice in a batch", []string{"../internal/run/change_test.go Test_two_rows_with_one_match_are_invalid", "../internal/run/run_test.go Test_duplicate_and_null_keys_are_invalid_and_count_as_present", "account_test.go Test_every_row_is_accounted_for_in_random_histories"}, ""},
	{38, "jobs: death after submitting, stuck, expired, unprocessed", []string{"order_test.go Test_a_job_whose_process_died_is_looked_at_and_not_submitted_again", "../internal/connectors/salesforce/bulk_test.go Test_a_job_salesforce_gave_up_on_tells_what_it_did_not_process", "../internal/connectors/salesforce/bulk_test.go Test_a_job_that_vanished_leaves_its_rows_unknown"}, ""},
	{39, "eight workers and one expired token", []string{"../internal/connector/httpkit/auth_test.go Test_many_workers_with_an_expired_token_refresh_it_once", "../internal/connectors/salesforce/login_test.go Test_eight_workers_that_meet_an_expired_token_refresh_it_once"}, ""},
	{40, "a rotating refresh token", []string{"../internal/connectors/salesforce/login_test.go Test_a_rotated_refresh_token_is_kept_before_the_access_token_is_used", "../internal/connectors/salesforce/login_test.go Test_a_death_between_reply_and_save_ends_in_an_auth_fault_without_a_loop"}, ""},
	{41, "permission lost for everything", []string{"sick_test.go Test_sick_destinations", "../internal/deliver/delivery_test.go Test_the_same_refusal_for_most_rows_stops_the_run"}, ""},
	{42, "a field removed, retyped or newly required", []string{"../internal/connectors/salesforce/bulk_test.go Test_a_header_salesforce_does_not_know_stops_the_run", "../internal/mapping/compile_test.go Test_a_mapping_that_cannot_work_is_refused_at_its_place_with_a_remedy"}, ""},
	{43, "a record that cannot be read right after it was written", nil, "no destination so far reads what it has just written: ids come with the answers"},
	{44, "redirects to another host", []string{"sick_test.go Test_credentials_do_not_follow_a_redirect", "../internal/connector/httpkit/wire_test.go Test_redirects_are_not_followed_and_credentials_stay"}, ""},
	{45, "certificates expired, of another name, self-signed; TLS below 1.2", []string{"sick_test.go Test_an_untrusted_endpoint_gets_nothing", "../internal/connector/httpkit/guard_test.go Test_untrusted_encryption_is_refused_before_a_byte_of_the_request", "../internal/connectors/postgres/tls_test.go Test_encryption_is_what_sslmode_says", "../internal/connectors/mysql/tls_test.go Test_encryption_is_what_sslmode_says"}, ""},
	{46, "names that flap or rebind", []string{"../internal/connector/httpkit/guard_test.go Test_a_name_that_is_not_found_for_a_while_is_an_outage", "../internal/connector/httpkit/guard_test.go Test_private_addresses_are_not_reached_in_any_spelling"}, ""},
	{47, "kept connections and streams that break", []string{"../internal/connector/httpkit/wire_test.go Test_one_attempt_is_one_request_on_the_wire", "../internal/connector/httpkit/wire_test.go Test_one_attempt_is_one_request_over_http2"}, ""},
	{48, "an answer that swells", []string{"sick_test.go Test_sick_destinations", "../internal/connector/httpkit/landed_test.go Test_a_compressed_bomb_is_cut_at_the_cap"}, ""},
	{49, "a brown-out", []string{"../internal/deliver/limits_test.go Test_concurrency_goes_down_on_throttling_and_comes_back"}, ""},
	{50, "one destination dead among healthy ones", nil, "syncs run one after another in one process until there is a scheduler; the dead one's budget of waiting is its own"},
}

// Whoever takes a proof away takes its row away, and must say why.
func Test_every_row_of_a_sick_destination_has_its_proof(t *testing.T) {
	tests := map[string]map[string]bool{}
	for i, r := range rows {
		if r.number != 26+i || r.fault == "" || (len(r.proofs) == 0) == (r.open == "") {
			t.Errorf("row %d: a row has proofs, or the reason why it has none", r.number)
		}
		for _, p := range r.proofs {
			file, name, _ := strings.Cut(p, " ")
			if tests[file] == nil {
				tests[file] = map[string]bool{}
				f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range f.Decls {
					if fn, ok := d.(*ast.FuncDecl); ok {
						tests[file][fn.Name.Name] = true
					}
				}
			}
			if !tests[file][name] {
				t.Errorf("row %d, %s: %s has no %s", r.number, r.fault, file, name)
			}
		}
	}
}
