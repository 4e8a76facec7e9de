package bigquerytest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Key is the JSON key of the service account. https://docs.cloud.google.com/iam/docs/keys-create-delete
func (s *Server) Key() string { return s.keyOf(s.key) }

// WrongKey is a key of the account that was never registered.
func (s *Server) WrongKey() (string, error) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	return s.keyOf(k), nil
}

func (s *Server) keyOf(k *rsa.PrivateKey) string {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		panic(err)
	}
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": Project, "private_key_id": "8f2c", "client_email": Account, "client_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "http://" + s.Addr() + "/token",
	})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// ExpireTokens makes every token given so far expire.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

func (s *Server) grant(kind string) (string, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, until := "ya29."+random(16), time.Now().Add(s.options.TokenLife)
	s.tokens[token] = until
	s.stats.Granted[kind]++
	return token, until
}

// token gives an access token for a signed assertion (RFC 7523).
// https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	no := func(words string) {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": words})
	}
	if r.PostForm.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		no("Unsupported grant type.")
		return nil
	}
	var claims struct {
		jwt.RegisteredClaims
		Scope string `json:"scope"`
	}
	_, err := jwt.ParseWithClaims(r.PostForm.Get("assertion"), &claims, func(*jwt.Token) (any, error) { return &s.key.PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(Account), jwt.WithExpirationRequired())
	if err != nil {
		no("Invalid JWT Signature.")
		return nil
	}
	if !strings.Contains(claims.Scope, "/auth/bigquery") && !strings.Contains(claims.Scope, "/auth/cloud-platform") {
		no("Invalid scope.")
		return nil
	}
	token, until := s.grant("key")
	answer(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(time.Until(until).Seconds())})
	return nil
}

// actAs gives a token of another account.
// https://docs.cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
func (s *Server) actAs(w http.ResponseWriter, r *http.Request) error {
	account, ok := strings.CutSuffix(r.PathValue("account"), ":generateAccessToken")
	if !s.known(r.Header.Get("Authorization")) {
		return unauthorized()
	}
	if !ok || account != Other {
		return &problem{http.StatusForbidden, "forbidden", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."}
	}
	token, until := s.grant("act")
	answer(w, http.StatusOK, map[string]any{"accessToken": token, "expireTime": until.UTC().Format(time.RFC3339)})
	return nil
}

func (s *Server) known(header string) bool {
	token, ok := strings.CutPrefix(header, "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	until, known := s.tokens[token]
	return ok && known && time.Now().Before(until)
}

func unauthorized() *problem {
	return &problem{http.StatusUnauthorized, "authError", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."}
}

func (s *Server) authorized(h func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !s.known(r.Header.Get("Authorization")) {
			return unauthorized()
		}
		if p := r.PathValue("project"); p != Project {
			return &problem{http.StatusForbidden, "accessDenied", fmt.Sprintf("Access Denied: Project %s: User does not have bigquery.jobs.create permission in project %s.", p, p)}
		}
		return h(w, r)
	}
}
