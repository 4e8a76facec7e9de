package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func Test_explain_without_the_source_tells_what_is_on_record_and_ends_with_exit_code_5(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.must(0, "run")
	if err := os.Rename(filepath.Join(w.dir, "app.db"), filepath.Join(w.dir, "away.db")); err != nil {
		t.Fatal(err)
	}
	doc := w.must(5, "explain", "health_to_hook", "A1", "--json").decoded(t)
	if doc["state"] != "unread" || doc["model_row"] != nil || doc["mapped"] != nil || at(t, doc, "error", "code") != "SOURCE_UNREACHABLE" {
		t.Errorf("%v", doc)
	}
	if at(t, doc, "ledger", "fields", "tier") != "watch" || at(t, doc, "history", 0, "op") == nil {
		t.Errorf("%v", doc)
	}
	a := w.must(5, "explain", "health_to_hook", "A1")
	for _, says := range []string{"as the ledger says", "could not be read", "[SOURCE_UNREACHABLE]", "delivered", "history, newest first"} {
		if !strings.Contains(a.out, says) {
			t.Errorf("%q is missing in\n%s%s", says, a.out, a.err)
		}
	}
}
