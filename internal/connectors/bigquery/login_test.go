package bigquery

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
	"github.com/upwelldata/upwell/internal/fault"
)

func Test_every_way_to_sign_in(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name    string
		over    map[string]string
		env     string
		granted string
	}{
		{"a key", nil, "", "key"},
		{"a key in a file", map[string]string{"credentials": "", "credentials_file": file("key.json", s.Key())}, "", "key"},
		{"application default credentials", map[string]string{"credentials": ""}, file("default.json", s.Key()), "key"},
		{"acting as another account", map[string]string{"impersonate": bigquerytest.Other, "iam_endpoint": "http://" + s.Addr()}, "", "act"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", c.env)
			before := s.Stats().Granted[c.granted]
			o := openWith(t, s, c.over)
			if err := o.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.Stats().Granted[c.granted]; got != before+1 {
				t.Errorf("%d tokens", got-before)
			}
		})
	}
}

func Test_a_refused_sign_in_says_what_to_do(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	missing := filepath.Join(t.TempDir(), "no.json")
	for name, c := range map[string]struct {
		over  map[string]string
		words []string
	}{
		"a key that is not listed":     {map[string]string{"credentials": wrongKey}, []string{"invalid_grant", "Invalid JWT Signature", "key in the credentials"}},
		"an account that may not act":  {map[string]string{"impersonate": "boss@acme-test.iam.gserviceaccount.com", "iam_endpoint": "http://" + s.Addr()}, []string{"iam.serviceAccounts.getAccessToken", "roles/iam.serviceAccountTokenCreator"}},
		"no default credentials":       {map[string]string{"credentials": ""}, []string{"application default credentials", "gcloud auth"}},
		"a token that is never enough": {nil, []string{"authentication credentials"}},
	} {
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", missing)
		if c.over == nil {
			s.Inject(bigquerytest.Fault{On: "insert", Expire: true, Times: -1})
		}
		o := openWith(t, s, c.over)
		err := o.Check(t.Context())
		wantFault(t, err, fault.SourceAuth, c.words...)
		if strings.Contains(err.Error(), "PRIVATE KEY") {
			t.Errorf("%s: %v", name, err)
		}
		s.ClearFaults()
	}
}

func Test_a_sign_in_out_of_reach_is_no_refusal(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	o := openWith(t, s, nil)
	s.Inject(bigquerytest.Fault{On: "token", Status: http.StatusServiceUnavailable, Times: -1})
	wantFault(t, o.Check(t.Context()), fault.SourceUnreachable)
	s.ClearFaults()
	s.Inject(bigquerytest.Fault{On: "token", Status: http.StatusServiceUnavailable, Times: tries - 1})
	if err := o.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func Test_settings_that_cannot_work_are_refused(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	for _, over := range []map[string]string{
		{"credentials_file": "key.json"},
		{"credentials": "not json"},
		{"credentials": `{"type":"gdch_service_account"}`},
		{"credentials": `{"type":"service_account","private_key":"x"}`},
		{"credentials": "", "credentials_file": "nowhere.json"},
		{"endpoint": "http://bigquery.example"},
		{"endpoint": "bigquery.example"},
		{"storage_endpoint": "ftp://x"},
		{"iam_endpoint": "https://user@iam.example"},
	} {
		settings := s.Settings()
		for k, v := range over {
			if settings[k] = v; v == "" {
				delete(settings, k)
			}
		}
		o, err := Source().Open(t.Context(), connector.NewConfig(settings, nil, nil), connector.Env{Name: "w", ProjectDir: t.TempDir()})
		if err == nil {
			err = o.Check(t.Context())
			_ = o.Close()
		}
		f := fault.As(err)
		if f == nil || f.Code != fault.ProjectValue && f.Code != fault.SourceAuth {
			t.Errorf("%v: %v", over, err)
		}
	}
}

func Test_a_label_is_made_of_any_name(t *testing.T) {
	for name, want := range map[string]string{"Warehouse EU": "warehouse_eu", "é": "_", strings.Repeat("x", 80): strings.Repeat("x", 63)} {
		if got := label(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	var key struct{ Type string }
	if err := json.Unmarshal([]byte(wrongKey), &key); err != nil || key.Type != "service_account" {
		t.Errorf("%+v, %v", key, err)
	}
}

func Test_a_private_address_is_reached_only_where_it_is_allowed(t *testing.T) {
	s := standIn(t, bigquerytest.Options{})
	err := openWith(t, s, map[string]string{"allow_private": ""}).Check(t.Context())
	wantFault(t, err, fault.SourceUnreachable, "loopback", "allow_private: true")
}
