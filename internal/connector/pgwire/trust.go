package pgwire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
)

// Distrust explains a connection that failed because the other side is not trusted, or offers no encryption where sslmode demands
// it. Waiting mends none of these.
func Distrust(err error) (why, fix string, ok bool) {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case err == nil:
		return "", "", false
	case errors.As(err, &name):
		return name.Error(), "Set host to a name the certificate is for; sslmode: verify-ca checks the authority alone.", true
	case errors.As(err, &authority):
		return authority.Error(), "Set sslrootcert to the file of the authority that signed the server's certificate.", true
	case errors.As(err, &invalid):
		return invalid.Error(), "The server needs another certificate.", true
	case strings.Contains(err.Error(), "server refused TLS connection"): // pgconn has no type for it
		return "the server refused TLS", "Switch TLS on at the server; sslmode: disable is for networks that can be trusted.", true
	case errors.As(err, &alert), errors.As(err, &record):
		return "agreeing on encryption: " + Bare(err), "The server must offer TLS 1.2 or newer, and may want a client certificate.", true
	}
	return "", "", false
}
