package salesforce_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector/conformance"
	"github.com/upwelldata/upwell/internal/row"
)

// liveOrg looks at a real org past the connector: it logs in, queries and deletes by itself.
type liveOrg struct {
	testing.TB
	client            *http.Client
	base, token, data string
}

func newLiveOrg(t testing.TB, settings map[string]string) *liveOrg {
	t.Helper()
	o := &liveOrg{TB: t, data: "/services/data/v66.0", client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}}
	t.Cleanup(o.client.CloseIdleConnections)
	base := strings.TrimSuffix(settings["instance_url"], "/")
	at := base + "/services/oauth2/token"
	if settings["token_url"] != "" {
		at = settings["token_url"]
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {settings["client_id"]}, "client_secret": {settings["client_secret"]}}
	var answer struct {
		AccessToken string `json:"access_token"`
		InstanceURL string `json:"instance_url"`
	}
	o.call(http.MethodPost, at, "application/x-www-form-urlencoded", []byte(form.Encode()), &answer)
	if answer.AccessToken == "" {
		t.Fatal("the org gave no token: the kit looks at it with client_id and client_secret")
	}
	o.base, o.token = strings.TrimSuffix(answer.InstanceURL, "/"), answer.AccessToken
	return o
}

func (o *liveOrg) call(method, at, kind string, body []byte, into any) {
	o.Helper()
	req, err := http.NewRequest(method, at, bytes.NewReader(body))
	if err != nil {
		o.Fatal(err)
	}
	if req.Header.Set("Content-Type", kind); o.token != "" {
		req.Header.Set("Authorization", "Bearer "+o.token)
	}
	res, err := o.client.Do(req)
	if err != nil {
		o.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		o.Fatalf("%s %s: %s: %s %v", method, req.URL.Path, res.Status, answer, err)
	}
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		o.Fatal(err)
	}
}

// query gives all records of a query, page by page.
func (o *liveOrg) query(soql string) (out []map[string]any) {
	o.Helper()
	for at := o.data + "/query?q=" + url.QueryEscape(soql); at != ""; {
		var page struct {
			Records []map[string]any `json:"records"`
			Next    string           `json:"nextRecordsUrl"`
		}
		o.call(http.MethodGet, o.base+at, "application/json", nil, &page)
		out, at = append(out, page.Records...), page.Next
	}
	return out
}

// liveWorld is the records of Account whose number begins with a name of this check's own; they are deleted in the end.
func liveWorld(t testing.TB, a conformance.Account, kinds map[string]row.Kind) conformance.World {
	t.Helper()
	prefix := strings.ReplaceAll(a.Name, "_", "-") + "-"
	o := newLiveOrg(t, a.Settings)
	fields := append(slices.Sorted(maps.Keys(kinds)), "Account_Number__c", "Name", "Health_Tier__c")
	where := " FROM Account WHERE Account_Number__c LIKE '%" + prefix + "%'" // one check tries a key with a blank before it
	t.Cleanup(func() {
		for list := range slices.Chunk(o.query("SELECT Id"+where), 200) {
			var ids []string
			for _, rec := range list {
				ids = append(ids, fmt.Sprint(rec["Id"]))
			}
			var results []struct {
				Success bool `json:"success"`
			}
			o.call(http.MethodDelete, o.base+o.data+"/composite/sobjects?ids="+strings.Join(ids, ",")+"&allOrNone=false", "application/json", nil, &results)
			for i, r := range results {
				if !r.Success {
					t.Errorf("the Account %s is left in the org", ids[i])
				}
			}
		}
	})
	return conformance.World{
		Settings: a.Settings, Prefix: prefix,
		Records: func() (out []conformance.Record) {
			for _, rec := range o.query("SELECT " + strings.Join(fields, ", ") + where) {
				r := conformance.Record{}
				for _, name := range fields {
					r[name] = asRead(kinds, name, rec[name])
				}
				out = append(out, r)
			}
			return out
		},
	}
}
