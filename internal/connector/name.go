package connector

import "strings"

// SplitName takes a name of a project apart at its dots; parts in quotes are taken as they are, a doubled quote in them for one.
func SplitName(name string, quote byte) []string {
	var parts []string
	var b strings.Builder
	quoted := false
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == quote && quoted && i+1 < len(name) && name[i+1] == quote:
			b.WriteByte(quote)
			i++
		case c == quote && (quoted || b.Len() == 0):
			quoted = !quoted
		case c == '.' && !quoted:
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	return append(parts, b.String())
}
