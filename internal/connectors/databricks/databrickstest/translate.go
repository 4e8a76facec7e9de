package databrickstest

import (
	"strings"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// lex is how Databricks writes SQL: names in backticks, texts in either kind of quotes, backslashes escape
// (https://docs.databricks.com/aws/en/sql/language-manual/data-types/string-type), parameters by name.
var lex = warehousetest.Lex{Quote: '`', Backslash: true, TextQuote: `'"`, Comments: []string{"--"}, Params: ":"}

// translate puts a statement of Databricks into DuckDB's words. kind says what a statement that gives no rows does, "" for a query.
// A parameter that is not given, and one that is not used, is an error
// (https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-parameter-marker).
func translate(sql string, params map[string]string, catalog string) (out, kind string, err error) {
	tokens, err := lex.Split(strings.TrimRight(strings.TrimSpace(sql), "; \n\t"))
	if err != nil {
		return "", "", said("[PARSE_SYNTAX_ERROR] " + err.Error() + ". SQLSTATE: 42601")
	}
	for _, t := range tokens {
		if t.Is(";") {
			return "", "", said("[PARSE_SYNTAX_ERROR] Syntax error at or near ';': extra input ';'. SQLSTATE: 42601")
		}
	}
	kind = kindOf(tokens)
	if kind == "DESCRIBE SCHEMA" {
		return describeSchema(tokens, catalog)
	}
	t := &translator{params: params, catalog: catalog, create: strings.HasPrefix(kind, "CREATE TABLE")}
	out, err = t.all(tokens)
	return out, kind, err
}

// kindOf is what a statement does, by its first words.
func kindOf(tokens []warehousetest.Token) string {
	word := func(i int) (string, int) {
		i = warehousetest.Next(tokens, i)
		if i == len(tokens) {
			return "", i
		}
		return tokens[i].Value, i + 1
	}
	first, next := word(0)
	second, _ := word(next)
	switch first {
	case "INSERT", "UPDATE", "DELETE", "MERGE":
		return first
	case "CREATE", "DROP", "DESCRIBE", "ALTER":
		kind := first + " " + second
		if kind == "CREATE TABLE" {
			for _, t := range tokens {
				if t.Is("SELECT") {
					return kind
				}
			}
			return "CREATE TABLE ONLY" // answers nothing
		}
		return kind
	}
	return ""
}

// describeSchema fails where there is no such schema.
func describeSchema(tokens []warehousetest.Token, catalog string) (out, kind string, err error) {
	last := tokens[len(tokens)-1]
	name := last.Value
	if last.Kind == warehousetest.Word {
		name = strings.ToLower(last.Text)
	}
	return "SELECT CASE WHEN COUNT(*) > 0 THEN 'there' ELSE error('Schema with name " + name + " does not exist!') END AS info FROM system.information_schema.schemata WHERE catalog_name = " +
		warehousetest.Literal(catalog) + " AND schema_name = " + warehousetest.Literal(name), "", nil
}

type translator struct {
	params  map[string]string
	catalog string
	create  bool
}

// all translates tokens from left to right.
func (t *translator) all(tokens []warehousetest.Token) (string, error) {
	var b strings.Builder
	for i := 0; i < len(tokens); {
		text, behind, err := t.one(tokens, i)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		i = behind
	}
	return b.String(), nil
}

// one translates what stands at i and gives the place behind it.
func (t *translator) one(tokens []warehousetest.Token, i int) (string, int, error) {
	token := tokens[i]
	if named := token.Kind == warehousetest.Word || token.Kind == warehousetest.Quoted; named && i+2 < len(tokens) &&
		tokens[i+1].Is(".") && strings.EqualFold(tokens[i+2].Value, "information_schema") {
		return t.informationSchema(tokens, i+2, strings.ToLower(token.Value))
	}
	switch token.Kind {
	case warehousetest.Quoted:
		if strings.EqualFold(token.Value, "information_schema") {
			return t.word(tokens, i)
		}
		return warehousetest.Ident(token.Value), i + 1, nil
	case warehousetest.String:
		return warehousetest.Literal(token.Value), i + 1, nil
	case warehousetest.Param:
		v, ok := t.params[token.Value]
		if !ok {
			return "", i, said("[UNBOUND_SQL_PARAMETER] Found the unbound parameter: " + token.Value + ". Please, fix `args` and provide a mapping of the parameter. SQLSTATE: 42P02")
		}
		return v, i + 1, nil
	case warehousetest.Number:
		return number(tokens, i)
	case warehousetest.Word:
		return t.word(tokens, i)
	case warehousetest.Punct:
		if token.Is("[") && i > 0 && tokens[i-1].Kind != warehousetest.Space { // an element of an array, counted from 0
			end := i
			for end < len(tokens) && !tokens[end].Is("]") {
				end++
			}
			inner, err := t.all(tokens[i+1 : min(end, len(tokens))])
			return "[1 + (" + inner + ")]", min(end+1, len(tokens)), err
		}
	case warehousetest.Space:
	}
	return token.Text, i + 1, nil
}

// number translates a number's suffix: 1L, 1.5BD, 1F
// (https://docs.databricks.com/aws/en/sql/language-manual/data-types/bigint-type and others).
func number(tokens []warehousetest.Token, i int) (string, int, error) {
	if i+1 < len(tokens) && tokens[i+1].Kind == warehousetest.Word {
		if as, ok := map[string]string{"Y": "TINYINT", "S": "SMALLINT", "L": "BIGINT", "F": "FLOAT", "D": "DOUBLE", "BD": ""}[tokens[i+1].Value]; ok {
			if as == "" {
				return tokens[i].Text, i + 2, nil
			}
			return "CAST(" + tokens[i].Text + " AS " + as + ")", i + 2, nil
		}
	}
	return tokens[i].Text, i + 1, nil
}

// literal is a parameter's value as DuckDB's literal of its type.
func literal(typ string, value *string) string {
	duck := duckType(typ)
	switch {
	case value == nil:
		return "CAST(NULL AS " + duck + ")"
	case duck == "VARCHAR":
		return "CAST(" + warehousetest.Literal(*value) + " AS VARCHAR)"
	}
	return "CAST(" + warehousetest.Literal(*value) + " AS " + duck + ")"
}

// duckType is DuckDB's name of a type.
func duckType(typ string) string {
	switch upper := strings.ToUpper(strings.TrimSpace(typ)); upper {
	case "", "STRING":
		return "VARCHAR"
	case "TIMESTAMP":
		return "TIMESTAMPTZ"
	case "TIMESTAMP_NTZ":
		return "TIMESTAMP"
	case "BINARY":
		return "BLOB"
	case "BYTE":
		return "TINYINT"
	case "SHORT":
		return "SMALLINT"
	case "LONG":
		return "BIGINT"
	case "VARIANT":
		return "JSON"
	default:
		return upper
	}
}
