package bigquery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"cloud.google.com/go/bigquery"
	"google.golang.org/api/googleapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/upwelldata/upwell/internal/fault"
)

// queryFault classifies what ended a call before rows came.
func (s *source) queryFault(ctx context.Context, err error, doing string) error {
	return s.classify(ctx, err, doing, fault.SourceUnreachable)
}

// readFault classifies what ended a read: everything that is not the query's own fault means that it is incomplete.
func (s *source) readFault(ctx context.Context, err error, doing string) error {
	return s.classify(ctx, err, doing, fault.SourceIncomplete)
}

// refusal is what BigQuery said no with.
type refusal struct {
	status   int
	reason   string
	message  string
	location string
}

func (s *source) classify(ctx context.Context, err error, doing string, outage fault.Code) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "%s", doing)
	}
	err = cause(err)
	if _, why, blocked := strings.Cut(err.Error(), string(fault.DestAddressBlocked)+": "); blocked { // libraries keep the words only
		return fault.New(outage, "%s in BigQuery: %s", doing, why).
			WithFix("Set `allow_private: true` on the source if a private address is meant (Private Service Connect, a stand-in).")
	}
	var own *fault.Error
	if errors.As(err, &own) {
		return own
	}
	made := func(code fault.Code, words string) *fault.Error {
		f := fault.New(code, "%s in BigQuery: %s", doing, s.config.scrub(words))
		f.Cause = err
		return f
	}
	if r, ok := answered(err); ok {
		return s.refused(r, made, outage)
	}
	if no := new(refused); errors.As(err, no) {
		return made(fault.SourceAuth, "the sign-in was refused: "+no.Error()).WithFix("%s", s.signInFix())
	}
	return made(outage, err.Error())
}

// answered reads a refusal of the REST API, of a job, or of the Storage Read API.
func answered(err error) (refusal, bool) {
	var api *googleapi.Error
	var job *bigquery.Error
	switch {
	case errors.As(err, &api):
		r := refusal{status: api.Code, message: api.Message}
		if len(api.Errors) > 0 {
			r.reason = api.Errors[0].Reason
		}
		return r, true
	case errors.As(err, &job):
		return refusal{status: http.StatusBadRequest, reason: job.Reason, message: job.Message, location: job.Location}, true
	}
	var o outage
	if errors.As(err, &o) {
		return refusal{status: http.StatusServiceUnavailable, message: o.Error()}, true
	}
	if st, ok := status.FromError(err); ok && st.Code() != codes.OK {
		r := refusal{message: st.Message()}
		switch st.Code() {
		case codes.Unauthenticated:
			r.status = http.StatusUnauthorized
		case codes.PermissionDenied:
			r.status, r.reason = http.StatusForbidden, "accessDenied"
		case codes.NotFound, codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented:
			r.status, r.reason = http.StatusGone, st.Code().String()
		default:
			r.status = http.StatusServiceUnavailable
		}
		return r, true
	}
	return refusal{}, false
}

// permission finds the right that is missing in BigQuery's words.
var permission = regexp.MustCompile(`\b(bigquery\.[a-zA-Z]+\.[a-zA-Z]+)\b`)

// refused says what a refusal means. https://docs.cloud.google.com/bigquery/docs/error-messages
func (s *source) refused(r refusal, made func(fault.Code, string) *fault.Error, outage fault.Code) error {
	words := r.message
	if r.reason != "" {
		words += " (" + r.reason + ")"
	}
	has := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(r.message, t) })
	}
	switch {
	case r.status == http.StatusUnauthorized:
		return made(fault.SourceAuth, words).WithFix("%s", s.signInFix())
	case has("bigquery.jobs.create"), has("has not been used in project"), has("serviceusage.services.use"):
		return made(fault.SourceAuth, words).WithFix("Check `project` on the source. If it is right, grant roles/bigquery.jobUser in the project %s, and enable the BigQuery API there.", s.config.project)
	case has("readsessions"):
		return made(fault.SourceAuth, words).WithFix("Grant roles/bigquery.readSessionUser in the project %s, or set read_api: rest.", s.config.project)
	case r.status == http.StatusForbidden && r.reason == "accessDenied", has("Access Denied"):
		return made(fault.SourceQueryFailed, words).WithFix("%s", grantFix(r.message))
	case r.reason == "bytesBilledLimitExceeded":
		return made(fault.SourceQueryFailed, words).WithFix("Read less, for instance by a partition, or raise maximum_bytes_billed on the source.")
	case r.reason == "responseTooLarge":
		return made(fault.SourceQueryFailed, words).WithFix("Name fewer columns in the model.")
	case r.reason == "notFound" && has("location"):
		return made(fault.SourceQueryFailed, words).WithFix("Check the name%s, and that the source's location (%s) is the dataset's.", s.lookedIn(), s.config.location)
	case r.reason == "timeout", has("Job timed out", "timed out after"):
		return made(fault.SourceQueryFailed, words).WithFix("Make the query faster, or raise job_timeout on the source.")
	case r.reason == "stopped", has("was cancelled", "was canceled"):
		return made(outage, words)
	case r.status == http.StatusGone: // the answer of a query is kept for a day
		return made(fault.SourceIncomplete, words)
	case r.status >= http.StatusInternalServerError, r.status == http.StatusTooManyRequests,
		slices.Contains([]string{"backendError", "internalError", "jobBackendError", "jobInternalError", "rateLimitExceeded", "jobRateLimitExceeded", "tableUnavailable", "quotaExceeded"}, r.reason):
		return made(outage, words)
	}
	return made(fault.SourceQueryFailed, words)
}

// lookedIn says where a table without a dataset is looked up.
func (s *source) lookedIn() string {
	if s.config.dataset == "" {
		return ""
	}
	return " (without a dataset it is looked up in " + s.config.dataset + ")"
}

// grantFix names what to grant, by the right that BigQuery names.
func grantFix(message string) string {
	right := permission.FindString(message)
	role := "roles/bigquery.dataViewer"
	if strings.Contains(right, ".create") || strings.Contains(right, ".update") || strings.Contains(right, ".delete") {
		role = "roles/bigquery.dataEditor"
	}
	if right == "" {
		return "Grant " + role + " on the dataset; `upwell grants` prints how."
	}
	return fmt.Sprintf("Grant %s on the dataset (it holds %s); `upwell grants` prints how.", role, right)
}

func (s *source) signInFix() string {
	switch {
	case s.config.impersonate != "":
		return "Grant the credentials roles/iam.serviceAccountTokenCreator on " + s.config.impersonate + "."
	case s.config.credentials == nil:
		return "Set credentials or credentials_file, or sign in with `gcloud auth application-default login`."
	}
	return "Check that the key in the credentials is still listed for its service account."
}
