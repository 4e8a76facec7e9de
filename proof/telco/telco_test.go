// Package telco_test proves with the example in examples/telco, from the outside, what the product promises a user: a churn-risk
// model over 7,043 customers goes to a CRM and a product database, only changes follow, plan and run agree, and a run can be undone.
// It talks to the command line and judges by what the tools hold.
package telco_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	toCRM     = "risk_to_crm"
	toProduct = "risk_to_product"
	changed   = 70
	removed   = 5
)

// The parts of documents the proof reads.
type (
	planned struct {
		Plans []struct {
			Sync     string `json:"sync"`
			PlanHash string `json:"plan_hash"`
			Counts   struct{ Read, Invalid, Unchanged, Waiting, Add, Change, Remove int64 }
			Estimate struct{ Requests int64 }
			Samples  []struct {
				Op     string
				Key    map[string]string
				Fields map[string]struct{ Old, New any }
			}
		}
	}
	ran struct {
		Runs []oneRunDoc `json:"runs"`
	}
	oneRunDoc struct {
		RunID      string    `json:"run_id"`
		Sync       string    `json:"sync"`
		Status     string    `json:"status"`
		PlanHash   string    `json:"plan_hash"`
		StartedAt  time.Time `json:"started_at"`
		FinishedAt time.Time `json:"finished_at"`
		Requests   int64     `json:"requests"`
		Counts     struct {
			Read, Invalid, Unchanged, Waiting                                     int64
			Planned                                                               struct{ Add, Change, Remove int64 }
			Delivered, Unconfirmed, Skipped, Rejected, Unknown, Withheld, Pending int64
		}
	}
)

func Test_telco_churn_goes_to_the_crm_and_the_product_database_and_comes_back(t *testing.T) {
	d := newDesk(t)
	data := telco(t)
	file := filepath.Join(d.dir, "data", "telco_customer_churn.csv")
	save(t, file, data)
	begun := time.Now()

	// First run: everything, to the CRM as a bulk job.
	first := d.planAndRun(10, want{add: customers})
	d.holds(data)
	if jobs := d.crm.Jobs(); len(jobs) != 1 || jobs[0].Processed != customers || jobs[0].Failed != 0 || jobs[0].Operation != "upsert" {
		t.Errorf("the first run must be one bulk job of %d rows: %+v", customers, jobs)
	}
	if n := d.crm.Requests("composite/"); n != 0 {
		t.Errorf("%d requests went beside the bulk job", n)
	}

	// Second run: nothing.
	writes, before := d.writes(), d.product()
	d.planAndRun(0, want{})
	if n := d.writes() - writes; n != 0 {
		t.Errorf("nothing changed, and %d requests wrote to the CRM", n)
	}
	if !maps.Equal(versions(before), versions(d.product())) {
		t.Error("nothing changed, and rows of the product database were written")
	}

	// Third run: exactly the 70 customers who pay more now, and the 5 who left.
	contacts, rows := d.contacts(), d.product()
	later, raised, gone := raise(data)
	save(t, file, later)
	written := d.crm.Stats().Rows["Contact"]
	third := d.planAndRun(10, want{change: changed, remove: removed, keys: slices.Concat(raised, gone)})
	d.holds(later)
	if n := d.crm.Stats().Rows["Contact"] - written; n != changed+removed {
		t.Errorf("%d records were written in the CRM, want %d", n, changed+removed)
	}
	if got := differing(contacts, d.contacts()); !slices.Equal(got, sorted(raised, gone)) {
		t.Errorf("these contacts differ: %v", got)
	}
	if got := rewritten(rows, d.product()); !slices.Equal(got, sorted(raised, gone)) {
		t.Errorf("these rows of the product database were written: %v", got)
	}
	d.tells(raised[0], gone[0], first, third)

	// Undo of the third run: the values and the five records are back, and nothing else was touched.
	rowsNow := d.product()
	for _, sync := range []string{toCRM, toProduct} {
		d.undo(third[sync].RunID)
	}
	d.holds(data)
	if diff := cmp.Diff(contacts, d.contacts()); diff != "" {
		t.Errorf("undo left the CRM different (-before the run, +after undo):\n%s", diff)
	}
	if diff := cmp.Diff(values(rows), values(d.product())); diff != "" {
		t.Errorf("undo left the product database different (-before the run, +after undo):\n%s", diff)
	}
	if got := rewritten(rowsNow, d.product()); !slices.Equal(got, sorted(raised, gone)) {
		t.Errorf("undo wrote these rows of the product database: %v", got)
	}

	// The model still says the other thing: the same changes are planned, and an explicit run sends them.
	d.planAndRun(10, want{change: changed, remove: removed, keys: slices.Concat(raised, gone)})
	d.holds(later)
	fmt.Printf("telco: %d customers to CRM and product database, then 0, then %d changes and %d removals, undone and repeated: %.1f s\n",
		customers, changed, removed, time.Since(begun).Seconds())
}

// want is what a plan must say.
type want struct {
	add, change, remove int64
	keys                []string // the customers that may be in it; nil = any
}

// planAndRun plans, checks that planning touched nothing, runs, and checks that the run did what the plan said.
func (d *desk) planAndRun(exit int, w want) map[string]oneRunDoc {
	d.Helper()
	files, writes, versionsBefore := d.files(), d.writes(), versions(d.product())
	var p planned
	d.upwell(exit, planForm, &p, "plan", "--exit-code")
	if diff := cmp.Diff(files, d.files()); diff != "" {
		d.Fatalf("planning changed the project folder:\n%s", diff)
	}
	if d.writes() != writes || !maps.Equal(versionsBefore, versions(d.product())) {
		d.Fatal("planning wrote to a tool")
	}
	var r ran
	d.upwell(0, runForm, &r, "run")
	if len(p.Plans) != 2 || len(r.Runs) != 2 {
		d.Fatalf("planned %d syncs and ran %d", len(p.Plans), len(r.Runs))
	}
	out := map[string]oneRunDoc{}
	for i, plan := range p.Plans {
		run := r.Runs[i]
		out[run.Sync] = run
		pc, rc := plan.Counts, run.Counts
		switch {
		case plan.Sync != run.Sync || plan.PlanHash == "" || plan.PlanHash != run.PlanHash:
			d.Errorf("the plan of %s (%s) is not what was run of %s (%s)", plan.Sync, plan.PlanHash, run.Sync, run.PlanHash)
		case pc.Add != w.add || pc.Change != w.change || pc.Remove != w.remove:
			d.Errorf("%s: planned %+v, want %+v", plan.Sync, pc, w)
		case pc.Read != rc.Read || pc.Invalid != rc.Invalid || pc.Unchanged != rc.Unchanged || pc.Waiting != rc.Waiting ||
			pc.Add != rc.Planned.Add || pc.Change != rc.Planned.Change || pc.Remove != rc.Planned.Remove:
			d.Errorf("%s: plan and run differ: %+v, %+v", plan.Sync, pc, rc)
		case run.Status != "succeeded" || rc.Delivered != w.add+w.change+w.remove ||
			rc.Unconfirmed+rc.Skipped+rc.Rejected+rc.Unknown+rc.Withheld+rc.Pending != 0:
			d.Errorf("%s: %s with %+v", run.Sync, run.Status, rc)
		case pc.Read != pc.Invalid+pc.Unchanged+pc.Waiting+pc.Add+pc.Change:
			d.Errorf("%s: rows are not accounted for: %+v", plan.Sync, pc)
		case run.StartedAt.IsZero() || run.FinishedAt.Before(run.StartedAt):
			d.Errorf("%s ran from %s to %s", run.Sync, run.StartedAt, run.FinishedAt)
		case rc.Delivered == 0 && run.Requests != 0:
			d.Errorf("%s had nothing to send and made %d requests", run.Sync, run.Requests)
		case run.Sync == toCRM && (run.Requests > plan.Estimate.Requests+3 || plan.Estimate.Requests > run.Requests+3): // polls of a job vary
			d.Errorf("%s: the plan announced %d requests, the run made %d", run.Sync, plan.Estimate.Requests, run.Requests)
		}
		for _, s := range plan.Samples {
			if w.keys != nil && !slices.Contains(w.keys, s.Key["customer_id"]) {
				d.Errorf("%s: the plan would %s %v", plan.Sync, s.Op, s.Key)
			}
			if _, there := s.Fields["Monthly_Charges__c"]; s.Op == "change" && plan.Sync == toCRM && (!there || len(s.Fields) > 4) {
				d.Errorf("%s: the plan shows %v for %v, whose charges changed", plan.Sync, s.Fields, s.Key)
			}
		}
	}
	return out
}

// holds checks every value of every customer in both tools.
func (d *desk) holds(data [][]string) {
	d.Helper()
	contacts, rows, wrong := d.contacts(), d.product(), 0
	if len(contacts) != len(data) || len(rows) != len(data) {
		d.Errorf("the CRM holds %d contacts and the product database %d rows, want %d", len(contacts), len(rows), len(data))
	}
	for _, row := range data {
		id, e := row[colID], expect(d.T, row)
		c, r := contacts[id], rows[id]
		inCRM := map[string]any{
			"LastName": id, "Churn_Tier__c": e.tier, "Contract__c": e.contract, "Tenure__c": json.Number(strconv.Itoa(e.tenure)),
			"Has_Internet__c": e.internet, "Payment_Method__c": e.method, "Source__c": "upwell",
		}
		same := near(c["Churn_Risk__c"], e.risk) && amount(c["Monthly_Charges__c"], e.monthly) && amount(c["Total_Charges__c"], e.total)
		for f, v := range inCRM {
			same = same && fmt.Sprint(c[f]) == fmt.Sprint(v)
		}
		total := ""
		if r.total != nil {
			total = *r.total
		}
		same = same && near(json.Number(r.risk), e.risk) && r.tier == e.tier && r.offer == e.offer && r.monthly == e.monthly && total == e.total
		if !same {
			if wrong++; wrong <= 3 {
				d.Errorf("customer %s should be %+v; the CRM holds %v, the product database %+v", id, e, c, r)
			}
		}
	}
	if wrong > 3 {
		d.Errorf("and %d more", wrong-3)
	}
}

func near(v any, want float64) bool {
	f, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	return err == nil && math.Abs(f-want) < 0.000051 // four digits behind the point
}

// amount compares money as text, whatever zeros it ends with; "" is null.
func amount(v any, want string) bool {
	if want == "" || v == nil {
		return want == "" && v == nil
	}
	whole, part, _ := strings.Cut(fmt.Sprint(v), ".")
	return len(part) <= 2 && cents(whole+"."+part) == want
}

// raise gives the data a month later: 70 customers pay a little more, 5 have left.
func raise(data [][]string) (later [][]string, raised, gone []string) {
	for n, row := range data {
		row = slices.Clone(row)
		switch {
		case n%1400 == 700:
			gone = append(gone, row[colID])
			continue
		case n%100 == 7 && len(raised) < changed:
			whole, part, _ := strings.Cut(cents(row[colMonthly]), ".")
			euros, err := strconv.Atoi(whole)
			if err != nil {
				panic(err)
			}
			row[colMonthly] = fmt.Sprintf("%d.%s", euros+3, part)
			raised = append(raised, row[colID])
		}
		later = append(later, row)
	}
	if len(raised) != changed || len(gone) != removed {
		panic("the data has another size")
	}
	return later, raised, gone
}

// tells checks what the reading commands say after the third run.
func (d *desk) tells(raised, gone string, first, third map[string]oneRunDoc) {
	d.Helper()
	var x struct {
		State    string
		Attempts int
		ModelRow map[string]any `json:"model_row"`
		Ledger   *struct {
			RunID    string  `json:"run_id"`
			RemoteID *string `json:"remote_id"`
			Fields   map[string]any
		}
		History []struct {
			RunID       string `json:"run_id"`
			Op, Outcome string
			Fields      map[string]struct{ Old, New any }
		}
	}
	d.upwell(0, explainForm, &x, "explain", toCRM, raised)
	switch {
	case x.State != "in_sync" || x.ModelRow == nil || x.Ledger == nil || x.Ledger.RunID != third[toCRM].RunID || x.Ledger.RemoteID == nil:
		d.Errorf("explain %s: %+v", raised, x)
	case len(x.History) != 2 || x.History[0].RunID != third[toCRM].RunID || x.History[1].RunID != first[toCRM].RunID:
		d.Errorf("explain %s: its history is %+v", raised, x.History)
	case x.History[0].Fields["Monthly_Charges__c"].Old == nil || x.History[0].Outcome != "delivered":
		d.Errorf("explain %s: the last change is %+v", raised, x.History[0])
	}
	x.ModelRow, x.Ledger, x.History = nil, nil, nil
	d.upwell(0, explainForm, &x, "explain", toCRM, gone)
	if x.State != "absent" || x.ModelRow != nil || len(x.History) == 0 || x.History[0].Op != "delete" {
		d.Errorf("explain %s, which was deleted: %+v", gone, x)
	}
	var rejects struct{ Groups, Rows []any }
	d.upwell(0, rejectsForm, &rejects, "rejects")
	if len(rejects.Groups)+len(rejects.Rows) != 0 {
		d.Errorf("nothing was refused, and rejects says %+v", rejects)
	}
	var status struct {
		Syncs []struct {
			Sync, State string
			LastRun     *oneRunDoc `json:"last_run"`
			Problem     any
		}
	}
	d.upwell(0, statusForm, &status, "status")
	for _, s := range status.Syncs {
		if s.State != "succeeded" || s.Problem != nil || s.LastRun == nil || s.LastRun.RunID != third[s.Sync].RunID {
			d.Errorf("status says %+v", s)
		}
	}
	if len(status.Syncs) != 2 {
		d.Errorf("status knows %d syncs", len(status.Syncs))
	}
	var runs ran
	d.upwell(0, runForm, &runs, "runs", toCRM)
	if len(runs.Runs) != 3 || runs.Runs[0].RunID != third[toCRM].RunID {
		d.Errorf("runs lists %+v", runs.Runs)
	}
}

// undo restores what a run replaced.
func (d *desk) undo(id string) {
	d.Helper()
	var r ran
	d.upwell(0, undoForm, &r, "undo", id, "--yes")
	if len(r.Runs) != 1 || r.Runs[0].Status != "succeeded" || r.Runs[0].Counts.Delivered != changed+removed ||
		r.Runs[0].Counts.Planned.Add != removed || r.Runs[0].Counts.Planned.Change != changed {
		d.Errorf("undo of %s: %+v", id, r.Runs)
	}
}

func versions(rows map[string]customer) map[string]string {
	out := map[string]string{}
	for id, r := range rows {
		out[id] = r.version
	}
	return out
}

// values gives rows without their versions.
func values(rows map[string]customer) map[string][]string {
	out := map[string][]string{}
	for id, r := range rows {
		out[id] = []string{r.risk, r.tier, r.offer, r.monthly}
		if r.total != nil {
			out[id] = append(out[id], *r.total)
		}
	}
	return out
}

// rewritten gives the keys that are in one set only, or whose row was written in between.
func rewritten(before, after map[string]customer) []string {
	return differing(versions(before), versions(after))
}

func differing[V any](before, after map[string]V) []string {
	var out []string
	for id, b := range before {
		if a, there := after[id]; !there || !cmp.Equal(a, b) {
			out = append(out, id)
		}
	}
	for id := range after {
		if _, there := before[id]; !there {
			out = append(out, id)
		}
	}
	return sorted(out)
}

func sorted(lists ...[]string) []string { return slices.Sorted(slices.Values(slices.Concat(lists...))) }
