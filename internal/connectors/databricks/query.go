package databricks

import (
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// render gives the statement of a query. A model that is sent as it is must be a query: a source is only read, and the API has no
// transaction that could be made so. Wrapped queries stand in parentheses, where nothing else may.
func render(q connector.Query) (string, []row.Value, error) {
	sql, params := q.Render(dialect)
	if !reads(sql) {
		return "", nil, fault.New(fault.SourceQueryFailed, "the model is no SELECT").WithFix("A model is one query; a source is only read.")
	}
	return sql, params, nil
}

// reads reports a statement that begins as a query does, and does not go on as one that writes: WITH … INSERT
// (https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-qry-select, sql-ref-syntax-dml-insert-into).
func reads(sql string) bool {
	first := true
	depth := 0
	for sql != "" {
		n := 1
		switch c := sql[0]; {
		case strings.HasPrefix(sql, "--"):
			n = ending(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			n = ending(sql, "*/")
		case c == '\'' || c == '"' || c == '`':
			n = quoted(sql)
		case c == '(':
			depth++
			first = false
		case c == ')':
			depth--
		case letter(c):
			n = 0
			for n < len(sql) && (letter(sql[n]) || sql[n] >= '0' && sql[n] <= '9') {
				n++
			}
			word := strings.ToUpper(sql[:n])
			if first && word != "SELECT" && word != "WITH" && word != "VALUES" && word != "TABLE" {
				return false
			}
			if depth == 0 && (word == "INSERT" || word == "UPDATE" || word == "DELETE" || word == "MERGE") {
				return false
			}
			first = false
		case c == ';':
			return strings.Trim(sql, "; \t\r\n") == ""
		}
		sql = sql[n:]
	}
	return !first
}

func letter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// ending gives the length up to the end of a comment.
func ending(sql, mark string) int {
	if i := strings.Index(sql[2:], mark); i >= 0 {
		return i + 2 + len(mark)
	}
	return len(sql)
}

// quoted gives the length of a text or name in quotes. A backslash escapes in texts, not in names.
func quoted(sql string) int {
	for i := 1; i < len(sql); i++ {
		switch {
		case sql[i] == '\\' && sql[0] != '`':
			i++
		case sql[i] == sql[0]:
			return i + 1
		}
	}
	return len(sql)
}
