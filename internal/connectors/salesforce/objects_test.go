package salesforce_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/salesforce"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_listing_takes_one_call_and_names_what_can_be_written(t *testing.T) {
	o := start(t)
	if _, err := o.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := o.Stats().Total
	list, err := o.Objects(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, obj := range list {
		names = append(names, obj.Name)
		if obj.Fields != nil {
			t.Errorf("%s has fields", obj.Name)
		}
	}
	if d := cmp.Diff([]string{"User", "Account", "Contact", "Lead", "Opportunity"}, names); d != "" {
		t.Error(d)
	}
	if n := o.Stats().Total - before; n != 1 {
		t.Errorf("%d calls", n)
	}
}

func Test_an_object_that_is_not_there_is_left_out(t *testing.T) {
	o := start(t)
	list, err := o.Objects(t.Context(), []string{"Account", "Nothing__c", "../limits", "Lead"})
	if err != nil || len(list) != 2 || list[0].Name != "Account" || list[1].Name != "Lead" {
		t.Errorf("%v %v", err, list)
	}
}

func Test_fields_are_described_in_the_engines_terms(t *testing.T) {
	o := start(t)
	obj := o.object("Account")
	fields := map[string]connector.Field{}
	for _, f := range obj.Fields {
		fields[f.Name] = f
	}
	writable := func(f connector.Field) connector.Field {
		f.Creatable, f.Updatable, f.Nullable = true, true, true
		return f
	}
	for _, want := range []connector.Field{
		{Name: "Id", Label: "Id", Kind: row.Text, MaxLength: 18, Unique: true, Match: true, Refers: []string{}},
		{Name: "Name", Label: "Name", Kind: row.Text, MaxLength: 255, Creatable: true, Updatable: true, Required: true},
		writable(connector.Field{Name: "Account_Number__c", Label: "Account Number", Kind: row.Text, MaxLength: 40, Unique: true, Match: true, FoldCase: true}),
		writable(connector.Field{Name: "Health_Score__c", Label: "Health Score", Kind: row.Decimal, Precision: 18, Scale: 6, NoNaN: true}),
		writable(connector.Field{Name: "MRR__c", Label: "MRR", Kind: row.Decimal, Precision: 18, Scale: 2, NoNaN: true}),
		writable(connector.Field{Name: "Health_Tier__c", Label: "Health Tier", Kind: row.Text, MaxLength: 255, Choices: []string{"healthy", "watch", "at_risk"}, Restricted: true}),
		writable(connector.Field{Name: "NPS__c", Label: "NPS", Kind: row.Int, Precision: 9}),
		writable(connector.Field{Name: "First_Seen__c", Label: "First Seen", Kind: row.Date}),
		writable(connector.Field{Name: "Last_Seen__c", Label: "Last Seen", Kind: row.Instant}),
		writable(connector.Field{Name: "Renewal_Time__c", Label: "Renewal Time", Kind: row.Time}),
		writable(connector.Field{Name: "ParentId", Label: "ParentId", Kind: row.Text, MaxLength: 18, Refers: []string{"Account"}}),
		{Name: "Is_Customer__c", Label: "Is Customer", Kind: row.Bool, Creatable: true, Updatable: true},
		{Name: "Score_Percent__c", Label: "Score Percent", Kind: row.Decimal, Precision: 18, Scale: 2, NoNaN: true, Nullable: true},
		writable(connector.Field{Name: "Products__c", Label: "Products", Kind: row.Text, MaxLength: 4099, Choices: []string{"core", "plus", "legacy"}}),
	} {
		if d := cmp.Diff(want, fields[want.Name]); d != "" {
			t.Errorf("%s: %s", want.Name, d)
		}
	}
	if d := cmp.Diff([][]string{{"Id"}, {"Account_Number__c"}}, obj.Keys); d != "" {
		t.Errorf("keys: %s", d)
	}
}

func Test_special_types_are_read_only_or_left_out(t *testing.T) {
	o := start(t)
	if err := o.Define(salesforcetest.Object{Name: "Doc__c", Fields: []salesforcetest.Field{
		salesforcetest.Required(salesforcetest.Typed("Body", "base64")), salesforcetest.Typed("Place", "address"), salesforcetest.Typed("Whatever", "brandnew"),
		salesforcetest.Reference("Account__c", "Account__r", "Account"),
	}}); err != nil {
		t.Fatal(err)
	}
	obj := o.object("Doc__c")
	get := func(name string) *connector.Field {
		i := slices.IndexFunc(obj.Fields, func(f connector.Field) bool { return f.Name == name })
		if i < 0 {
			return nil
		}
		return &obj.Fields[i]
	}
	if f := get("Body"); f == nil || f.Creatable || f.Updatable || f.Required {
		t.Errorf("%+v", f)
	}
	if get("Place") != nil {
		t.Error("a compound field is offered")
	}
	if f := get("Whatever"); f == nil || f.Kind != row.Text {
		t.Errorf("%+v", f)
	}
	if got := obj.Ops[connector.OpUpsert].Affinity; got != "Account__c" {
		t.Errorf("affinity %q", got)
	}
}

func Test_operations_declare_their_limits(t *testing.T) {
	o := start(t)
	obj := o.object("Contact")
	for _, op := range []connector.Op{connector.OpUpsert, connector.OpUpdate, connector.OpInsert, connector.OpDelete, connector.OpClear} {
		got, ok := obj.Ops[op]
		if !ok || got.MaxRows != 200 || got.Concurrency != 8 || got.JobAbove != 2000 || got.JobRows != 100_000 || got.JobBytes != 100_000_000 || !got.Partial || got.Affinity != "AccountId" {
			t.Errorf("%s: %+v", op, got)
		}
		if got.Idempotent != (op != connector.OpInsert) {
			t.Errorf("%s: idempotent is %v", op, got.Idempotent)
		}
	}
	d := o.open(o.with("batch_size", "50", "concurrency", "2", "bulk.above", "0", "bulk.max_rows", "10", "bulk.max_bytes", "1MB"))
	list, err := d.Objects(t.Context(), []string{"Contact"})
	if err != nil {
		t.Fatal(err)
	}
	if got := list[0].Ops[connector.OpUpsert]; got.MaxRows != 50 || got.Concurrency != 2 || got.JobAbove != 0 || got.JobRows != 10 || got.JobBytes != 1_000_000 {
		t.Errorf("%+v", got)
	}
}

func Test_the_spec_offers_what_the_connector_does(t *testing.T) {
	c := salesforce.Connector()
	if c.Spec.Type != "salesforce" || c.Spec.APIVersion != "v66.0" || !c.Spec.HTTP || !c.Spec.Sandbox || c.Spec.Stages {
		t.Errorf("%+v", c.Spec)
	}
	s, err := c.Sandbox(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	d, err := c.Open(t.Context(), connector.NewConfig(s.Settings(), nil, map[string]bool{"client_secret": true}), connector.Env{Gate: connector.OpenGate{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := d.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
