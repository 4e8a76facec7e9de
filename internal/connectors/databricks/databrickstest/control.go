package databrickstest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
)

// Trouble is what POST /_sandbox/faults takes: each field that is set makes one of the faults of faults.go.
type Trouble struct {
	ExpireTokens bool  `json:"expire_tokens"`
	ExpireLinks  int   `json:"expire_links"`
	LoseChunk    *int  `json:"lose_chunk"`
	CutBetween   int   `json:"cut_between"`
	CutWithin    int   `json:"cut_within"`
	Kill         int   `json:"kill"`
	Truncate     bool  `json:"truncate"`
	Miscount     int64 `json:"miscount"`
	Suspend      int   `json:"suspend"`
}

func (s *Server) make(t Trouble) {
	if t.ExpireTokens {
		s.ExpireTokens()
	}
	if t.LoseChunk != nil {
		s.LoseChunk(*t.LoseChunk)
	}
	if t.Suspend > 0 {
		s.Suspend(t.Suspend)
	}
	s.fault(func(f *faults) {
		f.expire += t.ExpireLinks
		f.between += t.CutBetween
		f.within += t.CutWithin
		f.kill += t.Kill
		f.miscount += t.Miscount
		f.truncated = f.truncated || t.Truncate
	})
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() { s.fault(func(f *faults) { *f = faults{} }) }

// control adds the addresses under /_sandbox/: they change the stand-in's data and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	post := func(path string, do func(r *http.Request, body []byte) error) {
		mux.HandleFunc("POST /_sandbox/"+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
			if err == nil {
				err = do(r, body)
			}
			if err != nil {
				answer(w, http.StatusBadRequest, map[string]string{"error": words(err)})
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	post("sql", func(r *http.Request, b []byte) error { return s.Exec(r.Context(), string(b)) })
	post("faults", func(_ *http.Request, b []byte) error {
		var t Trouble
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&t); err != nil {
			return err
		}
		s.make(t)
		return nil
	})
	post("clear_faults", func(*http.Request, []byte) error { s.ClearFaults(); return nil })
}
