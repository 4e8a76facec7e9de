package testdb

import (
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// Servers that outlive their command would pile up on every machine that runs the tests.
func Test_the_servers_live_as_long_as_the_command_and_its_exit_code_is_kept(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "../../scripts/with-servers", "bash", "-c", `echo "$UPWELL_TEST_POSTGRES $UPWELL_TEST_MYSQL"; exit 7`)
	for _, e := range os.Environ() { // servers of its own, not those this test may be running with
		if !strings.HasPrefix(e, PostgresVariable+"=") && !strings.HasPrefix(e, MySQLVariable+"=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Fatalf("got %v; want exit code 7\n%s", err, problems.String())
	}
	fields := strings.Fields(string(out))
	if len(fields) != 2 {
		t.Fatalf("the command saw %q; want two addresses", out)
	}
	u, err := url.Parse(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := mysql.ParseDSN(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{u.Host, cfg.Addr} {
		var d net.Dialer
		if conn, err := d.DialContext(t.Context(), "tcp", addr); err == nil {
			conn.Close()
			t.Errorf("a server still listens on %s", addr)
		}
	}
}

func Test_a_server_that_is_given_is_not_started(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "../../scripts/with-servers", "bash", "-c", `echo "$UPWELL_TEST_POSTGRES $UPWELL_TEST_MYSQL"`)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), PostgresVariable + "=given", MySQLVariable + "=too"}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "given too" {
		t.Errorf("got %q, %v; want the addresses given", out, err)
	}
}
