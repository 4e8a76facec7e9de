package govern_test

import (
	"testing"

	"github.com/upwelldata/upwell/internal/govern"
	"github.com/upwelldata/upwell/internal/project"
	"github.com/upwelldata/upwell/internal/row"
)

// An undo writes values an older mapping sent: what counts is the column they were made of, with its tags of then and of today.
func Test_a_value_of_an_older_mapping_passes_no_policy_that_keeps_its_column(t *testing.T) {
	deny := project.Policy{Effect: "deny", Columns: []string{"email"}}
	tagged := project.Policy{Effect: "mask", ColumnTags: []string{"pii"}}
	elsewhere, other, model := deny, deny, deny
	elsewhere.Destinations, other.Fields, model.Models = []string{"hook"}, []string{"Phone"}, []string{"n"}
	raw := project.Field{Field: "Email", Column: "email"}
	masked := project.Field{Field: "Email", Column: "email_masked"}
	computed := project.Field{Field: "Email", CEL: `row.email + "!"`}
	fixed := project.Field{Field: "Email", Value: new(row.Value)}
	for _, c := range []struct {
		name       string
		pol        project.Policy
		then, now  *project.Field // how Email was and is mapped; nil = not at all
		tags       []string       // of email in the project of then
		undescribe bool           // the project of now speaks of no columns
		kept       bool
	}{
		{name: "raw, and now masked", pol: deny, then: &raw, now: &masked, kept: true},
		{name: "raw, and now not mapped", pol: deny, then: &raw, kept: true},
		{name: "in an expression", pol: deny, then: &computed, now: &masked, kept: true},
		{name: "masked, and now not mapped", pol: deny, then: &masked},
		{name: "a constant", pol: project.Policy{Effect: "deny"}, then: &fixed, now: &masked},
		{name: "tagged today", pol: tagged, then: &raw, now: &masked, kept: true},
		{name: "tagged then", pol: tagged, then: &raw, now: &masked, tags: []string{"pii"}, undescribe: true, kept: true},
		{name: "tags not known", pol: tagged, then: &raw, now: &masked, undescribe: true, kept: true},
		{name: "mapped today without tags", pol: tagged, then: &masked, now: &masked, undescribe: true},
		{name: "a policy about another destination", pol: elsewhere, then: &raw, now: &masked},
		{name: "a policy about another field", pol: other, then: &raw, now: &masked},
		{name: "a policy about another model", pol: model, then: &raw, now: &masked},
		{name: "what may pass", pol: project.Policy{Effect: "allow"}, then: &raw, now: &masked},
	} {
		mapped := func(f *project.Field) (*project.Project, *project.Sync) {
			if f == nil {
				return governed(c.pol, byID)
			}
			return governed(c.pol, byID, *f)
		}
		p, s := mapped(c.then)
		p.Models["m"].Columns["email"] = project.Column{Tags: c.tags}
		made := govern.MakingOf(p, s)
		p, s = mapped(c.now)
		if c.undescribe {
			p.Models["m"].Columns = nil
		}
		if got := govern.Keeps(p, s, "Email", []*govern.Making{made}); (got != nil) != c.kept {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func Test_a_value_of_unknown_making_passes_no_policy_of_its_destination(t *testing.T) {
	p, s := governed(project.Policy{Effect: "deny", Columns: []string{"email"}}, byID, email)
	if got := govern.Keeps(p, s, "Phone", []*govern.Making{nil}); got == nil || got.Where == nil && got.Fix == "" {
		t.Errorf("%v", got)
	}
	if !govern.Restricted(p, s) {
		t.Error("not restricted")
	}
	p.Policies[0].Destinations = []string{"hook"}
	if govern.Restricted(p, s) || govern.Keeps(p, s, "Phone", []*govern.Making{nil}) != nil {
		t.Error("restricted by a policy about another destination")
	}
}
