package databricks

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
)

// login gets access tokens for a service principal, which live for an hour
// (https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m). httpkit calls fetch from one goroutine at a time, half a minute
// before a token ends and whenever one is refused.
type login struct {
	client *httpkit.Client // without credentials
	id     string
	secret connector.Secret
	now    func() time.Time
}

func (l login) fetch(ctx context.Context) (httpkit.Token, error) {
	pair := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(l.id) + ":" + url.QueryEscape(l.secret.Reveal())))
	l.client.AddSecret(pair)
	asked := l.now()
	resp, err := l.client.Do(ctx, httpkit.Request{
		Method: http.MethodPost, Path: "/oidc/v1/token", NoAuth: true, ContentType: "application/x-www-form-urlencoded",
		Header: http.Header{"Authorization": {"Basic " + pair}, "Accept": {"application/json"}},
		Body:   []byte(url.Values{"grant_type": {"client_credentials"}, "scope": {"all-apis"}}.Encode()),
		Accept: httpkit.Forgiving(400, 401, 403),
	})
	if err != nil {
		return httpkit.Token{}, err
	}
	var answer struct {
		Token       string `json:"access_token"`
		Type        string `json:"token_type"`
		Seconds     int64  `json:"expires_in"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := l.client.JSON(resp, &answer); err != nil {
		return httpkit.Token{}, err
	}
	if !resp.OK() || answer.Token == "" {
		words := answer.Error
		if answer.Description != "" {
			words += ": " + answer.Description
		}
		if words == "" {
			words = http.StatusText(resp.Status)
		}
		return httpkit.Token{}, fault.New(fault.DestAuth, "%s", oneLine(l.client.Redact("asking for a token: "+words)))
	}
	l.client.AddSecret(answer.Token)
	t := httpkit.Token{Value: answer.Token}
	if answer.Seconds > 0 {
		t.Expires = asked.Add(time.Duration(answer.Seconds) * time.Second)
	}
	return t, nil
}
