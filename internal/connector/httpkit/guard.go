package httpkit

import (
	"context"
	"net/netip"
	"slices"
	"syscall"

	"github.com/upwelldata/upwell/internal/fault"
)

// guard checks the address a connection really goes to, after name resolution and for every address tried: a name that
// changes its address between check and use, or an odd spelling of 127.0.0.1, gains nothing.
func guard(allowPrivate bool) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fault.New(fault.DestAddressBlocked, "connecting to %s: not an address", address).NotLanded()
		}
		if network != "tcp4" && network != "tcp6" {
			return fault.New(fault.DestAddressBlocked, "connecting by %s is not allowed", network).NotLanded()
		}
		why := refuse(ap.Addr(), allowPrivate)
		if why == "" {
			return refusePort(ap.Port(), allowPrivate)
		}
		f := fault.New(fault.DestAddressBlocked, "the address %s is %s", ap.Addr(), why).NotLanded()
		if allowPrivate {
			f = f.WithFix("Set the tool's public address.")
		}
		return f
	}
}

// refusePort keeps requests from services that could misread them. Whoever allows private addresses knows what listens there.
func refusePort(port uint16, allowPrivate bool) error {
	if allowPrivate || !slices.Contains(otherPorts, port) {
		return nil
	}
	return fault.New(fault.DestAddressBlocked, "port %d belongs to a service that is not HTTP", port).
		WithFix("Set the tool's HTTP address, or allow_private: true on the destination if that port is meant.").NotLanded()
}

// Ranges from the IANA special-purpose registries, https://www.iana.org/assignments/iana-ipv4-special-registry and
// iana-ipv6-special-registry. netip's predicates alone let a good part of them through.
var (
	neverRanges = ranges("never reached: link-local addresses hold cloud credentials", "169.254.0.0/16", "fe80::/10").
			and("never reached: it serves cloud credentials", "100.100.100.200/32", "fd00:ec2::254/128", "192.0.0.192/32").
			and("not a host", "224.0.0.0/4", "240.0.0.0/4", "ff00::/8", "100::/64").
			and("reserved", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "192.88.99.0/24", "2002::/16", "::/96")
	privateRanges = ranges("loopback", "127.0.0.0/8", "::1/128").
			and("private", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10", "192.0.0.0/24", "198.18.0.0/15").
			and("this host", "0.0.0.0/8", "::/128").
			and("a translation into another network", "64:ff9b::/96", "64:ff9b:1::/48")
)

type blockList []struct {
	why    string
	prefix netip.Prefix
}

func ranges(why string, prefixes ...string) blockList { return blockList(nil).and(why, prefixes...) }

func (l blockList) and(why string, prefixes ...string) blockList {
	for _, p := range prefixes {
		l = append(l, struct {
			why    string
			prefix netip.Prefix
		}{why, netip.MustParsePrefix(p)})
	}
	return l
}

// refuse says why an address is not reached, "" when it is.
func refuse(a netip.Addr, allowPrivate bool) string {
	a = a.Unmap().WithZone("")
	for _, r := range privateRanges {
		if r.prefix.Contains(a) && !slices.Contains(metadata, a) {
			if allowPrivate {
				return ""
			}
			return r.why
		}
	}
	for _, r := range neverRanges {
		if r.prefix.Contains(a) {
			return r.why
		}
	}
	return ""
}

// metadata are credential services inside private ranges: Alibaba Cloud, AWS over IPv6, Oracle Cloud.
var metadata = []netip.Addr{netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("192.0.0.192")}

// otherPorts speak other protocols, which a request could be misread as. From the Fetch standard,
// https://fetch.spec.whatwg.org/#port-blocking
var otherPorts = []uint16{
	0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113,
	115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556,
	563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 6665, 6666,
	6667, 6668, 6669, 6679, 6697, 10080, 11211,
}
