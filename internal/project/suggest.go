package project

import (
	"slices"
	"sort"
	"strings"
)

// customField ends the names of what people added to a Salesforce org.
const customField = "__c"

// Suggest gives the candidate a person most likely meant by word, or "" when none is near: at most one slip in three letters,
// where a slip is a letter wrong, missing, too many, or two swapped. Case and the signs between words do not count.
func Suggest(word string, candidates []string) string {
	if stem, ok := strings.CutSuffix(word, customField); ok { // Nope__c is not near NPS__c because both end so
		var custom, standard []string
		for _, c := range candidates {
			if s, ok := strings.CutSuffix(c, customField); ok {
				custom = append(custom, s)
			} else {
				standard = append(standard, c)
			}
		}
		if near := Suggest(stem, custom); near != "" {
			return near + customField
		}
		if slices.Contains(standard, stem) {
			return stem
		}
		return Suggest(stem, standard)
	}
	sorted := append([]string(nil), candidates...)
	sort.Strings(sorted)
	best, least, apart := "", len([]rune(word))/3+1, 0
	plain := plainWord(word)
	if plain == "" || len(word) > 200 {
		return ""
	}
	for _, c := range sorted {
		p := plainWord(c)
		d := slips(plain, p)
		if len(plain) >= 4 && len(p) >= 4 && (strings.HasPrefix(p, plain) || strings.HasPrefix(plain, p)) {
			d = min(d, 1)
		}
		// Of equally near words the one of the same length: two letters swapped is the commoner slip.
		if gap := max(len(p), len(plain)) - min(len(p), len(plain)); d < len([]rune(p)) && (d < least || d == least && best != "" && gap < apart) {
			best, least, apart = c, d, gap
		}
	}
	if best == word {
		return ""
	}
	return best
}

func plainWord(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' || r == '.' {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

// slips is the optimal string alignment distance.
func slips(a, b string) int {
	x, y := []rune(a), []rune(b)
	if d := len(x) - len(y); d > 20 || d < -20 {
		return max(len(x), len(y))
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
