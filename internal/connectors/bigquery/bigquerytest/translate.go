package bigquerytest

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// lex is GoogleSQL's writing. https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical
var lex = warehousetest.Lex{Quote: '`', TextQuote: `'"`, Backslash: true, Escaped: true, Comments: []string{"--", "#"}, Params: "?"}

// types are GoogleSQL's names of the engine's types, in statements that write them in capitals.
var types = map[string]string{
	"STRING": "VARCHAR", "INT64": "BIGINT", "FLOAT64": "DOUBLE", "BYTES": "BLOB", "BOOL": "BOOLEAN", "NUMERIC": "DECIMAL(38,9)",
	"BIGNUMERIC": "BIGNUMERIC", "DATETIME": "TIMESTAMP", "TIMESTAMP": "TIMESTAMPTZ", "DATE": "DATE", "TIME": "TIME", "JSON": "JSON", "GEOGRAPHY": "GEOGRAPHY",
}

// functions are those that the engine has under another name, or as a macro of ours.
var functions = map[string]string{
	"JSON_VALUE": "bq_json_value", "JSON_QUERY_ARRAY": "bq_json_rows", "TO_JSON_STRING": "bq_json_text", "COLLATE": "bq_collate",
	"GENERATE_ARRAY": "generate_series", "SAFE_CAST": "TRY_CAST",
}

// translated is a statement for the engine.
type translated struct {
	sql   string
	kind  string   // statement type as BigQuery calls it
	names []string // of tables, perhaps: what stands behind FROM and JOIN
}

// translator goes through the tokens of a statement.
type translator struct {
	in     []warehousetest.Token
	out    strings.Builder
	params []string
	bound  int
	names  []string
}

// translate writes a statement of BigQuery's for the engine, parameters as literals.
func translate(sql string, params []parameter) (*translated, error) {
	tokens, err := lex.Split(strings.TrimRight(strings.TrimSpace(sql), "; \n\t"))
	if err != nil {
		return nil, invalid("Syntax error: %s", err)
	}
	t := &translator{in: tokens}
	for _, p := range params {
		literal, err := p.literal()
		if err != nil {
			return nil, err
		}
		t.params = append(t.params, literal)
	}
	first := warehousetest.Next(tokens, 0)
	if first == len(tokens) {
		return nil, invalid("Syntax error: Unexpected end of script")
	}
	kind := tokens[first].Value
	switch kind {
	case "WITH", "SELECT":
		kind = "SELECT"
	case "UPDATE", "DELETE":
		if !t.has("WHERE") { // https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax
			return nil, invalid("%s must have a WHERE clause", kind)
		}
	case "BEGIN", "COMMIT":
		return nil, invalid("Transaction control statements are supported only in scripts or sessions")
	}
	if err := t.span(0, len(tokens)); err != nil {
		return nil, err
	}
	if t.bound != len(t.params) {
		return nil, invalid("Number of query parameters (%d) is not what the statement needs (%d)", len(t.params), t.bound)
	}
	return &translated{sql: t.out.String(), kind: kind, names: t.names}, nil
}

func (t *translator) has(word string) bool {
	for _, one := range t.in {
		if one.Is(word) {
			return true
		}
	}
	return false
}

// at gives the token at i, or an empty one.
func (t *translator) at(i int) warehousetest.Token {
	if i < len(t.in) {
		return t.in[i]
	}
	return warehousetest.Token{}
}

func (t *translator) next(i int) int { return warehousetest.Next(t.in, i) }

// span writes the tokens of [i, end).
func (t *translator) span(i, end int) error {
	for i < end {
		n, err := t.one(i)
		if err != nil {
			return err
		}
		i = n
	}
	return nil
}

// one writes what begins at i and gives where it ends.
func (t *translator) one(i int) (int, error) {
	tok := t.in[i]
	switch tok.Kind {
	case warehousetest.Quoted:
		return t.name(i), nil
	case warehousetest.String:
		t.out.WriteString(warehousetest.Literal(tok.Value))
	case warehousetest.Number:
		if strings.ContainsAny(tok.Text, ".eE") { // https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical#floating_point_literals
			t.out.WriteString("CAST(" + tok.Text + " AS DOUBLE)")
		} else {
			t.out.WriteString(tok.Text)
		}
	case warehousetest.Param:
		if t.bound++; t.bound > len(t.params) {
			return 0, invalid("Query parameter number %d is not bound", t.bound)
		}
		t.out.WriteString(t.params[t.bound-1])
	case warehousetest.Word:
		return t.word(i)
	case warehousetest.Space, warehousetest.Punct:
		if strings.HasPrefix(tok.Text, "#") || strings.HasPrefix(tok.Text, "--") {
			t.out.WriteString("\n")
		} else {
			t.out.WriteString(tok.Text)
		}
	}
	return i + 1, nil
}

// name writes a quoted name: `p.d.t` is a path, and the project is not the engine's.
func (t *translator) name(i int) int {
	parts := strings.Split(t.in[i].Value, ".")
	if parts[0] == Project && len(parts) > 1 {
		parts = parts[1:]
	}
	if len(parts) == 1 && parts[0] == Project && t.at(i+1).Is(".") {
		return i + 2
	}
	for k, p := range parts {
		if k > 0 {
			t.out.WriteString(".")
		}
		t.out.WriteString(warehousetest.Ident(p))
	}
	return i + 1
}

func (t *translator) word(i int) (int, error) {
	tok, n := t.in[i], t.next(i+1)
	call := t.at(n).Is("(")
	switch {
	case (tok.Text == "b" || tok.Text == "B") && t.at(i+1).Kind == warehousetest.String:
		fmt.Fprintf(&t.out, "from_base64('%s')", base64.StdEncoding.EncodeToString(plainBytes(t.in[i+1].Value)))
		return i + 2, nil
	case tok.Text == "RANGE" && t.at(n).Is("<"):
		return t.rangeLiteral(n)
	case tok.Value == "ARRAY" && t.at(n).Is("<"):
		return t.array(n)
	case tok.Value == "STRUCT" && call:
		return t.structure(n)
	case tok.Value == "UNNEST" && call:
		return t.unnest(n)
	case tok.Value == "OPTIONS" && call:
		return warehousetest.Closing(t.in, n) + 1, nil
	case tok.Value == "CLUSTER" && t.at(n).Is("BY"):
		for i < len(t.in) && !t.in[i].Is("AS") {
			i++
		}
		return i, nil
	case (tok.Value == "UNION" || tok.Value == "INTERSECT" || tok.Value == "EXCEPT" && !call) && !t.at(n).Is("ALL") && !t.at(n).Is("DISTINCT"):
		// https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#set_operators
		return 0, invalid("Syntax error: Expected keyword ALL or keyword DISTINCT but got %s", t.at(n).Text)
	case tok.Value == "EXCEPT" && call:
		t.out.WriteString("EXCLUDE")
		return i + 1, nil
	case tok.Value == "FROM" || tok.Value == "JOIN" || tok.Value == "INTO":
		t.note(n)
	case types[tok.Text] != "" && t.at(n).Kind == warehousetest.String:
		t.out.WriteString("CAST(" + warehousetest.Literal(t.in[n].Value) + " AS " + types[tok.Text] + ")")
		return n + 1, nil
	case types[tok.Text] != "" && (!call || tok.Text == "NUMERIC" || tok.Text == "BIGNUMERIC"):
		return t.typeName(i, n, call)
	case call && functions[tok.Value] != "":
		t.out.WriteString(functions[tok.Value])
		return i + 1, nil
	}
	t.out.WriteString(tok.Text)
	return i + 1, nil
}

func (t *translator) typeName(i, n int, digits bool) (int, error) {
	name := t.in[i].Text
	if !digits {
		t.out.WriteString(types[name])
		return i + 1, nil
	}
	t.out.WriteString(types[name])
	return warehousetest.Closing(t.in, n) + 1, nil
}

// note remembers what stands behind FROM.
func (t *translator) note(i int) {
	if t.at(t.next(i + 1)).Is("(") {
		return // a function
	}
	var path []string
	for ; t.at(i).Kind == warehousetest.Quoted || t.at(i).Kind == warehousetest.Word; i += 2 {
		text := t.in[i].Value
		if t.in[i].Kind == warehousetest.Word {
			text = t.in[i].Text
		}
		path = append(path, strings.Split(text, ".")...)
		if !t.at(i + 1).Is(".") {
			break
		}
	}
	if len(path) > 0 && path[0] == Project {
		path = path[1:]
	}
	if len(path) == 0 || len(path) == 1 && strings.HasPrefix(path[0], "upwell_") {
		return
	}
	for k, p := range path {
		path[k] = warehousetest.Ident(p)
	}
	t.names = append(t.names, strings.Join(path, "."))
}

// plainBytes gives the bytes of a bytes literal, whose escapes are bytes and not characters.
func plainBytes(s string) []byte {
	var out []byte
	for _, r := range s {
		out = append(out, byte(r))
	}
	return out
}

// rangeLiteral writes RANGE<DATE> '[a, b)'.
func (t *translator) rangeLiteral(open int) (int, error) {
	for i := open; i < len(t.in); i++ {
		if t.in[i].Kind == warehousetest.String {
			t.out.WriteString("CAST(" + warehousetest.Literal(t.in[i].Value) + " AS RANGE_DATE)")
			return i + 1, nil
		}
	}
	return 0, invalid("Syntax error: RANGE without a value")
}

// array writes ARRAY<T>[…] as a list of T.
func (t *translator) array(open int) (int, error) {
	i := t.next(open + 1)
	inner := types[t.at(i).Value]
	i = t.next(i + 1)
	if inner == "" || !t.at(i).Is(">") {
		return 0, invalid("the stand-in knows arrays of plain types only")
	}
	if i = t.next(i + 1); !t.at(i).Is("[") {
		t.out.WriteString(inner + "[]")
		return i, nil
	}
	end := i
	for depth := 0; end < len(t.in); end++ {
		if t.in[end].Is("[") {
			depth++
		}
		if t.in[end].Is("]") {
			if depth--; depth == 0 {
				break
			}
		}
	}
	t.out.WriteString("CAST(")
	if err := t.span(i, min(end+1, len(t.in))); err != nil {
		return 0, err
	}
	t.out.WriteString(" AS " + inner + "[])")
	return end + 1, nil
}

// structure writes STRUCT(x AS a, …) as the engine's struct_pack(a := x, …).
func (t *translator) structure(open int) (int, error) {
	end := warehousetest.Closing(t.in, open)
	t.out.WriteString("struct_pack(")
	for i, k := open+1, 0; i < end; k++ {
		stop, depth, as := i, 0, -1
		for ; stop < end && (depth > 0 || !t.in[stop].Is(",")); stop++ {
			switch {
			case t.in[stop].Is("("), t.in[stop].Is("["):
				depth++
			case t.in[stop].Is(")"), t.in[stop].Is("]"):
				depth--
			case depth == 0 && t.in[stop].Is("AS"):
				as = stop
			}
		}
		if as < 0 {
			return 0, invalid("the stand-in knows structs with named fields only")
		}
		if k > 0 {
			t.out.WriteString(", ")
		}
		name := t.in[t.next(as+1)]
		text := name.Text
		if name.Kind == warehousetest.Quoted {
			text = name.Value
		}
		t.out.WriteString(warehousetest.Ident(text) + " := ")
		if err := t.span(i, as); err != nil {
			return 0, err
		}
		i = stop + 1
	}
	t.out.WriteString(")")
	return end + 1, nil
}

// unnest writes UNNEST(list) AS x, where x is the value of a row, as the engine's unnest(list) AS t(x); a generated array is not
// made at all. https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unnest_operator
func (t *translator) unnest(open int) (int, error) {
	end := warehousetest.Closing(t.in, open)
	from, to := open+1, end
	if first := t.next(open + 1); t.at(first).Is("GENERATE_ARRAY") {
		t.out.WriteString("generate_series(")
		from, to = t.next(first+1)+1, warehousetest.Closing(t.in, t.next(first+1))
	} else {
		t.out.WriteString("unnest(")
	}
	if err := t.span(from, to); err != nil {
		return 0, err
	}
	t.out.WriteString(")")
	i := t.next(end + 1)
	if !t.at(i).Is("AS") {
		return end + 1, nil
	}
	i = t.next(i + 1)
	name := t.at(i).Text
	if t.at(i).Kind == warehousetest.Quoted {
		name = t.at(i).Value
	}
	t.out.WriteString(" AS " + warehousetest.Ident("rows of "+name) + "(" + warehousetest.Ident(name) + ")")
	return i + 1, nil
}

// parameter is a query parameter; the vendor's type cannot tell a null from an empty text.
// https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/QueryParameter
type parameter struct {
	Type struct {
		Type string `json:"type"`
	} `json:"parameterType"`
	Value struct {
		Value *string `json:"value"`
	} `json:"parameterValue"`
}

// literal writes a parameter's value.
func (p *parameter) literal() (string, error) {
	typ := types[p.Type.Type]
	switch {
	case typ == "":
		return "", invalid("the stand-in does not know parameters of type %q", p.Type.Type)
	case p.Value.Value == nil:
		return "CAST(NULL AS " + typ + ")", nil
	case p.Type.Type == "BYTES":
		return "from_base64(" + warehousetest.Literal(*p.Value.Value) + ")", nil
	}
	return "CAST(" + warehousetest.Literal(*p.Value.Value) + " AS " + typ + ")", nil
}
