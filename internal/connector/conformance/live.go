package conformance

import (
	"crypto/rand"
	"encoding/hex"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connector"
)

// live runs the kit against a real account instead of a stand-in: go test ./internal/connectors/NAME -live
var live = flag.Bool("live", false, "run the conformance kit against the account that UPWELL_LIVE_… variables name")

// Live tells how to try a connector on a real account. Settings come from the environment: UPWELL_LIVE_, the connector's type
// and the setting's name, in capitals and joined by underscores (UPWELL_LIVE_SALESFORCE_JWT_USERNAME is jwt.username).
// What needs a stand-in's powers, weather and faults, is skipped and says so; everything else is the same.
type Live[W any] struct {
	Needs   []string // settings that must be given, beside the Required ones of the Spec
	Without string   // why there is nothing to run against; then New is nil
	// New makes an empty place in the account for one check: records whose keys begin with a.Name, or a table of that name. It
	// registers the clean-up of everything made there.
	New func(t testing.TB, a Account) W
}

// Account is what one check may use of a real account.
type Account struct {
	Settings map[string]string // as the environment gives them
	Name     string            // "upwell_kit_1f2e3d4c": begins the name of whatever the check makes, and of nothing else
}

// variable is the environment variable of a setting.
func variable(spec connector.Spec, setting string) string {
	return "UPWELL_LIVE_" + strings.ToUpper(spec.Type) + "_" + strings.ToUpper(strings.ReplaceAll(setting, ".", "_"))
}

// environment gives the settings the environment has, and the variables of those that must be given and are not.
func environment(spec connector.Spec, needs []string, getenv func(string) string) (settings map[string]string, missing []string) {
	settings = map[string]string{}
	known := slices.Clone(spec.Settings)
	if spec.HTTP { // a setting every connector has that speaks HTTP
		known = append(known, connector.Setting{Name: "allow_private", Type: connector.TypeBool})
	}
	eachSetting(known, "", func(name string, one connector.Setting) {
		v := getenv(variable(spec, name))
		if v != "" {
			settings[name] = v
		}
		if v == "" && (one.Required || slices.Contains(needs, name)) {
			missing = append(missing, variable(spec, name))
		}
	})
	return settings, missing
}

// account gives what New gets, or ends the test: an absent variable is a failure, never a silent skip.
func account(t testing.TB, spec connector.Spec, needs []string, without string) func() Account {
	t.Helper()
	if without != "" {
		t.Skip("-live: " + without)
	}
	settings, missing := environment(spec, needs, os.Getenv)
	if len(missing) > 0 {
		t.Fatalf("-live runs the kit against an account of your own: set %s (what else can be set: docs/connectors/%s.md)", strings.Join(missing, ", "), spec.Type)
	}
	return func() Account {
		b := make([]byte, 4)
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
		return Account{Settings: maps.Clone(settings), Name: "upwell_kit_" + hex.EncodeToString(b)}
	}
}

// onAccount gives the harness that runs against the account. A nil Live is a connector without accounts, whose worlds are the
// real thing already; over HTTP they never are.
func (h Harness) onAccount(t testing.TB) Harness {
	t.Helper()
	if h.Live == nil && h.HTTP != nil {
		t.Fatal("-live: the harness does not say how to run against a real account (Harness.Live)")
	}
	if h.Live == nil {
		return h
	}
	next := account(t, h.Connector.Spec, h.Live.Needs, h.Live.Without)
	h.alive = true
	h.New = func(t testing.TB) World {
		t.Helper()
		return h.Live.New(t, next())
	}
	return h
}

// onAccount is Harness.onAccount for sources.
func (h SourceHarness) onAccount(t testing.TB) SourceHarness {
	t.Helper()
	if h.Live == nil {
		return h
	}
	next := account(t, h.Connector.Spec, h.Live.Needs, h.Live.Without)
	h.alive, h.Via = true, nil
	h.New = func(t testing.TB) SourceWorld {
		t.Helper()
		return h.Live.New(t, next())
	}
	return h
}

// onlyWithStandIn is the reason shown for the checks a real account cannot take part in.
const onlyWithStandIn = "-live: the kit makes faults between a connector and its stand-in only"

// IsLive reports whether the kit runs against a real account: what a harness says of a server in general must then hold for any.
func IsLive() bool { return *live }
