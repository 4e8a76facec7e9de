package webhooktest

import (
	"context"
	"net/http"

	"github.com/upwelldata/upwell/internal/standin"
)

// control adds the addresses under /_sandbox/: they look into the stand-in and make it misbehave.
func (s *Server) control(mux *http.ServeMux) {
	type style struct {
		Style Style `json:"style"`
		Open  bool  `json:"open"`
	}
	standin.Sandbox{
		Records: func(_ context.Context, object string) (any, error) { return s.Records(object), nil },
		Show:    map[string]func() any{"objects": func() any { return s.Objects() }, "stats": func() any { return s.Stats() }},
		Do: map[string]func(context.Context, []byte) error{
			"faults": standin.Take(s.Inject), "row_faults": standin.Take(s.InjectRow), "clear_faults": standin.Event(s.ClearFaults),
			"style": standin.Take(func(to style) { s.SetStyle(to.Style); s.SetOpen(to.Open) }), "reset": standin.Event(s.Reset),
		},
		Words: error.Error,
	}.Serve(mux)
}
