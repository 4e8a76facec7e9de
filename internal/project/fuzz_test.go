package project_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/project"
)

// FuzzLoad: whatever a file holds, loading it never panics, every fault has a place and a remedy in clean text, and a project that
// loads has an order and hashes.
func FuzzLoad(f *testing.F) {
	for _, c := range bad {
		f.Add(c.yaml)
	}
	files, err := filepath.Glob("testdata/*/upwell.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(files, "sample/upwell.yml") {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add(base)
	f.Add(dbtProject("dbt: {gate: required, target_path: out}", "dbt: {name: a, version: 2}"))
	reg := connectors()
	dir := f.TempDir()
	vars := env(map[string]string{"SECRET": "canary-canary"})
	f.Fuzz(func(t *testing.T, text string) {
		dir, err := os.MkdirTemp(dir, "p")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if err := os.WriteFile(filepath.Join(dir, "upwell.yml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, opts := range [][]project.Option{{vars}, {vars, project.WithoutSecrets()}} {
			p, faults := project.Load(dir, reg, opts...)
			if (p == nil) != (len(faults) > 0) {
				t.Fatalf("project %v with %d faults", p, len(faults))
			}
			if p != nil {
				faults = p.Warnings
				list, err := p.Order(nil)
				if err != nil || len(list) != len(p.Syncs) {
					t.Errorf("order: %d of %d, %v", len(list), len(p.Syncs), err)
				}
				for name := range p.Syncs {
					if len(p.DefinitionHash(name)) != 64 || len(p.MappingHash(name)) != 64 {
						t.Errorf("no hash of %s", name)
					}
				}
			}
			for _, e := range faults {
				if e.Where == nil || e.Where.File != "upwell.yml" || e.Where.Line < 1 || e.Where.Column < 1 {
					t.Errorf("no place: %v", e)
				}
				if e.GetFix() == "" || !utf8.ValidString(e.Message+e.GetFix()) {
					t.Errorf("no clean message: %q %q", e.Message, e.GetFix())
				}
				if strings.Contains(e.Message+e.GetFix(), "canary-canary") && !strings.Contains(text, "canary-canary") {
					t.Errorf("a resolved value is shown: %s", e.Message)
				}
			}
		}
	})
}
