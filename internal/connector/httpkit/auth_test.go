package httpkit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
)

// tool accepts one token at a time.
type tool struct {
	*httptest.Server
	valid    atomic.Value
	requests atomic.Int64
}

func newTool(t *testing.T, token string) *tool {
	s := &tool{}
	s.valid.Store(token)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if r.Header.Get("Authorization") != "Bearer "+s.valid.Load().(string) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":"session expired","got":%q}`, r.Header.Get("Authorization"))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func Test_many_workers_with_an_expired_token_refresh_it_once(t *testing.T) {
	s := newTool(t, "token-2-long")
	var fetched atomic.Int64
	tokens := NewTokens(func(context.Context) (Token, error) {
		return Token{Value: fmt.Sprintf("token-%d-long", fetched.Add(1))}, nil
	})
	gate := &countGate{}
	c := client(t, Options{BaseURL: s.URL, Gate: gate}).WithAuth(tokens, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := c.Do(t.Context(), post); err != nil {
				t.Errorf("a worker failed: %v", err)
			}
		})
	}
	wg.Wait()
	if n := fetched.Load(); n != 2 {
		t.Errorf("%d token calls, want the first and one refresh", n)
	}
	if int64(gate.entered) != s.requests.Load() || gate.entered != gate.left {
		t.Errorf("%d requests, %d passes, %d left", s.requests.Load(), gate.entered, gate.left)
	}
}

func Test_a_second_401_stops(t *testing.T) {
	s := newTool(t, "never")
	var fetched atomic.Int64
	c := client(t, Options{BaseURL: s.URL}).WithAuth(NewTokens(func(context.Context) (Token, error) {
		return Token{Value: fmt.Sprintf("secret-token-%d", fetched.Add(1))}, nil
	}), nil)
	_, err := c.Do(t.Context(), post)
	f := wantFault(t, err, fault.DestAuth, fault.LandedNo)
	if f.GetClass() != fault.ClassAuth || s.requests.Load() != 2 || fetched.Load() != 2 {
		t.Errorf("%d requests, %d tokens, %v", s.requests.Load(), fetched.Load(), err)
	}
	for _, secret := range []string{"secret-token-1", "secret-token-2"} {
		if got := c.Redact("echo " + secret); got != "echo "+hidden {
			t.Errorf("a fetched token can be printed: %s", got)
		}
	}
}

func Test_a_refused_refresh_is_not_tried_again_at_once(t *testing.T) {
	var fetched int
	now := time.Unix(1_800_000_000, 0)
	tokens := NewTokens(func(context.Context) (Token, error) {
		fetched++
		return Token{}, fault.New(fault.DestAuth, "invalid_grant")
	})
	tokens.now = func() time.Time { return now }
	for range 5 {
		_, _, err := tokens.Token(t.Context())
		wantFault(t, err, fault.DestAuth, fault.LandedNo)
	}
	if fetched != 1 {
		t.Errorf("a refused credential was tried %d times", fetched)
	}
	now = now.Add(refusedFor)
	tokens.Token(t.Context())
	if fetched != 2 {
		t.Errorf("tried %d times after the pause", fetched)
	}
}

func Test_a_token_call_that_fails_by_the_network_is_tried_again_and_nothing_landed(t *testing.T) {
	calls := 0
	tokens := NewTokens(func(context.Context) (Token, error) {
		if calls++; calls == 1 {
			return Token{}, fault.New(fault.DestTimeout, "no answer")
		}
		return Token{Value: "t"}, nil
	})
	_, _, err := tokens.Token(t.Context())
	wantFault(t, err, fault.DestTimeout, fault.LandedNo)
	if tok, _, err := tokens.Token(t.Context()); err != nil || tok.Value != "t" {
		t.Errorf("%v %v", tok, err)
	}
}

func Test_a_token_is_renewed_before_it_ends(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	calls := 0
	tokens := NewTokens(func(context.Context) (Token, error) {
		calls++
		return Token{Value: fmt.Sprint(calls), Expires: now.Add(time.Hour)}, nil
	})
	tokens.now = func() time.Time { return now }
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, "1"}, {59 * time.Minute, "1"}, {40 * time.Second, "2"}, {0, "2"}} {
		now = now.Add(step.after)
		if tok, _, err := tokens.Token(t.Context()); err != nil || tok.Value != step.want {
			t.Errorf("after %v: token %q, want %q (%v)", step.after, tok.Value, step.want, err)
		}
	}
}

func Test_one_caller_giving_up_does_not_fail_the_others(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	tokens := NewTokens(func(ctx context.Context) (Token, error) {
		close(started)
		<-release
		return Token{Value: "t"}, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, _, err := tokens.Token(ctx); first <- err }()
	<-started
	second := make(chan error)
	go func() { _, _, err := tokens.Token(t.Context()); second <- err }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first: %v", err)
	}
	close(release)
	if err := <-second; err != nil {
		t.Errorf("second: %v", err)
	}
}

func Test_a_token_can_move_the_base_address(t *testing.T) {
	s := newTool(t, "tok-of-instance")
	c := client(t, Options{BaseURL: "http://127.0.0.1:1/login"}).WithAuth(NewTokens(func(context.Context) (Token, error) {
		return Token{Value: "tok-of-instance", BaseURL: s.URL}, nil
	}), nil)
	if _, err := c.Do(t.Context(), Request{Path: "/data"}); err != nil {
		t.Error(err)
	}
}

func Test_fixed_credentials_are_sent_and_hidden(t *testing.T) {
	var seen http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		w.WriteHeader(401)
		fmt.Fprintf(w, "you sent %s %s", r.Header.Get("Authorization"), r.Header.Get("X-Key"))
	}))
	defer srv.Close()
	c := client(t, Options{BaseURL: srv.URL}).WithBasic("ann", canary).WithHeader("X-Key", "another-"+canary)
	_, err := c.Do(t.Context(), post)
	wantFault(t, err, fault.DestAuth, fault.LandedNo)
	user, pass, _ := (&http.Request{Header: seen}).BasicAuth()
	if user != "ann" || pass != canary || seen.Get("X-Key") != "another-"+canary {
		t.Errorf("sent %v", seen)
	}
}
