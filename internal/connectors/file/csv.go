package file

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/upwelldata/upwell/internal/row"
)

// csv is RFC 4180 with line feeds (https://www.rfc-editor.org/rfc/rfc4180). A null is an empty cell, an empty text is "". Cells
// that begin like a formula stay as they are: programs read these files, and changing a value would be wrong.
type csv struct{}

func (csv) extension() string { return ".csv" }

func (csv) hasNaN() bool { return true }

func (csv) carries(row.Value) string { return "" }

// absentCell stands in staged lines for a value that is not part of the record. No value is written so: a text with this
// character is quoted.
const absentCell = "\x00"

func (csv) header(b []byte, columns []string) []byte {
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendCell(b, c)
	}
	return append(b, '\n')
}

func (c csv) line(b []byte, _ names, match, values []row.Value) []byte {
	return append(c.cells(c.cells(b, match, true), values, len(match) == 0), '\n')
}

func (csv) cells(b []byte, values []row.Value, first bool) []byte {
	for _, v := range values {
		if !first {
			b = append(b, ',')
		}
		first = false
		switch v.Kind() {
		case row.Null:
		case row.Absent:
			b = append(b, absentCell...)
		case row.Text, row.JSON, row.Array, row.Interval, row.UUID:
			b = appendCell(b, v.Str())
		case row.Bool, row.Int, row.Uint, row.Float, row.Decimal, row.Bytes, row.Date, row.Time, row.Timestamp, row.Instant:
			at := len(b)
			if b = v.AppendText(b); len(b) == at {
				b = append(b, `""`...)
			}
		}
	}
	return b
}

// appendCell writes a text, quoted where it must be.
func appendCell(b []byte, s string) []byte {
	plain := s != ""
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c != ',' && c != '"' && c != '\n' && c != '\r' && c != 0
	}
	if plain && s[0] != ' ' && s[len(s)-1] != ' ' {
		return append(b, s...)
	}
	b = append(b, '"')
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		b = append(append(b, s[:i+1]...), '"')
		s = s[i+1:]
	}
	return append(append(b, s...), '"')
}

func (csv) reader(r io.Reader) lineReader {
	return &csvLines{plainLines{r: bufio.NewReaderSize(r, 1<<16)}, nil}
}

// csvLines are records that may go over several lines inside quotes.
type csvLines struct {
	lines plainLines
	buf   []byte
}

func (c *csvLines) next() ([]byte, error) {
	line, err := c.lines.next()
	if err != nil || bytes.Count(line, []byte{'"'})%2 == 0 {
		return line, err
	}
	c.buf = append(c.buf[:0], line...)
	for {
		line, err := c.lines.next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it ends inside quotes")
		}
		if err != nil {
			return nil, err
		}
		c.buf = append(c.buf, line...)
		if bytes.Count(line, []byte{'"'})%2 == 1 {
			return c.buf, nil
		}
	}
}

func (csv) parse(line []byte, columns []string, into *record) error {
	into.reset()
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
	for _, name := range columns {
		if line == nil {
			return errors.New("it has too few cells")
		}
		var cell []byte
		var ok bool
		if cell, line, ok = cutCell(line); !ok {
			return errors.New("a quote stands where none may be")
		}
		if string(cell) != absentCell {
			into.add(name, cell)
		}
	}
	if line != nil {
		return errors.New("it has too many cells")
	}
	return nil
}

// cutCell takes the first cell off a line; rest is nil after the last.
func cutCell(line []byte) (cell, rest []byte, ok bool) {
	if len(line) == 0 || line[0] != '"' {
		cell, rest, more := bytes.Cut(line, []byte{','})
		if !more {
			rest = nil
		} else if rest == nil {
			rest = []byte{}
		}
		return cell, rest, bytes.IndexByte(cell, '"') < 0
	}
	for i := 1; i < len(line); i++ {
		if line[i] != '"' {
			continue
		}
		switch {
		case i+1 == len(line):
			return line, nil, true
		case line[i+1] == '"':
			i++
		case line[i+1] == ',':
			return line[:i+1], line[i+2:], true
		default:
			return nil, nil, false
		}
	}
	return nil, nil, false
}

func (csv) join(b []byte, columns []string, r *record) []byte {
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r.cell(c)...)
	}
	return append(b, '\n')
}

func cellText(cell []byte) []byte {
	if len(cell) >= 2 && cell[0] == '"' {
		return bytes.ReplaceAll(cell[1:len(cell)-1], []byte(`""`), []byte{'"'})
	}
	return cell
}

func (csv) identity(b, cell []byte, numeric bool) []byte {
	if len(cell) == 0 {
		return append(b, 0)
	}
	text := cellText(cell)
	if numeric {
		return appendNumber(append(b, 'v'), text)
	}
	return append(append(b, 'v'), text...)
}

func (csv) value(cell []byte) row.Value {
	if len(cell) == 0 {
		return row.NullValue()
	}
	return row.TextValue(string(cellText(cell)))
}

// readHeader gives the columns of a CSV file, nil for an empty one.
func readHeader(lines lineReader) ([]string, error) {
	line, err := lines.next()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
	var out []string
	for line != nil {
		var cell []byte
		var ok bool
		if cell, line, ok = cutCell(line); !ok {
			return nil, errors.New("its header has a quote where none may be")
		}
		name := string(cellText(cell))
		if slices.Contains(out, name) {
			return nil, errors.New("its header names the column " + name + " twice")
		}
		out = append(out, name)
	}
	return out, nil
}
