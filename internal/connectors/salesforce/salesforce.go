// Package salesforce writes to Salesforce: collections of up to 200 records for small changes, Bulk API 2.0 for large ones.
// The README says how to connect an org and what was proved against the stand-in only.
package salesforce

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/fault"
)

// defaultVersion is the version of the API spoken unless a project pins another: v66 is Spring '26
// (https://developer.salesforce.com/docs/atlas.en-us.244.0.api_asynch.meta/api_asynch/reference.htm).
const defaultVersion = "v66.0"

// requestTimeout is how long one call may take. Salesforce itself allows ten minutes; a collection of 200 records with triggers
// is done in seconds or has found a lock
// (https://developer.salesforce.com/docs/platform/salesforce-app-limits-cheatsheet/guide/salesforce-app-limits-platform-api.html).
const requestTimeout = 2 * time.Minute

// Connector is the registration of the type "salesforce".
func Connector() connector.DestinationConnector {
	return connector.DestinationConnector{
		Spec: spec(),
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Destination, error) {
			return open(cfg, env)
		},
		Sandbox: func(_ context.Context, listen string) (connector.Sandbox, error) { return salesforcetest.Start(listen) },
	}
}

func spec() connector.Spec {
	return connector.Spec{
		Type: "salesforce", Title: "Salesforce", APIVersion: defaultVersion, HTTP: true, Sandbox: true, Timeout: requestTimeout,
		Summary: "Writes Salesforce records by external id, in collections of 200 or by Bulk API 2.0.",
		Modes:   []connector.Mode{connector.ModeUpsert, connector.ModeUpdate, connector.ModeInsert, connector.ModeMirror},
		Removed: []connector.Removal{connector.RemovedKeep, connector.RemovedDelete, connector.RemovedClear},
		Settings: []connector.Setting{
			{Name: "instance_url", Type: connector.TypeString, Required: true, Doc: "The org's My Domain address.", Example: "https://acme.my.salesforce.com"},
			{Name: "client_id", Type: connector.TypeString, Required: true, Doc: "The consumer key of the external client app.", Example: "${env:SF_CLIENT_ID}"},
			{Name: "client_secret", Type: connector.TypeString, Secret: true, Doc: "The consumer secret: logs in by client credentials, or goes along with refresh_token.", Example: "${env:SF_CLIENT_SECRET}"},
			{Name: "jwt", Type: connector.TypeGroup, Doc: "Logs in by a signed assertion instead of a secret.", Fields: []connector.Setting{
				{Name: "username", Type: connector.TypeString, Doc: "The Salesforce user to act as.", Example: "integration@acme.com"},
				{Name: "private_key", Type: connector.TypeString, Secret: true, Doc: "The RSA private key in PEM form whose certificate the app holds.", Example: "${file:salesforce.key}"},
				{Name: "audience", Type: connector.TypeString, Doc: "Who the assertion is for; the address of token_url, or instance_url, when absent.", Example: "https://acme.my.salesforce.com"},
			}},
			{Name: "refresh_token", Type: connector.TypeString, Secret: true, Doc: "Logs in by a refresh token; rotated ones are kept in the state folder.", Example: "${env:SF_REFRESH_TOKEN}"},
			{Name: "token_url", Type: connector.TypeString, Doc: "The token endpoint, when it is not below instance_url.", Example: "https://acme.my.salesforce.com/services/oauth2/token"},
			{Name: "api_version", Type: connector.TypeString, Default: defaultVersion, Doc: "The version of the API.", Example: "v66.0"},
			{Name: "batch_size", Type: connector.TypeInt, Default: "200", Doc: "Records per collection, at most 200; fewer help where triggers are slow."},
			{Name: "concurrency", Type: connector.TypeInt, Default: "8", Doc: "Requests at once; an org allows 25 that take longer than 20 seconds, for everybody together."},
			{Name: "assignment_rules", Type: connector.TypeBool, Default: "true", Doc: "Whether the org's default assignment rules run; collections only."},
			{Name: "allow_duplicates", Type: connector.TypeBool, Default: "false", Doc: "Whether records that alerting duplicate rules report are saved all the same; collections only."},
			{Name: "bulk", Type: connector.TypeGroup, Doc: "When and how Bulk API 2.0 is used.", Fields: []connector.Setting{
				{Name: "above", Type: connector.TypeInt, Default: "2000", Doc: "Rows from which on a plan is sent as bulk jobs; 0 = never."},
				{Name: "max_rows", Type: connector.TypeInt, Default: "100000", Doc: "Rows of one job."},
				{Name: "max_bytes", Type: connector.TypeSize, Default: "100MB", Doc: "Bytes of one job, at most 100MB."},
			}},
			{Name: "ca_file", Type: connector.TypeString, Doc: "A PEM file with further certificate authorities to trust, relative to the project.", Example: "certs/internal-ca.pem"},
		},
	}
}

// Destination is one org.
type Destination struct {
	client  *httpkit.Client
	data    string // "/services/data/v66.0"
	tuning  tuning
	mu      sync.Mutex
	orgID   string
	host    string
	headers map[string]string // of collections
}

// tuning is what the settings say of sizes.
type tuning struct {
	batch, concurrency, above, jobRows, jobBytes int
}

var _ interface {
	connector.Destination
	connector.JobWriter
	connector.Reader
	connector.Sizer
} = (*Destination)(nil)

var versionForm = regexp.MustCompile(`^v?(\d\d)(\.0)?$`)

func open(cfg connector.Config, env connector.Env) (*Destination, error) {
	base, err := checkAddress("instance_url", cfg.String("instance_url"), cfg.Bool("allow_private"))
	if err != nil {
		return nil, err
	}
	if page(base.Hostname()) {
		return nil, setting("instance_url is the address of Salesforce's pages, not of its API").
			WithFix("Set the org's My Domain address, as in https://your-domain.my.salesforce.com: Setup, My Domain, Current My Domain URL.")
	}
	version := cfg.String("api_version")
	if version == "" {
		version = defaultVersion
	}
	m := versionForm.FindStringSubmatch(version)
	if m == nil {
		return nil, setting("api_version %q is not a version", version).WithFix("Write it as v66.0.")
	}
	t, err := readTuning(cfg)
	if err != nil {
		return nil, err
	}
	d := &Destination{data: "/services/data/v" + m[1] + ".0", tuning: t, host: base.Host, headers: map[string]string{}}
	if cfg.Has("assignment_rules") && !cfg.Bool("assignment_rules") {
		d.headers["Sforce-Auto-Assign"] = "FALSE"
	}
	if cfg.Bool("allow_duplicates") {
		d.headers["Sforce-Duplicate-Rule-Header"] = "allowSave=true"
	}
	if env.Gate == nil {
		env.Gate = connector.OpenGate{}
	}
	ca := cfg.String("ca_file")
	if ca != "" && !filepath.IsAbs(ca) {
		ca = filepath.Join(env.ProjectDir, ca)
	}
	client, err := httpkit.New(httpkit.Options{
		BaseURL: base.Scheme + "://" + base.Host, Gate: env.Gate, Timeout: requestTimeout, AllowPrivate: cfg.Bool("allow_private"),
		Secrets: cfg.Secrets(), CAFile: ca, Feedback: learn,
	})
	if err != nil {
		return nil, err
	}
	l, err := newLogin(cfg, env, client, base)
	if err != nil {
		return nil, err
	}
	l.learned = d.identify
	d.client = client.WithAuth(httpkit.NewTokens(l.fetch), nil)
	return d, nil
}

// checkAddress takes https, and http only to this machine when private addresses are allowed: tokens travel in the header.
func checkAddress(name, s string, private bool) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return nil, setting("%s is not an address", name).WithFix("Write it as https://your-domain.my.salesforce.com.")
	}
	switch {
	case u.Scheme == "https":
		return u, nil
	case u.Scheme == "http" && private && isLoopback(u.Hostname()):
		return u, nil
	}
	return nil, setting("%s must start with https://", name).WithFix("Plain http is for a stand-in on this machine, with allow_private: true.")
}

// page reports hosts people copy from their browser: they show Salesforce and redirect every call of the API
// (https://help.salesforce.com/s/articleView?id=sf.domain_name_url_formats.htm).
func page(host string) bool {
	for _, end := range [...]string{".lightning.force.com", ".salesforce-setup.com", ".file.force.com", ".vf.force.com", ".visualforce.com"} {
		if strings.HasSuffix(strings.ToLower(host), end) {
			return true
		}
	}
	return false
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func setting(format string, args ...any) *fault.Error {
	return fault.New(fault.ProjectValue, format, args...).NotLanded()
}

// number gives an integer setting, or what stands for it when it is absent.
func number(cfg connector.Config, name string, absent int) int {
	if !cfg.Has(name) || cfg.String(name) == "" {
		return absent
	}
	return cfg.Int(name)
}

func readTuning(cfg connector.Config) (tuning, error) {
	t := tuning{
		batch: number(cfg, "batch_size", maxCollection), concurrency: number(cfg, "concurrency", 8),
		above: number(cfg, "bulk.above", 2_000), jobRows: number(cfg, "bulk.max_rows", 100_000), jobBytes: maxJobBytes,
	}
	if cfg.Has("bulk.max_bytes") {
		t.jobBytes = int(cfg.Size("bulk.max_bytes"))
	}
	switch {
	case t.batch < 1 || t.batch > maxCollection:
		return t, setting("batch_size is %d; a collection holds 1 to %d records", t.batch, maxCollection)
	case t.concurrency < 1 || t.concurrency > 25:
		return t, setting("concurrency is %d; an org allows 25 long requests at once", t.concurrency)
	case t.above < 0 || t.jobRows < 1:
		return t, setting("bulk.above and bulk.max_rows must be positive numbers")
	case t.jobBytes < 1 || t.jobBytes > maxJobBytes:
		return t, setting("bulk.max_bytes must be between 1 and 100MB")
	}
	return t, nil
}

// identify keeps the organisation's id, told with every token.
func (d *Destination) identify(org string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.orgID = org
}

// daily is the window of the 24-hour allocation of API calls, a rolling one
// (https://developer.salesforce.com/docs/platform/salesforce-app-limits-cheatsheet/guide/salesforce-app-limits-platform-api.html).
const daily = "daily"

// Check reads the org's limits; a user who may not see them is served by the list of resources, whose header tells of the
// daily calls (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-limits.html).
func (d *Destination) Check(ctx context.Context) (connector.Account, error) {
	resp, err := d.do(ctx, httpkit.Request{Path: d.data + "/limits"})
	var seen map[string]struct{ Max, Remaining int64 }
	switch f := fault.As(err); {
	case err == nil:
		if err := d.client.JSON(resp, &seen); err != nil {
			return connector.Account{}, err
		}
	case f.Code == fault.DestForbidden:
		if resp, err = d.do(ctx, httpkit.Request{Path: d.data + "/"}); err != nil {
			return connector.Account{}, err
		}
	case f.Code == fault.DestObjectMissing, resp != nil && resp.Status == http.StatusGone: // never had, or retired
		return connector.Account{}, fault.New(fault.DestConfig, "the org does not offer version %s of the API", strings.TrimPrefix(d.data, "/services/data/")).
			WithFix("Set api_version to a version the org offers.").NotLanded()
	default:
		return connector.Account{}, err
	}
	d.mu.Lock()
	a := connector.Account{ID: d.orgID, Name: d.host, Version: strings.TrimPrefix(d.data, "/services/data/")}
	d.mu.Unlock()
	if a.ID == "" {
		a.ID = d.host
	}
	limit, known := seen["DailyApiRequests"]
	if usage, ok := limitInfo(resp); ok && !known {
		limit.Max, limit.Remaining, known = usage.Limit, usage.Remaining, true
	}
	if known && limit.Max > 0 {
		a.Windows = []connector.Window{{Name: daily, Requests: limit.Max, Per: 24 * time.Hour}}
		a.Used = []connector.Usage{{Window: daily, Used: limit.Max - limit.Remaining, Limit: limit.Max, Remaining: limit.Remaining}}
	}
	return a, nil
}

// limitInfo reads the header every reply carries: "api-usage=18/5000", with "per-app-api-usage=…" behind it for some
// (https://developer.salesforce.com/docs/platform/api-rest/guide/headers-api-usage.html).
func limitInfo(r *httpkit.Response) (connector.Usage, bool) {
	for part := range strings.SplitSeq(r.Header.Get("Sforce-Limit-Info"), ",") {
		text, ok := strings.CutPrefix(strings.TrimSpace(part), "api-usage=")
		if !ok {
			continue
		}
		a, b, _ := strings.Cut(text, "/")
		used, err1 := strconv.ParseInt(a, 10, 64)
		limit, err2 := strconv.ParseInt(b, 10, 64)
		if err1 == nil && err2 == nil && used >= 0 && limit > 0 {
			return connector.Usage{Window: daily, Used: used, Limit: limit, Remaining: max(0, limit-used)}, true
		}
	}
	return connector.Usage{}, false
}

// learn adds the day's usage to what the gate hears, and that a 403 can mean "too many at once".
func learn(r *httpkit.Response, fb *connector.Feedback) {
	if u, ok := limitInfo(r); ok {
		fb.Usage = append(fb.Usage, u)
	}
	if r.Status == 403 && tooManyAtOnce(readErrors(r.Body)) {
		fb.Throttled = true
	}
}

// Close drops the connections.
func (d *Destination) Close() error {
	d.client.Close()
	return nil
}
