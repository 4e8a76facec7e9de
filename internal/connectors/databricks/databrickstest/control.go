package databrickstest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
)

// Trouble is what POST /_sandbox/faults takes: each field that is set makes one of the faults of faults.go.
type Trouble struct {
	Status       int    `json:"status"` // of the next requests about statements
	Times        int    `json:"times"`
	RetryAfter   string `json:"retry_after"`
	ExpireTokens bool   `json:"expire_tokens"`
	ExpireLinks  int    `json:"expire_links"`
	LoseChunk    *int   `json:"lose_chunk"`
	CutBetween   int    `json:"cut_between"`
	CutWithin    int    `json:"cut_within"`
	Kill         int    `json:"kill"`
	Truncate     bool   `json:"truncate"`
	Miscount     int64  `json:"miscount"`
	Suspend      int    `json:"suspend"`
}

func (s *Server) make(t Trouble) {
	if t.Status > 0 {
		s.Fail("/sql/statements", t.Status, max(1, t.Times), t.RetryAfter, `{"error_code":"STAND_IN","message":"as asked for"}`)
	}
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

// Records gives a table's rows as JSON objects, columns by name. The table is written as in a statement.
func (s *Server) Records(ctx context.Context, object string) ([]json.RawMessage, error) {
	text, _, err := translate("SELECT TO_JSON(x) AS j FROM "+object+" AS x", nil, Catalog)
	if err != nil {
		return nil, err
	}
	session, err := s.session(ctx, "", "")
	if err != nil {
		return nil, err
	}
	defer session.Close()
	out := []json.RawMessage{}
	for b, err := range session.Read(ctx, text) {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			out = append(out, json.RawMessage(strings.Clone(b.Column(0).(*array.String).Value(i)))) //nolint:forcetypeassert // a text
		}
	}
	return out, nil
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() { s.fault(func(f *faults) { *f = faults{} }) }

// control adds the addresses under /_sandbox/: they look into the stand-in, change its data and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	mux.HandleFunc("GET /_sandbox/records/{object}", func(w http.ResponseWriter, r *http.Request) {
		rows, err := s.Records(r.Context(), r.PathValue("object"))
		if err != nil {
			answer(w, http.StatusNotFound, map[string]string{"error": words(err)})
			return
		}
		answer(w, http.StatusOK, rows)
	})
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
