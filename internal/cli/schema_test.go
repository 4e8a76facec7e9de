package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// An editor that follows `upwell schema` must not mark anything in the projects people begin with.
func Test_the_printed_schema_takes_the_projects_of_this_repository(t *testing.T) {
	w := newWorld(t, models, toHook)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(w.must(0, "schema").out)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("project.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("project.json")
	if err != nil {
		t.Fatal(err)
	}
	files := []string{filepath.Join(w.dir, "upwell.yml")}
	for _, pattern := range []string{"../../examples/*/*.yml", "../demo/project/*.yml", "../project/sample/*.yml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		one, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(one); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
