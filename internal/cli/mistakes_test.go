package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mistake is one thing people get wrong and what they call; files on disk are named beside upwell.yml.
type mistake struct {
	name  string
	code  int
	parts []string // of upwell.yml, after the sources
	call  string   // "run" when empty
	files map[string]string
}

// change gives a part with one text replaced.
func change(part, old, with string) string {
	if !strings.Contains(part, old) {
		panic("no " + old)
	}
	return strings.Replace(part, old, with, 1)
}

// typed gives toFile with a field from an expression.
func computed(cel string) string { return change(toFile, "tier: tier", "tier: {cel: '"+cel+"'}") }

func withSQL(sql string) string { return change(models, "table: health", "sql: |\n      "+sql) }

func guarded(policy string) string { return toFile + "policies:\n  - name: rule\n    " + policy + "\n" }

func tested(test string) string {
	return change(models, "not_null: account_id", test)
}

// mistakes show only when the project meets its source, its tool or its state; what the project files alone show is in the project
// package's mistakes.
var mistakes = []mistake{
	// the source
	{"the source's file is not there", 5, []string{change(models, "source: app", "source: none"), toFile}, "", map[string]string{"b.yml": "sources: {none: {type: sqlite, path: none.db}}\n"}},
	{"the source's file is something else", 5, []string{change(models, "source: app", "source: text"), toFile}, "", map[string]string{"b.yml": "sources: {text: {type: sqlite, path: text.db}}\n", "text.db": strings.Repeat("not a database. ", 100)}},
	{"the source's server does not answer", 5, []string{change(models, "source: app", "source: pg"), toFile}, "", map[string]string{"b.yml": "sources:\n  pg: {type: postgres, host: 127.0.0.1, port: 1, user: u, database: d}\n"}},
	{"the source's server does not answer, MySQL", 5, []string{change(models, "source: app", "source: my"), toFile}, "", map[string]string{"b.yml": "sources:\n  my: {type: mysql, host: 127.0.0.1, port: 1, user: u, database: d}\n"}},
	{"a dsn that is none", 2, []string{change(models, "source: app", "source: pg"), toFile}, "", map[string]string{"b.yml": "sources:\n  pg: {type: postgres, dsn: 'canary without sense'}\n"}},
	{"the source of DuckDB is a folder", 5, []string{change(models, "source: app", "source: duck"), toFile}, "", map[string]string{"b.yml": "sources:\n  duck: {type: duckdb, path: .}\n"}},

	// the model
	{"a table that is not there", 1, []string{change(models, "table: health", "table: helth"), toFile}, "", nil},
	{"SQL that is none", 1, []string{withSQL("selct * from health"), toFile}, "", nil},
	{"SQL that is wrong in SQLite, pointed at", 1, []string{withSQL("select account_id,\n        scroe as score\n      from health"), toFile}, "", nil},
	{"a test's query that is wrong on its second line", 1, []string{tested("sql: {name: orphans, query: \"select *\\nfrom {{ model }} where nope = 1\"}"), toFile}, "", nil},
	{"a file that is not there", 1, []string{change(change(models, "source: app", "source: duck"), "table: health", "sql: select * from read_csv('none.csv')"), toFile}, "", map[string]string{"b.yml": "sources: {duck: {type: duckdb}}\n"}},
	{"a wrong column, pointed at", 1, []string{change(change(models, "source: app", "source: duck"), "table: health", "sql: |\n      select 1 as account_id,\n        nope as score\n      from range(3)"), toFile}, "", map[string]string{"b.yml": "sources: {duck: {type: duckdb}}\n"}},
	{"a wrong column in a file of SQL, pointed at", 1, []string{change(change(models, "source: app", "source: duck"), "table: health", "sql_file: q.sql"), toFile}, "", map[string]string{"b.yml": "sources: {duck: {type: duckdb}}\n", "q.sql": "\n-- one\nselect 1 as account_id,\n  nope as score\nfrom range(3)\n"}},
	{"a key that is no column", 2, []string{change(models, "key: account_id", "key: acount_id"), toFile}, "", nil},
	{"a key that is null", 4, []string{withSQL("select null as account_id, 1 as score, 'watch' as tier"), toFile}, "", nil},
	{"a key that is there twice", 3, []string{withSQL("select 'A' as account_id, 1 as score, 'watch' as tier union all select 'A', 2, 'watch'"), toFile}, "", nil},
	{"two columns of one name", 1, []string{withSQL("select account_id, score, score, tier from health"), toFile}, "", nil},
	{"a model of dbt without dbt", 2, []string{change(models, "table: health", "dbt: health"), toFile}, "", nil},
	{"a comparison in the warehouse", 2, []string{change(models, "source: app", "source: duck"), toFile}, "", map[string]string{"b.yml": "sources: {duck: {type: duckdb, diff: warehouse}}\n"}},
	{"a declared type the column cannot have", 2, []string{change(models, "tests:", "columns: {score: {type: date}}\n    tests:"), toFile}, "", nil},

	// tests
	{"a test of a column that is not there", 2, []string{tested("not_null: account"), toFile}, "", nil},
	{"a test's query that is wrong", 1, []string{tested("sql: {name: orphans, query: 'selct * from {{ model }}'}"), toFile}, "", nil},
	{"a test that fails", 4, []string{tested("accepted_range: {column: score, min: 50, max: 90}"), toFile}, "", nil},
	{"too few rows", 4, []string{tested("row_count: {min: 5}"), toFile}, "", nil},

	// the sync
	{"a condition that is wrong", 1, []string{change(change(models, "source: app", "source: duck"), "table: health", "sql: select 1 as account_id, 2 as score, 'watch' as tier"), change(toFile, "fields:", "where: scroe > 5\n    fields:")}, "", map[string]string{"b.yml": "sources: {duck: {type: duckdb}}\n"}},
	{"a column that is not there", 2, []string{models, change(toFile, "score: score", "score: scroe")}, "", nil},
	{"a match that is no column", 2, []string{models, change(toFile, "id: account_id", "id: account")}, "", nil},
	{"an expression of a column that is not there", 2, []string{models, computed("row.teir")}, "", nil},
	{"an expression over the whole row", 2, []string{models, computed("row.size()")}, "", nil},
	{"an expression of kinds that do not go together", 3, []string{models, computed("row.score + 0.5")}, "", nil},
	{"an expression that fails", 3, []string{models, computed("10 / (row.score - row.score)")}, "", nil},
	{"an object that cannot be a file", 2, []string{models, change(toFile, "object: accounts", "object: ../accounts")}, "", nil},
	{"a policy that denies", 4, []string{models, guarded("deny: {columns: [score]}")}, "", nil},
	{"a policy that masks", 4, []string{models, guarded("mask: {columns: [score]}")}, "", nil},
	{"a policy that denies the key of a sync without match", 4, []string{models, change(guarded("deny: {columns: [account_id]}"), "    match: {id: account_id}\n", "")}, "", nil},
	{"a policy that denies, checked", 4, []string{models, guarded("deny: {columns: [score]}")}, "check", nil},
	{"a policy that asks for approval", 4, []string{models, guarded("require_approval: {models: [health]}")}, "plan", nil},
	{"a policy with a condition", 4, []string{models, guarded("deny: {columns: [score]}\n    when: 'destination.type == \"crm\"'")}, "check", nil},

	// the tool
	{"a folder that is a file", 1, []string{models, toFile}, "", map[string]string{"out": "x"}},
	{"a file of somebody else's", 1, []string{models, toFile}, "", map[string]string{"out/accounts.jsonl": "not ours\n"}},
	{"an address without scheme", 2, []string{models, change(toFile, "destination: out", "destination: x")}, "", map[string]string{"b.yml": "destinations: {x: {type: webhook, url: hook.example}}\n"}},
	{"an address of another scheme", 2, []string{models, change(toFile, "destination: out", "destination: x")}, "", map[string]string{"b.yml": "destinations: {x: {type: webhook, url: 'ftp://hook.example/'}}\n"}},
	{"an address of this machine", 2, []string{models, change(toFile, "destination: out", "destination: x")}, "", map[string]string{"b.yml": "destinations: {x: {type: webhook, url: 'http://127.0.0.1:1/'}}\n"}},
	{"a tool that is not there", 5, []string{models, change(toFile, "destination: out", "destination: x")}, "run --wait 1ms", map[string]string{"b.yml": "destinations: {x: {type: webhook, url: 'http://127.0.0.1:1/', allow_private: true}}\n"}},
	{"a database that is not there", 5, []string{models, change(toFile, "destination: out", "destination: x")}, "run --wait 1ms", map[string]string{"b.yml": "destinations: {x: {type: postgres, host: 127.0.0.1, port: 1, user: u, database: d}}\n"}},
	{"a variable that is not set", 2, []string{models, change(toFile, "destination: out", "destination: x")}, "", map[string]string{"b.yml": "destinations: {x: {type: webhook, url: '${env:UPWELL_NOT_SET}'}}\n"}},
	{"a variable that is not set, looking back", 0, []string{models, change(toFile, "destination: out", "destination: x")}, "status", map[string]string{"b.yml": "destinations: {x: {type: webhook, url: '${env:UPWELL_NOT_SET}'}}\n"}},
	{"a variable that is not set, looking at a connection", 2, []string{models, change(toFile, "destination: out", "destination: x")}, "connectors x", map[string]string{"b.yml": "destinations: {x: {type: webhook, url: '${env:UPWELL_NOT_SET}'}}\n"}},

	// the call
	{"a command of a later version", 2, []string{models, toFile}, "serve", nil},
	{"a command of a later version, with its flags", 2, []string{models, toFile}, "policy explain --all Email", nil},
	{"a command that does not exist, with a flag", 2, []string{models, toFile}, "statsu --wide", nil},
	{"help about nothing", 2, []string{models, toFile}, "help nothing", nil},
	{"a sync that is not there", 2, []string{models, toFile}, "run nothing", nil},
	{"a model that is not there", 2, []string{models, toFile}, "preview nothing", nil},
	{"a run that is not there", 2, []string{models, toFile}, "run-log nothing", nil},
	{"a run that is not there, to be undone", 2, []string{models, toFile}, "undo nothing", nil},
	{"a sync that is not there, to be reset", 2, []string{models, toFile}, "reset nothing", nil},
	{"a stand-in that is not there", 2, []string{models, toFile}, "sandbox nothing", nil},
	{"a connector that is not there", 2, []string{models, toFile}, "connectors nothing", nil},
	{"fewer changes than none", 2, []string{models, toFile}, "plan --changes -1", nil},
	{"a plan that is not there", 2, []string{models, toFile}, "run --plan none.plan", nil},
	{"a plan that is none", 2, []string{models, toFile}, "run --plan DIR/upwell.yml", nil},
	{"no time to wait", 2, []string{models, toFile}, "run --wait 0s", nil},
	{"a folder that is not there", 2, []string{models, toFile}, "run -C DIR/none", nil},
	{"an export without format", 2, []string{models, toFile}, "rejects --export DIR/rejects.txt", nil},
}

// A mistake is named with its place and its remedy and has its exit code; nothing is sent, and no inside of the program shows.
func Test_mistakes_are_told_as_written_down(t *testing.T) {
	var said strings.Builder
	var dirs []string
	for _, m := range mistakes {
		w := newWorld(t, m.parts...)
		dirs = append(dirs, w.dir)
		for name, text := range m.files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(w.dir, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			w.write(name, text)
		}
		before := tree(t, filepath.Join(w.dir, "out"))
		call := m.call
		if call == "" {
			call = "run"
		}
		a := w.do(strings.Fields(strings.ReplaceAll(call, "DIR", w.dir))...)
		if a.code != m.code {
			t.Errorf("%s: exit code %d, want %d\n%s%s", m.name, a.code, m.code, a.out, a.err)
		}
		for _, bad := range []string{"goroutine", "runtime error", "INTERNAL", "canary", "%!", "0x"} {
			if strings.Contains(a.out+a.err, bad) {
				t.Errorf("%s: it shows %q: %s%s", m.name, bad, a.out, a.err)
			}
		}
		if after := tree(t, filepath.Join(w.dir, "out")); after != before || w.hook.count() > 0 {
			t.Errorf("%s: something was sent:\n%s", m.name, after)
		}
		fmt.Fprintf(&said, "## %s\n$ upwell %s [%d]\n%s%s\n", m.name, call, a.code, a.out, a.err)
	}
	text := said.String()
	for _, d := range dirs {
		text = strings.ReplaceAll(text, d, "DIR")
	}
	newWorld(t, models, toFile).golden("mistakes.txt", text)
}

// tree is what a folder holds, "" when it is not there.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s: %s\n", path, text)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return b.String()
}
