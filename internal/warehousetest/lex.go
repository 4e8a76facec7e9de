package warehousetest

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind says what a token is.
type Kind int

// The kinds of tokens.
const (
	Space  Kind = iota // white space and comments
	Word               // a keyword, a function, an identifier without quotes
	Quoted             // an identifier in quotes
	String             // a text literal
	Number             // a number literal
	Param              // a placeholder: ?, :name, @name, $1
	Punct              // one character of anything else; ::, =>, <>, <=, >=, !=, || and -> are one token
)

// Token is one piece of a statement.
type Token struct {
	Kind  Kind
	Text  string // as written
	Value string // Quoted and String: what it stands for; Param: its name; Word: in upper case
}

// Is reports whether the token is this word, whatever its case, or this punctuation.
func (t Token) Is(text string) bool {
	return t.Kind == Word && strings.EqualFold(t.Text, text) || t.Kind == Punct && t.Text == text
}

// Lex is how a vendor writes SQL.
type Lex struct {
	Quote     byte     // around identifiers; doubled inside
	Escaped   bool     // in identifiers a backslash escapes, as Backslash says of texts
	Backslash bool     // \n, \', \\, \x41 and \u00e9 in texts
	TextQuote string   // around texts: "'" or `'"`
	Dollar    bool     // $$text$$
	Comments  []string // to the end of the line: "--", "//", "#"; /* */ always is one
	Params    string   // first characters of placeholders: "?", "?:", "@", "$"
}

// Split cuts a statement into tokens; their texts joined give the statement back.
func (l Lex) Split(sql string) ([]Token, error) {
	var out []Token
	for rest := sql; rest != ""; {
		t, err := l.next(rest)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		rest = rest[len(t.Text):]
	}
	return out, nil
}

// Join gives the tokens' texts as one.
func Join(tokens []Token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.Text)
	}
	return b.String()
}

// Next gives the place of the first token at or after i that is not Space; len(tokens) when there is none.
func Next(tokens []Token, i int) int {
	for i < len(tokens) && tokens[i].Kind == Space {
		i++
	}
	return i
}

// Closing gives the place of the parenthesis that closes the one at open; len(tokens) when it is missing.
func Closing(tokens []Token, open int) int {
	depth := 0
	for i := open; i < len(tokens); i++ {
		switch {
		case tokens[i].Is("("):
			depth++
		case tokens[i].Is(")"):
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(tokens)
}

func (l Lex) next(s string) (Token, error) {
	if n := l.space(s); n > 0 {
		return Token{Kind: Space, Text: s[:n]}, nil
	}
	c := s[0]
	switch {
	case c == l.Quote:
		return quoted(Quoted, s, l.Escaped)
	case strings.IndexByte(l.TextQuote, c) >= 0:
		return quoted(String, s, l.Backslash)
	case l.Dollar && strings.HasPrefix(s, "$$"):
		end := strings.Index(s[2:], "$$")
		if end < 0 {
			return Token{}, fmt.Errorf("a text that begins with $$ does not end")
		}
		return Token{Kind: String, Text: s[:end+4], Value: s[2 : end+2]}, nil
	case c >= '0' && c <= '9' || c == '.' && len(s) > 1 && s[1] >= '0' && s[1] <= '9':
		return Token{Kind: Number, Text: s[:number(s)]}, nil
	case strings.IndexByte(l.Params, c) >= 0:
		n := 0
		if c != '?' {
			n = word("_"+s[1:]) - 1 // a name may be a number
		}
		if n > 0 || c == '?' {
			return Token{Kind: Param, Text: s[:n+1], Value: s[1 : n+1]}, nil
		}
	}
	if n := word(s); n > 0 {
		return Token{Kind: Word, Text: s[:n], Value: strings.ToUpper(s[:n])}, nil
	}
	for _, two := range []string{"::", "=>", "<>", "<=", ">=", "!=", "||", "->"} {
		if strings.HasPrefix(s, two) {
			return Token{Kind: Punct, Text: two}, nil
		}
	}
	_, n := utf8.DecodeRuneInString(s)
	return Token{Kind: Punct, Text: s[:n]}, nil
}

// space gives the length of the white space or comment s begins with.
func (l Lex) space(s string) int {
	if n := len(s) - len(strings.TrimLeftFunc(s, unicode.IsSpace)); n > 0 {
		return n
	}
	for _, c := range l.Comments {
		if strings.HasPrefix(s, c) {
			if end := strings.IndexByte(s, '\n'); end >= 0 {
				return end + 1
			}
			return len(s)
		}
	}
	if strings.HasPrefix(s, "/*") {
		if end := strings.Index(s[2:], "*/"); end >= 0 {
			return end + 4
		}
		return len(s)
	}
	return 0
}

// word gives the length of the word s begins with: letters and _, from its second character on also digits and $.
func word(s string) int {
	for i, r := range s {
		if !(r == '_' || unicode.IsLetter(r) || i > 0 && (r == '$' || unicode.IsDigit(r))) {
			return i
		}
	}
	return len(s)
}

func number(s string) int {
	i := 0
	for i < len(s) {
		c := s[i]
		sign := (c == '+' || c == '-') && i > 0 && (s[i-1] == 'e' || s[i-1] == 'E')
		exp := (c == 'e' || c == 'E') && i+1 < len(s) && (s[i+1] >= '0' && s[i+1] <= '9' || s[i+1] == '+' || s[i+1] == '-')
		if !(c >= '0' && c <= '9' || c == '.' || sign || exp) {
			break
		}
		i++
	}
	return i
}

// quoted reads what stands between quotes; a doubled quote is one.
func quoted(k Kind, s string, backslash bool) (Token, error) {
	q := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == q && i+1 < len(s) && s[i+1] == q:
			b.WriteByte(q)
			i++
		case s[i] == q:
			return Token{Kind: k, Text: s[:i+1], Value: b.String()}, nil
		case s[i] == '\\' && backslash && i+1 < len(s):
			n := escape(&b, s[i+1:])
			i += n
		default:
			b.WriteByte(s[i])
		}
	}
	return Token{}, fmt.Errorf("what begins with %.20s does not end", s)
}

// escape writes what stands behind a backslash and gives its length.
func escape(b *strings.Builder, s string) int {
	simple := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', '0': 0}
	if c, ok := simple[s[0]]; ok {
		b.WriteByte(c)
		return 1
	}
	digits := map[byte]int{'x': 2, 'u': 4}[s[0]]
	if digits > 0 && len(s) > digits {
		var r rune
		if n, err := fmt.Sscanf(s[1:1+digits], "%x", &r); err == nil && n == 1 {
			b.WriteRune(r)
			return 1 + digits
		}
	}
	b.WriteByte(s[0])
	return 1
}
