package proxmox

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// inputError says what is wrong with a request. It is safe for a tenant.
type inputError string

func (e inputError) Error() string { return string(e) }

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
		address, err := addressOf(nic)
		if err != nil {
			return nil, err
		}
		if address.gateway.IsValid() {
			if is6 := address.gateway.Is6(); routed[is6] {
				address.gateway = netip.Addr{}
			} else {
				routed[is6] = true
			}
		}
		value, err := address.encode()
		if err != nil {
			return nil, err
		}
		out[addressKey(keys[i])] = value
		servers = append(servers, address.dns...)
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
	address, err := addressOf(nic)
	if err != nil {
		return nil, err
	}
	for _, other := range keysOf(config, "ipconfig") {
		ps := parseProperties(config[other])
		if other != addressKey(key) && address.gateway.IsValid() && ps.get(address.gatewayKey()) != "" {
			address.gateway = netip.Addr{}
		}
	}
	value, err := address.encode()
	if err != nil {
		return nil, err
	}
	out := params{addressKey(key): value}
	if len(address.dns) > 0 {
		out["nameserver"] = serverList(append(strings.Fields(config["nameserver"]), address.dns...))
	}
	return out, nil
}

// encodeSSHKeys writes the keys as Proxmox VE takes them: lines, percent-encoded
// once more than the request's own encoding.
func encodeSSHKeys(keys []string) (string, error) {
	for _, key := range keys {
		if !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) || strings.TrimSpace(key) == "" {
			return "", inputError("an SSH key is not one line of text")
		}
	}
	// QueryEscape leaves no byte but letters, digits, "-_.~" and the space's plus.
	return strings.ReplaceAll(url.QueryEscape(strings.Join(keys, "\n")), "+", "%20"), nil
}

// nicAddress is how the guest configures an interface. The zero value is DHCP.
type nicAddress struct {
	prefix  netip.Prefix
	gateway netip.Addr
	dns     []string
}

func addressOf(nic providers.NIC) (nicAddress, error) {
	var out nicAddress
	if nic.IPAddress == "" {
		return out, nil
	}
	prefix, err := netip.ParsePrefix(nic.IPAddress)
	if err != nil {
		a, err := netip.ParseAddr(nic.IPAddress)
		if err != nil || a.Zone() != "" {
			return out, inputError("an address is not an IP address")
		}
		if nic.PrefixLength <= 0 || nic.PrefixLength > a.BitLen() {
			return out, inputError("an address needs its prefix length, as in 192.0.2.7/24")
		}
		prefix = netip.PrefixFrom(a, nic.PrefixLength)
	}
	out.prefix = prefix
	if nic.Gateway != "" {
		if out.gateway, err = netip.ParseAddr(nic.Gateway); err != nil || out.gateway.Zone() != "" || out.gateway.Is4() != prefix.Addr().Is4() {
			return out, inputError("a gateway is not an IP address of its network")
		}
	}
	for _, s := range nic.DNSServers {
		server, err := netip.ParseAddr(s)
		if err != nil || server.Zone() != "" {
			return out, inputError("a DNS server is not an IP address")
		}
		out.dns = append(out.dns, server.String())
	}
	return out, nil
}

// encode writes the value of an ipconfigN key.
func (a nicAddress) encode() (string, error) {
	if !a.prefix.IsValid() {
		return properties{{"ip", "dhcp"}}.encode()
	}
	ip := "ip"
	if a.prefix.Addr().Is6() {
		ip = "ip6"
	}
	ps := properties{{ip, a.prefix.String()}}
	if a.gateway.IsValid() {
		ps = append(ps, property{a.gatewayKey(), a.gateway.String()})
	}
	return ps.encode()
}

func (a nicAddress) gatewayKey() string {
	if a.prefix.Addr().Is6() {
		return "gw6"
	}
	return "gw"
}
