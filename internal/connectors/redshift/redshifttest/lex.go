package redshifttest

import "strings"

// piece is one token of a statement: its text, and what kind it is.
type piece struct {
	text string
	kind byte // 'w' word, 'q' quoted identifier, 's' text, 'n' number, ' ' blank or comment, 'p' punctuation
}

func (p piece) is(word string) bool {
	return (p.kind == 'w' || p.kind == 'p') && strings.EqualFold(p.text, word)
}

// split cuts SQL into pieces whose texts give it back. A backslash escapes in texts.
func split(sql string) []piece {
	var out []piece
	for rest := sql; rest != ""; {
		n, kind := measure(rest)
		out = append(out, piece{rest[:n], kind})
		rest = rest[n:]
	}
	return out
}

func join(list []piece) string {
	var b strings.Builder
	for _, p := range list {
		b.WriteString(p.text)
	}
	return b.String()
}

func measure(s string) (int, byte) {
	c := s[0]
	switch {
	case c == '\'' || c == '"':
		kind := byte('s')
		if c == '"' {
			kind = 'q'
		}
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\' && c == '\'':
				i++
			case s[i] == c && i+1 < len(s) && s[i+1] == c:
				i++
			case s[i] == c:
				return i + 1, kind
			}
		}
		return len(s), kind
	case strings.HasPrefix(s, "--"):
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			return i + 1, ' '
		}
		return len(s), ' '
	case strings.HasPrefix(s, "/*"):
		if i := strings.Index(s[2:], "*/"); i >= 0 {
			return i + 4, ' '
		}
		return len(s), ' '
	case blank(c):
		return span(s, blank), ' '
	case letter(c):
		return span(s, func(c byte) bool { return letter(c) || digit(c) || c == '$' }), 'w'
	case digit(c):
		return span(s, func(c byte) bool { return digit(c) || c == '.' }), 'n'
	case c == '$':
		return 1 + span(s[1:], digit), 'p'
	}
	for _, two := range []string{"->>", "->", "::", "||", "<>", "<=", ">=", "!="} {
		if strings.HasPrefix(s, two) {
			return len(two), 'p'
		}
	}
	return 1, 'p'
}

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
func digit(c byte) bool { return c >= '0' && c <= '9' }
func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// statements cuts pieces at semicolons.
func statements(list []piece) [][]piece {
	var out [][]piece
	start := 0
	for i, p := range list {
		if p.is(";") {
			out = append(out, list[start:i])
			start = i + 1
		}
	}
	return append(out, list[start:])
}

// bare gives the pieces that are not blank.
func bare(list []piece) []piece {
	var out []piece
	for _, p := range list {
		if p.kind != ' ' {
			out = append(out, p)
		}
	}
	return out
}

// follows reports whether the words stand from i on.
func follows(list []piece, i int, words ...string) bool {
	if len(list) < i+len(words) {
		return false
	}
	for k, w := range words {
		if !list[i+k].is(w) {
			return false
		}
	}
	return true
}
