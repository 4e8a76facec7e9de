package databrickstest

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// token is the sign-in of service principals: client credentials by Basic, scope all-apis
// (https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	id, idErr := url.QueryUnescape(id)
	secret, secretErr := url.QueryUnescape(secret)
	switch {
	case r.ParseForm() != nil || r.PostForm.Get("grant_type") != "client_credentials":
		answer(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type", "error_description": "grant_type must be client_credentials"})
		return
	case r.PostForm.Get("scope") != "all-apis":
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_scope", "error_description": "scope must be all-apis"})
		return
	case !basic || idErr != nil || secretErr != nil || id != ClientID || secret != ClientSecret:
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "Client authentication failed"})
		return
	}
	token := "eyJ-stand-in-" + random(16)
	s.mu.Lock()
	s.tokens[token] = time.Now().Add(s.TokenLife)
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(s.TokenLife / time.Second), "scope": "all-apis"})
}

// signed lets requests through that carry a good token.
func (s *Server) signed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		until, issued := s.tokens[token]
		s.mu.Unlock()
		switch {
		case !ok:
			refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED", "Request does not have valid authentication credentials.")
		case token == Token:
			next(w, r)
		case strings.HasPrefix(token, "dapi"):
			// An unknown personal token is a 403 whose code is a number.
			answer(w, http.StatusForbidden, map[string]any{"error_code": 403, "message": "Invalid access token."})
		case !issued, !time.Now().Before(until):
			refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type for this API. Token is expired.")
		default:
			next(w, r)
		}
	}
}
