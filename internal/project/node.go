package project

import (
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
)

// kind is what a YAML node is.
type kind uint8

const (
	isNull kind = iota
	isBool
	isInt
	isFloat
	isText
	isMap
	isList
)

// String names the kind in messages.
func (k kind) String() string {
	return [...]string{"nothing", "true or false", "a whole number", "a number", "text", "a mapping", "a list"}[k]
}

// node is one YAML value with its place. Aliases share nodes, so a node is never changed after the file is read.
type node struct {
	kind    kind
	text    string // scalars: as written, quotes and escapes undone
	quoted  bool   // text in quotes or a block
	literal bool   // a | block: its lines are lines of the file
	at      fault.Where
	body    fault.Where // where the first character of the text stands
	indent  int         // literal: blanks before every line
	pairs   []pair      // mapping, in file order, merges applied
	items   []*node
	secret  *node // what a hidden scalar hides from messages
	size    int   // nodes after expansion of aliases, saturating
}

// pair is one entry of a mapping.
type pair struct {
	key   string
	keyAt fault.Where
	value *node
}

// find gives the value of a key, nil when absent.
func (n *node) find(key string) *node {
	if n == nil {
		return nil
	}
	for _, p := range n.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

func (n *node) scalar() bool { return n.kind <= isText }

// show gives the offending text for a message: scalars cut to a readable length, collections by kind.
func (n *node) show() string {
	switch {
	case n.kind == isNull && n.text == "":
		return "nothing"
	case n.scalar():
		return tick(n.text)
	default:
		return n.kind.String()
	}
}

// shown gives a word read from the node, or from a list that is the node, for a message: a word that came out of a reference is
// shown as the reference.
func (n *node) shown(word string) string {
	for _, item := range append([]*node{n}, n.items...) {
		if item.scalar() && item.text == word {
			return tick(word)
		}
	}
	for _, item := range append([]*node{n}, n.items...) {
		if item.scalar() && strings.Contains(item.text, "${") {
			return tick(item.text)
		}
	}
	return "the name"
}

// tick quotes a word of the project file for a message.
func tick(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		s = string(r[:57]) + "..."
	}
	return "`" + strings.ReplaceAll(s, "`", "'") + "`"
}

// within gives the place of a position inside the node's text: line from 1, column from 0. Where the text is folded or
// wrapped the place of its start is the best there is.
func (n *node) within(line, column int) fault.Where {
	w := n.body
	switch {
	case n.literal:
		w.Line += line - 1
		w.Column = n.indent + column + 1
	case line == 1 && !strings.Contains(n.text, "\n"):
		w.Column += column
	}
	return w
}
