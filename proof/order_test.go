package proof_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
	"github.com/upwelldata/upwell/internal/run"
)

// P5: the first run dies half-way, then the model gets another key. What the dead run delivered is known under the old one and
// is not removed.
func Test_a_key_changed_after_a_crash_removes_nothing(t *testing.T) {
	w := newWorld(t, "mode: mirror\n    guards: {max_removed: 100%}\n    "+byMail)
	for i := range 12 {
		w.model.rows[i] = record{match: fmt.Sprintf("m%d", i), v: "a", tier: "t"}
	}
	if died, err := w.crash(4, run.RunOptions{}); err != nil || !died {
		t.Fatal(died, err)
	}
	path := filepath.Join(w.dir, "upwell.yml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.dir, "upwell.yml", strings.Replace(string(b), "key: id", "key: mail", 1))
	for i := range 6 {
		delete(w.model.rows, i)
	}
	w.tool.took()
	w.ok()
	w.removesNothing()
	w.silent()
}

// removesNothing wants no removal among what was sent.
func (w *world) removesNothing() {
	w.t.Helper()
	for _, l := range w.tool.took() {
		if strings.HasPrefix(l, "delete") {
			w.t.Errorf("%q is sent", l)
		}
	}
}

// P2: what the first run of a sync acknowledged before it died is not sent again, and is removed when it leaves the model.
func Test_what_a_first_run_acknowledged_before_it_died_counts(t *testing.T) {
	w := newWorld(t, "mode: mirror\n    guards: {max_removed: 100%}\n    "+byID)
	for i := range 30 {
		w.model.rows[i] = record{match: fmt.Sprint(i), v: "a", tier: "t"}
	}
	if died, err := w.crash(6, run.RunOptions{}); err != nil || !died {
		t.Fatal(died, err)
	}
	w.tool.took()
	w.ok()
	sent := len(w.tool.took())
	if bound := 30 - (6-3)*3; sent > bound { // at most three batches of three rows were open
		t.Errorf("%d of 30 rows are sent again, want at most %d", sent, bound)
	}
	clear(w.model.rows)
	w.ok()
	w.agrees(false)
	t.Logf("a first run that died in its 6th of 10 requests: %d of 30 rows are sent by the next one", sent)
}

// P4: a run that is broken off in the middle of its plan accounts for what it did not come to.
func Test_a_run_that_is_broken_off_accounts_for_every_row(t *testing.T) {
	w := newWorld(t, "mode: upsert\n    "+byID)
	for i := range 5000 {
		w.model.rows[i] = record{match: fmt.Sprint(i), v: "a", tier: "t"}
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.tool.before = func(int) error { cancel(); return nil }
	var rec *run.Record
	if err := w.engine(func(e *run.Engine) (err error) {
		rec, err = e.Run(ctx, e.Project.Syncs["s"], run.RunOptions{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if why := unbalanced(rec.Counts); why != "" || rec.Counts.Pending < 4900 || rec.Status != run.Cancelled {
		t.Errorf("%s: %s %+v", rec.Status, why, rec.Counts)
	}
	w.tool.before = nil
	w.ok()
	w.agrees(false)
	t.Logf("broken off after %d of 5000 rows: %d pending, %d unknown", rec.Counts.Delivered, rec.Counts.Pending, rec.Counts.Unknown)
}

// Which of two runs spoke last about a key is told by their ids, so ids grow although the clock was set back.
func Test_run_ids_grow_when_the_clock_is_set_back(t *testing.T) {
	w := newWorld(t, "mode: upsert\n    "+byID)
	w.model.rows[1] = record{match: "m", v: "a", tier: "t"}
	future := ulid.MustNew(ulid.Timestamp(time.Now().Add(24*time.Hour)), ulid.DefaultEntropy()).String()
	if err := w.engine(func(e *run.Engine) error {
		return e.Store.BeginRun(t.Context(), &run.Record{ID: future, Sync: "s", Status: run.Succeeded})
	}); err != nil {
		t.Fatal(err)
	}
	if rec := w.ok(); rec.ID <= future {
		t.Errorf("a run after %s has the id %s", future, rec.ID)
	}
}

// A tool that recognises repetitions must not take a write for one because state was lost and counting began anew.
func Test_idempotency_keys_are_not_used_again_after_state_was_lost(t *testing.T) {
	w := newWorld(t, "mode: upsert\n    "+byID)
	for i := range 9 {
		w.model.rows[i] = record{match: fmt.Sprint(i), v: "a", tier: "t"}
	}
	w.ok()
	before := maps.Clone(w.tool.keys)
	for _, f := range []string{".upwell", "upwell.lock"} {
		if err := os.RemoveAll(filepath.Join(w.dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 9 {
		w.model.rows[i] = record{match: fmt.Sprint(i), v: "b", tier: "t"}
	}
	w.tool.keys = map[string]int{}
	w.ok()
	for k := range w.tool.keys {
		if before[k] > 0 {
			t.Errorf("the idempotency key %s is used for another write", k)
		}
	}
}

// P3: a removal waits until an open request for its record can no longer land, also when the plan holds nothing else.
func Test_a_removal_waits_for_the_open_request_of_its_record(t *testing.T) {
	w := newWorld(t, "mode: mirror\n    guards: {max_removed: 100%}\n    "+byID)
	w.tool.timeout = 600 * time.Millisecond
	w.model.rows[1] = record{match: "1", v: "a", tier: "t"}
	if died, err := w.crash(1, run.RunOptions{}); err != nil || !died {
		t.Fatal(died, err)
	}
	sent := time.Now() // the request left before
	clear(w.model.rows)
	w.tool.before = func(int) error {
		if waited := time.Since(sent); waited < w.tool.timeout/2 {
			t.Errorf("the removal leaves %s after a request that may land for %s", waited, w.tool.timeout)
		}
		return nil
	}
	w.ok()
	w.agrees(false)
}

// P3: so does a key that takes over the record another key's open request is for.
func Test_a_key_waits_for_the_open_request_of_another_at_its_record(t *testing.T) {
	w := newWorld(t, "mode: mirror\n    guards: {max_removed: 100%}\n    "+byMail)
	w.tool.timeout = 600 * time.Millisecond
	w.model.rows[1] = record{match: "shared", v: "old", tier: "t"}
	if died, err := w.crash(1, run.RunOptions{}); err != nil || !died {
		t.Fatal(died, err)
	}
	sent := time.Now()
	clear(w.model.rows)
	w.model.rows[2] = record{match: "shared", v: "new", tier: "t"}
	w.tool.before = func(int) error {
		if waited := time.Since(sent); waited < w.tool.timeout/2 {
			t.Errorf("the write leaves %s after a request that may land for %s", waited, w.tool.timeout)
		}
		return nil
	}
	w.ok()
	w.agrees(true)
}

// jobTool is a tool whose upserts are asynchronous jobs.
type jobTool struct {
	*memTool
	submitted int
}

func (j *jobTool) Objects(ctx context.Context, names []string) ([]connector.Object, error) {
	objs, err := j.memTool.Objects(ctx, names)
	op := objs[0].Ops[connector.OpUpsert]
	op.JobAbove, op.JobRows = 2, 100
	objs[0].Ops[connector.OpUpsert] = op
	return objs, err
}

func (j *jobTool) Submit(ctx context.Context, to connector.Target, rows *row.Batch, save func(connector.Job) error) error {
	j.submitted++
	id := fmt.Sprint("job", j.submitted)
	if err := save(connector.Job{ID: id}); err != nil {
		return err
	}
	out := connector.NewOutcomes(rows.Len())
	return j.Write(ctx, to, rows, out) // the job runs to its end, also when nobody looks
}

func (j *jobTool) Poll(_ context.Context, _ connector.Job, _ connector.Target, _ *row.Batch, out *connector.Outcomes) (bool, error) {
	out.DeliveredAll()
	return true, nil
}

func (j *jobTool) Abandon(context.Context, connector.Job) error { return nil }

// Row 38: a process that dies after submitting a job leaves the job to the next one, which looks at it and submits none again.
func Test_a_job_whose_process_died_is_looked_at_and_not_submitted_again(t *testing.T) {
	for name, edit := range map[string]func(string) string{
		"nothing else changes":    func(s string) string { return s },
		"the key changes as well": func(s string) string { return strings.Replace(s, "key: id", "key: mail", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "mode: mirror\n    guards: {max_removed: 100%}\n    "+byMail)
			jobs := &jobTool{memTool: w.tool}
			w.jobs = jobs
			for i := range 12 {
				w.model.rows[i] = record{match: fmt.Sprintf("m%d", i), v: "a", tier: "t"}
			}
			w.ok()
			for i := range 12 {
				w.model.rows[i] = record{match: fmt.Sprintf("m%d", i), v: "b", tier: "t"}
			}
			w.tool.took()
			if died, err := w.crash(1, run.RunOptions{}); err != nil || !died {
				t.Fatal(died, err)
			}
			submitted := jobs.submitted
			w.tool.took()
			path := filepath.Join(w.dir, "upwell.yml")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, w.dir, "upwell.yml", edit(string(b)))
			same := name == "nothing else changes"
			if !same {
				for i := range 6 {
					delete(w.model.rows, i)
				}
			}
			w.ok()
			if sent := len(w.tool.log); same && (jobs.submitted != submitted || sent > 0) {
				t.Errorf("%d jobs are submitted again, %d rows sent", jobs.submitted-submitted, sent)
			}
			w.removesNothing()
			if same {
				w.agrees(true)
			}
			w.silent()
			t.Logf("%s: the job of the dead process is settled, %d jobs submitted again, 0 removals", name, jobs.submitted-submitted)
		})
	}
}
