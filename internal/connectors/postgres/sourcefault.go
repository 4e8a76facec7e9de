package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
)

// connectFault turns a failed connection into a fault: refused credentials, or out of reach.
func (s *source) connectFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "connecting to postgres at %s", s.Address())
	}
	if pe, ok := pgError(err); ok {
		switch state := sqlstate(pe); {
		case strings.HasPrefix(state, "28"), state == "3D000", state == "42501":
			f := fault.New(fault.SourceAuth, "postgres at %s refused the login: %s", s.Address(), s.Scrub(words(pe)))
			f.Cause = err
			return f
		}
		f := fault.New(fault.SourceUnreachable, "postgres at %s does not take connections: %s", s.Address(), s.Scrub(words(pe)))
		f.Cause = err
		return f
	}
	if why, fix, ok := pgwire.Distrust(err); ok {
		f := fault.New(fault.SourceUnreachable, "postgres at %s is not trusted: %s", s.Address(), s.Scrub(why)).WithFix("%s", fix)
		f.Cause = pgwire.Redact(err)
		return f
	}
	f := fault.New(fault.SourceUnreachable, "connecting to postgres at %s: %s", s.Address(), s.Scrub(pgwire.Bare(err)))
	f.Cause = pgwire.Redact(err)
	return f
}

// sourceFault classifies what ended a query. Once rows have begun to come, everything that is not the query's own fault means
// that the read is incomplete.
func (s *source) sourceFault(ctx context.Context, err error, doing string, q connector.Query, reading bool) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "%s", doing)
	}
	var own *fault.Error
	if errors.As(err, &own) {
		return own
	}
	pe, ok := pgError(err)
	if !ok {
		code := fault.SourceUnreachable
		if reading {
			code = fault.SourceIncomplete
		}
		f := fault.New(code, "%s from postgres: %s", doing, s.Scrub(pgwire.Bare(err)))
		f.Cause = pgwire.Redact(err)
		return f
	}
	code := fault.SourceQueryFailed
	switch class := sqlstate(pe)[:min(2, len(pe.Code))]; class {
	case "28":
		code = fault.SourceAuth
	case "08", "53", "57", "58", "XX", "40", "F0":
		if pe.Code != "57014" { // query_canceled: a timeout is the query's own
			code = fault.SourceUnreachable
			if reading {
				code = fault.SourceIncomplete
			}
		}
	}
	f := fault.New(code, "%s: %s", doing, s.Scrub(words(pe)))
	f.Cause = err
	if q.SQL != "" && pe.Position > 0 {
		statement, _ := q.Render(s.Dialect())
		f.Line, f.Column = q.Position(statement, int(pe.Position)-1)
	}
	switch pe.Code {
	case "42501":
		f.Fix = grantFix(pe.Message, s.User, "SELECT")
	case "42P01", "3F000":
		f.WithFix("Check the name. Without a schema it is looked up in the search_path of user %s.", s.User)
	case "57014":
		f.WithFix("Make the query faster, or raise statement_timeout on the source.")
	}
	return f
}

// sqlstate is the server's, or what a pooler means: PgBouncer calls every refusal of its own a violation of the protocol
// (https://github.com/pgbouncer/pgbouncer/blob/master/src/client.c).
func sqlstate(pe *pgconn.PgError) string {
	if pe.Code != "08P01" {
		return pe.Code
	}
	for _, says := range [...]string{"authentication failed", "no such user", "login rejected", "not allowed to connect"} {
		if strings.Contains(pe.Message, says) {
			return "28P01"
		}
	}
	if strings.Contains(pe.Message, "no such database") {
		return "3D000"
	}
	return pe.Code
}

// words are the server's own, without the parts that repeat row data.
func words(pe *pgconn.PgError) string {
	s := fmt.Sprintf("%s (SQLSTATE %s)", pe.Message, pe.Code)
	if pe.Detail != "" && !strings.HasPrefix(pe.Detail, "Failing row contains") {
		s += "; " + pe.Detail
	}
	if pe.Hint != "" {
		s += "; hint: " + pe.Hint
	}
	return s
}
