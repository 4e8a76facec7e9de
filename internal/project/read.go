package project

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// Readers of single values. Each reports what is wrong under the name in what and answers ok = false; a nil node is an absent
// key: not ok, and no fault.

func (l *loader) fail(code fault.Code, at fault.Where, format string, args ...any) *fault.Error {
	f := fault.New(code, format, args...).At(at)
	l.faults = append(l.faults, f)
	return f
}

func (l *loader) warn(code fault.Code, at fault.Where, format string, args ...any) *fault.Error {
	f := fault.New(code, format, args...).At(at)
	l.warnings = append(l.warnings, f)
	return f
}

// wrong reports a value of the wrong type.
func (l *loader) wrong(n *node, what, want string) *fault.Error {
	return l.fail(fault.ProjectType, n.at, "reading %s: %s is not %s", what, n.show(), want).WithFix("write %s", want)
}

// object checks that n is a mapping with known keys and all required ones.
func (l *loader) object(n *node, at fault.Where, what string, s shape) bool {
	if !l.mapping(n, what) {
		return false
	}
	names := s.names()
	meant := l.unknownKeys(n, what, names)
	for _, k := range s {
		if k.required && n.find(k.name) == nil && !meant[k.name] {
			l.fail(fault.ProjectMissing, at, "reading %s: key `%s` is missing", what, k.name).WithFix("%s", addKey(k.name, k.doc))
		}
	}
	return true
}

// unknownKeys reports every key that is not one of names. It answers the keys they were probably meant to be: those are not
// reported again as missing.
func (l *loader) unknownKeys(n *node, what string, names []string) map[string]bool {
	meant := map[string]bool{}
	for _, p := range n.pairs {
		if !slices.Contains(names, p.key) {
			l.unknownKey(p, what, names)
			meant[Suggest(p.key, names)] = true
		}
	}
	return meant
}

func (l *loader) unknownKey(p pair, what string, names []string) {
	l.fail(fault.ProjectUnknownKey, p.keyAt, "reading %s: unknown key %s", what, tick(p.key)).
		WithFix("%s", didYouMean(p.key, names, "use one of %s", words(names)))
}

func (l *loader) mapping(n *node, what string) bool {
	if n == nil {
		return false
	}
	if n.kind != isMap {
		l.wrong(n, what, "a mapping")
		return false
	}
	return true
}

// raw reads a text as written, references untouched: SQL and CEL.
func (l *loader) raw(n *node, what string) (string, bool) {
	if n == nil {
		return "", false
	}
	if !n.scalar() || n.kind == isNull {
		l.wrong(n, what, "text")
		return "", false
	}
	if strings.TrimSpace(n.text) == "" {
		l.fail(fault.ProjectValue, n.at, "reading %s: the text is empty", what).WithFix("write a text, or leave the key out")
		return "", false
	}
	return n.text, true
}

// text reads a text that is not empty. Numbers and true, false are taken as written.
func (l *loader) text(n *node, what string) (string, bool) {
	if n == nil {
		return "", false
	}
	if !n.scalar() || n.kind == isNull {
		l.wrong(n, what, "text")
		return "", false
	}
	r := l.resolve(n, what)
	if r.missing {
		return "", false
	}
	if strings.TrimSpace(r.text) == "" {
		l.fail(fault.ProjectValue, n.at, "reading %s: the text is empty", what).WithFix("write a text, or leave the key out")
		return "", false
	}
	return r.text, true
}

// texts reads a list of texts; one text stands for a list of one.
func (l *loader) texts(n *node, what string) []string {
	if n == nil {
		return nil
	}
	items := []*node{n}
	if n.kind == isList {
		items = n.items
		if len(items) == 0 {
			l.fail(fault.ProjectValue, n.at, "reading %s: the list is empty", what).WithFix("name at least one, or leave the key out")
		}
	} else if !n.scalar() {
		l.wrong(n, what, "a list")
		return nil
	}
	var out []string
	for _, item := range items {
		s, ok := l.text(item, what)
		if !ok {
			continue
		}
		if slices.Contains(out, s) {
			l.fail(fault.ProjectDuplicate, item.at, "reading %s: %s stands twice", what, item.show()).WithFix("remove one of the two")
			continue
		}
		out = append(out, s)
	}
	return out
}

// choose reads one of some words; fallback stands for an absent key and for a wrong word, which is reported.
func choose[T ~string](l *loader, n *node, what string, fallback T, values ...T) T {
	if n == nil {
		return fallback
	}
	written := make([]string, len(values))
	for i, v := range values {
		if n.scalar() && n.text == string(v) {
			return v
		}
		written[i] = string(v)
	}
	if !n.scalar() {
		l.wrong(n, what, "one of "+words(written))
		return fallback
	}
	l.fail(fault.ProjectValue, n.at, "reading %s: %s is not one of %s", what, n.show(), words(written)).
		WithFix("%s", didYouMean(n.text, written, "use one of %s", words(written)))
	return fallback
}

func (l *loader) bool(n *node, what string) bool {
	if n == nil {
		return false
	}
	s := n.text
	if n.kind == isText {
		r := l.resolve(n, what)
		if r.missing {
			return false
		}
		if s = r.text; !r.refs {
			s = ""
		}
	}
	if n.kind != isBool && n.kind != isText || s != "true" && s != "false" {
		f := l.wrong(n, what, "true or false")
		switch strings.ToLower(n.text) {
		case "yes", "on", "y":
			f.WithFix("did you mean `true`?")
		case "no", "off", "n":
			f.WithFix("did you mean `false`?")
		case "true", "false":
			f.WithFix("remove the quotes")
		}
		return false
	}
	return s == "true"
}

// whole reads a whole number of at least least.
func (l *loader) whole(n *node, what string, least int64) (int64, bool) {
	s, ok := l.number(n, what, "a whole number")
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		l.wrong(n, what, "a whole number")
		return 0, false
	}
	if i < least {
		l.fail(fault.ProjectValue, n.at, "reading %s: %s is less than %d", what, n.show(), least).WithFix("use a number of at least %d", least)
		return 0, false
	}
	return i, true
}

// number gives the text of an unquoted number or a reference to one.
func (l *loader) number(n *node, what, want string) (string, bool) {
	if n == nil {
		return "", false
	}
	if n.kind == isInt || n.kind == isFloat {
		return n.text, true
	}
	if n.kind == isText {
		if r := l.resolve(n, what); r.missing {
			return "", false
		} else if r.refs {
			return strings.TrimSpace(r.text), true
		}
	}
	f := l.wrong(n, what, want)
	if _, err := strconv.ParseFloat(n.text, 64); err == nil && n.quoted {
		f.WithFix("remove the quotes")
	}
	return "", false
}

// interval reads a duration: Go's form and also d and w.
func (l *loader) interval(n *node, what string, least time.Duration) time.Duration {
	if n == nil {
		return 0
	}
	s, ok := l.text(n, what)
	if !ok {
		return 0
	}
	d, ok := parseDuration(s)
	switch {
	case !ok:
		l.wrong(n, what, "a duration such as 30s, 15m, 1h, 1d")
	case d < least:
		l.fail(fault.ProjectValue, n.at, "reading %s: %s is shorter than %s", what, n.show(), least).WithFix("use at least %s", least)
	default:
		return d
	}
	return 0
}

var dayPart = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)([dw])`)

// parseDuration reads a positive duration: weeks and days, then what Go's time package reads.
func parseDuration(s string) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	total := 0.0
	for {
		m := dayPart.FindStringSubmatch(s)
		if m == nil {
			break
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, false
		}
		unit := 24 * time.Hour
		if m[2] == "w" {
			unit *= 7
		}
		total += n * float64(unit)
		if s = s[len(m[0]):]; s == "" {
			break
		}
	}
	var rest time.Duration
	if s != "" {
		var err error
		if rest, err = time.ParseDuration(s); err != nil {
			return 0, false
		}
	} else if total == 0 {
		return 0, false
	}
	if rest < 0 || total+float64(rest) > math.MaxInt64/2 {
		return 0, false
	}
	return time.Duration(total) + rest, true
}

// parseShare reads a percentage from 0 to 100.
func parseShare(s string) (float64, bool) {
	n, ok := strings.CutSuffix(strings.TrimSpace(s), "%")
	if !ok || strings.Trim(n, "0123456789.") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(n, 64)
	if err != nil || f < 0 || f > 100 {
		return 0, false
	}
	return f / 100, true
}

// constant reads a scalar as a typed value. Numbers with a fraction become exact decimals, never floats.
func (l *loader) constant(n *node, what string) (row.Value, bool) {
	switch n.kind {
	case isNull:
		return row.NullValue(), true
	case isBool:
		return row.BoolValue(n.text == "true" || n.text == "True" || n.text == "TRUE"), true
	case isInt, isFloat:
		v, ok := parseNumber(n.text)
		if !ok {
			l.wrong(n, what, "a number in plain decimal form")
		}
		return v, ok
	case isText:
		if v, ok := parseNumber(n.text); ok && !n.quoted {
			return v, true
		}
		r := l.resolve(n, what)
		return row.TextValue(r.text), !r.missing
	case isMap, isList:
	}
	l.wrong(n, what, "text, a number, true or false")
	return row.Value{}, false
}

func parseNumber(s string) (row.Value, bool) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return row.IntValue(i), true
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return row.UintValue(u), true
	}
	if len(s) > 100 || strings.Trim(s, "+-.eE0123456789") != "" {
		return row.Value{}, false
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 && len(s)-i > 5 {
		return row.Value{}, false
	}
	v, err := row.ParseDecimal(s)
	return v, err == nil
}

var nameForm = regexp.MustCompile(namePattern)

// name checks the name of something defined.
func (l *loader) name(name, what string, at fault.Where) {
	if nameForm.MatchString(name) && len(name) <= 64 {
		return
	}
	f := l.fail(fault.ProjectValue, at, "reading %s: name %s is not allowed", what, tick(name))
	fix := strings.Map(func(r rune) rune {
		if r == ' ' || r == '.' || r == '/' {
			return '_'
		}
		return r
	}, strings.ToLower(name))
	if nameForm.MatchString(fix) && len(fix) <= 64 {
		f.WithFix("did you mean `%s`?", fix)
		return
	}
	f.WithFix("use a lower-case letter, then letters, digits, _ and -, 64 at most")
}

func words(list []string) string { return strings.Join(list, ", ") }

// addKey is the remedy for a missing key.
func addKey(name, doc string) string {
	doc = strings.TrimSuffix(doc, ".")
	if doc == "" {
		return "add `" + name + "`"
	}
	return "add `" + name + "`: " + strings.ToLower(doc[:1]) + doc[1:]
}

func of(key, what string) string { return fmt.Sprintf("`%s` of %s", key, what) }

// decimalLess compares exact numbers as parseNumber gives them.
func decimalLess(a, b string) bool {
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	return okX && okY && x.Cmp(y) < 0
}
