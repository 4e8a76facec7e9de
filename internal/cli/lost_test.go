package cli_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const inDuckDB = `
sources:
  duck: {type: duckdb, path: wh.duckdb, diff: warehouse}
models:
  health:
    source: duck
    sql: select 'A' || i as account_id, 7 as score, 'watch' as tier from range(4) t(i)
    key: account_id
`

// The rest of the state is there and tells that there was a ledger: taken for a first run, everything would be sent again.
func Test_a_ledger_that_is_gone_is_no_first_run(t *testing.T) {
	for _, c := range []struct {
		name  string
		model string
		gone  func(t *testing.T, w *world)
		says  string
	}{
		{"from the state folder", models, removed(".upwell/ledger"), "the state folder holds none"},
		{"from the warehouse", inDuckDB, func(t *testing.T, w *world) { duck(t, w, "drop schema upwell cascade") }, "source duck holds none"},
		{"from where the project looks for it", inDuckDB, func(_ *testing.T, w *world) {
			w.write("upwell.yml", change(sources, "name: acme", "name: renamed"))
		}, "project's name"},
		{"while it was to move", models, func(t *testing.T, w *world) {
			removed(".upwell/ledger")(t, w)
			w.write("model.yml", inDuckDB)
		}, "the state folder holds none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			duck(t, w, "select 1") // makes the file
			w.write("model.yml", c.model)
			w.write("sync.yml", change(toHook, "mode: mirror", "mode: append"))
			w.must(0, "run")
			w.must(0, "doctor")
			c.gone(t, w)
			clear(w.hook.records)
			for _, args := range [][]string{{"plan"}, {"run"}, {"run"}, {"explain", "health_to_hook", "A1"}, {"undo", "latest", "--yes"}} {
				if a := w.must(5, args...); !strings.Contains(a.out+a.err, c.says) || !strings.Contains(a.out+a.err, "STATE_MISSING") ||
					!strings.Contains(a.out+a.err, "upwell reset health_to_hook") {
					t.Errorf("%v: %s%s", args, a.out, a.err)
				}
			}
			doc := w.must(5, "doctor", "--json").decoded(t)
			if at(t, doc, "damage", 0, "part") != "ledger health_to_hook" {
				t.Errorf("%v", doc)
			}
			if len(w.hook.records) > 0 {
				t.Errorf("sent again: %v", w.hook.records)
			}
			w.must(0, "reset", "health_to_hook", "--yes") // the way out that the error names
			run := w.must(0, "run", "--json").decoded(t)
			if at(t, run, "runs", 0, "counts", "delivered") != json.Number("4") {
				t.Errorf("%v", run)
			}
			w.must(0, "doctor")
		})
	}
}

// duck runs a statement in the warehouse; the connector has registered its driver.
func duck(t *testing.T, w *world, statement string) {
	t.Helper()
	db, err := sql.Open("duckdb", filepath.Join(w.dir, "wh.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), statement)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func removed(name string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// Without the store nobody knows which requests were open.
func Test_a_store_that_is_gone_is_damage(t *testing.T) {
	for _, gone := range [][]string{{"state.db"}, {"state.db", "state.db.sum"}} {
		w := newWorld(t, models, toHook)
		w.must(0, "run")
		w.exec(`delete from health where account_id = 'A1'`)
		for _, name := range gone {
			removed(".upwell/"+name)(t, w)
		}
		for _, args := range [][]string{{"plan"}, {"run"}, {"status"}, {"runs"}, {"rejects"}} {
			if a := w.must(5, args...); !strings.Contains(a.err, "state.db, is missing [STATE_CORRUPT]") {
				t.Errorf("%v: %s", args, a.err)
			}
		}
		w.must(5, "doctor", "--json") // it gives something up, and nobody can answer
		doc := w.must(0, "doctor", "--yes", "--json").decoded(t)
		if at(t, doc, "state") != "repaired" || at(t, doc, "syncs", 0) != "health_to_hook" {
			t.Errorf("%v", doc)
		}
		w.must(0, "doctor")
		run := w.must(0, "run", "--json").decoded(t)
		if at(t, run, "runs", 0, "counts", "unchanged") != json.Number("3") || at(t, run, "runs", 0, "counts", "planned", "remove") != json.Number("0") {
			t.Errorf("%v", run)
		}
	}
}

// A ledger in the warehouse is not lost with the folder.
func Test_adopting_keeps_ledgers_in_the_warehouse(t *testing.T) {
	w := newWorld(t)
	duck(t, w, "create table health as select 'A' || i as account_id, 7 as score, 'watch' as tier from range(4) t(i)")
	w.write("model.yml", change(inDuckDB, "select 'A' || i as account_id, 7 as score, 'watch' as tier from range(4) t(i)", "select * from health"))
	w.write("sync.yml", toHook)
	w.must(0, "run")
	removed(".upwell")(t, w)
	duck(t, w, "update health set score = 8 where account_id = 'A1'")
	w.must(5, "run")
	doc := w.must(0, "doctor", "--adopt", "--json").decoded(t)
	if at(t, doc, "kept", 0) != "health_to_hook" {
		t.Errorf("%v", doc)
	}
	run := w.must(0, "run", "--json").decoded(t)
	if at(t, run, "runs", 0, "counts", "unchanged") != json.Number("3") || at(t, run, "runs", 0, "counts", "delivered") != json.Number("1") {
		t.Errorf("what changed meanwhile was taken for delivered: %v", run)
	}
}

// Without its value a setting would be empty and mean another user or another server; and a choice that fails half way is still open.
func Test_a_ledger_in_the_warehouse_is_not_looked_for_with_settings_that_have_no_value(t *testing.T) {
	w := newWorld(t)
	duck(t, w, "select 1")
	t.Setenv("UPWELL_TEST_DUCK", "wh.duckdb")
	w.write("model.yml", change(inDuckDB, "path: wh.duckdb", "path: '${env:UPWELL_TEST_DUCK}'"))
	w.write("sync.yml", toHook)
	w.must(0, "run")
	if err := os.Unsetenv("UPWELL_TEST_DUCK"); err != nil { // t.Setenv restores it
		t.Fatal(err)
	}
	says := func(args ...string) {
		t.Helper()
		if a := w.must(2, args...); !strings.Contains(a.err, "environment variable UPWELL_TEST_DUCK is not set") || !strings.Contains(a.err, "model.yml:3:") {
			t.Errorf("%v: %s", args, a.err)
		}
	}
	says("doctor")
	says("reset", "health_to_hook", "--yes")
	removed(".upwell")(t, w)
	says("doctor", "--rebuild")
	t.Setenv("UPWELL_TEST_DUCK", "wh.duckdb")
	w.must(5, "run")
	w.must(0, "doctor", "--rebuild")
	run := w.must(0, "run", "--json").decoded(t)
	if at(t, run, "runs", 0, "counts", "delivered") != json.Number("4") {
		t.Errorf("not delivered again: %v", run)
	}
}
