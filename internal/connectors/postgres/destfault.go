package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
)

// connectFault turns a failed connection of a destination into a fault.
func connectFault(ctx context.Context, d *dialer, err error) *fault.Error {
	pe, ok := pgError(err)
	state := ""
	if ok {
		state = sqlstate(pe)
	}
	if strings.HasPrefix(state, "28") || state == "42501" {
		f := fault.New(fault.DestAuth, "postgres at %s refused the login: %s", d.Address(), d.Scrub(words(pe))).NotLanded()
		f.Cause = err
		return f
	} else if state == "3D000" {
		f := fault.New(fault.DestConfig, "postgres at %s: %s", d.Address(), d.Scrub(words(pe))).NotLanded()
		f.Cause = err
		return f
	}
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "connecting to postgres at %s", d.Address()).NotLanded()
	}
	if why, fix, ok := pgwire.Distrust(err); ok {
		f := fault.New(fault.DestTLS, "postgres at %s is not trusted: %s", d.Address(), d.Scrub(why)).WithFix("%s", fix).NotLanded()
		f.Cause = pgwire.Redact(err)
		return f
	}
	f := fault.New(fault.DestUnreachable, "connecting to postgres at %s: %s", d.Address(), d.Scrub(pgwire.Bare(err))).NotLanded()
	f.Cause = pgwire.Redact(err)
	return f
}

// destFault classifies what a statement answered. Everything happens in one transaction, so only a COMMIT whose answer is
// missing may have landed; the caller says where it was with NotLanded.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func destFault(ctx context.Context, d *dialer, err error, doing string) *fault.Error {
	var own *fault.Error
	if errors.As(err, &own) {
		return own
	}
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "%s", doing)
	}
	pe, ok := pgError(err)
	if !ok {
		f := fault.New(fault.DestUnreachable, "%s: the connection to postgres failed: %s", doing, d.Scrub(pgwire.Bare(err)))
		f.Cause = pgwire.Redact(err)
		return f
	}
	code := fault.Internal
	switch class := sqlstate(pe)[:min(2, len(pe.Code))]; {
	case class == "28":
		code = fault.DestAuth
	case pe.Code == "40001", pe.Code == "40P01", pe.Code == "55P03", pe.Code == "57014", pe.Code == "25006", pe.Code == "55006",
		class == "53", class == "08", class == "57", class == "58", class == "XX", class == "40":
		code = fault.DestTransient // also 25006: the server turned read-only, as after a failover
	case pe.Code == "42501":
		code = fault.DestForbidden
	case pe.Code == "42P01", pe.Code == "3F000":
		code = fault.DestObjectMissing
	case pe.Code == "42703":
		code = fault.DestFieldMissing
	case pe.Code == "42P10":
		code = fault.DestKeyUnusable
	case class == "42", class == "0A", class == "3D", class == "55", class == "2F", class == "38", class == "39", class == "0L", class == "0P", class == "25":
		code = fault.DestConfig
	case isRowError(pe):
		code = fault.DestRowRefused
	}
	f := fault.New(code, "%s: %s", doing, d.Scrub(words(pe)))
	f.Cause = err
	if pe.Code == "42501" {
		f.Fix = grantFix(pe.Message, d.User, "SELECT, INSERT, UPDATE, DELETE")
	}
	return f
}

// isRowError reports a refusal that lies in the data: data exceptions, constraints, cardinality, program limits (an index row too
// large), what a trigger raised, and a view's check option.
func isRowError(pe *pgconn.PgError) bool {
	switch pe.Code[:min(2, len(pe.Code))] {
	case "21", "22", "23", "27", "44", "54", "P0", "09":
		return true
	}
	return false
}

var deniedPattern = regexp.MustCompile(`permission denied for (table|relation|schema|sequence|database|function|column) "?([^"]+?)"?(?: of relation .*)?$`)

// grantFix names the missing right as SQL where the server's words tell the thing.
func grantFix(message, user, onTable string) string {
	m := deniedPattern.FindStringSubmatch(message)
	if m == nil {
		if strings.Contains(message, "temporary tables") {
			return fmt.Sprintf("Grant the right: GRANT TEMPORARY ON DATABASE ... TO %s;", ident(user))
		}
		return fmt.Sprintf("Grant the right the server names to %s.", ident(user))
	}
	rights := map[string]string{"schema": "USAGE", "sequence": "USAGE", "database": "CONNECT, TEMPORARY", "function": "EXECUTE"}[m[1]]
	if rights == "" {
		rights, m[1] = onTable, "table"
	}
	return fmt.Sprintf("Grant the right: GRANT %s ON %s %s TO %s;", rights, strings.ToUpper(m[1]), ident(m[2]), ident(user))
}
