package project

import (
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
)

// writing are statements that are no query. A model is read, never executed for its effect.
var writing = []string{
	"insert", "update", "delete", "merge", "drop", "create", "alter", "truncate", "grant", "revoke", "replace", "copy", "call",
	"attach", "detach", "vacuum", "begin", "commit", "use", "load", "install", "set", "exec", "execute", "do",
}

// query checks that text is one statement that reads. at gives the place of an offset in the text.
func (l *loader) query(text, what, sourceType string, at func(offset int) fault.Where) {
	s := scanSQL(text, sourceType)
	switch {
	case s.first == "":
		l.fail(fault.ProjectValue, at(0), "reading %s: the SQL holds no statement", what).WithFix("write a query")
	case s.second >= 0:
		l.fail(fault.ProjectValue, at(s.second), "reading %s: a second statement follows a `;`", what).WithFix("write one statement; join steps with `with`")
	}
	for _, w := range writing {
		if strings.EqualFold(s.first, w) {
			l.fail(fault.ProjectValue, at(s.firstAt), "reading %s: %s is not a query", what, tick(s.first)).WithFix("write a statement that returns rows")
		}
	}
}

// sqlScan is what a look over SQL text finds, quotes and comments respected.
type sqlScan struct {
	first     string // first word or sign
	firstAt   int
	semicolon int // offset of the first ; or -1
	second    int // offset of what stands after the first ; or -1
}

// scanSQL looks over SQL. The source's type decides on backslashes in quotes and on # comments.
func scanSQL(s, sourceType string) sqlScan {
	backslash := sourceType == "mysql" || sourceType == "bigquery" || sourceType == "databricks" || sourceType == "snowflake"
	hash := sourceType == "mysql" || sourceType == "bigquery"
	out := sqlScan{semicolon: -1, second: -1}
	for i := 0; i < len(s); {
		rest := s[i:]
		end := 0
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case strings.HasPrefix(rest, "--") || hash && c == '#':
			i += lineEnd(rest)
			continue
		case strings.HasPrefix(rest, "/*"):
			i += commentEnd(rest)
			continue
		case c == ';':
			if out.semicolon < 0 {
				out.semicolon = i
			}
			i++
			continue
		case c == '\'' || c == '"' || c == '`':
			escapes := c != '`' && (backslash || c == '\'' && i > 0 && (s[i-1] == 'E' || s[i-1] == 'e') && !wordBefore(s, i-1))
			end = quoteEnd(rest, c, escapes)
		case c == '$':
			end = dollarEnd(rest, i > 0 && wordByte(s[i-1]))
		case wordByte(c):
			for end < len(rest) && wordByte(rest[end]) {
				end++
			}
		default:
			end = 1
		}
		if out.first == "" {
			out.first, out.firstAt = rest[:end], i
		}
		if out.semicolon >= 0 && out.second < 0 {
			out.second = i
		}
		i += end
	}
	return out
}

func wordByte(c byte) bool {
	return c == '_' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func wordBefore(s string, i int) bool { return i > 0 && wordByte(s[i-1]) }

func lineEnd(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i + 1
	}
	return len(s)
}

// commentEnd finds the end of a block comment; they nest in PostgreSQL and DuckDB, and a comment that opens another is rare
// where they do not.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); {
		switch s[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return len(s)
}

func quoteEnd(s string, quote byte, escapes bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] != quote:
		case i+1 < len(s) && s[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return len(s)
}

// dollarEnd finds the end of PostgreSQL's $tag$ text $tag$; any other dollar is one sign.
func dollarEnd(s string, inWord bool) int {
	i := 1
	for i < len(s) && wordByte(s[i]) && (i > 1 || s[i] < '0' || s[i] > '9') {
		i++
	}
	if inWord || i >= len(s) || s[i] != '$' {
		return 1
	}
	tag := s[:i+1]
	if end := strings.Index(s[i+1:], tag); end >= 0 {
		return i + 1 + end + len(tag)
	}
	return len(s)
}

// condition checks a SQL condition: not empty, and nothing that ends the statement around it.
func (l *loader) condition(n *node, what, sourceType string) string {
	text, ok := l.raw(n, what)
	if !ok {
		return ""
	}
	s := scanSQL(text, sourceType)
	at := func(offset int) fault.Where { return n.within(lineColumn(text, offset)) }
	switch {
	case s.first == "":
		l.fail(fault.ProjectValue, at(0), "reading %s: the SQL holds no condition", what).WithFix("write a condition, or leave the key out")
	case s.semicolon >= 0:
		l.fail(fault.ProjectValue, at(s.semicolon), "reading %s: `;` cannot stand in a condition", what).WithFix("write what would stand after WHERE")
	case strings.EqualFold(s.first, "where"):
		l.fail(fault.ProjectValue, at(s.firstAt), "reading %s: the condition begins with `where`", what).WithFix("leave the word out")
	}
	return text
}
