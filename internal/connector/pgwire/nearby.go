package pgwire

import (
	"net"
	"strings"
)

// Nearby finds a PostgreSQL server that stand-ins and the demo may use without asking: the one that a variable of the environment
// names; without the variable, the one of the usual PG variables, if that is on this machine. dsn is "" where there is none, named says
// that the variable decided it. look is os.LookupEnv.
func Nearby(variable string, look func(string) (string, bool)) (dsn string, named bool) {
	if dsn, named = look(variable); named {
		return dsn, true
	}
	if host, _ := look("PGHOST"); local(host) { // a server elsewhere must be named
		return "postgres:///", false // host, user and the rest come from the PG variables
	}
	return "", false
}

// local reports a host on this machine: a socket's folder, or a loopback address.
func local(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}
