package connector

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Secret is a resolved secret setting. Invariant 8: no secret in an error, log, page, golden or state. Every way to print it gives [secret]; Reveal is for the one place that sends it.
type Secret struct{ s string }

// NewSecret wraps a secret text.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal gives the text.
func (s Secret) Reveal() string { return s.s }

// Empty reports whether there is no secret.
func (s Secret) Empty() bool { return s.s == "" }

// String, GoString, MarshalText hide the secret.
func (Secret) String() string { return "[secret]" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "[secret]" }

// MarshalText hides the secret from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Config is the settings of one connection: checked against Spec.Settings, references resolved, defaults filled in. Nested
// settings have dotted names ("batch.max_rows", "headers.X-Api-Key").
type Config struct {
	values  map[string]string
	lists   map[string][]string
	secrets map[string]bool
}

// NewConfig makes a Config. secrets names the values that must not be shown.
func NewConfig(values map[string]string, lists map[string][]string, secrets map[string]bool) Config {
	return Config{values, lists, secrets}
}

// Format prints no setting at all, whatever the verb: a Config ends up in %+v of what holds it.
func (c Config) Format(w fmt.State, _ rune) {
	fmt.Fprintf(w, "[%d settings]", len(c.values)+len(c.lists))
}

// Has reports whether the setting has a value.
func (c Config) Has(name string) bool { _, ok := c.values[name]; return ok }

// String gives a setting's text, "" when absent.
func (c Config) String(name string) string { return c.values[name] }

// Secret gives a secret setting.
func (c Config) Secret(name string) Secret { return Secret{c.values[name]} }

// Int gives an integer setting, 0 when absent. The loader has checked its form.
func (c Config) Int(name string) int {
	n, _ := strconv.Atoi(c.values[name]) //nolint:errcheck // checked by the project loader
	return n
}

// Bool gives a yes-or-no setting, false when absent.
func (c Config) Bool(name string) bool { return c.values[name] == "true" }

// Duration gives a duration setting, 0 when absent.
func (c Config) Duration(name string) time.Duration {
	d, _ := time.ParseDuration(c.values[name]) //nolint:errcheck // checked by the project loader
	return d
}

// Size gives a size setting ("1MiB", "500kB", "1024"), 0 when absent.
func (c Config) Size(name string) int64 {
	n, _ := ParseSize(c.values[name]) // the project loader has checked its form
	return n
}

// List gives a list setting.
func (c Config) List(name string) []string { return c.lists[name] }

// Map gives a map setting: the values below name, by their key.
func (c Config) Map(name string) map[string]string {
	out := map[string]string{}
	for k, v := range c.values {
		if rest, ok := strings.CutPrefix(k, name+"."); ok {
			out[rest] = v
		}
	}
	return out
}

// Secrets gives the texts that must never appear in an error, log or transcript.
func (c Config) Secrets() []string {
	var out []string
	for k := range c.secrets {
		if v := c.values[k]; v != "" {
			out = append(out, v)
		}
	}
	return out
}

// ParseSize reads a number of bytes: a plain number, or one with kB, MB, GB (powers of 1000) or KiB, MiB, GiB (of 1024).
func ParseSize(s string) (int64, bool) {
	s = strings.TrimSpace(s)
	unit := int64(1)
	for _, u := range []struct {
		suffix string
		n      int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(rest), u.n
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, false
	}
	return n * unit, true
}
