package cli

import (
	"io"
	"net/http"
	"strings"
	"testing"

	goyaml "github.com/goccy/go-yaml"

	"github.com/upwelldata/upwell/internal/testdb"
)

func Test_settings_of_a_sandbox_can_be_pasted(t *testing.T) {
	for _, want := range []string{`{"private_key":"-----BEGIN\nX's\n-----"}`, "http://127.0.0.1:1", "it's", "'quoted'", "a: b", "x #y", "line\none", "-1-", "@x", "*"} {
		var got struct{ V string }
		if err := goyaml.Unmarshal([]byte("v: "+scalar(want)), &got); err != nil || got.V != want {
			t.Errorf("%s was printed as %s and read as %q: %v", want, scalar(want), got.V, err)
		}
	}
}

func Test_every_sandbox_takes_the_fault_that_is_shown_for_it(t *testing.T) {
	t.Setenv("UPWELL_SANDBOX_POSTGRES", testdb.Postgres(t)) // Redshift's computes with one
	a := newApp(nil, io.Discard, io.Discard, nil)
	for _, name := range a.sandboxes() {
		t.Run(name, func(t *testing.T) {
			c, _ := a.findStandIn(name)
			s, err := c.start(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr()+"/_sandbox/faults", strings.NewReader(trouble(s)))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusNoContent {
				t.Errorf("answered with %s", answer.Status)
			}
		})
	}
}
