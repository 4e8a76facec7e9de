package connector

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// Distrust explains a connection to a database that failed because the other side's certificate is not trusted, or no encryption could
// be agreed on. Waiting mends none of these. The settings it names are sslmode and sslrootcert; words says an error without secrets.
func Distrust(err error, words func(error) string) (why, fix string, ok bool) {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &name):
		return name.Error(), "Set host to a name the certificate is for; sslmode: verify-ca checks the authority alone.", true
	case errors.As(err, &authority):
		return authority.Error(), "Set sslrootcert to the file of the authority that signed the server's certificate.", true
	case errors.As(err, &invalid):
		return invalid.Error(), "The server needs another certificate.", true
	case errors.As(err, &alert), errors.As(err, &record):
		return "agreeing on encryption: " + words(err), "The server must offer TLS 1.2 or newer, and may want a client certificate.", true
	}
	return "", "", false
}

// NoTLSFix says what to do about a server that offers no encryption where sslmode demands it.
const NoTLSFix = "Switch TLS on at the server; sslmode: disable is for networks that can be trusted."
