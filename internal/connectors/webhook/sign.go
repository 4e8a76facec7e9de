package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/upwelldata/upwell/internal/connector"
)

// signer makes the headers of the Standard Webhooks specification:
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
type signer struct{ keys [][]byte }

// newSigner reads the secret: base64, with or without the whsec_ prefix. Several, separated by blanks, all sign, so that a
// receiver can change from one to the next.
func newSigner(secret connector.Secret) (*signer, error) {
	if secret.Empty() {
		return nil, nil
	}
	s := &signer{}
	for part := range strings.FieldsSeq(secret.Reveal()) {
		text := strings.TrimRight(strings.TrimPrefix(part, "whsec_"), "=")
		key, err := base64.RawStdEncoding.DecodeString(text)
		if err != nil {
			key, err = base64.RawURLEncoding.DecodeString(text)
		}
		if err != nil || len(key) < 16 {
			return nil, setting("signing_secret is not the base64 of at least 16 bytes").
				WithFix("Make one with: echo whsec_$(head -c 32 /dev/urandom | base64).")
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// sign sets webhook-id, webhook-timestamp and webhook-signature.
func (s *signer) sign(h http.Header, id string, at time.Time, body []byte) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	var signature []byte
	for i, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		if i > 0 {
			signature = append(signature, ' ')
		}
		signature = append(signature, "v1,"...)
		signature = base64.StdEncoding.AppendEncode(signature, mac.Sum(nil))
	}
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", stamp)
	h.Set("Webhook-Signature", string(signature))
}
