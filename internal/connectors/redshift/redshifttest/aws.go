package redshifttest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// AWS is a stand-in for the calls that give temporary credentials of a cluster or workgroup. What it gives, its server takes, until it
// expires: https://docs.aws.amazon.com/redshift/latest/mgmt/generating-user-credentials.html
type AWS struct {
	server   *http.Server
	listener net.Listener
	to       *Server

	mu        sync.Mutex
	lives     time.Duration
	role      string
	calls     int
	throttled int
	denied    bool
	wait      chan struct{}
}

// The identity the stand-in knows, and what it gives credentials of.
const (
	AccessKey    = "AKIDEXAMPLE"
	SessionToken = "session-token-canary-0815"
	Region       = "eu-west-1"
	Cluster      = "acme"
	Workgroup    = "acme-serverless"
)

// StartAWS serves the calls for a server, on a free port of loopback.
func StartAWS(ctx context.Context, to *Server) (*AWS, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &AWS{to: to, lives: 15 * time.Minute, listener: l}
	a.server = &http.Server{Handler: http.HandlerFunc(a.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = a.server.Serve(l) }() //nolint:errcheck // it ends by Close
	return a, nil
}

// URL is the endpoint.
func (a *AWS) URL() string { return "http://" + a.listener.Addr().String() }

// Close stops serving.
func (a *AWS) Close() error { return a.server.Close() }

// Lives makes credentials good for so long.
func (a *AWS) Lives(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lives = d
}

// Role gives the users that come the rights of a role.
func (a *AWS) Role(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.role = name
}

// Throttle refuses the next n calls: too many.
func (a *AWS) Throttle(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.throttled = n
}

// Deny takes the right to call.
func (a *AWS) Deny(is bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.denied = is
}

// Hold keeps answers back until the channel is closed.
func (a *AWS) Hold(until chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wait = until
}

// Calls counts what was asked.
func (a *AWS) Calls() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls
}

func (a *AWS) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.calls++
	wait, denied := a.wait, a.denied
	throttled := a.throttled > 0
	if throttled {
		a.throttled--
	}
	a.mu.Unlock()
	if wait != nil {
		<-wait
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	serverless := r.Header.Get("X-Amz-Target") == "RedshiftServerless.GetCredentials"
	service, right := "redshift", "redshift:GetClusterCredentials"
	if serverless {
		service, right = "redshift-serverless", "redshift-serverless:GetCredentials"
	}
	refuse := func(status int, code, words string) {
		if !serverless {
			w.Header().Set("Content-Type", "text/xml")
		}
		w.WriteHeader(status)
		if serverless {
			_ = json.NewEncoder(w).Encode(map[string]string{"__type": code + "Exception", "message": words}) //nolint:errcheck // the client is gone
			return
		}
		fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>", code, words) //nolint:gosec // G705: AWS's form of an error, which no browser shows
	}
	switch {
	case throttled:
		refuse(http.StatusBadRequest, "Throttling", "Rate exceeded")
	case !signed(r, service):
		refuse(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
	case denied:
		refuse(http.StatusForbidden, "AccessDenied", "User: arn:aws:iam::1:user/upwell is not authorized to perform: "+right)
	case serverless:
		a.serverless(w, body, refuse)
	default:
		a.provisioned(w, r, body, refuse)
	}
}

// signed checks that a request carries a signature of the known identity, for this service, region and day, over what must be signed.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
func signed(r *http.Request, service string) bool {
	h := r.Header.Get("Authorization")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		return false
	}
	scope := "AWS4-HMAC-SHA256 Credential=" + AccessKey + "/" + at.Format("20060102") + "/" + Region + "/" + service + "/aws4_request, "
	rest, ok := strings.CutPrefix(h, scope)
	headers, signature, ok2 := strings.Cut(rest, ", Signature=")
	return ok && ok2 && len(signature) == 64 && strings.Contains(headers, "host") && strings.Contains(headers, "x-amz-date") &&
		strings.Contains(headers, "x-amz-security-token") && r.Header.Get("X-Amz-Security-Token") == SessionToken
}

func (a *AWS) provisioned(w http.ResponseWriter, r *http.Request, body []byte, refuse func(int, string, string)) {
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if err := r.ParseForm(); err != nil {
		refuse(http.StatusBadRequest, "MalformedInput", "the form cannot be read")
		return
	}
	action, user := r.PostForm.Get("Action"), "IAM:"+r.PostForm.Get("DbUser")
	switch {
	case r.PostForm.Get("Version") != "2012-12-01":
		refuse(http.StatusBadRequest, "NoSuchVersion", "unknown version")
		return
	case r.PostForm.Get("ClusterIdentifier") != Cluster:
		refuse(http.StatusNotFound, "ClusterNotFound", "Cluster "+r.PostForm.Get("ClusterIdentifier")+" not found.")
		return
	case action == "GetClusterCredentialsWithIAM":
		user = "IAM:upwell-identity"
	case action != "GetClusterCredentials" || r.PostForm.Get("DbUser") == "":
		refuse(http.StatusBadRequest, "ValidationError", "the parameters are not those of the action")
		return
	}
	if n, err := strconv.Atoi(r.PostForm.Get("DurationSeconds")); err != nil || n < 900 || n > 3600 {
		refuse(http.StatusBadRequest, "ValidationError", "DurationSeconds must be from 900 to 3600")
		return
	}
	password, expires := a.give(user)
	var escaped strings.Builder
	if err := xml.EscapeText(&escaped, []byte(password)); err != nil {
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	//nolint:gosec // G705: AWS's form of an answer, which no browser shows
	fmt.Fprintf(w, `<%[1]sResponse xmlns="http://redshift.amazonaws.com/doc/2012-12-01/"><%[1]sResult><Expiration>%s</Expiration><DbUser>%s</DbUser><DbPassword>%s</DbPassword></%[1]sResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></%[1]sResponse>`,
		action, expires.UTC().Format(time.RFC3339Nano), user, escaped.String())
}

func (a *AWS) serverless(w http.ResponseWriter, body []byte, refuse func(int, string, string)) {
	var in struct {
		Workgroup string `json:"workgroupName"`
		Duration  int    `json:"durationSeconds"`
	}
	switch err := json.Unmarshal(body, &in); {
	case err != nil || in.Duration < 900 || in.Duration > 3600:
		refuse(http.StatusBadRequest, "Validation", "the parameters are not those of the call")
	case in.Workgroup != Workgroup:
		refuse(http.StatusBadRequest, "ResourceNotFound", "Workgroup "+in.Workgroup+" not found.")
	default:
		password, expires := a.give("IAM:upwell-identity")
		out := map[string]any{"dbUser": "IAM:upwell-identity", "dbPassword": password, "expiration": float64(expires.UnixMilli()) / 1000}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			return
		}
	}
}

// give makes a temporary password that the server takes.
func (a *AWS) give(user string) (string, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	password, expires := "temporary+"+rand.Text(), time.Now().Add(a.lives)
	a.to.SetUser(user, User{Password: password, Expires: expires, Role: a.role})
	return password, expires
}

// Host and port of a server's address, as settings.
func (s *Server) hostPort() (host, port string) {
	host, port, err := net.SplitHostPort(s.Addr())
	if err != nil { // a listener's address has both
		return s.Addr(), ""
	}
	return host, port
}

// Settings connect to the server as a user.
func (s *Server) Settings(user string) map[string]string {
	host, port := s.hostPort()
	u, _ := s.user(user)
	out := map[string]string{"host": host, "port": port, "user": user, "password": u.Password, "database": s.Database()}
	if s.o.TLS == nil {
		out["sslmode"] = "disable"
	}
	return out
}

// IAM gives settings that connect with temporary credentials of a cluster ("") or a workgroup.
func (a *AWS) IAM(workgroup bool) map[string]string {
	host, port := a.to.hostPort()
	out := map[string]string{
		"host": host, "port": port, "database": a.to.Database(), "sslmode": "disable", "iam.endpoint": a.URL(), "iam.region": Region,
		"iam.access_key_id": AccessKey, "iam.secret_access_key": "secret-key-canary-4711", "iam.session_token": SessionToken,
	}
	if workgroup {
		out["iam.workgroup"] = Workgroup
	} else {
		out["iam.cluster"] = Cluster
	}
	return out
}
