package salesforce

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
)

// requestError is one error of a refused request. Errors of records inside a 200 have statusCode instead of errorCode.
type requestError struct {
	ErrorCode string   `json:"errorCode"`
	Message   string   `json:"message"`
	Fields    []string `json:"fields"`
}

// itemError is one error of one record.
type itemError struct {
	StatusCode string   `json:"statusCode"`
	Message    string   `json:"message"`
	Fields     []string `json:"fields"`
}

func readErrors(body []byte) []requestError {
	var list []requestError
	if json.Unmarshal(body, &list) == nil {
		return list
	}
	var one requestError
	if json.Unmarshal(body, &one) == nil && one.ErrorCode != "" {
		return []requestError{one}
	}
	return nil
}

// tooManyAtOnce tells the limit of requests at once from the day's: both are 403 REQUEST_LIMIT_EXCEEDED without Retry-After,
// their messages differ (https://help.salesforce.com/s/articleView?id=000389067&type=1).
func tooManyAtOnce(errs []requestError) bool {
	return slices.ContainsFunc(errs, func(e requestError) bool {
		return e.ErrorCode == "REQUEST_LIMIT_EXCEEDED" && strings.Contains(strings.ToLower(e.Message), "concurrent")
	})
}

// do sends a request and gives failures their class in Salesforce's own terms.
func (d *Destination) do(ctx context.Context, r httpkit.Request) (*httpkit.Response, error) {
	resp, err := d.client.Do(ctx, r)
	if err != nil && resp != nil {
		err = d.classify(resp, err)
	}
	return resp, err
}

// classify reads errorCode where a plain status would mislead
// (https://developer.salesforce.com/docs/platform/api-rest/guide/errorcodes.html).
func (d *Destination) classify(resp *httpkit.Response, err error) error {
	f := fault.As(err)
	errs := readErrors(resp.Body)
	if len(errs) == 0 || f.Code == fault.DestTimeout || f.Code == fault.Cancelled {
		if resp.Status == 404 && !resp.IsHTML() {
			return d.say(fault.DestObjectMissing, resp, requestError{ErrorCode: "NOT_FOUND", Message: "the address is not known"}).NotLanded()
		}
		return err
	}
	e := errs[0]
	code := fault.Code("")
	switch e.ErrorCode {
	case "REQUEST_LIMIT_EXCEEDED":
		if code = fault.DestQuota; tooManyAtOnce(errs) {
			code = fault.DestThrottled
		}
	case "EXCEEDEDQUOTA": // the day's bulk batches
		code = fault.DestQuota
	case "INVALID_SESSION_ID", "INVALID_AUTH_HEADER":
		code = fault.DestAuth
	case "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION", "UNABLE_TO_LOCK_ROW":
		code = fault.DestTransient
	case "API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY", "FUNCTIONALITY_NOT_ENABLED", "FORBIDDEN":
		code = fault.DestForbidden
	case "INVALID_TYPE", "INVALIDENTITY":
		code = fault.DestObjectMissing
	case "INVALID_FIELD":
		code = fault.DestFieldMissing
	case "INVALIDJOB":
		code = fault.DestConfig
	case "NOT_FOUND":
		code = fault.DestObjectMissing
	case "MALFORMED_QUERY":
		code = fault.Internal
	case "JSON_PARSER_ERROR", "LIMIT_EXCEEDED", "INVALID_INPUT":
		code = fault.DestRefused
	default:
		switch resp.Status {
		case 403:
			code = fault.DestForbidden
		case 300:
			code = fault.DestRefused
		}
	}
	if code == "" {
		f.Message = resp.Call + ": " + d.client.Redact(e.ErrorCode+": "+e.Message)
		return f
	}
	out := d.say(code, resp, e)
	if f.Landed == fault.LandedNo || resp.Status < 500 {
		out = out.NotLanded()
	}
	out.RetryAfter = f.RetryAfter
	return out
}

func (d *Destination) say(code fault.Code, resp *httpkit.Response, e requestError) *fault.Error {
	f := fault.New(code, "%s: %s", resp.Call, d.client.Redact(e.ErrorCode+": "+e.Message))
	if len(e.Fields) > 0 {
		f.Field = d.client.Hide(e.Fields[0])
	} else if m := noColumn.FindStringSubmatch(e.Message); m != nil {
		f.Field = m[1]
	}
	return f
}

var noColumn = regexp.MustCompile(`No such column '([A-Za-z0-9_.]+)'`)

// settle says what an error of one record means. Codes decide; where Apex code wraps an error, its message does
// (https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_concepts_core_data_objects.htm).
func (d *Destination) settle(to *connector.Target, out *connector.Outcomes, i int, e itemError) {
	code, field, message := fault.Code(d.client.Hide(e.StatusCode)), "", d.client.Redact(e.Message)
	if len(e.Fields) > 0 {
		field = d.client.Hide(e.Fields[0])
	}
	switch {
	case retryable(e):
		out.Retry(i, 0, code, message)
	case e.StatusCode == "PROCESSING_HALTED" || e.StatusCode == "ALL_OR_NONE_OPERATION_ROLLED_BACK":
		out.NotAttempted(i)
	case gone(e) && to.Op == connector.OpDelete:
		out.Delivered(i, "", connector.No) // deleted before, by us or by somebody else
	case gone(e) && (to.Op == connector.OpUpdate || to.Op == connector.OpClear):
		out.Skipped(i, code, "the record is no longer in Salesforce: %s", message)
	case to.Op == connector.OpUpsert && e.StatusCode == "DUPLICATE_VALUE" && overtaken(to, e):
		out.Retry(i, 0, code, message)
	case e.StatusCode == "DUPLICATE_VALUE" && to.Op == connector.OpInsert && namesMatch(to, e):
		if to.SkipExists {
			out.Skipped(i, fault.AlreadyExists, "%s", message)
		} else {
			out.Rejected(i, fault.AlreadyExists, field, message)
		}
	case e.StatusCode == "":
		out.Rejected(i, fault.DestRowRefused, field, message)
	default:
		out.Rejected(i, code, field, message)
	}
}

// retryable: the row may well pass the next time. A lock comes from somebody else writing the record or its parent; so does a
// trigger at its limit of queries, because Salesforce splits a batch the next time.
func retryable(e itemError) bool {
	switch e.StatusCode {
	case "UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "REQUEST_LIMIT_EXCEEDED", "UNKNOWN_EXCEPTION", "TXN_SECURITY_METERING_ERROR":
		return true
	case "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY":
		for _, sign := range [...]string{"UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", "Too many SOQL queries", "CPU time limit exceeded"} {
			if strings.Contains(e.Message, sign) {
				return true
			}
		}
	}
	return false
}

// overtaken reports an upsert that found no record, and a duplicate when it made one: somebody created it in between, or a request
// of ours that was taken for lost did. The next try finds the record.
func overtaken(to *connector.Target, e itemError) bool {
	name, ok := strings.CutPrefix(e.Message, "duplicate value found: "+to.Match[0]+" ")
	return ok && strings.HasPrefix(name, "duplicates value on record")
}

// gone reports that the record itself is not there: the same code about a lookup names its field.
func gone(e itemError) bool {
	about := len(e.Fields) == 0 || strings.EqualFold(e.Fields[0], "Id")
	switch e.StatusCode {
	case "ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY":
		return about
	}
	return false
}

// namesMatch reports that a duplicate is one of the match, and not of another unique field. Salesforce hides the name from users
// who may not see the field.
func namesMatch(to *connector.Target, e itemError) bool {
	if strings.Contains(e.Message, "<unknown>") {
		return true
	}
	rest := strings.TrimPrefix(e.Message, "duplicate value found: ")
	name, _, _ := strings.Cut(rest, " ")
	return slices.ContainsFunc(to.Match, func(m string) bool { return strings.EqualFold(m, name) })
}
