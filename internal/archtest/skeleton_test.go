package archtest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// `make connector` must leave a tree that compiles and a connector whose tests pass, so the script runs on a copy of the seam.
func Test_the_skeleton_of_a_connector_compiles_and_passes_its_tests(t *testing.T) {
	copied := t.TempDir()
	for _, part := range []string{"go.mod", "go.sum", "scripts", "internal/row", "internal/fault", "internal/connector"} {
		copyTree(t, filepath.Join(root, part), filepath.Join(copied, part))
	}
	list := filepath.Join(copied, "internal/connectors/all/all.go")
	if err := os.MkdirAll(filepath.Dir(list), 0o755); err != nil {
		t.Fatal(err)
	}
	before := `// Package all is the only list of connectors.
package all

import (
	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/beta"
)

// Destinations lists every destination.
func Destinations() []connector.DestinationConnector {
	return []connector.DestinationConnector{
		beta.Destination(),
	}
}
`
	if err := os.WriteFile(list, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	// The list in the copy names one connector, itself a skeleton.
	copyTree(t, filepath.Join(copied, "scripts/templates/acme"), filepath.Join(copied, "internal/connectors/beta"))
	beta := filepath.Join(copied, "internal/connectors/beta/acme.go")
	content, err := os.ReadFile(beta)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(beta, []byte(strings.Replace(string(content), "\npackage acme\n", "\npackage beta\n", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(copied, "internal/connectors/beta/acme_test.go")); err != nil {
		t.Fatal(err)
	}

	in := func(name string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = copied
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := in("scripts/new-connector", "alpha2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := in("go", "test", "./internal/connectors/alpha2/..."); err != nil {
		t.Fatalf("the new connector's tests fail: %v\n%s", err, out)
	}
	after, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(before, "\t\"github.com/upwelldata/upwell/internal/connectors/beta\"\n",
		"\t\"github.com/upwelldata/upwell/internal/connectors/alpha2\"\n\t\"github.com/upwelldata/upwell/internal/connectors/beta\"\n", 1)
	want = strings.Replace(want, "\t\tbeta.Destination(),\n", "\t\tbeta.Destination(),\n\t\talpha2.Destination(),\n", 1)
	if string(after) != want {
		t.Errorf("the list is now\n%s", after)
	}
	if out, err := in("grep", "-rniE", "acme|scripts/templates", "internal/connectors/alpha2"); err == nil {
		t.Errorf("the skeleton still speaks of the template:\n%s", out)
	}
	for _, name := range []string{"", "alpha2", "Alpha", "a-b", "func", "all", "../x"} {
		if out, err := in("scripts/new-connector", name); err == nil {
			t.Errorf("the name %q was taken:\n%s", name, out)
		}
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rest)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, content, info.Mode())
	})
	if err != nil {
		t.Fatal(err)
	}
}
