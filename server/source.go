package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// sourceAddresses tells where requests come from. The connected address
// counts; X-Forwarded-For does only where the connected address is a proxy of
// the installation, since anybody can write it.
type sourceAddresses struct{ proxies []netip.Prefix }

// sourcePrefixV6 is the part of an IPv6 address that one customer has (RFC
// 6177): whoever has it can use every address below it.
const sourcePrefixV6 = 64

// of is the request's source: an IPv4 address, or the first half of an IPv6
// one. What cannot be told apart is one source, "".
func (a sourceAddresses) of(r *http.Request) string {
	connected, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return sourceKey(a.client(connected.Addr().Unmap(), r.Header["X-Forwarded-For"]))
}

// client walks from the connected address back to the first one that is no
// proxy of ours. Each proxy vouches for the entry on the left of its own.
func (a sourceAddresses) client(connected netip.Addr, forwarded []string) netip.Addr {
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0 && a.proxy(connected); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		connected = hop.Unmap()
	}
	return connected
}

func (a sourceAddresses) proxy(addr netip.Addr) bool {
	for _, p := range a.proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func sourceKey(addr netip.Addr) string {
	addr = addr.WithZone("")
	if addr.Is6() {
		if prefix, err := addr.Prefix(sourcePrefixV6); err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}
