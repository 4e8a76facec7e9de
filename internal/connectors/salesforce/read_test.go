package salesforce_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func (o *org) readBack(object string, by []string, fields []string, matches ...[]row.Value) []connector.Found {
	o.t.Helper()
	found, err := o.Destination.(connector.Reader).ReadBack(o.t.Context(), o.object(object), by, matches, fields)
	if err != nil {
		o.t.Fatal(err)
	}
	if len(found) != len(matches) {
		o.t.Fatalf("%d answers for %d matches", len(found), len(matches))
	}
	return found
}

func Test_records_are_found_in_the_order_asked(t *testing.T) {
	o := start(t)
	ids := o.known("a", "b", "c")
	found := o.readBack("Account", []string{"Account_Number__c"}, []string{"Name"}, []row.Value{text("c")}, []row.Value{text("nobody")}, []row.Value{text("A")}, []row.Value{null()})
	if found[0].RemoteID != ids[2] || found[1].Exists || found[2].RemoteID != ids[0] || found[3].Exists {
		t.Errorf("%+v", found)
	}
	if got := found[2].Values[0].Str(); got != "Account a" {
		t.Error(got)
	}
}

func Test_values_read_back_are_the_values_written(t *testing.T) {
	o := start(t)
	fields := []string{"Name", "Health_Score__c", "NPS__c", "Is_Customer__c", "First_Seen__c", "Last_Seen__c", "Renewal_Time__c", "Status__c"}
	values := []row.Value{text("N"), dec("12345678901.123456"), row.IntValue(7), row.BoolValue(true), row.DateValue(-1), row.InstantValue(1_700_000_000, 120_000_000), row.TimeValue(3_723_004_000_000), null()}
	o.mustWrite(load{object: "Account", op: connector.OpUpsert, match: []string{"Account_Number__c"}, fields: fields, rows: [][]row.Value{append([]row.Value{text("a")}, values...)}})
	found := o.readBack("Account", []string{"Account_Number__c"}, fields, []row.Value{text("a")})[0]
	for n, v := range found.Values {
		if !v.Equal(values[n]) || v.Kind() != values[n].Kind() {
			t.Errorf("%s: %s (%s), want %s (%s)", fields[n], v, v.Kind(), values[n], values[n].Kind())
		}
	}
}

func Test_texts_cannot_break_out_of_a_query(t *testing.T) {
	o := start(t)
	o.known("victim")
	evil := []string{
		`x') OR Name != null OR (Name = '`, `x\`, `\' OR 1=1`, `'`, `"`, "a'b\\'c", "line\nbreak", "tab\tand\rreturn", "quote\"", `\\`, "x'--", "O'Brien", "日本'", "%27 OR Name != null", "+&#=?",
	}
	for _, s := range evil[:len(evil)-1] {
		if o.readBack("Account", []string{"Account_Number__c"}, nil, []row.Value{text(s)})[0].Exists {
			t.Errorf("%q found something", s)
		}
	}
	l := accounts(evil...)
	ids := o.mustWrite(l)
	var matches [][]row.Value
	for _, s := range evil {
		matches = append(matches, []row.Value{text(s)})
	}
	for i, f := range o.readBack("Account", []string{"Account_Number__c"}, nil, matches...) {
		if f.RemoteID != ids.Result(i).RemoteID {
			t.Errorf("%q is not found: %+v", evil[i], f)
		}
	}
}

func Test_names_that_are_no_names_reach_no_query(t *testing.T) {
	o := start(t)
	r := o.Destination.(connector.Reader)
	obj := o.object("Account")
	before := o.Stats().Total
	for _, f := range []struct{ by, field string }{{"Name FROM Account--", "Name"}, {"Name", "Id, (SELECT Id FROM Contacts)"}} {
		_, err := r.ReadBack(t.Context(), obj, []string{f.by}, [][]row.Value{{text("x")}}, []string{f.field})
		wantFault(t, err, fault.DestFieldMissing, fault.ClassConfig, fault.LandedNo)
	}
	if o.Stats().Total != before {
		t.Error("a query was sent")
	}
}

func Test_long_lists_are_split_below_the_limit_of_an_address(t *testing.T) {
	o := start(t)
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("%s-%03d", strings.Repeat("日", 30), i))
	}
	ids := o.mustWrite(accounts(names...))
	var matches [][]row.Value
	for _, n := range names {
		matches = append(matches, []row.Value{text(n)})
	}
	for i, f := range o.readBack("Account", []string{"Account_Number__c"}, []string{"Name"}, matches...) {
		if f.RemoteID != ids.Result(i).RemoteID {
			t.Fatalf("match %d: %+v", i, f)
		}
	}
	longest := 0
	for _, c := range o.Stats().Log {
		longest = max(longest, len(c.Path)+len(c.Query))
	}
	if n := o.Requests("query"); n < 4 || longest > 12_000 {
		t.Errorf("%d queries, the longest %d bytes", n, longest)
	}
}

func Test_pages_are_followed_to_the_end(t *testing.T) {
	o := start(t, salesforcetest.WithQueryRows(3))
	names := numbered(10)
	o.mustWrite(accounts(names...))
	var matches [][]row.Value
	for _, n := range names {
		matches = append(matches, []row.Value{text(n)})
	}
	for i, f := range o.readBack("Account", []string{"Account_Number__c"}, nil, matches...) {
		if !f.Exists {
			t.Errorf("match %d is not found", i)
		}
	}
	if n := o.Requests("query/{cursor}"); n != 3 {
		t.Errorf("%d further pages", n)
	}
}

func Test_several_records_for_one_match_are_ambiguous(t *testing.T) {
	o := start(t)
	o.Put("Contact", salesforcetest.Record{"LastName": "A", "Email": "twin@acme.example"})
	o.Put("Contact", salesforcetest.Record{"LastName": "B", "Email": "TWIN@acme.example"})
	f := o.readBack("Contact", []string{"Email"}, []string{"LastName"}, []row.Value{text("twin@acme.example")})[0]
	if !f.Ambiguous || !f.Exists || f.RemoteID != "" || f.Values != nil {
		t.Errorf("%+v", f)
	}
}

func Test_case_counts_where_the_field_says_so(t *testing.T) {
	o := start(t)
	out := o.mustWrite(load{object: "Lead", op: connector.OpUpsert, match: []string{"Lead_Key__c"}, fields: []string{"LastName", "Company"}, rows: [][]row.Value{{text("k"), text("N"), text("C")}, {text("K"), text("N"), text("C")}}})
	found := o.readBack("Lead", []string{"Lead_Key__c"}, nil, []row.Value{text("K")}, []row.Value{text("k")})
	if found[0].RemoteID != out.Result(1).RemoteID || found[1].RemoteID != out.Result(0).RemoteID {
		t.Errorf("%+v", found)
	}
}

func Test_numbers_are_compared_by_value(t *testing.T) {
	o := start(t)
	id := o.Put("Opportunity", salesforcetest.Record{"Name": "N", "StageName": "Prospecting", "CloseDate": "2026-01-01", "Deal_No__c": number("1500.0")})
	found := o.readBack("Opportunity", []string{"Deal_No__c"}, []string{"Deal_No__c", "CloseDate"}, []row.Value{dec("1500")}, []row.Value{row.IntValue(1500)}, []row.Value{row.FloatValue(1500)}, []row.Value{dec("1501")}, []row.Value{text("x' OR Name != '")})
	for i := range 3 {
		if found[i].RemoteID != id {
			t.Errorf("match %d: %+v", i, found[i])
		}
	}
	if found[3].Exists || found[4].Exists {
		t.Errorf("%+v", found[3:])
	}
}

func Test_several_match_fields_are_compared_together(t *testing.T) {
	o := start(t)
	a := o.Put("Contact", salesforcetest.Record{"LastName": "Lee", "FirstName": "Ann"})
	b := o.Put("Contact", salesforcetest.Record{"LastName": "Lee", "FirstName": "Bob"})
	found := o.readBack("Contact", []string{"LastName", "FirstName"}, nil, []row.Value{text("Lee"), text("Bob")}, []row.Value{text("lee"), text("ann")}, []row.Value{text("Lee"), text("Cid")})
	if found[0].RemoteID != b || found[1].RemoteID != a || found[2].Exists {
		t.Errorf("%+v", found)
	}
}

func Test_ids_are_found_in_either_form_and_other_texts_never_asked_for(t *testing.T) {
	o := start(t)
	ids := o.known("a", "b")
	found := o.readBack("Account", []string{"Id"}, []string{"Name"}, []row.Value{text(ids[0])}, []row.Value{text(ids[1][:15])}, []row.Value{text("not an id")})
	if found[0].RemoteID != ids[0] || found[1].RemoteID != ids[1] || found[2].Exists {
		t.Errorf("%+v", found)
	}
}

func Test_an_empty_question_makes_no_call(t *testing.T) {
	o := start(t)
	obj := o.object("Account")
	before := o.Stats().Total
	found, err := o.Destination.(connector.Reader).ReadBack(t.Context(), obj, []string{"Account_Number__c"}, nil, nil)
	if err != nil || len(found) != 0 || o.Stats().Total != before {
		t.Errorf("%v %v", found, err)
	}
}
