package mysql

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/testdb"
)

// deaf stands before the server as one that knows no encryption: it takes the capability out of the greeting and passes on the rest
// (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html).
func deaf(t *testing.T, server string) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go pass(c, server)
		}
	}()
	host, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func pass(c net.Conn, server string) {
	defer c.Close()
	s, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer s.Close()
	head := make([]byte, 4)
	if _, err := io.ReadFull(s, head); err != nil {
		return
	}
	greeting := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	if _, err := io.ReadFull(s, greeting); err != nil {
		return
	}
	at := 1 + bytes.IndexByte(greeting[1:], 0) + 1 + 4 + 8 + 1 // version, thread, scramble, filler
	const clientSSL = 0x0800
	binary.LittleEndian.PutUint16(greeting[at:], binary.LittleEndian.Uint16(greeting[at:])&^clientSSL)
	if _, err := c.Write(append(head, greeting...)); err != nil {
		return
	}
	go func() { _, _ = io.Copy(s, c); _ = s.Close() }()
	_, _ = io.Copy(c, s)
}

func Test_encryption_is_what_sslmode_says(t *testing.T) {
	ca := testdb.CA(t)
	cfg, err := driver.ParseDSN(testdb.MySQL(t))
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		t.Fatal(err)
	}
	plainHost, plainPort := deaf(t, cfg.Addr)
	_, foreign := testdb.Certificate(t, time.Now().Add(time.Hour), "localhost") // an authority that did not sign the server's
	for _, c := range []struct {
		name, host, mode, ca string
		plain                bool   // the server knows no encryption
		says, fix            string // of the refusal; "" = it connects
		encrypted            bool
	}{
		{name: "verify-full with the right authority and name", host: "localhost", mode: "verify-full", ca: ca, encrypted: true},
		{name: "verify-full with another name", host: "127.0.0.1", mode: "verify-full", ca: ca, says: "127.0.0.1", fix: "name"},
		{name: "verify-full with the system's authorities", host: "localhost", mode: "verify-full", says: "unknown authority", fix: "sslrootcert"},
		{name: "verify-full with another authority", host: "localhost", mode: "verify-full", ca: foreign, says: "unknown authority", fix: "sslrootcert"},
		{name: "verify-ca does not look at the name", host: "127.0.0.1", mode: "verify-ca", ca: ca, encrypted: true},
		{name: "verify-ca with another authority", host: "localhost", mode: "verify-ca", ca: foreign, says: "unknown authority", fix: "sslrootcert"},
		{name: "require trusts anybody", host: "127.0.0.1", mode: "require", encrypted: true},
		{name: "require with an authority is verify-ca", host: "127.0.0.1", mode: "require", ca: foreign, says: "unknown authority", fix: "sslrootcert"},
		{name: "prefer encrypts where it can", host: "127.0.0.1", mode: "prefer", encrypted: true},
		{name: "disable", host: "127.0.0.1", mode: "disable"},
		{name: "prefer goes without", plain: true, mode: "prefer"},
		{name: "require does not go without", plain: true, mode: "require", says: "no TLS", fix: "sslmode"},
		{name: "verify-full does not go without", plain: true, mode: "verify-full", ca: ca, says: "no TLS", fix: "sslmode"},
		{name: "nor where the dsn allows it", plain: true, mode: "dsn", says: "no TLS", fix: "sslmode"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := map[string]string{"host": c.host, "port": port, "user": cfg.User, "password": "", "database": cfg.DBName, "sslmode": c.mode}
			if c.plain {
				s["host"], s["port"] = plainHost, plainPort
			}
			if c.mode == "dsn" {
				s = map[string]string{"dsn": cfg.User + "@tcp(" + net.JoinHostPort(plainHost, plainPort) + ")/" + cfg.DBName + "?allowFallbackToPlaintext=true", "sslmode": "require"}
			}
			if c.ca != "" {
				s["sslrootcert"] = c.ca
			}
			settings := connector.NewConfig(s, nil, map[string]bool{"dsn": true, "password": true})
			src, err := Source().Open(t.Context(), settings, connector.Env{})
			if err != nil {
				t.Fatal(err)
			}
			dst, err := Destination().Open(t.Context(), settings, connector.Env{Gate: connector.OpenGate{}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _, _ = src.Close(), dst.Close() }()
			_, got, reading := readAll(t.Context(), src, connector.Query{SQL: "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_version'"})
			_, checking := dst.Check(t.Context())
			if c.says == "" {
				if reading != nil || checking != nil || (len(got) == 1 && strings.Contains(got[0][0].String(), "TLS")) != c.encrypted {
					t.Errorf("got %q, %v, %v; want a connection, encrypted: %v", got, reading, checking, c.encrypted)
				}
				return
			}
			for code, err := range map[fault.Code]error{fault.SourceUnreachable: reading, fault.DestTLS: checking} {
				f := fault.As(err)
				if f == nil || f.Code != code || !strings.Contains(f.Message, c.says) || !strings.Contains(f.GetFix(), c.fix) {
					t.Errorf("got %v, fix %q; want %s with %q and %q", err, f.GetFix(), code, c.says, c.fix)
				}
			}
		})
	}
}
