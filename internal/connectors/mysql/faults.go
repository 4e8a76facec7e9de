package mysql

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/upwelldata/upwell/internal/fault"
)

// Server error numbers: https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html and
// https://mariadb.com/kb/en/mariadb-error-code-reference/.

// isLogin: the account, its password or its host was refused.
func isLogin(n uint16) bool {
	switch n {
	case 1045, 1044, 1130, 1251, 1275, 1524, 1698, 1820, 1862, 2054, 3118, 3159, 4151:
		return true
	}
	return false
}

// isPassing: the same statement may go through later.
func isPassing(n uint16) bool {
	switch n {
	case 1205, 1213, 1614, // lock wait, deadlock
		1040, 1041, 1203, 1226, // too many connections, or a limit of the account
		1021, 1037, 1038, 1114, // no space, no memory
		1053, 1079, 1080, 1077, // shutting down
		1158, 1159, 1160, 1161, 1184, // the network
		1290, 1792, 1836, // read only, as during a failover
		1317, 1969, 3024, 1927, 1907, // interrupted, or killed by a time limit
		1020, 1412, 1689, 2006, 2013: // changed meanwhile, metadata lock, connection gone
		return true
	}
	return false
}

// isRow: the statement was refused for a value in one of its rows.
func isRow(me *mysql.MySQLError) bool {
	switch me.Number {
	case 1264, 1265, 1292, 1364, 1366, 1367, 1369, 1406, 1411, 1416, 1525, 1526, 1586, 1644, 1690, 1748, 1761, 1762, 3140, 3819, 3854, 4025, 1300, 1048, 1062, 1216, 1217, 1451, 1452, 1557:
		return true
	}
	switch state := string(me.SQLState[:]); {
	case strings.HasPrefix(state, "22"), strings.HasPrefix(state, "23"), strings.HasPrefix(state, "44"), strings.HasPrefix(state, "45"):
		return true
	}
	return false
}

// connectFault turns a failed connection of a source into a fault.
func (d *dialer) connectFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "connecting to mysql at %s", d.address())
	}
	if me, ok := serverError(err); ok {
		code := fault.SourceUnreachable
		if isLogin(me.Number) {
			code = fault.SourceAuth
		}
		return d.say(code, err, "mysql at %s refused the connection: %s", d.address(), d.scrub(words(me)))
	}
	if why, fix, ok := noMethod(err); ok {
		return d.say(fault.SourceAuth, err, "mysql at %s: %s", d.address(), why).WithFix("%s", fix)
	}
	if why, fix, ok := distrust(err); ok {
		return d.say(fault.SourceUnreachable, err, "mysql at %s is not trusted: %s", d.address(), d.scrub(why)).WithFix("%s", fix)
	}
	return d.say(fault.SourceUnreachable, err, "connecting to mysql at %s: %s", d.address(), d.scrub(err.Error()))
}

// readFault turns an error of a source's statement into a fault. A connection that ends before the answer's end marker makes the
// read incomplete, whatever was received.
func (d *dialer) readFault(ctx context.Context, err error, doing string) error {
	var own *fault.Error
	if errors.As(err, &own) {
		return own
	}
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "%s", doing)
	}
	me, ok := serverError(err)
	if !ok {
		return d.say(fault.SourceIncomplete, err, "%s: the connection to mysql at %s ended before the answer did: %s", doing, d.address(), d.scrub(err.Error()))
	}
	f := d.say(fault.SourceQueryFailed, err, "%s: %s", doing, d.scrub(words(me)))
	switch me.Number {
	case 1142, 1143, 1227, 1370:
		return f.WithFix("Grant the right: GRANT SELECT ON %s TO the user of the source.", "the tables the model reads")
	case 1792:
		return f.WithFix("A model only reads; it must not call a function or statement that writes.")
	case 1046:
		return f.WithFix("Set `database` on the source, or write database.table in the model.")
	}
	return f
}

func (d *dialer) say(code fault.Code, cause error, format string, args ...any) *fault.Error {
	f := fault.New(code, format, args...)
	f.Cause = redacted{cause}
	return f
}

// redacted keeps a cause for errors.Is and hides its text.
type redacted struct{ err error }

func (r redacted) Error() string { return "[redacted]" }
func (r redacted) Unwrap() error { return r.err }

// destFault classifies what a destination's call answered. Everything happens in one transaction, so only a COMMIT whose answer
// is missing may have landed: the caller says where it was with NotLanded.
func (d *dialer) destFault(ctx context.Context, err error, doing string) *fault.Error {
	var own *fault.Error
	if errors.As(err, &own) {
		return own
	}
	if ctx.Err() != nil {
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "%s", doing)
	}
	if why, fix, ok := noMethod(err); ok {
		return d.say(fault.DestAuth, err, "mysql at %s: %s", d.address(), why).WithFix("%s", fix)
	}
	if why, fix, ok := distrust(err); ok {
		return d.say(fault.DestTLS, err, "mysql at %s is not trusted: %s", d.address(), d.scrub(why)).WithFix("%s", fix)
	}
	me, ok := serverError(err)
	if !ok {
		code := fault.DestUnreachable
		if errors.Is(err, mysql.ErrPktTooLarge) {
			code = fault.DestConfig
		}
		why := d.scrub(err.Error())
		if errors.Is(err, io.EOF) || errors.Is(err, mysql.ErrInvalidConn) {
			why = "the connection ended"
		}
		return d.say(code, err, "%s: talking to mysql at %s: %s", doing, d.address(), why)
	}
	code := fault.Internal
	switch n := me.Number; {
	case isLogin(n):
		code = fault.DestAuth
	case isPassing(n):
		code = fault.DestTransient
	case n == 1142 || n == 1143 || n == 1227 || n == 1370:
		code = fault.DestForbidden
	case n == 1146 || n == 1049:
		code = fault.DestObjectMissing
	case n == 1054:
		code = fault.DestFieldMissing
	case n == 1665:
		code = fault.DestConfig
	case isRow(me):
		code = fault.DestRefused
	}
	f := d.say(code, err, "%s: %s", doing, d.scrub(words(me)))
	switch {
	case code == fault.DestForbidden || me.Number == 1044:
		f = f.WithFix("Grant the rights: GRANT SELECT, INSERT, UPDATE, DELETE ON the table and CREATE TEMPORARY TABLES ON its database.")
	case me.Number == 1665:
		f = f.WithFix("Set binlog_format to ROW or MIXED: statements at READ COMMITTED cannot be logged otherwise.")
	}
	return f
}

var inColumn = regexp.MustCompile("(?:[Cc]olumn|[Ff]ield) (?:`[^`]*`\\.`[^`]*`\\.)?['`]([^'`]+)['`]")

// columnOf finds the column a message names.
func columnOf(message string) string {
	if m := inColumn.FindStringSubmatch(message); m != nil {
		name := m[1]
		return name[strings.LastIndexByte(name, '.')+1:]
	}
	return ""
}
