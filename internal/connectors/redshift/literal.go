package redshift

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// maxText is the longest VARCHAR, in bytes: https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html
const maxText = 65535

// literal writes a value into a statement. It stands for the same text whether the server takes a backslash in quotes for an escape,
// as Redshift does and PostgreSQL did until 9.1, or for itself: a text that holds one is written with another character in its
// place, which the server replaces by CHR(92). Texts have no type of their own until the server compares them with something, as bound
// parameters have.
func literal(v row.Value) (string, error) {
	text := pgwire.Param(v, "")
	switch {
	case text == nil:
		return "NULL", nil
	case len(text) > maxText:
		return "", tooLong(len(text))
	case strings.IndexByte(string(text), 0) >= 0:
		return "", fault.New(fault.SourceValue, "a text with a NUL character, which Redshift cannot hold").WithFix("Remove it in the model.")
	}
	if v.Kind() == row.Bytes {
		return fmt.Sprintf("FROM_HEX('%s')", text), nil
	}
	s := strings.ReplaceAll(string(text), "'", "''")
	if !strings.ContainsRune(s, '\\') {
		return "'" + s + "'", nil
	}
	for c := rune(1); c < ' '; c++ {
		if !strings.ContainsRune(s, c) {
			return "REPLACE('" + strings.ReplaceAll(s, `\`, string(c)) + "', CHR(" + strconv.Itoa(int(c)) + "), CHR(92))", nil
		}
	}
	return "('" + strings.ReplaceAll(s, `\`, "' || CHR(92) || '") + "')", nil
}

// tooLong refuses a value rather than have it cut.
func tooLong(n int) error {
	return fault.New(fault.SourceValue, "a value of %d bytes is longer than the %d that a VARCHAR of Redshift holds", n, maxText).
		WithFix("With diff: warehouse: map fewer or shorter fields, or use diff: local.")
}

// splice writes values in place of $1, $2… wherever these stand outside of quotes and comments. A statement without values is left
// as it is.
func splice(sql string, values []row.Value) (string, error) {
	if len(values) == 0 {
		return sql, nil
	}
	var b strings.Builder
	for rest := sql; rest != ""; {
		n, param := token(rest)
		if i := param - 1; i >= 0 && i < len(values) {
			text, err := literal(values[i])
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		} else {
			b.WriteString(rest[:n])
		}
		rest = rest[n:]
	}
	return b.String(), nil
}

// token measures the next piece of a statement: something in quotes, a comment, a placeholder and its number, or what lies between.
func token(s string) (n, param int) {
	switch {
	case s[0] == '\'':
		return quoted(s, true), 0
	case s[0] == '"':
		return quoted(s, false), 0
	case strings.HasPrefix(s, "--"):
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			return i + 1, 0
		}
		return len(s), 0
	case strings.HasPrefix(s, "/*"):
		return comment(s), 0
	case s[0] == '$':
		n = 1
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		param, err := strconv.Atoi(s[1:n])
		if err != nil {
			param = 0
		}
		return n, param
	}
	if i := strings.IndexAny(s[1:], `'"-/$`); i >= 0 {
		return i + 1, 0
	}
	return len(s), 0
}

func quoted(s string, backslash bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case backslash && s[i] == '\\':
			i++
		case s[i] == s[0]:
			return i + 1
		}
	}
	return len(s)
}

func comment(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			if i++; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}
