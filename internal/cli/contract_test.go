package cli_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/spf13/cobra"

	"github.com/upwelldata/upwell/internal/cli"
	"github.com/upwelldata/upwell/internal/connector"
)

// has wants exactly these fields to be there, whatever else is.
func has(t *testing.T, doc any, fields ...string) {
	t.Helper()
	m, ok := doc.(map[string]any)
	if !ok {
		t.Fatalf("%v is no object", doc)
	}
	for _, f := range fields {
		if _, ok := m[f]; !ok {
			t.Errorf("no field %q in %v", f, m)
		}
	}
}

func Test_documents_have_the_fields_of_the_contract(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.exec(`update health set score = 9007199254740993 where account_id = 'A4'`)
	w.hook.reject["A3"] = "NO"
	plan := at(t, w.must(0, "plan", "--json").decoded(t), "plans", 0)
	has(t, plan, "sync", "run_mode", "plan_hash", "mapping_changed", "counts", "guards", "estimate", "samples")
	has(t, at(t, plan, "counts"), "read", "invalid", "unchanged", "waiting", "add", "change", "remove")
	has(t, at(t, plan, "guards", 0), "guard", "limit", "value", "held")
	has(t, at(t, plan, "estimate"), "requests", "seconds", "daily_quota_share")
	has(t, at(t, plan, "samples", 0), "op", "key", "fields")
	has(t, at(t, plan, "samples", 0, "fields", "score"), "old", "new")
	if got := fmt.Sprint(at(t, plan, "samples", 3, "fields", "score", "new")); got != "9007199254740993" {
		t.Errorf("a large integer: %s", got)
	}

	run := at(t, w.must(3, "run", "--json").decoded(t), "runs", 0)
	has(t, run, "run_id", "sync", "status", "started_at", "finished_at", "counts", "requests", "retries", "throttled_seconds", "error")
	has(t, at(t, run, "counts"), "read", "invalid", "unchanged", "waiting", "planned", "delivered", "unconfirmed", "skipped", "rejected", "unknown", "withheld", "pending")
	has(t, at(t, run, "counts", "planned"), "add", "change", "remove")
	if started := at(t, run, "started_at").(string); !strings.HasSuffix(started, "Z") {
		t.Errorf("started_at %s is not UTC", started)
	}

	x := w.must(0, "explain", "health_to_hook", "A3", "--json").decoded(t)
	has(t, x, "key", "model_row", "mapped", "ledger", "state", "last_error", "attempts", "next_attempt_at", "history")
	has(t, x["last_error"], "code", "class", "message", "fix")
	if x["state"] != "rejected" || x["ledger"] != nil {
		t.Errorf("%v", x)
	}
	ok := w.must(0, "explain", "health_to_hook", "A1", "--json").decoded(t)
	has(t, ok["ledger"], "fields", "delivered_at", "run_id", "remote_id")
	has(t, at(t, ok, "history", 0), "run_id", "at", "op", "outcome", "fields")
	for state, key := range map[string]string{"in_sync": "A1", "absent": "nobody"} {
		if got := w.must(0, "explain", "health_to_hook", key, "--json").decoded(t)["state"]; got != state {
			t.Errorf("%s is %v, want %s", key, got, state)
		}
	}

	rejects := w.must(0, "rejects", "--json").decoded(t)
	has(t, at(t, rejects, "groups", 0), "code", "field", "count", "message", "sample_key", "first_seen", "last_seen")
	has(t, at(t, rejects, "rows", 0), "key", "code", "field", "message")

	status := w.must(0, "status", "--json").decoded(t)
	has(t, at(t, status, "syncs", 0), "sync", "state", "last_run", "last_success_at", "freshness_seconds", "next_run_at", "problem")
	if at(t, status, "syncs", 0, "next_run_at") == nil {
		t.Error("a scheduled sync has no next run")
	}
	fail := w.must(2, "retry", "nothing", "--json").decoded(t)
	has(t, fail["error"], "code", "class", "message", "fix")
}

func Test_a_composite_key_is_named_and_typed(t *testing.T) {
	w := newWorld(t, strings.NewReplacer("table: health", "sql: select account_id, score, tier, cast(7 as integer) as n from health", "key: account_id", "key: [account_id, n]").Replace(models),
		strings.Replace(toHook, "{id: account_id}", "{id: account_id, n: n}", 1))
	w.exec(`create view typed as select 1`)
	plan := w.must(0, "plan", "--json").decoded(t)
	if got := fmt.Sprint(at(t, plan, "plans", 0, "samples", 0, "key")); got != "map[account_id:A1 n:7]" {
		t.Errorf("key %s", got)
	}
	w.must(0, "run")
	doc := w.must(0, "explain", "health_to_hook", "n=7,account_id=A2", "--json").decoded(t)
	if doc["state"] != "in_sync" {
		t.Errorf("%v", doc)
	}
	for key, says := range map[string]string{
		"A2": "account_id=…,n=…", "account_id=A2": "column n has no value", "account_id=A2,n=seven": "is no int", "m=1,n=2": "account_id=…,n=…",
	} {
		if a := w.must(2, "explain", "health_to_hook", key); !strings.Contains(a.err, says) {
			t.Errorf("%s: %s", key, a.err)
		}
	}
}

// What `plan` and `rejects` print as a key is what `explain` takes.
func Test_a_composite_key_may_hold_commas_and_equal_signs(t *testing.T) {
	w := newWorld(t, strings.NewReplacer("table: health", "sql: select account_id, score, tier, cast(7 as integer) as n from health", "key: account_id", "key: [account_id, n]").Replace(models),
		strings.Replace(toHook, "{id: account_id}", "{id: account_id, n: n}", 1))
	w.exec(`update health set account_id = 'a,b=c,nn=1,' where account_id = 'A1'`, `update health set account_id = '' where account_id = 'A2'`)
	w.must(0, "run")
	for _, key := range []string{"account_id=a,b=c,nn=1,,n=7", "n=7,account_id=a,b=c,nn=1,", "account_id=,n=7", "n=7, account_id=A3"} {
		if doc := w.must(0, "explain", "health_to_hook", key, "--json").decoded(t); doc["state"] != "in_sync" {
			t.Errorf("%s: %v", key, doc["state"])
		}
	}
}

func Test_a_slip_is_answered_with_a_suggestion(t *testing.T) {
	w := newWorld(t, models, toHook)
	for _, c := range []struct{ args, want string }{
		{"rnu", "upwell run"},
		{"plan --exitcode", "--exit-code"},
		{"run health_to_hok", "health_to_hook"},
		{"preview helth", "health"},
		{"test helth", "health"},
		{"run --allow remove", "removed"},
		{"connectors webhok", "webhook"},
		{"sandbox webhok", "webhook"},
		{"completion bahs", "bash"},
	} {
		a := w.must(2, strings.Fields(c.args)...)
		if !strings.Contains(a.err, "did you mean `"+c.want+"`?") {
			t.Errorf("%s: %s", c.args, a.err)
		}
	}
}

func Test_names_are_completed(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.must(0, "run")
	id := at(t, w.must(0, "runs", "--json").decoded(t), "runs", 0, "run_id").(string)
	for args, want := range map[string]string{
		"run ": "health_to_hook", "plan h": "health_to_hook", "explain ": "health_to_hook", "preview ": "health", "test ": "health", "undo ": id,
		"run-log l": "latest", "st": "status", "run --allow ": "removed", "sandbox ": "webhook", "connectors ho": "hook", "completion z": "zsh",
	} {
		a := w.must(0, append([]string{"__complete"}, append([]string{"-C", w.dir}, strings.Split(args, " ")...)...)...)
		if !strings.Contains(a.out, want) {
			t.Errorf("completing %q: %s", args, a.out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if a := w.must(0, "completion", shell); !strings.Contains(a.out, "upwell") {
			t.Errorf("%s: %s", shell, a.out)
		}
	}
}

func Test_every_command_says_what_it_does_and_shows_how(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s lacks a sentence or an example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	root := cli.Commands()
	walk(root)
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	slices.Sort(names)
	want := []string{
		"check", "completion", "connectors", "dbt", "doctor", "explain", "help", "init", "plan", "preview", "rejects", "reset", "retry", "run", "run-log", "runs",
		"sandbox", "schema", "status", "test", "undo", "version",
	}
	for _, name := range want {
		if !slices.Contains(names, name) {
			t.Errorf("no command %s in %v", name, names)
		}
	}
}

func Test_version_schema_and_connectors_are_documents(t *testing.T) {
	w := newWorld(t, models, toHook)
	has(t, w.must(0, "version", "--json").decoded(t), "version", "go", "os", "arch")
	if a := w.must(0, "schema"); !strings.Contains(a.out, "json-schema.org/draft/2020-12") {
		t.Error(a.out)
	}
	doc := w.must(0, "connectors", "webhook", "--json").decoded(t)
	has(t, at(t, doc, "connectors", 0), "type", "title", "modes", "settings")
	w.must(0, "connectors")
	w.must(0, "connectors", "hook")
}

// broken is a source that panics.
func broken() connector.SourceConnector {
	return connector.SourceConnector{
		Spec: connector.Spec{Type: "broken", Title: "Broken"},
		Open: func(context.Context, connector.Config, connector.Env) (connector.Source, error) {
			return brokenSource{}, nil
		},
	}
}

type brokenSource struct{}

func (brokenSource) Check(context.Context) error { return nil }

func (brokenSource) Describe(context.Context, connector.Query) (*arrow.Schema, error) {
	panic("the secret of the machine")
}

func (brokenSource) Read(context.Context, connector.Query) iter.Seq2[arrow.RecordBatch, error] {
	return nil
}

func (brokenSource) Dialect() connector.Dialect { return connector.Dialect{Quote: '"'} }
func (brokenSource) Close() error               { return nil }

func Test_a_broken_program_says_so_without_its_insides(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.con.Sources = []connector.SourceConnector{broken()}
	w.write("upwell.yml", strings.Replace(sources, "{type: sqlite, path: app.db}", "{type: broken}", 1)+models+toHook)
	for _, args := range [][]string{{"run", "--json"}, {"plan", "--json"}} {
		a := w.must(1, args...)
		if at(t, a.decoded(t), "error", "code") != "INTERNAL" || strings.Contains(a.err, "goroutine") {
			t.Errorf("%s%s", a.out, a.err)
		}
	}
	if a := w.must(1, "run", "-v"); !strings.Contains(a.err, "goroutine") {
		t.Errorf("-v does not show where: %s", a.err)
	}
	w.write("upwell.yml", sources+models+toHook)
	w.must(0, "run") // the state is not left locked
}

func Test_rejects_are_exported_without_formulas(t *testing.T) {
	for in, want := range map[string]string{
		"=1+1": "'=1+1", "+cmd": "'+cmd", "-2": "-2", "-x": "'-x", "@SUM(A1)": "'@SUM(A1)", "\tx": "'\tx", "\rx": "'\rx", "plain": "plain", "": "", "+4.5": "+4.5",
	} {
		if got := cli.Harmless(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	w := newWorld(t, models, toHook)
	w.exec(`insert into health values ('=HYPERLINK("x")', 1, 'watch')`)
	w.hook.reject[`=HYPERLINK("x")`] = "NO"
	w.must(3, "run")
	dir := t.TempDir()
	w.must(0, "rejects", "--export", filepath.Join(dir, "r.csv"))
	f, err := os.Open(filepath.Join(dir, "r.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil || len(lines) != 2 || lines[1][1] != `'=HYPERLINK("x")` {
		t.Errorf("%v %v", lines, err)
	}
	w.must(0, "rejects", "health_to_hook", "--export", filepath.Join(dir, "r.jsonl"))
	b, err := os.ReadFile(filepath.Join(dir, "r.jsonl"))
	if err != nil || !strings.Contains(string(b), `"account_id":"=HYPERLINK(\"x\")"`) {
		t.Errorf("%s %v", b, err)
	}
	w.must(2, "rejects", "--export", filepath.Join(dir, "r.xlsx"))
}

func Test_what_rows_say_cannot_steer_the_terminal(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.exec("update health set tier = 'a' || char(27) || '[2J' || char(10) || 'b' where account_id = 'A1'")
	w.hook.reject["A1"] = "NO\x1b[31m"
	for _, args := range [][]string{{"preview", "health"}, {"plan"}, {"run"}, {"rejects"}, {"explain", "health_to_hook", "A1"}, {"test"}, {"run-log", "latest"}} {
		if a := w.do(args...); strings.ContainsAny(a.out+a.err, "\x1b") {
			t.Errorf("%v: %q", args, a.out+a.err)
		}
	}
}
