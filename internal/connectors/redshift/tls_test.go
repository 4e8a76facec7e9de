package redshift_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/testdb"
)

func Test_encryption_is_what_sslmode_says(t *testing.T) {
	until := time.Now().Add(time.Hour)
	certificate, ca := testdb.Certificate(t, until, "localhost")
	_, other := testdb.Certificate(t, until, "localhost")
	server := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	encrypted, plain := newCluster(t, redshifttest.Options{TLS: server}), newCluster(t, redshifttest.Options{})
	for _, c := range []struct {
		what     string
		to       *cluster
		settings []string
		good     bool
	}{
		{"verify-full", encrypted, []string{"host", "localhost", "sslmode", "verify-full", "sslrootcert", ca}, true},
		{"require trusts any certificate", encrypted, []string{"sslmode", "require"}, true},
		{"prefer, the default", encrypted, nil, true},
		{"another name", encrypted, []string{"sslmode", "verify-full", "sslrootcert", ca}, false},
		{"another authority", encrypted, []string{"host", "localhost", "sslmode", "verify-full", "sslrootcert", other}, false},
		{"an authority the system does not know", encrypted, []string{"host", "localhost", "sslmode", "verify-full"}, false},
		{"no encryption where it is demanded", plain, []string{"sslmode", "require"}, false},
		{"no encryption where it is preferred", plain, []string{"sslmode", ""}, true},
	} {
		err := c.to.open(c.settings...).Check(t.Context())
		if c.good && err != nil || !c.good && !fault.Is(err, fault.SourceUnreachable) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func Test_a_temporary_password_leaves_only_over_a_connection_that_is_trusted(t *testing.T) {
	_, a := newAWS(t)
	err := open(t, with(a.IAM(false), "sslmode", "")).Check(t.Context())
	if !fault.Is(err, fault.SourceUnreachable) || a.Calls() > 1 {
		t.Errorf("without sslmode, to a server without encryption: %v", err)
	}
}

func Test_a_connection_string_may_say_the_same(t *testing.T) {
	c := newCluster(t, redshifttest.Options{})
	host, port := c.Settings(user)["host"], c.Settings(user)["port"]
	for _, dsn := range []string{
		"redshift://" + user + ":" + password + "@" + host + ":" + port + "/" + c.Database() + "?sslmode=disable",
		"postgres://" + user + ":" + password + "@" + host + "/" + c.Database() + "?sslmode=disable&port=" + port,
		"host=" + host + " port=" + port + " user=" + user + " password=" + password + " dbname=" + c.Database() + " sslmode=disable",
	} {
		if err := open(t, map[string]string{"dsn": dsn}).Check(t.Context()); err != nil {
			t.Errorf("%v", err)
		}
	}
	// The port of Redshift is the one that is not named.
	err := open(t, map[string]string{"dsn": "redshift://upwell@127.0.0.1/dev?sslmode=disable&connect_timeout=2"}).Check(t.Context())
	if f := fault.As(err); f == nil || f.Code != fault.SourceUnreachable || !strings.Contains(f.Message, "127.0.0.1:5439") {
		t.Errorf("%v", err)
	}
}
