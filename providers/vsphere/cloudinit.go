package vsphere

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// The keys of the extra configuration that cloud-init's VMware source reads
// (https://docs.cloud-init.io/en/latest/reference/datasources/vmware.html).
const (
	keyMetadata         = "guestinfo.metadata"
	keyMetadataEncoding = "guestinfo.metadata.encoding"
	keyUserdata         = "guestinfo.userdata"
	keyUserdataEncoding = "guestinfo.userdata.encoding"
	guestEncoding       = "gzip+base64"
)

// maxGuestInfo is what a guest can read of one key, in bytes.
const maxGuestInfo = 64 << 10

// inputError says what is wrong with a request. It is safe for a tenant.
type inputError string

func (e inputError) Error() string { return string(e) }

// metaData is what the source calls metadata. The keys stand here, so that they
// count beside a tenant's own user data.
type metaData struct {
	InstanceID    string         `json:"instance-id"`
	LocalHostname string         `json:"local-hostname"`
	PublicKeys    string         `json:"public-keys-data,omitempty"` // one a line
	Network       *networkConfig `json:"network,omitempty"`
}

// networkConfig is cloud-init's network configuration, version 2.
type networkConfig struct {
	Version   int                       `json:"version"`
	Ethernets map[string]ethernetConfig `json:"ethernets"`
}

type ethernetConfig struct {
	Match struct {
		MAC string `json:"macaddress"`
	} `json:"match"`
	DHCP4       bool          `json:"dhcp4"`
	Addresses   []string      `json:"addresses,omitempty"`
	Routes      []routeConfig `json:"routes,omitempty"`
	Nameservers nameservers   `json:"nameservers,omitzero"`
}

type routeConfig struct {
	To  string `json:"to"`
	Via string `json:"via"`
}

type nameservers struct {
	Addresses []string `json:"addresses,omitempty"`
}

func (n nameservers) IsZero() bool { return len(n.Addresses) == 0 }

// guestInfo is what cloud-init is told, as extra configuration. Without user data
// its keys are empty, which takes away what a template brought.
func guestInfo(req providers.CreateVMRequest) ([]types.BaseOptionValue, error) {
	return guestInfoOf(req, req.VMID)
}

// guestInfoOf is guestInfo for an instance of cloud-init: a guest that sees another
// instance ID is set up anew.
func guestInfoOf(req providers.CreateVMRequest, instance string) ([]types.BaseOptionValue, error) {
	meta := metaData{InstanceID: instance, LocalHostname: hostname(req)}
	for _, key := range req.CloudInit.SSHKeys {
		if !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) || strings.TrimSpace(key) == "" {
			return nil, inputError("an SSH key is not one line of text")
		}
		meta.PublicKeys += key + "\n"
	}
	network, err := networkOf(req.NICs)
	if err != nil {
		return nil, err
	}
	meta.Network = network
	// JSON is YAML that every parser reads alike.
	raw, err := json.Marshal(meta)
	if err != nil {
		return nil, inputError("the request cannot be told to the guest")
	}
	metadata, err := encodeGuestInfo(raw)
	if err != nil {
		return nil, err
	}
	userdata, userEncoding := "", ""
	if len(req.CloudInit.UserData) > 0 {
		if userdata, err = encodeGuestInfo(req.CloudInit.UserData); err != nil {
			return nil, err
		}
		userEncoding = guestEncoding
	}
	return []types.BaseOptionValue{
		option(keyMetadata, metadata), option(keyMetadataEncoding, guestEncoding),
		option(keyUserdata, userdata), option(keyUserdataEncoding, userEncoding),
	}, nil
}

// encodeGuestInfo packs a text. The same text gives the same value always.
func encodeGuestInfo(raw []byte) (string, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(raw); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	out := base64.StdEncoding.EncodeToString(packed.Bytes())
	if len(out) > maxGuestInfo {
		return "", inputError("what cloud-init is told is larger than 64 KiB, packed")
	}
	return out, nil
}

// networkOf describes every interface. The default route of each family is that of
// the first interface with a gateway.
func networkOf(nics []providers.NIC) (*networkConfig, error) {
	if len(nics) == 0 {
		return nil, nil //nolint:nilnil // without interfaces there is nothing to say of them
	}
	config := &networkConfig{Version: 2, Ethernets: map[string]ethernetConfig{}}
	routed := map[string]bool{}
	for i, nic := range nics {
		a, err := addressOf(nic)
		if err != nil {
			return nil, err
		}
		e := ethernetConfig{DHCP4: !a.prefix.IsValid(), Nameservers: nameservers{a.dns}}
		e.Match.MAC = strings.ToLower(nic.MAC)
		if a.prefix.IsValid() {
			e.Addresses = []string{a.prefix.String()}
		}
		if a.gateway.IsValid() {
			to := "0.0.0.0/0"
			if a.gateway.Is6() {
				to = "::/0"
			}
			if !routed[to] {
				routed[to] = true
				e.Routes = []routeConfig{{To: to, Via: a.gateway.String()}}
			}
		}
		config.Ethernets[fmt.Sprintf("nic%d", i)] = e
	}
	return config, nil
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
