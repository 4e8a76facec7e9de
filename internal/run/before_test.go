package run_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/run"
)

const (
	readBefore = "    mode: upsert\n    match: {Id: id}\n    fields: {Score: score, Tier: tier}\n    read_before: true\n"
	onceAndFor = "    mode: upsert\n    match: {Id: id}\n    fields: {Score: score, Tier: tier, First: {column: email, write: create}}\n    read_before: %v\n"
)

// told is what explain says a run did to a key, newest first: op field=old>new ...
func (w *world) told(id int64) []string {
	w.t.Helper()
	var out []string
	w.engine(func(e *run.Engine, s *projectSync) {
		x, err := e.Explain(w.t.Context(), s, strconv.FormatInt(id, 10))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, h := range x.History {
			line := string(h.Op)
			for i, f := range h.Fields {
				line += " " + f + "=" + h.Old[i].String() + ">" + h.New[i].String()
			}
			out = append(out, line)
		}
	})
	return out
}

// Somebody changes the record between two runs: the second replaces his value, and the first still wrote its own.
func Test_history_tells_what_each_run_wrote_though_the_tool_changed_in_between(t *testing.T) {
	w := newWorld(t, readBefore)
	w.crm.records["1"] = map[string]string{"Score": "100", "Tier": "watch"}
	w.wh.set(1, "u1@example.com", "watch", 1)
	w.ok()
	w.crm.records["1"]["Score"] = "55"
	w.wh.set(1, "u1@example.com", "watch", 2)
	second := w.ok()
	want := []string{"upsert Score=55>2", "upsert Score=100>1 Tier=watch>watch"}
	if got := w.told(1); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("told\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	w.undone(second, false, map[string]int64{})
	w.wantRecords(map[string]string{"1": "Score=55 Tier=watch"})
}

// What is written only where a record is created was not written where it was there: history does not claim it, and undo leaves
// alone what others wrote to it since.
func Test_a_field_written_on_creation_is_no_part_of_what_a_run_did_to_a_record_that_was_there(t *testing.T) {
	for _, read := range []bool{true, false} {
		w := newWorld(t, fmt.Sprintf(onceAndFor, read))
		w.crm.records["1"] = map[string]string{"Score": "100", "First": "old"}
		w.wh.set(1, "u1@example.com", "watch", 1)
		w.wh.set(2, "u2@example.com", "watch", 2)
		first := w.ok()
		w.wantRecords(map[string]string{"1": "First=old Score=1 Tier=watch", "2": "First=u2@example.com Score=2 Tier=watch"})
		for id, has := range map[int64]bool{1: false, 2: true} {
			if got := w.told(id); len(got) != 1 || strings.Contains(got[0], "First=") != has {
				t.Errorf("read_before %v, key %d: %v", read, id, got)
			}
		}
		w.crm.records["1"]["First"] = "by hand"
		skipped := map[string]int64{}
		if !read {
			skipped["the tool did not say that the run created the record, and the values before are not known"] = 1
		}
		w.undone(first, false, skipped)
		if got := w.crm.records["1"]["First"]; got != "by hand" {
			t.Errorf("read_before %v: undo wrote %q over what was written by hand", read, got)
		}
	}
}
