// Package httpkit is the one HTTP client of the program. Every request of a connector goes through it, so that these promises
// are kept in one place: the gate is passed; one attempt is one request on the wire; an attempt ends in time; private
// addresses are not reached unasked; redirects are not followed; answers are capped; a failure says whether the request may
// have landed; no secret leaves in an error, an excerpt or a transcript.
package httpkit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

// Defaults of Options.
const (
	DefaultTimeout     = 30 * time.Second
	DefaultMaxResponse = 8 << 20
	DefaultMaxStream   = 4 << 30
)

// Options make a Client.
type Options struct {
	BaseURL      string         // absolute; relative request paths are appended to it
	Gate         connector.Gate // nil = open
	Timeout      time.Duration  // one attempt: connect, headers and body together; 0 = DefaultTimeout
	AllowPrivate bool           // loopback and private addresses may be reached; cloud metadata never
	Secrets      []string       // texts that must never be shown
	MaxResponse  int64          // bytes after decompression; 0 = DefaultMaxResponse
	UserAgent    string         // "" = upwell
	CAFile       string         // PEM file with further trusted roots, "" = the system's only
	// Feedback may add to what an answer teaches about limits: usage headers, a 403 that means throttled. Throttled,
	// RetryAfter, Failed and Latency are filled in before.
	Feedback func(*Response, *connector.Feedback)

	resolver *net.Resolver // tests
}

// Client sends requests to one tool. It is safe for concurrent use.
type Client struct {
	base        *url.URL
	gate        connector.Gate
	timeout     time.Duration
	maxResponse int64
	agent       string
	transport   *http.Transport
	red         *redactor
	auth        authenticator
	feedback    func(*Response, *connector.Feedback)
	now         func() time.Time
}

// New makes a client. It does not connect.
func New(o Options) (*Client, error) {
	base, err := checkURL(o.BaseURL)
	if err != nil { // the project's own setting, unlike an address a tool gives later
		f := *fault.As(err)
		f.Code = fault.ProjectValue
		return nil, &f
	}
	c := &Client{
		base: base, gate: o.Gate, timeout: o.Timeout, maxResponse: o.MaxResponse, agent: o.UserAgent,
		red: newRedactor(o.Secrets), feedback: o.Feedback, now: time.Now,
	}
	if c.gate == nil {
		c.gate = connector.OpenGate{}
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.maxResponse <= 0 {
		c.maxResponse = DefaultMaxResponse
	}
	if c.agent == "" {
		c.agent = "upwell"
	}
	roots, err := loadRoots(o.CAFile)
	if err != nil {
		return nil, err
	}
	c.transport = transport(o, c.timeout, roots)
	return c, nil
}

// Transport is for a vendor's library that insists on sending by itself: the same guard of addresses, the same trust, no proxy.
// Only Timeout (of connecting), AllowPrivate and CAFile of the options count; the library's requests pass no gate.
func Transport(o Options) (*http.Transport, error) {
	roots, err := loadRoots(o.CAFile)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return transport(o, o.Timeout, roots), nil
}

func transport(o Options, timeout time.Duration, roots *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second, Resolver: o.resolver, ControlContext: guard(o.AllowPrivate)}
	return &http.Transport{
		Proxy: nil, // a proxy would hide the real target from the guard
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &countedConn{Conn: conn}, nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    timeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        50 * time.Second, // below the usual 60 s of load balancers: fewer races with their closing
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		WriteBufferSize:        64 << 10,
	}
}

func loadRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Wrap(fault.ProjectReference, err, "reading the trusted certificates of ca_file").NotLanded()
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.ProjectValue, "ca_file %s holds no PEM certificate", file).NotLanded()
	}
	return pool, nil
}

// checkURL parses an absolute http or https address. Credentials in it are refused: they would travel into messages.
func checkURL(s string) (*url.URL, error) {
	bad := func(why string) (*url.URL, error) {
		return nil, fault.New(fault.DestConfig, "the address %s", why).WithFix("Write it as https://host/path.").NotLanded()
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return bad("cannot be parsed")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("must start with https:// or http://")
	case u.Hostname() == "":
		return bad("names no host")
	case u.User != nil:
		return bad("holds a user name or password; use the auth settings")
	case u.Port() == "0":
		return bad("has port 0")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// Request is one call.
type Request struct {
	Method string // "" = GET
	// Path is appended to the base address, already escaped; "" is the base address itself. URL, absolute, replaces both;
	// credentials are sent to it only when its scheme and host are those of the base address.
	Path, URL   string
	Query       url.Values // added to what Path or URL hold
	Header      http.Header
	Body        []byte // must not change until Do returns with SentWhole
	ContentType string
	Group       connector.Group
	NoAuth      bool                  // send no credentials
	Accept      func(status int) bool // statuses that are no failure; nil = 2xx
	MaxResponse int64                 // 0 = the client's
	Timeout     time.Duration         // 0 = the client's
}

// Response is an answer that was read to its end.
type Response struct {
	Status    int
	Header    http.Header
	Body      []byte // decompressed; nil after Stream, and when a refusal's body could not be read
	Latency   time.Duration
	SentWhole bool   // the request's body was written to its end and is no longer in use
	Call      string // "POST https://host/path", redacted
}

// OK reports a 2xx answer.
func (r *Response) OK() bool { return r.Status >= 200 && r.Status <= 299 }

// Do makes one attempt: one pass through the gate, one request on the wire, no retry. With WithAuth an expired token is
// refreshed and the request sent once more; that is a second attempt with its own pass.
//
// An answer whose status is not accepted gives a fault from Classify together with the answer, for connectors that know
// better. Other failures give a fault and no answer. Every fault says whether the request may have landed.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	return c.withAuth(ctx, r, func(cred credentials) (*Response, error) {
		return c.attempt(ctx, r, cred, func(resp *Response, body io.Reader, hint int64) error {
			limit := r.MaxResponse
			if limit <= 0 {
				limit = c.maxResponse
			}
			var err error
			resp.Body, err = readCapped(body, limit, hint)
			return err
		})
	})
}

// Stream is Do for large answers: read is called with the body of an accepted answer, decompressed and capped (MaxResponse,
// 0 = DefaultMaxStream). The reader fails with a fault where the answer is cut short; an answer without any mark of its end
// is refused. The attempt, its timeout and its place in the gate last until read returns.
func (c *Client) Stream(ctx context.Context, r Request, read func(*Response, io.Reader) error) (*Response, error) {
	return c.withAuth(ctx, r, func(cred credentials) (*Response, error) {
		return c.attempt(ctx, r, cred, func(resp *Response, body io.Reader, hint int64) error {
			if !accepted(r, resp.Status) {
				var err error
				resp.Body, err = readCapped(body, c.maxResponse, hint)
				return err
			}
			limit := r.MaxResponse
			if limit <= 0 {
				limit = DefaultMaxStream
			}
			s := &streamReader{r: body, left: limit, fail: func(err error) error { return c.readFault(ctx, resp, c.limit(r), err) }}
			if err := read(resp, s); err != nil {
				return stopped{err}
			}
			return nil
		})
	})
}

// Close drops idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Redact removes every known secret and whatever looks like a credential.
func (c *Client) Redact(s string) string { return c.red.redact(s) }

// Hide removes every known secret and leaves the rest alone: for codes, names of fields and ids a tool answers with.
func (c *Client) Hide(s string) string { return c.red.hide(s) }

// AddSecret makes a text learned later (a token) unprintable.
func (c *Client) AddSecret(s string) { c.red.add(s) }

// limit is how long an attempt may take.
func (c *Client) limit(r Request) time.Duration {
	if r.Timeout > 0 {
		return r.Timeout
	}
	return c.timeout
}

func accepted(r Request, status int) bool {
	if r.Accept != nil {
		return r.Accept(status)
	}
	return status >= 200 && status <= 299
}

// target builds the address of a request and says whether credentials may go there.
func (c *Client) target(r Request, base *url.URL) (*url.URL, bool, error) {
	u := base
	switch {
	case r.URL != "":
		abs, err := checkURL(r.URL)
		if err != nil {
			return nil, false, err
		}
		u = abs
	case r.Path != "":
		path := r.Path
		if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "?") {
			path = "/" + path
		}
		abs, err := checkURL(base.Scheme + "://" + base.Host + strings.TrimSuffix(base.EscapedPath(), "/") + path)
		if err != nil {
			return nil, false, err
		}
		u = abs
	}
	own := u.Scheme == base.Scheme && strings.EqualFold(u.Host, base.Host)
	if len(r.Query) > 0 {
		copied := *u
		if copied.RawQuery != "" {
			copied.RawQuery += "&"
		}
		copied.RawQuery += r.Query.Encode()
		u = &copied
	}
	return u, own, nil
}
