package bigquerytest

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// control adds the addresses under /_sandbox/: they look into the stand-in, change its data and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	warehousetest.Sandbox{
		Records: s.Records, Stats: func() any { return s.Stats() }, Words: func(err error) string { return worded(err, "").message },
		Exec:   func(ctx context.Context, sql string) error { return s.Exec(ctx, sql) },
		Inject: warehousetest.Take(s.Inject), Clear: s.ClearFaults, Events: map[string]func(){"expire": s.ExpireTokens},
	}.Serve(mux)
}

// Records gives a table's rows as JSON objects, columns by name. A name without a dataset is one of Dataset's.
func (s *Server) Records(ctx context.Context, table string) ([]json.RawMessage, error) {
	session, err := s.engine.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	if !strings.Contains(table, ".") {
		table = Dataset + "." + table
	}
	parts := strings.Split(table, ".")
	for i, p := range parts {
		parts[i] = warehousetest.Ident(p)
	}
	return session.Objects(ctx, "SELECT CAST(to_json(x) AS VARCHAR) FROM "+strings.Join(parts, ".")+" AS x")
}
