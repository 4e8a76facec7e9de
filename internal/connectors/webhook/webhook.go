// Package webhook delivers records to any HTTP endpoint as JSON batches.
//
// The requests and answers are described in the README, which is the contract with receivers. A receiver that answers nothing
// but a 2xx is enough; one that answers an outcome per row gets every row accounted for.
package webhook

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/connectors/webhook/webhooktest"
	"github.com/upwelldata/upwell/internal/fault"
)

// Defaults and bounds of settings.
const (
	defaultTimeout     = 30 * time.Second
	maxTimeout         = 10 * time.Minute
	defaultRows        = 100
	mostRows           = 10_000
	defaultBytes       = 1 << 20
	mostBytes          = 256 << 20
	defaultConcurrency = 8
	mostConcurrency    = 256
)

// Connector is the registration of the type "webhook".
func Connector() connector.DestinationConnector {
	return connector.DestinationConnector{
		Spec: spec(),
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Destination, error) {
			return open(cfg, env)
		},
		Sandbox: func(_ context.Context, listen string) (connector.Sandbox, error) { return webhooktest.Start(listen) },
	}
}

func spec() connector.Spec {
	text := connector.TypeString
	return connector.Spec{
		Type: "webhook", Title: "Webhook", HTTP: true, FreeObject: true, NoMatch: true, Sandbox: true, Timeout: defaultTimeout,
		Summary: "Sends batches of records as JSON to any HTTP endpoint, signed if you like.",
		Modes:   []connector.Mode{connector.ModeUpsert, connector.ModeUpdate, connector.ModeInsert, connector.ModeAppend, connector.ModeMirror},
		Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete, connector.RemovedClear},
		Settings: []connector.Setting{
			{Name: "url", Type: text, Required: true, Secret: true, Doc: "The endpoint; its query and long path segments are never shown.", Example: "https://example.com/hooks/upwell"},
			{Name: "method", Type: text, Default: http.MethodPost, Enum: []string{http.MethodPost, http.MethodPut, http.MethodPatch}, Doc: "The method of every request."},
			{Name: "headers", Type: connector.TypeMap, Doc: "Headers to send along; values that are references are never shown.", Example: "X-Team: revops"},
			{Name: "auth", Type: connector.TypeGroup, Doc: "How to log in.", Fields: []connector.Setting{
				{Name: "type", Type: text, Enum: []string{"none", "bearer", "basic", "header"}, Default: "none", Doc: "bearer needs token; basic needs username and password; header needs name and value."},
				{Name: "token", Type: text, Secret: true, Doc: "The bearer token.", Example: "${env:HOOK_TOKEN}"},
				{Name: "username", Type: text, Doc: "The user of basic authentication."},
				{Name: "password", Type: text, Secret: true, Doc: "The password of basic authentication.", Example: "${env:HOOK_PASSWORD}"},
				{Name: "name", Type: text, Doc: "The header that carries the key.", Example: "X-Api-Key"},
				{Name: "value", Type: text, Secret: true, Doc: "The key.", Example: "${env:HOOK_KEY}"},
			}},
			{Name: "timeout", Type: connector.TypeDuration, Default: "30s", Doc: "How long one request may take, at most 10m."},
			{Name: "batch", Type: connector.TypeGroup, Doc: "How large one request may be.", Fields: []connector.Setting{
				{Name: "max_rows", Type: connector.TypeInt, Default: "100", Doc: "Rows per request, at most 10000."},
				{Name: "max_bytes", Type: connector.TypeSize, Default: "1MiB", Doc: "Bytes of a request's body."},
			}},
			{Name: "concurrency", Type: connector.TypeInt, Default: "8", Doc: "Requests at once; `limits` can tighten it."},
			{Name: "dedupe_window", Type: connector.TypeDuration, Doc: "How long the endpoint recognises an idempotency key; without it, inserts and events of unknown outcome are not sent again."},
			{Name: "signing_secret", Type: text, Secret: true, Doc: "Signs requests as Standard Webhooks describe: base64, with or without whsec_; several, separated by blanks, while rotating.", Example: "${env:HOOK_SIGNING_SECRET}"},
			{Name: "body", Type: connector.TypeCEL, Vars: templateVars, Doc: "The request's body instead of the standard one: an object or list is sent as JSON, a text as it is.", Example: `{"records": rows.map(r, r.fields)}`},
			{Name: "success", Type: connector.TypeCEL, Vars: answerVars, Doc: "Whether an answer says that the batch was taken, instead of any 2xx.", Example: "status == 200 && body.ok"},
			{Name: "results", Type: connector.TypeCEL, Vars: answerVars, Doc: "The outcomes in an answer, one per row in order, each with status delivered, rejected or retry.", Example: `body.items.map(i, {"status": i.ok ? "delivered" : "rejected", "message": i.error})`},
			{Name: "ca_file", Type: text, Doc: "A PEM file with further certificate authorities to trust, relative to the project.", Example: "certs/internal-ca.pem"},
		},
	}
}

// Destination is one endpoint.
type Destination struct {
	http    *httpkit.Client
	timeout time.Duration
	request httpkit.Request // method, headers, content type
	keyed   bool            // the user sends an Idempotency-Key header of their own
	account connector.Account
	op      connector.Operation
	dedupes time.Duration
	signer  *signer
	body    *template
	success *expression
	results *expression
	now     func() time.Time
}

var _ interface {
	connector.Destination
	connector.Sizer
	connector.Timed
} = (*Destination)(nil)

func open(cfg connector.Config, env connector.Env) (*Destination, error) {
	d := &Destination{timeout: cmp.Or(cfg.Duration("timeout"), defaultTimeout), dedupes: cfg.Duration("dedupe_window"), now: time.Now}
	if d.timeout > maxTimeout {
		return nil, setting("timeout %s is longer than %s", d.timeout, maxTimeout)
	}
	if !cfg.Has("url") {
		return nil, setting("url is missing")
	}
	var err error
	if d.op, err = operation(cfg); err != nil {
		return nil, err
	}
	ca := cfg.String("ca_file")
	if ca != "" && !filepath.IsAbs(ca) {
		ca = filepath.Join(env.ProjectDir, ca)
	}
	client, err := httpkit.New(httpkit.Options{
		BaseURL: cfg.String("url"), Gate: env.Gate, Timeout: d.timeout, AllowPrivate: cfg.Bool("allow_private"),
		Secrets: secrets(cfg), CAFile: ca,
	})
	if err != nil {
		return nil, err
	}
	if d.http, err = login(client, cfg); err != nil {
		return nil, err
	}
	if d.signer, err = newSigner(cfg.Secret("signing_secret")); err != nil {
		return nil, err
	}
	if err := d.headers(cfg); err != nil {
		return nil, err
	}
	if exposed(cfg) {
		return nil, setting("url begins with http://, and the credentials would travel for everybody to read").
			WithFix("Use https://; allow_private: true says that the network between is private.")
	}
	if d.body, err = newTemplate(cfg.String("body")); err != nil {
		return nil, err
	}
	if d.success, err = newExpression("success", cfg.String("success"), answerVars); err != nil {
		return nil, err
	}
	if d.results, err = newExpression("results", cfg.String("results"), answerVars); err != nil {
		return nil, err
	}
	d.account = account(cfg.String("url"))
	return d, nil
}

// exposed reports credentials that would travel without encryption through a network nobody called private. Addresses of private
// networks are not reached at all then, which the client says when it comes to that.
func exposed(cfg connector.Config) bool {
	u, err := url.Parse(cfg.String("url"))
	if err != nil || u.Scheme != "http" || cfg.Bool("allow_private") || u.Hostname() == "localhost" {
		return false
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()) {
		return false
	}
	kind := cfg.String("auth.type")
	return kind != "" && kind != "none"
}

func setting(format string, args ...any) *fault.Error {
	return fault.New(fault.ProjectValue, "the setting "+format, args...).NotLanded()
}

func operation(cfg connector.Config) (connector.Operation, error) {
	rows := cmp.Or(cfg.Int("batch.max_rows"), defaultRows)
	size := cmp.Or(cfg.Size("batch.max_bytes"), int64(defaultBytes))
	at := cmp.Or(cfg.Int("concurrency"), defaultConcurrency)
	switch {
	case rows < 1 || rows > mostRows:
		return connector.Operation{}, setting("batch.max_rows must be from 1 to %d, not %d", mostRows, rows)
	case size < 1024 || size > mostBytes:
		return connector.Operation{}, setting("batch.max_bytes must be from 1KiB to 256MiB, not %d bytes", size)
	case at < 1 || at > mostConcurrency:
		return connector.Operation{}, setting("concurrency must be from 1 to %d, not %d", mostConcurrency, at)
	}
	return connector.Operation{MaxRows: rows, MaxBytes: int(size), Concurrency: at}, nil
}

// secrets are the declared ones and the parts of the address that look like keys: many endpoints carry theirs in the path or
// the query. The address as a whole is not among them, so that messages can name the host.
func secrets(cfg connector.Config) []string {
	address := cfg.String("url")
	out := slices.DeleteFunc(cfg.Secrets(), func(s string) bool { return s == address })
	u, err := url.Parse(address)
	if err != nil {
		return append(out, address)
	}
	for _, values := range u.Query() {
		for _, v := range values {
			if len(v) >= 6 {
				out = append(out, v)
			}
		}
	}
	for part := range strings.SplitSeq(u.EscapedPath(), "/") {
		if len(part) >= 16 {
			out = append(out, part)
		}
	}
	return out
}

func login(c *httpkit.Client, cfg connector.Config) (*httpkit.Client, error) {
	need := func(names ...string) error {
		for _, n := range names {
			if cfg.Secret("auth." + n).Empty() {
				return setting("auth.%s is missing, which auth.type %s needs", n, cfg.String("auth.type"))
			}
		}
		return nil
	}
	switch cfg.String("auth.type") {
	case "bearer":
		return c.WithBearer(cfg.Secret("auth.token").Reveal()), need("token")
	case "basic":
		return c.WithBasic(cfg.String("auth.username"), cfg.Secret("auth.password").Reveal()), need("username", "password")
	case "header":
		return c.WithHeader(cfg.String("auth.name"), cfg.Secret("auth.value").Reveal()), need("name", "value")
	case "", "none":
		for _, n := range []string{"token", "username", "password", "name", "value"} {
			if !cfg.Secret("auth." + n).Empty() {
				return nil, setting("auth.type is missing beside auth.%s", n).WithFix("Set auth.type to bearer, basic or header.")
			}
		}
		return c, nil
	}
	return nil, setting("auth.type must be none, bearer, basic or header")
}

// ownHeaders are set by the transport or by signing.
var ownHeaders = []string{"Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Trailer", "Te", "Accept-Encoding"}

func (d *Destination) headers(cfg connector.Config) error {
	d.request = httpkit.Request{Method: cmp.Or(cfg.String("method"), http.MethodPost), Header: http.Header{}, ContentType: "application/json"}
	for name, value := range cfg.Map("headers") {
		key := http.CanonicalHeaderKey(name)
		switch {
		case slices.Contains(ownHeaders, key), d.signer != nil && strings.HasPrefix(key, "Webhook-"):
			return setting("headers: %s is set by Upwell itself", name)
		case key == "Content-Type":
			d.request.ContentType = value
			continue
		}
		d.keyed = d.keyed || key == "Idempotency-Key"
		d.request.Header.Set(key, value)
	}
	if d.request.Header.Get("Accept") == "" {
		d.request.Header.Set("Accept", "application/json")
	}
	return nil
}

func account(address string) connector.Account {
	u, err := url.Parse(address)
	if err != nil {
		return connector.Account{ID: address}
	}
	return connector.Account{ID: u.Host + "#" + strconv.FormatUint(xxh3.HashString(address), 36), Name: u.Host}
}

// Check sends HEAD to the endpoint, which changes nothing. Most receivers know only their own method, so any answer proves that
// the address is right, except one that refuses the login or says that the server is down.
func (d *Destination) Check(ctx context.Context) (connector.Account, error) {
	r := httpkit.Request{Method: http.MethodHead, Header: d.request.Header}
	resp, err := d.http.Do(ctx, r)
	if resp == nil {
		return connector.Account{}, err
	}
	switch resp.Status {
	case http.StatusUnauthorized, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return connector.Account{}, err
	}
	return d.account, nil
}

var offered = []connector.Op{connector.OpUpsert, connector.OpUpdate, connector.OpDelete, connector.OpClear, connector.OpInsert, connector.OpAppend}

// Objects echoes what is asked: an endpoint takes any object and field.
func (d *Destination) Objects(_ context.Context, names []string) ([]connector.Object, error) {
	out := make([]connector.Object, 0, len(names))
	for _, name := range names {
		o := connector.Object{Name: name, Label: name, Kind: connector.KindRecord, FreeField: true, NoNaN: true, Ops: map[connector.Op]connector.Operation{}}
		for _, op := range offered {
			// The whole record travels every time, so that the newest request says everything: repeating one is safe unless it creates.
			one := d.op
			one.Idempotent = op != connector.OpInsert && op != connector.OpAppend
			one.Dedupes = d.dedupes
			o.Ops[op] = one
		}
		out = append(out, o)
	}
	return out, nil
}

// Timeout is how long one request may take.
func (d *Destination) Timeout() time.Duration { return d.timeout }

// Close drops idle connections.
func (d *Destination) Close() error {
	d.http.Close()
	return nil
}
