package redshift_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/fault"
)

// certificate makes one for localhost that is its own authority, and its file.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stand-in"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, file
}

func Test_encryption_is_what_sslmode_says(t *testing.T) {
	server, ca := certificate(t)
	_, other := certificate(t)
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
