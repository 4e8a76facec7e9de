package databricks_test

import (
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/row"
)

func Test_inline_results_carry_the_same_values_and_refuse_what_they_would_cut(t *testing.T) {
	s := start(t)
	src := connect(t, s, map[string]string{"results": "inline"})
	read := func(expr string) (v row.Value, err error) {
		for b, err := range src.Read(t.Context(), connector.Query{SQL: "SELECT " + expr + " AS v"}) {
			if err != nil {
				return v, err
			}
			k, err := row.KindOf(b.Schema().Field(0))
			if err != nil {
				return v, err
			}
			v = row.At(b.Column(0), k, 0)
		}
		return v, nil
	}
	for _, c := range types {
		v, err := read(c.SQL)
		if err != nil || v.String() != c.Text || v.Kind() != c.Kind && !v.IsNull() {
			t.Errorf("%s: %s %q, %v; want %s %q", c.SQL, v.Kind(), v, err, c.Kind, c.Text)
		}
	}
	for _, c := range exact {
		if v, err := read(c.SQL); !fault.Is(err, fault.SourceTypeUnsupported) {
			t.Errorf("%s: %q, %v; want it refused", c.SQL, v, err)
		}
	}
	if n := calls(s, "/storage/"); n != 0 {
		t.Errorf("%d downloads", n)
	}
}

func Test_inline_results_come_in_chunks_too(t *testing.T) {
	s := start(t)
	rows, total, err := sum(t.Context(), connect(t, s, map[string]string{"results": "inline"}), numbers, nil)
	whole(t, rows, total, err)
	s.Miscount(-1)
	_, _, err = sum(t.Context(), connect(t, s, map[string]string{"results": "inline"}), numbers, nil)
	want(t, err, fault.SourceIncomplete, "34999")
}

func Test_an_inline_result_that_is_too_large_says_what_to_set(t *testing.T) {
	s := start(t)
	_, _, err := sum(t.Context(), connect(t, s, map[string]string{"results": "inline"}), "SELECT id AS n, '0123456789012345678901234567890123456789' AS a FROM RANGE(1, 700000)", nil)
	want(t, err, fault.SourceQueryFailed, "Inline byte limit exceeded", "results: links")
}
