package mapping

import (
	"slices"
	"testing"
)

func Test_columns_of_an_expression_are_found(t *testing.T) {
	got, err := ColumnsOf(`row.score >= 80.0 && row["tier"] != "x" ? row.name : "none"`)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, []string{"name", "score", "tier"}) {
		t.Errorf("%v %v", got, err)
	}
	if _, err := ColumnsOf(`row.score >=`); err == nil {
		t.Error("a broken expression has columns")
	}
}

// Invariant 7: a decimal that a double cannot hold is never handed to an expression.
func Test_decimals_that_a_double_cannot_hold_are_refused(t *testing.T) {
	for text, want := range map[string]bool{
		"0.1": true, "71.50": true, "100": true, "-3.25": true, "9007199254740993": false, "12345678901234567.89": false, "0.12345678901234567890": false,
	} {
		if exactDouble(text) != want {
			t.Errorf("%s: exact is %v", text, !want)
		}
	}
}
