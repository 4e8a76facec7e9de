package redshift

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
)

// asleep is the remedy where a cluster does not answer: a paused one keeps its name and refuses connections.
// https://docs.aws.amazon.com/redshift/latest/mgmt/rs-mgmt-pause-resume-cluster.html
const asleep = "The cluster may be paused or being resized: resume it or wait. Otherwise check host, port, security group and whether the cluster is publicly accessible."

// connectFault turns a failed connection into a fault: refused credentials, or out of reach.
func (s *source) connectFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "connecting to redshift at %s", s.Address())
	}
	var own *fault.Error
	if errors.As(err, &own) {
		return own
	}
	if pe, ok := pgwire.AsServer(err); ok {
		code, doing := fault.SourceUnreachable, "does not take connections"
		if strings.HasPrefix(pe.Code, "28") || pe.Code == "3D000" || pe.Code == "42501" {
			code, doing = fault.SourceAuth, "refused the login"
		}
		f := fault.New(code, "redshift at %s %s: %s", s.Address(), doing, s.hide(words(pe)))
		f.Cause = err
		switch {
		case code == fault.SourceUnreachable:
			return f.WithFix("%s", asleep)
		case pe.Code == "3D000":
			return f.WithFix("Check `database` on the source.")
		}
		return f
	}
	// A user whose password is kept as SHA-256 is asked for it in a way of Redshift's own, which only its drivers speak.
	// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
	if digest.MatchString(err.Error()) {
		f := fault.New(fault.SourceAuth, "redshift at %s wants the password of %s in a form that is not spoken here (SHA-256 digest)", s.Address(), s.login())
		f.Cause = pgwire.Redact(err)
		return f.WithFix("Set the password with ALTER USER ... PASSWORD '...', which keeps it as MD5, or log in with iam.")
	}
	if why, fix, ok := pgwire.Distrust(err); ok {
		f := fault.New(fault.SourceUnreachable, "redshift at %s is not trusted: %s", s.Address(), s.hide(why)).WithFix("%s", fix)
		f.Cause = pgwire.Redact(err)
		return f
	}
	f := fault.New(fault.SourceUnreachable, "connecting to redshift at %s: %s", s.Address(), s.hide(pgwire.Bare(err))).WithFix("%s", asleep)
	f.Cause = pgwire.Redact(err)
	return f
}

var digest = regexp.MustCompile(`(?i)unknown auth[a-z]* .*\b13\b`)

// readFault is sourceFault once the query runs: what is not the query's own fault means that the read is incomplete.
func (s *source) readFault(ctx context.Context, err error) error {
	return s.sourceFault(ctx, err, "reading from redshift", connector.Query{}, true)
}

// sourceFault classifies what ended a query.
func (s *source) sourceFault(ctx context.Context, err error, doing string, q connector.Query, reading bool) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "%s", doing)
	}
	var own *fault.Error
	if errors.As(err, &own) {
		return own
	}
	passing := fault.SourceUnreachable
	if reading {
		passing = fault.SourceIncomplete
	}
	pe, ok := pgwire.AsServer(err)
	if !ok {
		f := fault.New(passing, "%s: %s", doing, s.hide(pgwire.Bare(err)))
		f.Cause = pgwire.Redact(err)
		return f
	}
	code, fix := classify(pe, passing)
	f := fault.New(code, "%s: %s", doing, s.hide(words(pe)))
	f.Cause = err
	if q.SQL != "" && pe.Position > 0 {
		statement, _ := q.Render(s.Dialect())
		f.Line, f.Column = q.Position(statement, int(pe.Position)-1)
	}
	switch f.Fix = fix; pe.Code {
	case "42501":
		f.Fix = grantFix(pe.Message, s.login())
	case "42P01", "3F000":
		f.Fix = "Check the name. Without a schema it is looked up in " + s.lookedIn() + "."
	}
	return f
}

// classify says what a server's error means. What fails on the compute nodes comes with SQLSTATE XX000 whatever it is, so that the
// words decide.
func classify(pe *pgconn.PgError, passing fault.Code) (fault.Code, string) {
	class := pe.Code[:min(2, len(pe.Code))]
	switch {
	case class == "28":
		return fault.SourceAuth, ""
	case pe.Code == "57014":
		return fault.SourceQueryFailed, "Make the query faster, or raise statement_timeout on the source and in the cluster's workload management (WLM), which may have ended it."
	case conflict(pe):
		return passing, "Another transaction wrote to the same tables. Run again."
	case strings.Contains(pe.Message, "total set of cursor data"):
		return fault.SourceQueryFailed, "The result is larger than the cluster keeps for cursors. Set fetch_rows: 0 on the source, which reads it as one stream."
	case pe.Code == "25006":
		return fault.SourceUnreachable, "The cluster takes no writes now; it may be being resized. Run again when that is over."
	case class == "08", class == "53", class == "57", class == "58", class == "40":
		return passing, ""
	}
	return fault.SourceQueryFailed, ""
}

// conflict reports whether a transaction lost against another and can simply be repeated.
// https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation-serializable-isolation-troubleshooting.html
func conflict(pe *pgconn.PgError) bool {
	return pe.Code == "40001" || pe.Code == "40P01" || strings.TrimSpace(pe.Message) == "1023" || strings.Contains(pe.Message, "conflict with concurrent transaction") ||
		strings.Contains(pe.Message, "serializable isolation violation") || strings.Contains(pe.Detail, "Serializable isolation violation")
}

// words are the server's own.
func words(pe *pgconn.PgError) string {
	s := fmt.Sprintf("%s (SQLSTATE %s)", strings.TrimSpace(pe.Message), pe.Code)
	if pe.Detail != "" {
		s += "; " + strings.Join(strings.Fields(pe.Detail), " ")
	}
	if pe.Hint != "" {
		s += "; hint: " + pe.Hint
	}
	return s
}

// lookedIn is where the server looks for names without a schema.
func (s *source) lookedIn() string {
	if s.schema == "" {
		return "the schemas of the user's search_path; `schema` on the source names another"
	}
	return "`" + s.schema + "`, then in public: see `schema` on the source"
}

var denied = regexp.MustCompile(`permission denied for (\w+) (\S+)`)

// grantFix names the right that is missing.
func grantFix(message, user string) string {
	m := denied.FindStringSubmatch(message)
	if m == nil {
		return "Grant the right the server names."
	}
	switch m[1] {
	case "schema":
		return fmt.Sprintf("Grant the right: GRANT USAGE ON SCHEMA %s TO %s;", pgwire.Ident(m[2]), pgwire.Ident(user))
	case "database":
		return fmt.Sprintf("Grant the right: GRANT CREATE ON DATABASE %s TO %s;", pgwire.Ident(m[2]), pgwire.Ident(user))
	}
	return fmt.Sprintf("Grant the right: GRANT SELECT ON %s TO %s;", pgwire.Ident(m[2]), pgwire.Ident(user))
}
