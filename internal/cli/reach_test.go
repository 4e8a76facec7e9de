package cli_test

import (
	"net/http"
	"testing"
)

// A tool that cannot be used is the environment's fault, whatever the reason: the run is repeated when that is mended.
func Test_a_tool_that_lets_nobody_in_ends_with_exit_code_5(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		w := newWorld(t, models, toHook)
		w.hook.down = status
		doc := w.must(5, "run", "--json").decoded(t)
		if class := at(t, doc, "runs", 0, "error", "class"); class != "auth" {
			t.Errorf("%d: class %v", status, class)
		}
	}
}

func Test_a_port_where_nobody_listens_is_unreachable(t *testing.T) {
	w := newWorld(t, models, toHook)
	t.Setenv("UPWELL_TEST_HOOK", "http://127.0.0.1:1")
	doc := w.must(5, "run", "--wait", "1ms", "--json").decoded(t)
	if code := at(t, doc, "runs", 0, "error", "code"); code != "DESTINATION_UNREACHABLE" {
		t.Errorf("code %v", code)
	}
}
