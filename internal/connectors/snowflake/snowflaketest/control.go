package snowflaketest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// control adds the addresses under /_sandbox/: they look into the stand-in, change its data and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	warehousetest.Sandbox{
		Records: s.Records, Stats: func() any { return s.Stats() }, Words: func(err error) string { return decodeNames(err.Error()) },
		Exec: s.Exec, Inject: warehousetest.Take(s.Inject), Clear: s.ClearFaults,
		Events: map[string]func(){"expire": func() { s.ExpireTokens(false) }, "kill": func() { s.Kill() }},
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
