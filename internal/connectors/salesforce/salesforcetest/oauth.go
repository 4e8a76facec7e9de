package salesforcetest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

// The stand-in's external client app and user. They guard nothing, so they are not secret.
const (
	ClientID     = "3MVG9upwell.sandbox.client"
	ClientSecret = "upwell-sandbox-client-secret"
	Username     = "integration@upwell.example"
)

// authority keeps the tokens the stand-in gave out.
type authority struct {
	key     func() *rsa.PrivateKey // made when first asked for: it takes a tenth of a second
	access  map[string]bool
	refresh string
	seq     int
}

func (a *authority) init() {
	a.key = sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic("salesforce stand-in: making a key: " + err.Error())
		}
		return key
	})
}

func (a *authority) reset() {
	a.access = map[string]bool{}
	a.refresh = a.token("5Aep861", "")
}

// token makes a token nobody can guess, in the shape Salesforce gives them: the organisation's id, "!", a long text.
func (a *authority) token(prefix, org string) string {
	a.seq++
	var b [24]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("%s%s!AQE%d%s", org, prefix, a.seq, hex.EncodeToString(b[:]))
}

// JWTKey is the PEM private key whose certificate the stand-in's app knows.
func (s *Server) JWTKey() string {
	der, err := x509.MarshalPKCS8PrivateKey(s.auth.key())
	if err != nil {
		panic("salesforce stand-in: writing a key: " + err.Error())
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// RefreshToken is the refresh token that works now.
func (s *Server) RefreshToken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.auth.refresh
}

// ExpireTokens ends every access token: requests are answered 401 INVALID_SESSION_ID.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.auth.access)
}

// RevokeRefreshToken ends the refresh token, as a user or an administrator can.
func (s *Server) RevokeRefreshToken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth.refresh = s.auth.token("revoked", "")
}

// oauth answers POST /services/oauth2/token (https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_flows.htm).
func (s *Server) oauth(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		oauthError(w, "invalid_request", "unreadable form")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	form := r.PostForm
	scope, rotated := "api", ""
	switch form.Get("grant_type") {
	case "client_credentials": // no refresh token: the app logs in again
		id, secret := form.Get("client_id"), form.Get("client_secret")
		if u, p, ok := r.BasicAuth(); ok {
			id, secret = u, p
		}
		switch {
		case id != ClientID:
			oauthError(w, "invalid_client_id", "client identifier invalid")
			return
		case secret != ClientSecret:
			oauthError(w, "invalid_client", "invalid client credentials")
			return
		}
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		if code, text := s.checkAssertion(form.Get("assertion")); code != "" {
			oauthError(w, code, text)
			return
		}
	case "refresh_token":
		switch {
		case form.Get("client_id") != ClientID:
			oauthError(w, "invalid_client_id", "client identifier invalid")
			return
		case form.Has("client_secret") && form.Get("client_secret") != ClientSecret:
			oauthError(w, "invalid_client", "invalid client credentials")
			return
		case form.Get("refresh_token") != s.auth.refresh:
			oauthError(w, "invalid_grant", "expired access/refresh token")
			return
		}
		scope = "refresh_token api"
		if s.cfg.rotate {
			s.auth.refresh = s.auth.token("5Aep861", "")
			rotated = s.auth.refresh
		}
	default:
		oauthError(w, "unsupported_grant_type", "grant type not supported")
		return
	}
	token := s.auth.token("", s.orgID[:15])
	s.auth.access[token] = true
	// No expires_in: a client learns of the end from 401.
	answer := map[string]string{
		"access_token": token, "instance_url": s.url, "id": s.url + "/id/" + s.orgID + "/" + s.userID, "token_type": "Bearer",
		"issued_at": strconv.FormatInt(s.now().UnixMilli(), 10), "signature": "c3RhbmQtaW4=", "scope": scope,
	}
	if rotated != "" {
		answer["refresh_token"] = rotated
	}
	writeJSON(w, 200, answer)
}

// checkAssertion verifies a JWT bearer assertion: RS256 by the app's certificate, iss the client id, sub the user, aud the
// authorization server, exp in the future (https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm).
func (s *Server) checkAssertion(assertion string) (code, text string) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(assertion, &claims, func(*jwt.Token) (any, error) { return &s.auth.key().PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(s.now), jwt.WithExpirationRequired())
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "invalid_grant", "expired authorization code"
	case err != nil:
		return "invalid_grant", "invalid assertion"
	case claims.Issuer != ClientID:
		return "invalid_client_id", "client identifier invalid"
	case claims.Subject != Username:
		return "invalid_grant", "user hasn't approved this consumer"
	case len(claims.Audience) != 1 || claims.Audience[0] != s.url:
		return "invalid_grant", "audience is invalid"
	}
	return "", ""
}

func oauthError(w http.ResponseWriter, code, text string) {
	writeJSON(w, 400, map[string]string{"error": code, "error_description": text})
}

// authorised reports whether the request has a living access token.
func (s *Server) authorised(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && s.auth.access[token]
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("salesforce stand-in: " + err.Error())
	}
	writeRaw(w, status, "application/json;charset=UTF-8", body)
}

func writeRaw(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:errcheck // the answer goes to a buffer first
}
