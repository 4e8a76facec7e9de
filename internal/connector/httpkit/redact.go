package httpkit

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/upwelldata/upwell/internal/row"
)

const hidden = "[secret]"

// redactor replaces secrets in text: the known ones in every spelling they travel in, and whatever looks like a credential.
type redactor struct {
	mu    sync.RWMutex
	forms []string
	swap  *strings.Replacer
}

func newRedactor(secrets []string) *redactor {
	r := &redactor{swap: strings.NewReplacer()}
	for _, s := range secrets {
		r.add(s)
	}
	return r
}

// add learns a secret. Texts under four bytes are no secrets: replacing them would only make messages unreadable.
func (r *redactor) add(secret string) {
	if len(secret) < 4 {
		return
	}
	quoted := string(row.AppendJSONString(nil, secret))
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, form := range []string{
		secret, strings.TrimSpace(secret), url.QueryEscape(secret), url.PathEscape(secret), quoted[1 : len(quoted)-1],
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	} {
		if len(form) >= 4 && !slices.Contains(r.forms, form) {
			r.forms = append(r.forms, form)
		}
	}
	slices.SortFunc(r.forms, func(a, b string) int { return len(b) - len(a) }) // the longest first: no half of one stays
	pairs := make([]string, 0, 2*len(r.forms))
	for _, f := range r.forms {
		pairs = append(pairs, f, hidden)
	}
	r.swap = strings.NewReplacer(pairs...)
}

var looksSecret = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|[a-z0-9-]*api[-_]?key|x-auth-token|x-access-token|webhook-signature)("?\s*[:=]\s*"?)[^\r\n",}]+`),
	regexp.MustCompile(`(?i)\b(bearer|basic)(\s+)[a-z0-9._~+/=-]{8,}`),
	regexp.MustCompile(`(?i)\b((?:access_|refresh_|id_|session_|auth_)?token|sid|client_secret|secret|password|passwd|pwd|assertion|signature|sig)(=|\\?"\s*:\s*\\?")[^\s&"'\\,}]+`),
}

// hide replaces the known secrets alone.
func (r *redactor) hide(s string) string {
	r.mu.RLock()
	swap := r.swap
	r.mu.RUnlock()
	return swap.Replace(s)
}

func (r *redactor) redact(s string) string {
	s = r.hide(s)
	for _, re := range looksSecret {
		s = re.ReplaceAllString(s, "${1}${2}"+hidden)
	}
	return s
}

// excerpt gives at most n bytes of b as redacted text on one line of valid UTF-8.
func (r *redactor) excerpt(b []byte, n int) string {
	const margin = 4096 // longer than any credential: what the window cuts in half is not shown
	cut := len(b) > n+2*margin
	if cut {
		b = b[:n+2*margin]
	}
	s := r.redact(strings.ToValidUTF8(string(b), "\ufffd"))
	if cut {
		s = s[:max(0, min(len(s)-margin, n))]
	}
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
	if len(s) > n {
		s, cut = s[:n], true
	}
	s = strings.ToValidUTF8(strings.TrimSpace(s), "")
	if cut {
		s += "…"
	}
	return s
}
