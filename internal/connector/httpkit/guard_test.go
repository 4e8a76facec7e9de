package httpkit

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/testdb"
)

// loopbackDNS resolves every name to 127.0.0.1, as a hostile name does, and as the C library does for 2130706433.
func loopbackDNS() *net.Resolver { return dns(func() bool { return true }) }

// dns resolves every name to 127.0.0.1 while known says so; otherwise there is no such name.
func dns(known func() bool) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		a, b := net.Pipe()
		go func() {
			defer b.Close()
			q := make([]byte, 2048)
			for { // over a stream: two bytes of length, then the message
				if _, err := io.ReadFull(b, q[:2]); err != nil {
					return
				}
				n := int(q[0])<<8 | int(q[1])
				if _, err := io.ReadFull(b, q[2:2+n]); err != nil {
					return
				}
				msg := q[2 : 2+n]
				end := 12
				for msg[end] != 0 {
					end += int(msg[end]) + 1
				}
				question := msg[12 : end+5]
				isA := question[len(question)-3] == 1
				out := append([]byte{msg[0], msg[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
				if !known() {
					out[3] |= 3 // NXDOMAIN
				} else if isA {
					out[7] = 1
					out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1)
				}
				if _, err := b.Write(append([]byte{byte(len(out) >> 8), byte(len(out))}, out...)); err != nil {
					return
				}
			}
		}()
		return a, nil
	}}
}

func Test_private_addresses_are_not_reached_in_any_spelling(t *testing.T) {
	var reached atomic.Int64
	s := rawServer(t, func(s *raw, c net.Conn, r *bufio.Reader) { reached.Add(1) })
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{
		"127.0.0.1", "127.8.9.10", "0.0.0.0", "localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]",
		"2130706433", "0x7f000001", "0177.0.0.1", "127.1", "10.0.0.1", "172.31.255.254", "192.168.1.1", "169.254.169.254", "100.64.0.1",
		"198.18.0.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fd00::1]", "[fe80::1]", "[::127.0.0.1]", "240.0.0.1", "224.0.0.1", "rebound.example.com",
	} {
		t.Run(host, func(t *testing.T) {
			c, err := New(Options{BaseURL: "http://" + host + ":" + port, resolver: loopbackDNS(), Timeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.Do(t.Context(), post)
			code := fault.DestAddressBlocked
			if fault.Is(err, fault.DestUnreachable) && strings.Trim(host, "0123456789.") == "" && net.ParseIP(host) == nil {
				code = fault.DestUnreachable // Go's resolver knows no such spelling; the C library's does
			}
			wantFault(t, err, code, fault.LandedNo)
		})
	}
	if reached.Load() != 0 {
		t.Errorf("%d connections were made", reached.Load())
	}
}

// A name that comes and goes is an outage, nothing was sent, and it is looked up anew each time.
func Test_a_name_that_is_not_found_for_a_while_is_an_outage(t *testing.T) {
	var known atomic.Bool
	s := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, Options{BaseURL: "http://flapping.example.com:" + port, resolver: dns(known.Load)})
	for _, there := range []bool{false, true, false, true} {
		known.Store(there)
		_, err := c.Do(t.Context(), post)
		if there && err != nil {
			t.Errorf("the name is back: %v", err)
		}
		if !there {
			if f := wantFault(t, err, fault.DestUnreachable, fault.LandedNo); !strings.Contains(f.Message, "flapping.example.com") {
				t.Error(f)
			}
		}
	}
	if n := s.requests.Load(); n != 2 {
		t.Errorf("%d requests arrived", n)
	}
}

func Test_what_allow_private_opens(t *testing.T) {
	for addr, want := range map[string][2]bool{ // reached without, with allow_private
		"93.184.216.34": {true, true}, "2606:4700::1111": {true, true}, "192.88.98.1": {true, true}, "172.32.0.1": {true, true}, "100.128.0.1": {true, true},
		"127.0.0.1": {false, true}, "10.1.2.3": {false, true}, "fd12::1": {false, true}, "100.64.0.1": {false, true}, "64:ff9b::808:808": {false, true},
		"169.254.169.254": {false, false}, "fe80::1%eth0": {false, false}, "fd00:ec2::254": {false, false}, "100.100.100.200": {false, false},
		"::ffff:169.254.169.254": {false, false}, "192.0.0.192": {false, false}, "239.1.1.1": {false, false}, "255.255.255.255": {false, false},
		"2002:a9fe:a9fe::": {false, false},
	} {
		a := netip.MustParseAddr(addr)
		if got := [2]bool{refuse(a, false) == "", refuse(a, true) == ""}; got != want {
			t.Errorf("%s: reached %v, want %v", addr, got, want)
		}
	}
}

func Test_ports_of_other_services_are_refused(t *testing.T) {
	for _, address := range []string{"93.184.216.34:22", "93.184.216.34:6379", "[2606:4700::1111]:25"} {
		wantFault(t, guard(false)(t.Context(), "tcp4", address, nil), fault.DestAddressBlocked, fault.LandedNo)
	}
	if err := guard(false)(t.Context(), "tcp4", "93.184.216.34:8080", nil); err != nil {
		t.Error(err)
	}
}

func Test_any_port_is_tried_where_private_addresses_are_allowed(t *testing.T) {
	_, err := client(t, Options{BaseURL: "http://127.0.0.1:1"}).Do(t.Context(), post) // nobody listens there
	wantFault(t, err, fault.DestUnreachable, fault.LandedNo)
	for _, address := range []string{"127.0.0.1:6379", "93.184.216.34:25"} {
		if err := guard(true)(t.Context(), "tcp4", address, nil); err != nil {
			t.Error(err)
		}
	}
	wantFault(t, guard(true)(t.Context(), "tcp4", "169.254.169.254:80", nil), fault.DestAddressBlocked, fault.LandedNo)
}

func Test_an_address_is_checked_before_use(t *testing.T) {
	for _, u := range []string{"", "ftp://h/x", "h/x", "https://", "https://user:" + canary + "@h/", "http://h:0/", "http://h\r\n/", "file:///etc/passwd", "//h/x"} {
		_, err := New(Options{BaseURL: u})
		wantFault(t, err, fault.ProjectValue, fault.LandedNo)
	}
}

func Test_untrusted_encryption_is_refused_before_a_byte_of_the_request(t *testing.T) {
	var bodies atomic.Int64
	serve := func(t *testing.T, conf *tls.Config) string {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { bodies.Add(1) }))
		srv.TLS, srv.Config.ErrorLog = conf, log.New(io.Discard, "", 0)
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv.URL
	}
	trusted, file := testdb.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	expired, expiredFile := testdb.Certificate(t, time.Now().Add(-time.Hour), "127.0.0.1")
	named, namedFile := testdb.Certificate(t, time.Now().Add(time.Hour), "10.9.8.7")
	plain := rawServer(t, func(s *raw, c net.Conn, r *bufio.Reader) {
		io.WriteString(c, "HTTP/1.0 400 Bad Request\r\n\r\n")
		io.Copy(io.Discard, r)
	})
	for _, c := range []struct{ name, url, ca string }{
		{"self-signed", serve(t, &tls.Config{Certificates: []tls.Certificate{trusted}}), ""},
		{"expired", serve(t, &tls.Config{Certificates: []tls.Certificate{expired}}), expiredFile},
		{"wrong name", serve(t, &tls.Config{Certificates: []tls.Certificate{named}}), namedFile},
		{"TLS 1.1", serve(t, &tls.Config{Certificates: []tls.Certificate{trusted}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), file},
		{"asks for a client certificate at once", serve(t, &tls.Config{Certificates: []tls.Certificate{trusted}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}), file},
		{"no TLS at all", "https://" + plain.addr, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := client(t, Options{BaseURL: c.url, CAFile: c.ca}).Do(t.Context(), post)
			wantFault(t, err, fault.DestTLS, fault.LandedNo)
		})
	}
	if bodies.Load() != 0 {
		t.Errorf("%d requests arrived", bodies.Load())
	}
	resp, err := client(t, Options{BaseURL: serve(t, &tls.Config{Certificates: []tls.Certificate{trusted}, NextProtos: []string{"h2", "http/1.1"}}), CAFile: file}).Do(t.Context(), post)
	if err != nil || resp.Status != 200 {
		t.Errorf("a certificate of ca_file is not trusted: %v", err)
	}
}

func Test_a_ca_file_must_hold_a_certificate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for f, code := range map[string]fault.Code{file: fault.ProjectValue, file + ".missing": fault.ProjectReference} {
		_, err := New(Options{BaseURL: "https://example.com", CAFile: f})
		wantFault(t, err, code, fault.LandedNo)
	}
}
