package salesforce_test

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/salesforce"
	"github.com/upwelldata/upwell/internal/connectors/salesforce/salesforcetest"
	"github.com/upwelldata/upwell/internal/fault"
)

const tokenRoute = "oauth2/token"

func Test_check_tells_the_organisation_and_its_version(t *testing.T) {
	o := start(t)
	a, err := o.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(a.ID, "00D") || a.Version != "v66.0" || a.Name != o.Addr() {
		t.Errorf("%+v", a)
	}
}

func Test_check_of_a_user_who_may_not_see_limits_reads_the_header(t *testing.T) {
	o := start(t, salesforcetest.WithDailyLimit(70))
	o.Inject(salesforcetest.Fault{Match: "/limits", Status: 403, Body: `[{"errorCode":"INSUFFICIENT_ACCESS","message":"no"}]`})
	a, err := o.Check(t.Context())
	if err != nil || len(a.Windows) != 1 || a.Windows[0].Requests != 70 {
		t.Errorf("%v %+v", err, a)
	}
}

func Test_a_version_the_org_does_not_offer_is_named(t *testing.T) {
	o := start(t)
	for _, version := range []string{"v99.0", "v30.0"} { // not there yet, and retired
		_, err := o.open(o.with("api_version", version)).Check(t.Context())
		f := wantFault(t, err, fault.DestConfig, fault.ClassConfig, fault.LandedNo)
		if !strings.Contains(f.Message, version) || !strings.Contains(f.GetFix(), "api_version") {
			t.Error(f)
		}
	}
}

func Test_eight_workers_that_meet_an_expired_token_refresh_it_once(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a"))
	if n := o.Requests(tokenRoute); n != 1 {
		t.Fatalf("%d logins before", n)
	}
	o.ExpireTokens()
	// All eight are answered 401 together: none is let through before the last has arrived.
	arrived, hold := make(chan struct{}), make(chan struct{})
	o.Inject(salesforcetest.Fault{Match: "composite", Times: 8, Arrived: arrived, Hold: hold})
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for n := range errs {
		wg.Go(func() {
			out := connector.NewOutcomes(1)
			errs[n] = o.Write(t.Context(), to, b, out)
			if errs[n] == nil && out.Result(0).Status != connector.Delivered {
				t.Errorf("worker %d: %+v", n, out.Result(0))
			}
		})
	}
	for range errs {
		<-arrived
	}
	close(hold)
	wg.Wait()
	for n, err := range errs {
		if err != nil {
			t.Errorf("worker %d: %v", n, err)
		}
	}
	if n := o.Requests(tokenRoute); n != 2 {
		t.Errorf("%d logins, want one more than before", n-1)
	}
}

func Test_a_token_that_stays_refused_ends_in_an_auth_fault(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a"))
	o.Inject(salesforcetest.Fault{Match: "composite", Times: -1, Status: 401, Body: `[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]`})
	err := o.Write(t.Context(), to, b, connector.NewOutcomes(1))
	wantFault(t, err, fault.DestAuth, fault.ClassAuth, fault.LandedNo)
	if n := o.Requests("composite/sobjects/{object}/{ext}"); n != 2 {
		t.Errorf("%d requests, want one and one more", n)
	}
}

func Test_wrong_secrets_are_an_auth_fault_and_never_shown(t *testing.T) {
	o := start(t)
	for name, settings := range map[string]map[string]string{
		"client secret": o.with("client_secret", "wrong-secret-canary"),
		"client id":     o.with("client_id", "nobody"),
		"refresh token": o.with("refresh_token", "wrong-secret-canary"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := o.open(settings).Check(t.Context())
			f := wantFault(t, err, fault.DestAuth, fault.ClassAuth, fault.LandedNo)
			for _, text := range []string{f.Error(), f.GetFix()} {
				if strings.Contains(text, "canary") || strings.Contains(text, salesforcetest.ClientSecret) {
					t.Errorf("a secret is shown: %s", text)
				}
			}
		})
	}
}

func Test_secrets_echoed_by_the_other_side_are_never_shown(t *testing.T) {
	o := start(t)
	to, b := o.batch(accounts("a"))
	o.Inject(salesforcetest.Fault{Match: "composite", Status: 400, Body: `[{"errorCode":"ODD","message":"you sent ` + salesforcetest.ClientSecret + ` as secret"}]`})
	out := connector.NewOutcomes(1)
	err := o.Write(t.Context(), to, b, out)
	if err == nil {
		t.Fatal("no error")
	}
	o.Inject(salesforcetest.Fault{Match: "composite", Status: 200, Body: `[{"success":false,"errors":[{"statusCode":"ODD ` + salesforcetest.ClientSecret + `","message":"` + salesforcetest.ClientSecret + `","fields":["` + salesforcetest.ClientSecret + `"]}]}]`})
	rowed := connector.NewOutcomes(1)
	if err := o.Write(t.Context(), to, b, rowed); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{err.Error(), out.Request, out.Response, rowed.Result(0).Message, rowed.Response, string(rowed.Result(0).Code), rowed.Result(0).Field} {
		if strings.Contains(s, salesforcetest.ClientSecret) {
			t.Errorf("a secret is shown: %s", s)
		}
	}
	if !strings.Contains(rowed.Result(0).Message, "[secret]") {
		t.Errorf("%q", rowed.Result(0).Message)
	}
}

func jwtSettings(o *org, pairs ...string) map[string]string {
	return o.with(append([]string{"client_secret", "", "jwt.username", salesforcetest.Username, "jwt.private_key", o.JWTKey()}, pairs...)...)
}

func Test_a_signed_assertion_logs_in(t *testing.T) {
	o := start(t)
	d := o.open(jwtSettings(o))
	if _, err := d.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.ExpireTokens()
	if _, err := d.Check(t.Context()); err != nil {
		t.Errorf("after the token ended: %v", err)
	}
}

func Test_assertions_of_others_are_refused(t *testing.T) {
	o := start(t)
	other := start(t)
	for name, settings := range map[string]map[string]string{
		"another key":      jwtSettings(o, "jwt.private_key", other.JWTKey()),
		"another user":     jwtSettings(o, "jwt.username", "somebody@acme.example"),
		"another audience": jwtSettings(o, "jwt.audience", "https://login.salesforce.com"),
		"another client":   jwtSettings(o, "client_id", "somebody"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := o.open(settings).Check(t.Context())
			f := wantFault(t, err, fault.DestAuth, fault.ClassAuth, fault.LandedNo)
			if strings.Contains(f.Error(), "PRIVATE KEY") || strings.Contains(f.Error(), "eyJ") {
				t.Errorf("a secret is shown: %v", f)
			}
		})
	}
}

func Test_a_rotated_refresh_token_is_kept_before_the_access_token_is_used(t *testing.T) {
	o := start(t, salesforcetest.WithRotation())
	first := o.RefreshToken()
	settings := o.with("refresh_token", first)
	if _, err := o.open(settings).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := o.RefreshToken()
	if second == first {
		t.Fatal("the stand-in did not rotate")
	}
	file := filepath.Join(o.dir, "salesforce_refresh_token.json")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), strings.Trim(quoteJSON(second), `"`)) {
		t.Errorf("%v %s", err, b)
	}
	// Another process, later: the configured token is dead, the kept one works.
	if _, err := o.open(settings).Check(t.Context()); err != nil {
		t.Errorf("the next process: %v", err)
	}
}

func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func Test_a_token_that_cannot_be_kept_is_not_used(t *testing.T) {
	o := start(t, salesforcetest.WithRotation())
	settings := o.with("refresh_token", o.RefreshToken())
	o.dir = "" // no state folder
	before := o.Stats().Total
	_, err := o.open(settings).Check(t.Context())
	f := fault.As(err)
	if f == nil || f.Code != fault.StateUnusable {
		t.Fatalf("%v", err)
	}
	if n := o.Stats().Total - before; n > 1 {
		t.Errorf("%d requests: the access token was used although its refresh token is lost", n)
	}
	if strings.Contains(err.Error(), o.RefreshToken()) {
		t.Error("a secret is shown")
	}
}

func Test_a_death_between_reply_and_save_ends_in_an_auth_fault_without_a_loop(t *testing.T) {
	o := start(t, salesforcetest.WithRotation())
	settings := o.with("refresh_token", o.RefreshToken())
	if _, err := o.open(settings).Check(t.Context()); err != nil { // rotated once and kept
		t.Fatal(err)
	}
	// The org rotated again, the answer never arrived.
	o.Inject(salesforcetest.Fault{Match: tokenRoute, ResetAfterApply: true})
	if _, err := o.open(settings).Check(t.Context()); err == nil {
		t.Fatal("no error")
	}
	before := o.Requests(tokenRoute)
	d := o.open(settings)
	for range 3 {
		_, err := d.Check(t.Context())
		f := wantFault(t, err, fault.DestAuth, fault.ClassAuth, fault.LandedNo)
		if !strings.Contains(f.GetFix(), "new refresh token") {
			t.Errorf("remedy: %s", f.GetFix())
		}
	}
	if n := o.Requests(tokenRoute) - before; n != 1 {
		t.Errorf("%d tries with a dead token", n)
	}
	// A person configures a new one: the state folder does not stand in the way.
	if _, err := o.open(o.with("refresh_token", o.RefreshToken())).Check(t.Context()); err != nil {
		t.Errorf("with a new token: %v", err)
	}
}

func Test_a_token_another_process_rotated_is_picked_up(t *testing.T) {
	o := start(t, salesforcetest.WithRotation())
	settings := o.with("refresh_token", o.RefreshToken())
	a, b := o.open(settings), o.open(settings)
	for n, d := range []connector.Destination{a, b, a, b, a} {
		o.ExpireTokens()
		if _, err := d.Check(t.Context()); err != nil {
			t.Fatalf("turn %d: %v", n, err)
		}
	}
}

func Test_a_token_rotated_while_the_old_one_was_under_way_is_picked_up(t *testing.T) {
	o := start(t, salesforcetest.WithRotation())
	settings := o.with("refresh_token", o.RefreshToken())
	slow, quick := o.open(settings), o.open(settings)
	arrived, hold := make(chan struct{}), make(chan struct{})
	o.Inject(salesforcetest.Fault{Match: tokenRoute, Arrived: arrived, Hold: hold})
	end := make(chan error, 1)
	go func() {
		_, err := slow.Check(t.Context())
		end <- err
	}()
	<-arrived
	if _, err := quick.Check(t.Context()); err != nil {
		t.Error(err)
	}
	close(hold)
	if err := <-end; err != nil {
		t.Error(err)
	}
	if n := o.Requests(tokenRoute); n != 3 {
		t.Errorf("%d token calls, want the quick one, the refused one and its repetition", n)
	}
}

func Test_a_state_folder_that_cannot_be_used_is_reported_before_the_token_is_spent(t *testing.T) {
	o := start(t, salesforcetest.WithRotation())
	first := o.RefreshToken()
	file := filepath.Join(o.dir, "file")
	if err := os.Symlink(filepath.Join(o.dir, "nowhere", "at", "all"), file); err != nil {
		t.Fatal(err)
	}
	o.dir = file // a link that leads nowhere: reading finds nothing, making it fails
	if _, err := o.open(o.with("refresh_token", first)).Check(t.Context()); !fault.Is(err, fault.StateUnusable) {
		t.Errorf("%v", err)
	}
	if o.RefreshToken() != first {
		t.Error("the token was spent")
	}
}

func Test_a_rotated_token_is_never_shown(t *testing.T) {
	o := start(t, salesforcetest.WithRotation())
	d := o.open(o.with("refresh_token", o.RefreshToken()))
	if _, err := d.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Inject(salesforcetest.Fault{Match: "/limits", Status: 400, Body: `[{"errorCode":"ODD","message":"seen ` + o.RefreshToken() + `"}]`})
	_, err := d.Check(t.Context())
	if err == nil || strings.Contains(err.Error(), o.RefreshToken()) {
		t.Errorf("%v", err)
	}
}

func Test_a_kept_token_that_cannot_be_read_is_reported(t *testing.T) {
	o := start(t)
	settings := o.with("refresh_token", o.RefreshToken())
	if err := os.WriteFile(filepath.Join(o.dir, "salesforce_refresh_token.json"), []byte(`{"refresh_token":`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := o.open(settings).Check(t.Context())
	if !fault.Is(err, fault.StateCorrupt) {
		t.Errorf("%v", err)
	}
}

func Test_settings_that_cannot_work_are_refused_on_opening(t *testing.T) {
	o := start(t)
	for _, c := range []struct {
		name     string
		settings map[string]string
		says     string
	}{
		{"no login", o.with("client_secret", ""), "log in"},
		{"no client", o.with("client_id", ""), "client_id"},
		{"two logins", jwtSettings(o, "refresh_token", "x"), "two ways"},
		{"jwt without key", o.with("jwt.username", "x"), "private_key"},
		{"jwt without user", jwtSettings(o, "jwt.username", ""), "username"},
		{"bad key", jwtSettings(o, "jwt.private_key", "canary-not-a-key"), "PEM"},
		{"http to the world", o.with("instance_url", "http://acme.my.salesforce.com"), "https"},
		{"http without allow_private", o.with("allow_private", ""), "https"},
		{"no address", o.with("instance_url", "acme"), "address"},
		{"the browser's address", o.with("instance_url", "https://acme.lightning.force.com/lightning/page/home"), "my.salesforce.com"},
		{"the setup's address", o.with("instance_url", "https://acme.my.salesforce-setup.com"), "my.salesforce.com"},
		{"token url by http", o.with("token_url", "http://login.salesforce.com/services/oauth2/token"), "https"},
		{"version", o.with("api_version", "latest"), "v66.0"},
		{"batch", o.with("batch_size", "201"), "200"},
		{"concurrency", o.with("concurrency", "26"), "25"},
		{"bulk bytes", o.with("bulk.max_bytes", "200MB"), "100MB"},
		{"authorities that are not there", o.with("ca_file", "certs/nowhere.pem"), "ca_file"},
		{"bulk rows", o.with("bulk.max_rows", "0"), "positive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o.t = t
			_, err := o.tryOpen(c.settings)
			if err == nil {
				t.Fatal("opened")
			}
			text := err.Error() + fault.As(err).GetFix()
			if !strings.Contains(text, c.says) || strings.Contains(text, "canary") {
				t.Error(text)
			}
		})
	}
}

// A proxy that looks into TLS signs with an authority of its own, whose file is named relative to the project.
func Test_a_further_authority_is_read_from_the_project(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer srv.Close()
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{"instance_url": srv.URL, "client_id": "id", "client_secret": "a-secret", "allow_private": "true"}
	for file, want := range map[string]fault.Code{"": fault.DestTLS, "ca.pem": fault.DestConfig} {
		if settings["ca_file"] = file; file == "" {
			delete(settings, "ca_file")
		}
		d, err := salesforce.Connector().Open(t.Context(), connector.NewConfig(settings, nil, nil), connector.Env{ProjectDir: dir, StateDir: dir, Name: "crm"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Check(t.Context()); !fault.Is(err, want) {
			t.Errorf("with %q: %v; want %s", file, err, want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func Test_a_login_that_leads_to_an_address_without_encryption_is_refused(t *testing.T) {
	o := start(t)
	o.Inject(salesforcetest.Fault{Match: tokenRoute, Status: 200, Body: `{"access_token":"x1234567","instance_url":"http://evil.example"}`})
	_, err := o.Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("%v", err)
	}
}

func Test_requests_go_to_the_instance_the_login_names(t *testing.T) {
	o := start(t)
	other := start(t)
	d := o.open(other.with("token_url", other.URL()+"/services/oauth2/token", "instance_url", o.URL()))
	if _, err := d.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o.Requests("limits") != 0 || other.Requests("limits") != 1 {
		t.Error("the request went to the configured address")
	}
}
