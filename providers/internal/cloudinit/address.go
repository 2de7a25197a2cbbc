// Package cloudinit makes what cloud-init reads in a guest: the addresses of its
// interfaces, the network configuration, the NoCloud seed and the medium with it.
// Documents are encoded whole, never put together from text.
package cloudinit

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// InputError says what is wrong with a request. It is safe for a tenant.
type InputError string

func (e InputError) Error() string { return string(e) }

// Address is how the guest configures an interface. The zero value is DHCP.
type Address struct {
	Prefix  netip.Prefix
	Gateway netip.Addr // invalid for none
	DNS     []string
}

// AddressOf reads the address of an interface, which brings its prefix length, itself
// ("192.0.2.7/24") or beside it. The error is an InputError.
func AddressOf(nic providers.NIC) (Address, error) {
	if nic.IPAddress == "" {
		return Address{}, nil
	}
	prefix, err := netip.ParsePrefix(nic.IPAddress)
	if err != nil {
		a, err := netip.ParseAddr(nic.IPAddress)
		if err != nil || a.Zone() != "" {
			return Address{}, InputError("an address is not an IP address")
		}
		if nic.PrefixLength <= 0 || nic.PrefixLength > a.BitLen() {
			return Address{}, InputError("an address needs its prefix length, as in 192.0.2.7/24")
		}
		prefix = netip.PrefixFrom(a, nic.PrefixLength)
	}
	return Complete(prefix, nic)
}

// Complete is an address with the gateway and the DNS servers of its interface. The
// error is an InputError.
func Complete(prefix netip.Prefix, nic providers.NIC) (Address, error) {
	out := Address{Prefix: prefix}
	if nic.Gateway != "" {
		gateway, err := netip.ParseAddr(nic.Gateway)
		if err != nil || gateway.Zone() != "" || gateway.Is4() != prefix.Addr().Is4() {
			return Address{}, InputError("a gateway is not an IP address of its network")
		}
		out.Gateway = gateway
	}
	for _, s := range nic.DNSServers {
		server, err := netip.ParseAddr(s)
		if err != nil || server.Zone() != "" {
			return Address{}, InputError("a DNS server is not an IP address")
		}
		out.DNS = append(out.DNS, server.String())
	}
	return out, nil
}

// CheckKeys wants SSH keys of one line of text each. The error is an InputError.
func CheckKeys(keys []string) error {
	for _, key := range keys {
		if !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) || strings.TrimSpace(key) == "" {
			return InputError("an SSH key is not one line of text")
		}
	}
	return nil
}
