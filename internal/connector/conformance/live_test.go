package conformance

import (
	"slices"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
)

var accountSpec = connector.Spec{Type: "acme", HTTP: true, Settings: []connector.Setting{
	{Name: "url", Required: true}, {Name: "token"}, {Name: "bulk", Type: connector.TypeGroup, Fields: []connector.Setting{{Name: "max_rows"}}},
}}

func Test_an_account_without_its_variables_is_named_and_not_skipped(t *testing.T) {
	_, missing := environment(accountSpec, []string{"token"}, func(string) string { return "" })
	if want := []string{"UPWELL_LIVE_ACME_URL", "UPWELL_LIVE_ACME_TOKEN"}; !slices.Equal(missing, want) {
		t.Errorf("missing are %v; want %v", missing, want)
	}
	h := goodHarness("")
	h.Live = &Live[World]{Needs: []string{"token"}, New: func(testing.TB, Account) World { return World{} }}
	if v := record(t, func(t testing.TB) { goodHarness("").onAccount(t) }); !v.Failed() {
		t.Error("without a way to an account the kit took the stand-in for one")
	}
	verdict := record(t, func(t testing.TB) { h.onAccount(t) })
	if !verdict.Failed() || verdict.Skipped() || !strings.Contains(verdict.text(), "UPWELL_LIVE_") {
		t.Errorf("without the variables the kit says: %s", verdict.text())
	}
}

func Test_settings_of_an_account_come_from_the_environment(t *testing.T) {
	env := map[string]string{"UPWELL_LIVE_ACME_URL": "https://acme.example", "UPWELL_LIVE_ACME_BULK_MAX_ROWS": "7", "UPWELL_LIVE_ACME_ALLOW_PRIVATE": "true"}
	got, missing := environment(accountSpec, nil, func(name string) string { return env[name] })
	if len(missing) > 0 || got["url"] != "https://acme.example" || got["bulk.max_rows"] != "7" || got["allow_private"] != "true" || len(got) != 3 {
		t.Errorf("settings %v, missing %v", got, missing)
	}
}

// Every check of an account has a place of its own, beside records of others; what only a stand-in can do is skipped, and says so.
func Test_on_an_account_the_kit_keeps_to_its_own_records(t *testing.T) {
	t.Setenv("UPWELL_LIVE_GOOD_URL", "of no use")
	t.Setenv("UPWELL_LIVE_GOOD_TOKEN", "of no use")
	h := goodHarness("")
	names := map[string]bool{}
	fresh := h.New
	h.Live = &Live[World]{New: func(t testing.TB, a Account) World {
		names[a.Name] = true
		w := fresh(t)
		w.Prefix = a.Name + "-"
		return w
	}}
	h = h.onAccount(t)
	ran, skipped := 0, 0
	for _, c := range destinationChecks() {
		v := record(t, func(t testing.TB) { c.try(t, &h) })
		switch {
		case v.Failed():
			t.Errorf("%s: %s", c.name, v.text())
		case v.Skipped():
			skipped++
		default:
			ran++
		}
	}
	if ran < 30 || skipped == 0 || len(names) < ran {
		t.Errorf("%d checks ran in %d places, %d were skipped", ran, len(names), skipped)
	}
}
