package salesforcetest

import "strings"

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// makeID gives the n-th 18-character id with this prefix: 15 characters, then three that say which letters are upper case, so
// that ids survive tools that fold case
// (https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/field_types.htm, "ID Field Type").
func makeID(prefix string, n uint64) string {
	b := []byte(prefix + "5g0000000000")
	for i := len(b) - 1; n > 0; i-- {
		b[i] = base62[n%62]
		n /= 62
	}
	return string(b) + checksum(string(b))
}

func checksum(id15 string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	var out [3]byte
	for part := range out {
		bits := 0
		for i := range 5 {
			if c := id15[part*5+i]; c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		out[part] = alphabet[bits]
	}
	return string(out[:])
}

// fullID gives the 18-character form of an id, or false when the text is no id.
func fullID(s string) (string, bool) {
	if len(s) != 15 && len(s) != 18 {
		return "", false
	}
	for i := range len(s) {
		if strings.IndexByte(base62, s[i]) < 0 {
			return "", false
		}
	}
	full := s[:15] + checksum(s[:15])
	return full, len(s) == 15 || s == full
}
