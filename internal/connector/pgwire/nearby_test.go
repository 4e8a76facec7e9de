package pgwire

import "testing"

func Test_a_server_elsewhere_must_be_named(t *testing.T) {
	const unset = "-"
	for _, c := range []struct {
		named, host, dsn string
		decided          bool
	}{
		{"postgres://a/b", "", "postgres://a/b", true},
		{"postgres://a/b", "localhost", "postgres://a/b", true},
		{"", "localhost", "", true}, // switched off
		{unset, "", "", false},
		{unset, "localhost", "postgres:///", false},
		{unset, "127.0.0.1", "postgres:///", false},
		{unset, "::1", "postgres:///", false},
		{unset, "/run/postgresql", "postgres:///", false},
		{unset, "warehouse.example.com", "", false},
		{unset, "10.0.0.7", "", false},
	} {
		look := func(name string) (string, bool) {
			value := map[string]string{"SERVER": c.named, "PGHOST": c.host}[name]
			return value, value != unset
		}
		if dsn, decided := Nearby("SERVER", look); dsn != c.dsn || decided != c.decided {
			t.Errorf("named %q, PGHOST %q: got %q, %t", c.named, c.host, dsn, decided)
		}
	}
}

func Test_a_parameter_is_added_to_either_form_of_a_connection_string(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://u@h/a":                   "postgres://u@h/a?dbname=it%27s",
		"postgresql://u@h/a?sslmode=disable": "postgresql://u@h/a?sslmode=disable&dbname=it%27s",
		"postgres:///":                       "postgres:///?dbname=it%27s",
		"host=h dbname=a":                    `host=h dbname=a dbname='it\'s'`,
	} {
		if got := WithParam(dsn, "dbname", "it's"); got != want {
			t.Errorf("%s became %s", dsn, got)
		}
	}
}
