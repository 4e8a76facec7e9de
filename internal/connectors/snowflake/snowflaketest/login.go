package snowflaketest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/golang-jwt/jwt/v5"

	"github.com/upwelldata/upwell/internal/standin"
	"github.com/upwelldata/upwell/internal/warehousetest"
)

// session is one session of a client.
type session struct {
	id                                int64
	token, master                     string
	expired, dead                     bool // under Server.mu
	database, schema, warehouse, role string
	engine                            *warehousetest.Session
	open                              bool // a transaction is; statements of a session come one after another
	ctx                               context.Context
	stop                              context.CancelFunc

	mu      sync.Mutex
	queries map[string]*running // by request id and by query id
	kept    []*warehousetest.Result
}

// keep holds on to an answer that has links, and forgets old ones.
func (s *session) keep(r *warehousetest.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept = append(s.kept, r); len(s.kept) > 8 {
		go s.kept[0].Close() // it waits for whoever reads
		s.kept = s.kept[1:]
	}
}

func (s *session) end() {
	s.stop()
	s.engine.Close()
}

type loginRequest struct {
	Data struct {
		AccountName       string         `json:"ACCOUNT_NAME"`
		LoginName         string         `json:"LOGIN_NAME"`
		Password          string         `json:"PASSWORD"`
		Authenticator     string         `json:"AUTHENTICATOR"`
		Token             string         `json:"TOKEN"`
		SessionParameters map[string]any `json:"SESSION_PARAMETERS"`
		ClientEnvironment map[string]any `json:"CLIENT_ENVIRONMENT"`
	} `json:"data"`
}

// login signs a client in. Codes and messages are those of the server, as drivers' tests and Snowflake's pages show them.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var req loginRequest
	if err := readJSON(r, &req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if code, why := admitted(&req); code != "" {
		s.refuse(w, refusal{code: code, message: why})
		return
	}
	q := r.URL.Query()
	one := &session{
		token: id(), master: id(), database: fold(q.Get("databaseName")), schema: fold(q.Get("schemaName")),
		warehouse: fold(q.Get("warehouse")), role: fold(q.Get("roleName")), queries: map[string]*running{},
	}
	if one.role == "" {
		one.role = "PUBLIC"
	}
	if bad := s.defaults(r.Context(), one); bad != nil {
		s.refuse(w, *bad)
		return
	}
	one.ctx, one.stop = context.WithCancel(context.Background())
	s.mu.Lock()
	s.next++
	one.id = int64(s.next)
	s.sessions[one.token], s.masters[one.master] = one, one
	s.stats.Logins = append(s.stats.Logins, Login{Authenticator: req.Data.Authenticator, Parameters: req.Data.SessionParameters, Environment: req.Data.ClientEnvironment})
	s.mu.Unlock()
	s.succeed(w, map[string]any{
		"token": one.token, "masterToken": one.master, "validityInSeconds": 3600, "masterValidityInSeconds": 14400, "sessionId": one.id,
		"displayUserName": User, "serverVersion": "9.30.0", "firstLogin": false, "remMeToken": nil, "remMeValidityInSeconds": 0,
		"healthCheckInterval": 45, "parameters": parameters(req.Data.SessionParameters),
		"sessionInfo": map[string]any{"databaseName": null(one.database), "schemaName": null(one.schema), "warehouseName": null(one.warehouse), "roleName": one.role},
	})
}

// admitted checks the credentials; it gives the code of a refusal.
func admitted(req *loginRequest) (code, why string) {
	d := &req.Data
	wrong := "Incorrect username or password was specified."
	account, _, _ := strings.Cut(d.AccountName, ".")
	if !strings.EqualFold(account, Account) {
		return "390100", wrong
	}
	user := strings.EqualFold(d.LoginName, User)
	switch d.Authenticator {
	case "SNOWFLAKE_JWT":
		if err := checkJWT(d.Token); err != nil {
			return "390144", "JWT token is invalid. [" + err.Error() + "]"
		}
	case "PROGRAMMATIC_ACCESS_TOKEN":
		if d.Token != Token || !user {
			return "390100", "Programmatic access token is invalid."
		}
	case "OAUTH", "":
		switch {
		case d.Password != "" && (d.Password != Password || !user):
			return "390100", wrong
		case d.Password != "":
		case d.Token == StaleToken:
			return "390318", "OAuth access token expired. [" + id()[:8] + "]"
		case d.Token != OAuthToken:
			return "390303", "Invalid OAuth access token. [" + id()[:8] + "]"
		}
	default:
		return "390100", wrong
	}
	return "", ""
}

// checkJWT verifies signature, time and claims (https://docs.snowflake.com/en/developer-guide/sql-api/authenticating).
func checkJWT(token string) error {
	t, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return &userKey().PublicKey, nil }, jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired())
	if err != nil {
		return err
	}
	name := strings.ToUpper(Account) + "." + User
	issuer, err := t.Claims.GetIssuer()
	if err != nil {
		return err
	}
	subject, err := t.Claims.GetSubject()
	if err != nil {
		return err
	}
	if subject != name || issuer != name+"."+fingerprint(&userKey().PublicKey) {
		return fmt.Errorf("issuer %s, subject %s", issuer, subject)
	}
	return nil
}

// defaults opens the session's place. With CLIENT_VALIDATE_DEFAULT_PARAMETERS, names that are not there are refused at once.
func (s *Server) defaults(ctx context.Context, one *session) *refusal {
	missing := func(what, name string) *refusal {
		return &refusal{code: "390201", message: "The requested " + what + " does not exist or not authorized."}
	}
	if one.role != Role && one.role != "PUBLIC" {
		return &refusal{code: "390189", message: "Role '" + one.role + "' specified in the connect string does not exist or not authorized. Contact your local system administrator, or attempt to login with another role, e.g. PUBLIC."}
	}
	s.mu.Lock()
	_, known := s.warehouses[one.warehouse]
	s.mu.Unlock()
	if one.warehouse != "" && !known {
		return missing("warehouse", one.warehouse)
	}
	e, err := s.engine.Session(ctx)
	if err != nil {
		return &refusal{code: "390000", message: err.Error()}
	}
	one.engine = e
	if one.database == "" {
		return nil
	}
	if _, err := e.Exec(ctx, place(one.database, "main")); err != nil {
		e.Close()
		return missing("database", one.database)
	}
	if one.schema == "" {
		one.schema = Schema
	}
	if _, err := e.Exec(ctx, place(one.database, one.schema)); err != nil {
		e.Close()
		return missing("schema", one.schema)
	}
	return nil
}

// renew gives a session a new token for its master token.
func (s *Server) renew(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	one := s.masters[bearer(r)]
	if one == nil || one.dead {
		s.mu.Unlock()
		s.refuse(w, refusal{code: "390114", message: "Authentication token has expired. The user must authenticate again."})
		return
	}
	one.token, one.expired = id(), false
	s.sessions[one.token] = one
	s.mu.Unlock()
	s.succeed(w, map[string]any{"sessionToken": one.token, "masterToken": one.master, "validityInSecondsST": 3600, "validityInSecondsMT": 14400, "sessionId": one.id})
}

// logout ends a session.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	one := s.sessions[bearer(r)]
	if one != nil {
		delete(s.masters, one.master)
		for token, other := range s.sessions {
			if other == one {
				delete(s.sessions, token)
			}
		}
	}
	s.mu.Unlock()
	if one == nil {
		s.refuse(w, refusal{code: "390111", message: "Session no longer exists.  New login required to access the service."})
		return
	}
	one.end()
	s.succeed(w, nil)
}

// of finds the session of a request; nil after it has answered why there is none.
func (s *Server) of(w http.ResponseWriter, r *http.Request) *session {
	s.mu.Lock()
	one := s.sessions[bearer(r)]
	expired := one != nil && (one.expired || one.token != bearer(r))
	s.mu.Unlock()
	switch {
	case one == nil:
		s.refuse(w, refusal{code: "390111", message: "Session no longer exists.  New login required to access the service."})
	case expired:
		s.refuse(w, refusal{code: "390112", message: "Your session has expired. Please login again."})
	default:
		return one
	}
	return nil
}

func bearer(r *http.Request) string {
	return strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Authorization"), `Snowflake Token="`), `"`)
}

// oauth is the token endpoint of a provider (RFC 6749, section 4.4).
func (s *Server) oauth(w http.ResponseWriter, r *http.Request) {
	user, secret, ok := r.BasicAuth()
	if err := r.ParseForm(); err != nil || !ok || user != ClientID || secret != ClientSecret || r.Form.Get("grant_type") != "client_credentials" {
		standin.Answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "the client is not known"})
		return
	}
	standin.Answer(w, http.StatusOK, map[string]any{"access_token": OAuthToken, "token_type": "Bearer", "expires_in": 600})
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// fold spells a name of a setting as the server does: upper case unless it is in quotes.
func fold(name string) string {
	if len(name) > 1 && name[0] == '"' && name[len(name)-1] == '"' {
		return encodeName(strings.ReplaceAll(name[1:len(name)-1], `""`, `"`))
	}
	return strings.ToUpper(name)
}

func readJSON(r *http.Request, v any) error {
	body, err := plainBody(r)
	if err != nil {
		return err
	}
	d := json.NewDecoder(io.LimitReader(body, 64<<20))
	return d.Decode(v)
}
