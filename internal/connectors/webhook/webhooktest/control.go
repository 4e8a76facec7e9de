package webhooktest

import (
	"io"
	"net/http"
)

// control adds the addresses under /_sandbox/: they look into the stand-in and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	mux.HandleFunc("GET /_sandbox/records/{object}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, s.Records(r.PathValue("object")))
	})
	mux.HandleFunc("GET /_sandbox/objects", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Objects()) })
	mux.HandleFunc("GET /_sandbox/stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Stats()) })
	post := func(path string, f func(body []byte) error) {
		mux.HandleFunc("POST /_sandbox/"+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
			if err == nil {
				err = f(body)
			}
			if err != nil {
				answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	post("faults", func(b []byte) error {
		var f Fault
		if err := decode(b, &f); err != nil {
			return err
		}
		s.Inject(f)
		return nil
	})
	post("row_faults", func(b []byte) error {
		var f RowFault
		if err := decode(b, &f); err != nil {
			return err
		}
		s.InjectRow(f)
		return nil
	})
	post("style", func(b []byte) error {
		var v struct {
			Style Style `json:"style"`
			Open  bool  `json:"open"`
		}
		if err := decode(b, &v); err != nil {
			return err
		}
		s.SetStyle(v.Style)
		s.SetOpen(v.Open)
		return nil
	})
	post("clear_faults", func([]byte) error { s.ClearFaults(); return nil })
	post("reset", func([]byte) error { s.Reset(); return nil })
}
