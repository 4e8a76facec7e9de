package bigquery

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
)

// config is the settings, checked.
type config struct {
	project, location, dataset string
	endpoint, storage, iam     string // scheme and host, without a slash at the end
	credentials                []byte // nil: the application default credentials
	impersonate                string
	maxBytes                   int64
	labels                     map[string]string
	timeout                    time.Duration
	readAPI                    string
	secrets                    []string
}

func configure(cfg connector.Config, env connector.Env) (*config, error) {
	c := &config{
		project: cfg.String("project"), location: cfg.String("location"), dataset: cfg.String("dataset"),
		impersonate: cfg.String("impersonate"), maxBytes: cfg.Size("maximum_bytes_billed"), timeout: cfg.Duration("job_timeout"),
		readAPI: cfg.String("read_api"), secrets: cfg.Secrets(), labels: map[string]string{},
	}
	for _, name := range []string{"project", "location"} {
		if cfg.String(name) == "" {
			return nil, fault.New(fault.ProjectMissing, "the bigquery source %s has no %s", env.Name, name)
		}
	}
	if c.readAPI == "" {
		c.readAPI = readAuto
	}
	if env.Name != "" {
		c.labels["upwell"] = label(env.Name)
	}
	for k, v := range cfg.Map("labels") {
		c.labels[k] = v
	}
	if err := c.addresses(cfg); err != nil {
		return nil, err
	}
	return c, c.readCredentials(cfg, env)
}

// label makes a value that BigQuery takes for a label: lower-case letters, digits, _ and -, at most 63.
// https://docs.cloud.google.com/bigquery/docs/labels-intro#requirements
func label(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, s)
	return s[:min(len(s), 63)]
}

func (c *config) addresses(cfg connector.Config) error {
	for _, a := range []struct {
		name string
		to   *string
		none string
	}{
		{"endpoint", &c.endpoint, "https://bigquery.googleapis.com"},
		{"storage_endpoint", &c.storage, "https://bigquerystorage.googleapis.com"},
		{"iam_endpoint", &c.iam, "https://iamcredentials.googleapis.com"},
	} {
		*a.to = a.none
		given := cfg.String(a.name)
		if given == "" {
			continue
		}
		u, err := url.Parse(given)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
			return fault.New(fault.ProjectValue, "%s is not an address like https://host", a.name)
		}
		if u.Scheme == "http" && !loopback(u.Hostname()) {
			return fault.New(fault.ProjectValue, "%s %s would send the credentials in the clear", a.name, given).WithFix("Use https; http is for this machine only.")
		}
		*a.to = u.Scheme + "://" + u.Host
	}
	if cfg.String("storage_endpoint") == "" && strings.HasPrefix(c.endpoint, "http:") {
		c.storage = c.endpoint
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *config) readCredentials(cfg connector.Config, env connector.Env) error {
	inline, path := cfg.Secret("credentials"), cfg.String("credentials_file")
	switch {
	case !inline.Empty() && path != "":
		return fault.New(fault.ProjectValue, "the bigquery source %s has credentials and credentials_file", env.Name).WithFix("Keep one of them.")
	case !inline.Empty():
		c.credentials = []byte(inline.Reveal())
	case path != "":
		if !filepath.IsAbs(path) {
			path = filepath.Join(env.ProjectDir, path)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return fault.Wrap(fault.ProjectValue, err, "reading credentials_file")
		}
		c.credentials = b
	}
	return nil
}

// scrub takes secrets out of a text.
func (c *config) scrub(s string) string {
	for _, secret := range c.secrets {
		if len(secret) >= 4 {
			s = strings.ReplaceAll(s, secret, "[secret]")
		}
	}
	return s
}

func open(ctx context.Context, cfg connector.Config, env connector.Env) (*source, error) {
	c, err := configure(cfg, env)
	if err != nil {
		return nil, err
	}
	guarded, err := httpkit.Transport(httpkit.Options{AllowPrivate: cfg.Bool("allow_private"), Timeout: 30 * time.Second})
	if err != nil {
		return nil, err
	}
	guarded.ResponseHeaderTimeout = patience
	t, err := c.signIn(guarded)
	if err != nil {
		return nil, err
	}
	return newSource(ctx, c, t, guarded)
}
