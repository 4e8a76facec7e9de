package snowflaketest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// lex is how Snowflake writes SQL (https://docs.snowflake.com/en/sql-reference/data-types-text#string-constants).
var lex = warehousetest.Lex{Quote: '"', TextQuote: "'", Backslash: true, Dollar: true, Comments: []string{"--", "//"}, Params: "?"}

// setup makes DuckDB know functions of Snowflake's, and the two places every server begins with.
var setup = []string{
	"ATTACH ':memory:' AS " + Database, "CREATE SCHEMA " + Database + "." + Schema,
	"CREATE MACRO iff(a, b, c) AS CASE WHEN a THEN b ELSE c END",
	"CREATE MACRO nvl(a, b) AS coalesce(a, b)",
	"CREATE MACRO nvl2(a, b, c) AS CASE WHEN a IS NOT NULL THEN b ELSE c END",
	"CREATE MACRO zeroifnull(a) AS coalesce(a, 0)",
	"CREATE MACRO nullifzero(a) AS nullif(a, 0)",
	"CREATE MACRO div0(a, b) AS CASE WHEN b = 0 THEN 0 ELSE a / b END",
	"CREATE MACRO sha2_binary(a, n) AS unhex(sha256(CAST(a AS VARCHAR)))",
	"CREATE MACRO sha2(a, n) AS sha256(CAST(a AS VARCHAR))",
	"CREATE MACRO parse_json(a) AS CAST(a AS JSON)",
	"CREATE MACRO to_variant(a) AS to_json(a)",
	"CREATE MACRO sf_to_json(a) AS CAST(to_json(a) AS VARCHAR)",
	"CREATE MACRO to_double(a) AS CAST(a AS DOUBLE)",
	"CREATE MACRO to_boolean(a) AS CAST(a AS BOOLEAN)",
	"CREATE MACRO to_date(a) AS CAST(a AS DATE)",
	"CREATE MACRO to_time(a) AS CAST(a AS TIME)",
	"CREATE MACRO to_timestamp_ntz(a) AS CAST(a AS TIMESTAMP)",
	"CREATE MACRO to_timestamp_ltz(a) AS CAST(a AS TIMESTAMPTZ)",
	"CREATE MACRO to_timestamp_tz(a) AS CAST(CAST(CAST(a AS TIMESTAMPTZ) AS VARCHAR) AS UNION(timestamp_tz VARCHAR))",
	"CREATE MACRO to_geography(a) AS CAST(a AS UNION(geography VARCHAR))",
	"CREATE MACRO to_varchar(a) AS CAST(a AS VARCHAR), (a, f) AS strftime(a, f)",
	"CREATE MACRO to_char(a) AS CAST(a AS VARCHAR), (a, f) AS strftime(a, f)",
	"CREATE MACRO to_number(a) AS CAST(a AS DECIMAL(38, 0)), (a, p, s) AS CAST(a AS DECIMAL(38, 10))",
	"CREATE MACRO charindex(a, b) AS strpos(b, a)",
	"CREATE MACRO startswith(a, b) AS starts_with(a, b)",
	"CREATE MACRO booland_agg(a) AS bool_and(a)",
	"CREATE MACRO boolor_agg(a) AS bool_or(a)",
	"CREATE MACRO sysdate() AS CAST(now() AS TIMESTAMP)",
}

// place makes a schema the one where unqualified names are looked up; the macros above stay in sight.
func place(database, schema string) string {
	return "SET search_path = " + warehousetest.Literal(warehousetest.Ident(database)+"."+warehousetest.Ident(schema)+",memory.main")
}

// statements cuts tokens at semicolons and drops empty ones.
func statements(tokens []warehousetest.Token) [][]warehousetest.Token {
	var out [][]warehousetest.Token
	var one []warehousetest.Token
	flush := func() {
		if warehousetest.Next(one, 0) < len(one) {
			out = append(out, one)
		}
		one = nil
	}
	for _, t := range tokens {
		if t.Is(";") {
			flush()
			continue
		}
		one = append(one, t)
	}
	flush()
	return out
}

// encodeName makes DuckDB, which takes names without regard to case, keep Snowflake's: a name with small letters carries a mark
// of where they are, so that "account_id" and ACCOUNT_ID are two.
func encodeName(name string) string {
	upper := strings.ToUpper(name)
	if upper == name {
		return name
	}
	var mask strings.Builder
	u := []rune(upper)
	for i, r := range []rune(name) {
		if i < len(u) && u[i] == r {
			mask.WriteByte('0')
		} else {
			mask.WriteByte('1')
		}
	}
	return name + mark + mask.String()
}

const mark = "\u2060~"

// decodeNames takes the marks off again, in a name or in a message full of them.
func decodeNames(s string) string {
	for {
		at := strings.Index(s, mark)
		if at < 0 {
			return s
		}
		end := at + len(mark)
		for end < len(s) && (s[end] == '0' || s[end] == '1') {
			end++
		}
		s = s[:at] + s[end:]
	}
}

// translator writes one statement anew.
type translator struct {
	in    []warehousetest.Token
	out   strings.Builder
	binds map[string]binding
	bound int
	self  *session
	known map[string]phrase
}

// translate gives a statement of Snowflake's as one of DuckDB's.
func translate(stmt []warehousetest.Token, binds map[string]binding, self *session) (string, error) {
	t := &translator{in: stmt, binds: binds, self: self, known: phrases()}
	if err := t.span(0, len(stmt)); err != nil {
		return "", err
	}
	return t.out.String(), nil
}

// span translates the tokens from i to end.
func (t *translator) span(i, end int) error {
	for i < end {
		next, err := t.one(i)
		if err != nil {
			return err
		}
		i = next
	}
	return nil
}

// text translates some tokens into a text of their own.
func (t *translator) text(i, end int) (string, error) {
	outer := t.out
	t.out = strings.Builder{}
	err := t.span(i, end)
	text := strings.TrimSpace(t.out.String())
	t.out = outer
	return text, err
}

func (t *translator) at(i int) warehousetest.Token {
	if i < len(t.in) {
		return t.in[i]
	}
	return warehousetest.Token{}
}

func (t *translator) next(i int) int { return warehousetest.Next(t.in, i) }

// one translates the token at i, or what begins there, and gives the place behind it.
func (t *translator) one(i int) (int, error) {
	tok := t.in[i]
	switch tok.Kind {
	case warehousetest.Space:
		t.out.WriteString(" ")
		if strings.Contains(tok.Text, "\n") {
			t.out.WriteString("\n")
		}
	case warehousetest.Quoted:
		t.out.WriteString(warehousetest.Ident(encodeName(tok.Value)))
	case warehousetest.String:
		t.out.WriteString(warehousetest.Literal(tok.Value))
	case warehousetest.Param:
		return i + 1, t.bind()
	case warehousetest.Word:
		return t.word(i)
	case warehousetest.Number, warehousetest.Punct:
		t.out.WriteString(tok.Text)
	}
	return i + 1, nil
}

// bind writes the next bound value as a literal.
func (t *translator) bind() error {
	t.bound++
	b, ok := t.binds[strconv.Itoa(t.bound)]
	if !ok {
		return &refusal{code: "002049", state: "42601", message: "SQL compilation error: error line 1 at position 0\nBind variable ? not set."}
	}
	text, ok := b.Value.(string)
	if !ok {
		t.out.WriteString("NULL")
		return nil
	}
	cast := map[string]string{"FIXED": "DECIMAL(38, 0)", "REAL": "DOUBLE", "BOOLEAN": "BOOLEAN", "TEXT": ""}
	typ, known := cast[b.Type]
	switch {
	case !known:
		return fmt.Errorf("a bound value of type %s is not known", b.Type)
	case typ == "":
		t.out.WriteString(warehousetest.Literal(text))
	default:
		t.out.WriteString("CAST(" + warehousetest.Literal(text) + " AS " + typ + ")")
	}
	return nil
}

// word translates a keyword, name, type or function.
func (t *translator) word(i int) (int, error) {
	tok := t.in[i]
	if rewrite, ok := t.known[tok.Value]; ok {
		if next, done, err := rewrite(t, i); done || err != nil {
			return next, err
		}
	}
	if t.isType(i) {
		if next, ok := t.typ(i); ok {
			return next, nil
		}
	}
	t.out.WriteString(strings.ToUpper(tok.Text))
	return i + 1, nil
}

// args gives the places of the arguments of the call at i, and the place behind it; ok is false when it is no call.
func (t *translator) args(i int) (spans [][2]int, behind int, ok bool) {
	open := t.next(i + 1)
	if !t.at(open).Is("(") {
		return nil, i, false
	}
	end := warehousetest.Closing(t.in, open)
	if end >= len(t.in) {
		return nil, i, false
	}
	from, depth := open+1, 0
	for k := open + 1; k <= end; k++ {
		switch {
		case t.in[k].Is("("):
			depth++
		case k == end, depth == 0 && t.in[k].Is(","):
			if k < end || len(spans) > 0 || t.next(from) < end {
				spans = append(spans, [2]int{from, k})
			}
			from = k + 1
		case t.in[k].Is(")"):
			depth--
		}
	}
	return spans, end + 1, true
}

// qualified reads a name of up to three parts at i, in DuckDB's spelling with dots between.
func qualified(tokens []warehousetest.Token, i int) (string, int) {
	var parts []string
	for i < len(tokens) {
		switch tok := tokens[i]; tok.Kind {
		case warehousetest.Word:
			parts = append(parts, tok.Value)
		case warehousetest.Quoted:
			parts = append(parts, encodeName(tok.Value))
		default:
			return "", i
		}
		i++
		if i >= len(tokens) || !tokens[i].Is(".") {
			break
		}
		i++
	}
	return strings.Join(parts, "."), i
}
