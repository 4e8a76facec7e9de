// Package bulkcsv reads the CSV of Bulk API 2.0: UTF-8, comma, quotes doubled, LF or CRLF between records, nothing trimmed
// (https://developer.salesforce.com/docs/platform/api-asynch/guide/datafiles-prepare-csv.md). Unlike encoding/csv it gives
// quoted text back byte for byte, line breaks too, because echoed columns are how results find their rows.
package bulkcsv

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Reader reads records one at a time. Cells larger than MaxField end the reading.
type Reader struct {
	r      *bufio.Reader
	record int
	bom    bool
}

// MaxField is the largest cell read, in bytes: Salesforce allows 32,000 characters in a field.
const MaxField = 1 << 20

// NewReader reads from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 1<<16)} }

// Read gives the next record, its cells in fresh memory; dst's backing is used again. It returns io.EOF after the last record
// and io.ErrUnexpectedEOF when the text ends inside quotes.
func (c *Reader) Read(dst []string) ([]string, error) {
	dst = dst[:0]
	if !c.bom {
		c.bom = true
		if b, err := c.r.Peek(3); err == nil && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF {
			_, _ = c.r.Discard(3) //nolint:errcheck // three bytes were just seen
		}
	}
	if _, err := c.r.Peek(1); err != nil {
		return nil, err
	}
	c.record++
	for {
		cell, end, err := c.cell()
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", c.record, err)
		}
		dst = append(dst, cell)
		if end {
			return dst, nil
		}
	}
}

var (
	errQuote = errors.New("text after a closing quote")
	errBare  = errors.New("a quote or a carriage return inside an unquoted cell")
	errLong  = errors.New("a cell is too large")
)

// cell reads one cell and its separator; end tells that the record ends with it.
func (c *Reader) cell() (string, bool, error) {
	b, err := c.r.ReadByte()
	if err != nil {
		return "", true, ignoreEOF(err)
	}
	if b == '"' {
		return c.quoted()
	}
	var out []byte
	for {
		switch {
		case b == ',' && (len(out) == 0 || out[len(out)-1] != '\r'):
			return string(out), false, nil
		case b == '\n':
			if n := len(out); n > 0 && out[n-1] == '\r' {
				out = out[:n-1]
			}
			return string(out), true, nil
		case b == '"', len(out) > 0 && out[len(out)-1] == '\r':
			return "", false, errBare
		case len(out) >= MaxField:
			return "", false, errLong
		}
		out = append(out, b)
		if b, err = c.r.ReadByte(); err != nil {
			return string(out), true, ignoreEOF(err)
		}
	}
}

func (c *Reader) quoted() (string, bool, error) {
	var out []byte
	for {
		b, err := c.r.ReadByte()
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return "", false, err
		}
		if b != '"' {
			if len(out) >= MaxField {
				return "", false, errLong
			}
			out = append(out, b)
			continue
		}
		b, err = c.r.ReadByte()
		if err == nil && b == '\r' {
			b, err = c.r.ReadByte()
			if err == nil && b != '\n' {
				return "", false, errQuote
			}
		}
		switch {
		case err != nil:
			return string(out), true, ignoreEOF(err)
		case b == ',':
			return string(out), false, nil
		case b == '\n':
			return string(out), true, nil
		case b == '"':
			out = append(out, '"')
		default:
			return "", false, errQuote
		}
	}
}

func ignoreEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // the bare EOF is the proper end
		return nil
	}
	return err
}
