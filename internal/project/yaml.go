package project

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/upwelldata/upwell/internal/fault"
)

// The limits of one file. They keep a hostile or generated file from taking the machine: reading one stays near a second and
// 64 MiB.
const (
	maxFile      = 4 << 20
	maxSigns     = 100_000 // signs that can begin a token: the tokenizer holds all tokens at once
	maxTokens    = 50_000  // the YAML parser is quadratic in them
	maxMarks     = 1_000   // anchors, aliases, tags, directives
	maxDepth     = 64
	maxExpansion = 100_000 // nodes after aliases
)

// readYAML reads the documents of one file. A syntax fault ends the file; duplicate keys and the like are all reported.
func readYAML(file string, src []byte) (docs []*node, faults fault.List) {
	start := fault.Where{File: file, Line: 1, Column: 1}
	text, bad := plainText(start, src)
	if bad != nil {
		return nil, fault.List{bad}
	}
	// A fault of the YAML library on odd input is the file's fault to the user, who can do something about it.
	defer func() {
		if r := recover(); r != nil {
			docs, faults = nil, fault.List{fault.New(fault.ProjectSyntax, "reading YAML: the parser gave up on this file").At(start)}
		}
	}()
	tokens := lexer.Tokenize(text)
	if bad := measure(start, tokens); bad != nil {
		return nil, fault.List{bad}
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, fault.List{syntaxFault(start, err)}
	}
	c := &converter{file: file, lines: strings.Split(text, "\n")}
	for _, doc := range tree.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.DirectiveType || doc.Body.Type() == ast.CommentType {
			continue
		}
		c.anchors = map[string]*node{}
		n := c.node(doc.Body, 0)
		if n.size > maxExpansion {
			c.fail(fault.ProjectLimit, n.at, "expanding aliases: more than %d values", maxExpansion)
			return nil, c.faults
		}
		docs = append(docs, n)
	}
	return docs, c.faults
}

// plainText checks size and encoding, and drops a byte order mark.
func plainText(start fault.Where, src []byte) (string, *fault.Error) {
	if len(src) > maxFile {
		return "", fault.New(fault.ProjectLimit, "reading the file: larger than %d MiB", maxFile>>20).At(start)
	}
	if bytes.HasPrefix(src, []byte("\xff\xfe")) || bytes.HasPrefix(src, []byte("\xfe\xff")) {
		return "", fault.New(fault.ProjectSyntax, "reading the file: it is UTF-16").At(start).WithFix("save the file as UTF-8")
	}
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	line, column, signs := 1, 1, 0
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if strings.ContainsRune("[]{},:-?&*!%#\"'", r) {
			signs++
		}
		at := fault.Where{File: start.File, Line: line, Column: column}
		switch {
		case r == utf8.RuneError && n == 1:
			return "", fault.New(fault.ProjectSyntax, "reading the file: byte 0x%02x is not UTF-8", src[i]).At(at).WithFix("save the file as UTF-8")
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			return "", fault.New(fault.ProjectSyntax, "reading the file: control character 0x%02x", r).At(at).WithFix("remove the character")
		case signs > maxSigns:
			return "", fault.New(fault.ProjectLimit, "reading the file: more than %d signs of YAML", maxSigns).At(start).
				WithFix("split the file; move long queries into files with sql_file")
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		i += n
	}
	return string(src), nil
}

// measure refuses deep and swollen files before the recursive parser sees them. Depth counts brackets, and in block style
// the columns at which keys and dashes nest.
func measure(start fault.Where, tokens token.Tokens) *fault.Error {
	if len(tokens) > maxTokens {
		return fault.New(fault.ProjectLimit, "reading YAML: more than %d words and signs", maxTokens).At(start).WithFix("split the file")
	}
	var columns []int
	flow, marks, deep := 0, 0, 0
	for i, t := range tokens {
		column := 0
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(0, flow-1)
		case token.AnchorType, token.AliasType, token.TagType, token.DirectiveType:
			marks++
		case token.SequenceEntryType, token.MappingKeyType:
			column = t.Position.Column
		case token.MappingValueType:
			if i > 0 {
				column = tokens[i-1].Position.Column
			}
		default: // the rest does not nest
		}
		if column > 0 && flow == 0 {
			for len(columns) > 0 && columns[len(columns)-1] >= column {
				columns = columns[:len(columns)-1]
			}
			columns = append(columns, column)
		}
		if deep = flow + len(columns); deep > 2*maxDepth {
			return fault.New(fault.ProjectLimit, "reading YAML: nested more than %d deep", maxDepth).At(place(start.File, t))
		}
		if marks > maxMarks {
			return fault.New(fault.ProjectLimit, "reading YAML: more than %d anchors, aliases and tags", maxMarks).At(place(start.File, t))
		}
	}
	return nil
}

func place(file string, t *token.Token) fault.Where {
	w := fault.Where{File: file, Line: 1, Column: 1}
	if t != nil && t.Position != nil {
		w.Line, w.Column = max(1, t.Position.Line), max(1, t.Position.Column)
	}
	return w
}

func syntaxFault(start fault.Where, err error) *fault.Error {
	var se *yaml.SyntaxError
	if !errors.As(err, &se) {
		return fault.New(fault.ProjectSyntax, "reading YAML: not valid").At(start)
	}
	f := fault.New(fault.ProjectSyntax, "reading YAML: %s", strings.ReplaceAll(se.Message, "\t", `\t`)).At(place(start.File, se.Token))
	switch {
	case strings.Contains(se.Message, "\t"):
		f.WithFix("indent with blanks, not tabs")
	case strings.Contains(se.Message, "mapping value is not allowed"):
		f.WithFix("check the indentation; quote a text that holds `: `")
	case strings.Contains(se.Message, "reserved character"):
		f.WithFix("put the text in quotes")
	case strings.Contains(se.Message, "end character"):
		f.WithFix("close the quotes")
	case strings.Contains(se.Message, "must be specified"), strings.Contains(se.Message, "not found"):
		f.WithFix("close the bracket, and put commas between its entries")
	}
	return f
}

// converter turns the library's tree into nodes.
type converter struct {
	file    string
	lines   []string
	anchors map[string]*node
	copied  int // entries copied by merge keys
	faults  fault.List
}

func (c *converter) fail(code fault.Code, at fault.Where, format string, args ...any) *fault.Error {
	f := fault.New(code, format, args...).At(at)
	c.faults = append(c.faults, f)
	return f
}

func (c *converter) node(n ast.Node, depth int) *node {
	at := place(c.file, nodeToken(n))
	out := &node{at: at, body: at, size: 1}
	if depth > maxDepth {
		c.fail(fault.ProjectLimit, at, "reading YAML: nested more than %d deep", maxDepth)
		return out
	}
	switch n := n.(type) {
	case nil:
	case *ast.MappingNode:
		out.kind = isMap
		c.mapping(out, n.Values, depth)
	case *ast.MappingValueNode:
		out.kind = isMap
		c.mapping(out, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out.kind = isList
		for _, v := range n.Values {
			item := c.node(v, depth+1)
			out.items = append(out.items, item)
			out.grow(item)
		}
	case *ast.AnchorNode:
		inner := c.node(n.Value, depth+1)
		c.anchors[nodeToken(n.Name).Value] = inner
		return inner
	case *ast.AliasNode:
		name := nodeToken(n.Value).Value
		target, ok := c.anchors[name]
		if !ok {
			c.fail(fault.ProjectSyntax, at, "reading YAML: alias %s stands for no anchor before it", tick("*"+name)).
				WithFix("%s", didYouMean("*"+name, starred(c.anchors), "define the anchor with &%s before the alias", name))
			return out
		}
		return target
	case *ast.TagNode:
		return c.tagged(n, depth)
	default:
		c.scalar(out, n)
	}
	return out
}

// tagged reads a value with a tag: the ones of the YAML core schema that change nothing, and !!str.
func (c *converter) tagged(n *ast.TagNode, depth int) *node {
	inner := c.node(n.Value, depth+1)
	switch tag := n.GetToken().Value; tag {
	case "!!str":
		if inner.scalar() {
			str := *inner
			str.kind, str.quoted = isText, true
			return &str
		}
	case "!!map", "!!seq", "!!int", "!!float", "!!bool", "!!null":
	default:
		c.fail(fault.ProjectSyntax, place(c.file, n.GetToken()), "reading YAML: tag %s means nothing here", tick(tag)).WithFix("remove the tag")
	}
	return inner
}

func (c *converter) scalar(out *node, n ast.Node) {
	t := nodeToken(n)
	out.text = t.Value
	switch n := n.(type) {
	case *ast.NullNode:
		if t.Type == token.ImplicitNullType || t.Origin == "" {
			out.text = ""
		}
	case *ast.BoolNode:
		out.kind = isBool
	case *ast.IntegerNode:
		out.kind = isInt
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind = isFloat
	case *ast.LiteralNode:
		out.kind, out.text, out.quoted = isText, n.Value.Value, true
		c.block(out, n)
	case *ast.StringNode:
		out.kind = isText
		if t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
			out.quoted = true
			out.body.Column++
		}
	default:
		c.fail(fault.ProjectSyntax, out.at, "reading YAML: %s cannot stand here", strings.ToLower(n.Type().YAMLName()))
	}
}

// block finds where the text of a | or > block begins.
func (c *converter) block(out *node, n *ast.LiteralNode) {
	out.at = place(c.file, n.Start)
	out.body = out.at
	for i := out.at.Line; i < len(c.lines); i++ {
		line := strings.TrimRight(c.lines[i], "\r")
		if trimmed := strings.TrimLeft(line, " "); trimmed != "" {
			out.indent = len(line) - len(trimmed)
			out.literal = strings.HasPrefix(n.Start.Value, "|")
			break
		}
	}
	if out.literal {
		out.body.Line, out.body.Column = out.at.Line+1, out.indent+1
	}
}

func (c *converter) mapping(out *node, values []*ast.MappingValueNode, depth int) {
	seen := map[string]fault.Where{}
	var merges []*node
	for i, v := range values {
		keyAt := place(c.file, nodeToken(v.Key))
		if i == 0 {
			if !v.Key.IsMergeKey() || len(values) == 1 {
				out.at, out.body = keyAt, keyAt
			}
		}
		value := c.node(v.Value, depth+1)
		out.grow(value)
		if v.Key.IsMergeKey() {
			merges = append(merges, c.merged(value)...)
			continue
		}
		key, ok := c.key(v.Key)
		if !ok {
			c.fail(fault.ProjectSyntax, keyAt, "reading YAML: a key must be plain text")
			continue
		}
		if first, dup := seen[key]; dup {
			c.fail(fault.ProjectDuplicate, keyAt, "key %s stands twice in one mapping, first in line %d", tick(key), first.Line).
				WithFix("remove one of the two")
			continue
		}
		seen[key] = keyAt
		out.pairs = append(out.pairs, pair{key, keyAt, value})
	}
	for _, m := range merges {
		if c.copied += len(m.pairs); c.copied > maxExpansion {
			out.size = maxExpansion + 1
			return
		}
		for _, p := range m.pairs {
			if _, own := seen[p.key]; !own {
				seen[p.key] = p.keyAt
				out.pairs = append(out.pairs, p)
			}
		}
	}
}

// merged gives the mappings a << key names.
func (c *converter) merged(value *node) []*node {
	list := []*node{value}
	if value.kind == isList {
		list = value.items
	}
	for _, m := range list {
		if m.kind != isMap {
			c.fail(fault.ProjectType, m.at, "reading YAML: << takes a mapping, not %s", m.kind)
			return nil
		}
	}
	return list
}

func (c *converter) key(k ast.MapKeyNode) (string, bool) {
	switch k := k.(type) {
	case *ast.MappingKeyNode:
		if inner, ok := k.Value.(ast.MapKeyNode); ok {
			return c.key(inner)
		}
		return "", false
	case *ast.StringNode, *ast.NullNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		t := nodeToken(k)
		return t.Value, t.Value != ""
	default:
		return "", false
	}
}

func (n *node) grow(child *node) { n.size = min(n.size+child.size, maxExpansion+1) }

// nodeToken gives a token that always has a position to report.
func nodeToken(n ast.Node) *token.Token {
	if n != nil {
		if m, ok := n.(*ast.MappingValueNode); ok && m.Key != nil {
			return m.Key.GetToken()
		}
		if t := n.GetToken(); t != nil {
			return t
		}
	}
	return &token.Token{Position: &token.Position{Line: 1, Column: 1}}
}

func starred(anchors map[string]*node) []string {
	out := make([]string, 0, len(anchors))
	for name := range anchors {
		out = append(out, "*"+name)
	}
	return out
}

// didYouMean gives the suggestion for a word, or the other remedy when nothing is near.
func didYouMean(word string, candidates []string, otherwise string, args ...any) string {
	if s := Suggest(word, candidates); s != "" {
		return "did you mean `" + s + "`?"
	}
	return fmt.Sprintf(otherwise, args...)
}
