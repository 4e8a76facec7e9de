package redshift_test

import (
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/redshift"
	"github.com/upwelldata/upwell/internal/connectors/redshift/redshifttest"
	"github.com/upwelldata/upwell/internal/fault"
)

func newAWS(t *testing.T) (*cluster, *redshifttest.AWS) {
	t.Helper()
	c := newCluster(t, redshifttest.Options{})
	a, err := redshifttest.StartAWS(t.Context(), c.Server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return c, a
}

func with(m map[string]string, kv ...string) map[string]string {
	m = maps.Clone(m)
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}

func Test_temporary_credentials_log_in(t *testing.T) {
	_, a := newAWS(t)
	for what, settings := range map[string]map[string]string{
		"the identity's own user of a cluster": a.IAM(false),
		"a named user of a cluster":            with(a.IAM(false), "user", "upwell"),
		"a serverless workgroup":               a.IAM(true),
	} {
		before := a.Calls()
		s := open(t, settings)
		for range 3 {
			if rows, err := read(t.Context(), s, connector.Query{SQL: "SELECT 1 AS n"}); err != nil || len(rows) != 1 {
				t.Errorf("%s: %v, %v", what, rows, err)
			}
		}
		if n := a.Calls() - before; n != 1 {
			t.Errorf("%s: AWS was asked %d times for three reads", what, n)
		}
	}
}

func Test_many_connections_ask_for_credentials_once(t *testing.T) {
	_, a := newAWS(t)
	s := open(t, a.IAM(false))
	until := make(chan struct{})
	a.Hold(until)
	var wg sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		wg.Go(func() { errs[i] = s.Check(t.Context()) })
	}
	waitFor(t, "AWS is asked", func() bool { return a.Calls() > 0 })
	close(until)
	wg.Wait()
	if err := errors.Join(errs...); err != nil || a.Calls() != 1 {
		t.Errorf("%d calls, %v", a.Calls(), err)
	}
}

func Test_credentials_are_renewed_before_and_after_their_end(t *testing.T) {
	c, a := newAWS(t)
	a.Lives(20 * time.Second) // ends so soon that it is not used twice
	s := open(t, a.IAM(false))
	for range 2 {
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if a.Calls() != 2 {
		t.Errorf("%d calls for two checks with credentials that end at once", a.Calls())
	}
	a.Lives(15 * time.Minute)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.SetUser("IAM:upwell-identity", redshifttest.User{Password: "another", Expires: time.Now().Add(time.Hour)}) // theirs has ended early
	if err := s.Check(t.Context()); err != nil || a.Calls() != 4 {
		t.Errorf("credentials that ended early: %d calls, %v", a.Calls(), err)
	}
}

func Test_what_aws_refuses_is_explained_without_secrets(t *testing.T) {
	_, a := newAWS(t)
	check := func(what string, settings map[string]string, code fault.Code, says string) {
		t.Helper()
		err := open(t, settings).Check(t.Context())
		f := fault.As(err)
		if f == nil || f.Code != code || !strings.Contains(f.Message+" "+f.GetFix(), says) {
			t.Errorf("%s: %v; want %s with %q", what, err, code, says)
			return
		}
		for _, secret := range []string{settings["iam.secret_access_key"], settings["iam.session_token"]} {
			if strings.Contains(f.Error()+f.GetFix(), secret) {
				t.Errorf("%s shows a secret: %v", what, err)
			}
		}
	}
	check("another key", with(a.IAM(false), "iam.access_key_id", "AKIDSTRANGER"), fault.SourceAuth, "SignatureDoesNotMatch")
	check("another token", with(a.IAM(false), "iam.session_token", "wrong-token-0815"), fault.SourceAuth, "SignatureDoesNotMatch")
	check("another region", with(a.IAM(false), "iam.region", "us-east-1"), fault.SourceAuth, "SignatureDoesNotMatch")
	check("another cluster", with(a.IAM(false), "iam.cluster", "nowhere"), fault.SourceUnreachable, "iam.cluster")
	check("another workgroup", with(a.IAM(true), "iam.workgroup", "nowhere"), fault.SourceUnreachable, "iam.workgroup")
	check("AWS out of reach", with(a.IAM(false), "iam.endpoint", "http://127.0.0.1:1"), fault.SourceUnreachable, "asking AWS")
	a.Deny(true)
	check("a right that is missing", a.IAM(false), fault.SourceAuth, "redshift:GetClusterCredentialsWithIAM")
	check("a right that is missing", a.IAM(true), fault.SourceAuth, "redshift-serverless:GetCredentials")
	a.Deny(false)
	a.Throttle(1)
	check("too many calls", a.IAM(false), fault.SourceUnreachable, "Throttling")
}

func Test_settings_that_exclude_each_other_are_refused(t *testing.T) {
	base := map[string]string{"host": "acme.abc.eu-west-1.redshift.amazonaws.com", "database": "dev"}
	for names, m := range map[string]map[string]string{
		"password":              with(base, "password", "x", "iam.cluster", "acme"),
		"iam.workgroup":         with(base, "iam.cluster", "acme", "iam.workgroup", "acme"),
		"user":                  with(base, "user", "upwell", "iam.workgroup", "acme"),
		"iam.secret_access_key": with(base, "iam.cluster", "acme", "iam.access_key_id", "x"),
		"iam.duration":          with(base, "iam.cluster", "acme", "iam.duration", "2h"),
		"fetch_rows":            with(base, "user", "upwell", "fetch_rows", "-1"),
		"dsn":                   {"database": "dev"},
	} {
		_, err := redshift.Source().Open(t.Context(), config(m), connector.Env{})
		if f := fault.As(err); f == nil || f.Exit() != fault.ExitUsage || !strings.Contains(f.Message+f.GetFix(), names) {
			t.Errorf("%s: %v", names, err)
		}
	}
}
