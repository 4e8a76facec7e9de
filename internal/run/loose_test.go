package run_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

// limited is a world whose destination has limits of the user's.
func limited(t *testing.T, limits string) *world {
	t.Helper()
	w := newWorld(t, standard)
	w.yml = strings.Replace(w.yml, "{crm: {type: crm}}", "{crm: {type: crm, limits: "+limits+"}}", 1)
	w.write()
	w.wh.fill(1)
	w.crm.windows = []connector.Window{
		{Name: "second", Requests: 20, Per: time.Second},
		{Name: "burst", Requests: 100, Per: 10 * time.Second},
		{Name: "search", Group: "search", Requests: 1, Per: time.Second},
		{Name: "daily", Requests: 1000, Per: 24 * time.Hour, Share: 0.5},
	}
	return w
}

func Test_a_limit_wider_than_the_tools_is_named_with_the_one_that_holds(t *testing.T) {
	for limits, want := range map[string]string{
		"{concurrency: 3}":          "limits.concurrency of crm is 3, but Account takes no more than 2 requests at once: limits only tighten",
		"{requests_per_second: 15}": "limits.requests_per_second of crm is 15, but the account takes no more than 10, 100 in 10s: limits only tighten",
		"{daily_share: 60%}":        "limits.daily_share of crm is 60%, but Upwell takes no more than 50% of the account's quota: limits only tighten",
		"{concurrency: 2, requests_per_second: 10, daily_share: 50%}": "",
	} {
		t.Run(limits, func(t *testing.T) {
			w := limited(t, limits)
			var check fault.List
			w.engine(func(e *run.Engine, s *projectSync) {
				var err error
				if check, err = e.CheckSync(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			})
			if want == "" {
				if p, r := w.plan().Warnings, w.ok().Warnings; len(check)+len(p)+len(r) > 0 {
					t.Errorf("check %v, plan %q, run %q", check, p, r)
				}
				return
			}
			if len(check) != 1 || check[0].Message != want || check[0].Where == nil || check[0].Where.Line != 4 {
				t.Errorf("check: %v", check)
			}
			says := func(list []string) bool { return slices.Contains(list, "upwell.yml:4:42: "+want) }
			if p, r := w.plan().Warnings, w.ok().Warnings; !says(p) || !says(r) {
				t.Errorf("plan %q, run %q", p, r)
			}
		})
	}
}
