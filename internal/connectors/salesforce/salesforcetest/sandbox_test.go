package salesforcetest_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
)

func Test_every_answer_tells_the_usage_of_the_day(t *testing.T) {
	c := start(t, salesforcetest.WithDailyLimit(2))
	if got := c.send("GET", api+"limits", "", "").header.Get("Sforce-Limit-Info"); got != "api-usage=1/2" {
		t.Error(got)
	}
	c.json("GET", "sobjects/Account/describe", "", 200, `"externalId":true`)
	r := c.send("GET", api+"limits", "", "")
	if r.status != 403 || !strings.Contains(r.body, "TotalRequests Limit exceeded") || r.header.Get("Sforce-Limit-Info") != "api-usage=2/2" || r.header.Get("Retry-After") != "" {
		t.Errorf("%d %s %v", r.status, r.body, r.header)
	}
}

func Test_addresses_and_types_that_are_not_known_are_refused(t *testing.T) {
	c := start(t)
	for _, x := range []struct {
		method, path, kind string
		status             int
	}{
		{"GET", "/services/data/v99.0/limits", "", 404},
		{"GET", "/services/data/v30.0/limits", "", 410},
		{"GET", api + "nothing", "", 404},
		{"GET", "/elsewhere", "", 404},
		{"PATCH", api + byNumber, "text/plain", 415},
		{"GET", api + "query?q=" + strings.Repeat("x", 15_500), "", 414},
		{"GET", "/services/data", "", 200},
		{"GET", api, "", 200},
	} {
		if r := c.send(x.method, x.path, x.kind, ""); r.status != x.status {
			t.Errorf("%s %.60s: %d %s", x.method, x.path, r.status, r.body)
		}
	}
	c.ExpireTokens()
	c.json("GET", "limits", "", 401, `"errorCode":"INVALID_SESSION_ID"`)
}

func Test_tokens_have_no_lifetime_and_lead_to_the_instance(t *testing.T) {
	c := start(t, salesforcetest.WithRotation())
	old := c.RefreshToken()
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {salesforcetest.ClientID}, "refresh_token": {old}}
	status, body := c.form(form)
	if status != 200 || body["instance_url"] != c.URL() || body["expires_in"] != "" || body["refresh_token"] != c.RefreshToken() || body["refresh_token"] == old {
		t.Errorf("%d %v", status, body)
	}
	if status, body = c.form(form); status != 400 || body["error"] != "invalid_grant" {
		t.Errorf("the old token: %d %v", status, body)
	}
	c.RevokeRefreshToken()
	form.Set("refresh_token", body["refresh_token"])
	if status, _ = c.form(form); status != 400 {
		t.Errorf("a revoked token: %d", status)
	}
	if status, body = c.form(url.Values{"grant_type": {"password"}}); status != 400 || body["error"] != "unsupported_grant_type" {
		t.Errorf("%d %v", status, body)
	}
}

func Test_an_assertion_that_ended_or_is_signed_otherwise_is_refused(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := start(t, salesforcetest.WithClock(func() time.Time { return now }))
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(c.JWTKey()))
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{"iss": salesforcetest.ClientID, "sub": salesforcetest.Username, "aud": c.URL(), "exp": now.Add(time.Minute).Unix()}
	try := func(m jwt.SigningMethod, key any) int {
		s, err := jwt.NewWithClaims(m, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		status, _ := c.form(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {s}})
		return status
	}
	if got := try(jwt.SigningMethodRS256, key); got != 200 {
		t.Errorf("a good one: %d", got)
	}
	if got := try(jwt.SigningMethodRS512, key); got != 400 {
		t.Errorf("another method: %d", got)
	}
	if got := try(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType); got != 400 {
		t.Errorf("no signature: %d", got)
	}
	claims["exp"] = now.Add(-time.Second).Unix()
	if got := try(jwt.SigningMethodRS256, key); got != 400 {
		t.Errorf("after its end: %d", got)
	}
	delete(claims, "exp")
	if got := try(jwt.SigningMethodRS256, key); got != 400 {
		t.Errorf("without an end: %d", got)
	}
}

func Test_jobs_take_one_upload_and_run_when_closed(t *testing.T) {
	c := start(t)
	create := func(body string) string {
		var j struct{ ID string }
		if err := json.Unmarshal([]byte(c.json("POST", "jobs/ingest", body, 200, `"state":"Open"`)), &j); err != nil {
			t.Fatal(err)
		}
		return "jobs/ingest/" + j.ID
	}
	job := create(`{"object":"Account","operation":"upsert","externalIdFieldName":"Account_Number__c"}`)
	c.json("PATCH", job, `{"state":"UploadComplete"}`, 400, "INVALIDJOBSTATE")
	if r := c.send("PUT", api+job+"/batches", "text/csv", "Account_Number__c,Name,Parent.Account_Number__c\np,P,\nc,C,p\nd,D\ne,E,nobody\n"); r.status != 201 || r.body != "" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := c.send("PUT", api+job+"/batches", "text/csv", "x"); r.status != 400 {
		t.Errorf("a second upload: %d %s", r.status, r.body)
	}
	c.json("GET", job+"/successfulResults", "", 400, "INVALIDJOBSTATE")
	c.json("PATCH", job, `{"state":"UploadComplete"}`, 200, `"state":"UploadComplete"`)
	c.json("DELETE", job, "", 204)
	job = create(`{"object":"Account","operation":"upsert","externalIdFieldName":"Account_Number__c"}`)
	c.send("PUT", api+job+"/batches", "text/csv", "Account_Number__c,Name,Parent.Account_Number__c\np,P,\nc,C,p\nd,D\ne,E,nobody\n")
	c.json("PATCH", job, `{"state":"UploadComplete"}`, 200)
	c.json("GET", job, "", 200, `"state":"InProgress"`)
	c.json("GET", job, "", 200, `"state":"JobComplete"`, `"numberRecordsProcessed":4`, `"numberRecordsFailed":2`)
	c.json("GET", job+"/successfulResults", "", 200, "sf__Id,sf__Created,Account_Number__c,Name,Parent.Account_Number__c\n", ",true,c,C,p\n", ",true,p,P,\n")
	c.json("GET", job+"/failedResults", "", 200, `,"INVALID_CSV:`, "Foreign key external ID: nobody not found")
	if rec := c.Record("Account", "Account_Number__c", "c"); rec["ParentId"] != c.Record("Account", "Account_Number__c", "p")["Id"] {
		t.Errorf("%v", rec)
	}
	for body, code := range map[string]string{
		`{"object":"Nothing","operation":"insert"}`:                                        "INVALIDENTITY",
		`{"object":"Account","operation":"upsert","externalIdFieldName":"Status__c"}`:      "INVALIDJOB",
		`{"object":"Account","operation":"merge"}`:                                         "INVALIDJOB",
		`{"object":"Account","operation":"insert","contentType":"JSON","lineEnding":"LF"}`: "INVALIDJOB",
	} {
		c.json("POST", "jobs/ingest", body, 400, code)
	}
}

func Test_ids_have_the_prefix_of_their_object_and_a_checksum(t *testing.T) {
	c := start(t)
	for object, prefix := range map[string]string{"Account": "001", "Contact": "003", "User": "005", "Opportunity": "006", "Lead": "00Q"} {
		id := c.Put(object, salesforcetest.Record{})
		if len(id) != 18 || !strings.HasPrefix(id, prefix) {
			t.Errorf("%s: %s", object, id)
		}
	}
}

func Test_the_stand_in_is_looked_into_and_steered_by_http(t *testing.T) {
	c := start(t)
	post := func(path, body string, want int) {
		t.Helper()
		if r := c.send("POST", "/_sandbox/"+path, "application/json", body); r.status != want {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	post("objects", `{"name":"Invoice__c","fields":[{"name":"Number__c","type":"string","length":20,"externalId":true,"unique":true}]}`, 204)
	post("objects", `{"name":"Account","fields":[{"name":"Extra__c","type":"double","precision":5,"scale":1}]}`, 204)
	post("objects", `{"name":"Bad"`, 400)
	post("objects", `{"name":"Bad","colour":"red"}`, 400)
	c.json("PATCH", "composite/sobjects/Invoice__c/Number__c", records(`{"attributes":{"type":"Invoice__c"},"Number__c":"1"}`), 200, `"success":true`)
	c.json("PATCH", byNumber, records(account(`"Account_Number__c":"a","Name":"N","Extra__c":2.5`)), 200, `"success":true`)
	if r := c.send("GET", "/_sandbox/records/account", "", ""); !strings.Contains(r.body, `"Extra__c":2.5`) {
		t.Error(r.body)
	}
	if r := c.send("GET", "/_sandbox/records/Nothing", "", ""); r.status != 404 {
		t.Error(r.status)
	}
	post("faults", `{"match":"/limits","status":503,"body":"[]","retry_after":"3","delay":"1ms","times":1}`, 204)
	if r := c.send("GET", api+"limits", "", ""); r.status != 503 || r.header.Get("Retry-After") != "3" {
		t.Errorf("%d %v", r.status, r.header)
	}
	c.json("GET", "limits", "", 200)
	post("row_faults", `{"object":"Account","field":"Account_Number__c","equals":"a","code":"UNABLE_TO_LOCK_ROW","message":"locked","times":-1}`, 204)
	c.json("PATCH", byNumber, records(account(`"Account_Number__c":"a"`)), 200, "UNABLE_TO_LOCK_ROW")
	post("clear_faults", "", 204)
	c.json("PATCH", byNumber, records(account(`"Account_Number__c":"a"`)), 200, `"success":true`)
	var stats salesforcetest.Stats
	if err := json.Unmarshal([]byte(c.send("GET", "/_sandbox/stats", "", "").body), &stats); err != nil || stats.Rows["Account"] != 2 || stats.MaxInFlight < 1 || stats.Requests["GET /services/data/{version}/limits"] != 2 {
		t.Errorf("%v %+v", err, stats)
	}
	post("expire_tokens", "", 204)
	c.json("GET", "limits", "", 401)
	post("reset", "", 204)
	if len(c.Records("Account")) != 0 || c.Records("Invoice__c") != nil || len(c.Records("User")) != 1 {
		t.Error("reset left something")
	}
}
