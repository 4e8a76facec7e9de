package bigquery

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/upwelldata/upwell/internal/fault"
)

// scope is that of BigQuery and of its Storage Read API; acting as another account needs the wider one.
// https://docs.cloud.google.com/bigquery/docs/authentication, https://docs.cloud.google.com/iam/docs/reference/credentials/rest
const (
	scope      = "https://www.googleapis.com/auth/bigquery"
	scopeCloud = "https://www.googleapis.com/auth/cloud-platform"
)

// leeway is how long before its end a token is not used any more.
const leeway = time.Minute

// tokens keeps one access token for all calls.
type tokens struct {
	fetch func(context.Context) (*oauth2.Token, error)
	login *http.Client

	mu  sync.Mutex
	now *oauth2.Token
}

// refused is a sign-in that the server answered with no.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// signIn prepares signing in; the first call signs in.
func (c *config) signIn(guarded *http.Transport) (*tokens, error) {
	t := &tokens{login: &http.Client{Timeout: 30 * time.Second, Transport: guarded}}
	want := scope
	if c.impersonate != "" {
		want = scopeCloud
	}
	base, err := c.base(context.WithValue(context.Background(), oauth2.HTTPClient, t.login), want)
	if err != nil {
		return nil, err
	}
	t.fetch = base
	if c.impersonate != "" {
		t.fetch = func(ctx context.Context) (*oauth2.Token, error) { return c.actAs(ctx, t.login, base) }
	}
	return t, nil
}

// base gives how to get a token of the credentials themselves. Default credentials are looked for at the first call.
func (c *config) base(ctx context.Context, want string) (func(context.Context) (*oauth2.Token, error), error) {
	if c.credentials == nil {
		return func(context.Context) (*oauth2.Token, error) {
			found, err := google.FindDefaultCredentials(ctx, want)
			if err != nil {
				return nil, refused{fmt.Errorf("there are no application default credentials: %w", err)}
			}
			return token(found.TokenSource)
		}, nil
	}
	var kind struct {
		Type       google.CredentialsType `json:"type"`
		PrivateKey string                 `json:"private_key"`
	}
	if err := json.Unmarshal(c.credentials, &kind); err != nil {
		return nil, fault.New(fault.ProjectValue, "the credentials of BigQuery are no JSON")
	}
	switch kind.Type {
	case google.ServiceAccount, google.AuthorizedUser, google.ExternalAccount, google.ExternalAccountAuthorizedUser, google.ImpersonatedServiceAccount:
	default:
		return nil, fault.New(fault.ProjectValue, "the credentials of BigQuery are of no known type").
			WithFix("Give the JSON key of a service account, or what `gcloud iam workload-identity-pools create-cred-config` writes.")
	}
	block, _ := pem.Decode([]byte(kind.PrivateKey))
	if _, err := google.CredentialsFromJSONWithType(ctx, c.credentials, kind.Type, want); err != nil || kind.Type == google.ServiceAccount && block == nil {
		return nil, fault.New(fault.ProjectValue, "the credentials of BigQuery cannot be used: their fields are not those of %s", kind.Type)
	}
	return func(context.Context) (*oauth2.Token, error) {
		found, err := google.CredentialsFromJSONWithType(ctx, c.credentials, kind.Type, want) // without the token of before
		if err != nil {
			return nil, err
		}
		return token(found.TokenSource)
	}, nil
}

// token tells a refusal from an outage.
func token(s oauth2.TokenSource) (*oauth2.Token, error) {
	t, err := s.Token()
	var re *oauth2.RetrieveError
	if errors.As(err, &re) && re.Response != nil && re.Response.StatusCode < http.StatusInternalServerError {
		var said struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		if json.Unmarshal(re.Body, &said) != nil || said.Error == "" {
			said.Error, said.Description = "status", strconv.Itoa(re.Response.StatusCode)
		}
		return nil, refused{errors.New(said.Error + ": " + said.Description)}
	}
	return t, err
}

// actAs gets a token of another service account.
// https://docs.cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
func (c *config) actAs(ctx context.Context, login *http.Client, base func(context.Context) (*oauth2.Token, error)) (*oauth2.Token, error) {
	own, err := base(ctx)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"scope": []string{scope}, "lifetime": "3600s"})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.iam+"/v1/projects/-/serviceAccounts/"+c.impersonate+":generateAccessToken", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	own.SetAuthHeader(req)
	req.Header.Set("Content-Type", "application/json")
	res, err := login.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	var answer struct {
		AccessToken string    `json:"accessToken"`
		ExpireTime  time.Time `json:"expireTime"`
		Error       struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(b, &answer); err != nil && res.StatusCode < http.StatusInternalServerError {
		return nil, fmt.Errorf("the answer to acting as %s is no JSON (status %d)", c.impersonate, res.StatusCode)
	}
	switch {
	case res.StatusCode >= http.StatusInternalServerError:
		return nil, fmt.Errorf("acting as %s: status %d", c.impersonate, res.StatusCode)
	case res.StatusCode != http.StatusOK || answer.AccessToken == "":
		return nil, refused{fmt.Errorf("acting as %s: %s", c.impersonate, answer.Error.Message)}
	}
	return &oauth2.Token{AccessToken: answer.AccessToken, TokenType: "Bearer", Expiry: answer.ExpireTime}, nil
}

// get gives a token that is good for a while.
func (t *tokens) get(ctx context.Context) (*oauth2.Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil && (t.now.Expiry.IsZero() || time.Until(t.now.Expiry) > leeway) {
		return t.now, nil
	}
	got, err := t.fetch(ctx)
	if err != nil {
		return nil, err
	}
	t.now = got
	return got, nil
}

// drop forgets a token that was refused.
func (t *tokens) drop(which string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil && t.now.AccessToken == which {
		t.now = nil
	}
}

// GetRequestMetadata gives every call of the Storage Read API its token.
func (t *tokens) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	got, err := t.get(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + got.AccessToken}, nil
}

// RequireTransportSecurity is false: addresses without TLS are on this machine, see config.addresses.
func (t *tokens) RequireTransportSecurity() bool { return false }
