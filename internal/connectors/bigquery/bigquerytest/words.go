package bigquerytest

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

var (
	noTable  = regexp.MustCompile(`Table with name "?([^"\s!]+)"? does not exist`)
	noSchema = regexp.MustCompile(`[Ss]chema with name "?([^"\s!]+)"? does not exist`)
	noColumn = regexp.MustCompile(`Referenced column "([^"]+)" not found|does not have a column named "([^"]+)"`)
)

// worded says in BigQuery's words what the engine refused in its own.
// https://docs.cloud.google.com/bigquery/docs/error-messages
func worded(err error, sql string) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	words := err.Error()
	if m := noSchema.FindStringSubmatch(words); m != nil {
		return missing("Dataset", m[1])
	}
	if m := noTable.FindStringSubmatch(words); m != nil {
		return missing("Table", m[1])
	}
	if m := noColumn.FindStringSubmatch(words); m != nil {
		return invalid("Unrecognized name: %s at %s", m[1]+m[2], position(sql, m[1]+m[2]))
	}
	words, _, _ = strings.Cut(words, "\n")
	return &problem{http.StatusBadRequest, "invalidQuery", words}
}

// position is [line:column] of a word.
func position(sql, word string) string {
	at := max(strings.Index(sql, word), 0)
	before := sql[:at]
	return fmt.Sprintf("[%d:%d]", strings.Count(before, "\n")+1, at-strings.LastIndexByte(before, '\n'))
}
