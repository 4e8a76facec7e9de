package cli

import (
	"testing"

	goyaml "github.com/goccy/go-yaml"
)

func Test_settings_of_a_sandbox_can_be_pasted(t *testing.T) {
	for _, want := range []string{`{"private_key":"-----BEGIN\nX's\n-----"}`, "http://127.0.0.1:1", "it's", "'quoted'", "a: b", "x #y", "line\none", "-1-", "@x", "*"} {
		var got struct{ V string }
		if err := goyaml.Unmarshal([]byte("v: "+scalar(want)), &got); err != nil || got.V != want {
			t.Errorf("%s was printed as %s and read as %q: %v", want, scalar(want), got.V, err)
		}
	}
}
