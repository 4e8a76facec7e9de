package govern_test

import (
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/govern"
	"github.com/upwelldata/upwell/internal/project"
)

// judged gives the faults of a policy over a sync that matches and maps as given.
func judged(pol project.Policy, match []project.MatchField, fields ...project.Field) fault.List {
	p, s := governed(pol, match, fields...)
	return govern.Deny(p, s)
}

func governed(pol project.Policy, match []project.MatchField, fields ...project.Field) (*project.Project, *project.Sync) {
	pol.Name = "rule"
	p := &project.Project{
		Destinations: map[string]*project.Connection{"crm": {Name: "crm", Type: "file", Tags: []string{"marketing"}}},
		Models: map[string]*project.Model{"m": {
			Name: "m", Key: []string{"id"}, Columns: map[string]project.Column{"email": {Tags: []string{"pii"}}},
		}},
		Policies: []*project.Policy{&pol},
	}
	return p, &project.Sync{Name: "s", Model: "m", Destination: "crm", Object: "Account", Match: match, Fields: fields}
}

var (
	byID  = []project.MatchField{{Field: "Id", Column: "id"}}
	email = project.Field{Field: "Email", Column: "email"}
)

func Test_a_denied_column_is_found_wherever_it_leaves(t *testing.T) {
	deny := func(cols ...string) project.Policy { return project.Policy{Effect: "deny", Columns: cols} }
	for name, c := range map[string]struct {
		pol    project.Policy
		match  []project.MatchField
		fields []project.Field
		want   string
	}{
		"as a field":                       {deny("email"), byID, []project.Field{email}, "crm.Email"},
		"by its tag":                       {project.Policy{Effect: "deny", ColumnTags: []string{"pii"}}, byID, []project.Field{email}, "crm.Email"},
		"in an expression":                 {deny("email"), byID, []project.Field{{Field: "X", CEL: `"<" + row.email + ">"`}}, "crm.X"},
		"in an expression, by its index":   {deny("email"), byID, []project.Field{{Field: "X", CEL: `row["email"]`}}, "crm.X"},
		"in an expression over everything": {deny("email"), byID, []project.Field{{Field: "X", CEL: `row.map(k, row[k])[0]`}}, "crm.X"},
		"as what a lookup looks for":       {deny("email"), byID, []project.Field{{Field: "X", Lookup: &project.Lookup{By: byEmail}}}, "crm.X"},
		"as the match":                     {deny("email"), byEmail, nil, "crm.Email"},
		"as the key of a sync that says nothing of a match": {deny("id"), nil, nil, "crm.id"},
		"to a destination of the tag":                       {project.Policy{Effect: "deny", DestTags: []string{"marketing"}}, nil, nil, "crm.id"},
	} {
		t.Run(name, func(t *testing.T) {
			got := judged(c.pol, c.match, c.fields...)
			if len(got) != 1 || got[0].Code != fault.PolicyDenied || !strings.Contains(got[0].Message, c.want) {
				t.Errorf("got %v, want one denial of %s", got, c.want)
			}
		})
	}
}

var byEmail = []project.MatchField{{Field: "Email", Column: "email"}}

func Test_a_policy_holds_nothing_it_is_not_about(t *testing.T) {
	for name, pol := range map[string]project.Policy{
		"another column":      {Effect: "deny", Columns: []string{"score"}},
		"another destination": {Effect: "deny", Columns: []string{"email"}, Destinations: []string{"hook"}},
		"another tag":         {Effect: "deny", Columns: []string{"email"}, DestTags: []string{"support"}},
		"another object":      {Effect: "deny", Columns: []string{"email"}, Objects: []string{"Lead"}},
		"another field":       {Effect: "deny", Columns: []string{"email"}, Fields: []string{"Phone"}},
		"another model":       {Effect: "deny", Models: []string{"n"}},
		"what may pass":       {Effect: "allow", Columns: []string{"email"}},
	} {
		if got := judged(pol, byID, email); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What is not carried out must not look carried out: nothing leaves, and the message says which rule and why.
func Test_an_effect_that_cannot_be_carried_out_holds_the_sync(t *testing.T) {
	for _, c := range []struct{ effect, when, says string }{
		{"mask", "", "cannot mask it"},
		{"hash", "", "cannot hash it"},
		{"require_approval", "", "cannot ask for approval"},
		{"mask", "true", "cannot mask it or judge `when`"},
		{"deny", "false", "cannot judge `when`"},
		{"allow", "true", "cannot judge `when`"},
	} {
		got := judged(project.Policy{Effect: c.effect, When: c.when, Columns: []string{"email"}}, byID, email)
		if len(got) != 1 || got[0].Code != fault.PolicyDenied || !strings.Contains(got[0].Message, c.says) || !strings.Contains(got[0].Message, "nothing is sent") {
			t.Errorf("%s when %q: %v", c.effect, c.when, got)
		}
	}
}
