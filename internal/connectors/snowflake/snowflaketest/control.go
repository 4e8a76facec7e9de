package snowflaketest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/upwelldata/upwell/internal/warehousetest"
)

// control adds the addresses under /_sandbox/: they look into the stand-in, change its data and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	mux.HandleFunc("GET /_sandbox/records/{object}", func(w http.ResponseWriter, r *http.Request) {
		rows, err := s.Records(r.Context(), r.PathValue("object"))
		if err != nil {
			writeJSON(w, http.StatusNotFound, map[string]string{"error": decodeNames(err.Error())})
			return
		}
		writeJSON(w, http.StatusOK, rows)
	})
	mux.HandleFunc("GET /_sandbox/stats", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Stats()) })
	post := func(path string, f func(r *http.Request, body []byte) error) {
		mux.HandleFunc("POST /_sandbox/"+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
			if err == nil {
				err = f(r, body)
			}
			if err != nil {
				writeJSON(w, http.StatusBadRequest, map[string]string{"error": decodeNames(err.Error())})
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	post("sql", func(r *http.Request, b []byte) error { return s.Exec(r.Context(), string(b)) })
	post("faults", func(_ *http.Request, b []byte) error {
		var f Fault
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			return err
		}
		s.Inject(f)
		return nil
	})
	post("clear_faults", func(*http.Request, []byte) error { s.ClearFaults(); return nil })
	post("expire", func(*http.Request, []byte) error { s.ExpireTokens(false); return nil })
	post("kill", func(*http.Request, []byte) error { _ = s.Kill(); return nil })
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
	out := []json.RawMessage{}
	for b, err := range e.Read(ctx, "SELECT CAST(to_json(x) AS VARCHAR) FROM "+quoteParts(name)+" AS x") {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			out = append(out, json.RawMessage(decodeNames(b.Column(0).(*array.String).Value(i))))
		}
	}
	return out, nil
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
