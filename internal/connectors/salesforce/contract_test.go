package salesforce_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/row"
)

// published are the requests Salesforce documents that this connector uses: method, path, type of the body, page.
var published = []struct{ method, path, kind, page string }{
	{"POST", `/services/oauth2/token`, "application/x-www-form-urlencoded", "https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm"},
	{"GET", `/services/data/v66\.0/limits`, "", "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-limits.html"},
	{"GET", `/services/data/v66\.0/sobjects`, "", "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-describeGlobal.html"},
	{"GET", `/services/data/v66\.0/sobjects/\w+/describe`, "", "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-sobject-describe.html"},
	{"GET", `/services/data/v66\.0/query`, "", "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-query.html"},
	{"GET", `/services/data/v66\.0/query/[\w-]+`, "", "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-query.html"},
	{"POST", `/services/data/v66\.0/composite/sobjects`, "application/json", "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-create.html"},
	{"PATCH", `/services/data/v66\.0/composite/sobjects`, "application/json", "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-update.html"},
	{"PATCH", `/services/data/v66\.0/composite/sobjects/\w+/\w+`, "application/json", "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-upsert.html"},
	{"DELETE", `/services/data/v66\.0/composite/sobjects\?allOrNone=false&ids=\w+(%2C\w+)*`, "", "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-delete.html"},
	{"POST", `/services/data/v66\.0/jobs/ingest`, "application/json", "https://developer.salesforce.com/docs/platform/api-asynch/guide/create-job.html"},
	{"PUT", `/services/data/v66\.0/jobs/ingest/\w+/batches`, "text/csv", "https://developer.salesforce.com/docs/platform/api-asynch/guide/upload-job-data.html"},
	{"PATCH", `/services/data/v66\.0/jobs/ingest/\w+`, "application/json", "https://developer.salesforce.com/docs/platform/api-asynch/guide/close-job.html"},
	{"GET", `/services/data/v66\.0/jobs/ingest/\w+`, "", "https://developer.salesforce.com/docs/platform/api-asynch/guide/get-job-info.html"},
	{"GET", `/services/data/v66\.0/jobs/ingest/\w+/successfulResults`, "", "https://developer.salesforce.com/docs/platform/api-asynch/guide/get-job-successful-results.html"},
	{"GET", `/services/data/v66\.0/jobs/ingest/\w+/failedResults`, "", "https://developer.salesforce.com/docs/platform/api-asynch/guide/get-job-failed-results.html"},
	{"GET", `/services/data/v66\.0/jobs/ingest/\w+/unprocessedrecords`, "", "https://developer.salesforce.com/docs/platform/api-asynch/guide/get-job-unprocessed-results.html"},
}

// conversation makes every request the connector knows how to make, and gives what the org heard.
func conversation(t *testing.T) []salesforcetest.Call {
	t.Helper()
	o := start(t, salesforcetest.WithQueryRows(1), salesforcetest.WithBatchRows(1))
	if _, err := o.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Objects(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	ids := o.known("a", "b")
	insert := accounts("c")
	insert.op = connector.OpInsert
	o.mustWrite(insert)
	update := accounts("a")
	update.op, update.ids = connector.OpUpdate, ids[:1]
	o.mustWrite(update)
	o.readBack("Account", []string{"Account_Number__c"}, []string{"Name"}, []row.Value{text("a")}, []row.Value{text("b")})
	o.bulk(accounts("d"))
	to, b := o.batch(accounts("e", "f"))
	job, err := o.submit(to, b)
	if err != nil {
		t.Fatal(err)
	}
	o.FailJobs(1, "TooManyLockFailure")
	if _, err := o.poll(o.Destination, job, to, b); err != nil {
		t.Fatal(err)
	}
	o.mustWrite(load{object: "Account", op: connector.OpDelete, match: []string{"Account_Number__c"}, rows: [][]row.Value{{text("a")}, {text("b")}}, ids: ids})
	return o.Stats().Log
}

func Test_every_request_is_one_salesforce_publishes(t *testing.T) {
	used := make([]bool, len(published))
	for _, c := range conversation(t) {
		address := c.Path
		if c.Method == "DELETE" {
			address += "?" + c.Query
		}
		known := false
		for n, p := range published {
			if c.Method == p.method && regexp.MustCompile("^"+p.path+"$").MatchString(address) {
				known, used[n] = true, true
				if c.Kind != p.kind {
					t.Errorf("%s %s has content type %q; %s says %q", c.Method, c.Path, c.Kind, p.page, p.kind)
				}
			}
		}
		if !known {
			t.Errorf("%s %s is documented nowhere", c.Method, address)
		}
		if strings.HasSuffix(c.Path, "/query") && !strings.HasPrefix(c.Query, "q=SELECT+") {
			t.Errorf("query %s", c.Query)
		}
	}
	for n, p := range published {
		if !used[n] {
			t.Errorf("%s %s is listed and never sent", p.method, p.path)
		}
	}
}
