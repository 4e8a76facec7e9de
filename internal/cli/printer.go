package cli

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// printer gathers text for people. Colour is never the only signal: whatever is coloured says the same in words or signs.
type printer struct {
	b              bytes.Buffer
	color, verbose bool
	upwell         string // how hints call the program
}

// style is an SGR sequence.
type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

func (p *printer) paint(s style, text string) string {
	if !p.color || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

func (p *printer) blank() { p.b.WriteByte('\n') }

// fault prints one fault with its place and remedy.
func (p *printer) fault(word string, f *fault.Error) {
	s := red
	if word == "warning" {
		s = yellow
	}
	place := ""
	if f.Where != nil && f.Where.File != "" {
		place = f.Where.String() + ": "
	}
	p.line("%s%s: %s [%s]", place, p.paint(s, word), clean(f.Message), clean(string(f.Code)))
	if fix := f.GetFix(); fix != "" {
		p.line("    fix: %s", clean(fix))
	}
}

// cell is one cell of a table.
type cell struct {
	text  string
	style style
	right bool
}

func left(s string) cell             { return cell{text: s} }
func right(s string) cell            { return cell{text: s, right: true} }
func painted(s style, t string) cell { return cell{text: t, style: s} }

// table prints rows in columns, a head in front.
func (p *printer) table(indent string, head []string, rows [][]cell) {
	all := rows
	if head != nil {
		first := make([]cell, len(head))
		for i, h := range head {
			first[i] = cell{text: h, style: dim}
			if len(rows) > 0 && i < len(rows[0]) {
				first[i].right = rows[0][i].right
			}
		}
		all = append([][]cell{first}, rows...)
	}
	var widths []int
	for _, r := range all {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, r := range all {
		line := indent
		for i, c := range r {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			text := c.text
			if c.style != "" {
				text = p.paint(c.style, text)
			}
			switch {
			case c.right:
				line += pad + text
			case i < len(r)-1:
				line += text + pad
			default:
				line += text
			}
			if i < len(r)-1 {
				line += "  "
			}
		}
		p.line("%s", strings.TrimRight(line, " "))
	}
}

// clean keeps text from steering the terminal: control characters are written as escapes, line breaks as blanks.
func clean(s string) string {
	bad := func(r rune) bool { return !unicode.IsPrint(r) && r != ' ' }
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			b.WriteByte(' ')
		case bad(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

const longest = 80

// value writes a value on one line: texts that could be taken for something else are quoted, long ones cut with a mark.
func value(v row.Value) string {
	if v.IsAbsent() {
		return "(not known)"
	}
	s := v.String()
	if v.Kind() == row.Text && (s == "" || s == "null" || strings.TrimSpace(s) != s || clean(s) != s) {
		s = strconv.Quote(s)
	}
	s = clean(s)
	if utf8.RuneCountInString(s) > longest {
		runes := []rune(s)
		s = string(runes[:longest-1]) + "…"
	}
	return s
}

// moment writes a time for people, with its distance from now.
func moment(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z") + " (" + distance(t, now) + ")"
}

func distance(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d < 0:
		return "in " + span(-d)
	case d < time.Second:
		return "just now"
	}
	return span(d) + " ago"
}

// span writes a duration in its two largest units.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(float64(d.Milliseconds()/100)/10, 'f', -1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}
