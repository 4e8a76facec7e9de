package salesforcetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Object is one object type: its name, label, the three characters its ids begin with, and its fields.
type Object struct {
	Name      string  `json:"name"`
	Label     string  `json:"label"`
	KeyPrefix string  `json:"keyPrefix"`
	Fields    []Field `json:"fields"`
}

// Field is one field with the properties of describe
// (https://developer.salesforce.com/docs/platform/object-reference/guide/access-for-fields.html).
type Field struct {
	Name               string   `json:"name"`
	Label              string   `json:"label"`
	Type               string   `json:"type"`
	Createable         bool     `json:"createable"`
	Updateable         bool     `json:"updateable"`
	Nillable           bool     `json:"nillable"`
	DefaultedOnCreate  bool     `json:"defaultedOnCreate"`
	ExternalID         bool     `json:"externalId"`
	IDLookup           bool     `json:"idLookup"`
	Unique             bool     `json:"unique"`
	CaseSensitive      bool     `json:"caseSensitive"`
	Length             int      `json:"length"`
	Precision          int      `json:"precision"`
	Scale              int      `json:"scale"`
	Digits             int      `json:"digits"`
	PicklistValues     []Choice `json:"picklistValues"`
	RestrictedPicklist bool     `json:"restrictedPicklist"`
	ReferenceTo        []string `json:"referenceTo"`
	RelationshipName   string   `json:"relationshipName,omitempty"`
	Calculated         bool     `json:"calculated"`
}

// Choice is one value of a picklist.
type Choice struct {
	Value  string `json:"value"`
	Label  string `json:"label"`
	Active bool   `json:"active"`
}

// UnmarshalJSON reads a field; without a word about it a field can be created, updated and emptied.
func (f *Field) UnmarshalJSON(b []byte) error {
	type plain Field
	p := plain{Createable: true, Updateable: true, Nillable: true}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return err
	}
	*f = Field(p)
	return nil
}

func (f *Field) usableAsKey() bool { return f.ExternalID || f.IDLookup }

// required reports a field that must have a value when a record is created.
func (f *Field) required() bool { return f.Createable && !f.Nillable && !f.DefaultedOnCreate }

func (f *Field) numeric() bool {
	switch f.Type {
	case "double", "currency", "percent", "int", "long":
		return true
	}
	return false
}

func (f *Field) choice(v string) bool {
	for _, c := range f.PicklistValues {
		if c.Active && c.Value == v {
			return true
		}
	}
	return false
}

// Text makes a writable text field.
func Text(name string, length int) Field {
	return writable(Field{Name: name, Type: "string", Length: length})
}

// Number makes a writable number field with this many digits in all and behind the point.
func Number(name string, precision, scale int) Field {
	return writable(Field{Name: name, Type: "double", Precision: precision, Scale: scale})
}

// Currency makes a writable currency field with two digits behind the point.
func Currency(name string) Field {
	return writable(Field{Name: name, Type: "currency", Precision: 18, Scale: 2})
}

// Int makes a writable whole-number field.
func Int(name string) Field { return writable(Field{Name: name, Type: "int", Digits: 9}) }

// Typed makes a writable field of a type without further properties: boolean, date, datetime, time, email, phone, url, textarea.
func Typed(name, kind string) Field {
	f := writable(Field{Name: name, Type: kind})
	switch kind {
	case "boolean":
		f.Nillable, f.DefaultedOnCreate = false, true
	case "email":
		f.Length = 80
	case "phone":
		f.Length = 40
	case "url":
		f.Length = 255
	case "textarea":
		f.Length = 32_000
	}
	return f
}

// ExternalID makes a writable, unique external id of text, compared without case unless caseSensitive.
func ExternalID(name string, length int, caseSensitive bool) Field {
	f := Text(name, length)
	f.ExternalID, f.IDLookup, f.Unique, f.CaseSensitive = true, true, true, caseSensitive
	return f
}

// Picklist makes a writable picklist; restricted ones take the choices only.
func Picklist(name string, restricted bool, choices ...string) Field {
	f := writable(Field{Name: name, Type: "picklist", Length: 255, RestrictedPicklist: restricted})
	for _, c := range choices {
		f.PicklistValues = append(f.PicklistValues, Choice{Value: c, Label: c, Active: true})
	}
	return f
}

// Reference makes a writable reference to records of an object; relationship is the name records are reached by in JSON.
func Reference(name, relationship string, to ...string) Field {
	return writable(Field{Name: name, Type: "reference", Length: 18, ReferenceTo: to, RelationshipName: relationship})
}

// Required gives the field without the right to be empty.
func Required(f Field) Field { f.Nillable = false; return f }

// ReadOnly gives the field as a formula: seen, never written.
func ReadOnly(f Field) Field { f.Createable, f.Updateable, f.Calculated = false, false, true; return f }

// compound makes a field that shows several others and is written by them alone
// (https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/compound_fields.htm).
func compound(name, kind string) Field { return Field{Name: name, Type: kind, Nillable: true} }

func writable(f Field) Field {
	f.Createable, f.Updateable, f.Nillable = true, true, true
	return f
}

// systemFields are on every object and written by Salesforce alone.
func systemFields() []Field {
	id := Field{Name: "Id", Type: "id", Length: 18, IDLookup: true, DefaultedOnCreate: true}
	at := func(name string) Field { return Field{Name: name, Type: "datetime", DefaultedOnCreate: true} }
	owner := Reference("OwnerId", "Owner", "User")
	owner.Nillable, owner.DefaultedOnCreate = false, true
	deleted := Field{Name: "IsDeleted", Type: "boolean", DefaultedOnCreate: true}
	return []Field{id, deleted, at("CreatedDate"), at("LastModifiedDate"), at("SystemModstamp"), owner}
}

// standardObjects is a small org: the standard objects reverse ETL writes, with custom fields as a customer would add them.
func standardObjects() []Object {
	idLookup := func(f Field) Field { f.IDLookup = true; return f }
	return []Object{
		{Name: "User", Label: "User", KeyPrefix: "005", Fields: []Field{
			Required(idLookup(Text("Username", 80))), Required(idLookup(Typed("Email", "email"))), Required(Text("LastName", 80)),
			Text("FirstName", 40), Typed("IsActive", "boolean"), ExternalID("Employee_Number__c", 40, false),
		}},
		{Name: "Account", Label: "Account", KeyPrefix: "001", Fields: []Field{
			Required(Text("Name", 255)), Reference("ParentId", "Parent", "Account"), Typed("Phone", "phone"), Typed("Website", "url"),
			Picklist("Industry", false, "Agriculture", "Banking", "Education", "Technology"), Text("BillingCountry", 80),
			Currency("AnnualRevenue"), Int("NumberOfEmployees"), Typed("Description", "textarea"),
			ExternalID("Account_Number__c", 40, false), Number("Health_Score__c", 18, 6),
			Picklist("Health_Tier__c", true, "healthy", "watch", "at_risk"), Text("Status__c", 80), Text("Source__c", 80),
			Typed("First_Seen__c", "date"), Currency("MRR__c"), Typed("Last_Seen__c", "datetime"), Int("NPS__c"),
			Typed("Is_Customer__c", "boolean"), Typed("Renewal_Time__c", "time"),
			writable(Field{
				Name: "Products__c", Type: "multipicklist", Length: 4099, RestrictedPicklist: true,
				PicklistValues: []Choice{{"core", "core", true}, {"plus", "plus", true}, {"legacy", "legacy", true}},
			}),
			ReadOnly(Number("Score_Percent__c", 18, 2)), Text("BillingStreet", 255), Text("BillingCity", 40), compound("BillingAddress", "address"),
		}},
		{Name: "Contact", Label: "Contact", KeyPrefix: "003", Fields: []Field{
			Required(Text("LastName", 80)), Text("FirstName", 40), compound("Name", "string"), idLookup(Typed("Email", "email")), Typed("Phone", "phone"),
			Text("Title", 128), Reference("AccountId", "Account", "Account"), ExternalID("Customer_Id__c", 40, false),
			Number("Churn_Risk__c", 18, 6), Picklist("Churn_Tier__c", true, "low", "medium", "high"),
			Picklist("Contract__c", false, "Month-to-month", "One year", "Two year"), Int("Tenure__c"),
			Currency("Monthly_Charges__c"), Currency("Total_Charges__c"), Text("Source__c", 80), Typed("Has_Internet__c", "boolean"),
			Text("Payment_Method__c", 80), Typed("Last_Scored__c", "datetime"),
		}},
		{Name: "Lead", Label: "Lead", KeyPrefix: "00Q", Fields: []Field{
			Required(Text("LastName", 80)), Required(Text("Company", 255)), Text("FirstName", 40), idLookup(Typed("Email", "email")),
			Picklist("Status", false, "Open", "Working", "Closed"), ExternalID("Lead_Key__c", 40, true), Number("Fit_Score__c", 5, 2),
		}},
		{Name: "Opportunity", Label: "Opportunity", KeyPrefix: "006", Fields: []Field{
			Required(Text("Name", 120)), Required(Picklist("StageName", false, "Prospecting", "Closed Won", "Closed Lost")),
			Required(Typed("CloseDate", "date")), Currency("Amount"), writable(Field{Name: "Probability", Type: "percent", Precision: 3}),
			Reference("AccountId", "Account", "Account"), ExternalID("Deal_Key__c", 40, false),
			writable(Field{Name: "Deal_No__c", Type: "double", Precision: 18, ExternalID: true, IDLookup: true}),
		}},
	}
}

// normalise fills in what a caller left out and adds the system fields.
func (o Object) normalise(n int) (Object, error) {
	if o.Name == "" {
		return o, fmt.Errorf("an object needs a name")
	}
	if o.Label == "" {
		o.Label = strings.TrimSuffix(strings.ReplaceAll(o.Name, "_", " "), "  c")
	}
	if o.KeyPrefix == "" {
		o.KeyPrefix = fmt.Sprintf("a%02d", n%100)
	}
	if len(o.KeyPrefix) != 3 {
		return o, fmt.Errorf("object %s: keyPrefix %q has not three characters", o.Name, o.KeyPrefix)
	}
	have := map[string]bool{}
	fields := make([]Field, 0, len(o.Fields)+6)
	for _, f := range append(systemFields(), o.Fields...) {
		key := strings.ToLower(f.Name)
		if f.Name == "" || f.Type == "" {
			return o, fmt.Errorf("object %s: a field needs name and type", o.Name)
		}
		if have[key] {
			continue
		}
		have[key] = true
		if f.Label == "" {
			f.Label = strings.ReplaceAll(strings.TrimSuffix(f.Name, "__c"), "_", " ")
		}
		if f.PicklistValues == nil {
			f.PicklistValues = []Choice{}
		}
		if f.ReferenceTo == nil {
			f.ReferenceTo = []string{}
		}
		fields = append(fields, f)
	}
	o.Fields = fields
	return o, nil
}

// describe is the answer of GET /sobjects/X/describe, shortened to what is documented of fields.
func (o *Object) describe() ([]byte, error) {
	return json.Marshal(map[string]any{
		"name": o.Name, "label": o.Label, "keyPrefix": o.KeyPrefix, "createable": true, "updateable": true, "deletable": true,
		"queryable": true, "custom": strings.HasSuffix(o.Name, "__c"), "fields": o.Fields,
	})
}
