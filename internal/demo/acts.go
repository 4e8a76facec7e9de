package demo

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/fault"
)

// isWrite tells a request that could change records from reads and from logging in. The four steps of a bulk job count, too.
func isWrite(route string) bool {
	return !strings.HasPrefix(route, "GET ") && !strings.Contains(route, "oauth2/token")
}

// generate writes the project and its warehouse.
func (s *show) generate(ctx context.Context) error {
	begun := time.Now()
	if err := writeProject(s.Dir, s.product.file, "warehouse-"+s.result.Warehouse+".yml"); err != nil {
		return err
	}
	facts, err := s.warehouse(ctx)
	if err != nil {
		return err
	}
	s.say("A project in %s", s.Dir)
	place := "data/warehouse.duckdb"
	if s.house != nil {
		place = "a stand-in of " + s.house.title + " on " + s.house.Addr()
	}
	s.say("  warehouse      %s, made in %s: %s", place, since(begun), facts)
	s.say("  model          models/customer_health.sql, a health score of 0 to 100 per account")
	s.say("  CRM            a stand-in of Salesforce on %s", s.crm.Addr())
	s.say("  product        %s", s.product.title)
	s.say("  alerts         a stand-in of a webhook on %s", s.hook.Addr())
	s.wrote(Generated)
	return s.call(ctx, ok, "check", "--connect")
}

// Exit codes of commands the demo expects.
var (
	ok      = []int{fault.ExitOK}
	refused = []int{fault.ExitPartial}
	changes = []int{fault.ExitChanges}
)

// first delivers everything.
func (s *show) first(ctx context.Context) error {
	s.say("\n1. The first run. The plan says what it will do before anything is sent.")
	if err := s.call(ctx, ok, "plan", "--changes", "1"); err != nil {
		return err
	}
	if err := s.call(ctx, ok, "run"); err != nil {
		return err
	}
	w := s.wrote(First)
	s.say("\nThe CRM counted %s and now holds %s.", plural(w.Requests, "writing request"), plural(len(s.crm.Records("Account")), "account"))
	return nil
}

// second changes the warehouse and delivers the changes.
func (s *show) second(ctx context.Context) error {
	what, err := s.later(ctx)
	if err != nil {
		return err
	}
	s.say("\n2. A day later: %s.", what)
	s.wrote(Changed)
	if err := s.call(ctx, changes, "plan", "--changes", "2", "--exit-code"); err != nil {
		return err
	}
	if err := s.call(ctx, ok, "run"); err != nil {
		return err
	}
	w := s.wrote(Second)
	s.say("\nOnly the changes went out: the CRM counted %s with %s.", plural(w.Requests, "writing request"), plural(w.Records, "record"))
	return nil
}

// refusal lets the CRM refuse one record, asks why, and delivers it after all.
func (s *show) refusal(ctx context.Context) error {
	if err := s.disappoint(ctx); err != nil {
		return err
	}
	s.result.Refused = s.spared
	s.crm.InjectRow(salesforcetest.RowFault{
		Object: "Account", Field: "Account_Number__c", Equals: s.spared, Times: -1, Code: "FIELD_CUSTOM_VALIDATION_EXCEPTION",
		Message: "The account is under legal review: its health score is frozen.", Fields: []string{"Health_Score__c"},
	})
	s.say("\n3. %s is unhappy, its score changes, and a validation rule of the CRM refuses the record. The run says so with exit code 3.", s.spared)
	for _, c := range []struct {
		exit []int
		args []string
	}{
		{refused, []string{"run", "health_to_crm"}},
		{ok, []string{"rejects"}},
		{ok, []string{"explain", "health_to_crm", s.spared}},
	} {
		if err := s.call(ctx, c.exit, c.args...); err != nil {
			return err
		}
	}
	s.wrote(Refused)
	s.crm.ClearFaults()
	s.say("\nThe review is over. `retry` makes the record due now; otherwise it is tried again by itself after an hour.")
	if err := s.call(ctx, ok, "retry", "health_to_crm"); err != nil {
		return err
	}
	if err := s.call(ctx, ok, "run"); err != nil {
		return err
	}
	if err := s.call(ctx, ok, "status"); err != nil {
		return err
	}
	s.wrote(Mended)
	return nil
}

// farewell says how to go on.
func (s *show) farewell() {
	up := s.Program + " -C " + s.Dir
	s.say("\nThe stand-ins end here, the project stays. To look further:")
	hints := [][2]string{
		{up + " runs", "every run and what it did"},
		{up + " run-log latest", "the last one in full"},
		{up + " explain health_to_crm " + s.spared, "everything about one account"},
		{"less " + filepath.Join(s.Dir, "upwell.yml"), "the project"},
	}
	if s.house == nil {
		hints = append(hints, [2]string{up + " preview at_risk_accounts", "rows of a model"})
	}
	if s.product.look != "" {
		hints = append(hints, [2]string{strings.ReplaceAll(s.product.look, "DIR", s.Dir), "what the product database got"})
	}
	width := 0
	for _, h := range hints {
		width = max(width, len(h[0]))
	}
	for _, h := range hints {
		s.say("  %-*s  # %s", width, h[0], h[1])
	}
	s.say("Your own project: %s init my-project", s.Program)
}
