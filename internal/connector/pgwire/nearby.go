package pgwire

import (
	"net"
	"os"
	"strings"
)

// Nearby finds a PostgreSQL server that stand-ins and the demo may use without asking: the one that a variable of the environment
// names; without the variable, the one of the usual PG variables, if that is on this machine. dsn is "" where there is none, named says
// that the variable decided it.
func Nearby(variable string) (dsn string, named bool) {
	dsn, named = os.LookupEnv(variable)
	if !named && local(os.Getenv("PGHOST")) { // a server elsewhere must be named
		dsn = "postgres:///" // host, user and the rest come from the PG variables
	}
	return dsn, named
}

// local reports a host on this machine: a socket's folder, or a loopback address.
func local(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}
