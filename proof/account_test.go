package proof_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/run"
)

// Invariant 6. P4: whatever happens to a sync, every run accounts for every row, and when the weather clears the tool holds the
// model and a further run sends nothing.
func Test_every_row_is_accounted_for_in_random_histories(t *testing.T) {
	runs, rows, crashes := 0, int64(0), 0
	check := func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "upwell-proof-")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		h := &historian{rt: rt, w: &world{dir: dir, model: &model{rows: map[int]record{}}, tool: newTool()}}
		h.byMail = rapid.Bool().Draw(rt, "matched by mail")
		// Where a tool that cannot be read has a record whose move was not answered nobody can tell, so it may stay behind.
		h.w.tool.noRead = rapid.Bool().Draw(rt, "cannot be read") && !h.byMail
		h.w.tool.timeout = time.Millisecond
		h.mapping()
		rt.Repeat(map[string]func(*rapid.T){
			"add":          h.add,
			"change":       h.change,
			"remove":       h.remove,
			"swap":         h.swap,
			"rename":       h.rename,
			"shift":        h.shift,
			"edit mapping": func(*rapid.T) { h.tier = !h.tier; h.mapping() },
			"run":          h.run,
			"run full":     func(rt *rapid.T) { h.full = true; h.run(rt); h.full = false },
			"retry":        h.retry,
		})
		h.clearing()
		runs, rows, crashes = runs+h.runs, rows+h.rows, crashes+h.crashes
	}
	if long {
		if err := flag.Set("rapid.checks", "2000"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, check)
	t.Logf("%d runs, %d of them crashed, %d planned rows: every run accounted for every row; every history ended with the tool holding the model", runs, crashes, rows)
}

// historian makes one history.
type historian struct {
	rt      *rapid.T
	w       *world
	byMail  bool
	tier    bool
	full    bool
	next    int
	runs    int
	crashes int
	rows    int64
	story   []string
}

func (h *historian) tell(format string, args ...any) {
	h.story = append(h.story, fmt.Sprintf(format, args...))
}

func (h *historian) mapping() {
	match, tier := "Id: id", ""
	if h.byMail {
		match = "Mail: mail"
	}
	if h.tier {
		tier = ", Tier: {column: tier, null: clear}"
	}
	text := "version: 1\nname: proof\nsources: {wh: {type: memory}}\ndestinations: {tool: {type: tool}}\nmodels: {m: {source: wh, table: t, key: id}}\nsyncs:\n  s:\n    model: m\n    destination: tool\n    object: Account\n    mode: mirror\n    guards: {max_removed: 100%}\n    match: {" + match + "}\n    fields: {V: v" + tier + "}\n"
	if err := os.WriteFile(filepath.Join(h.w.dir, "upwell.yml"), []byte(text), 0o600); err != nil {
		h.rt.Fatal(err)
	}
	h.tell("the mapping has %s%s", match, tier)
}

func (h *historian) some(rt *rapid.T) (int, bool) {
	if len(h.w.model.rows) == 0 {
		return 0, false
	}
	ids := make([]int, 0, len(h.w.model.rows))
	for id := range 20 {
		if _, ok := h.w.model.rows[id]; ok {
			ids = append(ids, id)
		}
	}
	return rapid.SampledFrom(ids).Draw(rt, "id"), true
}

func (h *historian) value(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "value")
}

func (h *historian) add(rt *rapid.T) {
	id := rapid.IntRange(0, 19).Draw(rt, "id")
	if _, ok := h.w.model.rows[id]; ok {
		return
	}
	h.next++
	mail := fmt.Sprintf("M%d", h.next%25)
	for _, r := range h.w.model.rows {
		if strings.EqualFold(r.match, mail) {
			return
		}
	}
	h.w.model.rows[id] = record{match: mail, v: h.value(rt), tier: h.value(rt)}
	h.tell("add %d %+v", id, h.w.model.rows[id])
}

func (h *historian) change(rt *rapid.T) {
	if id, ok := h.some(rt); ok {
		r := h.w.model.rows[id]
		r.v = h.value(rt)
		h.w.model.rows[id] = r
		h.tell("change %d to %+v", id, r)
	}
}

func (h *historian) remove(rt *rapid.T) {
	if id, ok := h.some(rt); ok {
		delete(h.w.model.rows, id)
		h.tell("remove %d", id)
	}
}

// swap gives two records each other's identity.
func (h *historian) swap(rt *rapid.T) {
	a, ok := h.some(rt)
	b, _ := h.some(rt)
	if !ok || a == b {
		return
	}
	x, y := h.w.model.rows[a], h.w.model.rows[b]
	x.match, y.match = y.match, x.match
	h.w.model.rows[a], h.w.model.rows[b] = x, y
	h.tell("swap %d and %d", a, b)
}

// rename gives a record an identity that no row has, which one that left may have had.
func (h *historian) rename(rt *rapid.T) {
	id, ok := h.some(rt)
	mail := fmt.Sprintf("M%d", rapid.IntRange(0, 24).Draw(rt, "mail"))
	for _, r := range h.w.model.rows {
		ok = ok && !strings.EqualFold(r.match, mail)
	}
	if ok {
		r := h.w.model.rows[id]
		r.match = mail
		h.w.model.rows[id] = r
		h.tell("rename %d to %+v", id, r)
	}
}

// shift lets every record of a chain take the identity of the next; the last one leaves the model, or closes a circle.
func (h *historian) shift(rt *rapid.T) {
	ids := slices.Sorted(maps.Keys(h.w.model.rows))
	if len(ids) < 2 {
		return
	}
	chain := rapid.Permutation(ids).Draw(rt, "chain")
	chain = chain[:rapid.IntRange(2, min(4, len(chain))).Draw(rt, "length")]
	rows := h.w.model.rows
	first := rows[chain[0]].match
	for i, id := range chain[:len(chain)-1] {
		r := rows[id]
		r.match = rows[chain[i+1]].match
		rows[id] = r
	}
	last := chain[len(chain)-1]
	if rapid.Bool().Draw(rt, "circle") {
		r := rows[last]
		r.match = first
		rows[last] = r
	} else {
		delete(rows, last)
	}
	h.tell("shift %v: %v", chain, rows)
}

func (h *historian) retry(*rapid.T) {
	err := h.w.engine(func(e *run.Engine) error {
		_, err := e.Store.MakeDue(context.Background(), "s")
		return err
	})
	if err != nil {
		h.rt.Fatalf("retry: %v", err)
	}
	h.tell("retry")
}

// weather draws what the tool does during a run.
func (h *historian) weather(rt *rapid.T) (crash int) {
	tool := h.w.tool
	switch kind := rapid.SampledFrom([]string{"fine", "fine", "rejects", "loses", "fails", "stops", "crash"}).Draw(rt, "weather"); kind {
	case "rejects":
		bad := h.value(rt)
		tool.answer = func(_ connector.Op, _ string, values map[string]string) (connector.Status, string) {
			if values["V"] == bad {
				return connector.Rejected, "BAD"
			}
			return connector.Delivered, ""
		}
	case "loses":
		from := rapid.IntRange(1, 3).Draw(rt, "from call")
		tool.lost = func(call int) error {
			if call == from {
				return fault.New(fault.DestTimeout, "no answer")
			}
			return nil
		}
	case "fails":
		tool.before = func(int) error { return fault.New(fault.DestConfig, "the set-up is wrong").NotLanded() }
	case "stops":
		from := rapid.IntRange(1, 3).Draw(rt, "from call")
		tool.lost = func(call int) error {
			if call == from {
				return fault.New(fault.Internal, "a bug")
			}
			return nil
		}
	case "crash":
		crash = rapid.IntRange(1, 3).Draw(rt, "crash at call")
	}
	return crash
}

func (h *historian) calm() { h.w.tool.answer, h.w.tool.before, h.w.tool.lost = nil, nil, nil }

func (h *historian) run(rt *rapid.T) {
	h.tell("run (full %v)", h.full)
	crash := h.weather(rt)
	defer h.calm()
	if crash > 0 {
		h.crash(crash)
		return
	}
	h.account(run.RunOptions{Full: h.full, Allow: plan.Allow{"removed": true, "empty": true}, Wait: 2 * time.Millisecond})
}

func (h *historian) account(o run.RunOptions) *run.Record {
	var rec *run.Record
	err := h.w.engine(func(e *run.Engine) (err error) {
		rec, err = e.Run(context.Background(), e.Project.Syncs["s"], o)
		return err
	})
	if err != nil {
		h.rt.Fatalf("%s: %v", strings.Join(h.story, "\n"), err)
	}
	c := rec.Counts
	h.runs++
	h.rows += c.Planned.Add + c.Planned.Change + c.Planned.Remove
	h.tell("  %s %v %+v: %v", rec.Status, rec.Error, c, h.w.tool.took())
	if why := unbalanced(c); why != "" {
		h.rt.Fatalf("%s\n%s", strings.Join(h.story, "\n"), why)
	}
	return rec
}

// crash runs a sync whose process dies after the n-th call was applied and before it was answered.
func (h *historian) crash(n int) {
	h.crashes++
	died, err := h.w.crash(n, run.RunOptions{Full: h.full, Allow: plan.Allow{"removed": true, "empty": true}})
	if err != nil {
		h.rt.Fatal(err)
	}
	h.tell("  died %v, sent %v", died, h.w.tool.took())
}

// clearing ends a history: a person asks for everything to be tried again, and the weather is fine.
func (h *historian) clearing() {
	h.calm()
	for range 2 { // records that changed places may need a second look
		h.retry(nil)
		h.account(run.RunOptions{Allow: plan.Allow{"removed": true, "empty": true}})
	}
	want, got := map[string]string{}, map[string]string{}
	for id, r := range h.w.model.rows {
		k := fmt.Sprint(id)
		if h.byMail {
			k = strings.ToLower(r.match)
		}
		want[k] = r.v
	}
	for k, r := range h.w.tool.records {
		got[k] = r["V"]
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.rt.Fatalf("%s\nthe tool holds %v\nthe model says %v", strings.Join(h.story, "\n"), got, want)
	}
	if rec := h.account(run.RunOptions{}); rec.Status != run.Succeeded || rec.Counts.Delivered > 0 {
		h.rt.Fatalf("%s\na further run is not silent", strings.Join(h.story, "\n"))
	}
}
