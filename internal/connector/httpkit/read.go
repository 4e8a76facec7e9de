package httpkit

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// readCapped reads to the end, at most limit bytes; one byte more is an error. hint is the announced length, or -1.
func readCapped(r io.Reader, limit, hint int64) ([]byte, error) {
	if hint > limit {
		return nil, tooLarge(limit)
	}
	if hint < 0 {
		hint = 512
	}
	if e, ok := r.(endless); ok {
		r = e.Reader
	}
	b := make([]byte, 0, min(hint, 1<<20)+1) // a byte more, so that the end is seen without growing
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):min(int64(cap(b)), limit+1)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limit:
			return nil, tooLarge(limit)
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, err
		}
	}
}

func tooLarge(limit int64) error {
	return fmt.Errorf("it is larger than %d bytes", limit)
}

// streamReader caps a stream and turns its failures into faults.
type streamReader struct {
	r    io.Reader
	left int64
	fail func(error) error
}

// Read implements io.Reader.
func (s *streamReader) Read(p []byte) (int, error) {
	if _, ok := s.r.(endless); ok {
		return 0, s.fail(errors.New("nothing in it tells its end, so a cut could not be seen"))
	}
	if s.left == 0 {
		var one [1]byte
		n, err := s.r.Read(one[:])
		if n > 0 {
			return 0, s.fail(errors.New("it is larger than the cap"))
		}
		return 0, s.end(err)
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, s.end(err)
}

func (s *streamReader) end(err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // the bare EOF is the proper end
		return err
	}
	return s.fail(err)
}

// isToken reports an HTTP token: a method or header name. https://www.rfc-editor.org/rfc/rfc9110#name-tokens
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?={}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isFieldValue reports a header value without control characters, so that no data can start a header of its own.
func isFieldValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
