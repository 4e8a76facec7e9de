package databricks_test

import (
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/databricks"
	"github.com/upwelldata/upwell/internal/connectors/databricks/databrickstest"
	"github.com/upwelldata/upwell/internal/fault"
)

func Test_a_personal_access_token_logs_in(t *testing.T) {
	s := start(t)
	pat := map[string]string{"client_id": "", "client_secret": "", "token": databrickstest.Token}
	if err := connect(t, s, pat).Check(t.Context()); err != nil {
		t.Error(err)
	}
	if n := calls(s, "/oidc/"); n != 0 {
		t.Errorf("%d OAuth calls", n)
	}
	pat["token"] = "dapi-somebody-elses"
	want(t, connect(t, s, pat).Check(t.Context()), fault.SourceAuth, "Invalid access token")
	pat["token"] = "no-longer-known"
	want(t, connect(t, s, pat).Check(t.Context()), fault.SourceAuth)
}

func Test_a_warehouse_that_is_not_there_or_not_ours_is_named(t *testing.T) {
	s := start(t)
	want(t, connect(t, s, map[string]string{"warehouse_id": "0123456789abcdef"}).Check(t.Context()), fault.SourceUnreachable, "not a valid endpoint id", "warehouse_id")
	if err := connect(t, s, map[string]string{"warehouse_id": "/sql/1.0/warehouses/" + databrickstest.Warehouse}).Check(t.Context()); err != nil {
		t.Errorf("by its HTTP path: %v", err)
	}
	s.Fail("/sql/statements", 403, 1, "", `{"error_code":"PERMISSION_DENIED","message":"You do not have permission to use the SQL Warehouse."}`)
	want(t, connect(t, s, nil).Check(t.Context()), fault.SourceAuth, "CAN USE", databrickstest.ClientID)
}

func Test_a_missing_right_names_the_grant(t *testing.T) {
	s := start(t)
	src := connect(t, s, nil)
	for message, grant := range map[string]string{
		"[INSUFFICIENT_PERMISSIONS] Insufficient privileges:\nUser does not have USE SCHEMA on Schema 'main.sales'. SQLSTATE: 42501": "GRANT USE SCHEMA ON SCHEMA `main`.`sales` TO `" + databrickstest.ClientID + "`;",
		"PERMISSION_DENIED: User does not have SELECT on Table 'main.sales.orders'.":                                                 "GRANT SELECT ON TABLE `main`.`sales`.`orders` TO `",
		"[INSUFFICIENT_PERMISSIONS] Insufficient privileges. SQLSTATE: 42501":                                                        "upwell grants",
	} {
		s.Refuse("RANGE", message, 1)
		_, _, err := sum(t.Context(), src, numbers, nil)
		want(t, err, fault.SourceQueryFailed, grant)
	}
}

func Test_settings_that_cannot_be_meant_are_refused(t *testing.T) {
	good := map[string]string{"host": "acme.cloud.databricks.com", "warehouse_id": "a1b2c3d4e5f60718", "token": "dapi-0123456789"}
	open := func(over map[string]string) error {
		values := map[string]string{}
		for k, v := range good {
			values[k] = v
		}
		for k, v := range over {
			values[k] = v
		}
		s, err := databricks.Source().Open(t.Context(), connector.NewConfig(values, nil, nil), connector.Env{})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	if err := open(nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		over map[string]string
		code fault.Code
		word string
	}{
		{map[string]string{"host": "http://acme.cloud.databricks.com"}, fault.ProjectValue, "without encryption"},
		{map[string]string{"host": "https://me:secret@acme.cloud.databricks.com"}, fault.ProjectValue, "host"},
		{map[string]string{"host": "acme.cloud.databricks.com/?o=123"}, fault.ProjectValue, "host"},
		{map[string]string{"host": ""}, fault.ProjectMissing, "host"},
		{map[string]string{"warehouse_id": "a b"}, fault.ProjectValue, "warehouse_id"},
		{map[string]string{"client_id": "x"}, fault.ProjectValue, "two ways"},
		{map[string]string{"token": "", "client_id": "x"}, fault.ProjectMissing, "client_secret"},
		{map[string]string{"token": "", "client_secret": "x"}, fault.ProjectMissing, "client_id"},
		{map[string]string{"ca_file": "/nowhere.pem"}, fault.ProjectValue, "ca_file"},
	} {
		want(t, open(c.over), c.code, c.word)
	}
}
