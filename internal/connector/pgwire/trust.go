package pgwire

import (
	"strings"

	"github.com/upwelldata/upwell/internal/connector"
)

// Distrust explains a connection that failed because the other side is not trusted, or offers no encryption where sslmode demands
// it.
func Distrust(err error) (why, fix string, ok bool) {
	if err == nil {
		return "", "", false
	}
	if why, fix, ok = connector.Distrust(err, Bare); !ok && strings.Contains(err.Error(), "server refused TLS connection") { // pgconn has no type for it
		return "the server refused TLS", connector.NoTLSFix, true
	}
	return why, fix, ok
}
