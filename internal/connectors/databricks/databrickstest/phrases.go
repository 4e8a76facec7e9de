package databrickstest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// word translates what begins with a word; most words are the same in DuckDB. The pages are below
// https://docs.databricks.com/aws/en/sql/language-manual/.
func (t *translator) word(tokens []warehousetest.Token, i int) (string, int, error) {
	name := strings.ToUpper(tokens[i].Value)
	next := warehousetest.Next(tokens, i+1)
	at := func(j int) warehousetest.Token {
		if j < len(tokens) {
			return tokens[j]
		}
		return warehousetest.Token{}
	}
	if dotted := i > 0 && tokens[i-1].Is("."); dotted && name != "INFORMATION_SCHEMA" {
		return tokens[i].Text, i + 1, nil // a column
	}
	switch name {
	case "TBLPROPERTIES": // sql-ref-syntax-ddl-tblproperties
		return "", warehousetest.Closing(tokens, next) + 1, nil
	case "USING": // sql-ref-syntax-ddl-create-table-using
		if at(next).Is("DELTA") {
			return "", next + 1, nil
		}
	case "CLUSTER": // sql-ref-syntax-ddl-cluster-by
		if t.create && at(next).Is("BY") {
			return "", warehousetest.Closing(tokens, warehousetest.Next(tokens, next+1)) + 1, nil
		}
	case "X": // data-types/binary-type
		if at(i+1).Kind == warehousetest.String {
			return "unhex(" + warehousetest.Literal(at(i+1).Value) + ")", i + 2, nil
		}
	case "TIMESTAMP", "TIMESTAMP_NTZ": // data-types/timestamp-type
		if at(next).Kind == warehousetest.String {
			return "CAST(" + warehousetest.Literal(at(next).Value) + " AS " + duckType(name) + ")", next + 1, nil
		}
		if t.create {
			return duckType(name), i + 1, nil
		}
	case "STRING", "BINARY", "LONG", "VARIANT":
		if t.create {
			return duckType(name), i + 1, nil
		}
	case "INTERVAL":
		if at(next).Kind == warehousetest.String {
			return interval(tokens, next)
		}
	case "INFORMATION_SCHEMA":
		return t.informationSchema(tokens, i, t.catalog)
	}
	if at(next).Is("(") {
		return t.call(tokens, i, next)
	}
	return tokens[i].Text, i + 1, nil
}

// tables is the view that tells which tables are there.
const tables = "system.information_schema.tables "

// informationSchema narrows information_schema.X to a catalog: Databricks has one per catalog (sql-ref-information-schema).
func (t *translator) informationSchema(tokens []warehousetest.Token, i int, catalog string) (string, int, error) {
	if i+2 >= len(tokens) || !tokens[i+1].Is(".") {
		return tokens[i].Text, i + 1, nil
	}
	view := strings.ToLower(tokens[i+2].Value)
	return fmt.Sprintf("(SELECT * FROM system.information_schema.%s WHERE %s = %s)", view,
		map[bool]string{true: "catalog_name", false: "table_catalog"}[view == "schemata"], warehousetest.Literal(catalog)), i + 3, nil
}

// call translates a function's call.
func (t *translator) call(tokens []warehousetest.Token, i, open int) (string, int, error) {
	end := warehousetest.Closing(tokens, open)
	behind := min(end+1, len(tokens))
	name := strings.ToUpper(tokens[i].Value)
	if name == "CAST" {
		text, err := t.cast(tokens[open+1 : min(end, len(tokens))])
		return text, behind, err
	}
	shape, known := functions[name]
	if !known {
		return tokens[i].Text, i + 1, nil
	}
	var args []string
	for _, span := range spans(tokens[open+1 : min(end, len(tokens))]) {
		text, err := t.all(span)
		if err != nil {
			return "", behind, err
		}
		args = append(args, strings.TrimSpace(text))
	}
	text := shape(args)
	if text == "" {
		return "", behind, said(fmt.Sprintf("[WRONG_NUM_ARGS.WITHOUT_SUGGESTION] The `%s` cannot take %d arguments. SQLSTATE: 42605", strings.ToLower(name), len(args)))
	}
	return text, behind, nil
}

// functions are those DuckDB calls otherwise. A shape gives "" for a number of arguments it does not take.
var functions = map[string]func(args []string) string{
	"EXPLODE":      one("UNNEST(%s)"),
	"FROM_JSON":    first("CAST(CAST(%s AS JSON) AS VARCHAR[][])"), // functions/from_json, for the one schema the ledger has
	"TO_JSON":      first("CAST(to_json(%s) AS VARCHAR)"),          // functions/to_json; DuckDB keeps null fields
	"PARSE_JSON":   one("CAST(%s AS JSON)"),
	"BASE64":       one("base64(%s)"),
	"UNIX_MICROS":  one("epoch_us(%s)"),
	"ARRAY":        func(args []string) string { return "[" + strings.Join(args, ", ") + "]" },
	"NAMED_STRUCT": pairs("{", ": ", "}"),
	"MAP":          pairs("MAP {", ": ", "}"),
	"RANGE":        numbers,
	"RAISE_ERROR":  one("error(%s)"),
}

func one(format string) func([]string) string {
	return func(args []string) string {
		if len(args) != 1 {
			return ""
		}
		return fmt.Sprintf(format, args[0])
	}
}

// first drops what follows the first argument.
func first(format string) func([]string) string {
	return func(args []string) string {
		if len(args) == 0 {
			return ""
		}
		return fmt.Sprintf(format, args[0])
	}
}

func pairs(begin, between, end string) func([]string) string {
	return func(args []string) string {
		var out []string
		for i := 0; i+1 < len(args); i += 2 {
			out = append(out, args[i]+between+args[i+1])
		}
		if len(args)%2 != 0 {
			return ""
		}
		return begin + strings.Join(out, ", ") + end
	}
}

// numbers is the table function range, whose column is called id (functions/range).
func numbers(args []string) string {
	if len(args) == 0 || len(args) > 3 {
		return ""
	}
	return "(SELECT range AS id FROM range(" + strings.Join(args, ", ") + "))"
}

// cast translates CAST(x AS type). Text becomes bytes as it is encoded (functions/cast).
func (t *translator) cast(tokens []warehousetest.Token) (string, error) {
	as, depth := -1, 0
	for i, token := range tokens {
		switch {
		case token.Is("("):
			depth++
		case token.Is(")"):
			depth--
		case depth == 0 && token.Is("AS"):
			as = i
		}
	}
	if as < 0 {
		return "", said("[PARSE_SYNTAX_ERROR] Syntax error at or near ')'. SQLSTATE: 42601")
	}
	x, err := t.all(tokens[:as])
	if err != nil {
		return "", err
	}
	x = strings.TrimSpace(x)
	typ := warehousetest.Join(tokens[as+1:])
	if duck := duckType(typ); duck != "BLOB" {
		return "CAST(" + x + " AS " + duck + ")", nil
	}
	return "encode(CAST(" + x + " AS VARCHAR))", nil
}

// spans cuts arguments at their commas.
func spans(tokens []warehousetest.Token) [][]warehousetest.Token {
	var out [][]warehousetest.Token
	depth, from := 0, 0
	for i, t := range tokens {
		switch {
		case t.Is("("), t.Is("["):
			depth++
		case t.Is(")"), t.Is("]"):
			depth--
		case depth == 0 && t.Is(","):
			out = append(out, tokens[from:i])
			from = i + 1
		}
	}
	if warehousetest.Next(tokens, 0) < len(tokens) {
		out = append(out, tokens[from:])
	}
	return out
}

// interval translates INTERVAL '1-2' YEAR TO MONTH and INTERVAL '3 04:05:06.7' DAY TO SECOND (data-types/interval-type). They are
// numbers of months and microseconds inside types that Databricks does not have, and so can be told from others.
func interval(tokens []warehousetest.Token, at int) (string, int, error) {
	text := tokens[at].Value
	unit := warehousetest.Next(tokens, at+1)
	to := warehousetest.Next(tokens, unit+1)
	last := warehousetest.Next(tokens, to+1)
	if last >= len(tokens) || !tokens[to].Is("TO") {
		return "", at, said("[STAND_IN_ERROR] the stand-in knows intervals YEAR TO MONTH and DAY TO SECOND only")
	}
	sign := int64(1)
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		text, sign = rest, -1
	}
	if tokens[unit].Is("YEAR") {
		var years, months int64
		if _, err := fmt.Sscanf(text, "%d-%d", &years, &months); err != nil {
			return "", at, said("[INVALID_INTERVAL_FORMAT] " + text + ". SQLSTATE: 22006")
		}
		return "CAST(make_timestamp(" + strconv.FormatInt(sign*(years*12+months)*1e6, 10) + ") AS TIMESTAMP_S)", last + 1, nil
	}
	var days, hours, minutes int64
	var seconds string
	if _, err := fmt.Sscanf(text, "%d %d:%d:%s", &days, &hours, &minutes, &seconds); err != nil {
		return "", at, said("[INVALID_INTERVAL_FORMAT] " + text + ". SQLSTATE: 22006")
	}
	d, err := time.ParseDuration(seconds + "s")
	if err != nil {
		return "", at, said("[INVALID_INTERVAL_FORMAT] " + text + ". SQLSTATE: 22006")
	}
	micros := ((days*24+hours)*60+minutes)*60_000_000 + d.Microseconds()
	return "make_timestamp_ns(" + strconv.FormatInt(sign*micros, 10) + ")", last + 1, nil
}
