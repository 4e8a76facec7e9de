package httpkit

import (
	"bufio"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/testdb"
)

// warmThen answers the first request of a connection and treats the second with then.
func warmThen(t *testing.T, then func(c net.Conn)) *raw {
	return rawServer(t, func(s *raw, c net.Conn, r *bufio.Reader) {
		if s.readRequest(r) == nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		if s.readRequest(r) == nil {
			return
		}
		then(c)
	})
}

// net/http repeats requests by itself when a kept connection breaks: reads, and anything with an Idempotency-Key header.
func Test_one_attempt_is_one_request_on_the_wire(t *testing.T) {
	key := http.Header{"Idempotency-Key": {"k1"}}
	for name, req := range map[string]Request{
		"write with an idempotency key":                {Method: "POST", Body: []byte("{}"), Header: key},
		"write with an idempotency key without a body": {Method: "POST", Header: key},
		"write with an X-Idempotency-Key":              {Method: "PATCH", Body: []byte("{}"), Header: http.Header{"X-Idempotency-Key": {"k1"}}},
		"read":                                         {Method: "GET"},
		"delete with an idempotency key":               {Method: "DELETE", Header: key},
	} {
		for how, then := range map[string]func(net.Conn){"reset": reset, "closed": func(c net.Conn) { c.Close() }} {
			t.Run(name+", "+how, func(t *testing.T) {
				s := warmThen(t, then)
				c := client(t, Options{BaseURL: s.url()})
				if _, err := c.Do(t.Context(), Request{}); err != nil {
					t.Fatal(err)
				}
				_, err := c.Do(t.Context(), req)
				wantFault(t, err, fault.DestUnreachable, fault.LandedMaybe)
				if n := s.requests.Load(); n != 2 {
					t.Errorf("the server saw %d requests for 2 attempts", n)
				}
				if _, err := c.Do(t.Context(), Request{}); err != nil {
					t.Errorf("the client does not go on after a broken connection: %v", err)
				}
			})
		}
	}
}

// Over HTTP/2 a server ends single streams, and says goodbye with the number of the last one it looked at. Nothing is repeated here
// either: the engine counts attempts, and decides.
func Test_one_attempt_is_one_request_over_http2(t *testing.T) {
	trusted, file := testdb.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	for _, req := range []Request{{Method: "POST", Body: []byte("{}")}, {Method: "DELETE"}, {Method: "GET"}} {
		var requests, sick atomic.Int64
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			if r.ProtoMajor != 2 {
				t.Errorf("the request came over %s", r.Proto)
			}
			_, _ = io.ReadAll(r.Body)
			if sick.Load() > 0 {
				panic(http.ErrAbortHandler) // RST_STREAM
			}
		}))
		srv.EnableHTTP2, srv.TLS, srv.Config.ErrorLog = true, &tls.Config{Certificates: []tls.Certificate{trusted}}, log.New(io.Discard, "", 0)
		srv.StartTLS()
		c := client(t, Options{BaseURL: srv.URL, CAFile: file})
		for _, ill := range []bool{false, true, false} {
			if sick.Store(0); ill {
				sick.Store(1)
			}
			_, err := c.Do(t.Context(), req)
			if ill {
				wantFault(t, err, fault.DestUnreachable, fault.LandedMaybe)
			} else if err != nil {
				t.Errorf("%s: %v", req.Method, err)
			}
		}
		if n := requests.Load(); n != 3 {
			t.Errorf("%s: the server saw %d requests for 3 attempts", req.Method, n)
		}
		c.Close()
		srv.Close()
	}
}

func Test_a_body_sent_whole_is_free_for_reuse(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			io.Copy(io.Discard, r.Body)
		} else {
			w.Header().Set("Connection", "close")
		}
		w.WriteHeader(204)
	}))
	defer srv.Close()
	c := client(t, Options{BaseURL: srv.URL})
	// The answer can overtake the news that the body was written; then it counts as in use, which is safe.
	for range 50 {
		resp, err := c.Do(t.Context(), Request{Method: "POST", Path: "/read", Body: make([]byte, 1<<20)})
		if err != nil {
			t.Fatal(err)
		}
		if resp.SentWhole {
			return
		}
	}
	t.Error("no body was ever said to be sent whole")
}

func Test_connections_are_kept_and_shared(t *testing.T) {
	s := rawServer(t, func(s *raw, c net.Conn, r *bufio.Reader) {
		for s.readRequest(r) != nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		}
	})
	c := client(t, Options{BaseURL: s.url()})
	for range 20 {
		if _, err := c.Do(t.Context(), post); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("20 requests took %d connections", n)
	}
}

func Test_redirects_are_not_followed_and_credentials_stay(t *testing.T) {
	var reached atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reached.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/elsewhere", status)
		}))
		resp, err := client(t, Options{BaseURL: srv.URL}).Do(t.Context(), post)
		wantFault(t, err, fault.DestRedirect, fault.LandedNo)
		if resp == nil || resp.Status != status {
			t.Errorf("status %d: the answer is missing", status)
		}
		srv.Close()
	}
	if reached.Load() != 0 {
		t.Errorf("the other host was reached %d times", reached.Load())
	}
}

func Test_credentials_go_to_the_base_address_only(t *testing.T) {
	seen := func(into *string) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			*into = r.Header.Get("Authorization") + " " + r.URL.RequestURI()
		}))
	}
	var own, strange string
	a, b := seen(&own), seen(&strange)
	defer a.Close()
	defer b.Close()
	c := client(t, Options{BaseURL: a.URL + "/api/?v=1"})
	for _, u := range []string{a.URL + "/x", b.URL + "/x"} {
		if _, err := c.Do(t.Context(), Request{URL: u}); err != nil {
			t.Fatal(err)
		}
	}
	if own != "Bearer "+canary+" /x" || strange != " /x" {
		t.Errorf("own host got %q, the other %q", own, strange)
	}
	for path, want := range map[string]string{"": "/api/?v=1", "/contacts/a%2Fb": "/api/contacts/a%2Fb", "contacts": "/api/contacts"} {
		if _, err := c.Do(t.Context(), Request{Path: path}); err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(own, canary+" "); got != want {
			t.Errorf("path %q went to %q, want %q", path, got, want)
		}
	}
	if _, err := c.Do(t.Context(), Request{NoAuth: true}); err != nil || strings.Contains(own, canary) {
		t.Errorf("NoAuth sent %q, %v", own, err)
	}
}

func Test_no_data_can_start_a_header_of_its_own(t *testing.T) {
	s := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	c := client(t, Options{BaseURL: s.url()})
	for _, bad := range []http.Header{
		{"X-A": {"b\r\nX-Evil: " + canary}}, {"X-A": {"b\nc"}}, {"X-A": {"b\x00"}}, {"X A": {"b"}}, {"X-A:": {"b"}}, {"": {"b"}}, {"X-A\r\nB": {"c"}},
	} {
		_, err := c.Do(t.Context(), Request{Header: bad})
		wantFault(t, err, fault.DestConfig, fault.LandedNo)
	}
	_, err := c.Do(t.Context(), Request{Method: "GET / HTTP/1.1\r\nX: y"})
	wantFault(t, err, fault.DestConfig, fault.LandedNo)
	if s.requests.Load() != 0 {
		t.Errorf("%d requests left", s.requests.Load())
	}
}

func Test_an_answer_streams_and_a_cut_is_seen(t *testing.T) {
	cases := []struct {
		name, answer, want string
		code               fault.Code
	}{
		{"with a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na,b", "a,b", ""},
		{"in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na,b\r\n0\r\n\r\n", "a,b", ""},
		{"cut", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na,b", "a,b", fault.DestAnswer},
		{"chunks cut", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na,b\r\n", "a,b", fault.DestAnswer},
		{"over the cap", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n0123456789ab", "0123456789", fault.DestAnswer},
		{"without any mark of its end", "HTTP/1.1 200 OK\r\n\r\na,b", "", fault.DestAnswer},
		{"refused", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", "", fault.DestConfig},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			gate := &countGate{}
			cl := client(t, Options{BaseURL: answering(t, c.answer).url(), Gate: gate})
			var got []byte
			_, err := cl.Stream(t.Context(), Request{MaxResponse: 10}, func(_ *Response, r io.Reader) error {
				if gate.inside != 1 {
					t.Error("the stream does not count as in flight")
				}
				var err error
				got, err = io.ReadAll(r)
				return err
			})
			if string(got) != c.want {
				t.Errorf("read %q, want %q", got, c.want)
			}
			if c.code == "" && err != nil || c.code != "" && !fault.Is(err, c.code) {
				t.Errorf("got %v, want %q", err, c.code)
			}
			if gate.inside != 0 {
				t.Error("the gate was not left")
			}
		})
	}
}

func Test_a_refusal_comes_with_its_answer(t *testing.T) {
	c := client(t, Options{BaseURL: answering(t, "HTTP/1.1 422 Unprocessable Entity\r\nContent-Length: 13\r\n\r\n{\"field\":\"x\"}").url()})
	resp, err := c.Do(t.Context(), post)
	f := wantFault(t, err, fault.DestRefused, fault.LandedNo)
	if resp == nil || string(resp.Body) != `{"field":"x"}` || !strings.Contains(f.Message, `{"field":"x"}`) {
		t.Errorf("resp %+v, message %q", resp, f.Message)
	}
	c = client(t, Options{BaseURL: answering(t, "HTTP/1.1 429 Too Many\r\nContent-Length: 130\r\n\r\ncut").url()})
	_, err = c.Do(t.Context(), post)
	wantFault(t, err, fault.DestThrottled, fault.LandedNo)
	c = client(t, Options{BaseURL: answering(t, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone").url()})
	if resp, err = c.Do(t.Context(), Request{Accept: Forgiving(404)}); err != nil || resp.Status != 404 || string(resp.Body) != "gone" {
		t.Errorf("an accepted status failed: %v", err)
	}
}
