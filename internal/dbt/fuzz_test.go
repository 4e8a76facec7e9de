package dbt_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/upwelldata/upwell/internal/dbt"
	"github.com/upwelldata/upwell/internal/fault"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// FuzzArtifact: whatever bytes claim to be an artifact, reading them never panics, a refusal is a fault in clean text, and what is read
// can be searched and judged.
func FuzzArtifact(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("%v: %d files", err, len(files))
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte(`{"metadata":{"dbt_schema_version":"/dbt/manifest/v12"},"nodes":{"a":{"resource_type":"model","depends_on":{"nodes":["a"]},"columns":{"":{}}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		refused := func(err error) bool {
			if err == nil {
				return false
			}
			e := fault.As(err)
			if e.Code != fault.DBTArtifact || e.GetFix() == "" || !utf8.ValidString(e.Message) || len(e.Message) > 1000 {
				t.Errorf("%v", err)
			}
			return true
		}
		r, err := dbt.ParseRunResults(b, "r", true)
		if !refused(err) {
			dbt.After(r, nil)
		}
		m, err := dbt.ParseManifest(bytes.NewReader(b), "m", true)
		if refused(err) {
			return
		}
		for _, name := range append(m.Names(), "customers") {
			if _, err := m.Find(dbt.Ref{Name: name}); err != nil && err.Error() == "" {
				t.Error("an error without words")
			}
		}
		for _, one := range m.Models {
			one.Column("id")
			if r != nil {
				dbt.After(r, one)
			}
		}
	})
}
