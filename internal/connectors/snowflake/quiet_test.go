package snowflake

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The driver loads a native library in its own initialisation, in the background, unless the environment says no before that.
// This process was linked like any program that holds the connector: it is started once more and reports in which order its
// packages were initialised (GODEBUG=inittrace=1).
func Test_the_drivers_library_is_switched_off_before_the_driver_begins(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^$")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SF_DISABLE_MINICORE=") && !strings.HasPrefix(v, "GODEBUG=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	order := map[string]int{}
	for i, line := range strings.Split(string(out), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "init" {
			order[f[1]] = i + 1
		}
	}
	off, driver := order["github.com/upwelldata/upwell/internal/connectors/snowflake/quiet"], order["github.com/snowflakedb/gosnowflake/v2"]
	if off == 0 || driver == 0 || off > driver {
		t.Errorf("the switch is set at %d, the driver begins at %d", off, driver)
	}
	if os.Getenv("SF_DISABLE_MINICORE") != "true" || os.Getenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION") != "true" {
		t.Error("the switches are not set")
	}
	if maps, err := os.ReadFile("/proc/self/maps"); err == nil && strings.Contains(string(maps), "libsf_mini_core") {
		t.Error("the library is loaded")
	}
}
