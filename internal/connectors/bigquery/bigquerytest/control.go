package bigquerytest

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/upwelldata/upwell/internal/standin"
)

// control adds the addresses under /_sandbox/: they look into the stand-in, change its data and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	standin.Sandbox{
		Records: func(ctx context.Context, table string) (any, error) { return s.Records(ctx, table) },
		Show:    map[string]func() any{"stats": func() any { return s.Stats() }},
		Do: map[string]func(context.Context, []byte) error{
			"sql":    func(ctx context.Context, sql []byte) error { return s.Exec(ctx, string(sql)) },
			"faults": standin.Take(s.Inject), "clear_faults": standin.Event(s.ClearFaults), "expire": standin.Event(s.ExpireTokens),
		},
		Words: func(err error) string { return worded(err, "").message },
	}.Serve(mux)
}

// Records gives a table's rows as JSON objects, columns by name. A name without a dataset is one of Dataset's.
func (s *Server) Records(ctx context.Context, table string) ([]json.RawMessage, error) {
	session, err := s.engine.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	return session.Objects(ctx, "SELECT CAST(to_json(x) AS VARCHAR) FROM "+engineName(table)+" AS x")
}
