package salesforce_test

import (
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

// known writes accounts and gives their ids.
func (o *org) known(numbers ...string) []string {
	o.t.Helper()
	out := o.mustWrite(accounts(numbers...))
	ids := make([]string, len(numbers))
	for i := range ids {
		ids[i] = out.Result(i).RemoteID
	}
	return ids
}

func Test_update_never_creates(t *testing.T) {
	o := start(t)
	ids := o.known("a", "b")
	o.Remove(ids[1])
	l := accounts("a", "b", "c", "d")
	l.op, l.ids = connector.OpUpdate, []string{ids[0], ids[1], "0015g0000000zzzAAA", ""}
	l.rows[0][1] = text("Updated")
	out, err := o.write(l)
	if err != nil {
		t.Fatal(err)
	}
	if got := statuses(out); got != "delivered, skipped, skipped, rejected" || out.Result(3).Code != fault.LookupMissing {
		t.Errorf("%s %+v", got, out.Result(3))
	}
	if list := o.Records("Account"); len(list) != 1 || list[0]["Name"] != "Updated" {
		t.Errorf("%v", list)
	}
}

func Test_an_update_moves_a_record_whose_match_changed(t *testing.T) {
	o := start(t)
	ids := o.known("old")
	l := accounts("new")
	l.op, l.ids = connector.OpUpdate, ids
	o.mustWrite(l)
	if rec := o.Record("Account", "Account_Number__c", "new"); rec == nil || rec["Id"] != ids[0] || len(o.Records("Account")) != 1 {
		t.Errorf("%v", o.Records("Account"))
	}
}

func Test_rows_can_be_matched_by_id(t *testing.T) {
	o := start(t)
	ids := o.known("a")
	o.mustWrite(load{object: "Account", op: connector.OpUpdate, match: []string{"Id"}, fields: []string{"Name"}, rows: [][]row.Value{{text(ids[0][:15]), text("By id")}}})
	if got := o.Record("Account", "Id", ids[0])["Name"]; got != "By id" {
		t.Error(got)
	}
	_, err := o.write(load{object: "Account", op: connector.OpUpsert, match: []string{"Id"}, fields: []string{"Name"}, rows: [][]row.Value{{text(ids[0]), text("x")}}})
	wantFault(t, err, fault.DestKeyUnusable, fault.ClassConfig, fault.LandedNo)
}

func Test_a_lookup_to_a_record_that_is_gone_is_no_reason_to_skip(t *testing.T) {
	o := start(t)
	ids := o.known("parent")
	contact := o.mustWrite(load{object: "Contact", op: connector.OpUpsert, match: []string{"Customer_Id__c"}, fields: []string{"LastName"}, rows: [][]row.Value{{text("c"), text("N")}}}).Result(0).RemoteID
	o.Remove(ids[0])
	out, err := o.write(load{object: "Contact", op: connector.OpUpdate, match: []string{"Customer_Id__c"}, fields: []string{"AccountId"}, rows: [][]row.Value{{text("c"), text(ids[0])}}, ids: []string{contact}})
	if err != nil {
		t.Fatal(err)
	}
	if r := out.Result(0); r.Status != connector.Rejected || r.Field != "AccountId" {
		t.Errorf("%+v", r)
	}
}

func Test_insert_tells_a_record_that_exists_from_other_duplicates(t *testing.T) {
	o := start(t)
	if err := o.Define(salesforcetest.Object{Name: "Account", Fields: []salesforcetest.Field{salesforcetest.ExternalID("Tax_Id__c", 20, true)}}); err != nil {
		t.Fatal(err)
	}
	o.known("a")
	o.Put("Account", salesforcetest.Record{"Name": "Taxed", "Tax_Id__c": "T1"})
	l := load{object: "Account", op: connector.OpInsert, match: []string{"Account_Number__c"}, fields: []string{"Name", "Tax_Id__c"}, rows: [][]row.Value{
		{text("a"), text("N"), absent()}, {text("b"), text("N"), text("T1")}, {text("c"), text("N"), text("T2")},
	}}
	out, err := o.write(l)
	if err != nil {
		t.Fatal(err)
	}
	if got := statuses(out); got != "rejected, rejected, delivered" || out.Result(0).Code != fault.AlreadyExists || out.Result(1).Code != "DUPLICATE_VALUE" || out.Result(2).Created != connector.Yes {
		t.Errorf("%s %+v", got, out)
	}
	l.skip = true
	if out, err = o.write(l); err != nil {
		t.Fatal(err)
	}
	if got := statuses(out); got != "skipped, rejected, skipped" {
		t.Error(got)
	}
}

func Test_deleting_what_is_gone_is_delivered(t *testing.T) {
	o := start(t)
	ids := o.known("a", "b", "c")
	o.Remove(ids[1])
	l := accounts("a", "b", "c", "d")
	l.fields = nil
	for i := range l.rows {
		l.rows[i] = l.rows[i][:1]
	}
	l.op, l.ids = connector.OpDelete, []string{ids[0], ids[1], "0015g0000000zzzAAA", "not an id"}
	out, err := o.write(l)
	if err != nil {
		t.Fatal(err)
	}
	if got := statuses(out); got != "delivered, delivered, delivered, rejected" {
		t.Error(got)
	}
	if list := o.Records("Account"); len(list) != 1 || list[0]["Account_Number__c"] != "c" {
		t.Errorf("%v", list)
	}
	if out, err = o.write(l); err != nil || statuses(out) != "delivered, delivered, delivered, rejected" {
		t.Errorf("the second time: %v %s", err, statuses(out))
	}
}

func Test_clear_empties_fields_and_leaves_the_record(t *testing.T) {
	o := start(t)
	out := o.mustWrite(load{
		object: "Account", op: connector.OpUpsert, match: []string{"Account_Number__c"}, fields: []string{"Name", "Status__c", "Is_Customer__c", "MRR__c"},
		rows: [][]row.Value{{text("a"), text("N"), text("x"), row.BoolValue(true), dec("5")}},
	})
	o.mustWrite(load{
		object: "Account", op: connector.OpClear, match: []string{"Account_Number__c"}, fields: []string{"Status__c", "Is_Customer__c", "MRR__c"},
		rows: [][]row.Value{{text("a"), null(), null(), null()}}, ids: []string{out.Result(0).RemoteID},
	})
	rec := o.Record("Account", "Account_Number__c", "a")
	if rec["Status__c"] != nil || rec["Is_Customer__c"] != false || rec["MRR__c"] != nil || rec["Name"] != "N" {
		t.Errorf("%v", rec)
	}
}

func Test_a_deleted_record_comes_back_as_a_new_one(t *testing.T) {
	o := start(t)
	ids := o.known("a")
	o.Remove(ids[0])
	if out := o.mustWrite(accounts("a")); out.Result(0).Created != connector.Yes || out.Result(0).RemoteID == ids[0] {
		t.Errorf("%+v", out.Result(0))
	}
}
