package databricks

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
)

// refused is what the API said of a request, kept behind the fault.
type refused struct {
	status  int
	code    string
	message string
}

func (r refused) Error() string { return r.code + ": " + r.message }

// refusal puts the API's own words, {"error_code", "message"}, into httpkit's fault.
func (s *source) refusal(resp *httpkit.Response, err error) error {
	f := fault.As(err)
	var words struct {
		Code    word   `json:"error_code"`
		Message string `json:"message"`
	}
	if resp == nil || resp.OK() || httpkit.DecodeJSON(resp.Body, &words) != nil || words.Message == "" {
		return err
	}
	copied := *f
	copied.Message = oneLine(s.client.Redact(fmt.Sprintf("%s (%s)", words.Message, words.Code)))
	copied.Cause = refused{resp.Status, string(words.Code), words.Message}
	return &copied
}

// requestFault gives a failed request the words of a source.
func (s *source) requestFault(err error, doing string) error {
	f := fault.As(err)
	of := func(code fault.Code, fix string, args ...any) error {
		out := fault.New(code, "%s: databricks at %s: %s", doing, s.base.Host, f.Message)
		if out.Cause = f.Cause; fix != "" {
			return out.WithFix(fix, args...)
		}
		return out
	}
	said, _ := f.Cause.(refused) //nolint:errorlint // set by refusal as the direct cause
	switch {
	case f.Code == fault.Cancelled:
		return fault.Wrap(fault.Cancelled, f.Cause, "%s", doing)
	case f.Code == fault.DestAuth, f.Code == fault.DestForbidden && strings.Contains(strings.ToLower(said.message), "token"):
		return of(fault.SourceAuth, "Check client_id and client_secret, or token, and that the principal may use this workspace.")
	case f.Code == fault.DestForbidden:
		return of(fault.SourceAuth, "Give %s the permission CAN USE on SQL warehouse %s.", s.principal(), s.warehouse)
	case strings.Contains(said.message, s.warehouse), said.code == "INVALID_PARAMETER_VALUE" && strings.Contains(said.message, "endpoint"):
		return of(fault.SourceUnreachable, "Check warehouse_id: it stands in the warehouse's connection details.")
	case said.status == http.StatusNotFound: // results are kept for an hour
		return of(fault.SourceIncomplete, "")
	case f.Code == fault.DestRefused, f.Code == fault.DestConfig && said.status != 0:
		return of(fault.SourceQueryFailed, "")
	case f.Code == fault.DestAddressBlocked:
		return of(fault.SourceUnreachable, "Set the workspace's public address, or allow_private: true where a private one is meant.")
	case f.Code == fault.Internal, f.Code == fault.DestConfig:
		return of(f.Code, "")
	}
	return of(fault.SourceUnreachable, "")
}

// notStarted tells what the warehouse is doing, as far as it can be learned.
func (s *source) notStarted(ctx context.Context) error {
	state := "not ready"
	var w struct {
		State string `json:"state"`
	}
	// https://docs.databricks.com/api/workspace/warehouses/get
	if err := s.get(ctx, "/api/2.0/sql/warehouses/"+s.warehouse, "asking for the warehouse", &w); err == nil && w.State != "" {
		state = w.State
	}
	return fault.New(fault.SourceUnreachable, "SQL warehouse %s took no query within %s (it is %s)", s.warehouse, s.startTimeout, state).
		WithFix("Look at the warehouse: it may be stopped by an administrator, out of capacity, or busy. start_timeout on the source says how long to wait.")
}

// errorClass is the name in brackets that begins most messages: [TABLE_OR_VIEW_NOT_FOUND] …
// (https://docs.databricks.com/aws/en/error-messages).
var errorClass = regexp.MustCompile(`\[([A-Z0-9_]+)(?:\.[A-Z0-9_]+)*\]`)

// ended is how a statement ended that did not succeed, kept behind the fault.
type ended struct {
	class    string // "DELTA_CONCURRENT_APPEND", "" when the message names none
	sqlState string
	message  string
}

func (e ended) Error() string { return e.message }

func endOf(a *answer) ended {
	e := ended{sqlState: a.Status.SQLState, message: a.Status.Error.Message}
	if m := errorClass.FindStringSubmatch(e.message); m != nil {
		e.class = m[1]
	}
	if i := strings.LastIndex(e.message, "SQLSTATE: "); i >= 0 && e.sqlState == "" {
		if rest := e.message[i+len("SQLSTATE: "):]; len(rest) >= 5 {
			e.sqlState = rest[:5]
		}
	}
	return e
}

// forbidden reports a missing right on data. Insufficient privileges have SQLSTATE 42501
// (https://docs.databricks.com/aws/en/error-messages/sqlstates).
func (e ended) forbidden() bool {
	return e.sqlState == "42501" || e.class == "INSUFFICIENT_PERMISSIONS" || e.class == "PERMISSION_DENIED" || strings.Contains(e.message, "PERMISSION_DENIED")
}

// missing reports a name that is not there, or may not be seen: of a table, or of its schema
// (https://docs.databricks.com/aws/en/error-messages/sqlstates).
func (e ended) missing() bool {
	return e.class == "TABLE_OR_VIEW_NOT_FOUND" || e.class == "SCHEMA_NOT_FOUND" || e.class == "" && (e.sqlState == "42P01" || e.sqlState == "42704")
}

// conflict reports a write that lost against another one on the same Delta table, and had no effect
// (https://docs.databricks.com/aws/en/optimizations/isolation-level).
func (e ended) conflict() bool {
	return e.sqlState == "2D521" || strings.HasPrefix(e.class, "DELTA_CONCURRENT")
}

// statementFault says why a statement did not succeed.
func (s *source) statementFault(st statement, a *answer) error {
	e := endOf(a)
	of := func(code fault.Code, fix string, args ...any) error {
		words := oneLine(s.client.Redact(withoutStatement(e.message)))
		if words == "" {
			words = "the statement is " + a.Status.State
		}
		out := fault.New(code, "%s: %s", st.doing, words)
		if out.Cause = e; fix != "" {
			return out.WithFix(fix, args...)
		}
		return out
	}
	switch a.Status.State {
	case "CANCELED":
		return of(fault.SourceIncomplete, "Somebody, or a limit of the warehouse, cancelled the query. Run again; the query history of the warehouse tells who.")
	case "CLOSED":
		return of(fault.SourceIncomplete, "")
	case "FAILED":
	default:
		return fault.New(fault.Internal, "%s: a Databricks statement has the unknown state %q", st.doing, a.Status.State)
	}
	if e.forbidden() {
		return of(fault.SourceQueryFailed, "%s", s.grantFix(e.message))
	}
	switch e.class { // https://docs.databricks.com/aws/en/error-messages/error-classes
	case "TABLE_OR_VIEW_NOT_FOUND":
		return of(fault.SourceQueryFailed, "Check the name. What it leaves out of catalog.schema.table is taken from `catalog` and `schema` on the source.")
	case "SCHEMA_NOT_FOUND", "NO_SUCH_CATALOG_EXCEPTION":
		return of(fault.SourceQueryFailed, "Check `catalog` and `schema` on the source, and that %s has USE CATALOG and USE SCHEMA: `upwell grants` prints them.", s.principal())
	}
	if strings.Contains(e.message, "Inline byte limit") {
		return of(fault.SourceQueryFailed, "Inline results have at most 25 MiB. Set results: links on the source, or read less.")
	}
	switch a.Status.Error.Code { // https://docs.databricks.com/api/workspace/statementexecution/getstatement
	case "UNAUTHENTICATED":
		return of(fault.SourceAuth, "")
	case "ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL_ERROR", "IO_ERROR", "RESOURCE_EXHAUSTED", "SERVICE_UNDER_MAINTENANCE",
		"TEMPORARILY_UNAVAILABLE", "UNKNOWN", "WORKSPACE_TEMPORARILY_UNAVAILABLE":
		return of(fault.SourceIncomplete, "")
	}
	return of(fault.SourceQueryFailed, "")
}

// missing is how Unity Catalog names a right: User does not have USE SCHEMA on Schema 'main.analytics'.
var missing = regexp.MustCompile(`does not have ([A-Z_ ]+?) (?:permission )?on (\w+) ['"` + "`" + `]?([^'"` + "`" + `\s]+?)['"` + "`" + `]?(?:[.,]?\s|[.,]?$)`)

// grantFix writes the GRANT that a message asks for.
func (s *source) grantFix(message string) string {
	m := missing.FindStringSubmatch(message)
	if m == nil {
		return "`upwell grants` prints the rights that " + s.principal() + " needs."
	}
	parts := strings.Split(m[3], ".")
	for i, p := range parts {
		parts[i] = dialect.Ident(p)
	}
	return fmt.Sprintf("GRANT %s ON %s %s TO %s;", strings.ReplaceAll(m[1], "_", " "), strings.ToUpper(m[2]), strings.Join(parts, "."), s.principal())
}

// principal is who reads: a service principal is named by its application id in grants; the owner of a token is not known.
func (s *source) principal() string {
	if s.clientID == "" {
		return "`the token's owner`"
	}
	return dialect.Ident(s.clientID)
}

// withoutStatement drops the copy of the statement that some messages end with.
func withoutStatement(message string) string {
	message, _, _ = strings.Cut(message, "== SQL")
	return message
}

// oneLine makes a text of at most 1000 bytes on one line.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "") + "…"
	}
	return s
}
