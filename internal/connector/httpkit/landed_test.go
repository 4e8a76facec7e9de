package httpkit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
)

var post = Request{Method: "POST", Body: []byte(`{"a":1}`), ContentType: "application/json"}

func Test_a_failure_says_whether_the_request_may_have_landed(t *testing.T) {
	gz := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		io.WriteString(w, s)
		w.Close()
		return b.String()
	}
	zipped := gz(strings.Repeat(`{"k":"v"}`, 200))
	cases := []struct {
		name   string
		server func(t *testing.T) string
		code   fault.Code
		landed fault.Landed
	}{
		{"nobody listens", func(t *testing.T) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
			return "http://" + l.Addr().String()
		}, fault.DestUnreachable, fault.LandedNo},
		{"the server closes without an answer", func(t *testing.T) string {
			return rawServer(t, func(s *raw, c net.Conn, r *bufio.Reader) { s.readRequest(r) }).url()
		}, fault.DestUnreachable, fault.LandedMaybe},
		{"the server resets after the request", func(t *testing.T) string {
			return rawServer(t, func(s *raw, c net.Conn, r *bufio.Reader) { s.readRequest(r); reset(c) }).url()
		}, fault.DestUnreachable, fault.LandedMaybe},
		{"the body is shorter than announced", func(t *testing.T) string {
			return answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"resu").url()
		}, fault.DestAnswer, fault.LandedMaybe},
		{"a chunked body is cut", func(t *testing.T) string {
			return answering(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"res\r\n").url()
		}, fault.DestAnswer, fault.LandedMaybe},
		{"a compressed body is cut", func(t *testing.T) string {
			return answering(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(zipped)-9, zipped[:len(zipped)-9])).url()
		}, fault.DestAnswer, fault.LandedMaybe},
		{"a compressed body is damaged", func(t *testing.T) string {
			return answering(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(zipped), zipped[:len(zipped)-6]+"xxxxxx")).url()
		}, fault.DestAnswer, fault.LandedMaybe},
		{"an encoding that was not asked for", func(t *testing.T) string {
			return answering(t, "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}").url()
		}, fault.DestAnswer, fault.LandedMaybe},
		{"the answer is not HTTP", func(t *testing.T) string {
			return answering(t, "SSH-2.0-OpenSSH_9.2 "+canary+"\r\n\r\n").url()
		}, fault.DestAnswer, fault.LandedMaybe},
		{"the body announces more than the cap", func(t *testing.T) string {
			return answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}").url()
		}, fault.DestAnswer, fault.LandedMaybe},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			gate := &countGate{}
			resp, err := client(t, Options{BaseURL: c.server(t), Gate: gate}).Do(t.Context(), post)
			if resp != nil {
				t.Errorf("an answer that cannot be trusted was handed over: %+v", resp)
			}
			wantFault(t, err, c.code, c.landed)
			if gate.entered != 1 || gate.left != 1 {
				t.Errorf("gate entered %d and left %d times, want once each", gate.entered, gate.left)
			}
			if !gate.feedback[0].Failed {
				t.Error("the gate was not told that the attempt failed")
			}
		})
	}
}

func Test_a_reset_in_the_middle_of_the_answer_may_have_landed(t *testing.T) {
	s := rawServer(t, func(s *raw, c net.Conn, r *bufio.Reader) {
		s.readRequest(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"resu")
		reset(c)
	})
	_, err := client(t, Options{BaseURL: s.url()}).Do(t.Context(), post)
	f := fault.As(err)
	if f.Landed != fault.LandedMaybe || f.Code != fault.DestAnswer && f.Code != fault.DestUnreachable {
		t.Fatalf("got %v landed=%d", err, f.Landed)
	}
}

func Test_an_attempt_ends_in_time_whatever_the_server_does(t *testing.T) {
	trickle := func(prefix string) func(s *raw, c net.Conn, r *bufio.Reader) {
		return func(s *raw, c net.Conn, r *bufio.Reader) {
			s.readRequest(r)
			io.WriteString(c, prefix)
			tick := time.NewTicker(5 * time.Millisecond) // a byte now and then keeps idle timeouts from firing
			defer tick.Stop()
			for range tick.C {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		}
	}
	for name, handle := range map[string]func(s *raw, c net.Conn, r *bufio.Reader){
		"accepts and never answers":        func(s *raw, c net.Conn, r *bufio.Reader) { s.readRequest(r); io.Copy(io.Discard, r) },
		"one header byte at a time":        trickle("HTTP/1.1 200 OK\r\nX-Slow: "),
		"one body byte at a time":          trickle("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
		"stops reading the request's body": func(s *raw, c net.Conn, r *bufio.Reader) { r.Peek(1); <-s.over },
	} {
		t.Run(name, func(t *testing.T) {
			s := rawServer(t, handle)
			req := post
			req.Body = bytes.Repeat([]byte("x"), 8<<20)
			start := time.Now()
			_, err := client(t, Options{BaseURL: s.url(), Timeout: 80 * time.Millisecond}).Do(t.Context(), req)
			wantFault(t, err, fault.DestTimeout, fault.LandedMaybe)
			if d := time.Since(start); d > time.Second {
				t.Errorf("the attempt took %v", d)
			}
		})
	}
}

func Test_a_server_that_never_agrees_on_tls_is_unreachable_and_nothing_landed(t *testing.T) {
	s := rawServer(t, func(s *raw, c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	_, err := client(t, Options{BaseURL: "https://" + s.addr, Timeout: 60 * time.Millisecond}).Do(t.Context(), post)
	wantFault(t, err, fault.DestUnreachable, fault.LandedNo)
}

func Test_a_compressed_bomb_is_cut_at_the_cap(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 64 {
		w.Write(zeros)
	}
	w.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(bomb.Bytes())
	}))
	defer srv.Close()
	_, err := client(t, Options{BaseURL: srv.URL, MaxResponse: 1 << 20}).Do(t.Context(), post)
	wantFault(t, err, fault.DestAnswer, fault.LandedMaybe)
	_, err = client(t, Options{BaseURL: srv.URL, MaxResponse: 64 << 20}).Do(t.Context(), post)
	if err != nil {
		t.Errorf("an answer of exactly the cap was refused: %v", err)
	}
}

func Test_an_interrupted_attempt_says_what_is_known(t *testing.T) {
	arrived := make(chan struct{})
	s := rawServer(t, func(s *raw, c net.Conn, r *bufio.Reader) { s.readRequest(r); close(arrived); io.Copy(io.Discard, r) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err := client(t, Options{BaseURL: s.url()}).Do(ctx, post)
	wantFault(t, err, fault.Cancelled, fault.LandedMaybe)

	_, err = client(t, Options{BaseURL: s.url()}).Do(ctx, post)
	wantFault(t, err, fault.Cancelled, fault.LandedNo)
}

func Test_a_closed_gate_sends_nothing(t *testing.T) {
	s := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	gate := &countGate{refuse: fault.New(fault.DestQuota, "used up")}
	_, err := client(t, Options{BaseURL: s.url(), Gate: gate}).Do(t.Context(), post)
	wantFault(t, err, fault.DestQuota, fault.LandedNo)
	if s.conns.Load() != 0 || gate.left != 0 {
		t.Errorf("%d connections, gate left %d times", s.conns.Load(), gate.left)
	}
}

func Test_the_gate_learns_from_answers(t *testing.T) {
	status := http.StatusTooManyRequests
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
	}))
	defer srv.Close()
	gate := &countGate{}
	c := client(t, Options{BaseURL: srv.URL, Gate: gate, Feedback: func(r *Response, fb *connector.Feedback) {
		fb.Usage = []connector.Usage{{Window: "daily", Used: int64(r.Status)}}
	}})
	for _, status = range []int{429, 503, 500, 400, 200} {
		c.Do(t.Context(), post)
	}
	want := []struct{ throttled, failed bool }{{true, false}, {true, false}, {false, true}, {false, false}, {false, false}}
	for i, w := range want {
		fb := gate.feedback[i]
		if fb.Throttled != w.throttled || fb.Failed != w.failed || fb.Latency <= 0 || len(fb.Usage) != 1 {
			t.Errorf("answer %d: %+v", i, fb)
		}
		if w.throttled && fb.RetryAfter != 7*time.Second {
			t.Errorf("answer %d: retry after %v", i, fb.RetryAfter)
		}
	}
}
