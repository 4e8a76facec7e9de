package proof_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
)

// mortal is a warehouse connection of a process that may be dead: then nothing it does arrives.
type mortal struct {
	connector.Warehouse
	dead *bool
}

func (m mortal) Exec(ctx context.Context, list []connector.Statement) error {
	if *m.dead {
		return fault.New(fault.SourceUnreachable, "what follows never happened")
	}
	return m.Warehouse.Exec(ctx, list)
}

// twin is one of the worlds that live through the same history.
type twin struct {
	*world
	name string
	db   *database
	dead bool
	tell []string
}

func newTwin(rt *rapid.T, name string, dir string, db *database) *twin {
	w := &twin{world: &world{dir: filepath.Join(dir, name), model: &model{rows: map[int]record{}}, tool: newTool()}, name: name, db: db}
	w.tool.timeout = time.Millisecond
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		rt.Fatal(err)
	}
	if db != nil {
		open := db.Open
		spec := db.Spec
		w.sources = map[string]connector.SourceConnector{spec.Type: {Spec: spec, Open: func(ctx context.Context, cfg connector.Config, env connector.Env) (connector.Source, error) {
			s, err := open(ctx, cfg, env)
			if err != nil {
				return nil, err
			}
			m := mortal{s.(connector.Warehouse), &w.dead}
			if list, can := s.(connector.Catalog); can {
				return struct {
					mortal
					connector.Catalog
				}{m, list}, nil
			}
			return m, nil
		}}}
	}
	return w
}

// define writes the project. A twin in a database has a project name of its own in each history, so that they share the database.
func (w *twin) define(rt *rapid.T, project, body, home string) {
	source := "type: memory"
	if w.db != nil {
		source = "type: " + w.db.Spec.Type + ", " + w.db.settings + ", diff: " + home
	}
	text := "version: 1\nname: " + project + "\nsources: {wh: {" + source + "}}\ndestinations: {tool: {type: tool}}\n" +
		"models: {m: {source: wh, table: t, key: id}}\nsyncs:\n  s:\n    model: m\n    destination: tool\n    object: Account\n    " + body
	if err := os.WriteFile(filepath.Join(w.dir, "upwell.yml"), []byte(text), 0o600); err != nil {
		rt.Fatal(err)
	}
}

// load puts the model into the database.
func (w *twin) load(rt *rapid.T) {
	if w.db == nil {
		return
	}
	list := []string{"DROP TABLE IF EXISTS t", "CREATE TABLE t (id BIGINT, mail VARCHAR, v VARCHAR, tier VARCHAR)"}
	for _, vals := range w.model.values() {
		cells := make([]string, len(vals))
		for i, v := range vals {
			cells[i] = "NULL"
			if !v.IsNull() {
				cells[i] = "'" + v.String() + "'"
			}
		}
		list = append(list, "INSERT INTO t VALUES ("+strings.Join(cells, ", ")+")")
	}
	if err := w.db.fill(list); err != nil {
		rt.Fatal(err)
	}
}

// look plans and says what would happen, without what a home may number in its own way.
func (w *twin) look(rt *rapid.T, full bool) string {
	var out []string
	err := w.engine(func(e *run.Engine) error {
		p, err := e.Plan(context.Background(), e.Project.Syncs["s"], full, true, nil, &deliver.Tally{})
		if err != nil {
			return err
		}
		out = append(out, fmt.Sprintf("%+v invalid %v", p.Summary.Counts, p.Summary.InvalidBy))
		for _, it := range p.Items {
			out = append(out, fmt.Sprintf("%x %s %x", it.Key, it.Action, it.Digest))
		}
		return nil
	})
	if err != nil {
		rt.Fatalf("%s: planning: %v\n%s", w.name, err, strings.Join(w.tell, "\n"))
	}
	return strings.Join(out, "\n")
}

func (w *twin) deliver(rt *rapid.T, o run.RunOptions) string {
	var rec *run.Record
	err := w.engine(func(e *run.Engine) (err error) {
		rec, err = e.Run(context.Background(), e.Project.Syncs["s"], o)
		return err
	})
	if err != nil {
		rt.Fatalf("%s: %v\n%s", w.name, err, strings.Join(w.tell, "\n"))
	}
	if why := unbalanced(rec.Counts); why != "" {
		rt.Fatalf("%s: %s\n%s", w.name, why, strings.Join(w.tell, "\n"))
	}
	said := fmt.Sprintf("%s %+v", rec.Status, rec.Counts)
	w.tell = append(w.tell, "  "+said+fmt.Sprint(" ", rec.Error, w.tool.took()))
	return said
}

// die runs in a process that is killed after the tool applied its n-th call.
func (w *twin) die(rt *rapid.T, n int) {
	died, err := w.crashing(n)
	if err != nil {
		rt.Fatalf("%s: dying: %v", w.name, err)
	}
	w.tell = append(w.tell, fmt.Sprintf("  died %v %v", died, w.tool.took()))
}

func (w *twin) crashing(n int) (bool, error) {
	w.onDeath = func() { w.dead = true }
	defer func() { w.onDeath, w.dead = nil, false }()
	return w.crash(n, run.RunOptions{Allow: everything})
}

var everything = plan.Allow{"removed": true, "empty": true}

// holds tells what a tool holds in the fields that are mapped: what a death left in one that is not is a matter of order.
func (s *siblings) holds(w *twin) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(w.tool.records)) {
		r := w.tool.records[k]
		line := k
		for _, f := range slices.Sorted(maps.Keys(r)) {
			if f != "Tier" || s.tier {
				line += " " + f + "=" + r[f]
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func textRow(id int, match, v string) []row.Value {
	key := row.NullValue()
	if id >= 0 {
		key = row.IntValue(int64(id))
	}
	return []row.Value{key, row.TextValue(match), row.TextValue(v), row.NullValue()}
}

// Both homes of a ledger give the same plans and the same ends for the same history: rows that come, change, go, double, lose their
// key or change places; refusals, lost answers, deaths; mappings that change; and a ledger that moves between its homes.
func homes(t *testing.T, db database) {
	histories, plans := 0, 0
	checks, steps := "2", "12" // a run costs a tenth of a second here
	if long {
		checks, steps = "60", "30"
	}
	if err := errors.Join(flag.Set("rapid.checks", checks), flag.Set("rapid.steps", steps)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(flag.Set("rapid.checks", "100"), flag.Set("rapid.steps", "30")); err != nil {
			t.Fatal(err)
		}
	}()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "upwell-proof-")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		histories++
		s := &siblings{rt: rt, home: "warehouse", project: "p" + strconv.Itoa(histories)}
		s.all = []*twin{newTwin(rt, "local", dir, nil), newTwin(rt, "warehouse", dir, &db)}
		s.byMail, s.keep = rapid.Bool().Draw(rt, "matched by mail"), rapid.Bool().Draw(rt, "removed are kept")
		s.define()
		rt.Repeat(map[string]func(*rapid.T){
			"rows":     s.rows,
			"more":     s.rows,
			"mapping":  func(*rapid.T) { s.tier = !s.tier; s.define() },
			"move":     s.move,
			"run":      s.run,
			"run full": func(rt *rapid.T) { s.full = true; s.run(rt); s.full = false },
			"die":      s.die,
		})
		s.settle()
		plans += s.plans
	})
	t.Logf("%d histories, %d plans: both homes agreed on every one, and on what the tool held in the end", histories, plans)
}

func Test_the_ledger_in_postgres_gives_the_plans_of_a_local_one(t *testing.T) {
	homes(t, inPostgres(t))
}

func Test_the_ledger_in_duckdb_gives_the_plans_of_a_local_one(t *testing.T) { homes(t, inDuckDB(t)) }

func Test_the_ledger_in_snowflake_gives_the_plans_of_a_local_one(t *testing.T) {
	homes(t, inSnowflake(t))
}

// siblings are worlds that are told the same.
type siblings struct {
	rt      *rapid.T
	all     []*twin
	project string
	home    string
	byMail  bool
	keep    bool // the records of removed rows stay in the tool
	tier    bool
	full    bool
	apart   bool // a death may have left them different until everything was sent once
	plans   int
}

func (s *siblings) tell(format string, args ...any) {
	for _, w := range s.all {
		w.tell = append(w.tell, fmt.Sprintf(format, args...))
	}
}

func (s *siblings) define() {
	body := "mode: mirror\n    guards: {max_removed: 100%}\n    match: {Id: id}\n    fields: {V: v"
	if s.keep {
		body = strings.Replace(body, "mode: mirror", "mode: upsert\n    removed: keep", 1)
	}
	if s.byMail {
		body = strings.Replace(body, "Id: id", "Mail: mail", 1)
	}
	if s.tier {
		body += ", Tier: {column: tier, null: clear}"
	}
	for _, w := range s.all {
		w.define(s.rt, s.project, body+"}\n", s.home)
	}
	s.tell("mapping: tier %v, by mail %v, removed are kept %v, home %s", s.tier, s.byMail, s.keep, s.home)
}

func (s *siblings) move(*rapid.T) {
	s.home = map[string]string{"warehouse": "local", "local": "warehouse"}[s.home]
	s.define()
}

// rows changes the model.
func (s *siblings) rows(rt *rapid.T) {
	type edit struct {
		id, what int
		v        string
		match    int
	}
	edits := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) edit {
		return edit{
			rapid.IntRange(0, 12).Draw(rt, "id"), rapid.IntRange(0, 9).Draw(rt, "what"), rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(rt, "v"),
			rapid.IntRange(0, 14).Draw(rt, "match"),
		}
	}), 1, 6).Draw(rt, "edits")
	for _, w := range s.all {
		w.model.extra = nil
		for _, e := range edits {
			r, there := w.model.rows[e.id]
			switch {
			case e.what < 3:
				delete(w.model.rows, e.id)
			case e.what == 3 && there: // a second row with this key
				w.model.extra = append(w.model.extra, textRow(e.id, r.match, e.v))
			case e.what == 4: // a row without a key
				w.model.extra = append(w.model.extra, textRow(-1, "X", e.v))
			case e.what == 5 && there: // another identity, perhaps somebody's
				r.match = "M" + strconv.Itoa(e.match)
				w.model.rows[e.id] = r
			default:
				if !there {
					r.match = " m" + strconv.Itoa(e.id) + "@x "
				}
				r.v, r.tier = e.v, e.v
				w.model.rows[e.id] = r
			}
		}
	}
	s.tell("rows: %v %d more", s.all[0].model.rows, len(s.all[0].model.extra))
}

// same compares what all say.
func (s *siblings) same(what string, ask func(*twin) string) {
	first := ask(s.all[0])
	for _, w := range s.all[1:] {
		if got := ask(w); got != first {
			s.rt.Fatalf("%s differs\n%s:\n%s\n\n%s:\n%s\n\n%s", what, s.all[0].name, first, w.name, got, strings.Join(w.tell, "\n"))
		}
	}
}

func (s *siblings) run(rt *rapid.T) {
	s.tell("run (full %v)", s.full)
	bad := rapid.SampledFrom([]string{"-", "-", "-", "a", "b"}).Draw(rt, "refused")
	lost := rapid.SampledFrom([]bool{false, false, false, true}).Draw(rt, "an answer is lost")
	for _, w := range s.all {
		w.load(rt)
		w.tool.answer = func(_ connector.Op, _ string, values map[string]string) (connector.Status, string) {
			if values["V"] == bad {
				return connector.Rejected, "BAD"
			}
			return connector.Delivered, ""
		}
		if lost { // every first answer, so that it is the same whatever the order
			w.tool.lost = func(int) error { return fault.New(fault.Internal, "a bug") }
		}
	}
	if !s.apart {
		s.plans++
		s.same("the plan", func(w *twin) string { return w.look(rt, s.full) })
	}
	said := map[string]string{}
	for _, w := range s.all {
		said[w.name] = w.deliver(rt, run.RunOptions{Full: s.full, Allow: everything, Wait: 2 * time.Millisecond})
		w.tool.answer, w.tool.lost = nil, nil
	}
	switch {
	case lost:
		s.apart = true // which calls came to pass before the run ended is a matter of order
	case s.apart && bad == "-": // all that was left open has been sent
		s.apart = slices.ContainsFunc(s.all, func(w *twin) bool { return !strings.HasPrefix(said[w.name], string(run.Succeeded)) })
		if !s.apart {
			s.same("what the tool holds", s.holds)
		}
	case !s.apart:
		s.same("the run", func(w *twin) string { return said[w.name] })
		s.same("what the tool holds", s.holds)
	}
}

func (s *siblings) die(rt *rapid.T) {
	n := rapid.IntRange(1, 3).Draw(rt, "at call")
	s.tell("die at call %d", n)
	for _, w := range s.all {
		w.load(rt)
		w.die(rt, n)
	}
	s.apart = true
}

// settle ends a history: what was refused is tried again, and both tools hold the model.
func (s *siblings) settle() {
	for range 2 {
		for _, w := range s.all {
			w.load(s.rt)
			if err := w.engine(func(e *run.Engine) error { _, err := e.Store.MakeDue(context.Background(), "s"); return err }); err != nil {
				s.rt.Fatal(err)
			}
			w.tell = append(w.tell, "settle")
			w.deliver(s.rt, run.RunOptions{Allow: everything, Wait: 2 * time.Millisecond})
		}
	}
	s.plans++
	s.same("the last plan", func(w *twin) string { return w.look(s.rt, false) })
	s.same("what the tool holds in the end", s.holds)
}
