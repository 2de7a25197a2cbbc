package cloudinit

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// Network is cloud-init's network configuration, version 2.
type Network struct {
	Version   int                 `json:"version" yaml:"version"`
	Ethernets map[string]Ethernet `json:"ethernets" yaml:"ethernets"`
}

// Ethernet is an interface, which is told by its MAC.
type Ethernet struct {
	Match       Match       `json:"match" yaml:"match"`
	DHCP4       bool        `json:"dhcp4" yaml:"dhcp4"`
	Addresses   []string    `json:"addresses,omitempty" yaml:"addresses,omitempty"`
	Routes      []Route     `json:"routes,omitempty" yaml:"routes,omitempty"`
	Nameservers Nameservers `json:"nameservers,omitzero" yaml:"nameservers,omitempty"`
}

// Match tells which interface is meant.
type Match struct {
	MAC string `json:"macaddress" yaml:"macaddress"`
}

// Route is a route by way of a gateway.
type Route struct {
	To  string `json:"to" yaml:"to"`
	Via string `json:"via" yaml:"via"`
}

// Nameservers are the DNS servers of an interface.
type Nameservers struct {
	Addresses []string `json:"addresses,omitempty" yaml:"addresses,omitempty"`
}

// IsZero reports whether there are none. Encoders leave them out then.
func (n Nameservers) IsZero() bool { return len(n.Addresses) == 0 }

// NetworkOf describes every interface, by AddressOf; nil where there is none. The error
// is an InputError.
func NetworkOf(nics []providers.NIC) (*Network, error) {
	if len(nics) == 0 {
		return nil, nil //nolint:nilnil // without interfaces there is nothing to say of them
	}
	addresses := make([]Address, len(nics))
	for i, nic := range nics {
		var err error
		if addresses[i], err = AddressOf(nic); err != nil {
			return nil, err
		}
	}
	return Describe(nics, addresses), nil
}

// Describe describes every interface by its address, element by element. The default
// route of each family is that of the first interface with a gateway.
func Describe(nics []providers.NIC, addresses []Address) *Network {
	config := &Network{Version: 2, Ethernets: map[string]Ethernet{}}
	routed := map[string]bool{}
	for i, a := range addresses {
		e := Ethernet{
			Match: Match{MAC: strings.ToLower(nics[i].MAC)},
			DHCP4: !a.Prefix.IsValid(), Nameservers: Nameservers{a.DNS},
		}
		if a.Prefix.IsValid() {
			e.Addresses = []string{a.Prefix.String()}
		}
		if to := defaultRoute(a.Gateway); to != "" && !routed[to] {
			routed[to] = true
			e.Routes = []Route{{To: to, Via: a.Gateway.String()}}
		}
		config.Ethernets[fmt.Sprintf("nic%d", i)] = e
	}
	return config
}

// defaultRoute is the destination of the default route by way of a gateway; empty
// without one.
func defaultRoute(gateway netip.Addr) string {
	switch {
	case !gateway.IsValid():
		return ""
	case gateway.Is6():
		return "::/0"
	}
	return "0.0.0.0/0"
}
