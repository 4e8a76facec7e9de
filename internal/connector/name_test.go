package connector

import (
	"slices"
	"testing"
)

func Test_a_name_is_taken_apart_at_dots_outside_of_quotes(t *testing.T) {
	for name, want := range map[string][]string{
		"t": {"t"}, "s.t": {"s", "t"}, `"a.b".t`: {"a.b", "t"}, `"say ""hi""".x`: {`say "hi"`, "x"}, `s."t`: {"s", "t"}, `a"b.c`: {`a"b`, "c"}, "": {""}, "s.": {"s", ""},
	} {
		if got := SplitName(name, '"'); !slices.Equal(got, want) {
			t.Errorf("%s: got %q; want %q", name, got, want)
		}
	}
	if got := SplitName("`a.b`.\"c", '`'); !slices.Equal(got, []string{"a.b", `"c`}) {
		t.Errorf("got %q with backticks", got)
	}
}
