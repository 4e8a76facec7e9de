package salesforcetest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// soql is a parsed query: SELECT fields FROM object [WHERE condition] [LIMIT n], which is what reading back needs
// (https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select.htm).
type soql struct {
	fields []string
	object string
	where  *condition
	limit  int
}

// condition is a tree of and, or and comparisons.
type condition struct {
	op     string // "and", "or", "=", "!=", "in", "like"
	parts  []*condition
	field  string
	values []any // string, json.Number, bool, nil, bare (dates)
}

// bare is a literal without quotes: a date or a datetime.
type bare string

type parser struct {
	tokens []string
	at     int
}

var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'f': '\f', '"': '"', '\'': '\'', '\\': '\\'}

// scan splits a query into words, signs and texts; texts keep their opening quote as a mark and are unescaped
// (https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_quotedstringescapes.htm).
func scan(q string) ([]string, error) {
	var out []string
	for i := 0; i < len(q); {
		c := q[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '(' || c == ')' || c == ',' || c == '=':
			out, i = append(out, string(c)), i+1
		case c == '!' && strings.HasPrefix(q[i:], "!="):
			out, i = append(out, "!="), i+2
		case c == '\'':
			text, n, err := scanText(q[i:])
			if err != nil {
				return nil, err
			}
			out, i = append(out, "'"+text), i+n
		default:
			n := strings.IndexAny(q[i:], " \t\r\n(),=!'")
			if n == 0 {
				return nil, fmt.Errorf("unexpected token: '%c'", c)
			}
			if n < 0 {
				n = len(q) - i
			}
			out, i = append(out, q[i:i+n]), i+n
		}
	}
	return out, nil
}

func scanText(q string) (string, int, error) {
	var b strings.Builder
	for i := 1; i < len(q); i++ {
		switch c := q[i]; c {
		case '\'':
			return b.String(), i + 1, nil
		case '\\':
			i++
			if i == len(q) {
				break
			}
			e, ok := escapes[q[i]]
			if !ok {
				return "", 0, fmt.Errorf("Illegal string literal: Invalid string literal '\\%c'", q[i])
			}
			b.WriteByte(e)
		case '\n', '\r':
			return "", 0, fmt.Errorf("line breaks not allowed in string literals")
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("unterminated string literal")
}

func parseSOQL(q string) (*soql, error) {
	tokens, err := scan(q)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	out := &soql{limit: -1}
	if !p.word("select") {
		return nil, fmt.Errorf("unexpected token: '%s'", p.next())
	}
	for {
		out.fields = append(out.fields, p.next())
		if !p.word(",") {
			break
		}
	}
	if !p.word("from") {
		return nil, fmt.Errorf("unexpected token: '%s'", p.next())
	}
	out.object = p.next()
	if p.word("where") {
		if out.where, err = p.either(); err != nil {
			return nil, err
		}
	}
	if p.word("limit") {
		if out.limit, err = strconv.Atoi(p.next()); err != nil {
			return nil, fmt.Errorf("bad limit: %w", err)
		}
	}
	if p.at < len(p.tokens) {
		return nil, fmt.Errorf("unexpected token: '%s'", p.next())
	}
	return out, nil
}

func (p *parser) next() string {
	if p.at >= len(p.tokens) {
		return "<EOF>"
	}
	p.at++
	return p.tokens[p.at-1]
}

func (p *parser) word(w string) bool {
	if p.at < len(p.tokens) && strings.EqualFold(p.tokens[p.at], w) {
		p.at++
		return true
	}
	return false
}

func (p *parser) either() (*condition, error) { return p.chain("or", p.both) }
func (p *parser) both() (*condition, error)   { return p.chain("and", p.term) }

func (p *parser) chain(op string, part func() (*condition, error)) (*condition, error) {
	c, err := part()
	if err != nil {
		return nil, err
	}
	out := &condition{op: op, parts: []*condition{c}}
	for p.word(op) {
		if c, err = part(); err != nil {
			return nil, err
		}
		out.parts = append(out.parts, c)
	}
	if len(out.parts) == 1 {
		return out.parts[0], nil
	}
	return out, nil
}

func (p *parser) term() (*condition, error) {
	if p.word("(") {
		c, err := p.either()
		if err == nil && !p.word(")") {
			err = fmt.Errorf("expecting a right parentheses, found '%s'", p.next())
		}
		return c, err
	}
	c := &condition{field: p.next()}
	switch op := strings.ToLower(p.next()); op {
	case "=", "!=", "like":
		c.op = op
		v, err := p.literal()
		c.values = []any{v}
		return c, err
	case "in":
		c.op = op
		if !p.word("(") {
			return nil, fmt.Errorf("unexpected token: '%s'", p.next())
		}
		for {
			v, err := p.literal()
			if err != nil {
				return nil, err
			}
			c.values = append(c.values, v)
			if p.word(",") {
				continue
			}
			if p.word(")") {
				return c, nil
			}
			return nil, fmt.Errorf("unexpected token: '%s'", p.next())
		}
	default:
		return nil, fmt.Errorf("unexpected token: '%s'", op)
	}
}

func (p *parser) literal() (any, error) {
	switch t := p.next(); {
	case t[0] == '\'':
		return t[1:], nil
	case strings.EqualFold(t, "null"):
		return nil, nil
	case strings.EqualFold(t, "true"), strings.EqualFold(t, "false"):
		return strings.EqualFold(t, "true"), nil
	case dateForm.MatchString(t), isDatetime(t):
		return bare(t), nil
	case isNumber(t):
		return json.Number(t), nil
	default:
		return nil, fmt.Errorf("unexpected token: '%s'", t)
	}
}

// bind checks the fields and the kinds of literals of a condition: a text must be quoted and nothing else may be.
func (t *table) bind(c *condition) *apiError {
	for _, part := range c.parts {
		if bad := t.bind(part); bad != nil {
			return bad
		}
	}
	if c.field == "" {
		return nil
	}
	_, f, ok := t.field(c.field)
	if !ok {
		return noSuchColumn(t, c.field)
	}
	for _, v := range c.values {
		if _, ok := fullID(text(v)); !ok && v != nil && (f.Type == "id" || f.Type == "reference") {
			return fail(400, "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: %s", text(v))
		}
		fits := v == nil && c.op != "like"
		switch v.(type) {
		case string:
			fits = !f.numeric() && f.Type != "boolean" && f.Type != "date" && f.Type != "datetime"
		case json.Number:
			fits = f.numeric()
		case bool:
			fits = f.Type == "boolean"
		case bare:
			fits = f.Type == "date" || f.Type == "datetime"
		}
		if !fits {
			return fail(400, "INVALID_FIELD", "value of filter criterion for field '%s' must be of type %s and should not be enclosed in quotes", f.Name, f.Type)
		}
	}
	return nil
}

func (t *table) holds(c *condition, r *record) bool {
	switch c.op {
	case "and":
		for _, part := range c.parts {
			if !t.holds(part, r) {
				return false
			}
		}
		return true
	case "or":
		for _, part := range c.parts {
			if t.holds(part, r) {
				return true
			}
		}
		return false
	}
	i, f, _ := t.field(c.field)
	found := false
	for _, v := range c.values {
		if c.op == "like" {
			found = found || r.vals[i] != nil && like(text(r.vals[i]), text(v))
			continue
		}
		found = found || equal(f, r.vals[i], v)
	}
	return found == (c.op != "!=")
}

// like matches as SOQL's LIKE: without case, % is any text and _ any character
// (https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_comparisonoperators.htm).
func like(have, pattern string) bool {
	form := strings.NewReplacer("%", ".*", "_", ".").Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile("(?is)^" + form + "$").MatchString(have)
}

// equal compares as SOQL does: texts without case unless the field is case-sensitive, ids in either form
// (https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_comparisonoperators.htm).
func equal(f *Field, have, want any) bool {
	if have == nil || want == nil {
		return have == nil && want == nil
	}
	if b, ok := want.(bare); ok {
		want = string(b)
	}
	if f.Type == "id" || f.Type == "reference" {
		a, _ := fullID(text(have))
		b, _ := fullID(text(want))
		return a == b && a != ""
	}
	return fold(f, have) == fold(f, want)
}

// candidates narrows a condition by an index where one fits; nil = all records.
func (t *table) candidates(c *condition) ([]*record, bool) {
	switch c.op {
	case "and":
		for _, part := range c.parts {
			if list, ok := t.candidates(part); ok {
				return list, true
			}
		}
	case "=", "in":
		i, f, _ := t.field(c.field)
		if _, indexed := t.indexes[i]; !indexed && f.Type != "id" {
			return nil, false
		}
		var out []*record
		seen := map[*record]bool{}
		for _, v := range c.values {
			if v == nil {
				return nil, false
			}
			for _, r := range t.find(i, v) {
				if !seen[r] {
					seen[r] = true
					out = append(out, r)
				}
			}
		}
		return out, true
	}
	return nil, false
}
