package cloudinit_test

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/cloudinit"
)

func TestAddressOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		nic  providers.NIC
		want cloudinit.Address
	}{
		"DHCP": {providers.NIC{}, cloudinit.Address{}},
		"with its length": {
			providers.NIC{IPAddress: "192.0.2.7/24"}, cloudinit.Address{Prefix: netip.MustParsePrefix("192.0.2.7/24")},
		},
		"its length beside it": {
			providers.NIC{IPAddress: "192.0.2.7", PrefixLength: 24, Gateway: "192.0.2.1", DNSServers: []string{"2001:db8:0::53"}},
			cloudinit.Address{Prefix: netip.MustParsePrefix("192.0.2.7/24"), Gateway: netip.MustParseAddr("192.0.2.1"), DNS: []string{"2001:db8::53"}},
		},
		"IPv6": {
			providers.NIC{IPAddress: "2001:db8::7", PrefixLength: 64, Gateway: "2001:db8::1"},
			cloudinit.Address{Prefix: netip.MustParsePrefix("2001:db8::7/64"), Gateway: netip.MustParseAddr("2001:db8::1")},
		},
	} {
		got, err := cloudinit.AddressOf(c.nic)
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
	for name, nic := range map[string]providers.NIC{
		"no address":               {IPAddress: "192.0.2"},
		"no length":                {IPAddress: "192.0.2.7"},
		"a length too much":        {IPAddress: "192.0.2.7", PrefixLength: 33},
		"a zone":                   {IPAddress: "fe80::1%eth0", PrefixLength: 64},
		"something behind it":      {IPAddress: "192.0.2.7,gw=1", PrefixLength: 24},
		"no gateway":               {IPAddress: "192.0.2.7/24", Gateway: "x"},
		"a gateway with a zone":    {IPAddress: "fe80::7/64", Gateway: "fe80::1%eth0"},
		"another family's gateway": {IPAddress: "192.0.2.7/24", Gateway: "2001:db8::1"},
		"no DNS server":            {IPAddress: "192.0.2.7/24", DNSServers: []string{"dns.example.org"}},
		"a DNS server with a zone": {IPAddress: "192.0.2.7/24", DNSServers: []string{"fe80::1%eth0"}},
	} {
		_, err := cloudinit.AddressOf(nic)
		require.ErrorAs(t, err, new(cloudinit.InputError), name)
		_, err = cloudinit.NetworkOf([]providers.NIC{{}, nic})
		require.ErrorAs(t, err, new(cloudinit.InputError), name)
		_, err = cloudinit.Seed{NICs: []providers.NIC{nic}}.Files()
		require.ErrorAs(t, err, new(cloudinit.InputError), name)
	}
}

func TestCheckKeys(t *testing.T) {
	t.Parallel()
	require.NoError(t, cloudinit.CheckKeys([]string{"ssh-ed25519 AAAA+/= a b", "ssh-rsa B"}))
	for _, key := range []string{"", "  ", "a\nb", "a\x00", "\xff"} {
		require.ErrorAs(t, cloudinit.CheckKeys([]string{"ssh-rsa B", key}), new(cloudinit.InputError), "%q", key)
	}
}

// TestNetworkOf gives the default route of each family to the first interface with a
// gateway. JSON and YAML say the same.
func TestNetworkOf(t *testing.T) {
	t.Parallel()
	none, err := cloudinit.NetworkOf(nil)
	require.NoError(t, err)
	require.Nil(t, none)
	network, err := cloudinit.NetworkOf([]providers.NIC{
		{MAC: "52:54:00:AA:BB:01"},
		{MAC: "52:54:00:aa:bb:02", IPAddress: "192.0.2.7/24", Gateway: "192.0.2.1", DNSServers: []string{"192.0.2.53"}},
		{MAC: "52:54:00:aa:bb:03", IPAddress: "198.51.100.7/24", Gateway: "198.51.100.1"},
		{MAC: "52:54:00:aa:bb:04", IPAddress: "2001:db8::7/64", Gateway: "2001:db8::1"},
	})
	require.NoError(t, err)
	const want = `{"version": 2, "ethernets": {
		"nic0": {"match": {"macaddress": "52:54:00:aa:bb:01"}, "dhcp4": true},
		"nic1": {"match": {"macaddress": "52:54:00:aa:bb:02"}, "dhcp4": false, "addresses": ["192.0.2.7/24"],
			"routes": [{"to": "0.0.0.0/0", "via": "192.0.2.1"}], "nameservers": {"addresses": ["192.0.2.53"]}},
		"nic2": {"match": {"macaddress": "52:54:00:aa:bb:03"}, "dhcp4": false, "addresses": ["198.51.100.7/24"]},
		"nic3": {"match": {"macaddress": "52:54:00:aa:bb:04"}, "dhcp4": false, "addresses": ["2001:db8::7/64"],
			"routes": [{"to": "::/0", "via": "2001:db8::1"}]}
	}}`
	text, err := json.Marshal(network)
	require.NoError(t, err)
	require.JSONEq(t, want, string(text))
	text, err = yaml.Marshal(network)
	require.NoError(t, err)
	require.YAMLEq(t, want, string(text))
}
