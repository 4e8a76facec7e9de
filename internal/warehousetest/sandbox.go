package warehousetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
)

// Sandbox is what the addresses under /_sandbox/ of a stand-in do: they look into it, change its data and make it misbehave.
type Sandbox struct {
	Records func(ctx context.Context, object string) ([]json.RawMessage, error) // GET records/OBJECT
	Stats   func() any                                                          // GET stats; nil = there is none
	Exec    func(ctx context.Context, sql string) error                         // POST sql
	Clear   func()                                                              // POST clear_faults
	Inject  func(fault []byte) error                                            // POST faults: Take reads it
	Events  map[string]func()                                                   // POST NAME: something happens
	Words   func(error) string                                                  // an error in the vendor's words
}

// Serve adds the addresses.
func (b Sandbox) Serve(mux *http.ServeMux) {
	mux.HandleFunc("GET /_sandbox/records/{object}", func(w http.ResponseWriter, r *http.Request) {
		rows, err := b.Records(r.Context(), r.PathValue("object"))
		if err != nil {
			Answer(w, http.StatusNotFound, map[string]string{"error": b.Words(err)})
			return
		}
		Answer(w, http.StatusOK, rows)
	})
	if b.Stats != nil {
		mux.HandleFunc("GET /_sandbox/stats", func(w http.ResponseWriter, _ *http.Request) { Answer(w, http.StatusOK, b.Stats()) })
	}
	b.post(mux, "sql", func(r *http.Request, body []byte) error { return b.Exec(r.Context(), string(body)) })
	b.post(mux, "faults", func(_ *http.Request, body []byte) error { return b.Inject(body) })
	b.post(mux, "clear_faults", func(*http.Request, []byte) error { b.Clear(); return nil })
	for name, happen := range b.Events {
		b.post(mux, name, func(*http.Request, []byte) error { happen(); return nil })
	}
}

func (b Sandbox) post(mux *http.ServeMux, name string, do func(r *http.Request, body []byte) error) {
	mux.HandleFunc("POST /_sandbox/"+name, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
		if err == nil {
			err = do(r, body)
		}
		if err != nil {
			Answer(w, http.StatusBadRequest, map[string]string{"error": b.Words(err)})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// Take gives a fault that stands in JSON to whoever makes it happen. What the fault does not know is refused.
func Take[F any](inject func(F)) func(body []byte) error {
	return func(body []byte) error {
		var f F
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			return err
		}
		inject(f)
		return nil
	}
}

// Answer writes JSON.
func Answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:errcheck // the client may have gone
}

// Objects gives the rows of a SELECT that has one column, JSON as text.
func (s *Session) Objects(ctx context.Context, sql string) ([]json.RawMessage, error) {
	out := []json.RawMessage{}
	for b, err := range s.Read(ctx, sql) {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			out = append(out, json.RawMessage(strings.Clone(b.Column(0).(*array.String).Value(i))))
		}
	}
	return out, nil
}
