package project

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// modelTests reads the tests of a model: a list of mappings with one kind each, and a severity beside it.
func (l *loader) modelTests(m *Model, n *node, what string) {
	if n.kind != isList {
		l.wrong(n, of("tests", what), "a list")
		return
	}
	names := map[string]fault.Where{}
	for i, item := range n.items {
		t, ok := l.test(item, what, i+1)
		if !ok {
			continue
		}
		if first, dup := names[t.Name]; dup {
			l.fail(fault.ProjectDuplicate, item.at, "reading %s: the same %s test stands twice, first in line %d", what, tick(string(t.Kind)), first.Line).
				WithFix("remove one, or give it another name")
			continue
		}
		names[t.Name] = item.at
		m.Tests = append(m.Tests, t)
	}
}

func (l *loader) test(n *node, model string, number int) (Test, bool) {
	what := fmt.Sprintf("test %d of %s", number, model)
	t := Test{Where: n.at}
	if !l.mapping(n, what) {
		return t, false
	}
	var kinds []pair
	for _, p := range n.pairs {
		switch {
		case p.key == "severity":
			t.Warn = choose(l, p.value, of("severity", what), "error", "error", "warn") == "warn"
		case knownTest(p.key):
			kinds = append(kinds, p)
		default:
			l.unknownKey(p, what, testKeys.names())
		}
	}
	if len(kinds) != 1 {
		if len(kinds) > 1 || len(n.pairs) == 0 || n.find("severity") != nil && len(n.pairs) == 1 {
			l.fail(fault.ProjectValue, n.at, "reading %s: a test has exactly one kind, here are %d", what, len(kinds)).
				WithFix("write one of not_null, unique, accepted_range, accepted_values, row_count, sql in each list entry")
		}
		return t, false
	}
	p := kinds[0]
	t.Kind = TestKind(p.key)
	before := len(l.faults)
	l.testBody(&t, p, what, number)
	return t, len(l.faults) == before
}

func knownTest(word string) bool {
	switch TestKind(word) {
	case TestNotNull, TestUnique, TestAcceptedRange, TestAcceptedValues, TestRowCount, TestSQL:
		return true
	}
	return false
}

func (l *loader) testBody(t *Test, p pair, what string, number int) {
	n, what := p.value, of(p.key, what)
	switch t.Kind {
	case TestNotNull, TestUnique:
		if n.kind == isNull {
			l.wrong(n, what, "a list of columns")
		}
		t.Columns = l.texts(n, what)
	case TestAcceptedRange:
		if !l.object(n, p.keyAt, what, rangeKeys) {
			return
		}
		t.Columns = l.testColumn(n, what)
		t.Min, t.Max = l.bound(n, "min", what), l.bound(n, "max", what)
		l.bounds(t, n, what)
	case TestAcceptedValues:
		if !l.object(n, p.keyAt, what, valuesKeys) {
			return
		}
		t.Columns = l.testColumn(n, what)
		l.values(t, n.find("values"), of("values", what))
	case TestRowCount:
		if !l.object(n, p.keyAt, what, countKeys) {
			return
		}
		for _, end := range []struct {
			key string
			to  **row.Value
		}{{"min", &t.Min}, {"max", &t.Max}} {
			if i, ok := l.whole(n.find(end.key), of(end.key, what), 0); ok {
				v := row.IntValue(i)
				*end.to = &v
			}
		}
		l.bounds(t, n, what)
	case TestSQL:
		if !l.object(n, p.keyAt, what, sqlTestKeys) {
			return
		}
		t.Name, _ = l.text(n.find("name"), of("name", what))
		q := n.find("query")
		if text, ok := l.raw(q, of("query", what)); ok {
			t.Query = text
			l.placeholders(q, text, of("query", what))
			l.query(text, of("query", what), "", func(o int) fault.Where { return q.within(lineColumn(text, o)) })
		}
	}
	if t.Name == "" {
		t.Name = fmt.Sprintf("%s(%s)", t.Kind, strings.Join(t.Columns, ", "))
		if t.Kind == TestSQL {
			t.Name = fmt.Sprintf("sql_%d", number)
		} else if t.Kind == TestRowCount {
			t.Name = string(t.Kind)
		}
	}
}

var placeholder = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// placeholders reports what looks like {{ model }} and is not.
func (l *loader) placeholders(n *node, text, what string) {
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		if word := text[m[2]:m[3]]; word != "model" {
			l.fail(fault.ProjectValue, n.within(lineColumn(text, m[0])), "reading %s: %s stands for nothing", what, tick(text[m[0]:m[1]])).
				WithFix("write {{ model }}, the only one there is")
		}
	}
}

func (l *loader) testColumn(n *node, what string) []string {
	if c, ok := l.text(n.find("column"), of("column", what)); ok {
		return []string{c}
	}
	return nil
}

func (l *loader) bound(n *node, key, what string) *row.Value {
	v := n.find(key)
	if v == nil || v.kind == isNull {
		return nil
	}
	c, ok := l.constant(v, of(key, what))
	if !ok {
		return nil
	}
	if c.Kind() == row.Bool {
		l.wrong(v, of(key, what), "a number, or text such as a date")
		return nil
	}
	return &c
}

// bounds checks that a range has an end, and that its ends go together.
func (l *loader) bounds(t *Test, n *node, what string) {
	if t.Min == nil && t.Max == nil {
		if n.find("min") == nil && n.find("max") == nil {
			l.fail(fault.ProjectMissing, n.at, "reading %s: min and max are both missing", what).WithFix("add `min`, `max`, or both")
		}
		return
	}
	if t.Min == nil || t.Max == nil {
		return
	}
	switch {
	case t.Min.Kind().Numeric() != t.Max.Kind().Numeric():
		l.fail(fault.ProjectType, n.find("max").at, "reading %s: min is %s and max is %s", what, t.Min.Kind(), t.Max.Kind()).WithFix("write both as numbers, or both as text")
	case t.Min.Kind().Numeric() && decimalLess(t.Max.String(), t.Min.String()):
		l.fail(fault.ProjectValue, n.find("max").at, "reading %s: max %s is less than min %s", what, t.Max, t.Min).WithFix("swap them")
	}
}

func (l *loader) values(t *Test, n *node, what string) {
	if n == nil {
		return
	}
	if n.kind != isList {
		l.wrong(n, what, "a list of values")
		return
	}
	if len(n.items) == 0 {
		l.fail(fault.ProjectValue, n.at, "reading %s: the list is empty", what).WithFix("name the values that are allowed")
	}
	for _, item := range n.items {
		v, ok := l.constant(item, what)
		if !ok {
			continue
		}
		for _, other := range t.Values {
			if other.Equal(v) {
				l.fail(fault.ProjectDuplicate, item.at, "reading %s: %s stands twice", what, item.show()).WithFix("remove one of the two")
			}
		}
		t.Values = append(t.Values, v)
	}
}
