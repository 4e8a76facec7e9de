package bigquery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// A call is tried so often, with pauses that double. The vendor's library would go on for ever: its own retries see only what
// is final (bigquery.go, retryableError, v1.86.2).
const tries = 4

var pause = 250 * time.Millisecond

// largest is what an answer may have; a page has at most 20 MB.
// https://docs.cloud.google.com/bigquery/quotas#api_request_quotas
const largest = 128 << 20

// transport signs requests in, repeats those that failed on the way, and reads answers whole, so that one that was cut is a
// failure like others. Every request it is given may be repeated: jobs carry an id of ours.
type transport struct {
	tokens *tokens
	next   http.RoundTripper
}

// final is a failure that was tried often enough. Its text must not look to the library like one to be repeated.
type final struct{ cause error }

func (f final) Error() string { return "the request was given up" }

// cause gives what really happened.
func cause(err error) error {
	var f final
	if errors.As(err, &f) {
		return f.cause
	}
	return err
}

// RoundTrip sends a request until it is answered.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		_ = req.Body.Close()
	}
	renewed := false
	for try := 1; ; try++ {
		res, token, err := t.send(req, body)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && res.StatusCode == http.StatusUnauthorized && !renewed:
			renewed = true
			t.tokens.drop(token)
			continue
		case err == nil && !passing(res):
			return res, nil
		case errors.As(err, new(refused)):
			return nil, final{err}
		}
		if err == nil {
			err = outage{res}
		}
		if try == tries {
			return nil, final{err}
		}
		if err := rest(ctx, pause<<(try-1)); err != nil {
			return nil, err
		}
	}
}

// rest waits, or ends with the context.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (t *transport) send(req *http.Request, body []byte) (*http.Response, string, error) {
	token, err := t.tokens.get(req.Context())
	if err != nil {
		return nil, "", err
	}
	out := req.Clone(req.Context())
	if req.Body != nil {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	token.SetAuthHeader(out)
	res, err := t.next.RoundTrip(out)
	if err != nil {
		return nil, token.AccessToken, err
	}
	defer res.Body.Close()
	whole, err := io.ReadAll(io.LimitReader(res.Body, largest+1))
	if err != nil {
		return nil, token.AccessToken, err
	}
	if len(whole) > largest {
		return nil, token.AccessToken, fmt.Errorf("an answer has more than %d MiB", largest>>20)
	}
	res.Body = io.NopCloser(bytes.NewReader(whole))
	return res, token.AccessToken, nil
}

// outage is an answer that another try may mend.
type outage struct{ res *http.Response }

func (o outage) Error() string {
	if words := said(o.res).Error.Message; words != "" {
		return fmt.Sprintf("%s (status %d)", words, o.res.StatusCode)
	}
	return fmt.Sprintf("status %d", o.res.StatusCode)
}

type apiError struct {
	Error struct {
		Message string `json:"message"`
		Errors  []struct {
			Reason string `json:"reason"`
		} `json:"errors"`
	} `json:"error"`
}

// said reads the error in an answer and leaves the answer as it was.
func said(res *http.Response) (e apiError) {
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return e
	}
	res.Body = io.NopCloser(bytes.NewReader(b))
	_ = json.Unmarshal(b, &e) //nolint:errcheck // a page of a proxy has no reason
	return e
}

// passing reports whether an answer is about the server's state and not about the request. A job that failed on the server's
// side ("backendError", "internalError") is asked for again by its status, which says what became of it.
// https://docs.cloud.google.com/bigquery/docs/error-messages
func passing(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusForbidden, http.StatusBadRequest:
		e := said(res)
		return slices.ContainsFunc(e.Error.Errors, func(one struct {
			Reason string `json:"reason"`
		},
		) bool {
			return slices.Contains([]string{"rateLimitExceeded", "jobRateLimitExceeded", "backendError", "jobBackendError", "internalError", "jobInternalError"}, one.Reason)
		})
	}
	return false
}
