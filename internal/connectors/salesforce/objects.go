package salesforce

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connector/httpkit"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

const (
	// maxCollection is how many records a collection holds
	// (https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-upsert.html).
	maxCollection = 200
	// maxJobBytes is one job's upload: 150 MB after base64 encoding, so at most 100 MB raw
	// (https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_bulk_v2/datafiles_understanding_bulk2_ingest.htm).
	maxJobBytes = 100_000_000
	// maxRowBytes: a record has at most 400,000 characters, of up to four bytes (same page).
	maxRowBytes = 1_600_000
	// maxBodyBytes keeps a collection's body well below the 50 MB of a REST request.
	maxBodyBytes = 20_000_000
	// maxDescribe is an answer of describe: objects have up to 800 fields, each with its picklist values.
	maxDescribe = 64 << 20
)

// nameForm is an API name: what is not one goes into no address and no query.
var nameForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// sobject is what describe tells of an object
// (https://developer.salesforce.com/docs/platform/object-reference/guide/access-for-fields.html).
type sobject struct {
	Name       string   `json:"name"`
	Label      string   `json:"label"`
	Createable bool     `json:"createable"`
	Updateable bool     `json:"updateable"`
	Deletable  bool     `json:"deletable"`
	Queryable  bool     `json:"queryable"`
	Fields     []sfield `json:"fields"`
}

type sfield struct {
	Name               string `json:"name"`
	Label              string `json:"label"`
	Type               string `json:"type"`
	Createable         bool   `json:"createable"`
	Updateable         bool   `json:"updateable"`
	Nillable           bool   `json:"nillable"`
	DefaultedOnCreate  bool   `json:"defaultedOnCreate"`
	ExternalID         bool   `json:"externalId"`
	IDLookup           bool   `json:"idLookup"`
	Unique             bool   `json:"unique"`
	CaseSensitive      bool   `json:"caseSensitive"`
	Length             int    `json:"length"`
	Precision          int    `json:"precision"`
	Scale              int    `json:"scale"`
	Digits             int    `json:"digits"`
	RestrictedPicklist bool   `json:"restrictedPicklist"`
	Calculated         bool   `json:"calculated"`
	PicklistValues     []struct {
		Value  string `json:"value"`
		Active bool   `json:"active"`
	} `json:"picklistValues"`
	ReferenceTo []string `json:"referenceTo"`
}

// Objects describes the objects named, one call each; without names it lists the objects that can be written, without their
// fields, in one call.
func (d *Destination) Objects(ctx context.Context, names []string) ([]connector.Object, error) {
	if names == nil {
		return d.list(ctx)
	}
	var out []connector.Object
	for _, name := range names {
		if !nameForm.MatchString(name) {
			continue
		}
		resp, err := d.do(ctx, httpkit.Request{Path: d.data + "/sobjects/" + url.PathEscape(name) + "/describe", MaxResponse: maxDescribe})
		if fault.Is(err, fault.DestObjectMissing) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var s sobject
		if err := json.Unmarshal(resp.Body, &s); err != nil || s.Name == "" {
			return nil, fault.New(fault.DestAnswer, "%s: the description of %s cannot be read", resp.Call, name).NotLanded()
		}
		out = append(out, d.object(&s))
	}
	return out, nil
}

func (d *Destination) list(ctx context.Context) ([]connector.Object, error) {
	resp, err := d.do(ctx, httpkit.Request{Path: d.data + "/sobjects", MaxResponse: maxDescribe})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Objects []struct {
			sobject
			Deprecated bool `json:"deprecatedAndHidden"`
		} `json:"sobjects"`
	}
	if err := d.client.JSON(resp, &answer); err != nil {
		return nil, err
	}
	var out []connector.Object
	for i := range answer.Objects {
		if s := &answer.Objects[i]; !s.Deprecated && (s.Createable || s.Updateable) {
			out = append(out, d.object(&s.sobject))
		}
	}
	return out, nil
}

// object turns a description into what the engine plans with.
func (d *Destination) object(s *sobject) connector.Object {
	o := connector.Object{
		Name: s.Name, Label: s.Label, Kind: connector.KindRecord, CanMove: s.Updateable,
		NeedsRemoteID: []connector.Op{connector.OpUpdate, connector.OpDelete, connector.OpClear},
		Ops:           map[connector.Op]connector.Operation{},
	}
	affinity := ""
	for i := range s.Fields {
		f := &s.Fields[i]
		field, ok := f.field()
		if !ok {
			continue
		}
		o.Fields = append(o.Fields, field)
		if field.Match {
			o.Keys = append(o.Keys, []string{f.Name})
		}
		if affinity == "" && f.parent(s.Name) {
			affinity = f.Name
		}
	}
	op := connector.Operation{
		MaxRows: d.tuning.batch, MaxBytes: maxBodyBytes, MaxRowBytes: maxRowBytes, Concurrency: d.tuning.concurrency,
		Idempotent: true, Partial: true, Affinity: affinity,
		JobAbove: d.tuning.above, JobRows: d.tuning.jobRows, JobBytes: d.tuning.jobBytes,
	}
	insert := op
	insert.Idempotent = false // Salesforce has no idempotency keys: a lost answer would make a second record
	if s.Createable {
		o.Ops[connector.OpInsert] = insert
	}
	if s.Createable && s.Updateable {
		o.Ops[connector.OpUpsert] = op
	}
	if s.Updateable {
		o.Ops[connector.OpUpdate], o.Ops[connector.OpClear] = op, op
	}
	if s.Deletable {
		o.Ops[connector.OpDelete] = op
	}
	if s.Queryable {
		o.ReadBatch = maxCollection
	}
	return o
}

// parent reports a reference whose record is locked while its children are written: rows with the same parent belong together
// (https://developer.salesforce.com/docs/atlas.en-us.242.0.api_asynch.meta/api_asynch/datafiles_organize_data.htm).
func (f *sfield) parent(self string) bool {
	if f.Type != "reference" || !f.Createable || len(f.ReferenceTo) != 1 {
		return false
	}
	switch f.ReferenceTo[0] {
	case self, "User", "Group", "RecordType", "BusinessHours", "Profile":
		return false
	}
	return true
}

// field gives a field as the engine sees it; false for compound fields (address, location), which are written by their parts.
func (f *sfield) field() (connector.Field, bool) {
	out := connector.Field{
		Name: f.Name, Label: f.Label, Creatable: f.Createable && !f.Calculated, Updatable: f.Updateable && !f.Calculated,
		Nullable: f.Nillable, Required: f.Createable && !f.Nillable && !f.DefaultedOnCreate, Unique: f.Unique,
	}
	switch f.Type {
	case "double", "currency", "percent":
		out.Kind, out.Precision, out.Scale, out.NoNaN = row.Decimal, f.Precision, f.Scale, true
	case "int", "long":
		out.Kind, out.Precision = row.Int, f.Digits
	case "boolean":
		out.Kind, out.Nullable = row.Bool, false
	case "date":
		out.Kind = row.Date
	case "datetime":
		out.Kind = row.Instant
	case "time":
		out.Kind = row.Time
	case "base64": // file contents need a request of another form
		out.Kind, out.Creatable, out.Updatable, out.Required = row.Bytes, false, false, false
	case "id", "reference":
		out.Kind, out.MaxLength, out.Refers = row.Text, 18, f.ReferenceTo
	case "picklist", "multipicklist", "combobox":
		out.Kind, out.MaxLength, out.Restricted = row.Text, f.Length, f.RestrictedPicklist
		for _, v := range f.PicklistValues {
			if v.Active {
				out.Choices = append(out.Choices, v.Value)
			}
		}
		if f.Type == "multipicklist" { // "a;b" is no single choice: Salesforce checks the parts
			out.Restricted = false
		}
	case "address", "location", "complexvalue", "anyType", "json":
		return out, false
	default: // string, textarea, email, phone, url, encryptedstring, and what is still to come
		out.Kind, out.MaxLength = row.Text, f.Length
	}
	if f.Type == "id" {
		out.Match, out.Unique = true, true
	} else if f.ExternalID || f.IDLookup {
		out.Match = true
		// Texts are compared without case unless the field says otherwise. Nothing says that blanks are ignored
		// (https://developer.salesforce.com/docs/atlas.en-us.264.0.api_asynch.meta/api_asynch/bulk_api_2_0_upsert.htm).
		out.FoldCase = out.Kind == row.Text && !f.CaseSensitive
	}
	return out, true
}

// fieldOf finds a field of an object by name.
func fieldOf(o *connector.Object, name string) *connector.Field {
	for i := range o.Fields {
		if o.Fields[i].Name == name {
			return &o.Fields[i]
		}
	}
	return nil
}
