package snowflake

import (
	"bufio"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// isPart reports whether a request is for a part of an answer. Parts lie behind links of their own, often on other hosts
// (https://docs.snowflake.com/en/developer-guide/sql-api/handling-responses#getting-the-data-from-the-results shows the same links).
func isPart(r *http.Request) bool {
	path := r.URL.Path
	return r.Method == http.MethodGet && !strings.HasPrefix(path, "/queries/") && !strings.HasPrefix(path, "/monitoring/")
}

// asStored asks for a part as it is stored: compressed, and not inflated by the transport. The header is the one the transport
// would add by itself.
func asStored(r *http.Request) *http.Request {
	out := *r
	out.Header = r.Header.Clone()
	out.Header.Set("Accept-Encoding", "gzip")
	return &out
}

// inflated is a part's body, inflated here where it is compressed. The driver would do it with the standard library, which takes
// more than half of the processor time of the whole read. Whether it is compressed only its first bytes tell: the service
// does not always say so.
type inflated struct {
	raw  io.ReadCloser
	from io.Reader // nil before the first read
}

// Read gives the part's bytes. A stream that is cut ends with an error.
func (b *inflated) Read(p []byte) (int, error) {
	if b.from == nil {
		in := bufio.NewReaderSize(b.raw, 64<<10)
		b.from = in
		if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
			z, err := gzip.NewReader(in)
			if err != nil {
				return 0, err
			}
			b.from = z
		}
	}
	return b.from.Read(p)
}

// Close ends the download. It may be called while another goroutine reads.
func (b *inflated) Close() error { return b.raw.Close() }
