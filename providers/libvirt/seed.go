package libvirt

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/kdomanski/iso9660"
	"gopkg.in/yaml.v3"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// seedLabel is the volume label by which cloud-init's NoCloud source finds its
// medium (https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html).
const seedLabel = "cidata"

// subnet is what is known of the network that an interface is attached to.
type subnet struct {
	prefix  netip.Prefix
	gateway netip.Addr
}

// metaData is NoCloud's meta-data. The keys stand here as well as in
// user-data, so that they also count beside a tenant's own user data.
type metaData struct {
	InstanceID    string   `yaml:"instance-id"`
	LocalHostname quoted   `yaml:"local-hostname"`
	PublicKeys    []quoted `yaml:"public-keys,omitempty"`
}

// quoted is text that is always written in double quotes, so that it is the same
// text to every parser of YAML.
type quoted string

// MarshalYAML implements yaml.Marshaler.
func (q quoted) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: string(q)}, nil
}

func quoteAll(list []string) []quoted {
	out := make([]quoted, len(list))
	for i, s := range list {
		out[i] = quoted(s)
	}
	return out
}

// networkConfig is cloud-init's network configuration, version 2.
type networkConfig struct {
	Version   int                       `yaml:"version"`
	Ethernets map[string]ethernetConfig `yaml:"ethernets"`
}

type ethernetConfig struct {
	Match       ethernetMatch  `yaml:"match"`
	DHCP4       bool           `yaml:"dhcp4"`
	Addresses   []string       `yaml:"addresses,omitempty"`
	Routes      []routeConfig  `yaml:"routes,omitempty"`
	Nameservers *nameserverSet `yaml:"nameservers,omitempty"`
}

type ethernetMatch struct {
	MAC string `yaml:"macaddress"`
}

type routeConfig struct {
	To  string `yaml:"to"`
	Via string `yaml:"via"`
}

type nameserverSet struct {
	Addresses []string `yaml:"addresses"`
}

// seedFiles makes the files of the NoCloud medium. subnets belongs to req.NICs,
// element by element.
func seedFiles(req providers.CreateVMRequest, subnets []subnet) (map[string][]byte, error) {
	host := req.CloudInit.Hostname
	if host == "" {
		host = "vm-" + req.VMID
	}
	files := map[string][]byte{}
	meta, err := yaml.Marshal(metaData{InstanceID: req.VMID, LocalHostname: quoted(host), PublicKeys: quoteAll(req.CloudInit.SSHKeys)})
	if err != nil {
		return nil, err
	}
	files["meta-data"] = meta
	if files["user-data"], err = userData(req.CloudInit); err != nil {
		return nil, err
	}
	config, static, err := networkFile(req.NICs, subnets)
	if err != nil {
		return nil, err
	}
	if static {
		if files["network-config"], err = yaml.Marshal(config); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// userData is what the tenant gave, byte for byte, or a document of ours.
func userData(c providers.CloudInit) ([]byte, error) {
	if len(c.UserData) > 0 {
		return c.UserData, nil
	}
	doc := struct {
		Keys []quoted `yaml:"ssh_authorized_keys,omitempty"`
	}{quoteAll(c.SSHKeys)}
	b, err := yaml.Marshal(doc)
	return append([]byte("#cloud-config\n"), b...), err
}

// networkFile describes every interface as soon as one has a fixed address:
// cloud-init configures no other than the described ones then. The default
// route of each family is that of the first interface with a gateway.
func networkFile(nics []providers.NIC, subnets []subnet) (config networkConfig, static bool, err error) {
	config = networkConfig{Version: 2, Ethernets: map[string]ethernetConfig{}}
	routed := map[string]bool{}
	for i, nic := range nics {
		e := ethernetConfig{Match: ethernetMatch{MAC: strings.ToLower(nic.MAC)}, DHCP4: nic.IPAddress == ""}
		if nic.IPAddress != "" {
			static = true
			fixed, err := fixedAddress(nic, subnets[i])
			if err != nil {
				return networkConfig{}, false, err
			}
			e.Addresses = []string{fixed.address.String()}
			if to := defaultRoute(fixed.gateway); to != "" && !routed[to] {
				routed[to] = true
				e.Routes = []routeConfig{{To: to, Via: fixed.gateway.String()}}
			}
			if len(fixed.dns) > 0 {
				e.Nameservers = &nameserverSet{Addresses: fixed.dns}
			}
		}
		config.Ethernets[fmt.Sprintf("nic%d", i)] = e
	}
	return config, static, nil
}

// defaultRoute is the destination of the default route by way of a gateway;
// empty without one.
func defaultRoute(gateway netip.Addr) string {
	switch {
	case !gateway.IsValid():
		return ""
	case gateway.Is6():
		return "::/0"
	}
	return "0.0.0.0/0"
}

// addressError says why a fixed address cannot be. It is safe for a tenant.
type addressError string

func (e addressError) Error() string { return string(e) }

// fixed is an interface's address with what belongs to it.
type fixed struct {
	address netip.Prefix
	gateway netip.Addr // invalid for none
	dns     []string
}

// fixedAddress completes an address: by what the control plane knows of its
// subnet, or else by what libvirt knows of its network. An address may bring its
// prefix length ("10.0.0.5/24"), and must where neither knows.
func fixedAddress(nic providers.NIC, known subnet) (fixed, error) {
	if nic.PrefixLength > 0 {
		return givenAddress(nic)
	}
	out := fixed{gateway: known.gateway}
	if known.gateway.IsValid() {
		out.dns = []string{known.gateway.String()} // libvirt's dnsmasq
	}
	if p, err := netip.ParsePrefix(nic.IPAddress); err == nil {
		out.address = p
		return out, nil
	}
	a, err := netip.ParseAddr(nic.IPAddress)
	switch {
	case err != nil || a.Zone() != "":
		return fixed{}, addressError("an address is not an IP address")
	case !known.prefix.IsValid():
		return fixed{}, addressError("an address on this network needs its prefix length, as in 192.0.2.7/24")
	case !known.prefix.Contains(a) || a == known.gateway:
		return fixed{}, addressError("an address does not belong to its network")
	}
	out.address = netip.PrefixFrom(a, known.prefix.Bits())
	return out, nil
}

// givenAddress is an address as the control plane completed it.
func givenAddress(nic providers.NIC) (fixed, error) {
	a, err := netip.ParseAddr(nic.IPAddress)
	if err != nil || a.Zone() != "" || nic.PrefixLength > a.BitLen() {
		return fixed{}, addressError("an address is not an IP address with its prefix length")
	}
	out := fixed{address: netip.PrefixFrom(a, nic.PrefixLength)}
	if nic.Gateway != "" {
		if out.gateway, err = netip.ParseAddr(nic.Gateway); err != nil || out.gateway.Zone() != "" || out.gateway.Is4() != a.Is4() {
			return fixed{}, addressError("a gateway is not an IP address of its network")
		}
	}
	for _, s := range nic.DNSServers {
		server, err := netip.ParseAddr(s)
		if err != nil || server.Zone() != "" {
			return fixed{}, addressError("a DNS server is not an IP address")
		}
		out.dns = append(out.dns, server.String())
	}
	return out, nil
}

// buildISO makes an ISO 9660 image of the files.
func buildISO(files map[string][]byte) (iso []byte, err error) {
	w, err := iso9660.NewWriter()
	if err != nil {
		return nil, err
	}
	defer func() {
		if cleanErr := w.Cleanup(); err == nil {
			err = cleanErr
		}
	}()
	for name, content := range files {
		if err := w.AddFile(bytes.NewReader(content), name); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	if err := w.WriteTo(&out, seedLabel); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
