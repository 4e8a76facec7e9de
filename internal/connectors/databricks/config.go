package databricks

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
)

const (
	resultsLinks  = "links"
	resultsInline = "inline"
)

// config is the checked settings.
type config struct {
	base             *url.URL
	warehouse        string
	clientID         string
	catalog, schema  string
	inline           bool
	startTimeout     time.Duration
	statementTimeout time.Duration
	downloads        int
}

// warehouseForm is an id as the API takes it, which becomes a part of paths.
var warehouseForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func parseConfig(cfg connector.Config) (config, error) {
	c := config{
		clientID: cfg.String("client_id"), catalog: cfg.String("catalog"), schema: cfg.String("schema"),
		inline: cfg.String("results") == resultsInline, startTimeout: cfg.Duration("start_timeout"),
		statementTimeout: cfg.Duration("statement_timeout"), downloads: max(1, min(cfg.Int("downloads"), 16)),
	}
	var err error
	if c.base, err = parseHost(cfg.String("host"), cfg.Bool("allow_private")); err != nil {
		return c, err
	}
	// People copy the HTTP path of the connection details: /sql/1.0/warehouses/a1b2c3d4e5f60718.
	id := cfg.String("warehouse_id")
	c.warehouse = id[strings.LastIndexByte(id, '/')+1:]
	switch {
	case id == "":
		return c, fault.New(fault.ProjectMissing, "warehouse_id is missing")
	case !warehouseForm.MatchString(c.warehouse):
		return c, fault.New(fault.ProjectValue, "warehouse_id is not the id of a SQL warehouse").
			WithFix("Copy the id from the warehouse's connection details, such as a1b2c3d4e5f60718.")
	}
	token, secret := !cfg.Secret("token").Empty(), !cfg.Secret("client_secret").Empty()
	switch {
	case token && (c.clientID != "" || secret):
		return c, fault.New(fault.ProjectValue, "token and client_id are two ways to log in").WithFix("Keep one of them.")
	case token:
	case c.clientID == "" && !secret:
		return c, fault.New(fault.ProjectMissing, "there is no way to log in: client_id and client_secret, or token, are needed")
	case c.clientID == "":
		return c, fault.New(fault.ProjectMissing, "client_id is missing")
	case !secret:
		return c, fault.New(fault.ProjectMissing, "client_secret is missing")
	}
	return c, nil
}

// parseHost reads a host name, or an address. Credentials travel in the clear over http, so it is for stand-ins only.
func parseHost(host string, private bool) (*url.URL, error) {
	if host == "" {
		return nil, fault.New(fault.ProjectMissing, "host is missing")
	}
	if !strings.Contains(host, "://") {
		host = "https://" + host
	}
	u, err := url.Parse(host)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fault.New(fault.ProjectValue, "host is not the address of a workspace").
			WithFix("Write the host name alone, such as dbc-a1b2345c-d6e7.cloud.databricks.com.")
	}
	if u.Scheme == "http" && !private {
		return nil, fault.New(fault.ProjectValue, "host is an address without encryption").WithFix("Use https.")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func open(cfg connector.Config, env connector.Env) (*source, error) {
	c, err := parseConfig(cfg)
	if err != nil {
		return nil, err
	}
	ca := cfg.String("ca_file")
	if ca != "" && !filepath.IsAbs(ca) {
		ca = filepath.Join(env.ProjectDir, ca)
	}
	client, err := httpkit.New(httpkit.Options{
		BaseURL: c.base.String(), Gate: env.Gate, Timeout: requestTimeout, AllowPrivate: cfg.Bool("allow_private"),
		Secrets: cfg.Secrets(), MaxResponse: maxAnswer, CAFile: ca,
	})
	if err != nil {
		f := fault.As(err)
		return nil, fault.New(fault.ProjectValue, "%s", f.Message).WithFix("%s", f.GetFix())
	}
	s := &source{config: c, plain: client, pace: pace}
	if token := cfg.Secret("token"); !token.Empty() {
		s.client = client.WithBearer(token.Reveal())
	} else {
		l := login{client: client, id: c.clientID, secret: cfg.Secret("client_secret"), now: time.Now}
		s.client = client.WithAuth(httpkit.NewTokens(l.fetch), nil)
	}
	return s, nil
}
