package salesforce_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/salesforce"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_upsert_creates_then_updates(t *testing.T) {
	o := start(t)
	first := o.mustWrite(accounts("a1", "a2"))
	if first.Result(0).Created != connector.Yes {
		t.Error("the first upsert did not create")
	}
	l := accounts("a1", "a2")
	l.rows[0][1] = text("Renamed")
	second := o.mustWrite(l)
	if second.Result(0).Created != connector.No || second.Result(0).RemoteID != first.Result(0).RemoteID {
		t.Errorf("the second upsert: %+v after %+v", second.Result(0), first.Result(0))
	}
	if n := len(o.Records("Account")); n != 2 {
		t.Errorf("%d accounts", n)
	}
	if got := o.Record("Account", "Account_Number__c", "a1")["Name"]; got != "Renamed" {
		t.Errorf("name is %v", got)
	}
}

func Test_an_empty_batch_makes_no_call(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts())
	before := o.Stats().Total
	if err := o.Write(t.Context(), to, b, connector.NewOutcomes(0)); err != nil {
		t.Fatal(err)
	}
	if o.Stats().Total != before {
		t.Error("a call was made")
	}
}

func Test_every_kind_arrives_exactly(t *testing.T) {
	o := start(t)
	day := row.DateValue(20_000) // 2024-10-04
	for _, c := range []struct {
		field string
		value row.Value
		want  any
	}{
		{"Health_Score__c", dec("123456789012.123456"), number("123456789012.123456")},
		{"Health_Score__c", row.IntValue(-7), number("-7")},
		{"Health_Score__c", row.FloatValue(0.1), number("0.1")},
		{"MRR__c", dec("0.10"), number("0.10")},
		{"NPS__c", row.IntValue(42), number("42")},
		{"Is_Customer__c", row.BoolValue(true), true},
		{"First_Seen__c", day, "2024-10-04"},
		{"Last_Seen__c", row.InstantValue(1_700_000_000, 123_000_000), "2023-11-14T22:13:20.123Z"},
		{"Renewal_Time__c", row.TimeValue(3_723_000_000_000), "01:02:03.000Z"},
		{"Health_Tier__c", text("watch"), "watch"},
		{"Products__c", row.StringKind(row.Array, `["core","plus"]`), "core;plus"},
		{"Status__c", row.IntValue(12), "12"},
		{"Status__c", row.StringKind(row.UUID, "0b9a6f3e-0000-4000-8000-000000000000"), "0b9a6f3e-0000-4000-8000-000000000000"},
		{"Status__c", row.BoolValue(false), "false"},
		{"Status__c", text("Zoë \"quoted\" \\ 日本 \t\n 👩‍🚀"), "Zoë \"quoted\" \\ 日本 \t\n 👩‍🚀"},
		{"Status__c", text("#N/A"), "#N/A"},
		{"Status__c", text(""), nil},
		{"Description", text(strings.Repeat("é", 32_000)), strings.Repeat("é", 32_000)},
	} {
		t.Run(c.field+" "+c.value.Kind().String(), func(t *testing.T) {
			o.t = t
			o.mustWrite(load{
				object: "Account", op: connector.OpUpsert, match: []string{"Account_Number__c"}, fields: []string{"Name", c.field},
				rows: [][]row.Value{{text("k"), text("N"), c.value}},
			})
			if got := o.Record("Account", "Account_Number__c", "k")[c.field]; got != c.want {
				t.Errorf("got %v (%T), want %v", got, got, c.want)
			}
		})
	}
}

func Test_values_that_do_not_fit_are_refused_before_they_are_sent(t *testing.T) {
	o := start(t)
	for _, c := range []struct {
		field string
		value row.Value
		code  fault.Code
	}{
		{"Health_Score__c", text("high"), fault.ValueType},
		{"Health_Score__c", row.FloatValue(nan()), fault.ValueNotNumber},
		{"NPS__c", dec("1.5"), fault.ValueType},
		{"Is_Customer__c", row.IntValue(1), fault.ValueType},
		{"Is_Customer__c", null(), fault.ValueNull},
		{"Last_Seen__c", row.TimestampValue(1, 0), fault.ValueType},
		{"First_Seen__c", at(1), fault.ValueType},
		{"Status__c", row.BytesValue([]byte{1}), fault.ValueType},
		{"Status__c", row.FloatValue(nan()), fault.ValueNotNumber},
	} {
		t.Run(c.field+" "+c.value.Kind().String(), func(t *testing.T) {
			o.t = t
			l := load{
				object: "Account", op: connector.OpUpsert, match: []string{"Account_Number__c"}, fields: []string{"Name", c.field},
				rows: [][]row.Value{{text("bad"), text("N"), c.value}, {text("good"), text("N"), absent()}},
			}
			out, err := o.write(l)
			if err != nil {
				t.Fatal(err)
			}
			if r := out.Result(0); r.Status != connector.Rejected || r.Code != c.code || r.Field != c.field {
				t.Errorf("the bad row: %+v", r)
			}
			if out.Result(1).Status != connector.Delivered {
				t.Errorf("the good row: %+v", out.Result(1))
			}
		})
	}
}

func nan() float64 { z := 0.0; return z / z }

func Test_a_batch_of_refused_rows_makes_no_call(t *testing.T) {
	o := start(t)
	to, b := o.batch(load{
		object: "Account", op: connector.OpUpsert, match: []string{"Account_Number__c"}, fields: []string{"NPS__c"},
		rows: [][]row.Value{{text("a"), text("x")}},
	})
	before := o.Stats().Total
	out := connector.NewOutcomes(1)
	if err := o.Write(t.Context(), to, b, out); err != nil || out.Result(0).Status != connector.Rejected {
		t.Fatalf("%v %+v", err, out.Result(0))
	}
	if o.Stats().Total != before {
		t.Error("a call was made")
	}
}

func Test_null_clears_and_absent_leaves_alone(t *testing.T) {
	o := start(t)
	l := load{
		object: "Account", op: connector.OpUpsert, match: []string{"Account_Number__c"}, fields: []string{"Name", "Status__c", "Health_Score__c"},
		rows: [][]row.Value{{text("a"), text("N"), text("healthy"), dec("1.5")}},
	}
	o.mustWrite(l)
	l.rows = [][]row.Value{{text("a"), absent(), null(), absent()}}
	o.mustWrite(l)
	rec := o.Record("Account", "Account_Number__c", "a")
	if rec["Status__c"] != nil || rec["Health_Score__c"] != number("1.5") || rec["Name"] != "N" {
		t.Errorf("%v", rec)
	}
}

func Test_digits_behind_the_millisecond_are_left_out_with_a_warning(t *testing.T) {
	o := start(t)
	out := o.mustWrite(load{
		object: "Account", op: connector.OpUpsert, match: []string{"Account_Number__c"}, fields: []string{"Name", "Last_Seen__c"},
		rows: [][]row.Value{{text("a"), text("N"), row.InstantValue(1, 5_000_000)}, {text("b"), text("N"), row.InstantValue(1, 5_000_001)}},
	})
	if out.Result(0).Warnings != nil || len(out.Result(1).Warnings) != 1 || !strings.Contains(out.Result(1).Warnings[0], "Last_Seen__c") {
		t.Errorf("%v and %v", out.Result(0).Warnings, out.Result(1).Warnings)
	}
}

func Test_one_bad_row_does_not_sink_the_rest(t *testing.T) {
	for _, c := range []struct {
		name string
		bad  map[int]bool
	}{
		{"first", map[int]bool{0: true}},
		{"middle", map[int]bool{2: true}},
		{"last", map[int]bool{4: true}},
		{"all", map[int]bool{0: true, 1: true, 2: true, 3: true, 4: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := start(t)
			l := load{object: "Account", op: connector.OpUpsert, match: []string{"Account_Number__c"}, fields: []string{"Name", "Health_Tier__c"}}
			for i := range 5 {
				tier := text("healthy")
				if c.bad[i] {
					tier = text("splendid")
				}
				l.rows = append(l.rows, []row.Value{text(fmt.Sprint("a", i)), text("N"), tier})
			}
			out, err := o.write(l)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				r := out.Result(i)
				switch {
				case c.bad[i] && (r.Status != connector.Rejected || r.Code != "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" || r.Field != "Health_Tier__c"):
					t.Errorf("row %d: %+v", i, r)
				case !c.bad[i] && (r.Status != connector.Delivered || r.RemoteID != o.Record("Account", "Account_Number__c", fmt.Sprint("a", i))["Id"]):
					t.Errorf("row %d: %+v", i, r)
				}
			}
			if got := len(o.Records("Account")); got != 5-len(c.bad) {
				t.Errorf("%d accounts", got)
			}
		})
	}
}

func Test_refusals_of_rows_keep_salesforces_code_and_field(t *testing.T) {
	o := start(t)
	o.Put("Contact", salesforcetest.Record{"LastName": "Twin", "Email": "twin@acme.example"})
	o.Put("Contact", salesforcetest.Record{"LastName": "Twin", "Email": "Twin@acme.example"})
	gone := o.mustWrite(accounts("gone")).Result(0).RemoteID
	o.Remove(gone)
	for _, c := range []struct {
		name   string
		load   load
		code   fault.Code
		field  string
		status connector.Status
	}{
		{"required", load{object: "Account", match: []string{"Account_Number__c"}, fields: []string{"Status__c"}, rows: [][]row.Value{{text("r"), text("x")}}}, "REQUIRED_FIELD_MISSING", "Name", connector.Rejected},
		{"too long", load{object: "Account", match: []string{"Account_Number__c"}, fields: []string{"Name", "Status__c"}, rows: [][]row.Value{{text("r"), text("N"), text(strings.Repeat("x", 81))}}}, "STRING_TOO_LONG", "Status__c", connector.Rejected},
		{"number", load{object: "Lead", match: []string{"Lead_Key__c"}, fields: []string{"LastName", "Company", "Fit_Score__c"}, rows: [][]row.Value{{text("r"), text("N"), text("C"), dec("1234.5")}}}, "NUMBER_OUTSIDE_VALID_RANGE", "Fit_Score__c", connector.Rejected},
		{"e-mail", load{object: "Contact", match: []string{"Customer_Id__c"}, fields: []string{"LastName", "Email"}, rows: [][]row.Value{{text("r"), text("N"), text("nobody")}}}, "INVALID_EMAIL_ADDRESS", "Email", connector.Rejected},
		{"reference form", load{object: "Contact", match: []string{"Customer_Id__c"}, fields: []string{"LastName", "AccountId"}, rows: [][]row.Value{{text("r"), text("N"), text("nobody")}}}, "MALFORMED_ID", "AccountId", connector.Rejected},
		{"reference gone", load{object: "Contact", match: []string{"Customer_Id__c"}, fields: []string{"LastName", "AccountId"}, rows: [][]row.Value{{text("r"), text("N"), text(gone)}}}, "ENTITY_IS_DELETED", "AccountId", connector.Rejected},
		{"several records", load{object: "Contact", match: []string{"Email"}, fields: []string{"LastName"}, rows: [][]row.Value{{text("twin@acme.example"), text("N")}}}, "DUPLICATE_EXTERNAL_ID", "", connector.Rejected},
		{"read-only", load{object: "Account", match: []string{"Account_Number__c"}, fields: []string{"Name", "Score_Percent__c"}, rows: [][]row.Value{{text("r"), text("N"), dec("1")}}}, "INVALID_FIELD_FOR_INSERT_UPDATE", "Score_Percent__c", connector.Rejected},
	} {
		t.Run(c.name, func(t *testing.T) {
			o.t = t
			c.load.op = connector.OpUpsert
			out, err := o.write(c.load)
			if err != nil {
				t.Fatal(err)
			}
			if r := out.Result(0); r.Status != c.status || r.Code != c.code || r.Field != c.field || r.Message == "" {
				t.Errorf("%+v", r)
			}
		})
	}
}

func Test_one_external_id_twice_in_a_request_is_refused_for_both(t *testing.T) {
	o := start(t)
	out, err := o.write(accounts("a", "b", "A")) // not case-sensitive
	if err != nil {
		t.Fatal(err)
	}
	if got := statuses(out); got != "rejected, delivered, rejected" || out.Result(0).Code != "DUPLICATE_VALUE" {
		t.Errorf("%s %+v", got, out.Result(0))
	}
}

func Test_a_locked_row_is_worth_another_try(t *testing.T) {
	for _, wrapped := range []bool{false, true} {
		o := start(t)
		o.InjectRow(salesforcetest.LockRow("Account", "Account_Number__c", "b", 1, wrapped))
		out, err := o.write(accounts("a", "b", "c"))
		if err != nil {
			t.Fatal(err)
		}
		if got := statuses(out); got != "delivered, retry, delivered" {
			t.Errorf("wrapped %v: %s", wrapped, got)
		}
		if got := statuses(o.mustWrite(accounts("b"))); got != "delivered" {
			t.Errorf("the second try: %s", got)
		}
	}
}

// Salesforce looks for the record before it makes one, and not under a lock.
func Test_a_record_somebody_else_made_meanwhile_is_worth_another_try(t *testing.T) {
	o := start(t)
	o.InjectRow(salesforcetest.RowFault{
		Object: "Account", Field: "Account_Number__c", Equals: "a", Code: "DUPLICATE_VALUE",
		Message: "duplicate value found: Account_Number__c duplicates value on record with id: 0015g00000AbCdE",
	})
	o.InjectRow(salesforcetest.RowFault{
		Object: "Account", Field: "Account_Number__c", Equals: "b", Code: "DUPLICATE_VALUE",
		Message: "duplicate value found: Tax_Id__c duplicates value on record with id: 0015g00000AbCdE",
	})
	out, err := o.write(accounts("a", "b", "c"))
	if got := statuses(out); err != nil || got != "retry, rejected, delivered" {
		t.Errorf("%s, %v", got, err)
	}
}

func Test_an_answer_of_another_length_proves_nothing(t *testing.T) {
	for _, f := range []salesforcetest.Fault{{DropResults: 1}, {ExtraResults: 1}} {
		o := start(t)
		o.object("Account")
		f.Match = "composite/sobjects"
		o.Inject(f)
		out, err := o.write(accounts("a", "b", "c"))
		wantFault(t, err, fault.DestAnswer, fault.ClassTransient, fault.LandedMaybe)
		if got := statuses(out); got != "unknown, unknown, unknown" {
			t.Errorf("%+v: %s", f, got)
		}
		if out.Extra() != f.ExtraResults {
			t.Errorf("%d answers belong to no row", out.Extra())
		}
	}
}

func Test_an_id_that_is_none_proves_nothing(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a"))
	for _, id := range []string{"", "1", "001 or anything else", "'; DROP TABLE accounts; --"} {
		o.Inject(salesforcetest.Fault{Match: "composite", Status: 200, Body: `[{"success":true,"created":true,"errors":[],"id":"` + id + `"}]`})
		out := connector.NewOutcomes(1)
		if err := o.Write(t.Context(), to, b, out); err != nil || out.Result(0).Status != connector.Unknown {
			t.Errorf("%q: %+v, %v", id, out.Result(0), err)
		}
	}
}

func Test_a_result_that_contradicts_itself_leaves_the_row_unknown(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a", "b", "c", "d"))
	o.Inject(salesforcetest.Fault{Match: "composite", Status: 200, Body: `[{"success":true,"created":true,"errors":[]},{"id":"0015g0000000001AAA","success":true,"errors":[{"statusCode":"X","message":"y"}]},{"success":false,"errors":[]},{}]`})
	out := connector.NewOutcomes(4)
	if err := o.Write(t.Context(), to, b, out); err != nil {
		t.Fatal(err)
	}
	if got := statuses(out); got != "unknown, unknown, unknown, unknown" {
		t.Error(got)
	}
}

func Test_requests_carry_the_headers_that_are_set(t *testing.T) {
	o := start(t)
	o.Destination = o.open(o.with("assignment_rules", "false", "allow_duplicates", "true"))
	o.mustWrite(accounts("a"))
	calls := o.Stats().Log
	if c := calls[len(calls)-1]; c.AutoAssign != "FALSE" || c.DuplicateRule != "allowSave=true" {
		t.Errorf("%+v", c)
	}
}

func Test_what_was_sent_and_answered_is_kept_for_people(t *testing.T) {
	o := start(t)
	out := o.mustWrite(accounts("a"))
	if !strings.HasPrefix(out.Request, "PATCH "+o.URL()+"/services/data/v66.0/composite/sobjects/Account/Account_Number__c {") || !strings.HasPrefix(out.Response, "200 [{") {
		t.Errorf("%q\n%q", out.Request, out.Response)
	}
}

func Test_the_size_of_a_row_is_never_told_too_small(t *testing.T) {
	o := start(t)
	s, ok := o.Destination.(connector.Sizer)
	if !ok {
		t.Fatal("no Sizer")
	}
	values := []row.Value{
		text("N \"q\" \\ \n\x01 日本"), row.IntValue(-12), dec("1.500"), row.FloatValue(0.25), row.BoolValue(true), null(), absent(), at(1_700_000_000),
		row.DateValue(1), row.TimeValue(1), row.StringKind(row.JSON, `{"a":"b\n"}`), row.StringKind(row.Array, `["core","plus"]`), row.StringKind(row.UUID, "0b9a6f3e-0000-4000-8000-000000000000"),
	}
	fields := []string{"Name", "NPS__c", "MRR__c", "Health_Score__c", "Is_Customer__c", "Status__c", "Source__c", "Last_Seen__c", "First_Seen__c", "Renewal_Time__c", "Description", "Products__c", "Website"}
	for _, op := range []connector.Op{connector.OpUpsert, connector.OpUpdate} {
		var rows [][]row.Value
		var ids []string
		for i := range 20 {
			rows, ids = append(rows, append([]row.Value{text(fmt.Sprint("k", i))}, values...)), append(ids, "0015g0000000001AAA")
		}
		to, b := o.batch(load{object: "Account", op: op, match: []string{"Account_Number__c"}, fields: fields, rows: rows, ids: ids})
		told := 0
		for i := range b.Len() {
			told += s.RowBytes(to, b, i)
		}
		sent := salesforce.EncodedBytes(&to, b)
		if told < sent || told > sent*11/10 {
			t.Errorf("%s: %d bytes told, %d sent", op, told, sent)
		}
	}
}
