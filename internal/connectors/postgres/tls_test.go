package postgres

import (
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/testdb"
)

// deaf stands before the server as one that knows no encryption: it answers the client's wish with N and passes on the rest
// (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL).
func deaf(t *testing.T, server string) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				s, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer s.Close()
				first := make([]byte, 8)
				if _, err := io.ReadFull(c, first); err != nil {
					return
				}
				if string(first) == "\x00\x00\x00\x08\x04\xd2\x16\x2f" { // SSLRequest
					_, err = c.Write([]byte("N"))
				} else {
					_, err = s.Write(first)
				}
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(s, c); _ = s.Close() }()
				_, _ = io.Copy(c, s)
			}()
		}
	}()
	host, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func Test_encryption_is_what_sslmode_says(t *testing.T) {
	ca := testdb.CA(t)
	d := newDB(t)
	u, err := url.Parse(d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	plainHost, plainPort := deaf(t, u.Host)
	_, foreign := testdb.Certificate(t, time.Now().Add(time.Hour), "localhost") // an authority that did not sign the server's
	for _, c := range []struct {
		name, host, mode, ca string
		plain                bool   // the server knows no encryption
		says, fix            string // of the refusal; "" = it connects
		encrypted            string
	}{
		{name: "verify-full with the right authority and name", host: "localhost", mode: "verify-full", ca: ca, encrypted: "true"},
		{name: "verify-full with another name", host: "127.0.0.1", mode: "verify-full", ca: ca, says: "127.0.0.1", fix: "name"},
		{name: "verify-full with the system's authorities", host: "localhost", mode: "verify-full", says: "unknown authority", fix: "sslrootcert"},
		{name: "verify-full with another authority", host: "localhost", mode: "verify-full", ca: foreign, says: "unknown authority", fix: "sslrootcert"},
		{name: "verify-ca does not look at the name", host: "127.0.0.1", mode: "verify-ca", ca: ca, encrypted: "true"},
		{name: "verify-ca with another authority", host: "localhost", mode: "verify-ca", ca: foreign, says: "unknown authority", fix: "sslrootcert"},
		{name: "require trusts anybody", host: "127.0.0.1", mode: "require", encrypted: "true"},
		{name: "require with an authority is verify-ca", host: "127.0.0.1", mode: "require", ca: foreign, says: "unknown authority", fix: "sslrootcert"},
		{name: "prefer encrypts where it can", host: "127.0.0.1", mode: "prefer", encrypted: "true"},
		{name: "disable", host: "127.0.0.1", mode: "disable", encrypted: "false"},
		{name: "prefer goes without", plain: true, mode: "prefer", encrypted: "false"},
		{name: "require does not go without", plain: true, mode: "require", says: "refused TLS", fix: "sslmode"},
		{name: "verify-full does not go without", plain: true, mode: "verify-full", ca: ca, says: "refused TLS", fix: "sslmode"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host, port := c.host, u.Port()
			if c.plain {
				host, port = plainHost, plainPort
			}
			kv := []string{"host", host, "port", port, "user", u.User.Username(), "password", "canary-of-tls", "database", d.name(), "sslmode", c.mode}
			if c.ca != "" {
				kv = append(kv, "sslrootcert", c.ca)
			}
			rows, reading := readAll(t.Context(), openSource(t, kv...), connector.Query{SQL: "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()"})
			_, checking := openDest(t, kv...).Check(t.Context())
			if c.says == "" {
				if reading != nil || checking != nil || rows[0][0].String() != c.encrypted {
					t.Errorf("got %v, %v, %v; want a connection, encrypted: %s", rows, reading, checking, c.encrypted)
				}
				return
			}
			for code, err := range map[fault.Code]error{fault.SourceUnreachable: reading, fault.DestTLS: checking} {
				f := fault.As(err)
				if f == nil || f.Code != code || !strings.Contains(f.Message, c.says) || !strings.Contains(f.GetFix(), c.fix) || strings.Contains(f.Message+f.GetFix(), "canary") {
					t.Errorf("got %v, fix %q; want %s with %q and %q", err, f.GetFix(), code, c.says, c.fix)
				}
			}
		})
	}
}

func Test_an_authority_that_is_no_certificate_is_refused_on_opening(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bad, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{bad, "nowhere.pem"} {
		_, err := Source().Open(t.Context(), settings("host", "localhost", "sslmode", "verify-full", "sslrootcert", file), connector.Env{ProjectDir: t.TempDir()})
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != fault.ProjectValue || !strings.Contains(f.Message, "CA") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
