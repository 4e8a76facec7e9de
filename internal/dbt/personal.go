package dbt

import (
	"slices"
	"strings"
)

// PII is the tag of personal data.
const PII = "pii"

// saysPersonal are keys of meta that say by being true that something is personal.
var saysPersonal = []string{"pii", "is_pii", "has_pii", "contains_pii"}

// personal reports whether tags or meta mark personal data: a tag pii, a key of meta such as contains_pii that is true, or the word
// pii as a value anywhere in meta (classification: pii). Doubt counts as personal: policies then ask.
func personal(tags []string, metas ...any) bool {
	return slices.ContainsFunc(tags, isPII) || slices.ContainsFunc(metas, metaPersonal)
}

func isPII(s string) bool { return strings.EqualFold(strings.TrimSpace(s), PII) }

func metaPersonal(meta any) bool {
	switch v := meta.(type) {
	case string:
		return isPII(v)
	case []any:
		return slices.ContainsFunc(v, metaPersonal)
	case map[string]any:
		for k, value := range v {
			if slices.Contains(saysPersonal, strings.ToLower(k)) && truthy(value) || metaPersonal(value) {
				return true
			}
		}
	}
	return false
}

// truthy: everything but false, nothing and their words.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return !slices.Contains([]string{"", "false", "no", "none", "0", "n"}, strings.ToLower(strings.TrimSpace(v)))
	}
	return true
}

// union joins lists, each word once, sorted.
func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
