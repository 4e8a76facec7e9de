package httpkit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/fault"
)

// maxDepth is how deep an answer may nest.
const maxDepth = 128

// DecodeJSON reads one JSON document into v: nothing may follow it, its text must be valid UTF-8 (encoding/json would silently
// replace what is not), numbers into any become json.Number, and nesting is limited.
func DecodeJSON(body []byte, v any) error {
	if !utf8.Valid(body) {
		return errors.New("the JSON is not valid UTF-8")
	}
	if depth(body) > maxDepth {
		return fmt.Errorf("the JSON nests deeper than %d", maxDepth)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the JSON is empty")
		}
		return fmt.Errorf("reading JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON document")
	}
	return nil
}

func depth(b []byte) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// JSON decodes an answer by DecodeJSON. An HTML page or anything unreadable is a DESTINATION_ANSWER_UNREADABLE fault that may
// have landed: whoever answered so did not say what became of the request.
func (c *Client) JSON(r *Response, v any) error {
	if r.IsHTML() {
		return c.answerFault(r, errors.New("it is an HTML page where JSON was expected"))
	}
	if err := DecodeJSON(r.Body, v); err != nil {
		f := c.wrap(fault.DestAnswer, err, r.Call+": reading the answer")
		if words := c.Words(r, 200); words != "" {
			f.Message += ": " + words
		}
		return f
	}
	return nil
}

// MediaType is the answer's content type in lower case without parameters, "" when there is none.
func (r *Response) MediaType() string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		t, _, _ = strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";")
	}
	return strings.TrimSpace(t)
}

// SaysJSON reports a content type of JSON: application/json, application/problem+json and the like.
func (r *Response) SaysJSON() bool {
	t := r.MediaType()
	return t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json")
}

// IsHTML reports an HTML page, by content type or by its first characters: a proxy, a login page or a parked domain answers.
func (r *Response) IsHTML() bool {
	if t := r.MediaType(); t == "text/html" || t == "application/xhtml+xml" {
		return true
	}
	start := bytes.ToLower(bytes.TrimLeft(r.Body[:min(len(r.Body), 256)], "\xef\xbb\xbf \t\r\n"))
	return bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}
