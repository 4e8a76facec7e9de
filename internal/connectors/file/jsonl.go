package file

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"

	"github.com/upwelldata/upwell/internal/row"
)

// jsonl is JSON Lines: one object per line, https://jsonlines.org
type jsonl struct{}

func (jsonl) extension() string { return ".jsonl" }

func (jsonl) header(b []byte, _ []string) []byte { return b }

func (jsonl) hasNaN() bool { return false }

func (jsonl) carries(v row.Value) string {
	if v.Kind() == row.Float && (math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0)) {
		return "JSON has no NaN and no infinity"
	}
	return ""
}

func (j jsonl) line(b []byte, n names, match, values []row.Value) []byte {
	b = append(b, '{')
	b = j.pairs(b, n.match, match, true)
	b = j.pairs(b, n.fields, values, b[len(b)-1] == '{')
	return append(b, '}', '\n')
}

// pairs appends "name":value for all values that are not absent.
func (jsonl) pairs(b []byte, names []string, values []row.Value, first bool) []byte {
	for i, v := range values {
		if v.IsAbsent() {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendOneLine(append(b, names[i]...), v)
	}
	return b
}

// appendOneLine writes a value as JSON without line ends, which JSON texts of a source may have.
func appendOneLine(b []byte, v row.Value) []byte {
	if (v.Kind() == row.JSON || v.Kind() == row.Array) && strings.ContainsAny(v.Str(), "\n\r") {
		var flat bytes.Buffer
		if json.Compact(&flat, []byte(v.Str())) == nil {
			return append(b, flat.Bytes()...)
		}
	}
	return v.AppendJSON(b)
}

func (jsonl) reader(r io.Reader) lineReader {
	return &plainLines{r: bufio.NewReaderSize(r, 1<<16), blank: true}
}

var errNotObject = errors.New("it is not a JSON object")

// parse finds the names and values of the top level. Lines that are not an object are an error, so that a file somebody else
// wrote is not destroyed.
func (jsonl) parse(line []byte, _ []string, into *record) error {
	into.reset()
	s := jsonScan{b: line}
	if !s.take('{') {
		return errNotObject
	}
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') {
			return errNotObject
		}
		name, ok := s.text(into)
		if !ok || !s.take(':') {
			return errNotObject
		}
		cell, ok := s.skip()
		if !ok {
			return errNotObject
		}
		into.add(name, cell)
	}
	if s.space(); s.at != len(s.b) {
		return errNotObject
	}
	return nil
}

func (jsonl) join(b []byte, _ []string, r *record) []byte {
	b = append(b, '{')
	for i, n := range r.names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(row.AppendJSONString(b, n), ':')
		b = append(b, r.cells[i]...)
	}
	return append(b, '}', '\n')
}

func (jsonl) identity(b, cell []byte, _ bool) []byte {
	switch c := cell[0]; {
	case c == '"':
		var s string
		if bytes.IndexByte(cell, '\\') < 0 {
			return append(append(b, 's'), cell[1:len(cell)-1]...)
		}
		if json.Unmarshal(cell, &s) == nil {
			return append(append(b, 's'), s...)
		}
	case c == '-' || c >= '0' && c <= '9':
		return appendNumber(append(b, 'n'), cell)
	}
	return append(append(b, 'r'), cell...)
}

func (jsonl) value(cell []byte) row.Value {
	switch c := cell[0]; c {
	case 'n':
		return row.NullValue()
	case 't', 'f':
		return row.BoolValue(c == 't')
	case '"':
		var s string
		if json.Unmarshal(cell, &s) == nil {
			return row.TextValue(s)
		}
	case '{':
		return row.StringKind(row.JSON, string(cell))
	case '[':
		return row.StringKind(row.Array, string(cell))
	}
	var i int64
	if json.Unmarshal(cell, &i) == nil {
		return row.IntValue(i)
	}
	if v, err := row.ParseDecimal(string(cell)); err == nil {
		return v
	}
	return row.TextValue(string(cell))
}

// jsonScan walks over JSON text without building values.
type jsonScan struct {
	b  []byte
	at int
}

func (s *jsonScan) space() {
	for s.at < len(s.b) && (s.b[s.at] == ' ' || s.b[s.at] == '\t' || s.b[s.at] == '\r' || s.b[s.at] == '\n') {
		s.at++
	}
}

func (s *jsonScan) take(c byte) bool {
	s.space()
	if s.at < len(s.b) && s.b[s.at] == c {
		s.at++
		return true
	}
	return false
}

// quoted passes over a string and gives it with its quotes.
func (s *jsonScan) quoted() ([]byte, bool) {
	s.space()
	from := s.at
	if from >= len(s.b) || s.b[from] != '"' {
		return nil, false
	}
	for i := from + 1; i < len(s.b); i++ {
		switch s.b[i] {
		case '\\':
			i++
		case '"':
			s.at = i + 1
			return s.b[from:s.at], true
		}
	}
	return nil, false
}

func (s *jsonScan) text(r *record) (string, bool) {
	q, ok := s.quoted()
	if !ok {
		return "", false
	}
	if bytes.IndexByte(q, '\\') < 0 {
		return r.known(q[1 : len(q)-1]), true
	}
	var out string
	err := json.Unmarshal(q, &out)
	return out, err == nil
}

// skip passes over one value and gives its text.
func (s *jsonScan) skip() ([]byte, bool) {
	s.space()
	from := s.at
	if from >= len(s.b) {
		return nil, false
	}
	switch s.b[from] {
	case '"':
		return s.quoted()
	case '{', '[':
		for deep := 0; s.at < len(s.b); {
			switch s.b[s.at] {
			case '"':
				if _, ok := s.quoted(); !ok {
					return nil, false
				}
				continue
			case '{', '[':
				deep++
			case '}', ']':
				deep--
			}
			s.at++
			if deep == 0 {
				return s.b[from:s.at], json.Valid(s.b[from:s.at])
			}
		}
		return nil, false
	}
	for s.at < len(s.b) && bytes.IndexByte([]byte(",}] \t\r\n"), s.b[s.at]) < 0 {
		s.at++
	}
	return s.b[from:s.at], json.Valid(s.b[from:s.at])
}
