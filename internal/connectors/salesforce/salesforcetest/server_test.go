package salesforcetest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

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
		{"an id", "PATCH", byNumber, records(account(`"id":"0015g0000000001AAA","Account_Number__c":"a"`)), "INVALID_FIELD"},
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

// What describe calls neither createable nor updateable cannot be written, whatever its kind.
func Test_compound_fields_are_written_by_their_parts_alone(t *testing.T) {
	c := start(t)
	for _, field := range []string{`"BillingAddress":"1 Main St"`, `"Score_Percent__c":1`, `"CreatedDate":"2026-01-01T00:00:00Z"`} {
		c.json("PATCH", byNumber, `{"records":[{"attributes":{"type":"Account"},"Account_Number__c":"c","Name":"C",`+field+`}]}`, 200, "INVALID_FIELD_FOR_INSERT_UPDATE")
	}
	c.json("PATCH", byNumber, `{"records":[{"attributes":{"type":"Account"},"Account_Number__c":"c","Name":"C","BillingCity":"Rome"}]}`, 200, `"success":true`)
	c.json("POST", "jobs/ingest", `{"object":"Account","operation":"insert","speed":"fast"}`, 400, "JSON_PARSER_ERROR")
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
		`SELECT Name FROM Account WHERE Name LIKE 'o\'n_i%'`:                                       `"totalSize":1`,
		`SELECT Name FROM Account WHERE Name LIKE 'neil'`:                                          `"totalSize":0`,
		`SELECT Name FROM Account WHERE Health_Score__c LIKE '5'`:                                  `INVALID_FIELD`,
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

func Benchmark_collections_of_200_records(b *testing.B) {
	s, err := salesforcetest.Start("")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	resp, err := http.PostForm(s.URL()+"/services/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {salesforcetest.ClientID}, "client_secret": {salesforcetest.ClientSecret}})
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
		req, err := http.NewRequest("PATCH", s.URL()+api+byNumber, &body)
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
