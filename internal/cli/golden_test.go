package cli_test

import (
	"strings"
	"testing"
)

// The goldens show a small life: a first run with a refused row, then changes, then a guard that holds.
func Test_texts_and_documents_are_as_written_down(t *testing.T) {
	w := newWorld(t, models, toHook)
	w.hook.reject["A3"] = "SCORE_TOO_LOW"
	step := func(name string, code int, args ...string) {
		t.Helper()
		w.golden(name+".txt", w.must(code, args...).out)
		a := w.must(code, append(args, "--json")...)
		a.decoded(t)
		w.golden(name+".json", a.out)
	}
	step("check", 0, "check")
	step("check_connect", 0, "check", "--connect")
	step("preview", 0, "preview", "health", "--limit", "2")
	step("test", 0, "test")
	step("status_never", 0, "status")
	step("plan_first", 0, "plan")
	w.golden("run_first.txt", w.must(3, "run").out)
	step("rejects", 0, "rejects")
	step("explain_rejected", 0, "explain", "health_to_hook", "A3")
	w.exec(`update health set score = 72, tier = null where account_id = 'A1'`, `insert into health values ('A5', 1, 'weird'), (null, 1, 'watch'), ('A6', 1, 'watch'), ('A6', 2, 'watch')`,
		`delete from health where account_id = 'A2'`)
	step("test_warned", 4, "test")
	w.write("upwell.yml", sources+strings.Replace(models, "- not_null: account_id\n      ", "", 1)+toHook)
	step("plan_second", 0, "plan")
	w.golden("run_held.json", w.must(4, "run", "--json").out)
	step("status_held", 0, "status")
	w.golden("run_allowed.txt", w.must(3, "run", "--allow", "removed").out)
	step("explain_changed", 0, "explain", "health_to_hook", "A1")
	step("explain_absent", 0, "explain", "health_to_hook", "nobody")
	step("runs", 0, "runs")
	step("run_log", 0, "run-log", "latest")
	step("rejects_invalid", 0, "rejects", "health_to_hook")
	step("undo_dry", 0, "undo", "latest", "--dry-run")
	w.golden("reset.txt", w.must(0, "reset", "health_to_hook", "--yes").out)
	w.golden("doctor.txt", w.must(0, "doctor").out)
}

func Test_lint_faults_name_place_and_remedy(t *testing.T) {
	w := newWorld(t, models, strings.Replace(toFile, "destination: out", "destinatoin: out", 1), "\nmodles: {}\n")
	w.golden("check_faults.txt", w.must(2, "check").out)
	a := w.must(2, "check", "--json")
	a.decoded(t)
	w.golden("check_faults.json", a.out)
	run := w.must(2, "run", "--json")
	w.golden("run_faults.json", run.out)
	w.golden("run_faults.txt", run.err)
}

func Test_help_is_as_written_down(t *testing.T) {
	w := newWorld(t, models, toFile)
	w.golden("help.txt", w.must(0, "--help").out)
	w.golden("help_run.txt", w.must(0, "run", "--help").out)
}
