package redshift

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/fault"
)

// identity gets temporary database credentials for an IAM identity, one call at a time however many connections want them. AWS's
// library finds the identity and signs; the three calls themselves are a form and a document, for which the library's clients of the
// whole service would weigh more than this package.
// https://docs.aws.amazon.com/redshift/latest/mgmt/generating-user-credentials.html
type identity struct {
	client             *httpkit.Client
	tokens             *httpkit.Tokens
	base               string
	cluster, workgroup string
	region             string
	user, database     string
	duration           time.Duration
	profile            string
	static             aws.Credentials
	chain              aws.CredentialsProvider // found on first use
	now                func() time.Time
}

func newIdentity(cfg connector.Config, c *pgwire.Config) (*identity, error) {
	i := &identity{
		cluster: cfg.String("iam.cluster"), workgroup: cfg.String("iam.workgroup"), region: cfg.String("iam.region"), profile: cfg.String("iam.profile"),
		database: c.Database, duration: cfg.Duration("iam.duration"), now: time.Now,
		static: aws.Credentials{
			AccessKeyID: cfg.String("iam.access_key_id"), SecretAccessKey: cfg.String("iam.secret_access_key"), SessionToken: cfg.String("iam.session_token"),
		},
	}
	if cfg.Has("user") {
		i.user = cfg.String("user")
	}
	if i.duration == 0 {
		i.duration = 15 * time.Minute
	}
	switch {
	case i.cluster != "" && i.workgroup != "":
		return nil, fault.New(fault.ProjectValue, "redshift: `iam.cluster` and `iam.workgroup` are two things to log in to").WithFix("Keep one of them.")
	case i.workgroup != "" && i.user != "":
		return nil, fault.New(fault.ProjectValue, "redshift: with `iam.workgroup` the user is the IAM identity's own").WithFix("Remove `user`.")
	case (i.static.AccessKeyID == "") != (i.static.SecretAccessKey == ""):
		return nil, fault.New(fault.ProjectMissing, "redshift: `iam.access_key_id` and `iam.secret_access_key` go together")
	case i.duration < 15*time.Minute || i.duration > time.Hour:
		return nil, fault.New(fault.ProjectValue, "redshift: iam.duration must be from 15m to 1h")
	}
	if i.region == "" {
		i.region = regionOf(c.Host)
	}
	i.base = cfg.String("iam.endpoint")
	base := i.base
	if base == "" {
		base = "https://redshift.amazonaws.com" // the region's own takes its place once the region is known
	}
	var err error
	// The API may be reached by an address inside the network: that is what interface endpoints of a VPC are for.
	if i.client, err = httpkit.New(httpkit.Options{BaseURL: base, AllowPrivate: true, Secrets: cfg.Secrets()}); err != nil {
		return nil, fault.New(fault.ProjectValue, "redshift: iam.endpoint: %s", fault.As(err).Message)
	}
	i.tokens = httpkit.NewTokens(i.fetch)
	return i, nil
}

// regionOf reads the region out of a host name of Redshift: cluster.account.REGION.redshift.amazonaws.com.
func regionOf(host string) string {
	parts := strings.Split(host, ".")
	for n, p := range parts {
		if n > 0 && (p == "redshift" || p == "redshift-serverless") {
			return parts[n-1]
		}
	}
	return ""
}

// credentials gives a user and a password that is good for a while, and their generation.
func (i *identity) credentials(ctx context.Context) (user, password string, generation uint64, err error) {
	t, generation, err := i.tokens.Token(ctx)
	if err != nil {
		return "", "", 0, err
	}
	user, password, _ = strings.Cut(t.Value, "\n")
	return user, password, generation, nil
}

func (i *identity) fetch(ctx context.Context) (httpkit.Token, error) {
	keys, err := i.keys(ctx)
	if err != nil {
		return httpkit.Token{}, err
	}
	if i.workgroup != "" {
		return i.serverless(ctx, keys)
	}
	return i.provisioned(ctx, keys)
}

// keys finds the AWS identity: that of the settings, or what AWS's own configuration gives.
func (i *identity) keys(ctx context.Context) (aws.Credentials, error) {
	if i.static.AccessKeyID != "" && i.region != "" {
		return i.static, nil
	}
	if i.chain == nil {
		options := []func(*config.LoadOptions) error{config.WithSharedConfigProfile(i.profile)}
		if i.region != "" {
			options = append(options, config.WithRegion(i.region))
		}
		c, err := config.LoadDefaultConfig(ctx, options...)
		if err != nil {
			return aws.Credentials{}, fault.New(fault.SourceAuth, "reading the AWS configuration: %s", err)
		}
		if i.region = c.Region; i.region == "" {
			return aws.Credentials{}, fault.New(fault.ProjectMissing, "redshift: no AWS region is known").WithFix("Set iam.region.")
		}
		i.chain = c.Credentials
	}
	if i.static.AccessKeyID != "" {
		return i.static, nil
	}
	keys, err := i.chain.Retrieve(ctx)
	if err != nil {
		return keys, fault.New(fault.SourceAuth, "finding AWS credentials: %s", err).
			WithFix("Set iam.access_key_id and iam.secret_access_key, or give the machine a role, or log in with the AWS command line.")
	}
	i.client.AddSecret(keys.SecretAccessKey)
	i.client.AddSecret(keys.SessionToken)
	return keys, nil
}

// provisioned asks for credentials of a cluster: for the named database user, or for that of the identity.
// https://docs.aws.amazon.com/redshift/latest/APIReference/API_GetClusterCredentials.html,
// .../API_GetClusterCredentialsWithIAM.html
func (i *identity) provisioned(ctx context.Context, keys aws.Credentials) (httpkit.Token, error) {
	action := "GetClusterCredentialsWithIAM"
	form := url.Values{
		"Version": {"2012-12-01"}, "ClusterIdentifier": {i.cluster}, "DbName": {i.database}, "DurationSeconds": {strconv.Itoa(int(i.duration / time.Second))},
	}
	if i.user != "" {
		action = "GetClusterCredentials"
		form.Set("DbUser", i.user)
		form.Set("AutoCreate", "false")
	}
	form.Set("Action", action)
	body, err := i.call(ctx, keys, "redshift", "redshift:"+action, httpkit.Request{
		Method: http.MethodPost, ContentType: "application/x-www-form-urlencoded; charset=utf-8", Body: []byte(form.Encode()),
	})
	if err != nil {
		return httpkit.Token{}, err
	}
	type given struct {
		User       string    `xml:"DbUser"`
		Password   string    `xml:"DbPassword"`
		Expiration time.Time `xml:"Expiration"`
	}
	var answer struct {
		Named given `xml:"GetClusterCredentialsResult"`
		IAM   given `xml:"GetClusterCredentialsWithIAMResult"`
	}
	if err := xml.Unmarshal(body, &answer); err != nil {
		return httpkit.Token{}, fault.New(fault.SourceUnreachable, "%s: the answer of AWS cannot be read: %s", action, err)
	}
	if answer.Named.User == "" {
		answer.Named = answer.IAM
	}
	return i.token(answer.Named.User, answer.Named.Password, answer.Named.Expiration)
}

// serverless asks for credentials of a workgroup.
// https://docs.aws.amazon.com/redshift-serverless/latest/APIReference/API_GetCredentials.html
func (i *identity) serverless(ctx context.Context, keys aws.Credentials) (httpkit.Token, error) {
	asked, err := json.Marshal(map[string]any{"workgroupName": i.workgroup, "dbName": i.database, "durationSeconds": int(i.duration / time.Second)})
	if err != nil {
		return httpkit.Token{}, err
	}
	body, err := i.call(ctx, keys, "redshift-serverless", "redshift-serverless:GetCredentials", httpkit.Request{
		Method: http.MethodPost, ContentType: "application/x-amz-json-1.1", Body: asked, Header: http.Header{"X-Amz-Target": {"RedshiftServerless.GetCredentials"}},
	})
	if err != nil {
		return httpkit.Token{}, err
	}
	var answer struct {
		User       string  `json:"dbUser"`
		Password   string  `json:"dbPassword"`
		Expiration float64 `json:"expiration"` // seconds since 1970
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return httpkit.Token{}, fault.New(fault.SourceUnreachable, "GetCredentials: the answer of AWS cannot be read: %s", err)
	}
	sec, frac := math.Modf(answer.Expiration)
	return i.token(answer.User, answer.Password, time.Unix(int64(sec), int64(frac*1e9)))
}

func (i *identity) token(user, password string, expires time.Time) (httpkit.Token, error) {
	if user == "" || password == "" {
		return httpkit.Token{}, fault.New(fault.SourceUnreachable, "the answer of AWS holds no credentials")
	}
	i.client.AddSecret(password)
	return httpkit.Token{Value: user + "\n" + password, Expires: expires}, nil
}

// call signs and sends a request (Signature Version 4) and gives the body of a good answer.
func (i *identity) call(ctx context.Context, keys aws.Credentials, service, right string, r httpkit.Request) ([]byte, error) {
	if r.URL = i.base; r.URL == "" {
		domain := "amazonaws.com"
		if strings.HasPrefix(i.region, "cn-") {
			domain += ".cn"
		}
		r.URL = fmt.Sprintf("https://%s.%s.%s/", service, i.region, domain)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", r.ContentType)
	for k, v := range r.Header {
		req.Header[k] = v
	}
	sum := sha256.Sum256(r.Body)
	if err := v4.NewSigner().SignHTTP(ctx, keys, req, hex.EncodeToString(sum[:]), service, i.region, i.now()); err != nil {
		return nil, fault.New(fault.SourceAuth, "signing a request to AWS: %s", i.client.Redact(err.Error()))
	}
	r.Header, r.NoAuth = req.Header, true
	r.Accept = func(int) bool { return true }
	resp, err := i.client.Do(ctx, r)
	if err != nil {
		f := fault.As(err)
		if f.GetClass() == fault.ClassCancelled {
			return nil, err
		}
		return nil, fault.New(fault.SourceUnreachable, "asking AWS for credentials: %s", f.Message)
	}
	if resp.OK() {
		return resp.Body, nil
	}
	return nil, i.refusal(resp, right)
}

// refusal explains an answer that is an error. Throttling and outages pass; what is wrong with the identity does not.
func (i *identity) refusal(resp *httpkit.Response, right string) error {
	var x struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	var j struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	switch {
	case json.Unmarshal(resp.Body, &j) == nil && j.Type != "":
		x.Code, x.Message = j.Type[strings.LastIndexByte(j.Type, '#')+1:], j.Message
	case xml.Unmarshal(resp.Body, &x) != nil:
		x.Code, x.Message = "", ""
	}
	says := i.client.Hide(strings.TrimSpace(x.Code + ": " + x.Message))
	switch {
	case strings.HasSuffix(x.Code, "NotFound") || strings.HasSuffix(x.Code, "NotFoundFault") || x.Code == "ResourceNotFoundException":
		return fault.New(fault.SourceUnreachable, "AWS knows no such cluster or workgroup in %s: %s", i.region, says).WithFix("Check iam.cluster or iam.workgroup, and iam.region.")
	case strings.HasPrefix(x.Code, "AccessDenied"):
		return fault.New(fault.SourceAuth, "AWS refused temporary credentials: %s", says).WithFix("Give the IAM identity the right %s on the cluster or workgroup.", right)
	case resp.Status == http.StatusBadRequest && strings.HasPrefix(x.Code, "Throttling"), resp.Status >= 500, resp.Status == http.StatusTooManyRequests:
		return fault.New(fault.SourceUnreachable, "AWS gives no credentials now (status %d): %s", resp.Status, says)
	}
	return fault.New(fault.SourceAuth, "AWS refused temporary credentials (status %d): %s", resp.Status, says).
		WithFix("Check the access key, its session token and the machine's clock; the identity needs %s.", right)
}
