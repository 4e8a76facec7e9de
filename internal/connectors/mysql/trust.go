package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/go-sql-driver/mysql"
)

// distrust explains a connection that failed because the other side is not trusted, or offers no encryption where sslmode demands
// it. Waiting mends none of these.
func distrust(err error) (why, fix string, ok bool) {
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
	case errors.Is(err, mysql.ErrNoTLS):
		return "the server offers no TLS", "Switch TLS on at the server; sslmode: disable is for networks that can be trusted.", true
	case errors.As(err, &alert), errors.As(err, &record):
		return "agreeing on encryption: " + err.Error(), "The server must offer TLS 1.2 or newer, and may want a client certificate.", true
	}
	return "", "", false
}

// noMethod explains an account whose way to log in is not spoken here. caching_sha2_password, sha256_password, mysql_native_password and
// MariaDB's ed25519 are.
func noMethod(err error) (why, fix string, ok bool) {
	switch {
	case errors.Is(err, mysql.ErrCleartextPassword):
		return "the account sends its password in the clear", "Write allowCleartextPasswords=true in a dsn, with sslmode: verify-full; PAM, LDAP and cloud logins work so.", true
	case errors.Is(err, mysql.ErrUnknownPlugin), errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrNativePassword):
		return "the account logs in by a method that is not spoken here", "Give the account caching_sha2_password, or ed25519 in MariaDB.", true
	}
	return "", "", false
}
