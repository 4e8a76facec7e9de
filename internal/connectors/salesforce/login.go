package salesforce

import (
	"context"
	"crypto/rsa"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
)

// login gets access tokens by one of three flows. httpkit calls fetch from one goroutine at a time.
type login struct {
	client   *httpkit.Client // without credentials
	tokenURL string
	clientID string
	secret   connector.Secret
	private  bool
	secure   bool // the configured address is https: an answer may not lead to http

	key      *rsa.PrivateKey // JWT
	username string
	audience string

	refresh *refreshToken // nil in the other flows
	learned func(org string)
	now     func() time.Time
}

func newLogin(cfg connector.Config, env connector.Env, client *httpkit.Client, base *url.URL) (*login, error) {
	l := &login{
		client: client, clientID: cfg.String("client_id"), secret: cfg.Secret("client_secret"), private: cfg.Bool("allow_private"),
		secure: base.Scheme == "https", now: time.Now,
	}
	l.tokenURL = base.Scheme + "://" + base.Host + "/services/oauth2/token"
	if s := cfg.String("token_url"); s != "" {
		u, err := checkAddress("token_url", s, l.private)
		if err != nil {
			return nil, err
		}
		l.tokenURL = u.String()
		base = u
	}
	jwtKey := cfg.Secret("jwt.private_key")
	refresh := cfg.Secret("refresh_token")
	switch {
	case l.clientID == "":
		return nil, fault.New(fault.ProjectMissing, "client_id is missing").NotLanded()
	case !jwtKey.Empty() && !refresh.Empty():
		return nil, setting("jwt and refresh_token are two ways to log in").WithFix("Keep one of them.")
	case !jwtKey.Empty():
		key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(jwtKey.Reveal()))
		if err != nil { // the library's words may hold parts of the key
			return nil, setting("jwt.private_key is not an RSA private key in PEM form").WithFix("Give the key whose certificate the external client app holds, without a pass phrase.")
		}
		if cfg.String("jwt.username") == "" {
			return nil, fault.New(fault.ProjectMissing, "jwt.username is missing").NotLanded()
		}
		l.key, l.username = key, cfg.String("jwt.username")
		// aud is the org's own address: external client apps refuse the generic login hosts
		// (https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm).
		if l.audience = cfg.String("jwt.audience"); l.audience == "" {
			l.audience = base.Scheme + "://" + base.Host
		}
	case cfg.Has("jwt.username"):
		return nil, fault.New(fault.ProjectMissing, "jwt.private_key is missing").NotLanded()
	case !refresh.Empty():
		l.refresh = newRefreshToken(env.StateDir, refresh.Reveal())
	case l.secret.Empty():
		return nil, fault.New(fault.ProjectMissing, "there is no way to log in: client_secret, jwt or refresh_token is needed").NotLanded()
	}
	return l, nil
}

// fetch gets an access token. Salesforce tells no lifetime: a token is used until it is refused.
func (l *login) fetch(ctx context.Context) (httpkit.Token, error) {
	switch {
	case l.refresh != nil:
		return l.fetchByRefreshToken(ctx)
	case l.key != nil:
		assertion, err := l.assertion()
		if err != nil {
			return httpkit.Token{}, err
		}
		l.client.AddSecret(assertion)
		t, _, err := l.call(ctx, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
		return t, err
	}
	t, _, err := l.call(ctx, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {l.clientID}, "client_secret": {l.secret.Reveal()},
	})
	return t, err
}

// assertion signs who logs in. It is good for three minutes: Salesforce wants a short life, clocks differ a little.
func (l *login) assertion() (string, error) {
	claims := jwt.MapClaims{"iss": l.clientID, "sub": l.username, "aud": l.audience, "exp": l.now().Add(3 * time.Minute).Unix()}
	s, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(l.key)
	if err != nil {
		return "", fault.New(fault.DestAuth, "signing the login assertion failed").NotLanded()
	}
	return s, nil
}

// fetchByRefreshToken uses the newest refresh token known. Where the org rotates them, the new one is on disk before the
// access token is used: a death in between would leave a project without any
// (https://help.salesforce.com/apex/HTViewHelpDoc?id=remoteaccess_oauth_refresh_token_flow.htm).
func (l *login) fetchByRefreshToken(ctx context.Context) (httpkit.Token, error) {
	used, err := l.refresh.current()
	if err != nil {
		return httpkit.Token{}, err
	}
	if err := l.refresh.ready(); err != nil {
		return httpkit.Token{}, err
	}
	t, rotated, err := l.try(ctx, used)
	if refusal(err) == "invalid_grant" {
		// Another process may have rotated it meanwhile: look once, then a person is needed.
		newer, readErr := l.refresh.current()
		if readErr != nil {
			return httpkit.Token{}, readErr
		}
		if newer == used {
			return httpkit.Token{}, err
		}
		used = newer
		t, rotated, err = l.try(ctx, used)
	}
	if err != nil {
		return httpkit.Token{}, err
	}
	if rotated != "" && rotated != used {
		l.client.AddSecret(rotated)
		if err := l.refresh.save(rotated); err != nil {
			return httpkit.Token{}, err
		}
	}
	return t, nil
}

func (l *login) try(ctx context.Context, refresh string) (httpkit.Token, string, error) {
	l.client.AddSecret(refresh)
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {l.clientID}, "refresh_token": {refresh}}
	if !l.secret.Empty() {
		form.Set("client_secret", l.secret.Reveal())
	}
	return l.call(ctx, form)
}

// loginRefusal is what the token endpoint said, kept behind the fault.
type loginRefusal string

func (r loginRefusal) Error() string { return string(r) }

func refusal(err error) string {
	if f := fault.As(err); f != nil {
		if r, ok := f.Cause.(loginRefusal); ok { //nolint:errorlint // set by call as the direct cause
			return string(r)
		}
	}
	return ""
}

func (l *login) call(ctx context.Context, form url.Values) (httpkit.Token, string, error) {
	resp, err := l.client.Do(ctx, httpkit.Request{
		Method: "POST", URL: l.tokenURL, NoAuth: true, Body: []byte(form.Encode()), ContentType: "application/x-www-form-urlencoded",
		Header: map[string][]string{"Accept": {"application/json"}},
		Accept: httpkit.Forgiving(400, 401, 403),
	})
	if err != nil {
		return httpkit.Token{}, "", err
	}
	var answer struct {
		AccessToken  string `json:"access_token"`
		InstanceURL  string `json:"instance_url"`
		ID           string `json:"id"`
		TokenType    string `json:"token_type"`
		RefreshToken string `json:"refresh_token"`
		Error        string `json:"error"`
		Description  string `json:"error_description"`
	}
	if err := l.client.JSON(resp, &answer); err != nil {
		return httpkit.Token{}, "", err
	}
	if !resp.OK() || answer.Error != "" || answer.AccessToken == "" {
		code := answer.Error
		if code == "" {
			code = "status " + strconv.Itoa(resp.Status)
		}
		f := fault.New(fault.DestAuth, "%s", l.client.Redact("logging in to Salesforce: "+code+": "+answer.Description)).NotLanded()
		f.Cause = loginRefusal(answer.Error)
		return httpkit.Token{}, "", f.WithFix("%s", remedy(answer.Error, answer.Description))
	}
	l.client.AddSecret(answer.AccessToken)
	if answer.InstanceURL != "" {
		u, err := url.Parse(answer.InstanceURL)
		if err == nil && l.secure && u.Scheme != "https" {
			return httpkit.Token{}, "", fault.New(fault.DestConfig, "the login named an address without encryption: %s", u.Redacted()).NotLanded()
		}
		if _, err := checkAddress("the instance_url of the login", answer.InstanceURL, l.private); err != nil {
			return httpkit.Token{}, "", err
		}
	}
	// The identity address ends in organisation and user: https://login.salesforce.com/id/00D…/005…
	if parts := strings.Split(strings.TrimSuffix(answer.ID, "/"), "/"); len(parts) >= 2 && strings.HasPrefix(parts[len(parts)-2], "00D") {
		l.learned(parts[len(parts)-2])
	}
	return httpkit.Token{Value: answer.AccessToken, BaseURL: answer.InstanceURL}, answer.RefreshToken, nil
}

// remedy says what to do about the refusals people meet
// (https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_flow_errors.htm).
func remedy(code, description string) string {
	if strings.Contains(description, "on this domain") { // client credentials at login.salesforce.com: "request not supported on this domain"
		code = "app_not_found"
	}
	switch code {
	case "invalid_grant":
		return "Log in again for a new refresh token; for jwt check username, audience, the app's certificate, that the user is pre-authorised, and this machine's clock."
	case "invalid_client", "invalid_client_id":
		return "Check client_id and client_secret, and that the external client app is enabled for the org."
	case "app_not_found":
		return "Use the org's My Domain address for instance_url and jwt.audience."
	case "unsupported_grant_type", "unauthorized_client", "inactive_user", "inactive_org":
		return "Enable this login flow in the external client app, and pick an active user for it."
	}
	return "Check the login settings with `upwell check --connect`."
}
