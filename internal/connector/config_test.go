package connector

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Invariant 8: however a secret is printed, it does not show.
func Test_a_secret_never_shows(t *testing.T) {
	const canary = "canary-7f3a"
	s := NewSecret(canary)
	cfg := NewConfig(map[string]string{"password": canary, "host": "h"}, nil, map[string]bool{"password": true})
	b, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), string(b), fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), fmt.Errorf("x: %v", s).Error(),
	} {
		if strings.Contains(out, canary) {
			t.Errorf("shown: %s", out)
		}
	}
	if s.Reveal() != canary || cfg.Secret("password").Reveal() != canary {
		t.Error("the secret is lost")
	}
}

func Test_sizes_are_read_in_both_kinds_of_units(t *testing.T) {
	for text, want := range map[string]int64{"1024": 1024, "1MiB": 1 << 20, "500kB": 500_000, "2 GiB": 2 << 30, "7B": 7, " 3KiB ": 3 << 10} {
		if got, ok := ParseSize(text); !ok || got != want {
			t.Errorf("%q is %d %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "1XB", "99999999999GiB", "1.5MiB"} {
		if got, ok := ParseSize(text); ok {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}
