package project_test

import (
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

// syncWith is a sound sync with lines added.
func syncWith(lines ...string) string {
	return "syncs:\n  x:\n    model: m\n    destination: hook\n    object: o\n    " + strings.Join(lines, "\n    ") + "\n"
}

func modelWith(lines ...string) string {
	return "models:\n  x:\n    source: w\n    " + strings.Join(lines, "\n    ") + "\n"
}

func testOf(lines ...string) string {
	return modelWith(append([]string{"sql: select 1", "key: id", "tests:"}, lines...)...)
}

func hookWith(lines ...string) string {
	return "destinations:\n  x:\n    type: webhook\n    url: https://x.example\n    " + strings.Join(lines, "\n    ") + "\n"
}

// bad lists wrong files beside the base project, the code each must give and a word of its message or fix.
var bad = []struct {
	name, yaml string
	code       fault.Code
	says       string
}{
	// YAML
	{"a tab indents", "syncs:\n\tx: 1\n", fault.ProjectSyntax, "blanks"},
	{"an open bracket", "syncs: [1, 2\nmodels: {}\n", fault.ProjectSyntax, "bracket"},
	{"an open quote", "syncs:\n  x: \"abc\n", fault.ProjectSyntax, "quotes"},
	{"a reserved sign", "syncs:\n  x: @abc\n", fault.ProjectSyntax, "quotes"},
	{"two colons", "syncs:\n  x: a: b\n", fault.ProjectSyntax, "indentation"},
	{"a key twice", "syncs: {}\nx-a:\n  k: 1\n  k: 2\n", fault.ProjectDuplicate, "line 3"},
	{"an alias without anchor", "syncs: {}\nx-a: &defaults {}\nx-b: *default\n", fault.ProjectSyntax, "did you mean `*defaults`?"},
	{"an unknown tag", "syncs: {}\nx-a: !secret abc\n", fault.ProjectSyntax, "tag"},
	{"a merge of text", "syncs: {}\nx-a:\n  <<: abc\n  b: 1\n", fault.ProjectType, "<<"},
	{"two documents", "syncs: {}\n---\nmodels: {}\n", fault.ProjectSyntax, "2 YAML documents"},
	{"not UTF-8", "syncs: {}\nx-a: \xff\xfe\n", fault.ProjectSyntax, "0xff"},
	{"UTF-16", "\xff\xfes\x00y\x00n\x00c\x00s\x00:\x00\n\x00syncs:\n", fault.ProjectSyntax, "UTF-16"},
	{"a control character", "syncs: {}\nx-a: \"a\x00b\"\n", fault.ProjectSyntax, "0x00"},
	{"brackets too deep", "syncs: {}\nx-a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n", fault.ProjectLimit, "deep"},
	{"dashes too deep", "syncs: {}\nx-a:\n  " + strings.Repeat("- ", 2000) + "a\n", fault.ProjectLimit, "deep"},
	{"aliases that explode", bomb(), fault.ProjectLimit, "expanding aliases"},

	// top level
	{"a misspelt section", "syncs: {}\nmodel: {}\n", fault.ProjectUnknownKey, "did you mean `models`?"},
	{"a section that is a list", "destinations:\n  - name: x\n", fault.ProjectType, "a list is not a mapping"},
	{"another version", "version: 2\nsyncs: {}\n", fault.ProjectValue, "version: 1"},
	{"name in a second file", "name: other\nsyncs: {}\n", fault.ProjectUnknownKey, "upwell.yml only"},
	{"a name with a capital", "sources:\n  Warehouse: {type: duckdb}\n", fault.ProjectValue, "did you mean `warehouse`?"},
	{"a name that begins with a digit", "sources:\n  1st: {type: duckdb}\n", fault.ProjectValue, "lower-case"},
	{"a model defined twice", "models:\n  m: {source: w, table: t, key: id}\n", fault.ProjectDuplicate, "upwell.yml:10:3"},

	// connections
	{"a connection that is text", "sources:\n  x: duckdb\n", fault.ProjectType, "a mapping"},
	{"no type", "sources:\n  x: {path: a}\n", fault.ProjectMissing, "duckdb, mysql, postgres"},
	{"an unknown type", "sources:\n  x: {type: duckbd}\n", fault.ProjectValue, "did you mean `duckdb`?"},
	{"an unknown setting", "sources:\n  x: {type: postgres, hots: a}\n", fault.ProjectUnknownKey, "did you mean `host`?"},
	{"a setting that is missing", "destinations:\n  x: {type: webhook}\n", fault.ProjectMissing, "`url`"},
	{"a setting of the wrong choice", "sources:\n  x: {type: postgres, sslmode: requires}\n", fault.ProjectValue, "did you mean `require`?"},
	{"a whole number that is text", "sources:\n  x: {type: postgres, port: \"5432\"}\n", fault.ProjectType, "a whole number"},
	{"a whole number with a fraction", "sources:\n  x: {type: postgres, port: 54.5}\n", fault.ProjectType, "a whole number"},
	{"a size without sense", "sources:\n  x: {type: duckdb, memory_limit: lots}\n", fault.ProjectType, "a size"},
	{"a duration without unit", hookWith("timeout: 30"), fault.ProjectType, "a duration"},
	{"yes for true", hookWith("follow: yes"), fault.ProjectType, "did you mean `true`?"},
	{"a map that is a list", hookWith("headers: [a]"), fault.ProjectType, "a mapping"},
	{"a header that is a list", hookWith("headers: {X-A: [a]}"), fault.ProjectType, "`X-A`"},
	{"an unknown key in a group", hookWith("batch: {max_row: 1}"), fault.ProjectUnknownKey, "did you mean `max_rows`?"},
	{"a missing key in a group", hookWith("auth: {user: a}"), fault.ProjectMissing, "`password`"},
	{"a CEL setting with another variable", hookWith("success: stat == 200"), fault.ProjectExpression, "stat"},
	{"diff without sense", "sources:\n  x: {type: duckdb, diff: warehous}\n", fault.ProjectValue, "did you mean `warehouse`?"},
	{"diff on a destination", hookWith("diff: local"), fault.ProjectUnknownKey, "diff"},
	{"limits with an unknown key", hookWith("limits: {request_per_second: 1}"), fault.ProjectUnknownKey, "did you mean `requests_per_second`?"},
	{"a rate of zero", hookWith("limits: {requests_per_second: 0}"), fault.ProjectValue, "above 0"},
	{"concurrency of zero", hookWith("limits: {concurrency: 0}"), fault.ProjectValue, "at least 1"},
	{"a share that is no percentage", hookWith("limits: {daily_share: 0.5}"), fault.ProjectType, "a percentage"},
	{"a variable that is not set", hookWith("method: ${env:NOT_SET}"), fault.ProjectVariable, "NOT_SET"},
	{"a file that does not exist", hookWith("method: ${file:no/such}"), fault.ProjectVariable, "does not exist"},
	{"an unknown reference", hookWith("method: ${evn:A}"), fault.ProjectVariable, "did you mean `env`?"},
	{"a reference not closed", hookWith("method: a${env:A"), fault.ProjectVariable, "not closed"},
	{"a reference without name", hookWith("method: ${env:}"), fault.ProjectVariable, "names no variable"},
	{"allow_private where there is no HTTP", "sources:\n  x: {type: duckdb, allow_private: true}\n", fault.ProjectUnknownKey, "allow_private"},

	// models
	{"a model without a query", modelWith("key: id"), fault.ProjectMissing, "one of sql, sql_file, table, dbt"},
	{"a model with two queries", modelWith("key: id", "sql: select 1", "table: t"), fault.ProjectValue, "sql, table exclude"},
	{"a model without key", modelWith("sql: select 1"), fault.ProjectMissing, "`key`"},
	{"an empty key", modelWith("sql: select 1", "key: []"), fault.ProjectValue, "empty"},
	{"a key column twice", modelWith("sql: select 1", "key: [id, id]"), fault.ProjectDuplicate, "twice"},
	{"an unknown source", "models:\n  x: {source: ww, table: t, key: id}\n", fault.ProjectReference, "use one of my, w"},
	{"no source", "models:\n  x: {table: t, key: id}\n", fault.ProjectMissing, "`source`"},
	{"empty SQL", modelWith("key: id", "sql: \"  \""), fault.ProjectValue, "empty"},
	{"SQL of comments only", modelWith("key: id", "sql: \"-- nothing\""), fault.ProjectValue, "no statement"},
	{"two statements", modelWith("key: id", "sql: |", "  select 1;", "  drop table t"), fault.ProjectValue, "second statement"},
	{"a statement that writes", modelWith("key: id", "sql: delete from t"), fault.ProjectValue, "not a query"},
	{"an SQL file that does not exist", modelWith("key: id", "sql_file: no.sql"), fault.ProjectReference, "does not exist"},
	{"a column type of SQL", modelWith("key: id", "sql: select 1", "columns: {a: {type: varchar}}"), fault.ProjectValue, "did you mean `text`?"},
	{"an unknown key in a column", modelWith("key: id", "sql: select 1", "columns: {a: {tag: [x]}}"), fault.ProjectUnknownKey, "did you mean `tags`?"},
	{"an unknown key in a model", modelWith("key: id", "sql: select 1", "primary_key: id"), fault.ProjectUnknownKey, "primary_key"},

	// tests
	{"tests that are a mapping", testOf("  not_null: [a]"), fault.ProjectType, "a list"},
	{"an unknown test", testOf("  - not_nul: [a]"), fault.ProjectUnknownKey, "did you mean `not_null`?"},
	{"a test of two kinds", testOf("  - {not_null: [a], unique: [a]}"), fault.ProjectValue, "exactly one kind"},
	{"a test of no kind", testOf("  - severity: warn"), fault.ProjectValue, "exactly one kind"},
	{"a severity without sense", testOf("  - not_null: [a]", "    severity: warning"), fault.ProjectValue, "did you mean `warn`?"},
	{"a range without ends", testOf("  - accepted_range: {column: a}"), fault.ProjectMissing, "min and max"},
	{"a range upside down", testOf("  - accepted_range: {column: a, min: 10, max: 9.5}"), fault.ProjectValue, "swap"},
	{"a range of number and text", testOf("  - accepted_range: {column: a, min: 1, max: z}"), fault.ProjectType, "min is int"},
	{"a range without column", testOf("  - accepted_range: {min: 1}"), fault.ProjectMissing, "`column`"},
	{"no accepted value", testOf("  - accepted_values: {column: a, values: []}"), fault.ProjectValue, "the list is empty"},
	{"an accepted value twice", testOf("  - accepted_values: {column: a, values: [1, 1.0]}"), fault.ProjectDuplicate, "twice"},
	{"a row count below zero", testOf("  - row_count: {min: -1}"), fault.ProjectValue, "at least 0"},
	{"an SQL test without query", testOf("  - sql: {name: a}"), fault.ProjectMissing, "`query`"},
	{"a placeholder that is none", testOf("  - sql: {query: \"select * from {{ modle }}\"}"), fault.ProjectValue, "{{ model }}"},
	{"the same test twice", testOf("  - not_null: [a]", "  - not_null: a"), fault.ProjectDuplicate, "the same `not_null` test"},

	// syncs
	{"a misspelt key in a sync", "syncs:\n  x:\n    model: m\n    destinaton: hook\n    destination: hook\n", fault.ProjectUnknownKey, "did you mean `destination`?"},
	{"an unknown model", "syncs:\n  x: {model: mm, destination: hook}\n", fault.ProjectReference, "no model `mm`"},
	{"an unknown destination", "syncs:\n  x: {model: m, destination: crmm, object: A, match: {a: id}}\n", fault.ProjectReference, "did you mean `crm`?"},
	{"no object", "syncs:\n  x: {model: m, destination: crm, match: {a: id}}\n", fault.ProjectMissing, "`object`"},
	{"no match", "syncs:\n  x: {model: m, destination: crm, object: A}\n", fault.ProjectMissing, "{destination field: id}"},
	{"an empty match", syncWith("match: {}"), fault.ProjectValue, "empty"},
	{"an unknown mode", syncWith("mode: upsrt"), fault.ProjectValue, "did you mean `upsert`?"},
	{"a mode the connector has not", "syncs:\n  x: {model: m, destination: crm, object: A, mode: append, fields: {a: id}}\n", fault.ProjectMode, "upsert, update, insert"},
	{"a removal the connector has not", "syncs:\n  x: {model: m, destination: crm, object: A, match: {a: id}, removed: clear}\n", fault.ProjectMode, "keep, delete"},
	{"mirror that keeps", syncWith("mode: mirror", "removed: keep"), fault.ProjectValue, "mirror"},
	{"insert that deletes", syncWith("mode: insert", "removed: delete"), fault.ProjectValue, "never removes"},
	{"append that clears", syncWith("mode: append", "fields: {a: id}", "removed: clear"), fault.ProjectValue, "never removes"},
	{"append of nothing", syncWith("mode: append"), fault.ProjectMissing, "`fields`"},
	{"on_exists in upsert", syncWith("on_exists: skip"), fault.ProjectValue, "insert only"},
	{"a field that is a number", syncWith("fields: {a: 5}"), fault.ProjectType, "{value: ...}"},
	{"a field of two origins", syncWith("fields: {a: {column: id, value: 1}}"), fault.ProjectValue, "column, value exclude"},
	{"a field of no origin", syncWith("fields: {a: {null: skip}}"), fault.ProjectMissing, "column, value, cel, lookup"},
	{"an unknown key in a field", syncWith("fields: {a: {column: id, nul: skip}}"), fault.ProjectUnknownKey, "did you mean `null`?"},
	{"a null policy without sense", syncWith("fields: {a: {column: id, null: skipp}}"), fault.ProjectValue, "did you mean `skip`?"},
	{"write without sense", syncWith("fields: {a: {column: id, write: creates}}"), fault.ProjectValue, "did you mean `create`?"},
	{"a field mapped twice", syncWith("fields:", "  a: id", "  a: score"), fault.ProjectDuplicate, "twice"},
	{"a field in match and fields", syncWith("match: {a: id}", "fields: {a: score}"), fault.ProjectDuplicate, "match"},
	{"a column matched twice", syncWith("match: {a: id, b: id}"), fault.ProjectDuplicate, "already"},
	{"CEL with another variable", syncWith("fields: {a: {cel: rwo.id + 1}}"), fault.ProjectExpression, "rwo"},
	{"CEL that does not parse", syncWith("fields:", "  a:", "    cel: |", "      row.id >", "      >= 5"), fault.ProjectExpression, "Syntax error"},
	{"CEL over the whole row", syncWith("fields: {a: {cel: \"row.size()\"}}"), fault.ProjectExpression, "row.column"},
	{"CEL with an unknown function", syncWith("fields: {a: {cel: \"now()\"}}"), fault.ProjectExpression, "now"},
	{"a lookup without by", syncWith("fields: {a: {lookup: {object: A}}}"), fault.ProjectMissing, "`by`"},
	{"on_missing without sense", syncWith("fields: {a: {lookup: {object: A, by: {b: id}, on_missing: skip}}}"), fault.ProjectValue, "reject, null"},
	{"a schedule that is text", syncWith("schedule: hourly"), fault.ProjectType, "{every: 1h}"},
	{"two schedules", syncWith("schedule: {every: 1h, cron: \"* * * * *\"}"), fault.ProjectValue, "exclude"},
	{"an empty schedule", syncWith("schedule: {}"), fault.ProjectMissing, "manual"},
	{"every that is too short", syncWith("schedule: {every: 10ms}"), fault.ProjectValue, "at least 1s"},
	{"every that is no duration", syncWith("schedule: {every: often}"), fault.ProjectType, "a duration"},
	{"a cron with four fields", syncWith("schedule: {cron: \"* * * *\"}"), fault.ProjectValue, "five fields"},
	{"a cron with seconds", syncWith("schedule: {cron: \"0 * * * * *\"}"), fault.ProjectValue, "seconds"},
	{"a cron that never comes", syncWith("schedule: {cron: \"0 0 30 2 *\"}"), fault.ProjectValue, "never comes"},
	{"a cron with a zone inside", syncWith("schedule: {cron: \"TZ=UTC\"}"), fault.ProjectValue, "timezone"},
	{"a cron that is an interval", syncWith("schedule: {cron: \"@every 1h\"}"), fault.ProjectValue, "every: 1h"},
	{"an unknown time zone", syncWith("schedule: {cron: \"@daily\", timezone: Europe/Berlim}"), fault.ProjectValue, "did you mean `Europe/Berlin`?"},
	{"a time zone without cron", syncWith("schedule: {every: 1h, timezone: UTC}"), fault.ProjectValue, "goes with `cron`"},
	{"not continuous", syncWith("schedule: {continuous: false}"), fault.ProjectValue, "manual"},
	{"after an unknown sync", syncWith("schedule: {after: ss}"), fault.ProjectReference, "no sync `ss`"},
	{"after itself", syncWith("schedule: {after: [s, x]}"), fault.ProjectReference, "x after x"},
	{"a guard that is a fraction", syncWith("guards: {max_removed: 0.1}"), fault.ProjectType, "did you mean `10%`?"},
	{"a guard above 100%", syncWith("guards: {max_changed: 120%}"), fault.ProjectType, "0% to 100%"},
	{"an unknown guard", syncWith("guards: {max_deleted: 1}"), fault.ProjectUnknownKey, "max_deleted"},
	{"where with a semicolon", syncWith("where: \"a = 1; drop table t\""), fault.ProjectValue, "cannot stand in a condition"},
	{"where with the word", syncWith("where: where a = 1"), fault.ProjectValue, "leave the word out"},
	{"at_most_once that is text", syncWith("at_most_once: \"true\""), fault.ProjectType, "true or false"},

	// policies
	{"policies that are a mapping", "policies:\n  x: {deny: {}}\n", fault.ProjectType, "a list"},
	{"a policy without name", "policies:\n  - deny: {columns: [a]}\n", fault.ProjectMissing, "`name`"},
	{"a policy without effect", "policies:\n  - name: a\n", fault.ProjectMissing, "allow, deny, mask"},
	{"a policy with two effects", "policies:\n  - {name: a, deny: {columns: [a]}, mask: {columns: [a]}}\n", fault.ProjectValue, "exclude"},
	{"an unknown selector", "policies:\n  - {name: a, deny: {column_tag: [pii]}}\n", fault.ProjectUnknownKey, "did you mean `column_tags`?"},
	{"a policy for an unknown model", "policies:\n  - {name: a, deny: {models: [mm]}}\n", fault.ProjectReference, "no model `mm`"},
	{"a policy for an unknown destination", "policies:\n  - {name: a, deny: {}, destinations: {names: [crmm]}}\n", fault.ProjectReference, "did you mean `crm`?"},
	{"a policy defined twice", "policies:\n  - {name: a, deny: {}}\n  - {name: a, allow: {}}\n", fault.ProjectDuplicate, "case.yml:2:"},
	{"a condition that is text", "policies:\n  - {name: a, deny: {}, when: '\"abc\"'}\n", fault.ProjectExpression, "true or false"},
	{"a condition with another variable", "policies:\n  - {name: a, deny: {}, when: 'dest.type == \"file\"'}\n", fault.ProjectExpression, "dest"},
}

// bomb is ten levels of ten aliases each.
func bomb() string {
	var b strings.Builder
	b.WriteString("syncs: {}\nx-a: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n")
	for i := 1; i < 10; i++ {
		was, is := string(rune('0'+i-1)), string(rune('0'+i))
		b.WriteString("x-a" + is + ": &a" + is + " [" + strings.TrimSuffix(strings.Repeat("*a"+was+", ", 10), ", ") + "]\n")
	}
	return b.String()
}

func Test_every_mistake_is_named_with_its_place_and_a_remedy(t *testing.T) {
	var all strings.Builder
	for _, c := range bad {
		t.Run(c.name, func(t *testing.T) {
			_, faults := project.Load(write(t, "upwell.yml", base, "case.yml", c.yaml), connectors(), env(map[string]string{"SECRET": "x"}))
			got := render(faults)
			all.WriteString("## " + c.name + "\n" + got + "\n")
			if len(faults) != 1 {
				t.Fatalf("want one fault, got %d:\n%s", len(faults), got)
			}
			f := faults[0]
			if f.Code != c.code || !strings.Contains(f.Message+" "+f.GetFix(), c.says) {
				t.Errorf("want %s saying %q, got:\n%s", c.code, c.says, got)
			}
			if f.Where == nil || f.Where.File != "case.yml" || f.Where.Line < 1 || f.Where.Column < 1 {
				t.Errorf("no place: %v", f.Where)
			}
			if f.GetFix() == "" {
				t.Error("no remedy")
			}
		})
	}
	if !t.Failed() {
		golden(t, "testdata/mistakes.txt", all.String())
	}
}
