package proxmox

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/cloudinit"
)

// cloudInitConfig returns the keys by which Proxmox VE makes the cloud-init
// medium itself: the SSH keys, the address of each interface and the DNS servers.
// keys are those of the interfaces, "" for one that the VM does not have.
func cloudInitConfig(c providers.CloudInit, nics []providers.NIC, keys []string) (params, error) {
	out := params{}
	sshKeys, err := encodeSSHKeys(c.SSHKeys)
	if err != nil {
		return nil, err
	}
	if sshKeys != "" {
		out["sshkeys"] = sshKeys
	}
	var servers []string
	routed := map[bool]bool{}
	for i, nic := range nics {
		if keys[i] == "" {
			continue
		}
		address, err := cloudinit.AddressOf(nic)
		if err != nil {
			return nil, err
		}
		if address.Gateway.IsValid() {
			if is6 := address.Gateway.Is6(); routed[is6] {
				address.Gateway = netip.Addr{}
			} else {
				routed[is6] = true
			}
		}
		value, err := encodeAddress(address)
		if err != nil {
			return nil, err
		}
		out[addressKey(keys[i])] = value
		servers = append(servers, address.DNS...)
	}
	if len(servers) > 0 {
		out["nameserver"] = serverList(servers)
	}
	return out, nil
}

// numberedNICs are the keys of n interfaces of a VM that has none yet.
func numberedNICs(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "net" + strconv.Itoa(i)
	}
	return out
}

// addressKey is the key by which cloud-init is told the address of an interface.
func addressKey(nic string) string { return "ipconfig" + strings.TrimPrefix(nic, "net") }

// serverList is the value of the nameserver key, which is the whole VM's.
func serverList(servers []string) string {
	var out []string
	for _, s := range servers {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

// told is what cloud-init is told of one more interface: its address, and its DNS
// servers after those that the VM has. Where another interface has the default
// route, it gets none.
func told(config map[string]string, key string, nic providers.NIC) (params, error) {
	address, err := cloudinit.AddressOf(nic)
	if err != nil {
		return nil, err
	}
	for _, other := range keysOf(config, "ipconfig") {
		ps := parseProperties(config[other])
		if other != addressKey(key) && address.Gateway.IsValid() && ps.get(gatewayKey(address)) != "" {
			address.Gateway = netip.Addr{}
		}
	}
	value, err := encodeAddress(address)
	if err != nil {
		return nil, err
	}
	out := params{addressKey(key): value}
	if len(address.DNS) > 0 {
		out["nameserver"] = serverList(append(strings.Fields(config["nameserver"]), address.DNS...))
	}
	return out, nil
}

// encodeSSHKeys writes the keys as Proxmox VE takes them: lines, percent-encoded
// once more than the request's own encoding.
func encodeSSHKeys(keys []string) (string, error) {
	if err := cloudinit.CheckKeys(keys); err != nil {
		return "", err
	}
	// QueryEscape leaves no byte but letters, digits, "-_.~" and the space's plus.
	return strings.ReplaceAll(url.QueryEscape(strings.Join(keys, "\n")), "+", "%20"), nil
}

// encodeAddress writes the value of an ipconfigN key.
func encodeAddress(a cloudinit.Address) (string, error) {
	if !a.Prefix.IsValid() {
		return properties{{"ip", "dhcp"}}.encode()
	}
	ip := "ip"
	if a.Prefix.Addr().Is6() {
		ip = "ip6"
	}
	ps := properties{{ip, a.Prefix.String()}}
	if a.Gateway.IsValid() {
		ps = append(ps, property{gatewayKey(a), a.Gateway.String()})
	}
	return ps.encode()
}

func gatewayKey(a cloudinit.Address) string {
	if a.Prefix.Addr().Is6() {
		return "gw6"
	}
	return "gw"
}
