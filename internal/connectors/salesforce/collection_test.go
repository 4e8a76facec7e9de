package salesforce_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
)

// vendorRequest is one request of the collection Salesforce publishes (github.com/forcedotcom/postman-salesforce-apis).
type vendorRequest struct {
	Name    string `json:"name"`
	Method  string `json:"method"`
	URL     string `json:"url"`
	Headers string `json:"headers"`
	Data    []struct {
		Key string `json:"key"`
	} `json:"data"`
	path  *regexp.Regexp
	query []string
}

// vendorRequests reads the collection from the folder of shared data, where there is one: it is too large to keep in the repository.
func vendorRequests(t *testing.T) []vendorRequest {
	t.Helper()
	shared := os.Getenv("UPWELL_SHARED")
	if shared == "" {
		t.Skip("the vendor's collection is read from UPWELL_SHARED/specs/salesforce, and UPWELL_SHARED is not set")
	}
	files, err := filepath.Glob(filepath.Join(shared, "specs/salesforce/src/collections/salesforce_apis/*/*.json"))
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files of the collection below UPWELL_SHARED, %v", len(files), err)
	}
	var out []vendorRequest
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var r vendorRequest
		if err := json.Unmarshal(content, &r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		address := regexp.MustCompile(`^({{\w+}})+`).ReplaceAllString(r.URL, "")
		path, query, _ := strings.Cut(address, "?")
		form := regexp.QuoteMeta(strings.TrimSuffix(path, "/"))
		form = strings.ReplaceAll(form, regexp.QuoteMeta("v{{version}}"), `v\d\d\.0`)
		form = regexp.MustCompile(`\\{\\{\w+\\}\\}|<\w+>`).ReplaceAllString(form, `[^/]+`)
		r.path = regexp.MustCompile("^" + form + "/?$")
		for pair := range strings.SplitSeq(query, "&") {
			name, _, _ := strings.Cut(pair, "=")
			r.query = append(r.query, name)
		}
		out = append(out, r)
	}
	return out
}

// newer are requests the collection of 2021 lacks or writes otherwise than the reference does, which counts.
var newer = []struct{ method, path, page string }{
	{"PATCH", `/services/data/v66\.0/composite/sobjects/\w+/\w+`, "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-upsert.html"},
	{"PATCH", `/services/data/v66\.0/composite/sobjects`, "https://developer.salesforce.com/docs/atlas.en-us.264.0.api_rest.meta/api_rest/resources_composite_sobjects_collections_update.htm"},
	{"DELETE", `/services/data/v66\.0/composite/sobjects`, "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-delete.html"},
	{"GET", `/services/data/v66\.0/query/[\w-]+`, "https://developer.salesforce.com/docs/platform/api-rest/guide/resources-query.html"},
}

func Test_every_request_is_one_of_the_vendors_collection(t *testing.T) {
	requests := vendorRequests(t)
	log := conversation(t)
	o := start(t)
	for _, login := range []map[string]string{
		{"client_secret": "", "jwt.username": salesforcetest.Username, "jwt.private_key": o.JWTKey()}, {"refresh_token": o.RefreshToken()},
	} {
		settings := o.with()
		for k, v := range login {
			settings[k] = v
		}
		if _, err := o.open(settings).Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	log = append(log, o.Stats().Log...)
	used := make([]bool, len(newer))
	forms := map[string]bool{}
	for _, c := range log {
		query, err := url.ParseQuery(c.Query)
		if err != nil {
			t.Fatal(err)
		}
		known := false
		for _, r := range requests {
			if r.Method != c.Method || !r.path.MatchString(c.Path) || c.Form != nil && !r.takes(c.Form) {
				continue
			}
			known = true
			for name := range query {
				if !slices.Contains(r.query, name) {
					t.Errorf("%s %s has the parameter %s, which %q has not", c.Method, c.Path, name, r.Name)
				}
			}
			if want, ok := strings.CutPrefix(r.Headers, "Content-Type: "); ok && c.Method != "GET" && c.Kind != strings.TrimSpace(want) {
				t.Errorf("%s %s has content type %q; %q has %s", c.Method, c.Path, c.Kind, r.Name, want)
			}
			forms[strings.Join(c.Form, " ")] = true
		}
		for n, e := range newer {
			if !known && c.Method == e.method && regexp.MustCompile("^"+e.path+"$").MatchString(c.Path) {
				known, used[n] = true, true
			}
		}
		// The flow of 2022 is younger than the collection.
		if !known && strings.Join(c.Form, " ") != "client_id client_secret grant_type" {
			t.Errorf("%s %s %v is not in the collection, nor known to be newer", c.Method, c.Path, c.Form)
		}
	}
	for n, e := range newer {
		if !used[n] {
			t.Errorf("%s %s is listed as newer and never sent, or is in the collection", e.method, e.path)
		}
	}
	if !forms["assertion grant_type"] || !forms["client_id client_secret grant_type refresh_token"] {
		t.Errorf("the logins had the forms %v", forms)
	}
}

// takes reports a login whose form has these names.
func (r *vendorRequest) takes(form []string) bool {
	var names []string
	for _, d := range r.Data {
		names = append(names, d.Key)
	}
	slices.Sort(names)
	return slices.Equal(names, form)
}
