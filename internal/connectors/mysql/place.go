package mysql

import (
	"context"
	"database/sql/driver"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// wrongText: what the statement says is wrong, whatever the data: a syntax error (1064), or a name the server does not know or
// cannot tell from another (https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html).
var wrongText = []uint16{1064, 1054, 1052, 1146, 1305, 1630, 1049}

// own gives the error that the model's own text has, which the server may have been given wrapped; nil when the text by itself is
// sound.
func (s *source) own(ctx context.Context, c driver.Conn, q connector.Query, err error) error {
	me, ok := serverError(err)
	p, can := c.(driver.ConnPrepareContext)
	if !ok || !can || q.SQL == "" || !slices.Contains(wrongText, me.Number) {
		return nil
	}
	st, own := p.PrepareContext(ctx, ownText(q))
	if own == nil {
		_ = st.Close() //nolint:errcheck // the connection is closed next
	}
	return own
}

// ownText is the model's statement as it is sent.
func ownText(q connector.Query) string {
	text, _ := connector.Query{SQL: q.SQL}.Render(dialect)
	return text
}

// queryFault is readFault for a query that was refused: of a wrapped model it tells the error of the user's text, and where in it.
func (s *source) queryFault(ctx context.Context, c driver.Conn, q connector.Query, err error) error {
	own := s.own(ctx, c, q, err)
	if me, ok := serverError(own); ok {
		f := fault.As(s.readFault(ctx, own, "running the query"))
		f.Line, f.Column = placeOf(q, me)
		return f
	}
	return s.readFault(ctx, err, "running the query")
}

var (
	nearLine = regexp.MustCompile(`(?s) near '(.*)' at line (\d+)$`)
	unknown  = regexp.MustCompile(`^(?:Unknown column|Column|Table|FUNCTION|Unknown database) '?([^' ]+)'?`)
)

// placeOf gives line and column, from 1, in the model's SQL; 0 where the message does not tell. Of a syntax error it tells the line and
// the text from there on; of a name it does not know, the name, which has a place when the text has it once.
func placeOf(q connector.Query, me *mysql.MySQLError) (line, column int) {
	text := ownText(q)
	if m := nearLine.FindStringSubmatch(me.Message); m != nil {
		n, err := strconv.Atoi(m[2])
		lines := strings.SplitAfter(text, "\n")
		if err != nil || n < 1 || n > len(lines) {
			return 0, 0
		}
		begin := len(strings.Join(lines[:n-1], ""))
		near, _, _ := strings.Cut(m[1], "\n")
		at := strings.Index(lines[n-1], near)
		sure := near != "" && at >= 0 && at == strings.LastIndex(lines[n-1], near)
		if whole := strings.TrimSuffix(lines[n-1], "\n"); !sure && near != "" && strings.HasSuffix(whole, near) {
			at, sure = len(whole)-len(near), true
		}
		if sure {
			return placeAt(q, text, begin+at)
		}
		line, _ = placeAt(q, text, begin)
		return line, 0
	}
	if m := unknown.FindStringSubmatch(me.Message); m != nil {
		name := m[1][strings.LastIndexByte(m[1], '.')+1:]
		found := regexp.MustCompile(`(?i)\b`+regexp.QuoteMeta(name)+`\b`).FindAllStringIndex(text, 2)
		if len(found) == 1 {
			return placeAt(q, text, found[0][0])
		}
	}
	return 0, 0
}

func placeAt(q connector.Query, text string, offset int) (line, column int) {
	return q.Position(text, utf8.RuneCountInString(text[:offset]))
}
