package project_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	b, err := project.Schema(connectors())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("project.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("project.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

func Test_the_schema_takes_every_sound_project(t *testing.T) {
	s := compileSchema(t)
	texts := map[string]string{"base": base}
	for _, name := range []string{"contract", "warnings", "beside-dbt"} {
		b, err := os.ReadFile(filepath.Join("testdata", name, "upwell.yml"))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(b)
	}
	b, err := os.ReadFile("sample/upwell.yml")
	if err != nil {
		t.Fatal(err)
	}
	texts["sample"] = string(b)
	texts["settings"] = hookWith("method: ${env:M}", "headers: {X-Number: 1.10}", "hosts: a", "timeout: 1d", "batch: {max_rows: \"${env:ROWS}\", max_bytes: 1024}", "allow_private: true")
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			if err := validate(t, s, text); err != nil {
				t.Error(err)
			}
		})
	}
}

// Some mistakes no schema can see: they need other files, the other side of a reference, another language or the connector's modes.
// Every other mistake the loader finds an editor must find with the schema.
func Test_the_schema_refuses_what_the_loader_refuses(t *testing.T) {
	s := compileSchema(t)
	beyond := []string{
		"a key twice", "an alias without anchor", "an unknown tag", "a merge of text", "name in a second file",
		"an accepted value twice", "a key column twice", "a range upside down", "a range of number and text",
		"SQL of comments only", "empty SQL", "two statements", "a statement that writes", "the same test twice",
		"an SQL file that does not exist", "append of nothing", "a field mapped twice", "no object", "no match",
		"mirror that keeps", "insert that deletes", "append that clears", "on_exists in upsert", "a field in match and fields",
		"a column matched twice", "every that is too short", "an unknown time zone",
		"a time zone without cron", "where with a semicolon", "where with the word", "a guard above 100%", "aliases that explode",
		"a header that is a list", "a placeholder that is none", "a row count below zero",
	}
	seen, refused := 0, 0
	for _, c := range bad {
		switch c.code {
		case fault.ProjectSyntax, fault.ProjectLimit, fault.ProjectReference, fault.ProjectVariable, fault.ProjectExpression, fault.ProjectMode:
			continue
		default: // a schema can see it
		}
		skip := strings.HasPrefix(c.name, "a cron") || strings.Contains(c.name, "defined twice")
		for _, b := range beyond {
			skip = skip || b == c.name
		}
		if skip {
			continue
		}
		seen++
		t.Run(c.name, func(t *testing.T) {
			if err := validate(t, s, c.yaml); err == nil {
				t.Errorf("the schema takes:\n%s", c.yaml)
				return
			}
			refused++
		})
	}
	if seen < 50 || seen != refused {
		t.Errorf("%d mistakes, %d refused", seen, refused)
	}
}

func Test_the_schema_describes_every_key(t *testing.T) {
	b, err := project.Schema(connectors())
	if err != nil {
		t.Fatal(err)
	}
	again, err := project.Schema(connectors())
	if err != nil || !bytes.Equal(b, again) {
		t.Error("the schema is not the same twice")
	}
	var doc struct {
		Schema     string `json:"$schema"`
		Properties map[string]struct {
			Description string `json:"description"`
		} `json:"properties"`
		Defs map[string]struct {
			Properties map[string]struct {
				Description string `json:"description"`
			} `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Schema != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema %q", doc.Schema)
	}
	for name, p := range doc.Properties {
		if p.Description == "" {
			t.Errorf("%s has no description", name)
		}
	}
	for _, def := range []string{"model", "sync", "policy"} {
		if len(doc.Defs[def].Properties) < 8 {
			t.Errorf("%s has %d keys", def, len(doc.Defs[def].Properties))
		}
		for name, p := range doc.Defs[def].Properties {
			if p.Description == "" {
				t.Errorf("%s.%s has no description", def, name)
			}
		}
	}
	secret := doc.Defs["destination_salesforce"].Properties["client_secret"].Description
	if !strings.Contains(secret, "Consumer secret.") || !strings.Contains(secret, "${env:NAME}") {
		t.Errorf("description of a secret: %q", secret)
	}
}
