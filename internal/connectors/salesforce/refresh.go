package salesforce

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/upwelldata/upwell/internal/fault"
)

// refreshToken is the newest refresh token: the configured one, or what it was rotated to, kept in a file.
type refreshToken struct {
	file       string // "" = nothing may be written
	configured string
	origin     string // hash of the configured token: a newly configured one beats the file
}

type refreshFile struct {
	Origin string `json:"origin"` // SHA-256 of the configured token this one descends from
	Token  string `json:"refresh_token"`
}

func newRefreshToken(stateDir, configured string) *refreshToken {
	sum := sha256.Sum256([]byte(configured))
	r := &refreshToken{configured: configured, origin: hex.EncodeToString(sum[:])}
	if stateDir != "" {
		r.file = filepath.Join(stateDir, "salesforce_refresh_token.json")
	}
	return r
}

// current reads the token to use now.
func (r *refreshToken) current() (string, error) {
	if r.file == "" {
		return r.configured, nil
	}
	b, err := os.ReadFile(r.file)
	if errors.Is(err, fs.ErrNotExist) {
		return r.configured, nil
	}
	if err != nil {
		return "", stateFault(err, "reading the kept refresh token")
	}
	var f refreshFile
	if json.Unmarshal(b, &f) != nil || f.Token == "" { // never shown: the file holds a secret
		return "", fault.New(fault.StateCorrupt, "the kept refresh token in %s cannot be read", r.file).
			WithFix("Delete the file and configure a new refresh_token.").NotLanded()
	}
	if f.Origin != r.origin {
		return r.configured, nil
	}
	return f.Token, nil
}

// ready finds out whether a new token could be kept, before the old one is spent on getting it.
func (r *refreshToken) ready() error {
	if r.file == "" {
		return nil // whether the org rotates is not known yet
	}
	dir := filepath.Dir(r.file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return stateFault(err, "preparing to keep the refresh token")
	}
	f, err := os.CreateTemp(dir, ".salesforce_refresh_token-*")
	if err != nil {
		return stateFault(err, "preparing to keep the refresh token")
	}
	_ = f.Close() //nolint:errcheck // nothing was written
	if err := os.Remove(f.Name()); err != nil {
		return stateFault(err, "preparing to keep the refresh token")
	}
	return nil
}

// save writes the token so that a crash leaves the old file or the new one, never half of one.
func (r *refreshToken) save(token string) error {
	if r.file == "" {
		return fault.New(fault.StateUnusable, "the org rotates refresh tokens and there is no state folder to keep the new one").NotLanded()
	}
	b, err := json.Marshal(refreshFile{r.origin, token}) //nolint:gosec // kept on purpose, in a private file: the org has spent the old one
	if err != nil {
		return stateFault(err, "keeping the new refresh token")
	}
	dir := filepath.Dir(r.file)
	tmp, err := os.CreateTemp(dir, ".salesforce_refresh_token-*") // mode 0600
	if err != nil {
		return stateFault(err, "keeping the new refresh token")
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), r.file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) //nolint:errcheck // the first error counts
		return stateFault(err, "keeping the new refresh token")
	}
	d, err := os.Open(dir)
	if err != nil {
		return stateFault(err, "keeping the new refresh token")
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return stateFault(err, "keeping the new refresh token")
	}
	return nil
}

func stateFault(err error, doing string) error {
	return fault.Wrap(fault.StateUnusable, err, "%s", doing).NotLanded()
}
