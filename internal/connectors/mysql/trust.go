package mysql

import (
	"errors"

	"github.com/go-sql-driver/mysql"

	"github.com/upwelldata/upwell/internal/connector"
)

// distrust explains a connection that failed because the other side is not trusted, or offers no encryption where sslmode demands
// it.
func distrust(err error) (why, fix string, ok bool) {
	if errors.Is(err, mysql.ErrNoTLS) {
		return "the server offers no TLS", connector.NoTLSFix, true
	}
	return connector.Distrust(err, error.Error)
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
