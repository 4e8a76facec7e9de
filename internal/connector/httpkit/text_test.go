package httpkit

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/fault"
)

// Invariant 8: no secret in an error, log, page, golden or state.
func Test_secrets_are_hidden_in_every_spelling(t *testing.T) {
	const secret = `pa"ss w/rd+é&=%`
	r := newRedactor([]string{secret, "tok"})
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]string{
		"plain": secret, "query": url.QueryEscape(secret), "path": url.PathEscape(secret), "json": strings.Trim(string(quoted), `"`),
		"base64": base64.StdEncoding.EncodeToString([]byte(secret)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(secret)),
	} {
		if name == "json" {
			form = `pa\"ss w/rd+é&=%`
		}
		if got := r.redact("before " + form + " after"); strings.Contains(got, form) || !strings.HasPrefix(got, "before ") {
			t.Errorf("%s: %q", name, got)
		}
	}
	for in, gone := range map[string]string{
		"Authorization: Bearer abc.def.ghi":      "abc.def",
		`{"Authorization":"Basic dXNlcjpwYXNz"}`: "dXNlcjpwYXNz",
		"cookie: sid=12345; other=1":             "12345",
		"X-Api-Key: k-123":                       "k-123",
		"got bearer 0123456789abcdef back":       "0123456789abcdef",
		"https://h/x?access_token=zzz9&b=1":      "zzz9",
		"https://h/x?api_key=zzz9&b=1":           "zzz9",
		`{"refresh_token": "rrr9", "scope":"a"}`: "rrr9",
		`{\"client_secret\":\"rrr9\"}`:           "rrr9",
		"password=hunter22&grant_type=password":  "hunter22",
	} {
		if got := r.redact(in); strings.Contains(got, gone) {
			t.Errorf("%q stays in %q", gone, got)
		}
	}
	const plain = "INVALID_FIELD: token of type picklist: expected one of basic, plus"
	if got := r.redact(plain); got != plain {
		t.Errorf("an ordinary message was changed: %q", got)
	}
}

func Test_the_longer_of_two_secrets_is_hidden_whole(t *testing.T) {
	r := newRedactor([]string{"abcd", "abcdefgh"})
	if got := r.redact("x abcdefgh y"); got != "x [secret] y" {
		t.Errorf("got %q", got)
	}
}

func Test_an_excerpt_is_short_valid_and_holds_no_half_secret(t *testing.T) {
	r := newRedactor([]string{canary})
	body := []byte("\xff\x00line\r\none " + strings.Repeat("é", 30))
	got := r.excerpt(body, 40)
	if !utf8.ValidString(got) || len(got) > 40+len("…") || strings.ContainsAny(got, "\x00\r\n") {
		t.Errorf("%q", got)
	}
	for n := range 60 {
		text := strings.Repeat("z", n) + canary + strings.Repeat(canary+" ", 2000)
		for k := 4; k < len(canary); k++ {
			if got := r.excerpt([]byte(text), 40); strings.Contains(got, canary[:k]) || strings.Contains(got, canary[k:]) && k < len(canary)-8 {
				t.Fatalf("part of the secret is in %q", got)
			}
		}
	}
}

func Test_messages_show_neither_query_nor_html(t *testing.T) {
	s := answering(t, "HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 21\r\n\r\n<html>"+strings.Repeat("x", 15))
	c := client(t, Options{BaseURL: s.url() + "/hook?token=" + canary + "&plain=visible"})
	resp, err := c.Do(t.Context(), post)
	f := wantFault(t, err, fault.DestTransient, fault.LandedMaybe)
	if strings.Contains(f.Message, "visible") || !strings.Contains(f.Message, "(an HTML page)") || !strings.Contains(f.Message, "/hook") {
		t.Errorf("message %q", f.Message)
	}
	req, answer := c.Excerpts(Request{Method: "POST", Body: []byte(`{"secret":"x","a":"` + canary + `"}`)}, resp, 200)
	if strings.Contains(req+answer, canary) || !strings.Contains(req, "POST") {
		t.Errorf("%q %q", req, answer)
	}
}

func Test_every_status_has_a_class(t *testing.T) {
	now := time.Now()
	want := map[int]fault.Class{
		400: fault.ClassBatchRefused, 409: fault.ClassBatchRefused, 413: fault.ClassBatchRefused, 422: fault.ClassBatchRefused,
		401: fault.ClassAuth, 403: fault.ClassAuth, 404: fault.ClassConfig, 405: fault.ClassConfig, 410: fault.ClassConfig, 451: fault.ClassConfig,
		408: fault.ClassTransient, 425: fault.ClassTransient, 500: fault.ClassTransient, 502: fault.ClassTransient, 504: fault.ClassTransient,
		429: fault.ClassThrottled, 503: fault.ClassThrottled, 301: fault.ClassConfig, 307: fault.ClassConfig,
	}
	for status, class := range want {
		if f := Classify(status, http.Header{}, now); f.GetClass() != class {
			t.Errorf("%d is %s, want %s", status, f.GetClass(), class)
		}
	}
	for status := 300; status < 700; status++ {
		f := Classify(status, http.Header{}, now)
		if f == nil || f.GetClass() == fault.ClassBug {
			t.Errorf("%d: %v", status, f)
		}
		if status >= 500 && f.Landed == fault.LandedNo {
			t.Errorf("%d claims that nothing landed", status)
		}
	}
	if f := Classify(503, http.Header{"Retry-After": {"3"}}, now); f.Landed != fault.LandedNo || f.RetryAfter != 3*time.Second {
		t.Errorf("%+v", f)
	}
	for status := 200; status < 300; status++ {
		if Classify(status, nil, now) != nil {
			t.Errorf("%d is a fault", status)
		}
	}
}

func Test_every_dialect_of_waiting_is_understood(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, value string
		want        time.Duration
		told        bool
	}{
		{"Retry-After", "120", 2 * time.Minute, true},
		{"Retry-After", "1.5", 1500 * time.Millisecond, true},
		{"Retry-After", "0", 0, true},
		{"Retry-After", "Mon, 23 Nov 2026 12:01:00 GMT", time.Minute, true},
		{"Retry-After", "Monday, 23-Nov-26 12:01:00 GMT", time.Minute, true},
		{"Retry-After", "2026-11-23T12:00:30Z", 30 * time.Second, true},
		{"Retry-After", "Mon, 23 Nov 2026 11:00:00 GMT", 0, true},
		{"Retry-After", "1795435260", time.Minute, true},
		{"Retry-After", "soon", 0, false},
		{"Retry-After", "-5", 0, false},
		{"Retry-After", "NaN", 0, false},
		{"Retry-After", "999999999", 24 * time.Hour, true},
		{"Retry-After", "1e300", 24 * time.Hour, true},
		{"Retry-After-Ms", "250", 250 * time.Millisecond, true},
		{"X-RateLimit-Reset", "1795435260", time.Minute, true},
		{"X-RateLimit-Reset", "1795435260000", time.Minute, true},
		{"X-RateLimit-Reset", "45", 45 * time.Second, true},
		{"X-Rate-Limit-Reset", "45", 45 * time.Second, true},
		{"RateLimit-Reset", "7", 7 * time.Second, true},
		{"RateLimit", `"default";r=0;t=30`, 30 * time.Second, true},
		{"X-Ratelimit-Retry-After", "3", 3 * time.Second, true},
		{"Other", "3", 0, false},
	} {
		h := http.Header{}
		h.Set(c.name, c.value)
		if got, told := ParseRetryAfter(h, now); got != c.want || told != c.told {
			t.Errorf("%s: %s = %v %v, want %v %v", c.name, c.value, got, told, c.want, c.told)
		}
	}
	h := http.Header{"Retry-After": {"2"}, "X-Ratelimit-Reset": {"900"}}
	if got, _ := ParseRetryAfter(h, now); got != 2*time.Second {
		t.Errorf("Retry-After is not the first to be believed: %v", got)
	}
}

func Test_json_is_read_strictly(t *testing.T) {
	for name, in := range map[string]string{
		"empty": "", "blank": " \n", "trailing garbage": `{"a":1} x`, "two documents": `{}{}`, "cut": `{"a":`, "bad utf-8": "{\"a\":\"\xff\"}",
		"too deep": strings.Repeat("[", 129) + strings.Repeat("]", 129), "html": "<html></html>", "number out of range": `{"n":99999999999999999999}`,
	} {
		var v struct{ N int }
		var into any = &v
		if name == "too deep" {
			into = new(any)
		}
		if err := DecodeJSON([]byte(in), into); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	var v any
	if err := DecodeJSON([]byte("{\"n\":9007199254740993,\"s\":\"[[[{\\\"\"}\n"), &v); err != nil {
		t.Fatal(err)
	}
	if n := v.(map[string]any)["n"]; n != json.Number("9007199254740993") {
		t.Errorf("the number became %v", n)
	}
}

func Test_an_html_page_is_never_json(t *testing.T) {
	c := client(t, Options{BaseURL: "http://h"})
	for _, r := range []*Response{
		{Status: 200, Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}, Body: []byte(`{}`)},
		{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte("\ufeff\n <!DOCTYPE html><p>")},
	} {
		var v any
		wantFault(t, c.JSON(r, &v), fault.DestAnswer, fault.LandedMaybe)
	}
	for in, want := range map[string]bool{"application/json": true, "application/problem+json; charset=utf-8": true, "text/plain": false, "": false} {
		if got := (&Response{Header: http.Header{"Content-Type": {in}}}).SaysJSON(); got != want {
			t.Errorf("%q says JSON: %v", in, got)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "Mon, 23 Nov 2026 12:01:00 GMT", "1e9", "-1", "∞", `"a";t=3`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, name := range []string{"Retry-After", "Retry-After-Ms", "Ratelimit", "X-Ratelimit-Reset"} {
			if d, _ := ParseRetryAfter(http.Header{name: {s}}, time.Unix(1_800_000_000, 0)); d < 0 || d > maxWait {
				t.Errorf("%s: %s = %v", name, s, d)
			}
		}
	})
}
