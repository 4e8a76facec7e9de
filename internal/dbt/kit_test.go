package dbt_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/upwelldata/upwell/internal/dbt"
)

// shared is the folder of data that real runs of dbt wrote; it is not part of the repository.
func shared(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("UPWELL_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(dir, "data", "dbt", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("skipped: no %s; set UPWELL_SHARED to the folder of shared data. The hand-made artifacts in testdata are read in any case", path)
	}
	return path
}

func manifest(t *testing.T, path string) *dbt.Manifest {
	t.Helper()
	m, err := dbt.ReadManifest(path, filepath.Base(path), false)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func model(t *testing.T, m *dbt.Manifest, name string) *dbt.Model {
	t.Helper()
	one, err := m.Find(dbt.Ref{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// changed writes a copy of an artifact with something changed in it.
func changed(t *testing.T, name string, change func(doc map[string]any)) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	change(doc)
	if b, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	return written(t, name, string(b))
}

func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func at(doc any, path ...string) map[string]any {
	for _, p := range path {
		doc = doc.(map[string]any)[p]
	}
	return doc.(map[string]any)
}
