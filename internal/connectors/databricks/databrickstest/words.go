package databrickstest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	noTable  = regexp.MustCompile(`(?:Table|Schema) with name (\S+) does not exist`)
	noPlace  = regexp.MustCompile(`No catalog \+ schema named "([^".]+)\.([^"]+)"`)
	noColumn = regexp.MustCompile(`Referenced (?:column|table) "([^"]+)" not found`)
)

// words puts a refusal of DuckDB into the vendor's words: error class, text, SQLSTATE
// (https://docs.databricks.com/aws/en/error-messages/error-classes).
func words(err error) string {
	var own said
	if errors.As(err, &own) {
		return string(own)
	}
	text := err.Error()
	if m := noTable.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("[TABLE_OR_VIEW_NOT_FOUND] The table or view `%s` cannot be found. Verify the spelling and correctness of the schema and catalog. SQLSTATE: 42P01; line 1 pos 0", strings.Trim(m[1], `"!`))
	}
	if m := noColumn.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("[UNRESOLVED_COLUMN.WITHOUT_SUGGESTION] A column, variable, or function parameter with name `%s` cannot be resolved. SQLSTATE: 42703", m[1])
	}
	if m := noPlace.FindStringSubmatch(text); m != nil { // https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-ddl-use-catalog
		if m[1] != Catalog {
			return fmt.Sprintf("[NO_SUCH_CATALOG_EXCEPTION] Catalog '%s' was not found. Please verify the catalog name and then retry the query or command again. SQLSTATE: 42704", m[1])
		}
		return fmt.Sprintf("[SCHEMA_NOT_FOUND] The schema `%s`.`%s` cannot be found. Verify the spelling and correctness of the schema and catalog. SQLSTATE: 42704", m[1], m[2])
	}
	first, _, _ := strings.Cut(text, "\n")
	switch {
	case strings.HasPrefix(text, "Parser Error"):
		return "[PARSE_SYNTAX_ERROR] " + first + ". SQLSTATE: 42601"
	case strings.Contains(text, "onflict"):
		return "[DELTA_CONCURRENT_APPEND.WITHOUT_HINT] Transaction conflict detected. " + first + " SQLSTATE: 2D521"
	}
	return "[STAND_IN_ERROR] " + first
}

func sscan(decimal string, p, s any) (int, error) {
	return fmt.Sscanf(decimal, "DECIMAL(%d,%d)", p, s)
}

// intervalText is the literal of an interval, as CAST to STRING gives it
// (https://docs.databricks.com/aws/en/sql/language-manual/data-types/interval-type).
func intervalText(sql string, n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	if sql == "INTERVAL YEAR TO MONTH" {
		return fmt.Sprintf("INTERVAL '%s%d-%d' YEAR TO MONTH", sign, n/12, n%12)
	}
	seconds, micros := n/1e6, n%1e6
	text := fmt.Sprintf("%d %02d:%02d:%02d", seconds/86400, seconds%86400/3600, seconds%3600/60, seconds%60)
	if micros > 0 {
		text += strings.TrimRight(fmt.Sprintf(".%06d", micros), "0")
	}
	return fmt.Sprintf("INTERVAL '%s%s' DAY TO SECOND", sign, text)
}
