package project_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// Every folder of testdata is a project; want.txt tells what loading it answers: the faults, or the project and its warnings.
func Test_project_folders_load_as_their_want_says(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*/upwell.yml")
	if err != nil || len(dirs) < 5 {
		t.Fatalf("no cases: %v", err)
	}
	vars := map[string]string{"SF_CLIENT_ID": "canary-id", "SF_CLIENT_SECRET": "canary-secret", "PW": "canary-password"}
	for _, d := range dirs {
		dir := filepath.Dir(d)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			p, faults := project.Load(dir, connectors(), env(vars))
			got := render(faults)
			if p != nil {
				p.Dir = "DIR"
				doc, err := json.MarshalIndent(p, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				got = string(doc) + "\n" + render(p.Warnings)
			}
			if strings.Contains(got, "canary") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			golden(t, filepath.Join(dir, "want.txt"), got)
		})
	}
}

func Test_a_folder_without_a_project_file_is_no_project(t *testing.T) {
	for name, dir := range map[string]string{
		"an empty folder":      write(t),
		"a folder not there":   filepath.Join(t.TempDir(), "no"),
		"the other extension":  write(t, "upwell.yaml", base),
		"only files beside it": write(t, "syncs.yml", base),
	} {
		t.Run(name, func(t *testing.T) {
			p, faults := project.Load(dir, connectors())
			if p != nil || len(faults) != 1 || faults[0].Code != fault.ProjectNotFound || faults[0].Exit() != fault.ExitUsage {
				t.Errorf("got %v, %v", p, faults)
			}
			if name == "the other extension" && !strings.Contains(faults[0].GetFix(), "rename") {
				t.Errorf("fix: %s", faults[0].GetFix())
			}
		})
	}
}

func Test_the_project_file_itself_is_checked(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		code       fault.Code
		at         string
	}{
		{"an empty file has no version", "", fault.ProjectMissing, "upwell.yml:1:1"},
		{"comments have no version", "# nothing\n", fault.ProjectMissing, "upwell.yml:1:1"},
		{"a version that is missing", "name: a\n", fault.ProjectMissing, "upwell.yml:1:1"},
		{"a version that is text", "version: \"1\"\n", fault.ProjectValue, "upwell.yml:1:10"},
		{"a version to come", "name: a\nversion: 2\n", fault.ProjectValue, "upwell.yml:2:10"},
		{"a list", "- a\n", fault.ProjectType, "upwell.yml:1:1"},
		{"text", "hello\n", fault.ProjectType, "upwell.yml:1:1"},
		{"a misspelt section", "version: 1\nsnycs: {}\n", fault.ProjectUnknownKey, "upwell.yml:2:1"},
		{"broken YAML says nothing of the version", "version: [\n", fault.ProjectSyntax, "upwell.yml:1:10"},
		{"too large", "version: 1\n#" + strings.Repeat("x", 4<<20), fault.ProjectLimit, "upwell.yml:1:1"},
		{"too many words", "version: 1\nx-a:\n" + strings.Repeat("- a\n", 60_000), fault.ProjectLimit, "upwell.yml:1:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, faults := project.Load(write(t, "upwell.yml", c.yaml), connectors())
			if len(faults) == 0 || faults[0].Code != c.code || faults[0].Where.String() != c.at {
				t.Errorf("want %s at %s, got:\n%s", c.code, c.at, render(faults))
			}
		})
	}
	t.Run("a byte order mark is nothing", func(t *testing.T) {
		load(t, write(t, "upwell.yml", "\ufeffversion: 1\n"))
	})
	t.Run("line ends of Windows are nothing", func(t *testing.T) {
		p := load(t, write(t, "upwell.yml", strings.ReplaceAll(base, "\n", "\r\n")), env(map[string]string{"SECRET": "x"}))
		if p.Models["m"].SQL != "select 1 as id, 2 as score, 'a' as email" {
			t.Errorf("SQL %q", p.Models["m"].SQL)
		}
	})
	t.Run("without a name it is named after its folder", func(t *testing.T) {
		dir := write(t, "shop/upwell.yml", "version: 1\n")
		if p := load(t, filepath.Join(dir, "shop")); p.Name != "shop" || p.Dir != filepath.Join(dir, "shop") {
			t.Errorf("name %q in %q", p.Name, p.Dir)
		}
	})
}

func Test_a_file_that_cannot_be_read_is_named(t *testing.T) {
	dir := write(t, "upwell.yml", "version: 1\n")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "a.yml")); err != nil {
		t.Fatal(err)
	}
	// An editor's lock on a file is a link to nowhere too.
	if err := os.Symlink("me@host.1234", filepath.Join(dir, ".#upwell.yml")); err != nil {
		t.Fatal(err)
	}
	_, faults := project.Load(dir, connectors())
	if len(faults) != 1 || faults[0].Code != fault.ProjectUnreadable || faults[0].Where.File != "a.yml" {
		t.Errorf("got:\n%s", render(faults))
	}
}

func Test_a_large_file_of_another_tool_does_not_hinder(t *testing.T) {
	large := strings.Repeat("# padding\n", 500_000)
	p := load(t, write(t, "upwell.yml", "version: 1\n", "openapi.yaml", "openapi: 3.1.0\n"+large))
	if len(p.Warnings) != 1 || p.Warnings[0].Code != fault.ProjectForeign {
		t.Errorf("warnings:\n%s", render(p.Warnings))
	}
	_, faults := project.Load(write(t, "upwell.yml", "version: 1\n", "syncs.yaml", "syncs: {}\n"+large), connectors())
	if len(faults) != 1 || faults[0].Code != fault.ProjectLimit {
		t.Errorf("a large file of ours is refused, got:\n%s", render(faults))
	}
}

func Test_bombs_are_refused_quickly(t *testing.T) {
	const n = 1 << 20
	below := 24_000 // so small that the counts of signs and words let it pass
	for name, bomb := range map[string]string{
		"brackets": strings.Repeat("[", n), "braces": strings.Repeat("{a: ", n), "dashes": strings.Repeat("- ", n),
		"questions": strings.Repeat("? ", n), "tags": strings.Repeat("!a ", n), "anchors": strings.Repeat("&a ", n),
		"aliases": strings.Repeat("*a ", n), "percents": strings.Repeat("%", n), "ampersands": strings.Repeat("&", n),
		"merges": merges(), "aliases of aliases": bomb(),
		"deepening":      deepening(),
		"small brackets": strings.Repeat("[", below), "small dashes": strings.Repeat("- ", below), "small percents": strings.Repeat("%", below),
		"small aliases": strings.Repeat("*a ", below), "small tags": strings.Repeat("!a ", below), "many keys": "version: 1\nx-a:\n" + strings.Repeat("  a: b\n", below/2),
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, "upwell.yml", bomb)
			start := time.Now()
			if _, faults := project.Load(dir, connectors()); len(faults) == 0 {
				t.Error("loaded")
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// merges copies a thousand keys with every one of many << keys.
func merges() string {
	var b strings.Builder
	b.WriteString("version: 1\nx-0: &a\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "  k%d: 1\n", i)
	}
	for i := range 900 {
		fmt.Fprintf(&b, "x-%d:\n  <<: *a\n", i+1)
	}
	return b.String()
}

func deepening() string {
	var b strings.Builder
	for i := range 400 {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func Test_settings_arrive_resolved_flat_and_with_defaults(t *testing.T) {
	dir := write(t, "upwell.yml", "version: 1\nsources:\n  pg: {type: postgres, host: db, port: \"${env:PORT}\", password: \"${file:secrets/pg}\"}\n"+
		hookWith("method: ${env:METHOD:-PUT}", "headers: {X-Literal: \"a$${env:B}c\", X-Token: \"Bearer ${env:TOKEN}\", X-Number: 1.10}",
			"hosts: [a, b]", "follow: true", "timeout: 1d12h", "batch: {max_bytes: 2MiB}", "auth: {user: u, password: \"${env:EMPTY:-def}\"}",
			"success: status == 200 && body.ok", "allow_private: true", "limits: {requests_per_second: 2.5, daily_share: 12.5%}"),
		"secrets/pg", "p w\n")
	p := load(t, dir, env(map[string]string{"PORT": "6543", "TOKEN": "canary", "EMPTY": ""}))
	pg, hook := p.Sources["pg"].Config, p.Destinations["x"].Config
	got := map[string]any{
		"port": pg.Int("port"), "password": pg.Secret("password").Reveal(), "sslmode": pg.String("sslmode"),
		"method": hook.String("method"), "headers": hook.Map("headers"), "hosts": hook.List("hosts"), "follow": hook.Bool("follow"),
		"timeout": hook.Duration("timeout"), "rows": hook.Int("batch.max_rows"), "bytes": hook.Size("batch.max_bytes"),
		"auth": hook.String("auth.password"), "success": hook.String("success"), "private": hook.Bool("allow_private"),
		"has": hook.Has("results"), "secrets": len(hook.Secrets()), "limits": p.Destinations["x"].Limits,
	}
	want := map[string]any{
		"port": 6543, "password": "p w", "sslmode": "require",
		"method": "PUT", "headers": map[string]string{"X-Literal": "a${env:B}c", "X-Token": "Bearer canary", "X-Number": "1.10"},
		"hosts": []string{"a", "b"}, "follow": true, "timeout": 36 * time.Hour, "rows": 100, "bytes": int64(2 << 20),
		"auth": "def", "success": "status == 200 && body.ok", "private": true, "has": false, "secrets": 2,
		"limits": project.Limits{RequestsPerSecond: 2.5, DailyShare: 0.125, Where: fault.Where{File: "upwell.yml", Line: 17, Column: 14}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s := fmt.Sprintf("%v %+v %#v", p.Destinations["x"], *p.Destinations["x"], *p.Destinations["x"]); strings.Contains(s, "canary") {
		t.Errorf("a secret is printed: %s", s)
	}
}

func Test_the_password_inside_a_connection_string_is_a_secret(t *testing.T) {
	for _, c := range []struct{ dsn, password string }{
		{"postgres://u:canary@h/db", "canary"},
		{"postgres://u:ca@na:ry@h/db", "ca@na:ry"},
		{"postgres://u@h/db", ""},
		{"host=h user=u password=canary dbname=d", "canary"},
		{"host=h password='ca nary'", "ca nary"},
		{"u:canary@tcp(h:3306)/db", "canary"},
		{"u:canary@/db", "canary"},
		{"root@tcp(h)/db", ""},
	} {
		p := load(t, write(t, "upwell.yml", "version: 1\nsources:\n  x: {type: postgres, dsn: \"${env:DSN}\"}\n"), env(map[string]string{"DSN": c.dsn}))
		secrets := p.Sources["x"].Config.Secrets()
		if has := strings.Contains("\x00"+strings.Join(secrets, "\x00")+"\x00", "\x00"+c.password+"\x00"); has != (c.password != "") {
			t.Errorf("%s: secrets %q, want %q among them", c.dsn, secrets, c.password)
		}
	}
}

func Test_without_secrets_a_project_loads_where_its_variables_are_not_set(t *testing.T) {
	dir := write(t, "upwell.yml", "version: 1\n"+hookWith("method: ${env:METHOD}", "batch: {max_rows: \"${env:ROWS}\"}", "auth: {user: a, password: \"${file:pw}\"}"))
	if _, faults := project.Load(dir, connectors(), env(nil)); len(faults) != 3 {
		t.Errorf("want three faults, got:\n%s", render(faults))
	}
	p := load(t, dir, env(nil), project.WithoutSecrets())
	n := 0
	for _, w := range p.Warnings {
		if w.Code == fault.ProjectVariable {
			n++
		}
	}
	if n != 3 {
		t.Errorf("want three warnings, got:\n%s", render(p.Warnings))
	}
	_, faults := project.Load(write(t, "upwell.yml", "version: 1\n"+hookWith("method: ${evn:A}")), connectors(), project.WithoutSecrets())
	if len(faults) != 1 {
		t.Errorf("a misspelt reference is a fault all the same, got:\n%s", render(faults))
	}
}

func Test_resolved_values_stay_out_of_messages(t *testing.T) {
	vars := map[string]string{"A": "canary"}
	for name, yaml := range map[string]string{
		"a choice":      hookWith("method: ${env:A}"),
		"a number":      hookWith("batch: {max_rows: \"${env:A}\"}"),
		"a size":        hookWith("batch: {max_bytes: \"${env:A}\"}"),
		"a duration":    hookWith("timeout: ${env:A}"),
		"true or false": hookWith("follow: ${env:A}"),
		"a share":       hookWith("limits: {daily_share: \"${env:A}\"}"),
		"a file":        hookWith("method: ${file:secret}"),
		"a secret list": hookWith("auth: {user: a, password: [canary]}"),
		"a type":        "sources:\n  x: {type: \"${env:A}\"}\n",
		"a guard":       syncWith("guards: {max_removed: \"${env:A}\"}"),
		"a source":      "models:\n  x: {source: \"${env:A}\", table: t, key: id}\n",
		"a parent":      syncWith("schedule: {after: [s, \"${env:A}\"]}"),
		"a match":       syncWith("match: {a: \"${env:A}\", b: \"${env:A}\"}"),
		"a test":        testOf("  - not_null: \"${env:A}\"", "  - not_null: \"${env:A}\""),
		"a schedule":    syncWith("schedule: {cron: \"${env:A}\"}"),
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := project.Load(write(t, "upwell.yml", base, "case.yml", yaml, "secret", "canary"), connectors(), env(map[string]string{"SECRET": "x", "A": vars["A"]}))
			if len(faults) == 0 || strings.Contains(render(faults), "canary") {
				t.Errorf("got:\n%s", render(faults))
			}
		})
	}
}

func Test_constants_keep_their_type(t *testing.T) {
	dir := write(t, "upwell.yml", base, "case.yml", syncWith("fields:",
		"  int: {value: 42}", "  big: {value: 18446744073709551615}", "  bigger: {value: 99999999999999999999999}", "  dec: {value: 0.10}",
		"  exp: {value: 1e3}", "  text: {value: abc}", "  quoted: {value: \"42\"}", "  yes: {value: true}", "  none: {value: null}",
		"  date: {value: 2026-01-01}", "  block: {value: |", "    a", "    }"))
	_, faults := project.Load(dir, connectors(), env(map[string]string{"SECRET": "x"}))
	if len(faults) == 0 {
		t.Fatal("a block inside braces cannot be")
	}
	dir = write(t, "upwell.yml", base, "case.yml", syncWith("fields:",
		"  int: {value: 42}", "  big: {value: 18446744073709551615}", "  bigger: {value: 99999999999999999999999}", "  dec: {value: 0.10}",
		"  exp: {value: 1e3}", "  text: {value: abc}", "  quoted: {value: \"42\"}", "  yes: {value: true}", "  none: {value: null}",
		"  date: {value: 2026-01-01}", "  tagged: {value: !!str 42}"))
	p := load(t, dir, env(map[string]string{"SECRET": "x"}))
	want := []row.Value{
		row.IntValue(42), row.UintValue(18446744073709551615), row.DecimalValue("99999999999999999999999"), row.DecimalValue("0.10"),
		row.DecimalValue("1000"), row.TextValue("abc"), row.TextValue("42"), row.BoolValue(true), row.NullValue(), row.TextValue("2026-01-01"), row.TextValue("42"),
	}
	for i, f := range p.Syncs["x"].Fields {
		if f.Value.Kind() != want[i].Kind() || !f.Value.Equal(want[i]) {
			t.Errorf("%s: got %s %s, want %s %s", f.Field, f.Value.Kind(), f.Value, want[i].Kind(), want[i])
		}
	}
}

func Test_one_statement_is_told_from_two(t *testing.T) {
	for _, c := range []struct {
		source, sql string
		one         bool
	}{
		{"w", "select 1", true},
		{"w", "select 1;", true},
		{"w", "select 1; -- the end\n /* really */ ;", true},
		{"w", "select ';' as a, \"b;c\", $$x;y$$, $t$;$t$ from t", true},
		{"w", "select 1 -- a; b\n", true},
		{"w", "select /* a; /* nested; */ b; */ 1", true},
		{"w", "select 'it''s; fine'", true},
		{"w", "select E'it\\'s; fine'", true},
		{"w", "select a #> '{b}' from t", true},
		{"my", "select 'it\\'s; fine' # a; b\n", true},
		{"w", "-- first\nwith a as (select 1) select * from a", true},
		{"w", "(select 1) union all (select 2)", true},
		{"w", "select 1; select 2", false},
		{"w", "select 'it\\'; drop table t --'", false},
		{"w", "select 1 where a <> $1; delete from t", false},
		{"w", "/* x */ UPDATE t SET a = 1", false},
		{"w", "create table t as select 1", false},
	} {
		_, faults := project.Load(write(t, "upwell.yml", base, "q.sql", c.sql,
			"case.yml", "models:\n  x: {source: "+c.source+", sql_file: q.sql, key: id}\n"), connectors(), env(map[string]string{"SECRET": "x"}))
		if (len(faults) == 0) != c.one {
			t.Errorf("%s: one statement is %v, got:\n%s", c.sql, c.one, render(faults))
		}
		if len(faults) > 0 && faults[0].Where.File != "q.sql" {
			t.Errorf("%s: place %s", c.sql, faults[0].Where)
		}
	}
}

func Test_syncs_come_in_dependency_order(t *testing.T) {
	after := func(name string, parents ...string) string {
		s := "  " + name + ": {model: m, destination: hook"
		if len(parents) > 0 {
			s += ", schedule: {after: [" + strings.Join(parents, ", ") + "]}"
		}
		return s + "}\n"
	}
	dir := write(t, "upwell.yml", base, "case.yml", "syncs:\n"+after("a", "z", "c")+after("b")+after("c", "b")+after("z"))
	p := load(t, dir, env(map[string]string{"SECRET": "x"}))
	for _, c := range []struct{ names, want string }{
		{"", "b c z a s"}, {"a", "a"}, {"a c", "c a"}, {"a b", "b a"}, {"z s b z", "b s z"},
	} {
		list, err := p.Order(strings.Fields(c.names))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range list {
			got += " " + s.Name
		}
		if got[1:] != c.want {
			t.Errorf("order of %q is%s, want %s", c.names, got, c.want)
		}
	}
	var f *fault.Error
	if _, err := p.Order([]string{"hook"}); !errors.As(err, &f) || f.Code != fault.NotFound {
		t.Errorf("an unknown name: %v", err)
	}
	_, faults := project.Load(write(t, "upwell.yml", base, "case.yml", "syncs:\n"+after("a", "b")+after("b", "c")+after("c", "a")+after("d", "a")), connectors(),
		env(map[string]string{"SECRET": "x"}))
	if len(faults) != 1 || !strings.Contains(faults[0].Message, "a after b after c after a") {
		t.Errorf("a cycle is named once, got:\n%s", render(faults))
	}
}

func Test_specs_without_modes_forbid_nothing(t *testing.T) {
	reg := project.NewRegistry([]connector.Spec{{Type: "duckdb"}}, []connector.Spec{{Type: "any", FreeObject: true, NoMatch: true}})
	dir := write(t, "upwell.yml", "version: 1\nsources: {w: {type: duckdb}}\ndestinations: {d: {type: any}}\n"+
		"models: {m: {source: w, table: t, key: id}}\nsyncs: {s: {model: m, destination: d, mode: append, fields: {a: a}}}\n")
	p, faults := project.Load(dir, reg)
	if len(faults) > 0 || p.Syncs["s"].Object != "s" {
		t.Errorf("got:\n%s", render(faults))
	}
}
