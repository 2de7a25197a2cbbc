package libvirt

import (
	"net/netip"

	"gopkg.in/yaml.v3"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/cloudinit"
)

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
// cloud-init configures no other than the described ones then.
func networkFile(nics []providers.NIC, subnets []subnet) (config *cloudinit.Network, static bool, err error) {
	addresses := make([]cloudinit.Address, len(nics))
	for i, nic := range nics {
		if nic.IPAddress == "" {
			continue
		}
		static = true
		if addresses[i], err = fixedAddress(nic, subnets[i]); err != nil {
			return nil, false, err
		}
	}
	return cloudinit.Describe(nics, addresses), static, nil
}

// fixedAddress completes an address: by what the control plane knows of its
// subnet, or else by what libvirt knows of its network. An address may bring its
// prefix length ("10.0.0.5/24"), and must where neither knows.
func fixedAddress(nic providers.NIC, known subnet) (cloudinit.Address, error) {
	if nic.PrefixLength > 0 {
		return givenAddress(nic)
	}
	out := cloudinit.Address{Gateway: known.gateway}
	if known.gateway.IsValid() {
		out.DNS = []string{known.gateway.String()} // libvirt's dnsmasq
	}
	if p, err := netip.ParsePrefix(nic.IPAddress); err == nil {
		out.Prefix = p
		return out, nil
	}
	a, err := netip.ParseAddr(nic.IPAddress)
	switch {
	case err != nil || a.Zone() != "":
		return cloudinit.Address{}, cloudinit.InputError("an address is not an IP address")
	case !known.prefix.IsValid():
		return cloudinit.Address{}, cloudinit.InputError("an address on this network needs its prefix length, as in 192.0.2.7/24")
	case !known.prefix.Contains(a) || a == known.gateway:
		return cloudinit.Address{}, cloudinit.InputError("an address does not belong to its network")
	}
	out.Prefix = netip.PrefixFrom(a, known.prefix.Bits())
	return out, nil
}

// givenAddress is an address as the control plane completed it.
func givenAddress(nic providers.NIC) (cloudinit.Address, error) {
	a, err := netip.ParseAddr(nic.IPAddress)
	if err != nil || a.Zone() != "" || nic.PrefixLength > a.BitLen() {
		return cloudinit.Address{}, cloudinit.InputError("an address is not an IP address with its prefix length")
	}
	return cloudinit.Complete(netip.PrefixFrom(a, nic.PrefixLength), nic)
}
