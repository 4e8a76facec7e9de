package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/cli"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/state"
)

func Test_exit_codes_are_those_of_the_contract(t *testing.T) {
	for _, c := range []struct {
		name string
		want int
		prep func(w *world)
		args []string
	}{
		{"everything delivered", 0, nil, []string{"run"}},
		{"a computed plan", 0, nil, []string{"plan"}},
		{"a plan with changes, asked for", 10, nil, []string{"plan", "--exit-code"}},
		{"a plan without changes, asked for", 0, func(w *world) { w.must(0, "run") }, []string{"plan", "--exit-code"}},
		{"a query that fails", 1, func(w *world) {
			w.write("upwell.yml", sources+strings.Replace(models, "table: health", "sql: select nonsense(", 1)+toHook)
		}, []string{"run"}},
		{"a project that is wrong", 2, func(w *world) { w.write("upwell.yml", "version: 1\nsyncs: 3\n") }, []string{"run"}},
		{"a column that is missing", 2, func(w *world) {
			w.write("upwell.yml", sources+models+strings.Replace(toHook, "tier: tier", "tier: teir", 1))
		}, []string{"run"}},
		{"a command that does not exist", 2, nil, []string{"rnu"}},
		{"a flag that does not exist", 2, nil, []string{"run", "--al"}},
		{"too many arguments", 2, nil, []string{"retry", "a", "b"}},
		{"an argument missing", 2, nil, []string{"explain", "health_to_hook"}},
		{"a word --allow does not know", 2, nil, []string{"run", "--allow", "remove"}},
		{"a sync that does not exist", 2, nil, []string{"run", "health_to_hok"}},
		{"a key that does not exist is an answer", 0, nil, []string{"explain", "health_to_hook", "x"}},
		{"some rows rejected", 3, func(w *world) { w.hook.reject["A1"] = "NO" }, []string{"run"}},
		{"some rows invalid", 3, func(w *world) { w.exec(`insert into health values ('A1', 1, null)`) }, []string{"run"}},
		{"a guard", 4, func(w *world) { w.must(0, "run"); w.exec(`delete from health where account_id <> 'A1'`) }, []string{"run"}},
		{"a guard, lifted", 0, func(w *world) { w.must(0, "run"); w.exec(`delete from health where account_id <> 'A1'`) }, []string{"run", "--allow", "removed"}},
		{"a model test", 4, func(w *world) { w.exec(`insert into health values (null, 1, null)`) }, []string{"run"}},
		{"a model test, on its own", 4, func(w *world) { w.exec(`insert into health values (null, 1, null)`) }, []string{"test"}},
		{"a login refused", 5, func(w *world) { w.hook.down = 401 }, []string{"run"}},
		{"a tool that stays away", 5, func(w *world) { w.hook.down = 503 }, []string{"run", "--wait", "1ms"}},
		{"a source that is not there", 5, func(w *world) { os.Remove(filepath.Join(w.dir, "app.db")) }, []string{"run"}},
		{"no way to answer a question", 2, func(w *world) { w.must(0, "run") }, []string{"undo", "latest"}},
		{"a run that does not exist", 2, func(w *world) { w.must(0, "run") }, []string{"run-log", "nothing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, models, toHook)
			if c.prep != nil {
				c.prep(w)
			}
			a := w.must(c.want, c.args...)
			if c.want != 0 && c.want != 10 && a.err == "" && a.out == "" {
				t.Error("it says nothing")
			}
			for _, bad := range []string{"goroutine", "runtime error", "INTERNAL"} {
				if strings.Contains(a.out+a.err, bad) {
					t.Errorf("it shows its insides: %s%s", a.out, a.err)
				}
			}
		})
	}
}

func Test_of_several_syncs_the_worst_exit_code_wins(t *testing.T) {
	order := []int{130, 2, 5, 1, 4, 3, 0}
	for i, a := range order {
		for _, b := range order[i:] {
			if got := cli.Worst(b, a); got != a {
				t.Errorf("of %d and %d: %d", a, b, got)
			}
		}
	}
	w := newWorld(t, models, toFile, strings.Replace(toHook, "\nsyncs:\n", "", 1))
	w.hook.reject["A1"] = "NO"
	doc := w.must(3, "run", "--json").decoded(t)
	if n := len(at(t, doc, "runs").([]any)); n != 2 {
		t.Errorf("%d runs", n)
	}
}

func Test_a_sync_behind_one_that_failed_is_skipped_and_the_others_go_on(t *testing.T) {
	second := strings.NewReplacer("\nsyncs:\n", "", "health_to_hook", "after_hook", "destination: hook", "destination: out", "{every: 1h}", "{after: [health_to_hook]}").Replace(toHook)
	third := strings.NewReplacer("\nsyncs:\n", "", "health_to_hook", "after_that", "destination: hook", "destination: out", "object: accounts", "object: more", "{every: 1h}", "{after: [after_hook]}").Replace(toHook)
	w := newWorld(t, models, toFile, strings.Replace(toHook, "\nsyncs:\n", "", 1), second, third)
	w.hook.down = 401
	doc := w.must(5, "run", "--json").decoded(t)
	if got := at(t, doc, "runs", 0, "sync"); got != "health_to_file" && got != "health_to_hook" {
		t.Errorf("%v", got)
	}
	if n := len(at(t, doc, "runs").([]any)); n != 2 {
		t.Errorf("%d runs, want the failed one and the one beside it", n)
	}
	if at(t, doc, "skipped", 0, "sync") != "after_hook" || at(t, doc, "skipped", 1, "sync") != "after_that" {
		t.Errorf("%v", doc["skipped"])
	}
	if why := at(t, doc, "skipped", 0, "reason").(string); !strings.Contains(why, "health_to_hook") {
		t.Errorf("reason: %s", why)
	}
}

func Test_a_second_process_names_the_holder(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.must(0, "run")
	hold := func() *state.State {
		s, err := state.Open(t.Context(), &project.Project{Dir: w.dir}, state.Ask)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := hold()
	a := w.must(5, "run", "--json")
	if at(t, a.decoded(t), "error", "code") != "STATE_LOCKED" || !strings.Contains(a.err, "process ") {
		t.Errorf("%s%s", a.out, a.err)
	}
	for _, args := range [][]string{{"status"}, {"runs"}, {"rejects"}, {"plan"}, {"explain", "health_to_hook", "A1"}, {"run-log", "latest"}} {
		w.must(0, args...)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w.must(0, "run")
}
