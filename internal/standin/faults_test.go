package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func Test_faults_happen_in_order_as_often_as_was_said(t *testing.T) {
	var q Faults[string]
	q.Add("skips two", "query", 2, 0)
	q.Add("twice", "query", 0, 2)
	q.Add("other", "login", 0, 0)
	q.Add("for ever", "", 0, -1)
	var got []string
	for range 6 {
		f, first := q.Draw("query")
		if f == nil {
			t.Fatal("no fault although one lasts for ever")
		}
		got = append(got, *f)
		if seen := strings.Count(strings.Join(got, ","), *f); first != (seen == 1) {
			t.Errorf("%q was drawn %d times, first: %v", *f, seen, first)
		}
	}
	if want := "twice,twice,skips two,for ever,for ever,for ever"; strings.Join(got, ",") != want {
		t.Errorf("got %q; want %q", got, want)
	}
	if f, _ := q.DrawIn("POST /login?x=1"); f == nil || *f != "other" {
		t.Errorf("got %v for a path that holds the fault's part", f)
	}
	q.Add("by itself", "chosen by what it says", 0, 1)
	if f, _ := q.DrawIf(func(f *string) bool { return strings.HasPrefix(*f, "by") }); f == nil || *f != "by itself" {
		t.Errorf("got %v for a fault that picks by itself", f)
	}
	q.Clear()
	if f, _ := q.Draw("query"); f != nil {
		t.Errorf("got %q after the faults were cleared", *f)
	}
}

// meet sends one request into the weather.
func meet(t *testing.T, x Weather) (answer *http.Response, body string, err error) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if w = x.Befall(w, r, func() { http.Error(w, "refused", x.Status) }); w != nil {
			_, _ = io.WriteString(w, "a good answer")
		}
	}))
	defer s.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err = s.Client().Do(req); err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return answer, string(b), err
}

func Test_weather_befalls_a_request(t *testing.T) {
	if _, body, err := meet(t, Weather{}); err != nil || body != "a good answer" {
		t.Errorf("fair weather: %q, %v", body, err)
	}
	if a, body, err := meet(t, Weather{Status: 503, RetryAfter: "7"}); err != nil || a.StatusCode != 503 || a.Header.Get("Retry-After") != "7" || body != "refused\n" {
		t.Errorf("status: %q, %v", body, err)
	}
	if _, body, err := meet(t, Weather{Cut: 6}); err == nil || body != "a good" {
		t.Errorf("cut: %q, %v", body, err)
	}
	if _, _, err := meet(t, Weather{Reset: true}); err == nil {
		t.Error("a connection that was reset gave an answer")
	}
	arrived, hold := make(chan struct{}), make(chan struct{})
	go func() { <-arrived; close(hold) }()
	if _, body, err := meet(t, Weather{Hold: hold, Arrived: arrived}); err != nil || body != "a good answer" {
		t.Errorf("held: %q, %v", body, err)
	}
}

func Test_a_sandbox_shows_changes_and_disturbs_its_stand_in(t *testing.T) {
	type fault struct {
		Status int `json:"status"`
	}
	var did []string
	mux := http.NewServeMux()
	Sandbox{
		Records: func(_ context.Context, object string) (any, error) {
			if object != "people" {
				return nil, errors.New("no such table")
			}
			return []json.RawMessage{[]byte(`{"id":1}`)}, nil
		},
		Show: map[string]func() any{"stats": func() any { return map[string]int{"requests": 2} }},
		Do: map[string]func(context.Context, []byte) error{
			"sql":          func(_ context.Context, sql []byte) error { did = append(did, string(sql)); return nil },
			"faults":       Take(func(f fault) { did = append(did, http.StatusText(f.Status)) }),
			"clear_faults": Event(func() { did = append(did, "clear") }),
			"define":       Try(func(f fault) error { return fmt.Errorf("%d is no object", f.Status) }),
		},
		Words: func(err error) string { return "SQL compilation error: " + err.Error() },
	}.Serve(mux)
	for _, c := range []struct {
		method, path, body, want string
		status                   int
	}{
		{"GET", "records/people", "", `[{"id":1}]`, 200},
		{"GET", "records/pets", "", `{"error":"SQL compilation error: no such table"}`, 404},
		{"GET", "stats", "", `{"requests":2}`, 200},
		{"POST", "sql", "DROP TABLE people", "", 204},
		{"POST", "faults", `{"status":503}`, "", 204},
		{"POST", "faults", `{"sattus":503}`, `{"error":"SQL compilation error: json: unknown field \"sattus\""}`, 400},
		{"POST", "clear_faults", "", "", 204},
		{"POST", "define", `{"status":1}`, `{"error":"SQL compilation error: 1 is no object"}`, 400},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, "/_sandbox/"+c.path, strings.NewReader(c.body)))
		if w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.want {
			t.Errorf("%s %s: got %d %q; want %d %q", c.method, c.path, w.Code, w.Body, c.status, c.want)
		}
	}
	if got := strings.Join(did, ","); got != "DROP TABLE people,Service Unavailable,clear" {
		t.Errorf("the stand-in was told %q", got)
	}
}
