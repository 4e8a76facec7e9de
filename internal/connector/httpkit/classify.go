package httpkit

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/fault"
)

// Classify is the default reading of a status, for tools that say nothing better in the body. nil for 2xx. Landed is No where
// the status is a refusal; a 5xx may come from a proxy in front of a tool that went on.
func Classify(status int, h http.Header, now time.Time) *fault.Error {
	of := func(code fault.Code) *fault.Error { return fault.New(code, "status %d", status) }
	switch {
	case status >= 200 && status <= 299:
		return nil
	case status == http.StatusTooManyRequests:
		f := of(fault.DestThrottled).NotLanded()
		f.RetryAfter, _ = ParseRetryAfter(h, now)
		return f
	case status == http.StatusServiceUnavailable:
		f := of(fault.DestThrottled)
		after, told := ParseRetryAfter(h, now)
		if f.RetryAfter = after; told {
			return f.NotLanded() // said on purpose, not by a proxy that lost its upstream
		}
		return f
	case status >= 300 && status <= 399:
		return of(fault.DestRedirect).NotLanded()
	case status == http.StatusUnauthorized:
		return of(fault.DestAuth).NotLanded()
	case status == http.StatusForbidden:
		return of(fault.DestForbidden).NotLanded()
	case status == http.StatusBadRequest, status == http.StatusConflict, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return of(fault.DestRefused).NotLanded()
	case status == http.StatusTooEarly:
		return of(fault.DestTransient).NotLanded()
	case status == http.StatusRequestTimeout, status >= 500 && status <= 599:
		f := of(fault.DestTransient)
		f.RetryAfter, _ = ParseRetryAfter(h, now)
		return f
	case status >= 400 && status <= 499:
		return of(fault.DestConfig).NotLanded()
	}
	return of(fault.DestAnswer)
}

// Fault is Classify with the tool's words, redacted. nil for 2xx.
func (c *Client) Fault(r *Response) error {
	f := Classify(r.Status, r.Header, c.now())
	if f == nil {
		return nil
	}
	f.Message = r.Call + ": " + strings.TrimSpace(strconv.Itoa(r.Status)+" "+http.StatusText(r.Status))
	if f.Code == fault.DestRedirect {
		f.Message += " to another address, which is not followed"
	}
	if words := c.Words(r, 300); words != "" {
		f.Message += ": " + words
	}
	return f
}

// Words gives at most n bytes of an answer's body as redacted text on one line; of an HTML page only that it is one.
func (c *Client) Words(r *Response, n int) string {
	if r.IsHTML() {
		return "(an HTML page)"
	}
	return c.red.excerpt(r.Body, n)
}

// Excerpts gives what was sent and what was answered, for people: at most n bytes of each body, redacted. Headers are not part
// of it.
func (c *Client) Excerpts(sent Request, r *Response, n int) (request, response string) {
	request = sent.Method + " " + c.red.redact(sent.Path)
	if r != nil {
		request = r.Call
		response = strings.TrimSpace(strconv.Itoa(r.Status) + " " + c.Words(r, n))
	}
	if body := c.red.excerpt(sent.Body, n); body != "" {
		request += " " + body
	}
	return request, response
}

func throttleSigns(r *Response, now time.Time) (throttled bool, after time.Duration, failed bool) {
	f := Classify(r.Status, r.Header, now)
	if f == nil {
		return false, 0, false
	}
	return f.Code == fault.DestThrottled, f.RetryAfter, f.Code == fault.DestTransient || f.Code == fault.DestAnswer
}

// Forgiving is an Accept that takes 2xx and the statuses named.
func Forgiving(also ...int) func(int) bool {
	return func(status int) bool {
		for _, s := range also {
			if s == status {
				return true
			}
		}
		return status >= 200 && status <= 299
	}
}

// maxWait caps what a tool can ask for: a wrong unit must not stop a destination for years.
const maxWait = 24 * time.Hour

// ParseRetryAfter reads how long a tool asks to wait: Retry-After as seconds or HTTP date
// (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after), its millisecond form, and the reset headers in use, whose value
// is seconds from now or a Unix time in seconds or milliseconds: numbers above 1e9 are taken for times, above 1e12 for
// milliseconds. At most 24 hours; a time in the past is no wait.
func ParseRetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms >= 0 {
		return clampWait(ms / 1000), true
	}
	for _, name := range []string{"Retry-After", "X-Retry-After", "X-Ratelimit-Retry-After", "Ratelimit-Reset", "X-Ratelimit-Reset", "X-Rate-Limit-Reset", "X-Ratelimit-Reset-After"} {
		if d, ok := parseWait(h.Get(name), now); ok {
			return d, true
		}
	}
	// RateLimit: "default";r=0;t=30, https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
	for part := range strings.SplitSeq(h.Get("Ratelimit"), ";") {
		if t, ok := strings.CutPrefix(strings.TrimSpace(part), "t="); ok {
			return parseWait(t, now)
		}
	}
	return 0, false
}

func parseWait(s string, now time.Time) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, false
	}
	if n, err := strconv.ParseFloat(strings.TrimSuffix(s, "s"), 64); err == nil {
		switch {
		case math.IsNaN(n) || n < 0:
			return 0, false
		case n > 1e12:
			n = n/1e3 - float64(now.UnixNano())/1e9
		case n > 1e9:
			n -= float64(now.UnixNano()) / 1e9
		}
		return clampWait(n), true
	}
	for _, layout := range []string{http.TimeFormat, time.RFC850, time.ANSIC, time.RFC1123Z, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return clampWait(t.Sub(now).Seconds()), true
		}
	}
	return 0, false
}

func clampWait(seconds float64) time.Duration {
	switch {
	case seconds <= 0:
		return 0
	case seconds >= maxWait.Seconds():
		return maxWait
	}
	return time.Duration(seconds * float64(time.Second))
}
