package snowflaketest

import (
	"regexp"
	"strings"
)

var (
	noTable   = regexp.MustCompile(`(?:Table|View|Schema|Catalog) (?:with name )?"?([^"\s!]+)"? does not exist|schema with name "?([^"\s!]+)"? |Catalog "([^"]+)" does not exist`)
	noColumn  = regexp.MustCompile(`Referenced (?:column|table) "([^"]+)" not found|does not have a column named "([^"]+)"|Column with name ([^\s]+) does not exist`)
	noValue   = regexp.MustCompile(`Could not convert string ['"]([^'"]*)['"]|invalid (?:timestamp|date|time) field format: "([^"]*)"`)
	badSyntax = regexp.MustCompile(`syntax error at or near "([^"]*)"`)
)

// inWords says a refusal of DuckDB's in Snowflake's words, with Snowflake's code and SQLSTATE.
func inWords(message string) *refusal {
	message, _, _ = strings.Cut(decodeNames(message), "\n\nLINE 1:") // it shows what DuckDB was given
	message = strings.TrimSpace(message)
	if m := noTable.FindStringSubmatch(message); m != nil && strings.HasPrefix(message, "Catalog Error") {
		bad := noObject(m[1] + m[2] + m[3])
		if strings.HasPrefix(message, "Catalog Error: Schema") {
			bad.message = strings.Replace(bad.message, "Object", "Schema", 1)
		}
		return bad
	}
	if m := noColumn.FindStringSubmatch(message); m != nil {
		return &refusal{code: "000904", state: "42000", message: "SQL compilation error: error line 1 at position 7\ninvalid identifier '" + m[1] + m[2] + m[3] + "'"}
	}
	if m := noValue.FindStringSubmatch(message); m != nil {
		return &refusal{code: "100038", state: "22018", message: "Numeric value '" + m[1] + m[2] + "' is not recognized"}
	}
	if m := badSyntax.FindStringSubmatch(message); m != nil {
		return syntax("unexpected '" + m[1] + "'")
	}
	if strings.HasPrefix(message, "Catalog Error: Scalar Function with name ") {
		name, _, _ := strings.Cut(strings.TrimPrefix(message, "Catalog Error: Scalar Function with name "), " ")
		return &refusal{code: "002140", state: "42601", message: "SQL compilation error:\nUnknown function " + strings.ToUpper(name)}
	}
	return &refusal{code: "001003", state: "42000", message: "SQL compilation error:\n" + message}
}

func noObject(name string) *refusal {
	return &refusal{code: "002003", state: "42S02", message: "SQL compilation error:\nObject '" + decodeNames(name) + "' does not exist or not authorized."}
}

func syntax(what string) *refusal {
	return &refusal{code: "001003", state: "42000", message: "SQL compilation error:\nsyntax error line 1 at position 0 " + what + "."}
}
