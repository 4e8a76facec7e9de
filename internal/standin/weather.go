package standin

import (
	"context"
	"net/http"
	"time"
)

// Page is what a proxy answers in a tool's place.
const Page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Company proxy</h1></body></html>"

// Duration is a time.Duration written as "150ms" in JSON.
type Duration time.Duration

// UnmarshalText reads "150ms".
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// Wait is what happens to a request before anything else: arrived is sent to, hold received from, then time passes. Each may be
// nothing.
func Wait(ctx context.Context, arrived chan<- struct{}, hold <-chan struct{}, delay Duration) {
	if arrived != nil {
		select {
		case arrived <- struct{}{}:
		case <-ctx.Done():
		}
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	if delay > 0 {
		timer := time.NewTimer(time.Duration(delay))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// Weather is what may befall a request over HTTP, whoever's it is.
type Weather struct {
	Reset      bool   // the connection is cut at once
	Status     int    // the answer, without doing anything
	RetryAfter string // and when to come again
	Cut        int    // the connection is cut after so many bytes of the answer's body
	Hold       <-chan struct{}
	Arrived    chan<- struct{} // closed before Hold is received from
}

// Befall lets the weather happen. It gives where to answer the request, or nil when it is over; refuse answers with Status.
func (x Weather) Befall(w http.ResponseWriter, r *http.Request, refuse func()) http.ResponseWriter {
	if x.Arrived != nil {
		close(x.Arrived)
	}
	switch {
	case x.Reset:
		panic(http.ErrAbortHandler)
	case x.Status != 0:
		if x.RetryAfter != "" {
			w.Header().Set("Retry-After", x.RetryAfter)
		}
		refuse()
		return nil
	case x.Hold != nil:
		select {
		case <-x.Hold:
		case <-r.Context().Done():
			return nil
		}
	}
	if x.Cut > 0 {
		return &cutting{ResponseWriter: w, left: x.Cut}
	}
	return w
}

// cutting cuts the connection after so many bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	if len(b) < c.left {
		c.left -= len(b)
		return c.ResponseWriter.Write(b)
	}
	_, _ = c.ResponseWriter.Write(b[:c.left]) //nolint:errcheck // it is cut anyway
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}
