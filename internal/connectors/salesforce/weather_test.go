package salesforce_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/fault"
)

func Test_refused_requests_have_the_class_that_decides(t *testing.T) {
	api := func(status int, code, message string) salesforcetest.Fault {
		return salesforcetest.Fault{Status: status, Body: `[{"errorCode":"` + code + `","message":"` + message + `"}]`}
	}
	for _, c := range []struct {
		name   string
		fault  salesforcetest.Fault
		code   fault.Code
		class  fault.Class
		landed fault.Landed
	}{
		{"day used up", api(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), fault.DestQuota, fault.ClassQuota, fault.LandedNo},
		{"too many at once", api(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."), fault.DestThrottled, fault.ClassThrottled, fault.LandedNo},
		{"too many at once, other words", api(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."), fault.DestThrottled, fault.ClassThrottled, fault.LandedNo},
		{"no API", api(403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner"), fault.DestForbidden, fault.ClassAuth, fault.LandedNo},
		{"other 403", api(403, "INSUFFICIENT_ACCESS_SOMEWHERE", "no"), fault.DestForbidden, fault.ClassAuth, fault.LandedNo},
		{"no such field", api(400, "INVALID_FIELD", "No such column 'Score__c' on sobject of type Account"), fault.DestFieldMissing, fault.ClassConfig, fault.LandedNo},
		{"no such type", api(400, "INVALID_TYPE", "sObject type 'X' is not supported."), fault.DestObjectMissing, fault.ClassConfig, fault.LandedNo},
		{"unreadable value", api(400, "JSON_PARSER_ERROR", "Cannot deserialize instance of double"), fault.DestRefused, fault.ClassBatchRefused, fault.LandedNo},
		{"other 400", api(400, "SOMETHING_NEW", "what?"), fault.DestRefused, fault.ClassBatchRefused, fault.LandedNo},
		{"query too slow", api(400, "QUERY_TIMEOUT", "Your query request was running for too long."), fault.DestTransient, fault.ClassTransient, fault.LandedNo},
		{"several records", salesforcetest.Fault{Status: 300, Body: `["/services/data/v66.0/sobjects/Account/1"]`}, fault.DestRedirect, fault.ClassConfig, fault.LandedNo},
		{"server error", api(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred."), fault.DestTransient, fault.ClassTransient, fault.LandedMaybe},
		{"unavailable", api(503, "SERVER_UNAVAILABLE", "The HTTP entity is unavailable"), fault.DestTransient, fault.ClassTransient, fault.LandedMaybe},
		{"gateway", salesforcetest.Fault{Status: 502, HTML: true}, fault.DestTransient, fault.ClassTransient, fault.LandedMaybe},
		{"a proxy's 429", salesforcetest.Fault{Status: 429, RetryAfter: "7"}, fault.DestThrottled, fault.ClassThrottled, fault.LandedNo},
		{"a page where JSON was due", salesforcetest.Fault{HTML: true}, fault.DestAnswer, fault.ClassTransient, fault.LandedMaybe},
		{"another host", salesforcetest.Fault{Status: 302, Headers: map[string]string{"Location": "http://127.0.0.1:9/"}}, fault.DestRedirect, fault.ClassConfig, fault.LandedNo},
		{"cut before", salesforcetest.Fault{ResetBefore: true}, fault.DestUnreachable, fault.ClassTransient, fault.LandedMaybe},
		{"cut after", salesforcetest.Fault{ResetAfterApply: true}, fault.DestUnreachable, fault.ClassTransient, fault.LandedMaybe},
		{"cut inside", salesforcetest.Fault{Truncate: 10}, fault.DestAnswer, fault.ClassTransient, fault.LandedMaybe},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := start(t)
			to, b := o.batch(accounts("a", "b"))
			c.fault.Match = "composite"
			o.Inject(c.fault)
			out := connector.NewOutcomes(2)
			err := o.Write(t.Context(), to, b, out)
			f := wantFault(t, err, c.code, c.class, c.landed)
			if statuses(out) != "unknown, unknown" {
				t.Errorf("rows: %s", statuses(out))
			}
			if c.name == "no such field" && f.Field != "Score__c" {
				t.Errorf("field %q", f.Field)
			}
			if c.name == "a proxy's 429" && f.RetryAfter != 7*time.Second {
				t.Errorf("retry after %s", f.RetryAfter)
			}
			if got := o.gate.last().Throttled; strings.HasPrefix(c.name, "too many at once") && !got {
				t.Error("the gate did not hear of it")
			}
			if n := o.Requests("composite/sobjects/{object}/{ext}"); n != 1 {
				t.Errorf("%d requests: a connector repeats nothing", n)
			}
		})
	}
}

func Test_the_days_bulk_batches_used_up_pause_the_destination(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a"))
	o.Inject(salesforcetest.Fault{Match: "jobs/ingest", Status: 400, Body: `[{"errorCode":"EXCEEDEDQUOTA","message":"ExceededQuota : ApiBatchItems Limit exceeded."}]`})
	_, err := o.submit(to, b)
	wantFault(t, err, fault.DestQuota, fault.ClassQuota, fault.LandedNo)
}

func Test_a_request_that_was_applied_can_be_sent_again(t *testing.T) {
	o := start(t)
	o.object("Account")
	o.Inject(salesforcetest.Fault{Match: "composite", ResetAfterApply: true})
	if _, err := o.write(accounts("a")); err == nil {
		t.Fatal("no error")
	}
	o.mustWrite(accounts("a"))
	if n := len(o.Records("Account")); n != 1 {
		t.Errorf("%d accounts", n)
	}
}

func Test_the_day_is_paused_when_its_calls_are_used_up(t *testing.T) {
	o := start(t, salesforcetest.WithDailyLimit(100))
	to, b := o.batch(accounts("a"))
	o.UseUp(1_000)
	err := o.Write(t.Context(), to, b, connector.NewOutcomes(1))
	wantFault(t, err, fault.DestQuota, fault.ClassQuota, fault.LandedNo)
	if u := o.gate.last().Usage; len(u) != 1 || u[0].Remaining != 0 || u[0].Limit != 100 || u[0].Window != "daily" {
		t.Errorf("%+v", u)
	}
}

func Test_every_answer_tells_the_days_usage(t *testing.T) {
	o := start(t, salesforcetest.WithDailyLimit(50))
	a, err := o.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Windows) != 1 || a.Windows[0].Requests != 50 || a.Windows[0].Per != 24*time.Hour || len(a.Used) != 1 || a.Used[0].Used != 1 {
		t.Errorf("%+v", a)
	}
	o.mustWrite(accounts("a"))
	if u := o.gate.last().Usage; len(u) != 1 || u[0].Used != 3 || u[0].Remaining != 47 {
		t.Errorf("%+v", u)
	}
}

func Test_requests_at_once_beyond_the_orgs_limit_are_throttled(t *testing.T) {
	o := start(t, salesforcetest.WithConcurrency(1))
	to, b := o.batch(accounts("a"))
	hold, arrived := make(chan struct{}), make(chan struct{})
	o.Inject(salesforcetest.Fault{Match: "composite", Hold: hold, Arrived: arrived})
	first := make(chan error, 1)
	go func() { first <- o.Write(context.Background(), to, b, connector.NewOutcomes(1)) }()
	<-arrived
	err := o.Write(t.Context(), to, b, connector.NewOutcomes(1))
	wantFault(t, err, fault.DestThrottled, fault.ClassThrottled, fault.LandedNo)
	close(hold)
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
}

func Test_an_interrupted_write_says_so(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a"))
	hold, arrived := make(chan struct{}), make(chan struct{})
	defer close(hold)
	o.Inject(salesforcetest.Fault{Match: "composite", Hold: hold, Arrived: arrived})
	ctx, stop := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- o.Write(ctx, to, b, connector.NewOutcomes(1)) }()
	<-arrived
	stop()
	wantFault(t, <-end, fault.Cancelled, fault.ClassCancelled, fault.LandedMaybe)
}
