package salesforce

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// notAvailable is the cell that makes a field null in Bulk API 2.0; an empty cell leaves the field alone
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/datafiles-prepare-csv.md).
const notAvailable = "#N/A"

// A job takes at most so many characters in a field and in a record; what becomes of a job with a longer one is not documented
// (https://developer.salesforce.com/docs/platform/salesforce-app-limits-cheatsheet/guide/salesforce-app-limits-platform-bulkapi.html).
const (
	maxCell = 32_000
	maxLine = 400_000
)

// header appends the line of column names.
func (l *layout) header(b []byte) []byte {
	first := true
	put := func(name string) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendCell(b, name)
	}
	if l.byID {
		put("Id")
	}
	for i := range l.columns {
		put(l.columns[i].name)
	}
	return append(b, '\n')
}

// line appends row i. Absent is an empty cell, null and the empty text are #N/A: for Salesforce an empty text is no value.
func (l *layout) line(b []byte, rows *row.Batch, i int) (out []byte, warned []string, bad *refused) {
	first := true
	comma := func() {
		if !first {
			b = append(b, ',')
		}
		first = false
	}
	if l.byID {
		id := l.id(rows, i)
		if bad := checkID(id); bad != nil {
			return b, nil, bad
		}
		comma()
		b = appendCell(b, id)
	}
	total := 0
	for n := range l.columns {
		c := &l.columns[n]
		v := l.value(rows, i, c)
		comma()
		if v.IsAbsent() {
			continue
		}
		text, fine, bad := l.cell(c, v)
		if bad != nil {
			return b, nil, bad
		}
		if !fine {
			warned = append(warned, c.name+": Salesforce keeps milliseconds; the digits behind them were not sent")
		}
		if len(text) > maxCell { // bytes are at least as many as characters
			if n := utf8.RuneCountInString(text); n > maxCell {
				return b, nil, &refused{fault.ValueTooLong, c.name, fmt.Sprintf("%d characters are more than the %d a bulk job takes; with bulk.above: 0 the row goes in a collection", n, maxCell)}
			}
		}
		if total += len(text); total > maxLine {
			return b, nil, &refused{fault.ValueTooLong, c.name, fmt.Sprintf("the record has more than the %d characters a bulk job takes; with bulk.above: 0 it goes in a collection", maxLine)}
		}
		b = appendCell(b, text)
	}
	return append(b, '\n'), warned, nil
}

func (l *layout) cell(c *column, v row.Value) (string, bool, *refused) {
	if v.IsNull() {
		if c.field != nil && c.field.Kind == row.Bool {
			if l.op == connector.OpClear {
				return "false", true, nil
			}
			return "", true, &refused{fault.ValueNull, c.name, "a checkbox cannot be empty"}
		}
		return notAvailable, true, nil
	}
	var buf [64]byte
	b, fine, bad := appendText(buf[:0], c, v)
	if bad != nil {
		return "", true, bad
	}
	switch text := string(b); text {
	case "":
		return notAvailable, true, nil
	case notAvailable:
		return "", true, &refused{fault.ValueType, c.name, "the text " + notAvailable + " cannot be written by a bulk job: there it means no value"}
	default:
		return text, fine, nil
	}
}

// appendCell quotes where CSV wants it, and where blanks at the ends could be taken for padding.
func appendCell(b []byte, s string) []byte {
	if !strings.ContainsAny(s, ",\"\r\n") && strings.TrimSpace(s) == s {
		return append(b, s...)
	}
	b = append(b, '"')
	for {
		n := strings.IndexByte(s, '"')
		if n < 0 {
			break
		}
		b = append(append(b, s[:n]...), '"', '"')
		s = s[n+1:]
	}
	return append(append(b, s...), '"')
}

// key gives the text by which the results of row i are found: the cells of the columns that name the record, joined so that
// different records have different keys.
func (l *layout) key(b []byte, rows *row.Batch, i int) ([]byte, bool) {
	if l.byID {
		id := l.id(rows, i)
		if checkID(id) != nil {
			return b, false
		}
		return append(b, id[:15]...), true // the rest of 18 is a checksum
	}
	for n := range l.columns {
		c := &l.columns[n]
		if !c.match {
			continue
		}
		text, _, bad := l.cell(c, l.value(rows, i, c))
		if bad != nil {
			return b, false
		}
		b = appendKeyPart(b, text)
	}
	return b, true
}

func appendKeyPart(b []byte, s string) []byte {
	for {
		n := strings.IndexByte(s, 0)
		if n < 0 {
			return append(append(b, s...), 0, 1)
		}
		b = append(append(b, s[:n]...), 0, 0xff)
		s = s[n+1:]
	}
}

// keyColumns are the columns the key is made of.
func (l *layout) keyColumns() []string {
	if l.byID {
		return []string{"Id"}
	}
	var out []string
	for n := range l.columns {
		if l.columns[n].match {
			out = append(out, l.columns[n].name)
		}
	}
	return out
}
