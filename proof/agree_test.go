package proof_test

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/upwelldata/upwell/internal/plan"
	"github.com/upwelldata/upwell/internal/run"
)

func unbalanced(c run.Counts) string {
	if c.Read != c.Invalid+c.Unchanged+c.Waiting+c.Planned.Add+c.Planned.Change {
		return "read is not invalid + unchanged + waiting + add + change"
	}
	if c.Planned.Add+c.Planned.Change+c.Planned.Remove != c.Delivered+c.Skipped+c.Rejected+c.Unknown+c.Withheld+c.Pending {
		return "planned is not delivered + skipped + rejected + unknown + withheld + pending"
	}
	return ""
}

var lift = run.RunOptions{Allow: plan.Allow{"removed": true, "empty": true}}

// ok runs and wants success.
func (w *world) ok() *run.Record {
	w.t.Helper()
	rec := w.run(lift)
	if rec.Status != run.Succeeded {
		w.t.Fatalf("the run is %s: %v %+v", rec.Status, rec.Error, rec.Counts)
	}
	return rec
}

// agrees wants the tool to hold exactly the model, by the match column.
func (w *world) agrees(byMail bool) {
	w.t.Helper()
	want, got := map[string]string{}, map[string]string{}
	for id, r := range w.model.rows {
		k := strconv.Itoa(id)
		if byMail {
			k = strings.ToLower(r.match)
		}
		want[k] = r.v + "/" + r.tier
	}
	for k, r := range w.tool.records {
		got[k] = r["V"] + "/" + r["Tier"]
		if r["copies"] != "" {
			got[k] += fmt.Sprintf(" %s copies too many", r["copies"])
		}
	}
	if !maps.Equal(got, want) {
		w.t.Fatalf("the tool holds %v, the model says %v", got, want)
	}
}

// silent wants a further run to send nothing.
func (w *world) silent() {
	w.t.Helper()
	w.tool.took()
	w.ok()
	if got := w.tool.took(); len(got) > 0 {
		w.t.Fatalf("a further run sent %q", got)
	}
}
