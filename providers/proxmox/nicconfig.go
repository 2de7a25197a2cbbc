package proxmox

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// networkRef is what a network binding names: a bridge or an SDN network, with
// a VLAN tag where the reference has one ("vmbr0.20").
type networkRef struct {
	bridge string
	vlan   int // 0 for none
}

// parseNetworkRef reads a reference strictly: what it takes can stand in a
// property string.
func parseNetworkRef(ref string) (networkRef, bool) {
	bridge, tag, tagged := strings.Cut(ref, ".")
	if len(bridge) < 2 || len(bridge) > 15 || !isPropertyKey(bridge) || bridge[0] == '-' || (bridge[0] >= '0' && bridge[0] <= '9') {
		return networkRef{}, false
	}
	if !tagged {
		return networkRef{bridge: bridge}, true
	}
	vlan, err := strconv.Atoi(tag)
	if err != nil || vlan < 1 || vlan > 4094 || tag != strconv.Itoa(vlan) {
		return networkRef{}, false
	}
	return networkRef{bridge, vlan}, true
}

// nicConfig is the value of a netN key. rest is what we do not set: firewall,
// queues, rate and what else an operator chose.
type nicConfig struct {
	model   string
	mac     string // lower case
	network networkRef
	rest    properties
}

// parseNICConfig reads the value of a netN key.
func parseNICConfig(value string) (nicConfig, bool) {
	var n nicConfig
	for _, p := range parseProperties(value) {
		hw, err := net.ParseMAC(p.value)
		switch {
		case p.key == "bridge":
			n.network.bridge = p.value
		case p.key == "tag":
			if n.network.vlan, err = strconv.Atoi(p.value); err != nil {
				return nicConfig{}, false
			}
		case p.key == "model":
			n.model = p.value
		case err == nil && len(hw) == 6:
			n.mac = hw.String()
			if p.key != "macaddr" {
				n.model = p.key
			}
		default:
			n.rest = append(n.rest, p)
		}
	}
	return n, n.model != "" && n.mac != ""
}

// encode writes the value of a netN key.
func (n nicConfig) encode() (string, error) {
	hw, err := parseMAC(n.mac)
	if err != nil {
		return "", err
	}
	ps := properties{{n.model, strings.ToUpper(hw)}}
	if n.network.bridge != "" {
		ps = append(ps, property{"bridge", n.network.bridge})
	}
	if n.network.vlan > 0 {
		ps = append(ps, property{"tag", strconv.Itoa(n.network.vlan)})
	}
	return append(ps, n.rest...).encode()
}

// parseMAC returns an Ethernet address in lower case. Proxmox VE takes no
// multicast address.
func parseMAC(s string) (string, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 || hw[0]&1 == 1 {
		return "", fmt.Errorf("%q is no MAC address of an interface", s)
	}
	return hw.String(), nil
}
