package salesforcetest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ connector.Sandbox = (*salesforcetest.Server)(nil)

const api = "/services/data/v66.0/"

type client struct {
	*salesforcetest.Server
	t     *testing.T
	http  *http.Client
	token string
}

func start(t *testing.T, opts ...salesforcetest.Option) *client {
	t.Helper()
	s, err := salesforcetest.Start("", opts...)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	c := &client{Server: s, t: t, http: &http.Client{Transport: transport}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c.login()
	return c
}

func (c *client) login() {
	c.t.Helper()
	status, body := c.form(url.Values{"grant_type": {"client_credentials"}, "client_id": {salesforcetest.ClientID}, "client_secret": {salesforcetest.ClientSecret}})
	if status != 200 {
		c.t.Fatalf("login: %d %v", status, body)
	}
	c.token = body["access_token"]
}

func (c *client) form(form url.Values) (int, map[string]string) {
	c.t.Helper()
	resp := c.send("POST", "/services/oauth2/token", "application/x-www-form-urlencoded", form.Encode())
	var out map[string]string
	if err := json.Unmarshal([]byte(resp.body), &out); err != nil {
		c.t.Fatal(err)
	}
	return resp.status, out
}

type reply struct {
	status int
	body   string
	header http.Header
}

func (c *client) send(method, path, kind, body string) reply {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.URL()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return reply{resp.StatusCode, string(b), resp.Header}
}

// json sends a request below the API and wants a status and parts of the answer.
func (c *client) json(method, path, body string, status int, parts ...string) string {
	c.t.Helper()
	kind := ""
	if body != "" {
		kind = "application/json"
	}
	r := c.send(method, api+path, kind, body)
	if r.status != status {
		c.t.Fatalf("%s %s: %d %s, want %d", method, path, r.status, r.body, status)
	}
	for _, p := range parts {
		if !strings.Contains(r.body, p) {
			c.t.Errorf("%s %s: %s\nlacks %s", method, path, r.body, p)
		}
	}
	return r.body
}

func records(recs ...string) string {
	return `{"allOrNone":false,"records":[` + strings.Join(recs, ",") + `]}`
}

func account(fields string) string { return `{"attributes":{"type":"Account"},` + fields + `}` }

const byNumber = "composite/sobjects/Account/Account_Number__c"

func Test_malformed_requests_are_refused_as_a_whole(t *testing.T) {
	c := start(t)
	ok := account(`"Account_Number__c":"a","Name":"N"`)
	for _, x := range []struct{ name, method, path, body, code string }{
		{"no type", "PATCH", byNumber, records(`{"Account_Number__c":"a","Name":"N"}`), "INVALID_TYPE"},
		{"another type", "PATCH", byNumber, records(`{"attributes":{"type":"Contact"},"LastName":"N"}`), "INVALID_TYPE"},
		{"unknown type", "POST", "composite/sobjects", records(`{"attributes":{"type":"Nothing"},"X":1}`), "INVALID_TYPE"},
		{"an id", "PATCH", byNumber, records(account(`"id":"0015g00000000001AAA","Account_Number__c":"a"`)), "INVALID_FIELD"},
		{"unknown field", "PATCH", byNumber, records(ok, account(`"Account_Number__c":"b","Nmae":"N"`)), "INVALID_FIELD"},
		{"text for a number", "PATCH", byNumber, records(ok, account(`"Account_Number__c":"b","Health_Score__c":"high"`)), "JSON_PARSER_ERROR"},
		{"number for a text", "PATCH", byNumber, records(ok, account(`"Account_Number__c":7`)), "JSON_PARSER_ERROR"},
		{"null for a checkbox", "PATCH", byNumber, records(ok, account(`"Account_Number__c":"b","Is_Customer__c":null`)), "JSON_PARSER_ERROR"},
		{"bad date", "PATCH", byNumber, records(ok, account(`"Account_Number__c":"b","First_Seen__c":"yesterday"`)), "JSON_PARSER_ERROR"},
		{"too fine a time", "PATCH", byNumber, records(ok, account(`"Account_Number__c":"b","Last_Seen__c":"2026-01-01T00:00:00.000001Z"`)), "JSON_PARSER_ERROR"},
		{"a field that is no key", "PATCH", "composite/sobjects/Account/Status__c", records(ok), "INVALID_FIELD"},
		{"broken JSON", "PATCH", byNumber, `{"records":[`, "JSON_PARSER_ERROR"},
		{"nothing", "PATCH", byNumber, records(), "INVALID_INPUT"},
		{"201 records", "PATCH", byNumber, records(strings.Split(strings.Repeat(ok+"\n", 201), "\n")[:201]...), "LIMIT_EXCEEDED"},
		{"no ids", "DELETE", "composite/sobjects", "", "MISSING_ARGUMENT"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c.t = t
			c.json(x.method, x.path, x.body, 400, `"errorCode":"`+x.code+`"`)
		})
	}
	if n := len(c.Records("Account")); n != 0 {
		t.Errorf("%d accounts were written", n)
	}
}

func Test_all_or_none_takes_everything_back(t *testing.T) {
	c := start(t)
	c.json("PATCH", byNumber, records(account(`"Account_Number__c":"a","Name":"Old"`)), 200, `"success":true`)
	body := `{"allOrNone":true,"records":[` + account(`"Account_Number__c":"a","Name":"New"`) + `,` + account(`"Account_Number__c":"b","Name":"B"`) + `,` + account(`"Account_Number__c":"c"`) + `]}`
	c.json("PATCH", byNumber, body, 200, "ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING")
	list := c.Records("Account")
	if len(list) != 1 || list[0]["Name"] != "Old" {
		t.Errorf("%v", list)
	}
	c.json("PATCH", byNumber, records(account(`"Account_Number__c":"b","Name":"B"`)), 200, `"created":true`)
}

func Test_a_parent_can_be_named_by_its_external_id(t *testing.T) {
	c := start(t)
	id := c.Put("Account", salesforcetest.Record{"Name": "P", "Account_Number__c": "P1"})
	path := "composite/sobjects/Contact/Customer_Id__c"
	c.json("PATCH", path, records(`{"attributes":{"type":"Contact"},"Customer_Id__c":"c","LastName":"N","Account":{"Account_Number__c":"p1"}}`), 200, `"success":true`)
	if got := c.Record("Contact", "Customer_Id__c", "c")["AccountId"]; got != id {
		t.Error(got)
	}
	c.json("PATCH", path, records(`{"attributes":{"type":"Contact"},"Customer_Id__c":"c","Account":{"Account_Number__c":"nobody"}}`), 200, "Foreign key external ID: nobody not found", `"statusCode":"INVALID_FIELD"`)
}

func Test_references_must_point_at_records_of_the_right_kind(t *testing.T) {
	c := start(t)
	contact := c.Put("Contact", salesforcetest.Record{"LastName": "N"})
	for id, code := range map[string]string{
		"x": "MALFORMED_ID", contact: "FIELD_INTEGRITY_EXCEPTION", "0015g0000000zzz": "INVALID_CROSS_REFERENCE_KEY",
	} {
		c.json("POST", "composite/sobjects", records(`{"attributes":{"type":"Contact"},"LastName":"N","AccountId":"`+id+`"}`), 200, `"statusCode":"`+code+`"`, `"fields":["AccountId"]`)
	}
}

func Test_single_records_are_reached_by_external_id(t *testing.T) {
	c := start(t)
	c.Put("Account", salesforcetest.Record{"Name": "One", "Account_Number__c": "1"})
	c.Put("Contact", salesforcetest.Record{"LastName": "A", "Email": "x@acme.example"})
	c.Put("Contact", salesforcetest.Record{"LastName": "B", "Email": "x@acme.example"})
	c.json("GET", "sobjects/Account/Account_Number__c/1", "", 200, `"Name":"One"`)
	c.json("GET", "sobjects/Contact/Email/x@acme.example", "", 300, "/sobjects/Contact/003")
	c.json("GET", "sobjects/Account/Status__c/1", "", 404, "NOT_FOUND")
	c.json("DELETE", "sobjects/Account/Account_Number__c/1", "", 204)
	c.json("DELETE", "sobjects/Account/Account_Number__c/1", "", 404, "NOT_FOUND")
}

func Test_records_are_retrieved_by_id(t *testing.T) {
	c := start(t)
	id := c.Put("Account", salesforcetest.Record{"Name": "One"})
	c.json("POST", "composite/sobjects/Account", `{"ids":["`+id+`","0015g0000000zzz"],"fields":["Name"]}`, 200, `"Name":"One"`, `,null]`)
}

func Test_queries_are_checked(t *testing.T) {
	c := start(t)
	c.Put("Account", salesforcetest.Record{"Name": "O'Neil", "Account_Number__c": "A", "Health_Score__c": json.Number("5.0"), "First_Seen__c": "2026-01-01"})
	c.Put("Account", salesforcetest.Record{"Name": "Other", "Account_Number__c": "B"})
	for q, want := range map[string]string{
		`SELECT Name FROM Account WHERE Account_Number__c IN ('a', 'zz')`:                          `"totalSize":1`,
		`select Name from Account where Name = 'o\'neil'`:                                          `"totalSize":1`,
		`SELECT Name FROM Account WHERE Health_Score__c = 5 AND First_Seen__c = 2026-01-01`:        `"totalSize":1`,
		`SELECT Name FROM Account WHERE (Name = 'Other' OR Name = 'x') AND Health_Score__c = null`: `"totalSize":1`,
		`SELECT Name FROM Account WHERE Name != 'x' LIMIT 1`:                                       `"totalSize":1`,
		`SELECT Name FROM Account WHERE IsDeleted = false`:                                         `"totalSize":2`,
		`SELECT Name FROM Account WHERE CreatedDate != 2026-01-01T00:00:00Z`:                       `"totalSize":2`,
		`SELECT Nmae FROM Account`:                                                                 `INVALID_FIELD`,
		`SELECT Name FROM Acount`:                                                                  `INVALID_TYPE`,
		`SELECT Name FROM Account WHERE Health_Score__c = '5'`:                                     `INVALID_FIELD`,
		`SELECT Name FROM Account WHERE Name = 5`:                                                  `INVALID_FIELD`,
		`SELECT Name FROM Account WHERE Id = 'x'`:                                                  `INVALID_QUERY_FILTER_OPERATOR`,
		`SELECT Name FROM Account WHERE Name = 'x`:                                                 `MALFORMED_QUERY`,
		`SELECT Name FROM Account WHERE Name = 'a\q'`:                                              `MALFORMED_QUERY`,
		`SELECT Name FROM Account WHERE Name IN ()`:                                                `MALFORMED_QUERY`,
		`SELECT Name FROM Account WHERE Name = 'x' OR`:                                             `MALFORMED_QUERY`,
		`SELECT Name FROM Account; DELETE`:                                                         `MALFORMED_QUERY`,
		`DELETE FROM Account`:                                                                      `MALFORMED_QUERY`,
	} {
		r := c.send("GET", api+"query?q="+url.QueryEscape(q), "", "")
		if !strings.Contains(r.body, want) {
			t.Errorf("%s: %s\nlacks %s", q, r.body, want)
		}
	}
}

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
		{"GET", "/services/data/v10.0/limits", "", 404}, {"GET", api + "nothing", "", 404}, {"GET", "/elsewhere", "", 404},
		{"PATCH", api + byNumber, "text/plain", 415}, {"GET", api + "query?q=" + strings.Repeat("x", 15_500), "", 414},
		{"GET", "/services/data", "", 200}, {"GET", api, "", 200},
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

func Benchmark_collections_of_200_records(b *testing.B) {
	s, err := salesforcetest.Start("")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()                                                                                                                                                                                        //nolint:errcheck // the benchmark is over
	resp, err := http.PostForm(s.URL()+"/services/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {salesforcetest.ClientID}, "client_secret": {salesforcetest.ClientSecret}}) //nolint:noctx // a benchmark
	if err != nil {
		b.Fatal(err)
	}
	var token struct {
		Value string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil {
		b.Fatal(err)
	}
	_ = resp.Body.Close()
	n := 0
	for b.Loop() {
		var body bytes.Buffer
		body.WriteString(`{"allOrNone":false,"records":[`)
		for i := range 200 {
			if i > 0 {
				body.WriteByte(',')
			}
			n++
			body.WriteString(account(`"Account_Number__c":"k` + jsonInt(n%100_000) + `","Name":"Name","Health_Score__c":71.5,"Health_Tier__c":"watch","Status__c":"x","Source__c":"upwell","MRR__c":12.5,"Last_Seen__c":"2026-01-01T00:00:00Z"`))
		}
		body.WriteString(`]}`)
		req, err := http.NewRequest("PATCH", s.URL()+api+byNumber, &body) //nolint:noctx // a benchmark
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token.Value)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			b.Fatal(resp.StatusCode, err)
		}
		_ = resp.Body.Close()
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
	http.DefaultClient.CloseIdleConnections()
}

func jsonInt(n int) string {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	return string(b)
}
