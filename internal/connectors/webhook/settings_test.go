package webhook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/webhook/webhooktest"
	"github.com/upwelldata/upwell/internal/fault"
)

func Test_settings_are_checked_when_opened(t *testing.T) {
	base := map[string]string{"url": "https://example.com/h"}
	for name, more := range map[string][]string{
		"no url":                     {"url", ""},
		"not http":                   {"url", "ftp://example.com"},
		"password in the url":        {"url", "https://u:p@example.com"},
		"bearer without token":       {"auth.type", "bearer"},
		"basic without password":     {"auth.type", "basic", "auth.username", "u"},
		"token without type":         {"auth.token", "t"},
		"header without value":       {"auth.type", "header", "auth.name", "X"},
		"a secret that is no base64": {"signing_secret", "whsec_???"},
		"a short secret":             {"signing_secret", "whsec_YWJj"},
		"own content-length":         {"headers.Content-Length", "3"},
		"own signature":              {"headers.webhook-id", "3", "signing_secret", webhooktest.SigningSecret},
		"body does not compile":      {"body", "rows.map("},
		"success of another name":    {"success", "code == 200"},
		"results does not compile":   {"results", "body.["},
		"no such ca_file":            {"ca_file", "missing.pem"},
		"too many rows":              {"batch.max_rows", "100000"},
		"too few bytes":              {"batch.max_bytes", "10"},
		"too many at once":           {"concurrency", "1000"},
		"too long":                   {"timeout", "1h"},
		"a token in the clear":       {"url", "http://example.com/h", "auth.type", "bearer", "auth.token", "t-0815"},
	} {
		if _, err := tryOpen(t, with(base, more...)); err == nil || fault.As(err).GetClass() != fault.ClassConfig {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, fine := range [][]string{
		{"url", "http://example.com/h"}, {"url", "http://10.0.0.7/h", "allow_private", "true", "auth.type", "bearer", "auth.token", "t-0815"},
	} {
		if _, err := tryOpen(t, with(base, fine...)); err != nil {
			t.Errorf("%v: %v", fine, err)
		}
	}
	d := connect(t, with(base, "headers.X-A", "1", "auth.type", "header", "auth.name", "X-Key", "auth.value", "v", "batch.max_rows", "7", "timeout", "5s"))
	objects, err := d.Objects(t.Context(), []string{"anything", "else"})
	if err != nil || len(objects) != 2 || !objects[0].FreeField || objects[0].Ops[connector.OpUpsert].MaxRows != 7 {
		t.Errorf("%+v %v", objects, err)
	}
	for op, want := range map[connector.Op]bool{connector.OpUpsert: true, connector.OpUpdate: true, connector.OpDelete: true, connector.OpClear: true, connector.OpInsert: false, connector.OpAppend: false} {
		o := objects[0].Ops[op]
		if o.Idempotent != want || o.Partial || o.Dedupes != 0 {
			t.Errorf("%s: %+v", op, o)
		}
	}
	if d.Timeout() != 5*time.Second {
		t.Errorf("timeout %v", d.Timeout())
	}
}

func Test_settings_reach_the_wire(t *testing.T) {
	c := receiver(t)
	d := connect(t, c.settings("method", "PUT", "headers.X-Team", "revops", "headers.Content-Type", "application/vnd.api+json", "headers.Idempotency-Key", "mine", "auth.type", "basic", "auth.username", "ann", "auth.password", "hunter22"))
	if _, err := write(t, d, connector.OpUpsert, people(1)); err != nil {
		t.Fatal(err)
	}
	user, pass, _ := (&http.Request{Header: c.header}).BasicAuth()
	if c.method != "PUT" || c.header.Get("X-Team") != "revops" || c.header.Get("Content-Type") != "application/vnd.api+json" || user != "ann" || pass != "hunter22" || c.header.Get("Idempotency-Key") != "mine" {
		t.Errorf("%s %v", c.method, c.header)
	}
}

func Test_a_check_changes_nothing_and_knows_a_bad_login(t *testing.T) {
	s := standIn(t)
	a, err := connect(t, s.Settings()).Check(t.Context())
	if err != nil || a.ID == "" || a.Name != s.Addr() {
		t.Errorf("%+v %v", a, err)
	}
	_, err = connect(t, with(s.Settings(), "auth.token", "a-wrong-token-value")).Check(t.Context())
	if !fault.Is(err, fault.DestAuth) || strings.Contains(err.Error(), "a-wrong-token-value") {
		t.Errorf("%v", err)
	}
	if len(s.Objects()) != 0 {
		t.Error("the check wrote something")
	}
	c := receiver(t)
	for status, ok := range map[int]bool{200: true, 204: true, 404: true, 405: true, 403: true, 501: true, 503: false, 502: false, 401: false} {
		c.status = status
		if _, err := connect(t, c.settings()).Check(t.Context()); (err == nil) != ok {
			t.Errorf("%d: %v", status, err)
		}
	}
	c.Close()
	if _, err := connect(t, c.settings()).Check(t.Context()); !fault.Is(err, fault.DestUnreachable) {
		t.Errorf("%v", err)
	}
	if _, err := connect(t, with(s.Settings(), "allow_private", "")).Check(t.Context()); !fault.Is(err, fault.DestAddressBlocked) {
		t.Errorf("%v", err)
	}
}
