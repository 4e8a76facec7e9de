package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// A plan tells what a run does: a value the destination is known to refuse is invalid in both.
func Test_a_plan_and_a_run_agree_about_values_the_destination_cannot_carry(t *testing.T) {
	for name, sync := range map[string]string{"JSON Lines": toFile, "a webhook": toHook} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, models, sync)
			w.exec(`drop table health`, `create table health (account_id text, score real, tier text)`,
				`insert into health values ('A1', 71.5, 'watch'), ('A2', 9e999, 'healthy'), ('A3', -9e999, 'watch')`)
			type counts struct{ Read, Invalid, Rejected int }
			var planned struct {
				Plans []struct {
					Counts struct{ Read, Invalid, Add int }
				}
			}
			if err := json.Unmarshal([]byte(w.must(0, "plan", "--json").out), &planned); err != nil {
				t.Fatal(err)
			}
			if c := planned.Plans[0].Counts; c.Invalid != 2 || c.Add != 1 {
				t.Errorf("planned %+v", c)
			}
			var ran struct {
				Runs []struct {
					Counts counts
				}
			}
			if err := json.Unmarshal([]byte(w.must(3, "run", "--json").out), &ran); err != nil {
				t.Fatal(err)
			}
			if c := ran.Runs[0].Counts; c != (counts{3, 2, 0}) {
				t.Errorf("ran %+v", c)
			}
			if a := w.must(0, "rejects"); !strings.Contains(a.out, "VALUE_NOT_A_NUMBER") {
				t.Errorf("%s", a.out)
			}
		})
	}
}
