package snowflake

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
)

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func Test_a_part_is_inflated_where_its_first_bytes_say_so(t *testing.T) {
	text := strings.Repeat("rows and rows, ", 10_000)
	whole := zipped(t, text)
	for name, c := range map[string]struct {
		body, want string
		err        error
	}{
		"compressed":             {body: whole, want: text},
		"plain":                  {body: text, want: text},
		"empty":                  {},
		"one byte":               {body: "\x1f", want: "\x1f"},
		"cut in its first bytes": {body: whole[:5], err: io.ErrUnexpectedEOF},
		"cut":                    {body: whole[:len(whole)-9], want: text, err: io.ErrUnexpectedEOF},
		"another sum":            {body: whole[:len(whole)-8] + "\x00\x00\x00\x00" + whole[len(whole)-4:], want: text, err: errSum},
	} {
		got, err := io.ReadAll(&inflated{raw: io.NopCloser(strings.NewReader(c.body))})
		if string(got) != c.want && c.err == nil {
			t.Errorf("%s: %d bytes, not %d", name, len(got), len(c.want))
		}
		if (err == nil) != (c.err == nil) || c.err != nil && !errors.Is(err, c.err) && err.Error() != c.err.Error() {
			t.Errorf("%s: the error is %v, not %v", name, err, c.err)
		}
	}
}

var errSum = errors.New("gzip: invalid checksum")
