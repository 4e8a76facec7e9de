package databrickstest

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/upwelldata/upwell/internal/standin"
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
	return session.Objects(ctx, text)
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.fault(func(f *faults) { *f = faults{} })
	s.failures.Clear()
	s.refusals.Clear()
}

// control adds the addresses under /_sandbox/: they look into the stand-in, change its data and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	standin.Sandbox{
		Records: func(ctx context.Context, table string) (any, error) { return s.Records(ctx, table) },
		Do: map[string]func(context.Context, []byte) error{
			"sql":    func(ctx context.Context, sql []byte) error { return s.Exec(ctx, string(sql)) },
			"faults": standin.Take(s.make), "clear_faults": standin.Event(s.ClearFaults),
		},
		Words: words,
	}.Serve(mux)
}
