package project_test

import (
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/project"
)

const hashed = `version: 1
sources: {w: {type: duckdb}}
destinations: {hook: {type: webhook, url: https://hook.example, tags: [marketing]}, other: {type: webhook, url: https://other.example}}
models:
  m:
    description: first
    source: w
    sql: select 1 as id
    key: [id, day]
    columns: {email: {tags: [pii, personal], description: address}}
    tests: [{not_null: id}]
syncs:
  s:
    model: m
    destination: hook
    object: o
    match: {id: id, d: day}
    fields: {a: score, b: {column: tier, null: skip}, c: {value: 1}, e: {cel: row.x}}
    schedule: {every: 1h}
    guards: {max_removed: 5%}
    owner: a
    where: "x > 1"
policies:
  - {name: p, deny: {column_tags: [pii]}, destinations: {tags: [marketing]}}
  - {name: q, deny: {column_tags: [personal]}, destinations: {names: [other]}}
`

func Test_hashes_change_with_what_a_run_does_and_with_nothing_else(t *testing.T) {
	of := func(text string) (string, string) {
		p := load(t, write(t, "upwell.yml", text))
		return p.DefinitionHash("s"), p.MappingHash("s")
	}
	definition, mapping := of(hashed)
	for _, c := range []struct {
		name, old, new     string
		definition, mapped bool
	}{
		{"a description", "description: first", "description: second", false, false},
		{"a description of a column", "description: address", "description: email", false, false},
		{"an owner", "owner: a", "owner: b", false, false},
		{"a schedule", "every: 1h", "every: 2h", false, false},
		{"a guard", "5%", "6%", false, false},
		{"a test", "not_null: id", "unique: id", false, false},
		{"the order of fields", "{a: score, b: {column: tier, null: skip}", "{b: {column: tier, null: skip}, a: score", false, false},
		{"the order of match", "{id: id, d: day}", "{d: day, id: id}", false, false},
		{"the order of tags", "[pii, personal]", "[personal, pii]", false, false},
		{"a semicolon after the query", "select 1 as id", "select 1 as id ;", false, false},
		{"shorthand written out", "a: score", "a: {column: score, null: clear, write: always}", false, false},
		{"a default written out", "object: o", "object: o\n    mode: upsert\n    removed: keep", false, false},
		{"a policy that cannot apply", "column_tags: [personal]", "columns: [email]", false, false},
		{"the query", "select 1 as id", "select 2 as id", true, false},
		{"the order of the key", "key: [id, day]", "key: [day, id]", true, false},
		{"a tag of a column", "[pii, personal]", "[pii]", true, false},
		{"a tag of the destination", "tags: [marketing]}, other", "tags: [marketing, x]}, other", true, false},
		{"the object", "object: o", "object: p", true, false},
		{"the mode", "object: o", "object: o\n    mode: mirror", true, false},
		{"the removal", "object: o", "object: o\n    removed: clear", true, false},
		{"the filter", "x > 1", "x > 2", true, false},
		{"a policy that applies", "column_tags: [pii]", "columns: [email]", true, false},
		{"the destination", "destination: hook", "destination: other", true, false},
		{"a column", "a: score", "a: points", true, true},
		{"a match", "id: id, d", "id: id2, d", true, true},
		{"a null policy", "null: skip", "null: reject", true, true},
		{"the type of a constant", "value: 1}", "value: \"1\"}", true, true},
		{"an expression", "row.x", "row.y", true, true},
		{"sent on creation only", "a: score", "a: {column: score, write: create}", true, true},
		{"a field more", "a: score", "a: score, z: score", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(hashed, c.old, c.new, 1)
			if text == hashed {
				t.Fatal("the case changes nothing")
			}
			d, m := of(text)
			if (d != definition) != c.definition || (m != mapping) != c.mapped {
				t.Errorf("definition changed: %v, want %v; mapping changed: %v, want %v", d != definition, c.definition, m != mapping, c.mapped)
			}
		})
	}
	t.Run("they are those of the last version", func(t *testing.T) {
		golden(t, "testdata/hashes.txt", definition+"\n"+mapping+"\n")
	})
	t.Run("an unknown sync has none", func(t *testing.T) {
		p := &project.Project{}
		if p.DefinitionHash("s") != "" || p.MappingHash("s") != "" {
			t.Error("a hash of nothing")
		}
	})
}
