package cli_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fingerprint hashes every name, mode and byte of a folder.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(h, path, info.Mode(), info.Size())
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			h.Write(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func Test_looking_changes_no_byte(t *testing.T) {
	w := newWorld(t, models, toFile)
	look := [][]string{
		{"plan"},
		{"plan", "--full"},
		{"run", "--dry-run"},
		{"status"},
		{"runs"},
		{"rejects"},
		{"check", "--connect"},
		{"test"},
		{"preview", "health"},
		{"explain", "health_to_file", "A1"},
	}
	before := fingerprint(t, w.dir)
	for _, args := range look {
		w.must(0, args...)
		if fingerprint(t, w.dir) != before {
			t.Fatalf("%v made something in a project that never ran", args)
		}
	}
	w.must(0, "run")
	w.exec(`update health set score = 1 where account_id = 'A2'`)
	before = fingerprint(t, w.dir)
	for _, args := range append(look, []string{"run-log", "latest"}, []string{"undo", "latest", "--dry-run"}) {
		w.must(0, args...)
		if fingerprint(t, w.dir) != before {
			t.Fatalf("%v changed something", args)
		}
	}
}

func Test_a_saved_plan_is_applied_exactly_or_refused(t *testing.T) {
	w := newWorld(t, models, toHook)
	file := filepath.Join(t.TempDir(), "a.plan")
	w.must(0, "plan", "--out", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the plan file: %v %v", info.Mode(), err)
	}
	b, _ := os.ReadFile(file)
	doc := answer{out: string(b)}.decoded(t)
	planHash := at(t, doc, "plans", 0, "plan_hash")
	at(t, doc, "saved_plans", 0, "plan_hash")
	ran := w.must(0, "run", "--plan", file, "--json").decoded(t)
	if at(t, ran, "runs", 0, "plan_hash") != planHash {
		t.Error("the run did something else than planned")
	}
	if a := w.must(4, "run", "--plan", file); !strings.Contains(a.out, "PLAN_STALE") {
		t.Errorf("applied twice: %s", a.out)
	}
	w.exec(`update health set score = 2 where account_id = 'A2'`)
	w.must(0, "plan", "--out", file)
	w.exec(`update health set score = 3 where account_id = 'A2'`)
	a := w.must(4, "run", "--plan", file)
	if !strings.Contains(a.out, "PLAN_STALE") || !strings.Contains(a.out, "A2") {
		t.Errorf("a stale plan names what differs: %s", a.out)
	}
	w.hook.set(func() {
		if got := fmt.Sprint(w.hook.records["A2"]["score"]); got != "93" {
			t.Errorf("a stale plan was sent: %s", got)
		}
	})
	w.must(2, "run", "--plan", file, "--full")
	w.must(2, "run", "--plan", file, "another_sync")
	w.must(2, "run", "--plan", filepath.Join(w.dir, "upwell.yml"))
	w.must(2, "run", "--plan", "nothing.plan")
}

func Test_a_sync_that_cannot_be_planned_does_not_hide_the_others(t *testing.T) {
	w := newWorld(t, models, toFile, strings.Replace(toHook, "\nsyncs:\n", "", 1))
	w.hook.close()
	doc := w.must(5, "plan", "--json").decoded(t)
	if at(t, doc, "plans", 0, "sync") != "health_to_file" || at(t, doc, "failed", 0, "sync") != "health_to_hook" {
		t.Errorf("%v", doc)
	}
	at(t, doc, "error", "fix")
	if file := filepath.Join(t.TempDir(), "x"); w.must(5, "plan", "--out", file).code == 5 {
		if _, err := os.Stat(file); err == nil {
			t.Error("half a plan was saved")
		}
	}
}
