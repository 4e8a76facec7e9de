package roundtrip_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/all"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
	"github.com/upwelldata/upwell/internal/state"
)

// The process lives in a zone with daylight saving time, so that a time in local time somewhere shows.
func TestMain(m *testing.M) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	time.Local = berlin
	os.Exit(m.Run())
}

// connectors are all the program has.
type connectors struct{}

func (connectors) Source(typ string) (connector.SourceConnector, bool) {
	for _, c := range all.Sources() {
		if c.Spec.Type == typ {
			return c, true
		}
	}
	return connector.SourceConnector{}, false
}

func (connectors) Destination(typ string) (connector.DestinationConnector, bool) {
	for _, c := range all.Destinations() {
		if c.Spec.Type == typ {
			return c, true
		}
	}
	return connector.DestinationConnector{}, false
}

func registry() project.Registry {
	var sources, destinations []connector.Spec
	for _, c := range all.Sources() {
		sources = append(sources, c.Spec)
	}
	for _, c := range all.Destinations() {
		destinations = append(destinations, c.Spec)
	}
	return project.NewRegistry(sources, destinations)
}

// world is a project of one sync from a source to a destination.
type world struct {
	t   *testing.T
	dir string
}

// newWorld makes a project that maps these columns; more are further settings of the sync.
func newWorld(t *testing.T, src *source, dest *destination, mapped []string, more string) *world {
	t.Helper()
	w := &world{t, t.TempDir()}
	var fields []string
	for _, name := range mapped {
		from := name
		if m, ok := dest.mapped[name]; ok {
			from = m
		}
		fields = append(fields, dest.field(name)+": "+from)
	}
	w.define(src, dest, fields, more)
	return w
}

func (w *world) define(src *source, dest *destination, fields []string, more string) {
	w.t.Helper()
	yml := fmt.Sprintf("version: 1\nname: roundtrip\nsources:\n  from: {%s}\ndestinations:\n  to: {%s}\nmodels:\n  m: {source: from, key: id, %s}\n"+
		"syncs:\n  s: {model: m, destination: to, object: %s, mode: upsert, match: {%s: id}, fields: {%s}%s}\n",
		src.settings, dest.settings, src.model, dest.object, dest.match, strings.Join(fields, ", "), more)
	write(w.t, filepath.Join(w.dir, "upwell.yml"), []byte(yml))
}

// engine opens project and state as a process would, and closes them when do returns.
func (w *world) engine(do func(*run.Engine, *project.Sync)) {
	w.t.Helper()
	p, faults := project.Load(w.dir, registry())
	if len(faults) > 0 {
		w.t.Fatal(faults)
	}
	st, err := state.Open(w.t.Context(), p, state.Ask)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			w.t.Error(err)
		}
	}()
	do(&run.Engine{Project: p, Connectors: connectors{}, Store: st.Store, Ledger: st.Ledger}, p.Syncs["s"])
}

// refusal is why a row was not sent.
type refusal struct{ kind, code, field, message string }

// run runs the sync and gives what was refused, by id.
func (w *world) run(full bool) (*run.Record, map[string]refusal) {
	w.t.Helper()
	var rec *run.Record
	refused := map[string]refusal{}
	w.engine(func(e *run.Engine, s *project.Sync) {
		var err error
		if rec, err = e.Run(w.t.Context(), s, run.RunOptions{Full: full, Wait: time.Millisecond}); err != nil {
			w.t.Fatal(err)
		}
		list, err := e.Store.Refusals(w.t.Context(), "s")
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range list {
			key, err := row.ParseKey(r.Key)
			if err != nil {
				w.t.Fatal(err)
			}
			refused[key[0].Str()] = refusal{r.Kind, string(r.Code), r.Field, r.Message}
		}
	})
	if rec.Error != nil || rec.Status != run.Succeeded && rec.Status != run.Partial {
		w.t.Fatalf("the run %s: %v", rec.Status, rec.Error)
	}
	return rec, refused
}

// plan gives the error of planning, if there is one.
func (w *world) plan() (err error) {
	w.t.Helper()
	w.engine(func(e *run.Engine, s *project.Sync) {
		_, err = e.Plan(w.t.Context(), s, false, true, nil, &deliver.Tally{})
	})
	return err
}

// file is a database of a test that must be closed before others may read it.
type file struct{ *sql.DB }

func open(t *testing.T, driver, dsn string) file {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	return file{db}
}

func (f file) close(t *testing.T) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
