package standin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Sandbox is what the addresses under /_sandbox/ of a stand-in do: they look into it, change its data and make it misbehave.
type Sandbox struct {
	Records func(ctx context.Context, object string) (any, error)   // GET records/OBJECT
	Show    map[string]func() any                                   // GET NAME
	Do      map[string]func(ctx context.Context, body []byte) error // POST NAME
	Words   func(error) string                                      // an error as the stand-in says it
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
	for name, show := range b.Show {
		mux.HandleFunc("GET /_sandbox/"+name, func(w http.ResponseWriter, _ *http.Request) { Answer(w, http.StatusOK, show()) })
	}
	for name, do := range b.Do {
		mux.HandleFunc("POST /_sandbox/"+name, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
			if err == nil {
				err = do(r.Context(), body)
			}
			if err != nil {
				Answer(w, http.StatusBadRequest, map[string]string{"error": b.Words(err)})
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
}

// Take reads what is posted, a fault for one, and hands it on. What it does not know is refused.
func Take[F any](to func(F)) func(context.Context, []byte) error {
	return Try(func(f F) error { to(f); return nil })
}

// Try is Take for what may be refused.
func Try[F any](to func(F) error) func(context.Context, []byte) error {
	return func(_ context.Context, body []byte) error {
		var f F
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			return err
		}
		return to(f)
	}
}

// Event is something that happens when it is asked for.
func Event(happen func()) func(context.Context, []byte) error {
	return func(context.Context, []byte) error { happen(); return nil }
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
	body = append(body, '\n') // people look at it with curl
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:errcheck // the client may have gone
}
