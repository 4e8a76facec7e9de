package file

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/upwelldata/upwell/internal/row"
)

// format is how records stand in a file. A cell is one value in the format's own writing, so that values of an old file are
// carried over byte for byte.
type format interface {
	extension() string
	// line appends a record's line with its end. Absent values are left out, or marked where columns have fixed places.
	line(b []byte, n names, match, values []row.Value) []byte
	// hasNaN reports whether NaN and infinities can stand in this format.
	hasNaN() bool
	// carries says why a value cannot stand in this format, "" when it can.
	carries(v row.Value) string
	// header appends the file's first line, if the format has one.
	header(b []byte, columns []string) []byte
	reader(r io.Reader) lineReader
	// parse takes a line apart. columns are the header's.
	parse(line []byte, columns []string, into *record) error
	// join appends the line of a record under these columns.
	join(b []byte, columns []string, r *record) []byte
	// identity appends a cell's content so that equal values of the record's identity are equal bytes; nil = no value.
	identity(b []byte, cell []byte, numeric bool) []byte
	// value reads a cell back.
	value(cell []byte) row.Value
}

// names are the columns of a staged load in the format's writing.
type names struct {
	columns       []string // match, then fields
	match, fields []string // as they stand in a line
}

func newNames(f format, match, fields []string) names {
	n := names{columns: append(append([]string{}, match...), fields...), match: match, fields: fields}
	if _, ok := f.(jsonl); ok {
		quote := func(list []string) []string {
			out := make([]string, len(list))
			for i, s := range list {
				out[i] = string(row.AppendJSONString(nil, s)) + ":"
			}
			return out
		}
		n.match, n.fields = quote(match), quote(fields)
	}
	return n
}

// record is a parsed line.
type record struct {
	names []string
	cells [][]byte
}

func (r *record) reset() { r.names, r.cells = r.names[:0], r.cells[:0] }

func (r *record) add(name string, cell []byte) {
	r.names = append(r.names, name)
	r.cells = append(r.cells, cell)
}

// known gives a name as text, without an allocation when the last record had it in the same place.
func (r *record) known(name []byte) string {
	if i := len(r.names); i < cap(r.names) {
		if old := r.names[:i+1][i]; old == string(name) {
			return old
		}
	}
	return string(name)
}

// cell gives a value by name, nil when it is not there.
func (r *record) cell(name string) []byte {
	for i, n := range r.names {
		if n == name {
			return r.cells[i]
		}
	}
	return nil
}

// merge takes over what other says; the rest stays.
func (r *record) merge(other *record) {
next:
	for i, n := range other.names {
		for j, m := range r.names {
			if n == m {
				r.cells[j] = other.cells[i]
				continue next
			}
		}
		r.add(n, other.cells[i])
	}
}

// identityOf builds the identity of a record from its match fields; nil when one is not there.
func identityOf(f format, b []byte, r *record, match []string, numeric []bool) []byte {
	for i, name := range match {
		cell := r.cell(name)
		if cell == nil {
			return nil
		}
		at := len(b)
		b = append(b, 0, 0, 0, 0)
		b = f.identity(b, cell, numeric[i])
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	return b
}

// lineReader reads line by line; the line is valid until the next call.
type lineReader interface {
	next() ([]byte, error) // with its end; io.EOF after the last
}

// plainLines end with a line feed.
type plainLines struct {
	r     *bufio.Reader
	buf   []byte
	blank bool // blank lines are nothing
}

func (p *plainLines) next() ([]byte, error) {
	for {
		line, err := p.line()
		if err != nil || !p.blank || len(bytes.TrimSpace(line)) > 0 {
			return line, err
		}
	}
}

func (p *plainLines) line() ([]byte, error) {
	p.buf = p.buf[:0]
	for {
		part, err := p.r.ReadSlice('\n')
		switch {
		case err == nil && len(p.buf) == 0:
			return part, nil
		case err == nil:
			p.buf = append(p.buf, part...)
			return p.buf, nil
		case errors.Is(err, bufio.ErrBufferFull):
			p.buf = append(p.buf, part...)
		case errors.Is(err, io.EOF) && len(p.buf)+len(part) > 0:
			p.buf = append(append(p.buf, part...), '\n') // the last line may lack its end
			return p.buf, nil
		default:
			return nil, err
		}
	}
}

// appendNumber appends a number so that equal numbers are equal text; what is no number is appended as it is.
func appendNumber(b, text []byte) []byte {
	if plainInteger(text) {
		return append(b, text...)
	}
	v, err := row.ParseDecimal(string(text))
	if err != nil || bytes.ContainsAny(text, " _") {
		return append(b, text...)
	}
	return append(b, row.NormalDecimal(v.Str())...)
}

func plainInteger(text []byte) bool {
	digits := bytes.TrimPrefix(text, []byte{'-'})
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(digits) > 0 && digits[0] != '0'
}
