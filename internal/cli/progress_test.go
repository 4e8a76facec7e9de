package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/cli"
)

func (*screen) Width() int { return 80 }

// flat is a terminal that says it has no columns.
type flat struct{ screen }

func (*flat) Width() int { return 0 }

func Test_a_narrow_terminal_shows_the_numbers_before_the_name(t *testing.T) {
	for _, c := range []struct {
		line, name string
		width      int
		want       string
	}{
		{"health_to_crm: reading, 7 read", "health_to_crm", 80, "health_to_crm: reading, 7 read"},
		{"health_to_crm: reading, 7 read", "health_to_crm", 30, "health_to_crm: reading, 7 read"},
		{"health_to_crm: reading, 7 read", "health_to_crm", 28, "health_to_…: reading, 7 read"},
		{"health_to_crm: reading, 7 read", "health_to_crm", 10, "health_t…: reading, 7 read"},
		{"größenänderung: reading, 7 read", "größenänderung", 29, "größenänder…: reading, 7 read"},
		{"short: reading, 7 read", "short", 10, "short: reading, 7 read"},
	} {
		if got := cli.Fit(c.line, c.name, c.width); got != c.want {
			t.Errorf("in %d: %q, want %q", c.width, got, c.want)
		}
	}
}

// Some CI systems give a terminal without a size: nothing can be redrawn there, and a line every ten seconds is told instead.
func Test_a_terminal_without_width_is_told_lines(t *testing.T) {
	w := stalling(t)
	w.con.Ticks = make(chan time.Time)
	var out screen
	var stderr flat
	done := make(chan int, 1)
	go func() { done <- w.con.Main([]string{"-C", w.dir, "run"}, w.stdin, &out, &stderr) }()
	<-w.hook.stalled
	w.con.Ticks <- time.Time{}
	w.con.Ticks <- time.Time{} // the first line is written when the second tick is taken
	w.release()
	if code := <-done; code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if !strings.HasPrefix(stderr.String(), "health_to_hook: delivering, 4 read") {
		t.Errorf("progress: %s", stderr.String())
	}
}
