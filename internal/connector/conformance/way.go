package conformance

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// way stands between a connector and its stand-in: it passes requests on, counts them, and makes weather.
type way struct {
	url      string
	upstream *url.URL
	isWrite  func(*http.Request) bool
	client   *http.Transport

	mu       sync.Mutex
	requests int
	written  int
	biggest  int
	bad      *weather
}

// weather is what happens to the next requests that write.
type weather struct {
	times   int // -1 = until it clears
	status  int // answer so, and pass nothing on
	header  map[string]string
	body    []byte
	lost    bool                // pass on, then cut the connection without an answer
	silent  chan struct{}       // pass on, close the channel, then say nothing until the caller has had enough
	half    bool                // pass on, then send half of the answer and cut
	rewrite func([]byte) []byte // pass on, then send another answer
	met     int
}

func newWay(t testing.TB, upstream string, isWrite func(*http.Request) bool) *way {
	t.Helper()
	u, err := url.Parse(upstream)
	if err != nil || u.Host == "" {
		t.Fatalf("the stand-in's address is %q", upstream)
	}
	if isWrite == nil {
		isWrite = func(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }
	}
	w := &way{upstream: u, isWrite: isWrite, client: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	s := httptest.NewServer(w)
	t.Cleanup(s.Close)
	w.url = s.URL + u.EscapedPath()
	return w
}

// brew makes weather for the next requests that write.
func (w *way) brew(bad weather) *weather {
	w.mu.Lock()
	defer w.mu.Unlock()
	if bad.times == 0 {
		bad.times = 1
	}
	w.bad = &bad
	return w.bad
}

func (w *way) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = nil
}

func (w *way) count(writes bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if writes {
		return w.written
	}
	return w.requests
}

func (w *way) largest() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.biggest
}

// arrive counts a request and says what happens to it.
func (w *way) arrive(r *http.Request, size int) *weather {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests++
	if !w.isWrite(r) {
		return nil
	}
	w.written++
	w.biggest = max(w.biggest, size)
	if w.bad == nil || w.bad.times == 0 {
		return nil
	}
	w.bad.met++
	if w.bad.times > 0 {
		w.bad.times--
	}
	return w.bad
}

func (w *way) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	bad := w.arrive(r, len(body))
	if bad != nil && bad.status != 0 {
		for k, v := range bad.header {
			out.Header().Set(k, v)
		}
		out.WriteHeader(bad.status)
		_, _ = out.Write(bad.body) //nolint:errcheck // a caller that went away sees a cut answer
		return
	}
	status, header, answer, err := w.pass(r, body)
	if err != nil {
		out.WriteHeader(http.StatusBadGateway)
		return
	}
	if bad != nil && bad.lost {
		cut(out)
		return
	}
	if bad != nil && bad.silent != nil {
		close(bad.silent)
		<-r.Context().Done()
		return
	}
	if bad != nil && bad.rewrite != nil {
		answer = bad.rewrite(answer)
	}
	for k, v := range header {
		out.Header()[k] = v
	}
	out.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	out.WriteHeader(status)
	if bad != nil && bad.half {
		_, _ = out.Write(answer[:len(answer)/2])    //nolint:errcheck // it is to be cut
		_ = http.NewResponseController(out).Flush() //nolint:errcheck // it is to be cut
		cut(out)
		return
	}
	_, _ = out.Write(answer) //nolint:errcheck // a caller that went away sees a cut answer
}

// pass sends a request on to the stand-in. Where the stand-in names its own address, the answer names the way's.
func (w *way) pass(r *http.Request, body []byte) (int, http.Header, []byte, error) {
	u := *r.URL
	u.Scheme, u.Host = w.upstream.Scheme, w.upstream.Host
	req, err := http.NewRequestWithContext(r.Context(), r.Method, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header = r.Header.Clone()
	res, err := w.client.RoundTrip(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, nil, nil, err
	}
	own := w.upstream.Scheme + "://" + w.upstream.Host
	answer = bytes.ReplaceAll(answer, []byte(own), []byte(strings.TrimSuffix(w.url, w.upstream.EscapedPath())))
	res.Header.Del("Content-Length")
	return res.StatusCode, res.Header, answer, nil
}

// cut ends a connection in the middle.
func cut(out http.ResponseWriter) {
	conn, _, err := http.NewResponseController(out).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) //nolint:errcheck // a reset is only the harder way to cut
	}
	_ = conn.Close() //nolint:errcheck // cut
}

// bomb is a small gzip body of swellsTo bytes.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		panic(err)
	}
	block := bytes.Repeat([]byte(" "), 1<<20)
	for n := 0; n < swellsTo && err == nil; n += len(block) {
		_, err = z.Write(block)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		panic(err)
	}
	return b.Bytes()
})
