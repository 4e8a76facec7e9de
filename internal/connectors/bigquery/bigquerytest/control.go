package bigquerytest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
)

// control adds the addresses under /_sandbox/: they look into the stand-in, change its data and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	mux.HandleFunc("GET /_sandbox/records/{object}", func(w http.ResponseWriter, r *http.Request) {
		rows, err := s.Records(r.Context(), r.PathValue("object"))
		if err != nil {
			answer(w, http.StatusNotFound, map[string]string{"error": worded(err, "").message})
			return
		}
		answer(w, http.StatusOK, rows)
	})
	mux.HandleFunc("GET /_sandbox/stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Stats()) })
	post := func(path string, f func(r *http.Request, body []byte) error) {
		mux.HandleFunc("POST /_sandbox/"+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
			if err == nil {
				err = f(r, body)
			}
			if err != nil {
				answer(w, http.StatusBadRequest, map[string]string{"error": worded(err, "").message})
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
	post("expire", func(*http.Request, []byte) error { s.ExpireTokens(); return nil })
}

// Records gives a table's rows as JSON objects, columns by name. A name without a dataset is one of Dataset's.
func (s *Server) Records(ctx context.Context, table string) ([]json.RawMessage, error) {
	session, err := s.engine.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	out := []json.RawMessage{}
	for b, err := range session.Read(ctx, "SELECT CAST(to_json(x) AS VARCHAR) FROM "+engineName(table)+" AS x") {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			out = append(out, json.RawMessage(strings.Clone(b.Column(0).(*array.String).Value(i))))
		}
	}
	return out, nil
}
