package project_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/project"
)

func Test_init_writes_a_project_without_fault_or_warning(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "shop")
	if err := project.Init(dir); err != nil {
		t.Fatal(err)
	}
	if err := project.WriteSchema(dir, connectors()); err != nil {
		t.Fatal(err)
	}
	p := load(t, dir)
	if len(p.Warnings) > 0 || len(p.Syncs) != 1 || len(p.Models) != 1 {
		t.Errorf("%d syncs, %d models, warnings:\n%s", len(p.Syncs), len(p.Models), render(p.Warnings))
	}
	for _, s := range p.Syncs {
		if len(p.Models[s.Model].Tests) == 0 || p.Destinations[s.Destination].Type != "file" {
			t.Errorf("sync %s: %+v", s.Name, s)
		}
	}
	text := read(t, dir, "upwell.yml")
	first, _, _ := strings.Cut(text, "\n")
	hint, ok := strings.CutPrefix(first, "# yaml-language-server: $schema=")
	if _, err := os.Stat(filepath.Join(dir, hint)); !ok || err != nil {
		t.Errorf("the hint %q leads nowhere: %v", first, err)
	}
	if rows := strings.Count(read(t, dir, "data/customers.csv"), "\n"); rows != 13 {
		t.Errorf("%d lines of sample data", rows)
	}
	if !strings.Contains(read(t, dir, ".gitignore"), ".upwell/\n") || read(t, dir, ".upwell/.gitignore") != "*\n" {
		t.Error("state is not ignored by Git")
	}
	if info, err := os.Stat(filepath.Join(dir, ".upwell")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the state folder is open: %v %v", info.Mode(), err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func Test_init_overwrites_nothing(t *testing.T) {
	for name, there := range map[string]string{"a project": "upwell.yml", "its data": "data/customers.csv"} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, there, "mine")
			var f *fault.Error
			if err := project.Init(dir); !errors.As(err, &f) || f.Exit() != fault.ExitUsage {
				t.Errorf("got %v", err)
			}
			if read(t, dir, there) != "mine" {
				t.Error("overwritten")
			}
			if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
				t.Errorf("something was left behind: %v %v", list, err)
			}
		})
	}
	t.Run("a .gitignore stays and does not hinder", func(t *testing.T) {
		dir := write(t, ".gitignore", "mine", "README.md", "hello")
		if err := project.Init(dir); err != nil {
			t.Fatal(err)
		}
		if read(t, dir, ".gitignore") != "mine" {
			t.Error("overwritten")
		}
	})
}

func Test_a_slip_is_understood_and_a_guess_is_not_made(t *testing.T) {
	keys := []string{"destination", "destinations", "model", "models", "mode", "match", "fields", "removed", "on_exists", "max_rows"}
	for word, want := range map[string]string{
		"destinaton": "destination", "Destination": "destination", "dest": "destination", "mdel": "model", "modle": "model",
		"macth": "match", "onexists": "on_exists", "maxrows": "max_rows", "max-rows": "max_rows", "removd": "removed",
		"zzz": "", "": "", "___": "", "schedule": "", "x": "", "model": "", strings.Repeat("a", 10_000): "",
	} {
		if got := project.Suggest(word, keys); got != want {
			t.Errorf("%.20q: %q, want %q", word, got, want)
		}
	}
}

// The ending all custom fields of a Salesforce org share says nothing about how near two of them are.
func Test_a_shared_ending_makes_no_words_alike(t *testing.T) {
	fields := []string{"NPS__c", "Health_Score__c", "Email", "Phone"}
	for word, want := range map[string]string{
		"Nope__c": "", "Helth_Score__c": "Health_Score__c", "Email__c": "Email", "Emial__c": "Email", "Health_Score": "Health_Score__c", "HealthScore__c": "Health_Score__c",
	} {
		if got := project.Suggest(word, fields); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}
