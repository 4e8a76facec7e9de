package cli_test

import (
	"encoding/json"
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

func Test_undo_under_a_policy_of_today_says_what_it_leaves_alone_and_ends_held(t *testing.T) {
	masked := strings.ReplaceAll(toHook, "tier: tier", "tier: score")
	w := newWorld(t, models, toHook)
	w.must(0, "run")
	w.write("upwell.yml", sources+models+masked+"policies:\n  - name: no-tier\n    mask: {columns: [tier]}\n")
	w.must(0, "run")
	const reason = "policy no-tier keeps column tier of health, which was in hook.tier, from it"
	if a := w.must(0, "undo", "latest", "--dry-run"); !strings.Contains(a.out, "left alone, "+reason+": 4 rows") {
		t.Errorf("%s%s", a.out, a.err)
	}
	var doc struct {
		Runs []struct {
			Status string `json:"status"`
			Error  struct{ Code string }
		} `json:"runs"`
		SkippedBy map[string]int64 `json:"skipped_by"`
	}
	a := w.must(4, "undo", "latest", "--yes", "--json")
	if err := json.Unmarshal([]byte(a.out), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Runs) != 1 || doc.Runs[0].Status != "held" || doc.Runs[0].Error.Code != "POLICY_DENIED" || doc.SkippedBy[reason] != 4 {
		t.Errorf("%+v", doc)
	}
}
