package httpkit

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
)

// authenticator gives the headers that carry credentials. refresh is called at most once per Do, after an answer that
// expired says means they are no longer good.
type authenticator interface {
	headers(ctx context.Context) (credentials, error)
	expired(*Response) bool
	refresh(ctx context.Context, generation uint64) error
}

// credentials are the headers of one attempt and the address they are for.
type credentials struct {
	header     http.Header
	base       string // "" = the client's
	generation uint64
}

func (c *Client) withAuth(ctx context.Context, r Request, send func(credentials) (*Response, error)) (*Response, error) {
	if r.NoAuth || c.auth == nil {
		return send(credentials{})
	}
	cred, err := c.auth.headers(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := send(cred)
	if resp == nil || !c.auth.expired(resp) {
		return resp, err
	}
	if refreshErr := c.auth.refresh(ctx, cred.generation); refreshErr != nil {
		return resp, refreshErr
	}
	if cred, err = c.auth.headers(ctx); err != nil {
		return resp, err
	}
	return send(cred)
}

// static is a fixed header.
type static http.Header

func (s static) headers(context.Context) (credentials, error) {
	return credentials{header: http.Header(s)}, nil
}

func (static) expired(*Response) bool                { return false }
func (static) refresh(context.Context, uint64) error { return nil }

// WithHeader gives a client that sends a fixed credential header. The value is never shown.
func (c *Client) WithHeader(name, value string) *Client {
	c.red.add(value)
	copied := *c
	h := http.Header{}
	if s, ok := c.auth.(static); ok {
		h = http.Header(s).Clone()
	}
	h.Set(name, value)
	copied.auth = static(h)
	return &copied
}

// WithBearer gives a client that sends a bearer token.
func (c *Client) WithBearer(token string) *Client {
	c.red.add(token)
	return c.WithHeader("Authorization", "Bearer "+token)
}

// WithBasic gives a client that sends a user name and password.
func (c *Client) WithBasic(user, password string) *Client {
	c.red.add(password)
	pair := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	c.red.add(pair)
	return c.WithHeader("Authorization", "Basic "+pair)
}

// Token is a credential with an end.
type Token struct {
	Value   string
	Type    string            // "" = Bearer
	Expires time.Time         // refreshed this side of it; zero = when refused
	BaseURL string            // where the tool wants its API called from now on, "" = the client's base address
	Header  map[string]string // further headers that go with it
}

// Tokens fetches tokens, one at a time however many requests want one.
type Tokens struct {
	fetch func(context.Context) (Token, error)
	now   func() time.Time

	mu         sync.Mutex
	token      Token
	generation uint64 // of token; 0 = none yet
	flight     *flight
	refused    error // why the last fetch was refused, and when
	refusedAt  time.Time
}

type flight struct {
	done chan struct{}
	err  error
}

const (
	expiryMargin = 30 * time.Second // a token is not used so close to its end
	refusedFor   = 30 * time.Second // a refused credential is not tried again at once: accounts get locked
	fetchLimit   = 2 * time.Minute
)

// NewTokens makes a token source. fetch gets a new token, by a client without auth or a request with NoAuth.
func NewTokens(fetch func(context.Context) (Token, error)) *Tokens {
	return &Tokens{fetch: fetch, now: time.Now}
}

// Token gives the current token and its generation, fetching it when there is none or it ends.
func (t *Tokens) Token(ctx context.Context) (Token, uint64, error) {
	t.mu.Lock()
	if t.generation > 0 && t.good() {
		defer t.mu.Unlock()
		return t.token, t.generation, nil
	}
	generation := t.generation
	t.mu.Unlock()
	if err := t.Refresh(ctx, generation); err != nil {
		return Token{}, 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token, t.generation, nil
}

func (t *Tokens) good() bool {
	return t.token.Expires.IsZero() || t.now().Before(t.token.Expires.Add(-expiryMargin))
}

// Refresh replaces the token of a generation. Of many callers with the same generation one fetches and all get its result; a
// caller with an older generation finds the work done.
func (t *Tokens) Refresh(ctx context.Context, generation uint64) error {
	t.mu.Lock()
	if t.generation != generation {
		t.mu.Unlock()
		return nil
	}
	if t.refused != nil && t.now().Sub(t.refusedAt) < refusedFor {
		defer t.mu.Unlock()
		return t.refused
	}
	f := t.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		t.flight = f
		go t.run(context.WithoutCancel(ctx), f) // one caller giving up must not fail the others
	}
	t.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fault.Wrap(fault.Cancelled, ctx.Err(), "waiting for a token").NotLanded()
	}
}

func (t *Tokens) run(ctx context.Context, f *flight) {
	ctx, stop := context.WithTimeout(ctx, fetchLimit)
	defer stop()
	token, err := t.fetch(ctx)
	if err == nil && token.Value == "" {
		err = fault.New(fault.DestAuth, "asking for a token: the answer holds none")
	}
	if err != nil {
		// Whatever became of the token call, the request that wanted it was not sent.
		var e *fault.Error
		if !errors.As(err, &e) {
			e = fault.Wrap(fault.DestAuth, err, "asking for a token")
		}
		copied := *e
		err = copied.NotLanded()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flight, t.refused = nil, nil
	if err == nil {
		t.token = token
		t.generation++
	} else if fault.As(err).GetClass() == fault.ClassAuth {
		t.refused, t.refusedAt = err, t.now()
	}
	f.err = err
	close(f.done)
}

type tokenAuth struct {
	tokens *Tokens
	stale  func(*Response) bool
	learn  func(string)
}

// WithAuth gives a client that sends the token of a source. An answer that expired says means the token is no longer good (nil
// = status 401) and that the request certainly had no effect: the token is refreshed once and the request sent once more.
func (c *Client) WithAuth(t *Tokens, expired func(*Response) bool) *Client {
	if expired == nil {
		expired = func(r *Response) bool { return r.Status == http.StatusUnauthorized }
	}
	copied := *c
	copied.auth = &tokenAuth{t, expired, c.red.add}
	return &copied
}

func (a *tokenAuth) headers(ctx context.Context) (credentials, error) {
	token, generation, err := a.tokens.Token(ctx)
	if err != nil {
		return credentials{}, err
	}
	a.learn(token.Value)
	kind := token.Type
	if kind == "" {
		kind = "Bearer"
	}
	h := http.Header{"Authorization": {kind + " " + token.Value}}
	for k, v := range token.Header {
		h.Set(k, v)
	}
	return credentials{h, token.BaseURL, generation}, nil
}

func (a *tokenAuth) expired(r *Response) bool { return a.stale(r) }
func (a *tokenAuth) refresh(ctx context.Context, generation uint64) error {
	return a.tokens.Refresh(ctx, generation)
}
