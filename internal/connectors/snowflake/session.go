package snowflake

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	sf "github.com/snowflakedb/gosnowflake/v2"
)

// session is one session of the server: its driver's connection, and the wire below it.
type session struct {
	driver.Conn
	wire *wire
	used bool // a statement ran in it before
	// spent: a transaction in it could not be ended. The server ends it with the session.
	spent bool
}

// arrow is the driver's way to an answer as it is on the wire.
func (s *session) arrow() (streamer, error) {
	if a, ok := s.Conn.(streamer); ok {
		return a, nil
	}
	return nil, errors.New("the driver offers no Arrow streams")
}

type streamer interface {
	QueryArrowStream(ctx context.Context, query string, bindings ...driver.NamedValue) (sf.ArrowStreamLoader, error)
}

// sessions opens sessions for database/sql, which keeps idle ones for the next read.
type sessions struct {
	config *sf.Config
	base   *http.Transport
}

var hush sync.Once

// Connect signs in.
func (s *sessions) Connect(ctx context.Context) (driver.Conn, error) {
	hush.Do(func() { _ = sf.GetLogger().SetLogLevel("OFF") }) //nolint:errcheck // a known level; the driver would write statements' errors to standard error
	cfg := *s.config
	w := &wire{base: s.base.Clone()}
	cfg.Transporter = w
	cfg.Params = make(map[string]*string, len(s.config.Params)) // the driver writes into it
	for k, v := range s.config.Params {
		cfg.Params[k] = v
	}
	conn, err := sf.NewConnector(sf.SnowflakeDriver{}, cfg).Connect(ctx)
	if err != nil {
		w.CloseIdleConnections()
		return nil, err
	}
	return &session{Conn: conn, wire: w}, nil
}

// Driver is what database/sql asks for.
func (s *sessions) Driver() driver.Driver { return sf.SnowflakeDriver{} }

// wire carries one session's requests. It answers the goodbye of a session whose connection broke by itself: the driver would
// try for seconds to deliver it, and the server ends such a session on its own.
type wire struct {
	base    *http.Transport
	broken  atomic.Bool
	refused atomic.Int32 // status with which a part of an answer was last refused
}

// RoundTrip sends one request.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	path := r.URL.Path
	if path == "/session" && w.broken.Load() {
		return &http.Response{
			Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"success":true}`)),
		}, nil
	}
	if !isPart(r) {
		return w.base.RoundTrip(r)
	}
	resp, err := w.base.RoundTrip(asStored(r))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		w.refused.Store(int32(resp.StatusCode))
	}
	resp.Body = &inflated{raw: resp.Body}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	return resp, nil
}

// CloseIdleConnections is called by the driver when it closes a session.
func (w *wire) CloseIdleConnections() { w.base.CloseIdleConnections() }
