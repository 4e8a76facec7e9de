package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func Test_a_new_project_runs_at_once(t *testing.T) {
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "new"), stdin: strings.NewReader("")}
	if a := w.outside("init", w.dir); a.code != 0 {
		t.Fatal(a)
	}
	w.must(0, "check")
	w.must(0, "check", "--connect")
	w.must(0, "test")
	w.must(0, "plan")
	doc := w.must(0, "run", "--json").decoded(t)
	if got := at(t, doc, "runs", 0, "status"); got != "succeeded" {
		t.Errorf("status %v", got)
	}
	if b, err := os.ReadFile(filepath.Join(w.dir, "out", "customers.jsonl")); err != nil || len(b) == 0 {
		t.Errorf("what it wrote: %q %v", b, err)
	}
	if a := w.must(0, "plan"); !strings.Contains(a.out, "No changes.") {
		t.Errorf("after a run: %s", a.out)
	}
	w.must(0, "status")
}

func Test_init_goes_where_it_is_told(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), stdin: strings.NewReader("")}
	w.must(0, "init", "sub")
	if _, err := os.Stat(filepath.Join(w.dir, "sub", ".upwell", "schema.json")); err != nil {
		t.Error(err)
	}
	if a := w.must(2, "init", "sub"); !strings.Contains(a.err, "already") {
		t.Errorf("a second init: %s", a.err)
	}
	doc := w.must(0, "init", "--json").decoded(t)
	if at(t, doc, "dir") != w.dir {
		t.Errorf("%v", doc)
	}
}
