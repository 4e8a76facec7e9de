package salesforce_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// submit hands a job to Salesforce and gives its handle as it was saved.
func (o *org) submit(to connector.Target, b *row.Batch) (connector.Job, error) {
	o.t.Helper()
	var saved connector.Job
	err := o.Destination.(connector.JobWriter).Submit(o.t.Context(), to, b, func(j connector.Job) error {
		if jobs := o.Jobs(); j.ID != "none" && jobs[len(jobs)-1].State != "Open" {
			o.t.Errorf("the handle was saved when the job was %s", jobs[len(jobs)-1].State)
		}
		saved = j
		return nil
	})
	return saved, err
}

// poll looks until the job is done, at most ten times.
func (o *org) poll(d connector.Destination, job connector.Job, to connector.Target, b *row.Batch) (*connector.Outcomes, error) {
	o.t.Helper()
	for range 10 {
		out := connector.NewOutcomes(b.Len())
		done, err := d.(connector.JobWriter).Poll(o.t.Context(), job, to, b, out)
		if done || err != nil {
			return out, err
		}
		if statuses(out) != statuses(connector.NewOutcomes(b.Len())) {
			o.t.Fatalf("rows were marked before the end: %s", statuses(out))
		}
	}
	o.t.Fatal("the job did not end")
	return nil, nil
}

func (o *org) bulk(l load) *connector.Outcomes {
	o.t.Helper()
	to, b := o.batch(l)
	job, err := o.submit(to, b)
	if err != nil {
		o.t.Fatal(err)
	}
	out, err := o.poll(o.Destination, job, to, b)
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

func numbered(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("a%05d", i)
	}
	return out
}

func Test_a_job_tells_every_rows_outcome_in_whatever_order(t *testing.T) {
	o := start(t, salesforcetest.WithBatchRows(100))
	l := accounts(numbered(450)...)
	l.fields = []string{"Name", "Health_Tier__c"}
	for i := range l.rows {
		tier := text("healthy")
		if i%7 == 3 {
			tier = text("splendid")
		}
		l.rows[i] = append(l.rows[i], tier)
	}
	out := o.bulk(l)
	for i := range out.Len() {
		r := out.Result(i)
		if i%7 == 3 {
			if r.Status != connector.Rejected || r.Code != "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" || r.Field != "Health_Tier__c" || !strings.HasSuffix(r.Message, ": splendid") {
				t.Fatalf("row %d: %+v", i, r)
			}
			continue
		}
		if rec := o.Record("Account", "Account_Number__c", fmt.Sprintf("a%05d", i)); r.Status != connector.Delivered || r.Created != connector.Yes || r.RemoteID != rec["Id"] {
			t.Fatalf("row %d: %+v", i, r)
		}
	}
	if again := o.bulk(accounts("a00000")); again.Result(0).Created != connector.No {
		t.Errorf("%+v", again.Result(0))
	}
}

func Test_a_job_writes_null_absent_and_odd_texts_exactly(t *testing.T) {
	o := start(t)
	odd := " \"quoted\", with, commas\r\nand lines\nZoë 日本 "
	l := load{object: "Account", op: connector.OpUpsert, match: []string{"Account_Number__c"}, fields: []string{"Name", "Description", "Status__c", "MRR__c", "Is_Customer__c", "Last_Seen__c", "Products__c"}}
	l.rows = [][]row.Value{
		{text("a"), text("A"), text(odd), text("old"), dec("1.50"), row.BoolValue(true), at(1_700_000_000), row.StringKind(row.Array, `["core","plus"]`)},
		{text("comma,\"quote\"\r\nline"), text("B"), text("x"), text("old"), dec("2"), row.BoolValue(false), absent(), absent()},
	}
	l.rows = append(l.rows, []row.Value{text("old\rMac"), text(" C "), text("\r"), absent(), absent(), absent(), absent(), absent()})
	if got := statuses(o.bulk(l)); got != "delivered, delivered, delivered" {
		t.Fatal(got)
	}
	if rec := o.Record("Account", "Account_Number__c", "old\rMac"); rec["Name"] != " C " || rec["Description"] != "\r" {
		t.Errorf("%v", rec)
	}
	rec := o.Record("Account", "Account_Number__c", "a")
	if rec["Description"] != odd || rec["MRR__c"] != number("1.50") || rec["Is_Customer__c"] != true || rec["Last_Seen__c"] != "2023-11-14T22:13:20.000Z" || rec["Products__c"] != "core;plus" {
		t.Errorf("%v", rec)
	}
	l.rows = l.rows[:1]
	l.rows[0] = []row.Value{text("a"), absent(), null(), text(""), absent(), absent(), absent(), absent()}
	if got := statuses(o.bulk(l)); got != "delivered" {
		t.Fatal(got)
	}
	rec = o.Record("Account", "Account_Number__c", "a")
	if rec["Description"] != nil || rec["Status__c"] != nil || rec["MRR__c"] != number("1.50") || rec["Name"] != "A" {
		t.Errorf("%v", rec)
	}
}

func Test_what_a_job_cannot_write_is_rejected_and_the_rest_goes_on(t *testing.T) {
	o := start(t)
	l := accounts("a", "b", "c", "#N/A")
	l.rows[1][1] = text("#N/A")
	l.rows[2][1] = row.BytesValue([]byte{1})
	if got := statuses(o.bulk(l)); got != "delivered, rejected, rejected, rejected" {
		t.Error(got)
	}
	l = accounts("d")
	l.rows[0][1] = text("#N/A")
	jobs := len(o.Jobs())
	out := o.bulk(l)
	if r := out.Result(0); r.Status != connector.Rejected || r.Code != fault.ValueType || r.Field != "Name" {
		t.Errorf("%+v", r)
	}
	if len(o.Jobs()) != jobs {
		t.Error("a job was made for no row")
	}
}

// A collection takes them, a job does not: its limits are lower than a long text area's.
func Test_texts_longer_than_a_job_takes_are_rejected_before_they_sink_it(t *testing.T) {
	long := salesforcetest.Typed("Notes__c", "textarea")
	long.Length = 131_072
	o := start(t, salesforcetest.WithObject(salesforcetest.Object{Name: "Account", Fields: []salesforcetest.Field{long}}))
	l := load{object: "Account", op: connector.OpUpsert, match: []string{"Account_Number__c"}, fields: []string{"Name", "Notes__c"}, rows: [][]row.Value{
		{text("a"), text("A"), text(strings.Repeat("é", 32_000))}, {text("b"), text("B"), text(strings.Repeat("x", 32_001))},
	}}
	out := o.bulk(l)
	if r := out.Result(1); statuses(out) != "delivered, rejected" || r.Code != fault.ValueTooLong || r.Field != "Notes__c" || !strings.Contains(r.Message, "bulk.above") {
		t.Errorf("%s: %+v", statuses(out), r)
	}
	if got := statuses(o.mustWrite(load{object: "Account", op: connector.OpUpsert, match: l.match, fields: l.fields, rows: l.rows[1:]})); got != "delivered" {
		t.Error(got)
	}
}

func Test_a_job_inserts_updates_clears_and_deletes(t *testing.T) {
	o := start(t)
	insert := accounts("a", "b", "c")
	insert.op = connector.OpInsert
	made := o.bulk(insert)
	if got := statuses(made); got != "delivered, delivered, delivered" || made.Result(1).Created != connector.Yes {
		t.Fatalf("%s %+v", got, made.Result(1))
	}
	if again := o.bulk(insert); again.Result(0).Code != fault.AlreadyExists {
		t.Errorf("inserting again: %+v", again.Result(0))
	}
	ids := []string{made.Result(0).RemoteID, made.Result(1).RemoteID, made.Result(2).RemoteID}
	update := accounts("a", "b", "c")
	update.op, update.ids = connector.OpUpdate, ids
	update.rows[0][1] = text("Updated")
	o.Remove(ids[2])
	if got := statuses(o.bulk(update)); got != "delivered, delivered, skipped" {
		t.Error(got)
	}
	empty := load{object: "Account", op: connector.OpClear, match: []string{"Account_Number__c"}, fields: []string{"Status__c", "Is_Customer__c"}, rows: [][]row.Value{{text("a"), null(), null()}}, ids: ids[:1]}
	if got := statuses(o.bulk(empty)); got != "delivered" {
		t.Error(got)
	}
	remove := load{object: "Account", op: connector.OpDelete, match: []string{"Account_Number__c"}, rows: [][]row.Value{{text("a")}, {text("c")}}, ids: []string{ids[0][:15], ids[2]}}
	if got := statuses(o.bulk(remove)); got != "delivered, delivered" {
		t.Error(got)
	}
	if list := o.Records("Account"); len(list) != 1 || list[0]["Id"] != ids[1] {
		t.Errorf("%v", list)
	}
}

func Test_a_restarted_process_polls_the_job_and_does_not_submit_it_again(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a", "b"))
	job, err := o.submit(to, b)
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.poll(o.open(o.Settings()), job, to, b)
	if err != nil || statuses(out) != "delivered, delivered" {
		t.Errorf("%v %s", err, statuses(out))
	}
	if n := o.Requests("POST /services/data/{version}/jobs/ingest"); n != 1 {
		t.Errorf("%d jobs were made", n)
	}
}

func Test_a_handle_that_cannot_be_saved_throws_the_job_away(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a"))
	full := errors.New("the disk is full")
	err := o.Destination.(connector.JobWriter).Submit(t.Context(), to, b, func(connector.Job) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if jobs := o.Jobs(); len(jobs) != 1 || jobs[0].State != "Aborted" {
		t.Errorf("%+v", jobs)
	}
}

func Test_a_job_that_was_never_closed_is_aborted_and_not_attempted(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a", "b"))
	// The process dies between upload and close.
	o.Inject(salesforcetest.Fault{Match: "PATCH /services/data/v66.0/jobs/ingest/", ResetBefore: true})
	job, err := o.submit(to, b)
	if f := fault.As(err); f == nil || f.Landed != fault.LandedMaybe {
		t.Fatalf("%v", err)
	}
	out, err := o.poll(o.open(o.Settings()), job, to, b)
	if err != nil || statuses(out) != "not attempted, not attempted" {
		t.Errorf("%v %s", err, statuses(out))
	}
	if jobs := o.Jobs(); jobs[0].State != "Aborted" {
		t.Errorf("%+v", jobs)
	}
}

func Test_a_job_whose_closing_was_refused_is_aborted(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a"))
	o.Inject(salesforcetest.Fault{Match: "PATCH /services/data/v66.0/jobs/ingest/", Status: 400, Body: `[{"errorCode":"INVALIDJOBSTATE","message":"no"}]`})
	_, err := o.submit(to, b)
	if f := fault.As(err); f == nil || f.Landed != fault.LandedNo {
		t.Fatalf("%v", err)
	}
	if jobs := o.Jobs(); jobs[0].State != "Aborted" {
		t.Errorf("%+v", jobs)
	}
}

func Test_a_job_whose_closing_was_answered_too_late_is_polled(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a"))
	o.Inject(salesforcetest.Fault{Match: "PATCH /services/data/v66.0/jobs/ingest/", ResetAfterApply: true})
	job, err := o.submit(to, b)
	if f := fault.As(err); f == nil || f.Landed != fault.LandedMaybe {
		t.Fatalf("%v", err)
	}
	if out, err := o.poll(o.Destination, job, to, b); err != nil || statuses(out) != "delivered" {
		t.Errorf("%v %s", err, statuses(out))
	}
}

func Test_an_upload_that_fails_leaves_no_open_job(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a"))
	o.Inject(salesforcetest.Fault{Match: "/batches", ResetBefore: true})
	_, err := o.submit(to, b)
	if f := fault.As(err); f == nil || f.Landed != fault.LandedNo {
		t.Fatalf("%v", err)
	}
	if jobs := o.Jobs(); jobs[0].State != "Aborted" {
		t.Errorf("%+v", jobs)
	}
}

func Test_a_job_salesforce_gave_up_on_tells_what_it_did_not_process(t *testing.T) {
	o := start(t, salesforcetest.WithBatchRows(2), salesforcetest.WithManualJobs())
	to, b := o.batch(accounts(numbered(5)...))
	job, err := o.submit(to, b)
	if err != nil {
		t.Fatal(err)
	}
	o.FailJobs(1, "TooManyLockFailure : Too many lock failure (200) Trying again later.")
	o.AdvanceJobs()
	out, err := o.poll(o.Destination, job, to, b)
	if err != nil || statuses(out) != "delivered, delivered, not attempted, not attempted, not attempted" {
		t.Errorf("%v %s", err, statuses(out))
	}
}

func Test_an_aborted_job_tells_what_it_did_not_process(t *testing.T) {
	o := start(t, salesforcetest.WithBatchRows(2), salesforcetest.WithManualJobs())
	to, b := o.batch(accounts(numbered(3)...))
	job, err := o.submit(to, b)
	if err != nil {
		t.Fatal(err)
	}
	o.StepJobs(1)
	if err := o.Destination.(connector.JobWriter).Abandon(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	out, err := o.poll(o.Destination, job, to, b)
	if err != nil || statuses(out) != "delivered, delivered, not attempted" {
		t.Errorf("%v %s", err, statuses(out))
	}
}

func Test_abandoning_what_is_over_or_unknown_is_no_error(t *testing.T) {
	o := start(t)
	w := o.Destination.(connector.JobWriter)
	to, b := o.batch(accounts("a"))
	job, err := o.submit(to, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.poll(o.Destination, job, to, b); err != nil {
		t.Fatal(err)
	}
	for _, j := range []connector.Job{job, {ID: "7505g0000000zzzAAA"}, {ID: "none"}} {
		if err := w.Abandon(t.Context(), j); err != nil {
			t.Errorf("%s: %v", j.ID, err)
		}
	}
}

func Test_a_job_that_vanished_leaves_its_rows_unknown(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a"))
	job, err := o.submit(to, b)
	if err != nil {
		t.Fatal(err)
	}
	o.ForgetJobs()
	out := connector.NewOutcomes(1)
	done, err := o.Destination.(connector.JobWriter).Poll(t.Context(), job, to, b, out)
	if !done || statuses(out) != "unknown" {
		t.Errorf("done %v, %s", done, statuses(out))
	}
	wantFault(t, err, fault.DestJobLost, fault.ClassRow, fault.LandedMaybe)
}

func Test_rows_beyond_the_days_batches_stay_unknown(t *testing.T) {
	o := start(t, salesforcetest.WithBatchRows(2), salesforcetest.WithDailyBatches(1))
	if got := statuses(o.bulk(accounts("a", "b", "c"))); got != "delivered, delivered, unknown" {
		t.Error(got)
	}
}

func Test_a_header_salesforce_does_not_know_stops_the_run(t *testing.T) {
	o := start(t)
	l := accounts("a")
	l.fields = []string{"Nmae"}
	to, b := o.batch(l)
	job, err := o.submit(to, b)
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.poll(o.Destination, job, to, b)
	f := wantFault(t, err, fault.DestFieldMissing, fault.ClassConfig, fault.LandedNo)
	if f.Field != "Nmae" || statuses(out) != "not attempted" {
		t.Errorf("%q %s", f.Field, statuses(out))
	}
}

func Test_results_cut_short_mark_nothing_and_are_read_again(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a", "b"))
	job, err := o.submit(to, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []salesforcetest.Fault{
		{Match: "successfulResults", Truncate: 60},
		{Match: "failedResults", HTML: true},
		{Match: "failedResults", Status: 200, Body: "a,b\n\"x", Headers: map[string]string{"Content-Type": "text/csv"}},
		{Match: "successfulResults", Status: 200, Body: "sf__Id,sf__Created,Account_Number__c\nx,true\n", Headers: map[string]string{"Content-Type": "text/csv"}},
		{Match: "successfulResults", Status: 200, Body: "sf__Id,sf__Created,Name\n", Headers: map[string]string{"Content-Type": "text/csv"}},
	} {
		o.Inject(f)
		out, err := o.poll(o.Destination, job, to, b)
		if fault.As(err) == nil || fault.As(err).GetClass() != fault.ClassTransient || statuses(out) != "unknown, unknown" {
			t.Errorf("%+v: %v %s", f, err, statuses(out))
		}
	}
	if out, err := o.poll(o.Destination, job, to, b); err != nil || statuses(out) != "delivered, delivered" {
		t.Errorf("%v %s", err, statuses(out))
	}
}

func Test_results_that_speak_twice_or_of_strangers_are_not_believed(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a", "b"))
	job, err := o.submit(to, b)
	if err != nil {
		t.Fatal(err)
	}
	o.Inject(salesforcetest.Fault{Match: "successfulResults", Status: 200, Headers: map[string]string{"Content-Type": "text/csv"}, Body: "sf__Id,sf__Created,Account_Number__c,Name\n" +
		"0015g0000000001AAA,true,a,x\n0015g0000000002AAA,true,a,x\n0015g0000000003AAA,true,stranger,x\n,true,b,x\n"})
	out, err := o.poll(o.Destination, job, to, b)
	if err != nil || statuses(out) != "unknown, unknown" || out.Extra() != 1 {
		t.Errorf("%v %s, %d extra", err, statuses(out), out.Extra())
	}
}

func Test_a_locked_row_in_a_job_is_worth_another_try(t *testing.T) {
	o := start(t)
	o.InjectRow(salesforcetest.LockRow("Account", "Account_Number__c", "b", 1, true))
	if got := statuses(o.bulk(accounts("a", "b"))); got != "delivered, retry" {
		t.Error(got)
	}
}
