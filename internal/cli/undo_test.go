package cli_test

import (
	"strings"
	"testing"
)

func Test_undo_latest_takes_the_newest_run_that_changed_something(t *testing.T) {
	w := newWorld(t, models, toHook)
	if a := w.must(2, "undo", "latest", "--dry-run"); !strings.Contains(a.err, "nothing has run yet") {
		t.Errorf("before any run: %s", a.err)
	}
	w.exec(`insert into health values (null, 1, 'watch')`)
	w.must(4, "run")
	if a := w.must(2, "undo", "latest", "--dry-run"); !strings.Contains(a.err, "no run on record changed anything") {
		t.Errorf("after a held run: %s", a.err)
	}
	w.exec(`delete from health where account_id is null`)
	w.must(0, "run")
	w.exec(`update health set score = 1 where account_id = 'A1'`)
	w.must(0, "run")
	w.must(0, "run") // nothing to do
	w.exec(`insert into health values (null, 1, 'watch')`)
	w.must(4, "run") // held
	if a := w.must(0, "undo", "latest", "--dry-run"); !strings.Contains(a.out, "score: 1 -> 71") {
		t.Errorf("%s%s", a.out, a.err)
	}
}
