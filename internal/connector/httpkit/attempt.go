package httpkit

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// errAgain stops net/http from sending a request a second time.
var errAgain = errors.New("the connection broke while the request was under way")

// stopped carries an error of a Stream callback past the classification of transport errors.
type stopped struct{ error }

func (s stopped) Unwrap() error { return s.error }

// reading takes the body of an answer; length is what was announced, or -1.
type reading func(resp *Response, body io.Reader, length int64) error

// attempt passes the gate and sends one request. read takes the body of the answer.
func (c *Client) attempt(ctx context.Context, r Request, cred credentials, read reading) (*Response, error) {
	base := c.base
	if cred.base != "" {
		var err error
		if base, err = checkURL(cred.base); err != nil {
			return nil, err
		}
	}
	u, own, err := c.target(r, base)
	if err != nil {
		return nil, err
	}
	if !own {
		cred.header = nil
	}
	req, err := c.request(r, u, cred.header)
	if err != nil {
		return nil, err
	}
	if err := c.gate.Enter(ctx, r.Group); err != nil {
		return nil, gateFault(err)
	}
	var fb connector.Feedback
	defer func() { c.gate.Leave(r.Group, fb) }() // also when a callback panics

	start := c.now()
	resp, err := c.roundTrip(ctx, r, req, c.limit(r), read)
	fb.Latency = c.now().Sub(start)
	if resp != nil {
		resp.Latency = fb.Latency
		fb.Throttled, fb.RetryAfter, fb.Failed = throttleSigns(resp, c.now())
		if c.feedback != nil {
			c.feedback(resp, &fb)
		}
	} else {
		fb.Failed = transientFailure(err)
	}
	return resp, err
}

// request builds the request by hand: without GetBody net/http cannot send a body twice, and a bytes.Reader inside NopCloser
// leaves in one write with its headers.
func (c *Client) request(r Request, u *url.URL, auth http.Header) (*http.Request, error) {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	if !isToken(method) {
		return nil, fault.New(fault.DestConfig, "the method %q is not an HTTP method", method).NotLanded()
	}
	h := make(http.Header, len(r.Header)+len(auth)+3)
	for _, from := range []http.Header{r.Header, auth} {
		for k, vs := range from {
			for _, v := range vs {
				if !isToken(k) || !isFieldValue(v) {
					return nil, fault.New(fault.DestConfig, "the header %q has a name or value that HTTP does not allow", k).
						WithFix("Remove line breaks and control characters from it.").NotLanded()
				}
			}
			h[http.CanonicalHeaderKey(k)] = vs
		}
	}
	if h.Get("User-Agent") == "" {
		h["User-Agent"] = []string{c.agent}
	}
	if r.ContentType != "" {
		h["Content-Type"] = []string{r.ContentType}
	}
	req := &http.Request{
		Method: method, URL: u, Host: u.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if host := h.Get("Host"); host != "" {
		req.Host = host
		delete(h, "Host")
	}
	if len(r.Body) > 0 {
		req.Body = io.NopCloser(bytes.NewReader(r.Body))
		req.ContentLength = int64(len(r.Body))
	}
	return req, nil
}

// wire is what is known of one request's way through the connection.
type wire struct {
	conn    *countedConn // nil for HTTP/2
	start   int64        // bytes written on conn before this request
	dials   atomic.Int32
	got     atomic.Bool // a connection was ready
	headers atomic.Bool // headers were handed to it
	whole   atomic.Bool // everything was written
}

// sent reports whether anything of the request may have left.
func (w *wire) sent() bool {
	if !w.got.Load() {
		return false
	}
	if w.conn != nil {
		return w.conn.written.Load() > w.start
	}
	return w.headers.Load()
}

func (w *wire) trace(cancel context.CancelCauseFunc) *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) {
			if w.dials.Add(1) > 1 && w.sent() {
				cancel(errAgain) // net/http is about to repeat a request that may have landed
			}
		},
		GotConn: func(info httptrace.GotConnInfo) {
			again := w.sent()
			w.conn = nil
			conn := info.Conn
			if t, ok := conn.(*tls.Conn); ok {
				if t.ConnectionState().NegotiatedProtocol == "h2" {
					conn = nil
				} else {
					conn = t.NetConn()
				}
			}
			if cc, ok := conn.(*countedConn); ok {
				if again {
					cc.refuse.Store(true)
				}
				w.conn, w.start = cc, cc.written.Load()
				if again {
					w.start = -1 // stays sent
				}
			}
			w.got.Store(true)
		},
		WroteHeaders: func() { w.headers.Store(true) },
		WroteRequest: func(i httptrace.WroteRequestInfo) { w.whole.Store(i.Err == nil) },
	}
}

// countedConn counts what is written, so that a failure before the first byte is known to have had no effect.
type countedConn struct {
	net.Conn
	written atomic.Int64
	refuse  atomic.Bool
}

// Write counts before it writes, because an attempt may end while a write is under way, and takes back what was not written.
func (c *countedConn) Write(b []byte) (int, error) {
	if c.refuse.Load() {
		return 0, errAgain
	}
	c.written.Add(int64(len(b)))
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n - len(b)))
	return n, err
}

func (c *Client) roundTrip(ctx context.Context, r Request, req *http.Request, timeout time.Duration, read reading) (*Response, error) {
	parent := ctx
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &wire{}
	req = req.WithContext(httptrace.WithClientTrace(ctx, w.trace(cancel)))
	call := c.red.redact(req.Method + " " + req.URL.Scheme + "://" + req.URL.Host + req.URL.EscapedPath())

	// RoundTrip and not http.Client: it follows no redirect and keeps no cookie.
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, c.sendFault(parent, call, timeout, w, err)
	}
	defer res.Body.Close()
	resp := &Response{Status: res.StatusCode, Header: res.Header, Call: call}
	ok := accepted(r, res.StatusCode)
	if ok {
		err = encoded(res)
	}
	if err == nil {
		err = read(resp, bodyOf(res), res.ContentLength)
	}
	resp.SentWhole = w.whole.Load()
	var own stopped
	switch {
	case errors.As(err, &own):
		return resp, own.error
	case err != nil && ok:
		return nil, c.readFault(parent, resp, timeout, err)
	case err != nil:
		resp.Body = nil // the status was read; its words were not
	}
	if ok {
		return resp, nil
	}
	return resp, c.Fault(resp)
}

// bodyOf turns a body that only the end of the connection ends into one that says so.
func bodyOf(res *http.Response) io.Reader {
	if res.ProtoMajor == 1 && res.ContentLength < 0 && len(res.TransferEncoding) == 0 && !res.Uncompressed && res.Body != http.NoBody {
		return endless{res.Body}
	}
	return res.Body
}

// endless marks a body without length and without an end mark.
type endless struct{ io.Reader }

// encoded refuses an encoding that was not asked for: gzip is asked for and undone by net/http.
func encoded(res *http.Response) error {
	if e := res.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return errors.New("it is encoded as " + e + ", which was not asked for")
	}
	return nil
}

// sendFault explains a request without an answer.
func (c *Client) sendFault(parent context.Context, call string, timeout time.Duration, w *wire, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		copied := *f
		copied.Message = call + ": " + f.Message
		return copied.NotLanded()
	}
	sent := w.sent()
	landed := func(e *fault.Error) error {
		if !sent {
			e.Landed = fault.LandedNo
		}
		return e
	}
	switch {
	case parent.Err() != nil:
		return landed(c.wrap(fault.Cancelled, parent.Err(), call+": interrupted"))
	case isTimeout(err) && sent:
		return c.wrap(fault.DestTimeout, context.DeadlineExceeded, call+": no answer within "+timeout.String())
	case isTimeout(err):
		return landed(c.wrap(fault.DestUnreachable, context.DeadlineExceeded, call+": no connection within "+timeout.String()))
	case !w.got.Load() && !isNetwork(err):
		return landed(c.wrap(fault.DestTLS, err, call+": agreeing on an encrypted connection"))
	case sent && isGarbage(err):
		return c.wrap(fault.DestAnswer, err, call+": reading the answer's headers")
	case sent:
		return c.wrap(fault.DestUnreachable, err, call+": the connection broke before the answer")
	}
	return landed(c.wrap(fault.DestUnreachable, err, call+": connecting"))
}

// readFault explains an answer that began and was not read to its end.
func (c *Client) readFault(parent context.Context, resp *Response, timeout time.Duration, err error) error {
	switch {
	case parent.Err() != nil:
		return c.wrap(fault.Cancelled, parent.Err(), resp.Call+": interrupted while reading the answer")
	case isTimeout(err):
		return c.wrap(fault.DestTimeout, context.DeadlineExceeded, resp.Call+": the answer was not complete within "+timeout.String())
	}
	return c.answerFault(resp, err)
}

func (c *Client) answerFault(resp *Response, err error) error {
	return c.wrap(fault.DestAnswer, err, resp.Call+": reading the answer")
}

// wrap makes a fault whose text is redacted and whose cause keeps only well-known errors, never texts of the other side.
func (c *Client) wrap(code fault.Code, err error, doing string) *fault.Error {
	e := fault.New(code, "%s", c.red.redact(doing+": "+describe(err)))
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, io.ErrUnexpectedEOF, syscall.ECONNREFUSED, syscall.ECONNRESET} {
		if errors.Is(err, known) {
			e.Cause = known
		}
	}
	return e
}

func describe(err error) string {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it was cut short"
	case errors.Is(err, io.EOF):
		return "the other side closed the connection"
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "looking up " + dns.Name + ": " + dns.Err
	}
	return strings.TrimPrefix(err.Error(), "net/http: ")
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// isNetwork tells failures of the network from failures of trust, for errors before a connection was ready.
func isNetwork(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op != "remote error" && op.Op != "local error" // TLS alerts come as these
	}
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// isGarbage reports an answer that is no HTTP: something was read, and it was not understood. net/http has no types for these.
func isGarbage(err error) bool {
	for _, sign := range []string{"malformed", "response headers exceeded", "invalid", "unsupported", "bad Content-Length"} {
		if strings.Contains(err.Error(), sign) {
			return true
		}
	}
	return false
}

func transientFailure(err error) bool {
	f := fault.As(err)
	return f != nil && (f.GetClass() == fault.ClassTransient || f.Code == fault.DestTLS)
}

func gateFault(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		copied := *f
		return copied.NotLanded()
	}
	return fault.Wrap(fault.Cancelled, err, "waiting for the destination's limits").NotLanded()
}
