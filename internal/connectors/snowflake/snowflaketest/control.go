package snowflaketest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/upwelldata/upwell/internal/standin"
	"github.com/upwelldata/upwell/internal/warehousetest"
)

// control adds the addresses under /_sandbox/: they look into the stand-in, change its data and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	standin.Sandbox{
		Records: func(ctx context.Context, table string) (any, error) { return s.Records(ctx, table) },
		Show:    map[string]func() any{"stats": func() any { return s.Stats() }},
		Do: map[string]func(context.Context, []byte) error{
			"sql":    func(ctx context.Context, sql []byte) error { return s.Exec(ctx, string(sql)) },
			"faults": standin.Take(s.Inject), "clear_faults": standin.Event(s.ClearFaults),
			"expire": standin.Event(func() { s.ExpireTokens(false) }), "kill": standin.Event(func() { s.Kill() }),
		},
		Words: func(err error) string { return decodeNames(err.Error()) },
	}.Serve(mux)
}

// Records gives a table's rows as JSON objects, columns by name.
func (s *Server) Records(ctx context.Context, object string) ([]json.RawMessage, error) {
	e, err := s.engine.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if _, err := e.Exec(ctx, place(Database, Schema)); err != nil {
		return nil, err
	}
	tokens, err := lex.Split(object)
	if err != nil {
		return nil, err
	}
	name, _ := qualified(tokens, 0)
	rows, err := e.Objects(ctx, "SELECT CAST(to_json(x) AS VARCHAR) FROM "+quoteParts(name)+" AS x")
	for i := range rows {
		rows[i] = json.RawMessage(decodeNames(string(rows[i])))
	}
	return rows, err
}

func quoteParts(name string) string {
	var out []byte
	for i, p := range bytes.Split([]byte(name), []byte(".")) {
		if i > 0 {
			out = append(out, '.')
		}
		out = append(out, warehousetest.Ident(string(p))...)
	}
	return string(out)
}
