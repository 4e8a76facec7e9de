package conformance

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// SourceHarness tells the kit how to try one source.
type SourceHarness struct {
	Connector connector.SourceConnector
	// New makes a fresh database. It registers its own clean-up.
	New func(testing.TB) SourceWorld

	Types   []Type
	Numbers string                                    // a query of one column n with the numbers from 1 to %d, in no order
	Broken  string                                    // a query the server refuses
	Words   string                                    // what the server says of Broken
	Late    string                                    // a query that fails after it gave rows; "" = there is none
	Wrong   map[string]string                         // settings laid over good ones so that the login is refused; nil = there is no login
	Nowhere map[string]string                         // settings laid over good ones so that nothing answers
	Needs   []string                                  // settings without which Open or Check fails, beside the Required ones of the Spec
	Via     func(host, port string) map[string]string // settings laid over good ones that connect to another address; nil = no network
	Names   []string                                  // four names of columns that need quotes; nil = the kit's, one with a quote inside
	Except  map[string]string
	Live    *Live[SourceWorld] // how to run against a real account (-live); nil = New gives the real thing

	alive bool
}

// SourceWorld is one fresh database.
type SourceWorld struct {
	Settings map[string]string
	Dir      string // the project folder
	Secrets  []string
	Address  string // host:port of the server, with Via
	Table    string // a table with the columns id (1, 2, 3) and name ('one', 'two', 'three'); "" = none can be made
}

// Type is one line of the type matrix: an expression, and the kind and text its value must have (row.Value's text form, "null"
// for null). Kind row.Absent means that the value must be refused with SOURCE_VALUE_UNSUPPORTED or SOURCE_TYPE_UNSUPPORTED.
type Type struct {
	SQL  string
	Kind row.Kind
	Text string
}

// Source runs every check against a source, each in a world of its own.
func Source(t *testing.T, h SourceHarness) {
	t.Helper()
	if *live {
		h = h.onAccount(t)
	}
	names := map[string]bool{}
	for _, c := range sourceChecks() {
		names[c.name] = true
		t.Run(c.name, func(t *testing.T) { c.try(t, &h) })
	}
	for name, why := range h.Except {
		if !names[name] || why == "" {
			t.Errorf("the exception %q (%q) names no check, or has no reason", name, why)
		}
	}
}

type sourceCheck struct {
	name string
	run  func(*well)
}

func (c sourceCheck) try(t testing.TB, h *SourceHarness) {
	t.Helper()
	if why, ok := h.Except[c.name]; ok {
		t.Skip(why)
	}
	w := &well{TB: t, h: h, world: h.New(t)}
	c.run(w)
	w.keepsSecrets()
}

// well is one check's place.
type well struct {
	testing.TB
	h     *SourceHarness
	world SourceWorld
	mu    sync.Mutex
	heard []string
}

func (w *well) try(over map[string]string) (connector.Source, error) {
	values := maps.Clone(w.world.Settings)
	for k, v := range over {
		if values[k] = v; v == "" {
			delete(values, k)
		}
	}
	s, err := w.h.Connector.Open(w.Context(), config(w.h.Connector.Spec, values, nil), connector.Env{ProjectDir: w.world.Dir, StateDir: w.TempDir(), Gate: connector.OpenGate{}, Name: "kit"})
	w.hear(err)
	return s, err
}

// open opens the source; it is closed when the check ends.
func (w *well) open(over map[string]string) connector.Source {
	w.Helper()
	s, err := w.try(over)
	if err != nil {
		w.Fatalf("opening: %v", err)
	}
	w.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.Errorf("closing: %v", err)
		}
	})
	return s
}

func (w *well) hear(err error) {
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.heard = append(w.heard, err.Error(), fault.As(err).GetFix())
	}
}

func (w *well) keepsSecrets() {
	w.Helper()
	secrets := append([]string{}, w.world.Secrets...)
	for name := range secretSettings(w.h.Connector.Spec) {
		secrets = append(secrets, w.world.Settings[name], w.h.Wrong[name])
	}
	for _, secret := range secrets {
		for _, text := range w.heard {
			if len(secret) >= 4 && strings.Contains(text, secret) {
				w.Errorf("a secret is shown in: %s", strings.ReplaceAll(text, secret, "[secret]"))
			}
		}
	}
}

// read reads a query to its end.
func (w *well) read(ctx context.Context, s connector.Source, q connector.Query) (schema *arrow.Schema, rows [][]row.Value, err error) {
	w.Helper()
	for b, err := range s.Read(ctx, q) {
		if err != nil {
			w.hear(err)
			return schema, rows, err
		}
		schema = b.Schema()
		ks := make([]row.Kind, b.NumCols())
		for j, f := range schema.Fields() {
			if ks[j], err = row.KindOf(f); err != nil {
				return schema, rows, err
			}
		}
		for i := range int(b.NumRows()) {
			r := make([]row.Value, len(ks))
			for j := range r {
				r[j] = row.At(b.Column(j), ks[j], i)
			}
			rows = append(rows, r)
		}
	}
	return schema, rows, nil
}

// rows reads a query that must succeed and gives its rows as texts joined by |.
func (w *well) rows(s connector.Source, q connector.Query) []string {
	w.Helper()
	_, rows, err := w.read(w.Context(), s, q)
	if err != nil {
		w.Fatalf("reading %+v: %v", q, err)
	}
	var out []string
	for _, r := range rows {
		var cells []string
		for _, v := range r {
			cells = append(cells, v.String())
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out
}
