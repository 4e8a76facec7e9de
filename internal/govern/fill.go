package govern

import (
	"regexp"
	"strings"
)

// modelName is what {{ model }} becomes where the model is a query: the name of a common table expression put in front of the
// test's own query, so that it can be given an alias, joined with itself, or named before a column, as any table can.
const modelName = "upwell_model"

var placeholder = regexp.MustCompile(`\{\{\s*model\s*\}\}`)

// fillModel puts name in place of {{ model }} and, when the query uses it, says in front what it is: a query in parentheses, or ""
// for a name the source knows.
func fillModel(query, name, definition string) string {
	filled := placeholder.ReplaceAllLiteralString(query, name)
	filled = strings.TrimRight(strings.TrimSpace(filled), "; \n\t")
	if definition == "" || !placeholder.MatchString(query) {
		return filled
	}
	cte := name + " AS " + definition
	start, word := firstWord(filled, 0)
	if !strings.EqualFold(word, "WITH") {
		return "WITH " + cte + "\n" + filled
	}
	// The query has common table expressions of its own: the model goes before them, since they may read it.
	end := start + len(word)
	if next, word := firstWord(filled, end); strings.EqualFold(word, "RECURSIVE") {
		end = next + len(word)
	}
	return filled[:end] + " " + cte + "," + filled[end:]
}

// firstWord finds the first word at or after from, past blanks and comments.
func firstWord(s string, from int) (at int, word string) {
	i := from
	for i < len(s) {
		switch {
		case strings.IndexByte(" \t\r\n", s[i]) >= 0:
			i++
		case strings.HasPrefix(s[i:], "--"):
			i += lengthUntil(s[i:], "\n")
		case strings.HasPrefix(s[i:], "/*"):
			i += lengthUntil(s[i:], "*/")
		default:
			end := i
			for end < len(s) && (s[end]|0x20 >= 'a' && s[end]|0x20 <= 'z') {
				end++
			}
			return i, s[i:end]
		}
	}
	return i, ""
}

func lengthUntil(s, end string) int {
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}
