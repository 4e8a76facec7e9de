package archtest

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository's folder, seen from this package.
const root = "../.."

var update = flag.Bool("update", false, "rewrite generated pages")

// maxLines is the longest a Go file may be: beyond it a file holds more than one idea.
const maxLines = 450

// longFiles are the exceptions, each with its reason.
var longFiles = map[string]string{}

func Test_files_hold_one_idea(t *testing.T) {
	for name, content := range goFiles(t) {
		if regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`).Match(content) {
			continue
		}
		lines := bytes.Count(content, []byte("\n"))
		reason, excepted := longFiles[name]
		switch {
		case lines > maxLines && !excepted:
			t.Errorf("%s has %d lines, more than %d: split it by idea", name, lines, maxLines)
		case lines <= maxLines && excepted:
			t.Errorf("%s has %d lines and needs no exception any more (%s)", name, lines, reason)
		}
		delete(longFiles, name)
	}
	for name := range longFiles {
		t.Errorf("the exception %s names no file", name)
	}
}

// The linker takes -X for a variable that does not exist without a word, and the version would silently be lost.
func Test_the_version_is_stamped_into_a_variable_that_exists(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	stamp := regexp.MustCompile(`-X \$\(MODULE\)/(\S+)\.(\w+)=`).FindSubmatch(makefile)
	if stamp == nil {
		t.Fatal("the Makefile stamps no version")
	}
	declares := regexp.MustCompile(`(?m)^(var |\t)` + string(stamp[2]) + `( string)? += "`)
	for name, content := range goFiles(t) {
		if filepath.Dir(name) == string(stamp[1]) && declares.Match(content) {
			return
		}
	}
	t.Errorf("no file of %s declares the string variable %s", stamp[1], stamp[2])
}

// goFiles gives the Go files of the repository by their path from its root.
func goFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		content, err := os.ReadFile(name)
		short, _ := strings.CutPrefix(filepath.ToSlash(name), root+"/")
		files[short] = content
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found only %d Go files", len(files))
	}
	return files
}

// page compares a generated page with what it should hold, or rewrites it with -update.
func page(t *testing.T, name, want string) {
	t.Helper()
	file := filepath.Join(root, name)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run `make generate`", err)
	}
	if string(got) != want {
		t.Errorf("%s is out of date: run `make generate`", name)
	}
}
